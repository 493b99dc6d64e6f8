"""Two real nodes compare their streams: what was lost, cut off, rewritten, made up."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crypto.encoding import b64u
from ledger.fork import verify_fork
from ledger.receipts import (
    FIRST,
    PolicyReference,
    Receipt,
    SignedReceipt,
    parse_receipt,
    sign_receipt,
    stream_id,
)
from ledger.steps import State, verdict
from node.adapters.sql import tables as t
from node.ports import Received, Reply, UnitOfWork
from tests.support.node import PURPOSE, SHARED, Node, World, open_world, start


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def ask(world: World, times: int = 1) -> None:
    """Ask as the supplier's own people do."""
    for _ in range(times):
        question = {
            "agreement": world.agreement,
            "purpose": PURPOSE,
            "fields": ["project_stage"],
            "customers": [SHARED[0]],
        }
        await world.supplier.manage("/management/ask", question)


async def lose(world: World, times: int = 1) -> None:
    """Ask, and lose the answer on the way."""
    for _ in range(times):
        world.wire.lose.append("/views/")
        question = {
            "agreement": world.agreement,
            "purpose": PURPOSE,
            "fields": ["project_stage"],
            "customers": [SHARED[0]],
        }
        await world.supplier.manage("/management/ask", question, expect=503)


async def reconcile(node: Node, partner: Node, **more: Any) -> dict[str, Any]:
    body = {"partner": partner.did, "agreement": None, **more}
    report: dict[str, Any] = await node.manage("/management/reconcile", body)
    return report


async def differences(node: Node, partner: Node) -> list[tuple[str, str]]:
    """Return kind and numbers of what the one stream has differently."""
    report = await reconcile(node, partner)
    [stream] = report["streams"]
    expected = "different" if stream["differences"] else "same"
    assert report["state"] == stream["state"] == expected
    return [(each["kind"], each["numbers"]) for each in stream["differences"]]


async def alarms(node: Node) -> list[str]:
    found = await node.manage("/audit/alarms")
    return [each["code"] for each in found["items"]]


def stream(world: World) -> str:
    return stream_id(
        provider=world.maker.did,
        consumer=world.supplier.did,
        agreement=world.agreement,
    )


def execute(node: Node, *statements: sa.Executable) -> None:
    with node.database.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def cut(world: World, length: int) -> None:
    """Delete the tail of the stream in the provider's own database."""
    r = t.receipts.c
    execute(
        world.maker,
        sa.delete(t.receipts).where(r.stream_sequence >= length),
        sa.update(t.streams).values(
            count=length,
            head=sa.select(r.receipt_id)
            .where(r.stream_sequence == length - 1)
            .scalar_subquery(),
        ),
    )


def rewrite(world: World, since: int, purpose: str = "another") -> None:
    """Have the provider sign its history anew, from a number on."""
    signer = world.maker.services.disclose.signer
    kept = [each.receipt for each in world.maker.receipts()]
    previous = kept[since - 1].receipt_id if since else FIRST
    for receipt in kept[since:]:
        core = receipt.to_json() | {"purpose": purpose, "previous": previous}
        signed = sign_receipt(parsed(core), signer)
        previous = signed.receipt.receipt_id
        execute(
            world.maker,
            sa.update(t.receipts)
            .where(t.receipts.c.stream_sequence == receipt.sequence)
            .values(
                receipt_id=previous,
                core=signed.canonical().decode(),
                signature=signed.signature,
            ),
        )
    execute(world.maker, sa.update(t.streams).values(head=previous))


def parsed(core: dict[str, Any]) -> Receipt:

    return parse_receipt(core)


def proofs(world: World, node: Node) -> list[Any]:
    """Return the proofs that a node keeps; each convinces anybody with the pins."""
    pins = {each.did: each for each in node.services.identity.participants()}
    found = [json.loads(row.proof) for row in node.rows(sa.select(t.proofs_of_fault))]
    for each in found:
        assert verdict(verify_fork(each, pins)) is State.CHECKED
    return found


# --- the same


