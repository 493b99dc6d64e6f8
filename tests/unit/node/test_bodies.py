"""What a stranger's bytes may cost: little memory, and no time of others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from crypto.encoding import b64u
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
    token = world.supplier.token(world.maker.did, "", {}, agreement=None)
    reply = await _post(world, path, content, Authorization=f"Bearer {token}")
    assert reply.status_code == 400
    assert reply.json()["code"] == "request.malformed"
    assert len(reply.content) < 1000


async def test_nobody_but_a_known_caller_may_send_a_large_body(world: World) -> None:
    path = f"/agreements/{world.agreement}/customers"
    large = b'{"customers":["' + b"A" * 2**20 + b'"]}'
    body: dict[str, Any] = {"customers": []}
    good = world.supplier.token(world.maker.did, path, body, agreement=world.agreement)
    elsewhere = world.supplier.token("did:web:other", path, body, agreement=None)
    for token, status in ((good, 400), (elsewhere, 413), (good[:-20] + "A" * 20, 413)):
        reply = await _post(world, path, large, Authorization=f"Bearer {token}")
        assert reply.status_code == status
    assert (await _post(world, path, large)).status_code == 413
    operator = world.maker.operator()
    for headers, status in ((operator, 404), (world.maker.operator("audit"), 413)):
        reply = await _post(world, f"/management{path}", large, **headers)
        assert reply.status_code == status


async def test_a_stranger_may_send_little_except_a_query(world: World) -> None:
    large = b'{"providerPid":"' + b"A" * 2**16 + b'"}'
    for path in ("/negotiations/offers", "/receipts/countersignatures"):
        assert (await _post(world, path, large)).status_code == 413
    assert (await _post(world, "/negotiations/offers", large[:99])).status_code == 400
    token = world.supplier.token(world.maker.did, "", {}, agreement=None)
    known = {"Authorization": f"Bearer {token}"}
    reply = await _post(world, "/negotiations/offers", large, **known)
    assert reply.status_code == 400
    tokens = [b64u(number.to_bytes(32)) for number in range(2000)]
    answer = await world.query(token=None, customers=tokens)
    assert answer.code == "token.missing"


async def test_times_before_1970_are_refused_where_they_arrive(world: World) -> None:
    for query in ("to=0001-01-01T00:00:00Z", "from=1969-12-31T23:59:59Z"):
        path = f"/audit/summary?{query}"
        answer = await world.maker.manage(path, expect=400)
        assert answer["code"] == "request.malformed"
    await world.maker.manage("/audit/summary?to=1970-01-01T00:00:00Z")


async def test_a_list_as_long_as_it_may_be_is_read() -> None:
    tokens = ["A" * 43] * 10_000
    question = {
        "agreement": "a",
        "purpose": "p",
        "fields": ["f"],
        "customers": tokens,
        "where": [],
        "stream": {"last": None, "countersignatures": []},
    }
    assert len(models.Query.model_validate(question).customers) == 10_000


async def test_declarations_still_arrive(world: World) -> None:
    agreement = await world.agree(align=False)
    await world.align(agreement, [*SHARED, *map(str, range(30_000))])


async def test_a_stranger_leaves_no_receipt_of_any_size(world: World) -> None:
    values = [f"{n:02}" + "x" * 900 for n in range(64)]
    many = [
        {"fields": [f"field_{n:02}"], "is": "one_of", "values": values}
        for n in range(16)
    ]
    answer = await world.query(token=None, fields=[], where=many)
    assert (answer.status, answer.code) == (400, "request.malformed")
    assert "receipt" not in answer.body
