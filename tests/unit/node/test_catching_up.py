"""Read: a call that meets what has changed takes it in, and shows what is so now."""

import asyncio
from typing import Any
from unittest import mock

import pytest

from ledger.disclosure import MEMBERS, parse_disclosure
from node.services.keep_snapshots import AT_ONCE, KeepSnapshots
from tests.support.node import SHARED, Answer, World
from tests.unit.node.sealing import (
    ON_BOTH,
    SHARED_RECORDS,
    change,
    check_whole,
    current,
    insert,
    interrupting,
    keys,
    publish,
    sealed,
    version,
    world,
)

__all__ = ["sealed", "world"]


async def ask(world: World, *names: str, **changes: Any) -> Answer:
    tokens = [world.customer(name) for name in names or SHARED]
    return await world.query(customers=tokens, **changes)


def sequence(answer: Answer) -> int:
    found: int = answer.body["snapshot"]["sequence"]
    return found


async def test_what_has_changed_is_shown_as_it_is_now(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await current(world)
    change(world, 2, stage="new")
    answer = await ask(world, SHARED[1])
    world.check(answer)
    assert [[r and r["project_stage"] for r in c or ()] for c in answer.values] == [
        ["new"]
    ]
    assert sealed == [(world.agreement, *keys(world, 2))]
    after = await current(world)
    assert (after.version, after.sequence) == (before.version + 1, 1)
    assert answer.body["snapshot"]["sequence"] == 1
    ((told,),) = (each["records"] for each in answer.body["disclosures"])
    assert told["version"] == after.version
    assert check_whole(world) == SHARED_RECORDS


async def test_what_has_not_changed_is_answered_from_the_same_snapshot(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await current(world)
    change(world, 2, stage="new")
    world.check(await ask(world, SHARED[0], SHARED[2]))
    assert await current(world) == before
    assert sealed == []


async def test_a_change_in_a_field_that_is_not_asked_for_is_taken_in(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    """A record is proved from whole; its commitment is to all of its fields."""
    change(world, 2, spend="7777777777.77")
    answer = await ask(world, SHARED[1], fields=["units"])
    world.check(answer)
    assert sequence(answer) == 1
    assert sealed == [(world.agreement, *keys(world, 2))]
    world.crm.canaries |= {"7777777777.77"}


async def test_a_condition_is_proved_of_what_is_so_now(world: World) -> None:
    for spend, held in (("700000.00", True), ("300000.00", False)):
        change(world, 2, spend=spend)
        where = [
            {"fields": ["annual_spend"], "is": "at_least", "values": ["500000.00"]}
        ]
        answer = await ask(world, SHARED[1], where=where)
        receipt = world.check(answer)
        assert (receipt.records, receipt.withheld) == (int(held), int(not held))


@pytest.mark.parametrize(
    "away",
    [
        "DELETE FROM projects WHERE project_id = ?",
        "UPDATE projects SET customer = 'nobody' WHERE project_id = ?",
        "UPDATE projects SET acceptance = 'some day' WHERE project_id = ?",
        "INSERT INTO projects SELECT * FROM projects WHERE project_id = ?",
    ],
)
async def test_what_is_gone_is_not_shown_any_more(
    world: World, sealed: list[tuple[str, str]], away: str
) -> None:
    before = await version(world)
    first, second = keys(world, 0, 2)
    world.crm.write(away, first)
    world.crm.write(away, second)
    answer = await ask(world)
    world.check(answer)
    assert [each and len(each) for each in answer.values] == [1, None, 1]
    assert sequence(answer) == 1
    assert await version(world) == before + 1
    assert sealed == []
    world.check_refused(await ask(world, SHARED[1]), "customer.not_shared")


async def test_what_comes_back_is_shared_again_after_a_publication(
    world: World,
) -> None:
    change(world, 2, customer="nobody")
    world.check_refused(await ask(world, SHARED[1]), "customer.not_shared")
    change(world, 2, customer=SHARED[1])
    world.check_refused(await ask(world, SHARED[1]), "customer.not_shared")
    await publish(world)
    world.check(await ask(world, SHARED[1]))
    assert check_whole(world) == SHARED_RECORDS


@ON_BOTH
async def test_a_record_that_was_published_elsewhere_is_not_taken_for_gone(
    world: World,
) -> None:
    """The builder has not come to it yet, and a call asks for its old customer."""
    change(world, 1, customer=SHARED[1])
    before = await publish(world, settle=False)
    answer = await ask(world, SHARED[0])
    world.check(answer)
    assert [each and len(each) for each in answer.values] == [1]
    assert await version(world) == before
    answer = await ask(world)
    world.check(answer)
    assert [each and len(each) for each in answer.values] == [1, 2, 1]
    await world.maker.settle()
    assert check_whole(world) == SHARED_RECORDS


async def test_what_was_published_and_not_sealed_yet_is_sealed_by_a_call(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    change(world, 0, 2, stage="new")
    await publish(world, settle=False)
    answer = await ask(world, SHARED[1])
    world.check(answer)
    assert sequence(answer) == 1
    assert sorted(sealed) == sorted((world.agreement, k) for k in keys(world, 0, 2))
    await world.maker.settle()
    assert (await current(world)).sequence == 1
    assert check_whole(world) == SHARED_RECORDS


@ON_BOTH
async def test_a_change_that_another_agreement_took_in_has_the_same_version(
    world: World,
) -> None:
    other = await world.agree()
    change(world, 2, stage="new")
    one = await ask(world, SHARED[1])
    world.check(one)
    two = await world.query(
        agreement=other, customers=[world.customer(SHARED[1], other)]
    )
    world.check(two)
    assert one.values == two.values
    versions = {each.body["snapshot"]["version"] for each in (one, two)}
    assert versions == {await version(world)}
    told = {each.body["disclosures"][0]["records"][0]["version"] for each in (one, two)}
    assert told == versions


@ON_BOTH
async def test_calls_at_once_take_a_change_in_once(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await version(world)
    change(world, 0, 2, stage="new")
    answers = await asyncio.gather(*(ask(world, SHARED[n % 3]) for n in range(12)))
    for answer in answers:
        world.check(answer)
    assert await version(world) <= before + 2
    assert check_whole(world) == SHARED_RECORDS
    shown = {
        r["project_stage"] for a in answers for c in a.values for r in c or () if r
    }
    assert shown == {"new", "Stage 1", "Stage 3"}


async def test_every_call_shows_what_was_so_when_it_came(world: World) -> None:
    for number in range(6):
        change(world, 2, units=number)
        answer = await ask(world, SHARED[1], fields=["units"])
        world.check(answer)
        assert answer.values == [[{"units": number}]]
        assert sequence(answer) == number + 1


# --- more than a call waits for


async def many(world: World, count: int) -> None:
    """Give the second customer more records, one of them its own."""
    insert(world, *(f"more-{n:04}" for n in range(count - 1)), like=2)
    await publish(world)


async def test_a_call_waits_for_some_changed_records(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    await many(world, AT_ONCE)
    sealed.clear()
    world.crm.write("UPDATE projects SET stage = 'new' WHERE customer = ?", SHARED[1])
    answer = await ask(world, SHARED[1], fields=["project_stage"])
    world.check(answer)
    assert answer.values == [[{"project_stage": "new"}] * AT_ONCE]
    assert len(sealed) == AT_ONCE
    assert world.maker.services.snapshots.wanted == set()


async def test_more_are_left_to_the_builder_and_the_call_is_told_to_wait(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    count = AT_ONCE + 1
    await many(world, count)
    before = await current(world)
    sealed.clear()
    world.crm.write("UPDATE projects SET stage = 'new' WHERE customer = ?", SHARED[1])
    for _ in range(2):
        answer = await ask(world, SHARED[1])
        receipt = world.check_refused(answer, "snapshot.pending", status=503)
        assert receipt.snapshot is None
    assert sealed == []
    assert await current(world) == before
    world.check(await ask(world, SHARED[0]))  # nothing of it has changed
    snapshots = world.maker.services.snapshots
    assert snapshots.wanted == {world.agreement}
    (told,) = (await snapshots.progress("projects"))["agreements"]
    assert (told["state"], told["done"], told["total"]) == ("waiting", 3, 3 + count)
    await world.maker.settle()
    assert len(sealed) == count
    answer = await ask(world, SHARED[1], fields=["project_stage"])
    world.check(answer)
    assert answer.values == [[{"project_stage": "new"}] * count]
    assert check_whole(world) == 3 + count


async def test_a_backlog_of_others_does_not_spoil_what_stands(world: World) -> None:
    await many(world, AT_ONCE + 1)
    world.crm.write("UPDATE projects SET stage = 'new' WHERE customer = ?", SHARED[1])
    await publish(world, settle=False)
    answer = await ask(world, SHARED[0], SHARED[2])
    world.check(answer)
    change(world, 0, stage="newer")
    refused = await ask(world, SHARED[0])
    world.check_refused(refused, "snapshot.pending", status=503)
    await world.maker.settle()
    world.check(await ask(world))


async def test_a_new_declaration_is_waited_for(world: World) -> None:
    world.clock.advance(days=1)
    await world.supplier.services.align.declare(world.agreement, SHARED[:2])
    refused = await ask(world, SHARED[0])
    world.check_refused(refused, "snapshot.pending", status=503)
    await world.maker.settle()
    world.check(await ask(world, SHARED[0]))


# --- what changes while a call is on its way


@ON_BOTH
async def test_a_publication_while_a_call_seals_is_taken_into_account(
    world: World,
) -> None:
    async def act() -> None:
        change(world, 1, 2, stage="newer")
        await publish(world, settle=False)

    change(world, 0, 2, stage="new")
    with interrupting(act):
        answer = await ask(world, SHARED[0], SHARED[1])
    world.check(answer)
    shown = [[r["project_stage"] for r in each or () if r] for each in answer.values]
    assert sorted(shown[0]) == ["new", "newer"]
    assert shown[1] == ["newer"]
    await world.maker.settle()
    assert check_whole(world) == SHARED_RECORDS


@ON_BOTH
async def test_another_schema_while_a_call_seals_is_taken_into_account(
    world: World,
) -> None:
    fields = world.crm.declaration()["fields"]
    fields["units"] = fields["units"] | {"unit": "kg"}

    async def act() -> None:
        await publish(world, settle=False, fields=fields)

    change(world, 2, stage="new")
    with interrupting(act):
        answer = await ask(world, SHARED[1], fields=["units"])
    world.check(answer)
    assert [f["unit"] for f in answer.body["schema"] if "name" in f] == ["kg"]
    await world.maker.settle()
    assert check_whole(world) == SHARED_RECORDS


@ON_BOTH
async def test_a_declaration_while_a_call_seals_is_taken_into_account(
    world: World,
) -> None:
    world.clock.advance(days=1)

    async def act() -> None:
        await world.supplier.services.align.declare(world.agreement, SHARED[1:])

    change(world, 2, stage="new")
    with interrupting(act):
        answer = await ask(world, SHARED[1])
    world.check(answer)
    assert answer.body["snapshot"]["declaration"] == (await current(world)).declaration
    await world.maker.settle()
    assert check_whole(world) == 2


async def test_records_that_change_faster_than_they_are_sealed_end_a_call(
    world: World,
) -> None:
    usual = KeepSnapshots.catch_up
    count = 0

    async def catch_up(self: KeepSnapshots, *arguments: Any, **more: Any) -> None:
        nonlocal count
        await usual(self, *arguments, **more)
        count += 1
        change(world, 2, units=count)

    change(world, 2, units=0)
    with mock.patch.object(KeepSnapshots, "catch_up", catch_up):
        answer = await ask(world, SHARED[1])
    assert (answer.status, answer.code) == (503, "store.contended")
    assert 1 < count < 10
    world.check(await ask(world, SHARED[1]))


async def test_an_answer_names_the_snapshot_that_it_is_from(world: World) -> None:
    answer = await ask(world)
    receipt = world.check(answer)
    disclosure = parse_disclosure({name: answer.body[name] for name in MEMBERS})
    assert disclosure.snapshot.snapshot == await current(world)
    assert receipt.snapshot == disclosure.snapshot.snapshot.snapshot_id