async def test_streams_that_are_equal_need_no_question(world: World) -> None:
    await ask(world, 3)
    for node, partner in (
        (world.supplier, world.maker),
        (world.maker, world.supplier),
    ):
        report = await reconcile(node, partner)
        [told] = report["streams"]
        assert (report["state"], told["questions"]) == ("same", 0)
        assert told["ours"] == told["theirs"]
        assert told["ours"]["count"] == 3
        assert not await alarms(node)


async def test_a_stream_without_receipts_is_the_same(world: World) -> None:
    assert await differences(world.supplier, world.maker) == []
    assert await differences(world.maker, world.supplier) == []


async def test_signatures_that_no_call_took_along_are_delivered(world: World) -> None:
    await ask(world, 2)
    unsigned = sa.select(t.receipts).where(t.receipts.c.countersignature.is_(None))
    assert len(world.maker.rows(unsigned)) == 1
    [told] = (await reconcile(world.supplier, world.maker))["streams"]
    assert (told["state"], told["delivered"]) == ("same", 1)
    assert not world.maker.rows(unsigned)


async def test_a_provider_asks_for_the_signatures_that_it_misses(world: World) -> None:
    await ask(world, 2)
    erased = {"countersignature": None, "countersigner": None}
    execute(world.maker, sa.update(t.receipts).values(erased))
    [told] = (await reconcile(world.maker, world.supplier))["streams"]
    assert (told["state"], told["delivered"]) == ("same", 2)


async def test_a_provider_that_lost_signatures_gets_them_again(world: World) -> None:
    await ask(world, 3)
    await reconcile(world.supplier, world.maker)
    erased = {"countersignature": None, "countersigner": None}
    execute(world.maker, sa.update(t.receipts).values(erased))
    [told] = (await reconcile(world.supplier, world.maker))["streams"]
    assert (told["state"], told["delivered"]) == ("same", 3)


# --- lost on the way


async def test_a_lost_answer_is_named_fetched_and_signed_back(world: World) -> None:
    await ask(world)
    await lose(world, 2)
    assert await differences(world.maker, world.supplier) == [("partner_lacks", "1-2")]
    assert await differences(world.supplier, world.maker) == [("answer_lost", "1-2")]
    rows = world.supplier.rows(sa.select(t.received).order_by(t.received.c.sequence))
    assert [row.stream_sequence for row in rows] == [0, 1, 2]
    assert [row.verified for row in rows] == [True] * 3
    [check] = json.loads(rows[1].checks)
    assert (check["name"], check["state"]) == ("stream", "not_checked")
    assert "lost on the way" in check["en"]
    assert all(row.countersignature for row in rows)
    assert await differences(world.supplier, world.maker) == []
    assert await differences(world.maker, world.supplier) == []
    await ask(world)


async def test_a_hole_in_the_middle_is_found_and_filled(world: World) -> None:
    await ask(world, 5)
    gone = t.received.c.stream_sequence.in_([1, 3])
    execute(world.supplier, sa.delete(t.received).where(gone))
    assert await differences(world.supplier, world.maker) == [("answer_lost", "1, 3")]
    assert await differences(world.supplier, world.maker) == []


async def test_a_comparison_that_is_cut_off_goes_on_later(world: World) -> None:
    await ask(world)
    await lose(world, 2)
    world.wire.cut.add("/receipts/countersignatures")
    assert await differences(world.supplier, world.maker) == [("answer_lost", "1-2")]
    world.wire.cut.clear()
    [told] = (await reconcile(world.supplier, world.maker))["streams"]
    assert (told["state"], told["delivered"]) == ("same", 3)


async def test_a_partner_that_does_not_answer_makes_it_partial(world: World) -> None:
    await ask(world)
    world.wire.cut.add(world.maker.url)
    report = await reconcile(world.supplier, world.maker)
    assert report["state"] == "partial"
    assert report["streams"][0]["code"] == "partner.unavailable"
    world.wire.cut.clear()
    [told] = (await world.supplier.manage("/audit/streams"))["items"]
    assert told["compared"]["state"] == "unreachable"


