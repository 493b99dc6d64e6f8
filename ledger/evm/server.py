"""The embedded chain over HTTP: one path, POST, JSON in and out.

Requests are carried out one at a time on one thread: the chain is a sequence, and
so is its file. A web page in a browser cannot reach it: without the content type
`application/json`, which no page may send to a stranger unasked, nothing is read,
and on loopback the `Host` header must name loopback too (DNS rebinding).
"""

import json
from collections.abc import AsyncIterator
from typing import Final

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ledger.evm.chain import EmbeddedChain
from ledger.evm.rpc import answer

MAX_BODY_BYTES: Final = 1 << 20


def application(chain: EmbeddedChain, *, hosts: list[str]) -> Starlette:
    """Make the ASGI application over an open chain.

    Args:
        chain: Used by this application alone.
        hosts: Names accepted in the `Host` header, without port; `*` for any.
    """
    app = Starlette(
        routes=[Route("/", _rpc, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
    )
    app.state.chain = chain
    app.state.one_at_a_time = anyio.CapacityLimiter(1)
    return app


async def _rpc(request: Request) -> Response:
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind.lower() != "application/json":
        return Response("send application/json\n", 415)
    if (body := await _read(request)) is None:
        return Response(f"more than {MAX_BODY_BYTES} bytes\n", 413)
    state = request.app.state
    said = await anyio.to_thread.run_sync(
        answer, state.chain, body, limiter=state.one_at_a_time
    )
    if said is None:
        return Response(status_code=204)
    return Response(json.dumps(said), media_type="application/json")


async def _read(request: Request) -> bytes | None:
    body = bytearray()
    stream: AsyncIterator[bytes] = request.stream()
    async for chunk in stream:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)
