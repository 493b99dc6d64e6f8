"""KeepSnapshots: what a builder builds, with whom, and what others see meanwhile."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from node.adapters.sql import tables as t
from node.adapters.sql.snapshots import SqlSnapshots
from node.domain.agreement import instant
from node.errors import Unavailable
from node.ports import Publication, Seal
from node.services.commit import Commit
from tests.support.node import SHARED, Answer, World
from tests.unit.node.sealing import (
    ON_BOTH,
    SHARED_RECORDS,
    change,
    check_whole,
    commitments,
    current,
    insert,
    interrupting,
    keys,
    publish,
    sealed,
    until,
    world,
)

__all__ = ["sealed", "world"]


def snapshots(world: World) -> dict[str, int]:
    """Return how many snapshots there are of each agreement."""
    c = t.snapshots.c
    counted = sa.select(c.agreement, sa.func.count().label("made")).group_by(
        c.agreement
    )
    return {row.agreement: row.made for row in world.maker.rows(counted)}


async def status(world: World, agreement: str, to: str) -> None:
    path = f"/management/agreements/{agreement}/status"
    await world.maker.manage(path, {"status": to})


async def progress(world: World, agreement: str | None = None) -> dict[str, Any]:
    told = await world.maker.services.snapshots.progress("projects")
    wanted = agreement or world.agreement
    (found,) = (each for each in told["agreements"] if each["agreement"] == wanted)
    return dict(found)


async def ask(world: World, *names: str, **changes: Any) -> Answer:
    tokens = [world.customer(name) for name in names or SHARED]
    return await world.query(customers=tokens, **changes)


# --- whose snapshots are built


async def test_what_nobody_may_ask_about_is_not_built(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    undeclared = await world.agree(align=False)
    revoked = await world.agree()
    over = await world.agree(valid_to="2026-11-22T18:30:00Z")
    suspended = await world.agree()
    for agreement, to in ((revoked, "revoked"), (suspended, "suspended")):
        await status(world, agreement, to)
    world.clock.advance(minutes=10)
    before, made = snapshots(world), len(sealed)
    assert undeclared not in before
    change(world, 2, stage="new")
    await publish(world)
    await world.maker.services.snapshots.want_all()
    await world.maker.settle()
    after = snapshots(world)
    grown = {name for name, count in after.items() if count > before.get(name, 0)}
    assert grown == {world.agreement, suspended}
    assert sorted(sealed[made:]) == sorted(
        (name, *keys(world, 2)) for name in (world.agreement, suspended)
    )
    assert over in after


@ON_BOTH
async def test_an_agreement_that_is_revoked_while_it_is_built_gets_no_snapshot(
    world: World,
) -> None:
    async def act() -> None:
        await status(world, world.agreement, "revoked")

    before = snapshots(world)
    change(world, 0, 2, stage="new")
    await publish(world, settle=False)
    with interrupting(act):
        await world.maker.settle()
    assert snapshots(world) == before


async def test_a_consumer_builds_nothing(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    services = world.supplier.services
    await services.snapshots.want_all()
    await world.supplier.settle()
    assert sealed == []
    assert world.supplier.rows(sa.select(t.snapshots)) == []
    assert await services.snapshots.progress("projects") == {"agreements": []}


async def test_an_agreement_that_is_not_there_is_nothing_to_build(
    world: World,
) -> None:
    await world.maker.services.snapshots.build("urn:uuid:none")


# --- progress


async def test_progress_tells_what_is_ready_building_and_waiting(
    world: World,
) -> None:
    ready = await progress(world)
    before = await current(world)
    assert ready == {
        "agreement": world.agreement,
        "state": "ready",
        "done": SHARED_RECORDS,
        "total": SHARED_RECORDS,
        "rate": None,
        "eta_s": None,
        "snapshot": before.snapshot_id,
        "version": before.version,
    }
    undeclared = await world.agree(align=False)
    nothing = await progress(world, undeclared)
    assert (nothing["state"], nothing["done"], nothing["total"]) == ("idle", 0, 0)
    assert nothing["snapshot"] is None

    seen: list[dict[str, Any]] = []

    async def look() -> None:
        seen.append(await progress(world))

    change(world, 0, 1, 2, stage="new")
    await publish(world, settle=False)
    waiting = await progress(world)
    assert (waiting["state"], waiting["done"]) == ("waiting", 1)
    with interrupting(look, after=2):
        await world.maker.settle()
    (building,) = seen
    assert (building["state"], building["done"]) == ("building", 3)
    assert building["total"] == SHARED_RECORDS
    assert building["rate"] > 0
    assert building["eta_s"] >= 0
    assert building["snapshot"] == before.snapshot_id
    after = await progress(world)
    assert (after["state"], after["done"]) == ("ready", SHARED_RECORDS)
    assert after["version"] == before.version + 1
    await status(world, world.agreement, "revoked")
    told = await world.maker.services.snapshots.progress("projects")
    assert [each["agreement"] for each in told["agreements"]] == [undeclared]


# --- what happens while a builder is at it


@ON_BOTH
async def test_two_builders_at_once_end_with_one_snapshot(world: World) -> None:
    before = snapshots(world)[world.agreement]
    insert(world, *(f"more-{n:04}" for n in range(60)), like=2)
    await publish(world, settle=False)
    build = world.maker.services.snapshots.build
    with mock.patch("node.services.seal_records._BATCH", 16):
        await asyncio.gather(*(build(world.agreement) for _ in range(3)))
    assert snapshots(world)[world.agreement] == before + 1
    assert check_whole(world) == SHARED_RECORDS + 60


@ON_BOTH
async def test_builders_and_calls_at_once_agree(world: World) -> None:
    build = world.maker.services.snapshots.build
    for number in range(4):
        world.crm.write("UPDATE projects SET units = ?", number)
        await publish(world, settle=False)
        answers = await asyncio.gather(
            ask(world, SHARED[0], fields=["units"]),
            build(world.agreement),
            ask(world, SHARED[1], fields=["units"]),
            build(world.agreement),
        )
        for answer in answers:
            if isinstance(answer, Answer):
                world.check(answer)
                assert all(
                    r == {"units": number} for c in answer.values for r in c or ()
                )
        assert check_whole(world) == SHARED_RECORDS


@ON_BOTH
async def test_a_builder_that_is_overtaken_begins_again(world: World) -> None:
    """A call publishes while the builder has sealed a part."""

    async def act() -> None:
        change(world, 3, stage="newer")
        world.check(await ask(world, SHARED[2]))

    change(world, 0, 1, 2, stage="new")
    await publish(world, settle=False)
    with interrupting(act):
        await world.maker.settle()
    assert check_whole(world) == SHARED_RECORDS
    world.check(await ask(world))


@ON_BOTH
async def test_a_builder_that_is_overtaken_again_and_again_comes_to_an_end(
    world: World,
) -> None:
    """Who drafts without a lock is overtaken; after some rounds it takes one."""
    usual = SqlSnapshots.outdated
    rounds = itertools.count(1)
    publishing = world.maker.services.publish
    dataset = await world.maker.services.store.read(
        lambda view: view.datasets.get("projects")
    )
    assert dataset is not None
    loop, drafts = asyncio.get_running_loop(), 0

    def outdated(self: SqlSnapshots, *arguments: Any) -> Any:
        nonlocal drafts
        drafts += 1
        found = usual(self, *arguments)
        if drafts <= 3:  # a draft is being worked out; meanwhile somebody publishes
            change(world, 5, units=next(rounds))
            work = publishing(dataset.dataset)
            asyncio.run_coroutine_threadsafe(work, loop).result(120)
        return found

    change(world, 2, stage="new")
    await publish(world, settle=False)
    with mock.patch.object(SqlSnapshots, "outdated", outdated):
        await world.maker.services.snapshots.build(world.agreement)
    assert drafts == 4
    assert check_whole(world) == SHARED_RECORDS


@ON_BOTH
@pytest.mark.parametrize("what", ["rows", "publication", "schema", "declaration"])
async def test_what_changes_while_it_is_sealed_is_in_the_snapshot(
    world: World, what: str
) -> None:
    world.clock.advance(days=1)
    fields = world.crm.declaration()["fields"]
    fields["units"] = fields["units"] | {"unit": "kg"}
    count = SHARED_RECORDS

    async def act() -> None:
        nonlocal count
        if what == "declaration":
            await world.supplier.services.align.declare(world.agreement, SHARED[1:])
            count = 2
            return
        change(world, 0, 1, 2, 3, stage="newer")
        if what == "publication":
            insert(world, "added", like=3)
            world.crm.write(
                "DELETE FROM projects WHERE project_id = ?", *keys(world, 0)
            )
            await publish(world, settle=False)
        if what == "schema":
            await publish(world, settle=False, fields=fields)

    change(world, 0, 1, 2, 3, stage="new")
    await publish(world, settle=False)
    with interrupting(act, after=2):
        await world.maker.settle()
    if what == "rows":  # those that were sealed by then are taken in when asked for
        world.check(await ask(world))
    assert check_whole(world) == count
    world.check(await ask(world, SHARED[1]))


@ON_BOTH
async def test_a_record_that_changes_twice_before_it_is_published_is_not_lost(
    world: World,
) -> None:
    """It is sealed for the next snapshot, and changes before there is one."""

    async def stop() -> None:
        raise Unavailable("test.stopped", "The builder was stopped here.")

    for number in range(3):
        change(world, 0, 1, units=number)
        await publish(world, settle=False)
        with interrupting(stop), pytest.raises(Unavailable):
            await world.maker.services.snapshots.build(world.agreement)
    async with asyncio.timeout(120):
        await world.maker.settle()
    assert check_whole(world) == SHARED_RECORDS
    answer = await ask(world, SHARED[0], fields=["units"])
    world.check(answer)
    assert answer.values == [[{"units": 2}] * 2]


@ON_BOTH
async def test_a_builder_that_was_stopped_goes_on_where_it_was(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    async def stop() -> None:
        raise Unavailable("test.stopped", "The builder was stopped here.")

    insert(world, *(f"more-{n:04}" for n in range(20)), like=2)
    await publish(world, settle=False)
    before = await current(world)
    with interrupting(stop, batch=4, after=3), pytest.raises(Unavailable):
        await world.maker.services.snapshots.build(world.agreement)
    assert len(sealed) == 12
    assert await current(world) == before
    assert (await progress(world))["state"] == "waiting"
    assert (await progress(world))["done"] == SHARED_RECORDS + 12
    world.check(await ask(world))  # of what stands, all is as it was
    half = commitments(world)
    await world.restart()
    await world.maker.services.snapshots.want_all()
    await world.maker.settle()
    assert len(sealed) == len(set(sealed)) == 20
    assert half.items() < commitments(world).items()
    assert check_whole(world) == SHARED_RECORDS + 20


async def test_without_its_crm_an_agreement_keeps_its_snapshot(world: World) -> None:
    before = await current(world)
    change(world, 2, stage="new")
    await publish(world, settle=False)
    world.crm.write("ALTER TABLE projects RENAME TO elsewhere")
    with pytest.raises(Unavailable):
        await world.maker.services.snapshots.build(world.agreement)
    assert await current(world) == before
    world.crm.write("ALTER TABLE elsewhere RENAME TO projects")
    await world.maker.services.snapshots.build(world.agreement)
    assert check_whole(world) == SHARED_RECORDS


# --- the background


@contextlib.asynccontextmanager
async def keeping(world: World) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(world.maker.services.snapshots.keep())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_in_the_background_everything_is_brought_up_to_date(
    world: World,
) -> None:
    change(world, 2, stage="new")
    first = await publish(world, settle=False)

    async def at(version: int) -> bool:
        return (await current(world)).version == version

    async with keeping(world) as task:
        await until(lambda: at(first))
        change(world, 0, stage="new")
        second = await publish(world, settle=False)
        await until(lambda: at(second))
        assert not task.done()
    assert check_whole(world) == SHARED_RECORDS


async def test_a_crm_that_is_away_keeps_no_other_agreement_waiting(
    world: World,
) -> None:
    others = []
    for number in range(4):
        body = world.crm.declaration(f"others-{number}")
        world.crm.write(f"CREATE TABLE others_{number} AS SELECT * FROM projects")  # noqa: S608
        body["source"]["table"] = f"others_{number}"
        await world.maker.manage("/management/datasets", body)
        others.append(await world.agree(dataset=f"others-{number}", align=False))
    for agreement in others:
        await world.supplier.services.align.declare(agreement, SHARED)
    for number in (0, 1, 3):
        world.crm.write(f"ALTER TABLE others_{number} RENAME TO away_{number}")
    change(world, 2, stage="new")
    await publish(world, settle=False)
    async with keeping(world) as task:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(task, 120)
    assert others[2] in snapshots(world)
    assert snapshots(world)[world.agreement] == 2
    assert not {others[0], others[1], others[3]} & snapshots(world).keys()


# --- nobody sees a half of anything


@ON_BOTH
async def test_whoever_asks_while_builders_work_gets_an_answer_that_verifies(
    world: World,
) -> None:
    """At every moment there is one whole snapshot, and answers are from it."""
    insert(world, *(f"more-{n:04}" for n in range(30)), like=3)
    await publish(world)
    done = asyncio.Event()
    counts = {200: 0, 503: 0}

    async def read(*names: str) -> None:
        versions = [0]
        while not done.is_set():
            answer = await ask(world, *names, fields=["units"])
            counts[answer.status] += 1
            if answer.status == 503:
                assert answer.codes == ["snapshot.pending"]
                continue
            check(answer)
            versions.append(answer.body["snapshot"]["version"])
            assert versions[-1] >= versions[-2]

    def check(answer: Answer) -> None:
        now, world.clock.at = world.clock.at, instant(answer.receipt.at)
        world.check(answer)
        world.clock.at = now

    async def work() -> None:
        for number in range(6):
            world.crm.write("UPDATE projects SET units = ?", number)
            if number % 2:
                world.clock.advance(days=1)
                names = SHARED if number == 3 else [*SHARED, f"new {number}"]
                await world.supplier.services.align.declare(world.agreement, names)
            await publish(world, settle=False)
            with mock.patch("node.services.seal_records._BATCH", 8):
                await world.maker.settle()
            seen = counts[200]
            await until(lambda: answered(seen + 1))  # noqa: B023
        done.set()

    async def answered(times: int) -> bool:
        return counts[200] >= times

    await asyncio.gather(
        read(SHARED[0]), read(SHARED[1]), read(SHARED[0], SHARED[1]), work()
    )
    assert counts[200] >= 6
    assert check_whole(world) == SHARED_RECORDS + 30
    world.check(await ask(world, SHARED[2]))


@ON_BOTH
async def test_a_reader_never_sees_what_is_kept_for_the_next_snapshot(
    world: World,
) -> None:
    before = await ask(world)
    world.check(before)
    shown = {
        record["commitment"]
        for each in before.body["disclosures"]
        for record in each["records"]
    }

    async def look() -> None:
        answer = await ask(world, SHARED[0], SHARED[2])
        world.check(answer)
        assert answer.body["snapshot"] == before.body["snapshot"]
        assert {
            record["commitment"]
            for each in answer.body["disclosures"]
            for record in each["records"]
        } < shown

    # More of the second customer, so nothing of the two that are asked about.
    insert(world, *(f"more-{n:04}" for n in range(6)), like=2)
    await publish(world, settle=False)
    with interrupting(look, after=4):
        await world.maker.settle()
    assert check_whole(world) == SHARED_RECORDS + 6


# --- arithmetic that fails


async def test_a_record_that_cannot_be_sealed_stops_the_build_and_nothing_else(
    world: World,
) -> None:
    before = await current(world)
    (bad,) = keys(world, 1)
    usual = Commit.__call__

    def seal(
        self: Commit, publication: Publication, agreement: str, place: Any, values: Any
    ) -> Seal:
        if place[0].key == bad:
            raise ArithmeticError
        return usual(self, publication, agreement, place, values)

    change(world, 0, 1, 2, stage="new")
    await publish(world, settle=False)
    with (
        mock.patch.object(Commit, "__call__", seal),
        pytest.raises(ArithmeticError),
    ):
        await world.maker.services.snapshots.build(world.agreement)
    assert await current(world) == before
    assert (await progress(world))["state"] == "waiting"
    await world.maker.services.snapshots.build(world.agreement)
    assert check_whole(world) == SHARED_RECORDS