async def test_a_consumer_put_back_to_an_older_copy_is_shown_its_own_calls(
    world: World,
) -> None:
    await ask(world, 2)
    file = world.supplier.folder / "node.sqlite"
    backup = world.folder / "backup.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as source:
        source.execute("VACUUM INTO ?", (str(backup),))
    await ask(world, 3)
    await world.supplier.stop()
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, file)
    world.supplier = await start(
        world.supplier.folder, clock=world.clock, wire=world.wire, anchors=world.chain
    )
    # It remembers none of these calls; the provider shows that it signed them.
    assert await differences(world.supplier, world.maker) == [("answer_lost", "2-4")]
    assert await differences(world.supplier, world.maker) == []
    assert await differences(world.maker, world.supplier) == []
    await ask(world)


# --- made up, and answers that failed


async def test_a_receipt_about_no_call_of_ours_is_named_and_never_signed(
    world: World,
) -> None:
    await ask(world)
    [first] = world.maker.receipts()
    signer = world.maker.services.disclose.signer
    core = first.receipt.to_json() | {
        "sequence": 1,
        "previous": first.receipt.receipt_id,
        "nonce": b64u(b"nobody-has-asked"),
    }
    invented = sign_receipt(parsed(core), signer)
    append(world.maker, invented)
    for _ in range(2):  # it stays a difference
        report = await reconcile(world.supplier, world.maker)
        [told] = report["streams"]
        [found] = told["differences"]
        assert (found["kind"], found["numbers"]) == ("never_asked", "1")
        assert found["evidence"]["never-asked-1.json"] == invented.to_json()
    [row] = world.supplier.rows(
        sa.select(t.received).where(t.received.c.stream_sequence == 1)
    )
    assert not row.verified
    assert row.countersignature is None


async def test_who_uses_a_token_of_ours_again_writes_nothing_into_our_stream(
    world: World,
) -> None:
    heard: list[dict[str, Any]] = []
    post = world.wire.post

    async def tap(partner: Any, path: str, body: Any, *, token: str) -> Reply:
        heard.append({"path": path, "body": body, "token": token})
        return await post(partner, path, body, token=token)

    world.wire.post = tap  # type: ignore[assignment, method-assign]
    await ask(world)
    first = heard[0]
    # A token that is not for its call, or was used before, names nobody.
    for changes in ({}, {"fields": ["units"]}):
        answer = await world.maker.client.post(
            first["path"],
            json=first["body"] | changes,
            headers={"Authorization": f"Bearer {first['token']}"},
        )
        assert answer.status_code in {401, 403}
    assert await differences(world.supplier, world.maker) == []
    signed = sa.select(t.received.c.stream_sequence).where(
        t.received.c.countersignature.is_not(None)
    )
    assert [row.stream_sequence for row in world.supplier.rows(signed)] == [0]
    await ask(world)


def append(node: Node, *signed: SignedReceipt) -> None:
    """Write receipts into a provider's database, as its own node does."""

    def _rows() -> list[dict[str, Any]]:
        return [
            {
                "receipt_id": each.receipt.receipt_id,
                "stream": each.receipt.stream,
                "stream_sequence": each.receipt.sequence,
                "core": each.canonical().decode(),
                "signature": each.signature,
                "salt": bytes(32),
                "at": 0,
                "partner": each.receipt.consumer,
                "agreement": each.receipt.agreement,
                "decision": each.receipt.decision,
                "customers": 1,
                "records": 1,
                "took_ms": 1,
            }
            for each in signed
        ]

    newest = signed[-1].receipt
    with node.database.begin() as connection:
        connection.execute(sa.insert(t.receipts), _rows())
        values = {"count": newest.sequence + 1, "head": newest.receipt_id}
        changed = sa.update(t.streams).where(t.streams.c.stream == newest.stream)
        if not connection.execute(changed.values(values)).rowcount:
            connection.execute(
                sa.insert(t.streams).values(stream=newest.stream, **values)
            )


# --- two histories


async def test_a_tail_deleted_at_the_provider_is_proved(world: World) -> None:
    await ask(world, 4)
    cut(world, 2)
    report = await reconcile(world.supplier, world.maker)
    [told] = report["streams"]
    [found] = told["differences"]
    assert (found["kind"], found["numbers"]) == ("rolled_back", "2-3")
    [proof] = proofs(world, world.supplier)
    assert found["evidence"] == {f"fork-{stream(world)[:8]}-3.json": proof}
    assert await alarms(world.supplier) == ["partner.forked"]
    await reconcile(world.supplier, world.maker)
    assert len(proofs(world, world.supplier)) == 1
    assert "stream.diverged" in await alarms(world.maker)


