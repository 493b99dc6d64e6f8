"""Align: what is declared, kept, and known of it on both sides."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from crypto.encoding import unb64u
from node.errors import Unavailable
from node.ports import Declaration
from tests.support.node import PURPOSE, SHARED, Node, World, open_world
from tests.unit.node.sealing import ON_BOTH


@pytest.fixture
async def world(tmp_path: Path, database: str | None) -> AsyncIterator[World]:
    async with open_world(tmp_path, database=database) as world:
        yield world


async def declared(node: Node, agreement: str) -> Declaration:
    found = await node.services.store.read(
        lambda view: view.agreements.declaration(agreement)
    )
    assert found is not None
    return found


async def ask(world: World, *customers: str) -> dict[str, Any]:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": list(customers),
    }
    answer: dict[str, Any] = await world.supplier.manage("/management/ask", question)
    return answer


async def test_both_sides_know_the_same_declaration(world: World) -> None:
    ours = await declared(world.supplier, world.agreement)
    assert ours == await declared(world.maker, world.agreement)
    assert ours.size == 64
    tokens = [ours.tokens[at : at + 32] for at in range(0, len(ours.tokens), 32)]
    assert tokens == sorted(set(tokens))
    assert {unb64u(world.customer(name)) for name in SHARED} < set(tokens)
    current = await world.maker.services.store.read(
        lambda view: view.snapshots.current(world.agreement)
    )
    assert current is not None
    assert current.signed.snapshot.declaration == ours.hash
    assert current.signed.snapshot.customers == 64


async def test_a_declaration_that_was_refused_does_not_replace_what_holds(
    world: World,
) -> None:
    """It can be tried as often as one likes: once a day one is taken."""
    before = await declared(world.maker, world.agreement)
    for _ in range(5):
        with pytest.raises(Unavailable, match=r"partner\.refused"):
            await world.supplier.services.align.declare(world.agreement, SHARED[:1])
    assert await declared(world.maker, world.agreement) == before
    answer = await ask(world, *SHARED)
    assert answer["verified"]
    assert all(answer["customers"].values())


async def test_a_declaration_whose_reply_was_lost_may_hold(world: World) -> None:
    world.clock.advance(days=1)
    world.wire.lose.append("/customers")
    with pytest.raises(Unavailable, match=r"partner\.unavailable"):
        await world.supplier.services.align.declare(world.agreement, SHARED[:2])
    await world.maker.settle()
    answer = await ask(world, *SHARED)
    assert answer["verified"]
    assert [answer["customers"][name] is None for name in SHARED] == [
        False, False, True,
    ]  # fmt: skip


async def test_what_was_taken_is_taken_again_when_the_reply_was_lost(
    world: World,
) -> None:
    world.clock.advance(days=1)
    world.wire.lose.append("/customers")
    align = world.supplier.services.align
    with pytest.raises(Unavailable, match=r"partner\.unavailable"):
        await align.declare(world.agreement, SHARED[:2])

    await align.declare(world.agreement, SHARED[:2])

    with pytest.raises(Unavailable, match=r"partner\.refused"):
        await align.declare(world.agreement, SHARED[:1])


async def test_padding_stays_when_customers_come_and_go(world: World) -> None:
    before = (await declared(world.maker, world.agreement)).tokens
    world.clock.advance(days=1)
    await world.align(world.agreement, SHARED[:2])
    after = (await declared(world.maker, world.agreement)).tokens

    def split(tokens: bytes) -> set[bytes]:
        return {tokens[at : at + 32] for at in range(0, len(tokens), 32)}

    assert len(before) == len(after)
    assert len(split(before) - split(after)) == 1
    assert len(split(after) - split(before)) == 1


async def test_a_declaration_that_did_not_arrive_does_not_hold(world: World) -> None:
    world.clock.advance(days=1)
    world.wire.cut.add("/customers")
    with pytest.raises(Unavailable):
        await world.supplier.services.align.declare(world.agreement, SHARED[:2])
    answer = await ask(world, *SHARED)
    assert answer["verified"]
    assert all(answer["customers"].values())


async def test_calls_are_answered_from_the_newest_declaration(world: World) -> None:
    for day in range(1, 5):
        world.clock.advance(days=1)
        await world.align(world.agreement, SHARED[: day % 3 + 1])
        answer = await ask(world, *SHARED)
        assert answer["verified"]
        known = [name for name, found in answer["customers"].items() if found]
        assert known == list(SHARED[: day % 3 + 1])
        assert answer["snapshot"]["sequence"] == day


async def test_what_a_customer_had_before_it_was_declared_is_shared(
    world: World,
) -> None:
    new = "customer of tomorrow"
    await world.maker.manage("/management/datasets", world.crm.declaration())
    world.crm.write(
        "UPDATE projects SET customer = ? WHERE project_id = ?",
        new,
        world.crm.rows[0]["project_id"],
    )
    await world.maker.manage("/management/datasets", world.crm.declaration())
    assert (await ask(world, new))["customers"] == {}
    world.clock.advance(days=1)
    await world.align(world.agreement, [*SHARED, new])
    answer = await ask(world, new, SHARED[0])
    assert answer["verified"]
    assert [len(each) for each in answer["customers"].values()] == [1, 1]


@ON_BOTH
async def test_customers_that_were_not_matched_are_matched_later(
    world: World,
) -> None:
    """While a consumer is not in the registry, its declarations stay as they are.

    Records that come in that time are sealed when it is back, though nothing of them
    has changed since.
    """
    registry = world.folder / "participants.json"
    whole = registry.read_text()
    world.crm.write(
        "UPDATE projects SET customer = 'elsewhere' WHERE customer = ?", SHARED[1]
    )
    await world.maker.manage("/management/datasets", world.crm.declaration())
    world.check_refused(
        await world.query(customers=[world.customer(SHARED[1])]), "customer.not_shared"
    )
    others = [r for r in json.loads(whole) if r["did"] != world.supplier.did]
    registry.write_text(json.dumps(others))
    try:
        world.crm.write(
            "UPDATE projects SET customer = ? WHERE customer = 'elsewhere'", SHARED[1]
        )
        await world.maker.manage("/management/datasets", world.crm.declaration())
    finally:
        registry.write_text(whole)
    await world.maker.manage("/management/datasets", world.crm.declaration())
    answer = await world.query(customers=[world.customer(SHARED[1])])
    world.check(answer)
    assert [len(each or ()) for each in answer.values] == [1]


@ON_BOTH
async def test_a_declaration_and_a_publication_at_once_leave_nobody_out(
    world: World,
) -> None:
    for day in range(1, 6):
        world.clock.advance(days=1)
        world.crm.write(
            "UPDATE projects SET customer = ? WHERE project_id = ?",
            "odd" if day % 2 else "even",
            world.crm.rows[3]["project_id"],
        )
        publish = world.maker.services.publish
        dataset = await world.maker.services.store.read(
            lambda view: view.datasets.get("projects")
        )
        assert dataset is not None
        await asyncio.gather(
            publish(dataset.dataset),
            world.supplier.services.align.declare(
                world.agreement, [*SHARED[:2], "odd", "even"]
            ),
        )
        await world.maker.settle()
        answer = await ask(world, "odd", "even")
        assert answer["verified"]
        found = [name for name, records in answer["customers"].items() if records]
        assert found == ["odd" if day % 2 else "even"]
