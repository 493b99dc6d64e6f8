"""The node's HTTP application."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto.encoding import check_depth
from crypto.errors import Malformed
from node.api import (
    aggregates,
    audit,
    budget,
    chain,
    jobs,
    management,
    negotiations,
    problems,
    streams,
    views,
    wellknown,
    witness,
)
from node.api.access import is_known
from node.api.rates import Rates
from node.services import Services

_STRANGER_BYTES, _BODY_BYTES, _DECLARATION_BYTES = 2**16, 2**20, 64 * 2**20
_STEP_BYTES = 256 * 2**20
_QUERY = re.compile("/views/[^/]+/query")
_STEP = re.compile("/aggregates/[^/]+/[^/]+")
_DECLARATION = re.compile("(/management)?/agreements/[^/]+/customers")
Starter = Callable[[], AbstractAsyncContextManager[Services]]


class BodyLimit:
    """Refuses bodies that are larger, or nested deeper, than any that is read.

    A stranger may send little: reading what is large takes the time of others. Only
    a query, or a step of a plan, may be of some size whoever sends it, as it leaves a
    receipt.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the body whole before anything parses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = False

        async def limited() -> Message:
            nonlocal taken
            if taken:
                return await receive()
            taken = True
            return await _whole(receive, Request(scope))

        await self._app(scope, limited, send)


def _most(request: Request) -> int:
    """Return how many bytes a caller may send to an address."""
    path = request.url.path
    if not is_known(request):
        receipted = _QUERY.fullmatch(path) or _STEP.fullmatch(path)
        return _BODY_BYTES if receipted else _STRANGER_BYTES
    if _STEP.fullmatch(path):
        return _STEP_BYTES
    return _DECLARATION_BYTES if _DECLARATION.fullmatch(path) else _BODY_BYTES


async def _whole(receive: Receive, request: Request) -> Message:
    """Return the body in one message."""
    body, more, most = bytearray(), True, _STRANGER_BYTES
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return message
        body += message.get("body", b"")
        if len(body) > _STRANGER_BYTES == most:
            most = _most(request)
        if len(body) > most:
            raise problems.TooLarge
        more = message.get("more_body", False)
    whole = bytes(body)
    if _STEP.fullmatch(request.url.path):  # not JSON; its header is looked at later
        return {"type": "http.request", "body": whole, "more_body": False}
    try:
        if len(whole) <= _STRANGER_BYTES:
            check_depth(whole)
        else:
            await asyncio.to_thread(check_depth, whole)
    except Malformed as error:
        raise problems.TooDeep from error
    return {"type": "http.request", "body": whole, "more_body": False}


def create_app(start: Starter, operators: Mapping[str, str]) -> FastAPI:
    """Return the application.

    Args:
        start: Opens the services when the application starts, and closes them.
        operators: SHA-256 of each operator's bearer token in hex, to its role.
    """

    @asynccontextmanager
    async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with start() as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="Fieldpact node",
        summary="Field-level authorised CRM views, with proofs and receipts.",
        version="0.1.0",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.operators = operators
    app.state.rates = Rates(per_second=10.0, at_once=60)
    app.add_middleware(BodyLimit)
    problems.install(app)
    for module in (
        wellknown,
        views,
        aggregates,
        streams,
        witness,
        negotiations,
        management,
        chain,
        audit,
        budget,
        jobs,
    ):
        app.include_router(module.router)
    return app