async def test_a_provider_that_lost_its_tail_learns_it_and_stops(world: World) -> None:
    await ask(world, 4)
    cut(world, 2)
    assert await differences(world.maker, world.supplier) == [("we_lack", "2-3")]
    assert "log.forked" in await alarms(world.maker)
    answer = await world.query()
    assert answer.status == 503


@pytest.mark.parametrize("since", [0, 3, 6])
async def test_a_history_that_was_signed_anew_is_proved(
    world: World, since: int
) -> None:
    await ask(world, 7)
    rewrite(world, since)
    assert await differences(world.supplier, world.maker) == [("forked", str(since))]
    [proof] = proofs(world, world.supplier)
    assert proof["first"]["receipt"]["sequence"] == since
    assert await alarms(world.supplier) == ["partner.forked"]
    assert ("we_lack", str(since)) in await differences(world.maker, world.supplier)


async def test_a_longer_history_that_was_signed_anew_is_proved(world: World) -> None:
    await ask(world, 3)
    await lose(world)
    rewrite(world, 1)
    assert await differences(world.supplier, world.maker) == [("forked", "1")]
    assert len(proofs(world, world.supplier)) == 1


async def test_two_receipts_of_one_number_that_we_hold_are_proved(world: World) -> None:
    await ask(world, 2)
    mine = world.maker.receipts()[1]
    rewrite(world, 1)
    other = world.maker.receipts()[1]
    now = world.clock.now()
    await world.supplier.services.store.write(
        lambda work: work.receipts.receive(
            Received(signed=other, at=now, verified=False, checks=[], disclosure=None)
        )
    )
    found = await differences(world.supplier, world.maker)
    assert ("forked", "1") in found
    [proof] = proofs(world, world.supplier)
    assert proof["first"] == mine.to_json()


# --- who may ask


async def test_nobody_is_told_of_streams_that_are_not_its_own(world: World) -> None:
    await ask(world)
    for path, body in (
        ("/streams/entry", {"sequence": 0, "most": 64}),
        ("/streams/head", {"head": {}, "unacknowledged": []}),
    ):
        whole = {"agreement": world.agreement, **body}
        token = world.charger.token(
            world.maker.did, path, whole, agreement=world.agreement
        )
        answer = await world.maker.client.post(
            path, json=whole, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 404
        assert answer.json()["code"] == "agreement.unknown"
        bare = await world.maker.client.post(path, json=whole)
        assert bare.status_code == 401


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"head": {}, "signature": ""},
        {"head": {"typ": "fieldpact/stream-head/1"}, "signature": b64u(bytes(64))},
    ],
)
async def test_a_head_that_is_none_is_refused(
    world: World, head: dict[str, Any]
) -> None:
    body = {"agreement": world.agreement, "head": head, "unacknowledged": []}
    token = world.supplier.token(
        world.maker.did, "/streams/head", body, agreement=world.agreement
    )
    answer = await world.maker.client.post(
        "/streams/head", json=body, headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "stream.head")


@pytest.mark.parametrize("body", [[], {}, {"head": {}}, {"entries": [{}]}, "x"])
@pytest.mark.parametrize("path", ["/streams/head", "/streams/entry"])
async def test_an_answer_that_cannot_be_read_accuses_nobody(
    world: World, path: str, body: Any
) -> None:
    await ask(world, 2)
    await lose(world)
    world.wire.forge[path] = Reply(status=200, body=body)
    for node, partner in (
        (world.supplier, world.maker),
        (world.maker, world.supplier),
    ):
        report = await reconcile(node, partner)
        assert report["state"] in {"partial", "different"}
        assert "partner.forked" not in await alarms(node)
    world.wire.forge.clear()


