"""Comparing streams with partners, and the alarms that a comparison may sound."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from node.api.access import operator, partner, services
from node.api.models import ClearAlarm, Reconcile, StreamEntries, StreamHead
from node.domain.agreement import render_instant
from node.errors import NotFound

router = APIRouter()


@router.post("/streams/head", tags=["partners"])
async def head(body: StreamHead, request: Request) -> Any:
    """Answer what a partner says of a stream with what we say of it."""
    values = body.model_dump()
    sender = await partner(request, values, body.agreement)
    return await services(request).tell_stream.head(sender, values)


@router.post("/streams/entry", tags=["partners"])
async def entry(body: StreamEntries, request: Request) -> Any:
    """Show a partner our receipts of some numbers of a stream."""
    values = body.model_dump()
    sender = await partner(request, values, body.agreement)
    return await services(request).tell_stream.entries(sender, values)


@router.post(
    "/management/reconcile",
    tags=["management"],
    dependencies=[Depends(operator("management"))],
)
async def reconcile(body: Reconcile, request: Request) -> Any:
    """Compare our streams with a partner: mend what was lost, prove what changed."""
    return await services(request).reconcile(body.partner, body.agreement)


@router.post(
    "/management/alarms/clear",
    tags=["management"],
    dependencies=[Depends(operator("management"))],
)
async def clear(body: ClearAlarm, request: Request) -> Any:
    """End an alarm: somebody has looked, and says why."""
    node = services(request)
    now = node.clock.now()
    cleared = await node.store.write(
        lambda work: work.alarms.clear(body.code, body.subject, body.why, now)
    )
    if not cleared:
        detail = "No such alarm is open. `fieldpact alarms` lists those that are."
        raise NotFound("alarm.unknown", detail)
    return {"code": body.code, "subject": body.subject, "cleared": True}


@router.get("/audit/alarms", tags=["audit"], dependencies=[Depends(operator("audit"))])
async def alarms(request: Request) -> Any:
    """Return what a person must look at, oldest first."""
    found = await services(request).store.read(lambda view: view.alarms.open())
    return {
        "items": [
            {
                "code": each.code,
                "subject": each.subject,
                "detail": each.detail,
                "at": render_instant(each.at),
                "stops": each.stops,
            }
            for each in found
        ]
    }


@router.get("/audit/streams", tags=["audit"], dependencies=[Depends(operator("audit"))])
async def streams(request: Request) -> Any:
    """Return every stream: how long it is, what is signed, and when it was compared."""
    node = services(request)
    most = node.disclose.company.max_unacknowledged
    return {"items": await node.audit.streams(), "most_unacknowledged": most}
