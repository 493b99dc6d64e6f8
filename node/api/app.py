"""The node's HTTP application."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto.encoding import check_depth
from crypto.errors import Malformed
from node.api import audit, management, negotiations, problems, views, wellknown
from node.api.access import is_known
from node.services import Services

_BODY_BYTES, _DECLARATION_BYTES = 2**20, 64 * 2**20
_DECLARATION = re.compile("(/management)?/agreements/[^/]+/customers")
_LONG = 2**16
"""Bytes from which on a body is looked at in a thread: 1 ms."""
Starter = Callable[[], AbstractAsyncContextManager[Services]]


class BodyLimit:
    """Refuses bodies that are larger, or nested deeper, than any that is read.

    A declaration of customers may be large, and only from somebody we know:
    strangers must not make the node hold and read it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the body whole before anything parses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, taken = _BODY_BYTES, False
        if _DECLARATION.fullmatch(scope["path"]) and is_known(Request(scope)):
            most = _DECLARATION_BYTES

        async def limited() -> Message:
            nonlocal taken
            if taken:
                return await receive()
            taken = True
            return await _whole(receive, most)

        await self._app(scope, limited, send)


async def _whole(receive: Receive, most: int) -> Message:
    """Return the body in one message."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return message
        body += message.get("body", b"")
        if len(body) > most:
            raise problems.TooLarge
        more = message.get("more_body", False)
    whole = bytes(body)
    try:
        if len(whole) < _LONG:
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
    app.add_middleware(BodyLimit)
    problems.install(app)
    for module in (wellknown, views, negotiations, management, audit):
        app.include_router(module.router)
    return app
