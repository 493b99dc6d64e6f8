"""What partners call about aggregates: the steps of their plans."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from crypto.errors import Malformed
from node.api.access import bearer, services
from node.api.models import Identifier
from node.domain.steps import MEDIA, StepRequest, framed, unframed
from node.errors import BadRequest

router = APIRouter(tags=["partners"])
_Step = Annotated[str, Path(pattern=r"^[a-z][a-z-]{0,31}$")]
_AT_ONCE = 2**16
"""Octets of a message that is read at once; more take milliseconds."""


@router.post("/aggregates/{dataset}/{step}", response_class=Response)
async def step(dataset: Identifier, step: _Step, request: Request) -> Any:
    """Do a step of a plan, or refuse it: a framed message each way."""
    body = await request.body()
    if len(body) > _AT_ONCE:
        asked, payload = await asyncio.to_thread(_read, dataset, step, body)
    else:
        asked, payload = _read(dataset, step, body)
    header, octets = await services(request).aggregates.answer(
        asked, payload, bearer(request)
    )
    content = await asyncio.to_thread(framed, header, octets)
    return Response(content, media_type=MEDIA)


def _read(dataset: str, step: str, body: bytes) -> tuple[StepRequest, bytes]:
    try:
        header, payload = unframed(body)
    except Malformed as error:
        raise BadRequest("request.malformed", f"{error}.") from error
    asked = StepRequest.from_header(dataset, header, payload)
    if asked.step != step:
        detail = "The header names another step than the address."
        raise BadRequest("request.malformed", detail)
    return asked, payload
