"""What receipts say, taken away or put back, in SQL.

On SQLite what is taken away is overwritten (`PRAGMA secure_delete`); on PostgreSQL
it stays in dead rows until a vacuum and what it reuses (`docs/privacy.md`).
"""

import datetime
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from crypto.keyids import suite_of
from crypto.signing import HASHING
from ledger import log
from node.adapters.sql import tables as t
from node.adapters.sql.receipts import BESIDE, SqlReceipts, beside
from node.domain.agreement import instant
from node.errors import Conflict
from node.ports import Content, Erasable

_BATCH: Final = 500
WRITTEN: Final = (
    *("core", "signature", "salt", "token", "question", *BESIDE),
    *("took_ms", "countersigner", "countersignature"),
)
"""Columns of `receipts` that are content. What is not here stays."""
RECEIVED: Final = (
    *("core", "signature", "nonce", "checks", "disclosure", "plan"),
    *("countersigner", "countersignature"),
)
"""The same of `received`."""


class SqlErasure:
    """Implements `node.ports.Erasure`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look(self, receipt_id: str) -> Erasable | None:
        """Return what erasure has to know about a receipt, or None."""
        for table in (t.receipts, t.received):
            found = sa.select(table).where(table.c.receipt_id == receipt_id)
            row = self._connection.execute(found).one_or_none()
            if row is not None:
                break
        else:
            return None
        erased = row.erased_at is not None
        return Erasable(
            receipt_id=receipt_id,
            at=_instant(row.at),
            waiting=table is t.receipts and row.log_index is None,
            erased=(_instant(row.erased_at), row.erased_why) if erased else None,
        )

    def due(self, before: datetime.datetime, most: int) -> Sequence[str]:
        """Return ids of receipts that can be erased: integrated, and from before."""
        limit = int(before.timestamp())
        found: list[str] = []
        for table in (t.receipts, t.received):
            c = table.c
            some = sa.select(c.receipt_id).where(c.at < limit, c.erased_at.is_(None))
            if table is t.receipts:
                some = some.where(c.log_index.is_not(None))
            some = some.order_by(c.at).limit(most - len(found))
            found += self._connection.scalars(some)
        return found

    def erase(self, receipts: Collection[str], at: datetime.datetime, why: str) -> int:
        """Erase what receipts say; return how many said something."""
        now, erased = int(at.timestamp()), 0
        for some in _parts(receipts):
            numbers = self._unerased(t.receipts, some)
            for table in (t.receipt_fields, t.receipt_denials):
                beside = sa.delete(table).where(table.c.sequence.in_(numbers))
                self._connection.execute(beside)
            answered = t.asked.c.receipt_id.in_(some)
            self._connection.execute(sa.delete(t.asked).where(answered))
            for table, columns in ((t.receipts, WRITTEN), (t.received, RECEIVED)):
                gone = dict.fromkeys(columns) | {"erased_at": now, "erased_why": why}
                rows = numbers if table is t.receipts else self._unerased(table, some)
                these = table.c.sequence.in_(rows)
                self._connection.execute(sa.update(table).where(these).values(gone))
                erased += len(rows)
        return erased

    def _unerased(self, table: sa.Table, receipts: Sequence[str]) -> list[int]:
        c = table.c
        some = sa.select(c.sequence).where(
            c.receipt_id.in_(receipts), c.erased_at.is_(None)
        )
        return list(self._connection.scalars(some))

    def forget_calls(self, before: datetime.datetime) -> int:
        """Forget calls of ours from before that time, which were answered or not."""
        old = t.asked.c.at < int(before.timestamp())
        return self._connection.execute(sa.delete(t.asked).where(old)).rowcount

    def restore(self, content: Content) -> bool:
        """Put back what was erased; False where it was not."""
        receipt = content.signed.receipt
        found = sa.select(t.receipts).where(
            t.receipts.c.receipt_id == receipt.receipt_id
        )
        row = self._connection.execute(found).one_or_none()
        if row is None or row.log_index != content.index:
            raise _other("has no such receipt, or has it at another place")
        if row.erased_at is None:
            return False
        leaf = self._connection.scalar(
            sa.select(t.log_nodes.c.hash).where(
                t.log_nodes.c.level == 0, t.log_nodes.c.position == content.index
            )
        )
        hashing = HASHING[suite_of(receipt.key_id)]
        if leaf != log.leaf(content.signed, content.salt, hashing=hashing):
            raise _other("holds another leaf at its place")
        self._put_back(row, content)
        return True

    def _put_back(self, row: sa.Row[Any], content: Content) -> None:
        receipt, signature = content.signed.receipt, content.countersignature
        place = (receipt.stream, receipt.sequence, int(instant(receipt.at).timestamp()))
        if place != (row.stream, row.stream_sequence, row.at):
            raise _other("has it at another place of its stream, or time")
        self._connection.execute(
            sa.update(t.receipts)
            .where(t.receipts.c.sequence == row.sequence)
            .values(
                **beside(receipt),
                core=receipt.canonical().decode(),
                signature=content.signed.signature,
                salt=content.salt,
                token=content.token,
                question=content.question,
                countersigner=signature and signature.key_id,
                countersignature=signature and signature.signature,
                took_ms=content.took_ms,
                erased_at=None,
                erased_why=None,
            )
        )
        SqlReceipts(self._connection).index(row.sequence, receipt)


def _parts(receipts: Iterable[str]) -> Iterable[Sequence[str]]:
    names = list(receipts)
    return (names[at : at + _BATCH] for at in range(0, len(names), _BATCH))


def _other(why: str) -> Conflict:
    return Conflict("archive.other", f"The log {why}; nothing was put back.")


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
