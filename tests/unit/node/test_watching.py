"""Watch: what a consumer makes of the snapshots that its answers are from."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ledger.disclosure import Disclosure
from ledger.errors import Inconsistent
from ledger.memory_chain import MemoryChain
from ledger.snapshots import Age, SignedSnapshot, sign_snapshot
from node.adapters.sql.store import SqlStore, engine_for
from node.ports import Reply
from node.services.prove import Prove
from node.services.watch import Watch
from tests.contract.samples import snapshot
from tests.support.node import (
    PURPOSE,
    SHARED,
    Wire,
    World,
    empty_store,
    open_world,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


async def ask(world: World, customer: str = SHARED[0]) -> dict[str, Any]:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [customer],
    }
    answer: dict[str, Any] = await world.supplier.manage("/management/ask", question)
    return answer


async def change(world: World, row: int = 0) -> None:
    """Have a record hold something else from now on."""
    world.crm.write(
        "UPDATE projects SET units = units + 1 WHERE project_id = ?",
        world.crm.rows[row]["project_id"],
    )


async def anchor(world: World) -> None:
    await world.maker.services.keep_log.integrate()
    await world.maker.services.anchoring()


def watching(world: World) -> Watch:
    return world.supplier.services.ask.watch


def reading(world: World) -> MemoryChain:
    chain = watching(world).chain
    assert isinstance(chain, MemoryChain)
    return chain


async def signed(world: World, **changes: Any) -> SignedSnapshot:
    """Return the snapshot as the provider would sign it instead of its own."""
    own = await world.maker.services.store.read(
        lambda view: view.snapshots.current(world.agreement)
    )
    assert own is not None
    other = replace(own.signed.snapshot, **changes)
    return sign_snapshot(other, world.maker.services.snapshots.draft.signer)


# --- where a snapshot stands


async def test_a_snapshot_is_not_yet_anchored_until_an_anchor_covers_it(
    world: World,
) -> None:
    first = await ask(world)
    assert first["verified"]
    assert first["snapshot"]["state"] == "not_yet_anchored"
    assert (first["snapshot"]["epoch"], first["snapshot"]["anchored_at"]) == (
        None,
        None,
    )
    await world.maker.services.keep_log.integrate()
    assert (await ask(world))["snapshot"]["state"] == "not_yet_anchored"
    await world.maker.services.anchoring()
    third = await ask(world)
    assert third["verified"]
    assert third["snapshot"] == first["snapshot"] | {
        "state": "anchored",
        "epoch": 1,
        "anchored_at": "2027-01-15T08:00:01Z",  # by the chain's clock
    }


async def test_an_anchor_does_not_cover_what_came_after_it(world: World) -> None:
    await anchor(world)
    await change(world)
    later = await ask(world)
    assert later["snapshot"]["sequence"] == 1
    assert later["snapshot"]["state"] == "not_yet_anchored"
    await anchor(world)
    assert (await ask(world))["snapshot"]["epoch"] == 2


async def test_what_is_anchored_stays_so_and_is_asked_for_once(world: World) -> None:
    await anchor(world)
    before = await ask(world)
    assert before["snapshot"]["state"] == "anchored"
    world.wire.cut.add("/log/snapshots/")
    reading(world).answers = False
    assert (await ask(world))["snapshot"] == before["snapshot"]


async def test_without_the_chain_nobody_knows_where_a_snapshot_stands(
    world: World,
) -> None:
    await anchor(world)
    reading(world).answers = False
    answer = await ask(world)
    assert answer["verified"]
    assert answer["snapshot"]["state"] == "unknown"
    assert answer["snapshot"]["anchored_at"] is None
    reading(world).answers = True
    assert (await ask(world))["snapshot"]["state"] == "anchored"


async def test_a_provider_that_does_not_tell_the_place_leaves_it_unknown(
    world: World,
) -> None:
    await anchor(world)
    nonsense: tuple[Any, ...] = (None, {}, [], {"salt": "AA"}, {"index": 1})
    for told in nonsense:
        world.wire.forge["/log/snapshots/"] = Reply(status=200, body=told)
        answer = await ask(world)
        assert answer["verified"]
        assert answer["snapshot"]["state"] == "unknown"
    world.wire.forge.clear()
    world.wire.cut.add("/log/snapshots/")
    assert (await ask(world))["snapshot"]["state"] == "unknown"


async def test_the_place_of_another_entry_is_no_place_of_this_one(
    world: World,
) -> None:
    first = await ask(world)
    await anchor(world)
    other = await world.maker.client.get(f"/log/proof/{first['receipt']}")
    world.wire.forge["/log/snapshots/"] = Reply(status=200, body=other.json())
    answer = await ask(world)
    assert not answer["verified"]
    assert answer["customers"] == {}
    assert answer["snapshot"] is None
    failed = [each for each in answer["checks"] if each["state"] == "failed"]
    assert [each["name"] for each in failed] == ["snapshot"]


async def test_a_snapshot_that_was_replaced_meanwhile_is_older(world: World) -> None:
    """The provider thinks so long about one answer that another overtakes it."""
    waiting, go_on = asyncio.Event(), asyncio.Event()
    usual = Prove.__call__

    async def slow(self: Prove, *arguments: Any) -> Disclosure:
        if not waiting.is_set():
            waiting.set()
            await go_on.wait()
        return await usual(self, *arguments)

    with mock.patch.object(Prove, "__call__", slow):
        first = asyncio.create_task(ask(world))
        await waiting.wait()
        await change(world, row=2)
        second = await ask(world, SHARED[1])
        go_on.set()
        answer = await first
    assert second["snapshot"]["sequence"] == 1
    assert answer["verified"]
    assert answer["snapshot"]["sequence"] == 0
    assert answer["snapshot"]["state"] == "older"


async def test_a_node_without_a_chain_knows_of_no_anchor(world: World) -> None:
    await anchor(world)
    watch = replace(watching(world), chain=None)
    snapshot = await signed(world)
    state = await watch.state(snapshot, world.maker.me, Age.SAME)
    assert (state["state"], state["epoch"]) == ("unknown", 1)


# --- what does not fit together


async def test_two_snapshots_of_one_number_prove_a_fork(world: World) -> None:
    fork = await signed(world, root="0" * 64)
    await watching(world).keep(fork)
    answer = await ask(world)
    assert not answer["verified"]
    assert answer["customers"] == {}
    (failed,) = (each for each in answer["checks"] if each["state"] == "failed")
    assert failed["name"] == "snapshot"
    assert "one number" in failed["detail"]
    # Both are here, with their signatures: one was kept, one is in the answer.
    store = world.supplier.services.store
    first = await store.read(lambda v: v.snapshots.received(world.agreement, 0))
    second = await store.read(lambda v: v.receipts.received(answer["receipt"]))
    assert first == fork
    assert second is not None
    assert second.disclosure is not None
    shown = second.disclosure["snapshot"]
    assert (shown["sequence"], shown["root"] != fork.snapshot.root) == (0, True)


async def test_a_version_that_goes_back_proves_a_fork(world: World) -> None:
    await watching(world).keep(await signed(world, version=9))
    await change(world)
    answer = await ask(world)
    assert not answer["verified"]
    (failed,) = (each for each in answer["checks"] if each["state"] == "failed")
    assert "earlier version" in failed["detail"]


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    """One that has a store, and asks nobody."""
    (tmp_path / "node.sqlite").write_bytes(empty_store())
    store = SqlStore(engine_for(f"sqlite:///{tmp_path / 'node.sqlite'}"))
    yield Watch(store=store, peers=Wire(), chain=None)
    await asyncio.to_thread(store.close)


async def test_snapshots_may_be_seen_with_gaps_and_out_of_order(watch: Watch) -> None:
    chain = [snapshot().signed]
    for sequence in range(1, 6):
        previous = chain[-1].snapshot.snapshot_id
        version = 2 + sequence // 2
        chain.append(snapshot(sequence, previous=previous, version=version).signed)
    expected = {
        1: [Age.FIRST, Age.OLDER],
        4: [Age.NEWER, Age.SAME, Age.OLDER],
        0: [Age.OLDER],
        2: [Age.OLDER],
        5: [Age.NEWER, Age.SAME],
        3: [Age.OLDER],
    }
    seen: dict[int, list[Age]] = {number: [] for number in expected}
    for number in (1, 4, 0, 4, 2, 5, 3, 5, 4, 1):
        seen[number].append(await watch.keep(chain[number]))
    assert seen == expected


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (3, {"version": 6}, None),
        (3, {"version": 4}, "earlier version"),
        (3, {"version": 8}, "earlier version"),
        (3, {"version": 6, "previous": "f" * 64}, "as the one before"),
        (1, {"version": 5, "previous": "f" * 64}, "as the one before"),
        (4, {"version": 6, "previous": "f" * 64}, "as the one before"),
        (2, {"version": 5, "root": "f" * 64}, "one number"),
        (9, {"version": 6}, "earlier version"),
        (7, {"version": 7, "previous": "f" * 64}, "as the one before"),
        (3, {"version": 6, "dataset": "others"}, "different agreements"),
    ],
)
async def test_a_snapshot_must_fit_its_neighbours_whenever_it_is_seen(
    watch: Watch, number: int, changes: dict[str, Any], words: str | None
) -> None:
    """0, 2, 5 and 6 are kept, of versions 4, 5, 7 and 7.

    The newest is 6; what contradicts only an older one must be seen as well.
    """
    second = snapshot(2, version=5).signed
    fifth = snapshot(5, version=7).signed
    sixth = snapshot(6, version=7, previous=fifth.snapshot.snapshot_id).signed
    for each in (snapshot(0, version=4).signed, second, sixth, fifth):
        await watch.keep(each)
    previous = second.snapshot.snapshot_id
    seen = snapshot(number, **{"previous": previous, **changes}).signed
    if words is None:
        assert await watch.keep(seen) is Age.OLDER
        return
    with pytest.raises(Inconsistent, match=words):
        await watch.keep(seen)


async def test_agreements_have_snapshots_of_their_own(watch: Watch) -> None:
    first = {name: snapshot(0, name).signed for name in ("a", "b", "c")}
    for each in first.values():
        assert await watch.keep(each) is Age.FIRST
    previous = first["b"].snapshot.snapshot_id
    second = snapshot(1, "b", version=1, previous=previous).signed
    assert await watch.keep(second) is Age.NEWER


async def test_answers_at_once_from_one_snapshot_are_all_believed(
    world: World,
) -> None:
    answers = await asyncio.gather(*(ask(world) for _ in range(6)))
    assert all(each["verified"] for each in answers)
    states = [each["snapshot"]["state"] for each in answers]
    assert states == ["not_yet_anchored"] * 6
