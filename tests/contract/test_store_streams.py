"""Copies of streams: which numbers are there, twice, unsigned; and comparisons kept."""

import dataclasses
import datetime
from collections.abc import Sequence

from ledger.receipts import FIRST, SignedReceipt, countersign, sign_receipt
from node.adapters.sql.store import SqlStore
from node.domain.negotiation import Role
from node.ports import Received, Reconciled, SentCall, UnitOfWork
from tests.contract.samples import KEY, NOW, agreement, append, receipt

STREAM = receipt(0, FIRST).stream


def chain(size: int) -> list[SignedReceipt]:
    made: list[SignedReceipt] = []
    for sequence in range(size):
        previous = made[-1].receipt.receipt_id if made else FIRST
        made.append(sign_receipt(receipt(sequence, previous), KEY))
    return made


def received(signed: SignedReceipt, **changes: object) -> Received:
    values = {
        "signed": signed,
        "at": NOW,
        "verified": True,
        "checks": [],
        "disclosure": None,
    }
    return Received(**(values | changes))  # type: ignore[arg-type]


async def keep(store: SqlStore, *items: Received) -> None:
    def _keep(work: UnitOfWork) -> None:
        for each in items:
            work.receipts.receive(each)

    await store.write(_keep)


class TestCopies:
    async def test_an_empty_copy_has_no_numbers(self, store: SqlStore) -> None:
        def _look(view: UnitOfWork) -> list[Sequence[object]]:
            copies = [view.streams.copy(role) for role in Role]
            return [
                found
                for copy in copies
                for found in (
                    copy.numbers(STREAM),
                    copy.at(STREAM, 0),
                    copy.unsigned(STREAM, 9),
                    copy.twice(STREAM),
                )
            ]

        assert not any(await store.read(_look))

    async def test_a_whole_copy_is_told_as_a_range(self, store: SqlStore) -> None:
        await keep(store, *map(received, chain(4)))
        numbers = await store.read(
            lambda view: view.streams.copy(Role.CONSUMER).numbers(STREAM)
        )
        assert numbers == range(4)

    async def test_holes_are_left_out(self, store: SqlStore) -> None:
        made = chain(6)
        await keep(store, *(received(made[at]) for at in (5, 0, 3)))
        copy = await store.read(
            lambda view: (
                view.streams.copy(Role.CONSUMER).numbers(STREAM),
                view.streams.copy(Role.CONSUMER).at(STREAM, 1, 5),
            )
        )
        assert list(copy[0]) == [0, 3, 5]
        assert [each.sequence for each in copy[1]] == [3, 5]

    async def test_two_receipts_of_one_number_are_both_there(
        self, store: SqlStore
    ) -> None:
        made = chain(2)
        changed = dataclasses.replace(made[1].receipt, customers=9)
        other = sign_receipt(changed, KEY)
        await keep(store, *map(received, (*made, other)))
        copy = await store.read(
            lambda view: (
                view.streams.copy(Role.CONSUMER).twice(STREAM),
                view.streams.copy(Role.CONSUMER).at(STREAM, 1),
                list(view.streams.copy(Role.CONSUMER).numbers(STREAM)),
            )
        )
        assert list(copy[0]) == [1]
        assert [each.signed for each in copy[1]] == [made[1], other]
        assert copy[2] == [0, 1]

    async def test_what_is_signed_back_is_not_unsigned(self, store: SqlStore) -> None:
        made = chain(3)
        signature = countersign(made[1], KEY)
        await keep(
            store,
            received(made[0]),
            received(made[1], countersignature=signature),
            received(made[2]),
        )
        copy = await store.read(
            lambda view: (
                list(view.streams.copy(Role.CONSUMER).unsigned(STREAM, 9)),
                list(view.streams.copy(Role.CONSUMER).unsigned(STREAM, 1)),
                view.streams.copy(Role.CONSUMER).at(STREAM, 1)[0].countersignature,
            )
        )
        assert copy == ([0, 2], [0], signature)

    async def test_a_provider_shows_what_it_appended(self, store: SqlStore) -> None:
        for _ in range(3):
            await store.write(append)
        copy = await store.read(
            lambda view: (
                view.streams.copy(Role.PROVIDER).numbers(STREAM),
                view.streams.copy(Role.PROVIDER).at(STREAM, 2)[0],
                list(view.streams.copy(Role.PROVIDER).unsigned(STREAM, 9)),
            )
        )
        assert copy[0] == range(3)
        assert (copy[1].sequence, copy[1].verified, copy[1].erased) == (2, True, None)
        assert copy[2] == [0, 1, 2]


async def test_the_last_comparison_of_a_stream_is_kept(store: SqlStore) -> None:
    def made(state: str) -> Reconciled:
        return Reconciled(stream=STREAM, at=NOW, state=state, report={"种类": state})

    assert await store.read(lambda view: view.streams.reconciled()) == {}
    await store.write(lambda work: work.streams.keep(made("different")))
    await store.write(lambda work: work.streams.keep(made("same")))
    found = await store.read(lambda view: view.streams.reconciled())
    assert found == {STREAM: made("same")}


async def test_calls_without_a_receipt_are_counted_once_they_are_old(
    store: SqlStore,
) -> None:
    def call(nonce: str, seconds: int) -> SentCall:
        return SentCall(
            nonce=nonce,
            stream=STREAM,
            provider="did:web:me.test",
            agreement=agreement().id,
            request_hash="0" * 64,
            token="a.b.c",
            at=NOW - datetime.timedelta(seconds=seconds),
        )

    def _send(work: UnitOfWork) -> None:
        for number, seconds in enumerate((0, 100, 200)):
            work.receipts.send(call(str(number), seconds))

    await store.write(_send)
    before = NOW - datetime.timedelta(seconds=50)
    assert await store.read(lambda view: view.streams.unanswered(STREAM, before)) == 2
    assert await store.read(lambda view: view.streams.unanswered("f" * 64, NOW)) == 0
