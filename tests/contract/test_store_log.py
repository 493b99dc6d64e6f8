"""The log: one order and one tree over receipts and snapshots."""

import asyncio
import dataclasses
import threading
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from crypto import merkle
from ledger import log
from ledger.receipts import SignedReceipt
from ledger.snapshots import SignedSnapshot
from node.adapters.sql.store import SqlStore, engine_for
from node.errors import Unavailable
from node.ports import StoredCheckpoint, UnitOfWork, Waiting
from node.services.keep_log import over_nodes
from tests.contract.samples import NOW, append, dump, snapshot


def integrate(work: UnitOfWork) -> bytes:
    """Do what the log's keeper does; return the new root."""
    size = work.log.size()
    waiting = work.log.waiting(1000)
    leaves = [log.leaf(entry.signed, entry.salt) for entry in waiting]
    grown = over_nodes(work, lambda read: log.integrate(size, read, leaves))
    work.log.integrate(size, waiting, grown.nodes)
    return grown.root


async def index(store: SqlStore, signed: SignedReceipt | SignedSnapshot) -> int | None:
    """Return where an entry is in the tree."""

    def look(view: UnitOfWork) -> int | None:
        if isinstance(signed, SignedReceipt):
            entry = view.receipts.entry(signed.receipt.receipt_id)
            assert entry is not None
            return entry.index
        kept = view.snapshots.find(signed.snapshot.snapshot_id)
        assert kept is not None
        return kept.index

    return await store.read(look)


