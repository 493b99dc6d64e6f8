"""What auditors read: figures, calls, receipts with their evidence. Read-only."""

import asyncio
import datetime
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from crypto.encoding import b64u
from ledger.bundle import Line, render_line
from node.api.access import found, operator, services
from node.api.models import Digest, Identifier, Instant
from node.domain.agreement import instant, render_instant
from node.ports import Fault

router = APIRouter(
    prefix="/audit", tags=["audit"], dependencies=[Depends(operator("audit"))]
)
_LINES = 32
"""Of a bundle, written at a time."""
_WINDOW = datetime.timedelta(days=7)
_Text = Annotated[str | None, Query(max_length=256, pattern=r"^[^\x00]*$")]
_Sequence = Annotated[int | None, Query(ge=0, le=2**62)]
_Plan = Annotated[Digest | None, Query()]
_Limit = Annotated[int, Query(ge=1, le=200)]
_From = Annotated[Instant | None, Query(alias="from")]
_To = Annotated[Instant | None, Query(alias="to")]


@router.get("/summary")
async def summary(request: Request, since: _From = None, until: _To = None) -> Any:
    """Return the key figures of a window of time, 7 days unless told."""
    node = services(request)
    figures = await node.audit.summary(*_window(request, since, until))
    return {**figures, "witnesses": await node.cosignatures.state()}


@router.get("/calls")
async def calls(  # noqa: PLR0917  # the query's parameters are its filters
    request: Request,
    since: _From = None,
    until: _To = None,
    partner: _Text = None,
    field: _Text = None,
    purpose: _Text = None,
    decision: _Text = None,
    code: _Text = None,
    agreement: _Text = None,
    dataset: _Text = None,
    plan: _Plan = None,
    before: _Sequence = None,
    after: _Sequence = None,
    limit: _Limit = 50,
) -> Any:
    """Return a page of calls, newest first, and the counts behind each filter.

    `plan` is a plan's hash, which the receipts of its steps name.
    """
    filters = {
        "partner": partner,
        "field": field,
        "purpose": purpose,
        "decision": decision,
        "code": code,
        "agreement": agreement,
        "dataset": dataset,
        "plan": plan,
    }
    start, end = _window(request, since, until)
    return await services(request).audit.calls(
        since=start,
        until=end,
        filters={name: value for name, value in filters.items() if value},
        before=before,
        after=after,
        most=limit,
    )


@router.get("/receipts/{receipt_id}")
async def receipt(receipt_id: Digest, request: Request) -> Any:
    """Return a receipt with all the evidence there is for it."""
    give = services(request).evidence
    evidence = await give(receipt_id)
    signed = evidence.signed.receipt
    return evidence.to_json() | {
        "canonical": b64u(signed.canonical()),
        "committed": await give.committed(signed.snapshot),
    }


@router.get("/receipts/{receipt_id}/question")
async def question(receipt_id: Digest, request: Request) -> Any:
    """Return what the policy was asked, so that an auditor can ask it again."""
    asked = await services(request).store.read(
        lambda view: view.receipts.question(receipt_id)
    )
    return json.loads(found(asked, "receipt"))


@router.get("/agreements")
async def agreements(request: Request) -> Any:
    """Return every agreement with its use."""
    node = services(request)
    return {"items": await node.audit.agreements(node.clock.now())}


@router.get("/agreements/{agreement}/evidence")
async def bundle(
    agreement: Identifier, request: Request, since: _From = None, until: _To = None
) -> StreamingResponse:
    """Return all receipts of an agreement with their proofs, as lines of JSON."""
    start = instant(since) if since else None
    end = instant(until) if until else None
    lines = await services(request).bundle(agreement, start, end)
    return StreamingResponse(_rendered(lines), media_type="application/jsonl")


async def _rendered(lines: AsyncIterator[Line]) -> AsyncIterator[bytes]:
    """Write lines some at a time, in a thread: writing many would hold up calls."""
    batch: list[Line] = []
    async for line in lines:
        batch.append(line)
        if len(batch) == _LINES:
            yield await asyncio.to_thread(_joined, batch)
            batch = []
    yield await asyncio.to_thread(_joined, batch)


def _joined(batch: Sequence[Line]) -> bytes:
    return b"".join(map(render_line, batch))


@router.get("/received")
async def received(
    request: Request,
    plan: _Plan = None,
    before: _Sequence = None,
    limit: _Limit = 50,
) -> Any:
    """Return what this node read from others, newest first; of one plan if it is told.

    `plan` is a plan's hash, which the receipts of its steps name.
    """
    return await services(request).audit.received(plan, before, limit)


@router.get("/faults")
async def faults(request: Request) -> Any:
    """Return what proves that participants broke the rules, newest first."""
    kept = await services(request).store.read(lambda view: view.faults.all())
    return {"items": [_fault(each) for each in kept]}


@router.get("/faults/{fault_id}")
async def fault(fault_id: Digest, request: Request) -> Any:
    """Return one such proof: the file that anybody can verify."""
    kept = await services(request).store.read(lambda view: view.faults.get(fault_id))
    return found(kept, "fault").proof


@router.get("/participants")
async def participants(request: Request) -> Any:
    """Return every participant as this node's registry pins it."""
    identity = services(request).identity
    records = [each.to_json() for each in identity.participants()]
    return {"items": records, "self": identity.me.did}


def _fault(kept: Fault) -> dict[str, Any]:
    return {
        "id": kept.id,
        "kind": kept.kind,
        "participant": kept.participant,
        "at": render_instant(kept.at),
    }


def _window(
    request: Request, since: str | None, until: str | None
) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the window asked for; up to this second, and 7 days, unless told."""
    now = services(request).clock.now() + datetime.timedelta(seconds=1)
    end = instant(until) if until else now
    return instant(since) if since else end - _WINDOW, end
