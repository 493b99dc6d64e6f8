"""The log, leaf by leaf: entries, tree and checkpoints in one walk."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from crypto import merkle
from crypto.errors import CryptoError
from crypto.hashing import HASHES
from ledger.rebuild import Fault, Rebuild, Wrong
from ledger.receipts import FIRST
from node.adapters.sql import tables as t
from node.adapters.sql.fsck import budgets, published, received, snapshots
from node.adapters.sql.fsck.findings import Basis, Finding, Row, pages
from node.adapters.sql.fsck.receipts import (
    Streams,
    check_erased,
    check_written,
    parsed,
)

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many entries of how many have been looked at."""
_WINDOW: Final = 1024
_n = t.log_nodes.c


def check(
    connection: Connection, basis: Basis, progress: Progress = lambda *_: None
) -> Iterator[Finding]:
    """Yield everything that is wrong with a node's log, and with what it received.

    Args:
        connection: In a transaction that sees one state of the store.
        basis: Whose it is; counts what is looked at.
        progress: See there.

    Raises:
        ChainUnavailable: The chain was to be asked, and does not answer.
    """
    walk = _Walk(connection, basis, progress)
    yield from walk()
    yield from published.check_anchors(connection, basis, walk.size)
    yield from published.check_cosignatures(connection, basis)
    yield from published.check_witnessed(connection, basis)
    yield from snapshots.check_trees(connection, walk.committed)
    yield from snapshots.check_declarations(connection)
    yield from budgets.check_budgets(connection, basis)
    yield from received.check_received(connection, basis)