class TestLog:
    async def test_whoever_writes_on_sqlite_leads(
        self, store: SqlStore, kind: str
    ) -> None:
        if kind == "sqlite":
            assert await store.write(lambda work: work.log.lead())

    async def test_one_process_leads_until_its_transaction_ends(
        self, store: SqlStore, url: str, kind: str
    ) -> None:
        if kind == "sqlite":
            pytest.skip("of SQLite's writers there is one at a time")
        begun, end = threading.Event(), threading.Event()

        def lead(work: UnitOfWork) -> bool:
            leads = work.log.lead() and work.log.lead()  # as often as it asks
            begun.set()
            assert end.wait(120)
            return leads

        first = asyncio.create_task(store.write(lead))
        assert await asyncio.to_thread(begun.wait, 120)
        other = SqlStore(engine_for(url))
        try:
            assert not await other.write(lambda work: work.log.lead())
            end.set()
            assert await first
            assert await other.write(lambda work: work.log.lead())
        finally:
            await asyncio.to_thread(other.close)

    async def test_entries_wait_in_order_until_they_are_integrated(
        self, store: SqlStore
    ) -> None:
        leaves: list[bytes] = []
        waiting: Sequence[Waiting] = []
        for count in (1, 2, 5, 8):
            for _ in range(count):
                await store.write(append)
            waiting = await store.read(lambda view: view.log.waiting(100))
            assert len(waiting) == count
            rows = [entry.row for entry in waiting]
            assert rows == sorted(rows)
            leaves += [log.leaf(entry.signed, entry.salt) for entry in waiting]
            assert await store.write(integrate) == merkle.root(leaves)
            assert await store.read(lambda view: view.log.size()) == len(leaves)
            assert await store.read(lambda view: view.log.waiting(100)) == []
        assert [await index(store, entry.signed) for entry in waiting] == [
            *range(8, 16)
        ]

    async def test_waiting_entries_come_in_portions(self, store: SqlStore) -> None:
        for _ in range(5):
            await store.write(append)
        assert len(await store.read(lambda view: view.log.waiting(3))) == 3

    async def test_no_entry_and_no_node_is_integrated_twice(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await store.write(append)
        (entry,) = await store.read(lambda view: view.log.waiting(1))
        await store.write(integrate)
        before = dump(engine)
        other = await store.write(append)
        (second,) = await store.read(lambda view: view.log.waiting(1))
        assert second.signed == other
        for action in (
            lambda w: w.log.integrate(0, [second], [(0, 1, bytes(32))]),
            lambda w: w.log.integrate(1, [second], [(0, 0, bytes(32))]),
        ):
            with pytest.raises(Unavailable):
                await store.write(action)
        after = dump(engine)
        assert after["log_nodes"] == before["log_nodes"]
        assert entry.row < second.row

    async def test_receipts_and_snapshots_grow_one_tree(self, store: SqlStore) -> None:
        leaves: list[bytes] = []
        entries: list[SignedReceipt | SignedSnapshot] = []
        for number in range(4):
            made = snapshot(number)
            await store.write(lambda w, s=made: w.snapshots.publish(s, {}))  # type: ignore[misc]
            for _ in range(number):
                await store.write(append)
            waiting = await store.read(lambda view: view.log.waiting(100))
            assert [type(entry.signed) for entry in waiting] == [
                *[SignedReceipt] * number,
                SignedSnapshot,
            ]
            assert waiting[-1].signed == made.signed
            assert waiting[-1].salt == made.salt
            leaves += [log.leaf(entry.signed, entry.salt) for entry in waiting]
            entries += [entry.signed for entry in waiting]
            assert await store.write(integrate) == merkle.root(leaves)
            assert await store.read(lambda view: view.log.size()) == len(leaves)
            assert await store.read(lambda view: view.log.waiting(100)) == []
        assert [await index(store, entry) for entry in entries] == [*range(10)]

    async def test_a_portion_of_what_waits_is_of_both(self, store: SqlStore) -> None:
        for number in range(3):
            made = snapshot(number)
            await store.write(lambda w, s=made: w.snapshots.publish(s, {}))  # type: ignore[misc]
            await store.write(append)
        for most in range(7):
            waiting = await store.read(lambda view, m=most: view.log.waiting(m))  # type: ignore[misc]
            names = [entry.row[0] for entry in waiting]
            assert names == ["receipt", "receipt", "receipt", *["snapshot"] * 3][:most]

    async def test_no_snapshot_takes_the_place_of_a_receipt(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await store.write(append)
        await store.write(integrate)
        await store.write(lambda w: w.snapshots.publish(snapshot(), {}))
        before = dump(engine)
        (waiting,) = await store.read(lambda view: view.log.waiting(1))
        leaf = log.leaf(waiting.signed, waiting.salt)
        with pytest.raises(Unavailable):
            await store.write(lambda w: w.log.integrate(0, [waiting], [(0, 0, leaf)]))
        assert dump(engine) == before

    async def test_two_integrators_at_once_do_not_spoil_the_tree(
        self, store: SqlStore
    ) -> None:
        for number in range(4):
            made = snapshot(number)
            await store.write(lambda w, s=made: w.snapshots.publish(s, {}))  # type: ignore[misc]
            await store.write(append)
        waiting = await store.read(lambda view: view.log.waiting(10))
        leaves = [log.leaf(entry.signed, entry.salt) for entry in waiting]

        def once(work: UnitOfWork) -> None:
            if work.log.waiting(1):
                integrate(work)

        await asyncio.gather(
            *(store.write(once) for _ in range(4)), return_exceptions=True
        )
        assert await store.read(lambda view: view.log.size()) == 8
        nodes = await store.read(
            lambda view: view.log.nodes([(0, index) for index in range(8)])
        )
        assert [nodes[0, index] for index in range(8)] == leaves

    async def test_many_nodes_are_read_at_once(self, store: SqlStore) -> None:
        nodes = [(0, index, index.to_bytes(32)) for index in range(1000)]
        await store.write(append)
        (entry,) = await store.read(lambda view: view.log.waiting(1))
        await store.write(lambda w: w.log.integrate(0, [entry], nodes))
        wanted = [(0, index) for index in range(1100)]
        found = await store.read(lambda view: view.log.nodes(wanted))
        assert found == {(0, index): value for _, index, value in nodes}

    async def test_checkpoints_are_found_by_size_and_the_newest(
        self, store: SqlStore
    ) -> None:
        assert await store.read(lambda view: view.log.checkpoint()) is None
        notes = [
            StoredCheckpoint(
                size=size, root=bytes([size]) * 32, note=f"二{size}", at=NOW
            )
            for size in (3, 10, 9)
        ]
        for note in notes:
            await store.write(lambda w, n=note: w.log.publish(n))  # type: ignore[misc]
        assert await store.read(lambda view: view.log.checkpoint()) == notes[1]
        assert await store.read(lambda view: view.log.checkpoint(3)) == notes[0]
        assert await store.read(lambda view: view.log.checkpoint(4)) is None

    async def test_one_size_has_one_checkpoint(self, store: SqlStore) -> None:
        first = StoredCheckpoint(size=1, root=bytes(32), note="one", at=NOW)
        await store.write(lambda w: w.log.publish(first))
        other = dataclasses.replace(first, root=b"r" * 32, note="two")
        with pytest.raises(Unavailable):
            await store.write(lambda w: w.log.publish(other))
        assert await store.read(lambda view: view.log.checkpoint()) == first
