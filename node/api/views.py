"""What partners call about data: queries, declarations, countersignatures, the log."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import Field

from crypto.encoding import b64u
from node.api.access import bearer, found, partner, services
from node.api.models import Countersignatures, Declaration, Digest, Identifier, Query
from node.domain import disclosure
from node.services.witnessed_log import cosigned_checkpoint

router = APIRouter(tags=["partners"])
_Size = Annotated[int, Field(ge=1, le=2**62)]
_FEW = 256
"""Customers in a request that is read at once; of more it takes milliseconds."""


@router.post("/views/{dataset}/query")
async def query(dataset: Identifier, body: Query, request: Request) -> Any:
    """Answer a query with the granted fields, proved; or refuse it."""
    read = partial(disclosure.Request.from_body, dataset, body.model_dump())
    asked = await asyncio.to_thread(read) if len(body.customers) > _FEW else read()
    # An answer about ten thousand customers has megabytes: not on the event loop.
    answer = await services(request).disclose(asked, bearer(request))
    return await asyncio.to_thread(JSONResponse, answer)


@router.post("/agreements/{agreement}/customers")
async def declare(agreement: Identifier, body: Declaration, request: Request) -> Any:
    """Take a consumer's customers, as tokens of the agreement."""
    values = body.model_dump()
    sender = await partner(request, values, agreement)
    await services(request).align.receive(sender, agreement, values)
    return {"declared": len(body.customers)}


@router.post("/receipts/countersignatures")
async def countersign(body: Countersignatures, request: Request) -> Any:
    """Take a consumer's signatures over receipts of its calls."""
    values = body.model_dump()
    sender = await partner(request, values)
    accepted = await services(request).countersign.receive(sender, values)
    return {"accepted": accepted}


@router.get("/log/checkpoint", response_class=PlainTextResponse)
async def checkpoint(request: Request) -> str:
    """Return the newest checkpoint of this node's log, with who cosigned it."""
    note = await services(request).store.read(cosigned_checkpoint)
    return str(found(note, "checkpoint"))


@router.get("/log/consistency")
async def consistency(request: Request, first: _Size, second: _Size) -> Any:
    """Return the proof that the log's tree of one size continues that of another."""
    proof = await services(request).cosignatures.consistency(first, second)
    return {"proof": [b64u(step) for step in found(proof, "checkpoint")]}


@router.get("/log/proof/{receipt_id}")
async def proof(receipt_id: Annotated[Digest, Path()], request: Request) -> Any:
    """Return where a receipt stands in the log: to whoever can name it."""
    return await services(request).evidence.proof(receipt_id)


@router.get("/log/snapshots/{snapshot_id}")
async def snapshot(snapshot_id: Annotated[Digest, Path()], request: Request) -> Any:
    """Return where a snapshot stands in the log: to whoever can name it."""
    return await services(request).evidence.snapshot(snapshot_id)
