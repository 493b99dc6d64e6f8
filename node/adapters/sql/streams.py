"""Copies of streams, in SQL: what we signed, and what we received.

Both tables name places and ids alike, so one class reads them. What a stream lacks
is found by counting: where no number is missing, no list of them is made.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from crypto.errors import CryptoError
from ledger.receipts import Countersignature, SignedReceipt
from node.adapters.sql import tables as t
from node.adapters.sql.receipts import signed_receipt
from node.domain.agreement import render_instant
from node.domain.negotiation import Role
from node.ports import Reconciled, StreamEntry

_FEW: Final = 16
_COPIES: Final = {Role.PROVIDER: t.receipts, Role.CONSUMER: t.received}


class SqlStreamCopy:
    """Implements `node.ports.StreamCopy` on a table."""

    def __init__(self, connection: Connection, table: sa.Table) -> None:
        self._connection = connection
        self._table = table

    def numbers(self, stream: str) -> Sequence[int]:
        """Return the numbers of the receipts that are here, ascending, each once."""
        c = self._table.c
        here = c.stream == stream
        count, last = self._connection.execute(
            sa.select(
                sa.func.count(c.stream_sequence.distinct()),
                sa.func.max(c.stream_sequence),
            ).where(here)
        ).one()
        if count == 0 or count == last + 1:
            return range(count)
        found = sa.select(c.stream_sequence).where(here).distinct()
        return list(self._connection.scalars(found.order_by(c.stream_sequence)))

    def twice(self, stream: str) -> Sequence[int]:
        """Return numbers of which more than one receipt is here; 16 at most."""
        c = self._table.c
        statement = (
            sa.select(c.stream_sequence)
            .where(c.stream == stream)
            .group_by(c.stream_sequence)
            .having(sa.func.count() > 1)
            .order_by(c.stream_sequence)
            .limit(_FEW)
        )
        return list(self._connection.scalars(statement))

    def at(self, stream: str, first: int, most: int = 1) -> Sequence[StreamEntry]:
        """Return the receipts of `most` numbers, from `first` on, in order."""
        c = self._table.c
        statement = (
            sa.select(self._table)
            .where(
                c.stream == stream, c.stream_sequence.between(first, first + most - 1)
            )
            .order_by(c.stream_sequence, c.sequence)
        )
        return [_entry(row) for row in self._connection.execute(statement)]

    def unsigned(self, stream: str, most: int) -> Sequence[int]:
        """Return numbers of receipts that the consumer has not signed, ascending."""
        c = self._table.c
        statement = (
            sa.select(c.stream_sequence)
            .where(
                c.stream == stream,
                c.countersignature.is_(None),
                c.erased_at.is_(None),
            )
            .order_by(c.stream_sequence)
            .limit(most)
        )
        return list(self._connection.scalars(statement))


class SqlStreams:
    """Implements `node.ports.Streams`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def copy(self, role: Role) -> SqlStreamCopy:
        """Return the copy that we keep in a role."""
        return SqlStreamCopy(self._connection, _COPIES[role])

    def unanswered(self, stream: str, before: datetime.datetime) -> int:
        """Count the calls that we made before a time and hold no receipt of."""
        c = t.asked.c
        statement = sa.select(sa.func.count()).where(
            c.stream == stream,
            c.receipt_id.is_(None),
            c.at < int(before.timestamp()),
        )
        return int(self._connection.execute(statement).scalar_one())

    def keep(self, reconciled: Reconciled) -> None:
        """Replace how a stream was last compared."""
        sqlite_ = self._connection.dialect.name == "sqlite"
        upsert = sqlite.insert if sqlite_ else postgresql.insert
        values: dict[str, Any] = {
            "at": int(reconciled.at.timestamp()),
            "state": reconciled.state,
            "report": json.dumps(dict(reconciled.report), ensure_ascii=False),
        }
        self._connection.execute(
            upsert(t.reconciled)
            .values(stream=reconciled.stream, **values)
            .on_conflict_do_update(index_elements=["stream"], set_=values)
        )

    def reconciled(self) -> Mapping[str, Reconciled]:
        """Return how each stream was last compared, by stream."""
        return {
            row.stream: Reconciled(
                stream=row.stream,
                at=_instant(row.at),
                state=row.state,
                report=json.loads(row.report),
            )
            for row in self._connection.execute(sa.select(t.reconciled))
        }


def _entry(row: sa.Row[Any]) -> StreamEntry:
    erased = row.erased_at is not None
    given = row.countersignature
    signed = None if erased else _readable(row)
    return StreamEntry(
        sequence=row.stream_sequence,
        # What a receipt says is the truth, and not the column beside it.
        receipt_id=signed.receipt.receipt_id if signed else row.receipt_id,
        signed=signed,
        request=getattr(row, "token", None),
        countersignature=None
        if given is None
        else Countersignature(key_id=row.countersigner, signature=given),
        verified=getattr(row, "verified", True),
        delivered=getattr(row, "delivered", True),
        erased=f"{render_instant(_instant(row.erased_at))}: {row.erased_why}"
        if erased
        else None,
    )


def _readable(row: sa.Row[Any]) -> SignedReceipt | None:
    try:
        return signed_receipt(row)
    except (CryptoError, ValueError, TypeError):
        return None


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
