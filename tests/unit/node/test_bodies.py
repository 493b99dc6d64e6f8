"""What a stranger's bytes may cost: little memory, and no time of others."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from node.api import models
from tests.support.node import SHARED, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        yield world


async def _post(world: World, path: str, content: bytes, **headers: str) -> Any:
    kind = {"Content-Type": "application/json"}
    return await world.maker.client.post(path, content=content, headers=kind | headers)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/views/projects/query", b'{"customers":[' + b'"",' * 9_000 + b'""]}'),
        (
            "/receipts/countersignatures",
            b'{"countersignatures":[' + b"0," * 900 + b"0]}",
        ),
        ("/agreements/x/customers", b'{"customers":[' + b'"",' * 300_000 + b'""]}'),
        (
            "/views/projects/query",
            b"{" + b",".join(b'"a%d":0' % n for n in range(50_000)) + b"}",
        ),
        (
            "/negotiations/x/agreement/verification",
            b'{"signature":{'
            + b",".join(b'"a%d":0' % n for n in range(50_000))
            + b"}}",
        ),
    ],
)
async def test_many_mistakes_are_not_all_described(
    world: World, path: str, content: bytes
) -> None:
    reply = await _post(world, path, content)
    assert reply.status_code == 400
    assert reply.json()["code"] == "request.malformed"
    assert len(reply.content) < 1000


async def test_nobody_but_a_known_caller_may_send_a_large_body(world: World) -> None:
    path = f"/agreements/{world.agreement}/customers"
    large = b'{"customers":["' + b"A" * 2**20 + b'"]}'
    body: dict[str, Any] = {"customers": []}
    good = world.supplier.token(world.maker.did, path, body, agreement=world.agreement)
    elsewhere = world.supplier.token("did:web:other", path, body, agreement=None)
    for token, status in ((good, 400), (elsewhere, 413), (good[:-2] + "AA", 413)):
        reply = await _post(world, path, large, Authorization=f"Bearer {token}")
        assert reply.status_code == status
    assert (await _post(world, path, large)).status_code == 413
    operator = world.maker.operator()
    for headers, status in ((operator, 404), (world.maker.operator("audit"), 413)):
        reply = await _post(world, f"/management{path}", large, **headers)
        assert reply.status_code == status
    strange = "/views/agreements/x/customers"
    assert (await _post(world, strange, large, **operator)).status_code in {404, 413}


async def test_a_large_message_of_a_stranger_does_not_stop_the_others(
    world: World,
) -> None:
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - before)

    watching = asyncio.create_task(watch())
    zeros = b'{"providerPid":"a","offer":{"a":[' + b"0," * 500_000 + b"0]}}"
    reply = await _post(world, "/negotiations/offers", zeros)
    await asyncio.sleep(0.01)
    watching.cancel()
    assert reply.status_code == 401
    assert worst < 0.4  # it took 0.8 s to hash; parsing it is what remains


async def test_times_before_1970_are_refused_where_they_arrive(world: World) -> None:
    for query in ("to=0001-01-01T00:00:00Z", "from=1969-12-31T23:59:59Z"):
        path = f"/audit/summary?{query}"
        answer = await world.maker.manage(path, expect=400)
        assert answer["code"] == "request.malformed"
    await world.maker.manage("/audit/summary?to=1970-01-01T00:00:00Z")


async def test_a_list_as_long_as_it_may_be_is_read() -> None:
    tokens = ["A" * 43] * 10_000
    question = {"agreement": "a", "purpose": "p", "fields": ["f"], "customers": tokens}
    assert len(models.Query.model_validate(question).customers) == 10_000


async def test_declarations_still_arrive(world: World) -> None:
    agreement = await world.agree(align=False)
    await world.align(agreement, [*SHARED, *map(str, range(30_000))])
