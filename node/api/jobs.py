"""Jobs: plans that are being carried out, for those who ask and those who audit."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from node.api.access import operator, services

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
async def jobs(request: Request) -> Any:
    """Return the newest jobs, newest first, with how far each is."""
    return {"items": await services(request).jobs.list()}


@router.get("/management/jobs/{job}", **_MANAGEMENT)
@router.get("/audit/jobs/{job}", **_AUDIT)
async def job(job: _Id, request: Request) -> Any:
    """Return a job with its plan, and its result if there is one."""
    return await services(request).jobs.show(job)


@router.post("/management/jobs/{job}/cancel", **_MANAGEMENT)
async def cancel(job: _Id, request: Request) -> Any:
    """End a job. What it has spent is spent; nothing more is sent of it."""
    return await services(request).jobs.cancel(job)
