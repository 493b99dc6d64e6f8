"""What a witness is asked: to cosign a log's checkpoint, and what it holds of a log.

Text in and out, as other logs and witnesses speak it; why something is refused, which
no specification asks for, is a problem document as everywhere. No token: a checkpoint
that is not signed by a known log is refused, and one that is may come from anybody.

Spec: c2sp.org/tlog-witness; `docs/protocols/witnesses.md`.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from node.api.access import found, services
from node.api.models import Digest
from node.api.problems import problem

_REFUSED = "Not cosigned"
router = APIRouter(prefix="/witness", tags=["witness"])


@router.post("/add-checkpoint", response_class=PlainTextResponse)
async def add_checkpoint(request: Request) -> Response:
    """Cosign a checkpoint that continues the newest one cosigned of its log."""
    node = services(request)
    caller = request.client.host if request.client else ""
    if not request.app.state.rates.take(caller, node.clock.elapsed_ms()):
        later, why = {"Retry-After": "1"}, "Too many requests from this address."
        return problem(429, _REFUSED, "witness.busy", why, headers=later)
    answer = await node.witness(await request.body())
    if answer.status in {200, 409}:
        return PlainTextResponse(answer.text, answer.status, media_type=answer.media)
    return problem(answer.status, _REFUSED, "witness.refused", answer.text.strip())


@router.get("/checkpoint", response_class=PlainTextResponse)
async def checkpoint(
    request: Request, origin: Annotated[str, Query(max_length=256)]
) -> str:
    """Return the newest checkpoint cosigned of a log, by its origin."""
    return str(found(await services(request).witness.newest(origin), "checkpoint"))


@router.get("/{origin_hash}/checkpoint", response_class=PlainTextResponse)
async def by_hash(request: Request, origin_hash: Digest) -> str:
    """Return the same, by the SHA-256 of the origin in hex."""
    return str(found(await services(request).witness.newest(origin_hash), "checkpoint"))
