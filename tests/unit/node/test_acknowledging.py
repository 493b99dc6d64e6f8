"""Receipts are signed back on the next call; who leaves them unsigned is not served."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crypto.encoding import b64u
from ledger.receipts import countersign, parse_signed_receipt, stream_id
from node.adapters.sql import tables as t
from node.ports import Alarm
from tests.support.node import SHARED, START, Answer, World, open_world

MOST = 4


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    settings = f"company: {{max_unacknowledged: {MOST}}}\n"
    async with open_world(tmp_path, settings=settings) as world:
        yield world


def signed_back(world: World, answer: Answer) -> dict[str, str]:
    signed = parse_signed_receipt(answer.body)
    given = countersign(signed, world.supplier.services.countersign.signer)
    return {"receipt": signed.receipt.receipt_id, "signature": b64u(given.signature)}


def stream(*items: dict[str, str], last: dict[str, Any] | None = None) -> Any:
    return {"last": last, "countersignatures": list(items)}


def countersigned(world: World) -> list[bool]:
    c = t.receipts.c
    found = world.maker.rows(sa.select(c.countersignature).order_by(c.sequence))
    return [row.countersignature is not None for row in found]


async def ask(world: World, **changes: Any) -> dict[str, Any]:
    asked = {
        "agreement": world.agreement,
        "purpose": "joint-delivery",
        "fields": ["project_stage"],
        "customers": [SHARED[0]],
        **changes,
    }
    answer: dict[str, Any] = await world.supplier.manage("/management/ask", asked)
    return answer


# --- the provider -----------------------------------------------------------


async def test_receipts_are_signed_back_with_the_next_call(world: World) -> None:
    first, second = await world.query(), await world.query()
    items = [signed_back(world, first), signed_back(world, second)]
    world.check(await world.query(stream=stream(*items)))
    assert countersigned(world) == [True, True, False]
    world.check(await world.query(stream=stream(*items)))  # again: nothing changes
    assert countersigned(world) == [True, True, False, False]


async def test_a_refused_call_brings_its_signatures_too(world: World) -> None:
    item = signed_back(world, await world.query())
    answer = await world.query(fields=["contact_phone"], stream=stream(item))
    world.check_refused(answer, "field.not_granted")
    assert countersigned(world) == [True, False]


async def test_service_stops_when_receipts_stay_unsigned_and_goes_on_after(
    world: World,
) -> None:
    answers = [await world.query() for _ in range(MOST)]
    for answer in answers:
        world.check(answer)
    stopped = await world.query()
    world.check_refused(stopped, "receipts.unacknowledged")
    # Another agreement has a stream of its own.
    other = await world.agree()
    world.check(await world.query(agreement=other))
    items = [signed_back(world, answer) for answer in [*answers[:1], stopped]]
    world.check(await world.query(stream=stream(*items)))


async def test_a_false_signature_is_refused_and_none_is_kept(world: World) -> None:
    good = signed_back(world, await world.query())
    foreign = signed_back(world, await world.query(agreement=await world.agree()))
    for wrong in (
        good | {"signature": b64u(secrets.token_bytes(64))},
        good | {"receipt": "0" * 64},
        foreign,
    ):
        answer = await world.query(stream=stream(wrong))
        world.check_refused(answer, "countersignature.wrong")
    both = [foreign, good]
    answer = await world.query(stream=stream(*both))
    world.check_refused(answer, "countersignature.wrong")
    assert not any(countersigned(world))


async def test_a_stranger_signs_nothing(world: World) -> None:
    item = signed_back(world, await world.query())
    body = world.body(stream=stream(item))
    answer = await world.query(token=None, stream=body["stream"])
    world.check_refused(answer, "token.missing", status=401, consumer=None)
    assert countersigned(world) == [False, False]


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        {"last": None},
        {"last": {"sequence": 0}, "countersignatures": []},
        {"last": {"sequence": -1, "receipt": "0" * 64}, "countersignatures": []},
        {"last": None, "countersignatures": [{"receipt": "0" * 64}]},
        {"last": None, "countersignatures": [], "more": 1},
    ],
)
async def test_what_is_no_acknowledgement_is_a_bad_request(
    world: World, wrong: Any
) -> None:
    answer = await world.query(stream=wrong)
    assert (answer.status, answer.code) == (400, "request.malformed")
    assert not world.maker.receipts()


async def test_a_receipt_signed_back_twice_is_a_bad_request(world: World) -> None:
    item = signed_back(world, await world.query())
    answer = await world.query(stream=stream(item, item))
    assert (answer.status, answer.code) == (400, "request.malformed")


async def test_who_names_a_receipt_of_ours_is_served(world: World) -> None:
    first = parse_signed_receipt((await world.query()).body).receipt
    await world.query()
    last = {"sequence": 0, "receipt": first.receipt_id}
    world.check(await world.query(stream=stream(last=last)))


async def test_who_remembers_another_history_is_not_served(world: World) -> None:
    first = parse_signed_receipt((await world.query()).body).receipt
    for last in (
        {"sequence": 0, "receipt": "0" * 64},
        {"sequence": 1, "receipt": first.receipt_id},
    ):
        answer = await world.query(stream=stream(last=last))
        world.check_refused(answer, "stream.diverged")


async def test_nothing_is_answered_while_the_log_may_have_two_histories(
    world: World,
) -> None:
    alarm = Alarm(code="log.forked", subject="", detail="two roots", at=START)
    store = world.maker.services.store
    await store.write(lambda work: work.alarms.sound(alarm))
    answer = await world.query()
    assert (answer.status, answer.code) == (503, "log.stopped")
    assert "two roots" not in answer.octets.decode()
    assert not world.maker.receipts()
    await world.maker.manage("/health/ready", expect=503)
    await store.write(lambda work: work.alarms.clear("log.forked", "", "seen", START))
    await world.maker.manage("/health/ready")
    world.check(await world.query())


async def test_another_alarm_stops_nothing(world: World) -> None:
    alarm = Alarm(code="chain.behind", subject="", detail="an epoch", at=START)
    await world.maker.services.store.write(lambda work: work.alarms.sound(alarm))
    world.check(await world.query())


# --- the consumer -----------------------------------------------------------


async def test_a_node_asks_as_long_as_it_likes_for_it_signs_back(world: World) -> None:
    for _ in range(MOST + 2):
        assert (await ask(world))["allowed"]
    assert countersigned(world) == [True] * (MOST + 1) + [False]


async def test_what_no_call_takes_along_is_delivered(world: World) -> None:
    await ask(world)
    deliver = world.supplier.services.countersign.deliver
    assert await deliver(waited_s=5) == 0  # perhaps a call comes
    world.clock.advance(seconds=6)
    assert await deliver(waited_s=5) == 1
    assert countersigned(world) == [True]
    assert await deliver() == 0


async def test_a_provider_that_is_away_gets_them_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(world)
    services = world.supplier.services
    with monkeypatch.context() as patch:
        patch.setattr(type(world.wire), "post", _away)
        assert await services.countersign.deliver() == 0
    assert await services.countersign.deliver() == 1


async def _away(*_: Any, **__: Any) -> Any:
    from node.errors import Unavailable

    raise Unavailable("partner.unavailable", "away")


async def test_a_call_is_remembered_even_when_no_answer_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(type(world.wire), "post", _away)
        asked = {
            "agreement": world.agreement,
            "purpose": "joint-delivery",
            "fields": ["project_stage"],
            "customers": [SHARED[0]],
        }
        await world.supplier.manage("/management/ask", asked, expect=503)
    [lost] = world.supplier.rows(sa.select(t.asked))
    assert (lost.agreement, lost.receipt_id) == (world.agreement, None)
    receipt = (await ask(world))["receipt"]
    rows = world.supplier.rows(sa.select(t.asked).order_by(t.asked.c.at))
    assert {row.receipt_id for row in rows} == {None, receipt}
    assert all(row.token.count(".") == 2 for row in rows)


async def test_a_second_history_of_a_partner_is_seen_and_not_believed(
    world: World,
) -> None:
    await ask(world)
    await ask(world)
    # The provider forgets its receipts, as after a restored backup.
    with world.maker.database.begin() as connection:
        for table in (t.receipts, t.receipt_fields, t.streams):
            connection.execute(sa.delete(table))
    refused = await ask(world)
    codes = {each["code"] for each in refused["denials"]}
    assert codes == {"stream.diverged", "countersignature.wrong"}
    assert not refused["verified"]
    failed = [each for each in refused["checks"] if each["state"] == "failed"]
    assert [each["name"] for each in failed] == ["stream"]
    alarms = await world.supplier.services.store.read(lambda view: view.alarms.open())
    mine = stream_id(
        provider=world.maker.did, consumer=world.supplier.did, agreement=world.agreement
    )
    assert [(alarm.code, alarm.subject) for alarm in alarms] == [
        ("stream.diverged", mine)
    ]
    c = t.received.c
    rows = world.supplier.rows(
        sa.select(c.stream_sequence, c.countersignature).order_by(c.sequence)
    )
    assert [
        (row.stream_sequence, row.countersignature is not None) for row in rows
    ] == [
        (0, True),
        (1, True),
        (0, False),
    ]
