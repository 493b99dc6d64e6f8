"""Publish: what a publication changes, and how little of it is sealed anew."""

import asyncio
import shutil
from pathlib import Path

import pytest

from node.errors import BadRequest, Unavailable
from tests.support.node import SHARED, World
from tests.unit.node.sealing import (
    ON_BOTH,
    SHARED_RECORDS,
    change,
    check_whole,
    commitments,
    current,
    insert,
    keys,
    publish,
    sealed,
    world,
)

__all__ = ["sealed", "world"]


async def test_what_has_not_changed_keeps_its_version_and_its_snapshot(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before, seals = await current(world), commitments(world)
    for _ in range(3):
        assert await publish(world) == before.version
    await world.maker.services.publish.again()
    await world.maker.settle()
    assert await current(world) == before
    assert commitments(world) == seals
    assert sealed == []
    assert check_whole(world) == SHARED_RECORDS


async def test_only_a_changed_record_is_sealed_anew(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before, seals = await current(world), commitments(world)
    (key,) = keys(world, 1)
    change(world, 1, stage="new")
    assert await publish(world) == before.version + 1
    after, again = await current(world), commitments(world)
    assert sealed == [(world.agreement, key)]
    assert {name for name in seals if seals[name] != again[name]} == {key}
    assert (after.version, after.sequence) == (before.version + 1, 1)
    assert after.previous == before.snapshot_id
    assert after.root != before.root
    assert check_whole(world) == SHARED_RECORDS


async def test_only_an_added_record_is_sealed(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before, seals = await current(world), commitments(world)
    insert(world, "added", like=2)
    assert await publish(world) == before.version + 1
    assert sealed == [(world.agreement, "added")]
    assert commitments(world).keys() - seals.keys() == {"added"}
    assert seals.items() < commitments(world).items()
    assert check_whole(world) == SHARED_RECORDS + 1


async def test_nothing_is_sealed_when_a_record_goes(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before, seals = await current(world), commitments(world)
    (key,) = keys(world, 3)
    world.crm.write("DELETE FROM projects WHERE project_id = ?", key)
    assert await publish(world) == before.version + 1
    assert sealed == []
    assert commitments(world) == {k: c for k, c in seals.items() if k != key}
    assert (await current(world)).sequence == 1
    assert check_whole(world) == SHARED_RECORDS - 1
    answer = await world.query(customers=[world.customer(name) for name in SHARED])
    world.check(answer)
    assert [each is None for each in answer.values] == [False, False, True]


@ON_BOTH
async def test_only_a_record_that_moved_is_sealed_anew(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await current(world)
    (key,) = keys(world, 0)
    change(world, 0, customer=SHARED[1])
    assert await publish(world) == before.version + 1
    assert sealed == [(world.agreement, key)]
    assert check_whole(world) == SHARED_RECORDS
    answer = await world.query(customers=[world.customer(name) for name in SHARED])
    world.check(answer)
    assert [len(each or ()) for each in answer.values] == [1, 2, 1]


async def test_records_of_customers_that_are_not_shared_make_no_snapshot(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await current(world)
    change(world, 5, stage="new")
    assert await publish(world) == before.version + 1
    assert sealed == []
    assert await current(world) == before


async def test_a_column_that_is_not_committed_to_changes_nothing(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await current(world)
    world.crm.write("UPDATE projects SET phone = 'other', note = 'other'")
    assert await publish(world) == before.version
    assert sealed == []
    assert await current(world) == before


async def test_a_change_is_sealed_once_under_each_agreement(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    other = await world.agree()
    assert len(sealed) == SHARED_RECORDS
    sealed.clear()
    (key,) = keys(world, 1)
    change(world, 1, stage="new")
    version = await publish(world)
    assert sorted(sealed) == sorted([(world.agreement, key), (other, key)])
    both = [await current(world), await current(world, other)]
    assert [each.version for each in both] == [version, version]
    assert both[0].root != both[1].root


async def test_a_new_declaration_seals_only_customers_that_are_new_to_it(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before, seals = await current(world), commitments(world)
    world.clock.advance(days=1)
    await world.align(world.agreement, [*SHARED[1:], world.crm.unshared[0]])
    (added,) = keys(world, 4)
    assert sealed == [(world.agreement, added)]
    assert commitments(world).items() - seals.items() == {
        (added, commitments(world)[added])
    }
    after = await current(world)
    assert (after.version, after.sequence) == (before.version, 1)
    assert after.declaration != before.declaration
    assert check_whole(world) == SHARED_RECORDS - 2 + 1
    answer = await world.query(customers=[world.customer(name) for name in SHARED])
    world.check(answer)
    assert [each is None for each in answer.values] == [True, False, False]
    world.crm.canaries -= {world.crm.rows[4]["stage"], world.crm.unshared[0]}


async def test_a_changed_field_seals_everything_anew(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before, seals = await current(world), commitments(world)
    fields = world.crm.declaration()["fields"]
    fields["units"] = fields["units"] | {"unit": "kg"}
    assert await publish(world, fields=fields) == before.version + 1
    assert len(sealed) == SHARED_RECORDS
    assert not seals.items() & commitments(world).items()
    after = await current(world)
    assert after.schema_hash != before.schema_hash
    assert check_whole(world) == SHARED_RECORDS
    world.check(await world.query(fields=["units"]))
    assert await publish(world, fields=fields) == after.version


async def test_another_title_seals_nothing_anew(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await current(world)
    fields = world.crm.declaration()["fields"]
    fields["units"] |= {"title": {"en": "Other", "zh": "别的"}, "personal": True}
    assert await publish(world, fields=fields) == before.version
    assert sealed == []
    assert await current(world) == before
    dataset = await world.maker.services.store.read(
        lambda view: view.datasets.get("projects")
    )
    assert dataset is not None
    assert dataset.declaration["fields"]["units"]["title"]["en"] == "Other"


async def test_with_another_key_nothing_is_shown_until_all_is_sealed_anew(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before, seals = await current(world), commitments(world)
    for node in ("maker", "charger"):
        assert (world.folder / node / "keys" / "bls12381g2.key").exists()
    shutil.copy(
        world.folder / "charger" / "keys" / "bls12381g2.key",
        world.folder / "maker" / "keys" / "bls12381g2.key",
    )
    registry = world.folder / "participants.json"
    old, new = (
        world.maker.me.to_json()["keys"]["bls12381g2"],
        world.charger.me.to_json()["keys"]["bls12381g2"],
    )
    registry.write_text(registry.read_text().replace(old, new))
    await world.restart()
    await world.maker.services.snapshots.want_all()
    await world.maker.settle()
    refused = await world.query()
    world.check_refused(refused, "snapshot.pending", status=503)
    (told,) = (await world.maker.services.snapshots.progress("projects"))["agreements"]
    assert told["state"] == "waiting"
    assert sealed == []
    assert await current(world) == before
    assert await publish(world) == before.version + 1
    assert len(sealed) == SHARED_RECORDS
    assert not seals.items() & commitments(world).items()
    assert (await current(world)).bbs_key_id != before.bbs_key_id
    assert check_whole(world) == SHARED_RECORDS
    world.check(await world.query())


@ON_BOTH
async def test_publications_at_once_end_as_one(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    before = await current(world)
    (key,) = keys(world, 1)
    change(world, 1, stage="new")
    versions = await asyncio.gather(*(publish(world) for _ in range(5)))
    await world.maker.settle()
    assert max(versions) == before.version + 1
    assert set(sealed) == {(world.agreement, key)}
    assert check_whole(world) == SHARED_RECORDS


@ON_BOTH
async def test_first_publications_at_once_are_one_dataset(
    world: World, sealed: list[tuple[str, str]]
) -> None:
    body = world.crm.declaration("others")
    answers = await asyncio.gather(
        *(world.maker.manage("/management/datasets", body) for _ in range(4))
    )
    agreement = await world.agree(dataset="others")
    version = (await current(world, agreement)).version
    assert version == max(each["version"] for each in answers)
    answer = await world.query(dataset="others", agreement=agreement)
    world.check(answer)
    assert len(sealed) == SHARED_RECORDS


@ON_BOTH
async def test_a_publication_while_calls_take_changes_in_loses_none(
    world: World,
) -> None:
    """Both write the same records; whoever is overtaken looks again."""
    names = [world.customer(name) for name in SHARED]

    async def ask() -> None:
        for _ in range(4):
            answer = await world.query(customers=names)
            assert answer.status == 200, answer.body
            world.check(answer)

    async def work() -> None:
        for number in range(4):
            world.crm.write("UPDATE projects SET units = ?", number)
            await publish(world)

    await asyncio.gather(ask(), ask(), work())
    await publish(world)
    assert check_whole(world) == SHARED_RECORDS
    answer = await world.query(customers=names, fields=["units"])
    world.check(answer)
    assert {r["units"] for each in answer.values for r in each or () if r} == {3}


async def test_a_dataset_without_records_is_published_and_keeps_its_version(
    world: World,
) -> None:
    world.crm.write("DELETE FROM projects")
    version = await publish(world)
    assert await publish(world) == version
    world.check_refused(await world.query(), "customer.not_shared")
    assert check_whole(world) == 0


async def test_a_source_that_is_away_keeps_no_other_dataset_waiting(
    world: World, tmp_path: Path
) -> None:
    body = world.crm.declaration("a-first")
    away = tmp_path / "away.sqlite"
    shutil.copy(world.crm.file, away)
    body["source"]["url"] = f"sqlite:///{away}"
    await world.maker.manage("/management/datasets", body)
    before = await current(world)
    away.unlink()
    away.mkdir()
    world.crm.write("UPDATE projects SET stage = 'new'")
    with pytest.raises((Unavailable, BadRequest)):
        await world.maker.services.publish.again()
    await world.maker.settle()
    assert (await current(world)).version == before.version + 1
    assert check_whole(world) == SHARED_RECORDS
