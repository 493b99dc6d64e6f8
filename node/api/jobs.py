"""Jobs: plans that are being carried out, for those who ask and those who audit."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from ledger.plans import Kind
from node.api.access import operator, services
from node.api.models import Digest, NewPlan
from node.domain.draft import Draft

router = APIRouter()
_Id = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
_MANAGEMENT: dict[str, Any] = {
    "tags": ["management"],
    "dependencies": [Depends(operator("management"))],
}
_AUDIT: dict[str, Any] = {
    "tags": ["audit"],
    "dependencies": [Depends(operator("audit"))],
}


@router.get("/management/jobs", **_MANAGEMENT)
@router.get("/audit/jobs", **_AUDIT)
async def jobs(request: Request, plan: Annotated[Digest | None, Query()] = None) -> Any:
    """Return the newest jobs, newest first, with how far each is.

    With `plan`, a plan's hash, the job of that plan, if there is one.
    """
    return {"items": await services(request).aggregates.jobs.list(plan)}


@router.get("/management/jobs/{job}", **_MANAGEMENT)
@router.get("/audit/jobs/{job}", **_AUDIT)
async def job(job: _Id, request: Request) -> Any:
    """Return a job with its plan, the receipts of its steps, and its result, if any."""
    return await services(request).aggregates.jobs.show(job)


@router.post("/management/jobs/{job}/cancel", **_MANAGEMENT)
async def cancel(job: _Id, request: Request) -> Any:
    """End a job. What it has spent is spent; nothing more is sent of it."""
    return await services(request).aggregates.jobs.cancel(job)


@router.post("/management/aggregates", status_code=201, **_MANAGEMENT)
async def ask(body: NewPlan, request: Request) -> Any:
    """Draw a plan up and carry it out: returns the job's id at once."""
    return await services(request).aggregates.draw_up(_draft(body))


@router.post("/management/aggregates/look", **_MANAGEMENT)
async def look(body: NewPlan, request: Request) -> Any:
    """Draw a plan up, and say what stands in its way. Nothing is sent or charged."""
    return await services(request).aggregates.draw_up.look(_draft(body))


def _draft(body: NewPlan) -> Draft:
    values = body.model_dump()
    lists = ("agreements", "groups", "filters", "totals", "customers")
    tuples = {name: tuple(values[name]) for name in lists}
    return Draft(**{**values, **tuples, "kind": Kind(body.kind)})
