"""The dashboard as an ASGI application, put together from its parts.

Everything that touches the world comes in here by argument: the HTTP client to
the node, the chain, the clock. Tests and the screenshot command put others in
their place.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from dashboard.access import AccessKey, Sessions, Throttle
from dashboard.assets import Assets, built_assets
from dashboard.client import AuditClient
from dashboard.errors import Gone, NodeError, NotFound
from dashboard.pages import problems
from dashboard.pages.base import Desk, templates
from dashboard.pages.budget import budget
from dashboard.pages.calls import calls
from dashboard.pages.jobs import job, jobs, live, plan, result_file
from dashboard.pages.ledger import fault_file, ledger
from dashboard.pages.overview import overview
from dashboard.pages.receipt import (
    chain_answer,
    check_material,
    evidence_file,
    receipt,
)
from dashboard.pages.sign_in import sign_in, sign_in_form, sign_out, signed_in
from dashboard.registry import read_registry
from dashboard.security import SecurityHeaders
from dashboard.settings import Settings, believed, read_token
from dashboard.system import Clock, SystemClock
from ledger.ports import ChainReader
from ledger.registry import Registry as KeyRegistry
from ledger.rpc_reader import RpcChainReader
from ledger.rpc_registry import RpcRegistry


async def _live(_: Request) -> Response:
    return PlainTextResponse("ok")


_PAGES: Final = (
    Route("/", signed_in(overview)),
    Route("/calls", signed_in(calls)),
    Route("/budget", signed_in(budget)),
    Route("/jobs", signed_in(jobs)),
    Route("/jobs/live", signed_in(live, used=False)),
    Route("/jobs/{job_id}", signed_in(job)),
    Route("/jobs/{job_id}/live", signed_in(live, used=False)),
    Route("/jobs/{job_id}/result.csv", signed_in(result_file)),
    Route("/plans/{plan_hash}", signed_in(plan)),
    Route("/receipts/{receipt_id}", signed_in(receipt)),
    Route("/receipts/{receipt_id}/check.json", signed_in(check_material)),
    Route("/receipts/{receipt_id}/anchor.json", signed_in(chain_answer)),
    Route("/receipts/{receipt_id}/evidence.json", signed_in(evidence_file)),
    Route("/ledger", signed_in(ledger)),
    Route("/faults/{fault_id}.json", signed_in(fault_file)),
    Route("/sign-in", sign_in_form),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/health/live", _live),
)
_PROBLEMS: Final[Mapping[Any, ExceptionHandler]] = {
    NodeError: problems.node_failed,
    NotFound: problems.not_found,
    Gone: problems.gone,
    HTTPException: problems.refused,
    Exception: problems.broken,
}


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    http: httpx.AsyncClient | None = None,
    chain: ChainReader | None = None,
    keys: KeyRegistry | None = None,
    assets: Assets | None = None,
) -> Starlette:
    """Put a dashboard together.

    Args:
        settings: As `read_settings` returns them.
        clock: Tells the time; the machine's clock by default.
        http: Reaches the node; closed with the application.
        chain: Asked for anchors; by default the chain of the settings, or none.
        keys: Asked which keys held; by default the registry of the settings, or none.
        assets: Built files; by default those of `python -m dashboard.build`.

    Raises:
        SettingsError: The registry, the token file or the authorities cannot be
            used.
        FileNotFoundError: The front end was not built.
    """
    clock = clock or SystemClock()
    http = http or _node(settings)
    desk = Desk(
        settings=settings,
        registry=read_registry(settings.registry),
        client=AuditClient(http, clock),
        chain=chain or _chain(settings),
        keys=keys or _keys(settings),
        assets=assets or built_assets(),
        clock=clock,
        door=AccessKey(sha256=settings.access_key_sha256),
        throttle=Throttle(clock=clock),
        sessions=Sessions(clock=clock),
        templates=templates(),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Close the connections to the node at the end."""
        async with http:
            yield

    app = Starlette(
        routes=[*_PAGES, Route("/static/{name}", desk.assets.serve)],
        exception_handlers=_PROBLEMS,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=6),
        ],
        lifespan=lifespan,
    )
    app.state.desk = desk
    return app


def _node(settings: Settings) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=settings.node.url,
        headers={"Authorization": f"Bearer {read_token(settings.node.token_file)}"},
        timeout=settings.node.timeout_s,
        # Servers commonly close idle connections after 5 s; do not meet them there.
        limits=httpx.Limits(keepalive_expiry=2),
        trust_env=False,
        verify=believed(settings.node.authorities),
    )


def _chain(settings: Settings) -> ChainReader | None:
    if settings.chain is None:
        return None
    return RpcChainReader(
        settings.chain.rpc_url,
        settings.chain.contract,
        timeout_s=settings.chain.timeout_s,
    )


def _keys(settings: Settings) -> KeyRegistry | None:
    if settings.chain is None or settings.chain.registry is None:
        return None
    return RpcRegistry(
        settings.chain.rpc_url,
        settings.chain.registry,
        timeout_s=settings.chain.timeout_s,
    )
