"""Erasing what receipts say, while streams and log stay whole."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crypto.encoding import b64u
from ledger.receipts import FIRST
from node.adapters.sql import tables as t
from node.config import load
from node.errors import BadRequest
from node.ports import Alarm
from node.services.erase import EXPIRED
from tests.support.node import Node, World, open_world
from tests.unit.node.sealing import ON_BOTH

_STAYS = {
    *("sequence", "receipt_id", "stream", "stream_sequence", "log_index", "at"),
    *("erased_at", "erased_why"),
}


@pytest.fixture
async def world(tmp_path: Path, database: str | None) -> AsyncIterator[World]:
    async with open_world(
        tmp_path,
        database=database,
        valid_from="2020-01-01T00:00:00Z",
        valid_to="2100-01-01T00:00:00Z",
    ) as world:
        yield world


async def erase(
    node: Node, receipt: str, why: str = "asked to", expect: int = 0
) -> Any:
    path = f"/management/receipts/{receipt}/erase"
    return await node.manage(path, {"why": why}, expect=expect)


async def old(world: World, calls: int = 1) -> list[str]:
    """Make some calls, have them logged and anchored, and let half a year pass."""
    made = [await world.ask() for _ in range(calls)]
    await world.maker.services.keep_log.integrate()
    await world.maker.services.anchoring()
    world.clock.advance(days=184)
    return made


def row(node: Node, table: sa.Table, receipt: str) -> dict[str, Any]:
    [found] = node.rows(sa.select(table).where(table.c.receipt_id == receipt))
    return dict(found._mapping)


@ON_BOTH
async def test_an_erased_receipt_keeps_its_places_and_nothing_else(
    world: World,
) -> None:
    first, second = await old(world, 2)
    before = row(world.maker, t.receipts, first)
    told = await erase(world.maker, first)
    assert told == {
        "receipt": first,
        "erased": {"at": "2027-05-25T18:20:00Z", "why": "asked to"},
    }
    after = row(world.maker, t.receipts, first)
    assert {name for name, value in after.items() if value is not None} == _STAYS
    for name in _STAYS - {"erased_at", "erased_why"}:
        assert after[name] == before[name]
    for table in (t.receipt_fields, t.receipt_denials):
        beside = sa.select(table).where(table.c.sequence == before["sequence"])
        assert world.maker.rows(beside) == []
    assert row(world.maker, t.receipts, second)["core"]


async def test_nothing_of_an_erased_receipt_stays_in_the_files(world: World) -> None:
    [receipt] = await old(world)
    held = row(world.maker, t.receipts, receipt)
    secrets = [held["salt"], held["signature"], held["token"].encode()[-40:]]
    secrets.append(held["core"].encode()[:200])
    folder = world.maker.folder
    assert all(any_holds(folder, each) for each in secrets)
    await erase(world.maker, receipt)
    assert not any(any_holds(folder, each) for each in secrets)


def any_holds(folder: Path, octets: bytes) -> bool:
    return any(octets in file.read_bytes() for file in folder.glob("node.sqlite*"))


async def test_who_asks_for_an_erased_receipt_is_told_that_it_is(world: World) -> None:
    [receipt] = await old(world)
    await erase(world.maker, receipt)
    for path in ("", "/question"):
        answer = await world.maker.manage(
            f"/audit/receipts/{receipt}{path}", expect=410
        )
        assert answer["code"] == "receipt.erased"
        assert answer["erased"]["why"] == "asked to"
    proof = await world.maker.client.get(f"/log/proof/{receipt}")
    assert (proof.status_code, proof.json()["code"]) == (410, "receipt.erased")


async def test_the_list_of_calls_shows_what_was_erased_and_counts_the_rest(
    world: World,
) -> None:
    gone, kept = await old(world, 2)
    await erase(world.maker, gone)
    span = "?from=2026-11-01T00:00:00Z&to=2027-12-01T00:00:00Z"
    page = await world.maker.manage(f"/audit/calls{span}")
    items = {each["receipt_id"]: each for each in page["items"]}
    assert items[kept]["erased"] is None
    assert items[gone] | {"sequence": 0} == {
        "sequence": 0,
        "receipt_id": gone,
        "at": "2026-11-22T18:20:00Z",
        "erased": {"at": "2027-05-25T18:20:00Z", "why": "asked to"},
        **dict.fromkeys(("partner", "agreement", "dataset", "purpose", "decision")),
        **dict.fromkeys(("customers", "records", "withheld", "duration_ms")),
        **dict.fromkeys(("plan", "step", "spent")),
        "fields": [],
        "where": [],
        "denials": [],
        "state": "anchored",
        "countersigned": False,
    }
    assert page["facets"]["decision"] == [{"value": "allow", "count": 1}]
    unknown = await world.maker.manage(f"/audit/calls{span}&partner=unknown")
    assert unknown["items"] == []
    summary = await world.maker.manage(f"/audit/summary{span}")
    assert summary["calls"] == {"allowed": 1, "denied": 0}
    assert sum(each["denied"] for each in summary["trend"]) == 0


@ON_BOTH
async def test_the_stream_and_the_log_go_on_over_an_erased_receipt(
    world: World,
) -> None:
    [receipt] = await old(world)
    await erase(world.maker, receipt)
    following = await world.ask()
    core = (await world.maker.manage(f"/audit/receipts/{following}"))["receipt"]
    assert (core["sequence"], core["previous"]) == (1, receipt)
    assert core["previous"] != FIRST
    assert await world.maker.services.keep_log.integrate() == 1
    evidence = await world.maker.manage(f"/audit/receipts/{following}")
    assert evidence["inclusion"]


async def test_young_receipts_are_kept(world: World) -> None:
    receipt = await world.ask()
    await world.maker.services.keep_log.integrate()
    world.clock.advance(days=183)
    answer = await erase(world.maker, receipt, expect=409)
    assert answer["code"] == "receipt.retained"
    assert "2027-05-24T18:20:00Z" in answer["detail"]
    world.clock.advance(seconds=1)
    await erase(world.maker, receipt, expect=200)


async def test_what_waits_for_the_tree_is_kept(world: World) -> None:
    receipt = await world.ask()
    world.clock.advance(days=200)
    answer = await erase(world.maker, receipt, expect=409)
    assert answer["code"] == "receipt.waiting"


async def test_nothing_is_erased_while_the_log_is_in_question(world: World) -> None:
    [receipt] = await old(world)
    alarm = Alarm(code="log.forked", subject="x", detail="", at=world.clock.now())
    await world.maker.services.store.write(lambda work: work.alarms.sound(alarm))
    assert (await erase(world.maker, receipt, expect=409))["code"] == "log.stopped"
    answer = await world.maker.manage("/management/receipts/expire", {}, expect=409)
    assert answer["code"] == "log.stopped"


async def test_what_is_erased_stays_as_it_was_erased_first(world: World) -> None:
    [receipt] = await old(world)
    first = await erase(world.maker, receipt, "the one reason")
    world.clock.advance(days=1)
    assert await erase(world.maker, receipt, "another") == first


async def test_an_unknown_receipt_cannot_be_erased(world: World) -> None:
    answer = await erase(world.maker, "ab" * 32, expect=404)
    assert answer["code"] == "receipt.unknown"


@pytest.mark.parametrize("why", ["", "a\nb", "x" * 201, None])
async def test_a_reason_is_one_line(world: World, why: Any) -> None:
    await erase(world.maker, "ab" * 32, why, expect=400)


@ON_BOTH
async def test_what_is_older_than_it_has_to_be_kept_expires_in_batches(
    world: World,
) -> None:
    await old(world, 5)
    young = await world.ask()
    await world.maker.services.keep_log.integrate()
    path = "/management/receipts/expire"
    told = [await world.maker.manage(path, {"most": 2}) for _ in range(3)]
    assert told == [
        {"erased": 2, "more": True},
        {"erased": 2, "more": True},
        {"erased": 1, "more": False},
    ]
    c = t.receipts.c
    left = world.maker.rows(sa.select(c.receipt_id).where(c.erased_at.is_(None)))
    assert [each.receipt_id for each in left] == [young]
    reasons = set(world.maker.rows(sa.select(c.erased_why).where(c.core.is_(None))))
    assert {each.erased_why for each in reasons} == {EXPIRED}
    assert await world.maker.manage("/management/receipts/expire", {}) == {
        "erased": 0,
        "more": False,
    }


async def test_a_consumer_erases_what_it_received_and_that_it_asked(
    world: World,
) -> None:
    [receipt] = await old(world)
    assert row(world.supplier, t.received, receipt)["disclosure"]
    await erase(world.supplier, receipt)
    held = row(world.supplier, t.received, receipt)
    assert {name for name, value in held.items() if value is None} == {
        *("core", "signature", "nonce", "checks", "disclosure", "plan"),
        *("countersigner", "countersignature"),
    }
    assert world.supplier.rows(sa.select(t.asked)) == []
    answer = await world.supplier.manage(f"/audit/receipts/{receipt}", expect=410)
    assert answer["code"] == "receipt.erased"
    page = await world.supplier.manage("/audit/received")
    assert [(each["receipt_id"], each["erased"]["why"]) for each in page["items"]] == [
        (receipt, "asked to")
    ]


async def test_a_consumer_goes_on_asking_after_it_has_erased(world: World) -> None:
    await old(world)
    told = await world.supplier.manage("/management/receipts/expire", {})
    assert told == {"erased": 1, "more": False}
    following = await world.ask()
    assert row(world.supplier, t.received, following)["verified"]


async def test_a_late_signature_over_an_erased_receipt_does_no_harm(
    world: World,
) -> None:
    gone, kept = await old(world, 2)
    await erase(world.maker, gone)
    items = [
        {"receipt": each, "signature": b64u(held["countersignature"])}
        for each in (gone, kept)
        for held in (row(world.supplier, t.received, each),)
    ]
    taken = await world.maker.services.countersign.receive(
        world.supplier.did, {"countersignatures": items}
    )
    assert taken == 2
    assert row(world.maker, t.receipts, gone)["countersignature"] is None
    assert row(world.maker, t.receipts, kept)["countersignature"]


async def test_a_company_cannot_decide_to_keep_receipts_for_less_than_half_a_year(
    world: World,
) -> None:
    file = world.maker.folder / "node.yaml"
    text = file.read_text()
    file.write_text(text + "retention_days: 182\n")
    with pytest.raises(BadRequest, match="retention_days"):
        load(file)
    file.write_text(text + "retention_days: 183\n")
    assert load(file).retention_days == 183
