"""The tree over receipts and snapshots, its checkpoints and anchors, in SQL."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from ledger.receipts import SignedReceipt
from ledger.snapshots import SignedSnapshot
from node.adapters.sql import tables as t
from node.adapters.sql.anchors import SqlAnchors
from node.adapters.sql.receipts import signed_receipt
from node.adapters.sql.snapshots import signed_snapshot
from node.ports import StoredCheckpoint, Waiting

_LEADER: Final = 0x6C6F67
"""Of the lock that the keeper of the log holds: "log". Migrations have another."""
_Read: TypeAlias = Callable[[sa.Row[Any]], SignedReceipt | SignedSnapshot]
_ENTRIES: Final[Mapping[str, tuple[sa.Table, sa.Column[int], _Read]]] = {
    "receipt": (t.receipts, t.receipts.c.sequence, signed_receipt),
    "snapshot": (t.snapshots, t.snapshots.c.row, signed_snapshot),
}
"""What the log is about: table, what numbers its rows, how to read one."""


class SqlLog(SqlAnchors):
    """Implements `node.ports.Log`."""

    def lead(self) -> bool:
        """Tell whether this transaction may keep the log.

        On SQLite whoever writes is alone. On PostgreSQL the lock is the database's,
        and ends with the transaction, so a process that dies leads no more.
        """
        if self._connection.dialect.name == "sqlite":
            return True
        taken = sa.func.pg_try_advisory_xact_lock(_LEADER)
        return bool(self._connection.scalar(sa.select(taken)))

    def waiting(self, most: int) -> Sequence[Waiting]:
        """Return entries not yet in the tree: receipts first, then snapshots.

        On PostgreSQL a sequence number can become visible after a larger one.
        That is no gap: an entry gets its place in the tree here, not there.
        """
        found: list[Waiting] = []
        for name, (table, row_of, signed) in _ENTRIES.items():
            statement = (
                sa.select(table)
                .where(table.c.log_index.is_(None))
                .order_by(row_of)
                .limit(most - len(found))
            )
            found += [
                Waiting(
                    row=(name, getattr(row, row_of.name)),
                    signed=signed(row),
                    salt=row.salt,
                )
                for row in self._connection.execute(statement)
            ]
        return found

    def size(self) -> int:
        """Return the number of entries in the tree."""
        tops = (
            self._connection.scalar(sa.select(sa.func.max(table.c.log_index)))
            for table, _, _ in _ENTRIES.values()
        )
        return max((top + 1 for top in tops if top is not None), default=0)

    def nodes(
        self, wanted: Iterable[tuple[int, int]]
    ) -> Mapping[tuple[int, int], bytes]:
        """Return stored hashes by (level, index)."""
        c = t.log_nodes.c
        keys = list(wanted)
        found: dict[tuple[int, int], bytes] = {}
        for start in range(0, len(keys), 200):
            rows = self._connection.execute(
                sa.select(t.log_nodes).where(
                    sa.or_(
                        *(
                            sa.and_(c.level == level, c.position == position)
                            for level, position in keys[start : start + 200]
                        )
                    )
                )
            )
            found.update(((row.level, row.position), row.hash) for row in rows)
        return found

    def integrate(
        self,
        first: int,
        entries: Sequence[Waiting],
        nodes: Iterable[tuple[int, int, bytes]],
    ) -> None:
        """Give entries their indexes, from `first` on, and store new nodes."""
        for name, (table, row_of, _) in _ENTRIES.items():
            places = [
                {"entry": entry.row[1], "place": first + offset}
                for offset, entry in enumerate(entries)
                if entry.row[0] == name
            ]
            if places:
                self._connection.execute(
                    sa.update(table)
                    .where(row_of == sa.bindparam("entry"))
                    .values(log_index=sa.bindparam("place")),
                    places,
                )
        self._connection.execute(
            sa.insert(t.log_nodes),
            [
                {"level": level, "position": position, "hash": digest}
                for level, position, digest in nodes
            ],
        )

    def publish(self, checkpoint: StoredCheckpoint) -> None:
        """Keep a signed checkpoint; one per size."""
        self._connection.execute(
            sa.insert(t.checkpoints).values(
                size=checkpoint.size,
                root=checkpoint.root,
                note=checkpoint.note,
                at=int(checkpoint.at.timestamp()),
            )
        )

    def checkpoint(self, size: int | None = None) -> StoredCheckpoint | None:
        """Return the checkpoint of a size, or the newest."""
        statement = sa.select(t.checkpoints).order_by(t.checkpoints.c.size.desc())
        if size is not None:
            statement = statement.where(t.checkpoints.c.size == size)
        row = (self._connection.execute(statement.limit(1))).one_or_none()
        if row is None:
            return None
        return StoredCheckpoint(
            size=row.size, root=row.root, note=row.note, at=_instant(row.at)
        )


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
