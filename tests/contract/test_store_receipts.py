"""Receipts: nonces, rates, probes and streams, under calls at once."""

import asyncio
import dataclasses
import datetime
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from crypto.encoding import b64u
from crypto.keys import Ed25519Key
from ledger.conditions import Condition
from ledger.receipts import (
    FIRST,
    Countersignature,
    check_successor,
    countersign,
    sign_receipt,
)
from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore
from node.domain.agreement import Status
from node.domain.disclosure import Caller
from node.errors import Unavailable
from node.ports import Received, UnitOfWork
from tests.contract.samples import (
    HOUR,
    KEY,
    ME,
    NOW,
    YOU,
    Undo,
    agreement,
    append,
    caller,
    dump,
    kept,
    receipt,
    request,
)


class TestNonces:
    async def test_a_nonce_is_claimed_once(self, store: SqlStore) -> None:
        def claim(nonce: str, did: str = YOU) -> Any:
            return store.write(lambda w: w.receipts.claim(caller(nonce, did), NOW))

        assert await claim("one")
        assert not await claim("one")
        assert await claim("two")
        assert await claim("one", ME)
        assert not await claim("one", ME)

    async def test_of_claims_at_once_one_succeeds(self, store: SqlStore) -> None:
        def claim(work: UnitOfWork) -> bool:
            return work.receipts.claim(caller(), NOW)

        claims = await asyncio.gather(*(store.write(claim) for _ in range(20)))
        assert sorted(claims) == [False] * 19 + [True]

    async def test_a_claim_that_was_undone_can_be_made_again(
        self, store: SqlStore
    ) -> None:
        def fail(work: UnitOfWork) -> None:
            assert work.receipts.claim(caller(), NOW)
            raise Undo

        with pytest.raises(Undo):
            await store.write(fail)
        assert await store.write(lambda w: w.receipts.claim(caller(), NOW))

    async def test_a_nonce_is_seen_by_its_issuer_and_until_it_is_forgotten(
        self, store: SqlStore
    ) -> None:
        async def seen(nonce: str | None, did: str | None = YOU) -> bool:
            who = Caller(did=did, problem="", nonce=nonce)
            situation = await store.read(
                lambda view: view.receipts.situation(request(), who, HOUR)
            )
            return situation.nonce_seen

        await store.write(lambda w: w.receipts.claim(caller("x"), NOW))
        assert await seen("x")
        assert not await seen("y")
        assert not await seen("x", ME)
        assert not await seen(None, None)
        second = datetime.timedelta(seconds=1)
        await store.write(lambda w: w.receipts.forget_nonces(NOW))
        assert await seen("x")
        await store.write(lambda w: w.receipts.forget_nonces(NOW + second))
        assert not await seen("x")

    async def test_the_longest_nonce_and_names_fit(self, store: SqlStore) -> None:
        nonce = b64u(bytes(64))
        long = f"did:web:{'a' * 200}"
        assert await store.write(lambda w: w.receipts.claim(caller(nonce, long), NOW))
        changes = {
            "consumer": long,
            "agreement": "a" * 128,
            "dataset": "d" * 128,
            "purpose": "p" * 128,
            "fields": ("f" * 64,),
        }
        signed = await store.write(lambda w: append(w, **changes))
        entry = await store.read(lambda v: v.receipts.entry(signed.receipt.receipt_id))
        assert entry is not None
        assert entry.signed == signed


class TestRates:
    async def test_the_cap_is_exact_under_calls_at_once(self, store: SqlStore) -> None:
        def count(work: UnitOfWork) -> bool:
            return work.receipts.count_call("a", HOUR, 10)

        counted = await asyncio.gather(*(store.write(count) for _ in range(30)))
        assert sum(counted) == 10

    async def test_each_agreement_and_hour_counts_by_itself(
        self, store: SqlStore
    ) -> None:
        for name, hour in (("a", HOUR), ("b", HOUR), ("a", HOUR + 1)):
            for expected in (True, False):
                assert (
                    await store.write(
                        lambda w, n=name, h=hour: w.receipts.count_call(n, h, 1)  # type: ignore[misc]
                    )
                    is expected
                )

    async def test_a_call_that_was_undone_is_not_counted(self, store: SqlStore) -> None:
        def fail(work: UnitOfWork) -> None:
            assert work.receipts.count_call(agreement().id, HOUR, 2)
            raise Undo

        for _ in range(3):
            with pytest.raises(Undo):
                await store.write(fail)
        situation = await store.read(
            lambda view: view.receipts.situation(request(), caller(), HOUR)
        )
        assert situation.calls_this_hour == 0

    async def test_a_situation_tells_what_a_decision_needs(
        self, store: SqlStore
    ) -> None:
        nothing = await store.read(
            lambda view: view.receipts.situation(request(), caller(), HOUR)
        )
        assert nothing.agreement is None
        assert nothing.status is Status.REVOKED
        await store.write(lambda w: w.agreements.add(kept()))
        await store.write(
            lambda w: w.agreements.set_status(agreement().id, Status.SUSPENDED)
        )
        for _ in range(3):
            await store.write(lambda w: w.receipts.count_call(agreement().id, HOUR, 9))
        found = await store.read(
            lambda view: view.receipts.situation(request(), caller(), HOUR)
        )
        assert found.agreement == agreement()
        assert (found.status, found.calls_this_hour) == (Status.SUSPENDED, 3)