async def test_a_stranger_or_another_agreement_is_not_compared(world: World) -> None:
    body = {"partner": "did:web:nobody.test", "agreement": None}
    answer = await world.maker.manage("/management/reconcile", body, expect=404)
    assert answer["code"] == "participant.unknown"
    body = {"partner": world.supplier.did, "agreement": "urn:uuid:none"}
    answer = await world.maker.manage("/management/reconcile", body, expect=404)
    assert answer["code"] == "agreement.unknown"
    assert (await reconcile(world.maker, world.charger))["streams"] == []


# --- long streams


async def test_a_difference_in_five_thousand_receipts_takes_14_questions(
    world: World,
) -> None:
    ours, theirs = long_streams(world, 5000, since=1234)
    append(world.maker, *theirs)
    now = world.clock.now()

    def _receive(work: UnitOfWork) -> None:
        for each in ours:
            work.receipts.receive(
                Received(signed=each, at=now, verified=True, checks=[], disclosure=None)
            )

    await world.supplier.services.store.write(_receive)
    [told] = (await reconcile(world.supplier, world.maker))["streams"]
    assert told["differences"][0]["kind"] == "forked"
    assert told["differences"][0]["numbers"] == "1234"
    assert told["questions"] <= 14


def long_streams(
    world: World, size: int, *, since: int
) -> tuple[list[SignedReceipt], list[SignedReceipt]]:
    """Return two histories of a stream that part at a number, both signed."""
    signer = world.maker.services.disclose.signer
    histories: list[list[SignedReceipt]] = [[], []]
    for which, history in enumerate(histories):
        previous = FIRST
        for sequence in range(size):
            if which and sequence < since:
                history.append(histories[0][sequence])
            else:
                code = "purpose.mismatch" if which else "field.not_granted"
                core = refusal(world, sequence, previous, code)
                history.append(sign_receipt(core, signer))
            previous = history[-1].receipt.receipt_id
    return histories[0], histories[1]


def refusal(world: World, sequence: int, previous: str, code: str) -> Receipt:
    return Receipt(
        provider=world.maker.did,
        consumer=world.supplier.did,
        agreement=world.agreement,
        agreement_hash=None,
        stream=stream(world),
        sequence=sequence,
        previous=previous,
        at="2026-11-22T18:20:00Z",
        request_hash="0" * 64,
        nonce=None,
        dataset=None,
        purpose=None,
        fields=(),
        where=(),
        statement=None,
        decision="deny",
        denials=(code,),
        customers=1,
        records=0,
        withheld=0,
        snapshot=None,
        response_hash=None,
        policy=PolicyReference(revision="0" * 64, input_hash="0" * 64, engine="test"),
        key_id=world.maker.me.signing.key_id(world.maker.did),
    )


# --- alarms


async def test_an_alarm_is_listed_and_ends_with_a_reason(world: World) -> None:
    await ask(world, 2)
    cut(world, 1)
    await reconcile(world.supplier, world.maker)
    [alarm] = (await world.supplier.manage("/audit/alarms"))["items"]
    assert (alarm["code"], alarm["subject"]) == ("partner.forked", world.maker.did)
    assert not alarm["stops"]
    summary = await world.supplier.manage("/audit/summary")
    assert [each["code"] for each in summary["alarms"]] == ["partner.forked"]
    body = {"code": alarm["code"], "subject": alarm["subject"], "why": "They restored."}
    await world.supplier.manage("/management/alarms/clear", body)
    assert not await alarms(world.supplier)
    again = await world.supplier.manage("/management/alarms/clear", body, expect=404)
    assert again["code"] == "alarm.unknown"


async def test_how_streams_stand_is_told_to_auditors(world: World) -> None:
    await ask(world, 3)
    told = await world.maker.manage("/audit/streams")
    [mine] = told["items"]
    assert told["most_unacknowledged"] > 0
    assert (mine["role"], mine["receipts"], mine["open"]) == ("provider", 3, 1)
    assert mine["compared"] is None
    [held] = (await world.supplier.manage("/audit/streams"))["items"]
    assert (held["role"], held["receipts"], held["open"]) == ("consumer", 3, 1)
    await reconcile(world.supplier, world.maker)
    [held] = (await world.supplier.manage("/audit/streams"))["items"]
    assert (held["open"], held["compared"]["state"]) == (0, "same")
