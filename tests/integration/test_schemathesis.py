"""Schemathesis drives the node by its own OpenAPI, as operator and as partner."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error

from node.api.app import create_app
from tests.support.node import Loop, World, check_streams, open_world

APP = create_app(contextlib.nullcontext, {})  # type: ignore[arg-type]
CONDITION: Any = {
    "fields": ["annual_spend"],
    "is": "at_least",
    "values": ["7000000000.00"],
}
SCHEMA = schemathesis.openapi.from_dict(APP.openapi())


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def world(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    opened = open_world(tmp_path_factory.mktemp("world"))
    world = loop(opened.__aenter__())
    yield world
    check_streams(world.maker.receipts(), world.maker.me)
    world.wire.exchanges = [
        each for each in world.wire.exchanges if "/management/" not in each.path
    ]  # the company's own people may see its own data
    loop(opened.__aexit__(None, None, None))


def signed(world: World, path: str, body: Any) -> str:
    """Return the token of a partner for this call, as right as the call allows."""
    agreement, bound_to = None, path
    if path.startswith("/views/"):
        bound_to = path.split("/")[2]
        agreement = body.get("agreement") if isinstance(body, dict) else None
    elif path.startswith("/agreements/"):
        agreement = path.split("/")[2]
    elif path.startswith("/streams/"):
        agreement = body.get("agreement") if isinstance(body, dict) else None
    with contextlib.suppress(Exception):  # what cannot be signed is not
        return world.supplier.token(
            world.maker.did, bound_to, body, agreement=agreement
        )
    return "x.y.z"


def ours(world: World, case: Case[Any]) -> None:
    """Let some of what is generated be about the agreement there is."""
    body = case.body
    if isinstance(body, dict) and len(json.dumps(body, default=str)) % 2:
        if "agreement" in body:
            body["agreement"] = world.agreement
        if "purpose" in body:
            body["purpose"] = "joint-delivery"
        if "partner" in body:
            body["partner"] = world.supplier.did
        where = body.get("where")
        if isinstance(where, list) and len(where) % 2:
            body["where"] = [CONDITION, *where[1:]]
            body["fields"] = ["units"]
    parameters = case.path_parameters or {}
    if "agreement" in parameters and len(str(parameters["agreement"])) % 2:
        parameters["agreement"] = world.agreement


@SCHEMA.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_call_that_the_description_allows_or_forbids_is_a_server_error(
    case: Case[Any], world: World, loop: Loop
) -> None:
    ours(world, case)
    sent = case.as_transport_kwargs(base_url=world.maker.url)
    path = httpx.URL(sent["url"]).path
    operated = path.startswith(("/management", "/audit"))
    headers = {**sent.get("headers", {})}
    headers.update(
        world.maker.operator()
        if operated
        else {"Authorization": f"Bearer {signed(world, path, case.body)}"}
    )
    request = httpx.Request(
        sent["method"],
        sent["url"],
        params=sent.get("params"),
        headers=headers,
        **(
            {"json": sent["json"]}
            if "json" in sent
            else {"content": _octets(sent.get("data"))}
        ),
    )
    response = loop(world.maker.client.send(request))
    case.validate_response(response, checks=[not_a_server_error])
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code


def _octets(data: Any) -> bytes | None:
    return data.encode() if isinstance(data, str) else data


def test_the_description_names_every_address() -> None:
    paths = set(APP.openapi()["paths"])
    assert {"/views/{dataset}/query", "/log/proof/{receipt_id}"} <= paths
    assert {"/log/snapshots/{snapshot_id}"} <= paths
    for module in ("management", "audit", "negotiations", "receipts", "agreements"):
        assert any(path.startswith(f"/{module}/") for path in paths)