def at_least(value: int, field: str = "spend") -> Condition:
    return Condition.of("at_least", [field], [value])


class TestProbes:
    """How often a field that stays hidden may be asked about, of one customer."""

    async def seen(self, store: SqlStore, **asked: Any) -> dict[str, int]:
        situation = await store.read(
            lambda view: view.receipts.situation(request(**asked), caller(), HOUR)
        )
        return dict(situation.probes)

    async def probe(self, store: SqlStore, cap: int = 2, **asked: Any) -> bool:
        caps = {"spend": cap, "units": cap}
        return await store.write(lambda w: w.receipts.probe(request(**asked), caps))

    async def test_each_condition_counts_once_of_each_customer(
        self, store: SqlStore
    ) -> None:
        first, second = at_least(1), at_least(2)
        for _ in range(3):
            assert await self.probe(store, customers=(1, 2), where=(first,))
        assert await self.probe(store, customers=(2, 3), where=(second,))
        assert not await self.probe(store, customers=(2,), where=(at_least(3),))
        assert await self.probe(store, customers=(1, 3), where=(at_least(3),))
        assert await self.probe(store, customers=(2,), where=(first, second))

    async def test_a_situation_tells_the_most_that_would_be_counted(
        self, store: SqlStore
    ) -> None:
        first = at_least(1)
        assert await self.seen(store) == {}
        assert await self.seen(store, where=(first,)) == {"spend": 1}
        await self.probe(store, 9, customers=(1, 2), where=(first,))
        await self.probe(store, 9, customers=(2,), where=(at_least(2),))
        expected: list[tuple[tuple[int, ...], tuple[Condition, ...], dict[str, int]]]
        expected = [
            ((1,), (first,), {"spend": 1}),
            ((1,), (at_least(3),), {"spend": 2}),
            ((1, 2, 3), (at_least(3),), {"spend": 3}),
            ((1, 2, 3), (at_least(3), at_least(4)), {"spend": 4}),
            ((2,), (first, at_least(3)), {"spend": 3}),
            ((3,), (at_least(3), at_least(1, "units")), {"spend": 1, "units": 1}),
        ]
        for customers, where, probes in expected:
            assert await self.seen(store, customers=customers, where=where) == probes
            # What a situation foresees is what is counted: not one more is needed.
            most = max(probes.values())
            assert not await self.probe(
                store, most - 1, customers=customers, where=where
            )
        other = request("urn:uuid:other", where=(first,))
        situation = await store.read(
            lambda view: view.receipts.situation(other, caller(), HOUR)
        )
        assert situation.probes == {"spend": 1}

    async def test_a_condition_on_two_fields_counts_of_both(
        self, store: SqlStore
    ) -> None:
        both = Condition.of("no_more_than", ["spend", "units"])
        assert await self.seen(store, where=(both,)) == {"spend": 1, "units": 1}
        assert await self.probe(store, 1, where=(both,))
        assert not await self.probe(store, 1, where=(at_least(1),))
        assert not await self.probe(store, 1, where=(at_least(1, "units"),))
        assert await self.probe(store, 1, where=(both,))

    async def test_what_exceeds_a_cap_is_not_counted_at_all(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await self.probe(store, 1, customers=(2,), where=(at_least(1),))
        before = dump(engine)
        assert not await self.probe(
            store, 1, customers=(1, 2, 3), where=(at_least(2), at_least(1, "units"))
        )
        assert not await self.probe(store, 0, where=(at_least(2),))
        assert dump(engine) == before

    async def test_a_field_without_a_cap_may_not_be_asked_about(
        self, store: SqlStore
    ) -> None:
        asked = request(where=(at_least(1), at_least(1, "rating")))
        assert not await store.write(lambda w: w.receipts.probe(asked, {"spend": 9}))
        assert await self.seen(store, where=(at_least(1),)) == {"spend": 1}

    async def test_a_call_that_was_undone_has_probed_nothing(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        def fail(work: UnitOfWork) -> None:
            assert work.receipts.probe(request(where=(at_least(1),)), {"spend": 1})
            raise Undo

        with pytest.raises(Undo):
            await store.write(fail)
        assert dump(engine)["probes"] == []

    async def test_thousands_of_customers_are_probed_at_once(
        self, store: SqlStore
    ) -> None:
        many = tuple(range(2500))
        assert await self.probe(store, 1, customers=many, where=(at_least(1),))
        assert await self.probe(store, 1, customers=many, where=(at_least(1),))
        assert not await self.probe(store, 1, customers=(2499,), where=(at_least(2),))

    async def test_of_calls_at_once_for_the_last_probe_one_is_counted(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await store.write(lambda w: w.agreements.add(kept()))
        await self.probe(store, where=(at_least(0),))
        counted = await asyncio.gather(
            *(self.probe(store, where=(at_least(n),)) for n in range(1, 17))
        )
        assert sum(counted) == 1
        assert len(dump(engine)["probes"]) == 2

    async def test_two_transactions_do_not_share_the_last_probe(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        """The first has counted and not committed when the second begins."""
        if engine.dialect.name == "sqlite":
            pytest.skip("one transaction writes at a time")
        await store.write(lambda w: w.agreements.add(kept()))
        counted, go_on = threading.Event(), threading.Event()

        def first(work: UnitOfWork) -> bool:
            found = work.receipts.probe(request(where=(at_least(1),)), {"spend": 1})
            counted.set()
            assert go_on.wait(120)
            return found

        one = asyncio.create_task(store.write(first))
        await asyncio.to_thread(counted.wait, 120)
        two = asyncio.create_task(self.probe(store, 1, where=(at_least(2),)))
        await asyncio.sleep(0.2)
        assert not two.done()
        go_on.set()
        assert (await one, await two) == (True, False)


class TestStreams:
    async def test_streams_have_no_gap_under_appends_at_once(
        self, store: SqlStore
    ) -> None:
        names = ["a", "a", "b", "a"] * 5
        signed = await asyncio.gather(
            *(store.write(lambda w, n=n: append(w, agreement=n)) for n in names)  # type: ignore[misc]
        )
        for name, count in (("a", 15), ("b", 5)):
            stream = sorted(
                (s.receipt for s in signed if s.receipt.agreement == name),
                key=lambda each: each.sequence,
            )
            assert len(stream) == count
            for before, after in zip([None, *stream], stream, strict=False):
                check_successor(before, after)

    async def test_an_append_that_was_undone_leaves_no_gap(
        self, store: SqlStore
    ) -> None:
        first = await store.write(append)

        def fail(work: UnitOfWork) -> None:
            append(work)
            raise Undo

        with pytest.raises(Undo):
            await store.write(fail)
        second = await store.write(append)
        check_successor(first.receipt, second.receipt)

    async def test_a_new_stream_begins_at_nothing(self, store: SqlStore) -> None:
        assert await store.write(lambda w: w.receipts.head("ab" * 32)) == (0, FIRST)

    async def test_a_receipt_cannot_take_anothers_place(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await store.write(append)
        before = dump(engine)

        def twice(work: UnitOfWork) -> None:
            other = sign_receipt(receipt(0, FIRST), KEY)
            work.receipts.append(
                other, salt=bytes(32), token=None, question="{}", took_ms=0
            )

        with pytest.raises(Unavailable):
            await store.write(twice)
        assert dump(engine) == before

    async def test_a_receipt_is_kept_to_the_byte(self, store: SqlStore) -> None:
        signed = await store.write(append)
        entry = await store.read(
            lambda view: view.receipts.entry(signed.receipt.receipt_id)
        )
        assert entry is not None
        assert entry.signed == signed
        assert entry.signed.receipt.canonical() == signed.receipt.canonical()
        assert (entry.index, entry.countersignature) == (None, None)
        assert await store.read(lambda view: view.receipts.entry("0" * 64)) is None

    async def test_entries_are_found_by_their_ids_and_in_the_order_of_the_log(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        signed = [await store.write(append) for _ in range(3)]
        ids = [each.receipt.receipt_id for each in signed]
        found = await store.read(
            lambda view: view.receipts.entries([*ids[::-1], "0" * 64])
        )
        assert list(found) == ids
        assert [each.signed for each in found.values()] == signed
        assert await store.read(lambda view: view.receipts.entries([])) == {}
        with engine.begin() as connection:
            column = t.receipts.c.receipt_id
            gone = sa.update(t.receipts).where(column == ids[1])
            connection.execute(gone.values(erased_at=1, erased_why="retention"))
        found = await store.read(lambda view: view.receipts.entries(ids))
        assert list(found) == [ids[0], ids[2]]

    async def test_the_first_countersignature_stays(self, store: SqlStore) -> None:
        signed = await store.write(append)
        consumer = Ed25519Key.from_bytes(b"consumer".ljust(32))
        right = countersign(signed, consumer)
        other = Countersignature(key_id="other", signature=bytes(64))
        receipt_id = signed.receipt.receipt_id
        for given in (right, other, right):
            await store.write(
                lambda w, g=given: w.receipts.countersign(receipt_id, g)  # type: ignore[misc]
            )
        entry = await store.read(lambda view: view.receipts.entry(receipt_id))
        assert entry is not None
        assert entry.countersignature == right

    async def test_the_first_answer_received_stays(self, store: SqlStore) -> None:
        signed = sign_receipt(receipt(0, FIRST), KEY)
        first = Received(
            signed=signed, at=NOW, verified=False, checks=[{"a": "二"}], disclosure=None
        )
        second = dataclasses.replace(first, verified=True, disclosure={"x": 1})
        for each in (first, second):
            await store.write(lambda w, e=each: w.receipts.receive(e))  # type: ignore[misc]
        found = await store.read(
            lambda view: view.receipts.received(signed.receipt.receipt_id)
        )
        assert found == first
        assert await store.read(lambda view: view.receipts.received("0" * 64)) is None