@dataclass
class _Walk:
    connection: Connection
    basis: Basis
    progress: Progress
    streams: Streams = field(default_factory=Streams)
    committed: snapshots.Chains = field(default_factory=snapshots.Chains)
    names: dict[int, tuple[str, int]] = field(default_factory=dict)
    blamed: set[int] = field(default_factory=set)
    nodes: Mapping[tuple[int, int], bytes] = field(default_factory=dict)

    def __call__(self) -> Iterator[Finding]:
        rebuild = Rebuild(
            lambda level, index: self.nodes.get((level, index)),
            hashing=self.basis.me.hashing,
        )
        notes = published.Checkpoints(self.connection, self.basis)
        yield from notes.follow(rebuild)
        for start in range(0, self.size, _WINDOW):
            end = min(start + _WINDOW, self.size)
            entries = self._open(start, end)
            for index in range(start, end):
                yield from self._entry(index, entries.get(index, []), rebuild)
                yield from notes.follow(rebuild)
            self.basis.entries = end
            self.progress(end, self.size)
        yield from self._told(rebuild.finish())
        yield from notes.finish(rebuild)
        yield from self._strays()
        yield from self._unplaced()
        yield from self._heads()

    @property
    def size(self) -> int:
        """Return how many leaves there are, or must have been."""
        leaves = (
            sa.select(sa.func.count()).select_from(t.log_nodes).where(_n.level == 0)
        )
        placed = [
            self.connection.scalar(sa.select(sa.func.count(table.c.log_index))) or 0
            for table in (t.receipts, t.snapshots)
        ]
        return max(self.connection.scalar(leaves) or 0, sum(placed))

    def _open(self, start: int, end: int) -> dict[int, list[tuple[str, Row]]]:
        """Read a window: its nodes, and its entries by index."""
        self.names, self.blamed = {}, set()
        lasts = [
            sa.and_(
                _n.level == level,
                _n.position >= -(-(start + 1) // (1 << level)) - 1,
                _n.position < end >> level,
            )
            for level in range(end.bit_length())
        ]
        rows = self.connection.execute(sa.select(t.log_nodes).where(sa.or_(*lasts)))
        self.nodes = {(row.level, row.position): row.hash for row in rows}
        entries: dict[int, list[tuple[str, Row]]] = defaultdict(list)
        for table in (t.receipts, t.snapshots):
            place = table.c.log_index
            some = sa.select(table).where(place >= start, place < end)
            for row in self.connection.execute(some):
                entries[row.log_index].append((table.name, row))
        self._beside([row for found in entries.values() for _, row in found])
        return entries

    def _beside(self, rows: list[Row]) -> None:
        """Read what stands in other tables about receipts."""
        numbers = [row.sequence for row in rows]
        self.fields, self.denials = (
            self._many(table, column, numbers)
            for table, column in (
                (t.receipt_fields, t.receipt_fields.c.field),
                (t.receipt_denials, t.receipt_denials.c.code),
            )
        )

    def _many(
        self, table: sa.Table, column: sa.Column[str], numbers: list[int]
    ) -> dict[int, set[str]]:
        found: dict[int, set[str]] = defaultdict(set)
        for start in range(0, len(numbers), 500):
            some = table.c.sequence.in_(numbers[start : start + 500])
            for number, value in self.connection.execute(
                sa.select(table.c.sequence, column).where(some)
            ):
                found[number].add(value)
        return found

    def _entry(
        self, index: int, found: list[tuple[str, Row]], rebuild: Rebuild
    ) -> Iterator[Finding]:
        if not found:
            wrong = "no receipt and no snapshot has this place in the log"
            yield Finding("log_nodes", f"0/{index}", wrong)
        for number, (table, row) in enumerate(found):
            self.names[index] = (table, row[0])
            if number:
                wrong = f"log_index: another entry has the place {index}, too"
                yield Finding(table, str(row[0]), wrong)
            for wrong in self._wrongs(table, row):
                self.blamed.add(index)
                yield Finding(table, str(row[0]), wrong)
        derived = self._leaf(found[0][1]) if found else None
        yield from self._told(rebuild.add(self.nodes.get((0, index)), derived))

    def _wrongs(self, table: str, row: Row) -> Iterator[str]:
        if table == "snapshots":
            yield from self.committed.follow(row, self.basis)
            return
        self.basis.receipts += 1
        if row.erased_at is not None:
            self.basis.erased += 1
            yield from check_erased(row)
            yield from self.streams.follow(row, None)
            return
        if row.erased_why is not None:
            yield "erased_why: there, though nothing is erased"
        receipt = None
        try:
            receipt = parsed(row)
        except (CryptoError, ValueError, AttributeError) as error:
            yield f"core: {error}"
        if receipt is not None:
            fields, denials = self.fields[row.sequence], self.denials[row.sequence]
            yield from check_written(row, receipt, fields, denials, self.basis)
        yield from self.streams.follow(row, receipt)

    def _leaf(self, row: Row) -> bytes | None:
        """Return the leaf that an entry gives; None where it is erased."""
        if row.core is None or row.salt is None or row.signature is None:
            return None
        hashing = self.basis.me.hashing
        held = HASHES[hashing](row.salt, row.core.encode(), row.signature)
        return merkle.leaf_hash(held, hashing=hashing)

    def _told(self, faults: Iterator[Fault]) -> Iterator[Finding]:
        for fault in faults:
            place = f"{fault.level}/{fault.index}"
            if fault.wrong is not Wrong.ENTRY:
                yield Finding("log_nodes", place, fault.wrong.value)
            elif fault.index not in self.blamed:
                table, row = self.names[fault.index]
                wrong = f"salt: with it, it does not open its leaf, log_nodes {place}"
                yield Finding(table, str(row), wrong)

    def _strays(self) -> Iterator[Finding]:
        """Name nodes that no tree of this size has."""
        beyond = sa.or_(
            *(
                sa.and_(_n.level == level, _n.position >= self.size >> level)
                for level in range(self.size.bit_length())
            ),
            _n.level >= self.size.bit_length(),
            _n.level < 0,
            _n.position < 0,
        )
        for rows in pages(
            self.connection, t.log_nodes, _n.level, _n.position, where=beyond
        ):
            for row in rows:
                wrong = "a tree of this size has no such node"
                yield Finding("log_nodes", f"{row.level}/{row.position}", wrong)

    def _unplaced(self) -> Iterator[Finding]:
        """Check entries that wait for the tree, and name those that are beyond it."""
        for table in (t.receipts, t.snapshots):
            [key] = table.primary_key
            place = table.c.log_index
            out = sa.or_(place.is_(None), place < 0, place >= self.size)
            for rows in pages(self.connection, table, key, where=out):
                self._beside(rows) if table is t.receipts else None
                for row in rows:
                    if row.log_index is not None:
                        wrong = f"log_index: {row.log_index} is not in the tree"
                        yield Finding(table.name, str(row[0]), wrong)
                    for wrong in self._wrongs(table.name, row):
                        yield Finding(table.name, str(row[0]), wrong)

    def _heads(self) -> Iterator[Finding]:
        """Compare the streams as they were walked with what the next call goes by."""
        left = dict(self.streams.heads)
        for rows in pages(self.connection, t.streams, t.streams.c.stream):
            for row in rows:
                count, head = left.pop(row.stream, (0, FIRST))
                _, kept, _ = tuple[Any, ...](
                    row
                )  # a row has a method of this column's name
                if kept != count:
                    wrong = f"count: {kept}, though there are {count} receipts"
                    yield Finding("streams", row.stream, wrong)
                elif row.head != head:
                    wrong = "head: not the newest receipt of the stream"
                    yield Finding("streams", row.stream, wrong)
        for stream in left:
            yield Finding("streams", stream, "missing, though it has receipts")
        for table in (t.receipt_fields, t.receipt_denials):
            yield from self._orphans(table)

    def _orphans(self, table: sa.Table) -> Iterator[Finding]:
        c = t.receipts.c
        there = sa.select(sa.literal(1)).where(
            c.sequence == table.c.sequence, c.erased_at.is_(None)
        )
        lost = sa.select(table.c.sequence).where(~there.exists()).distinct().limit(1000)
        for number in self.connection.scalars(lost):
            wrong = "beside no receipt, or one that is erased"
            yield Finding(table.name, str(number), wrong)
