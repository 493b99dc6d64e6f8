"""Receipts and their streams, in SQL: those that we write, and those that we receive.

What a call uses up is written in the same transaction (`node.adapters.sql.usage`), and
the head of a stream is guarded as that is: by one statement that the database makes
atomic.
"""

import dataclasses
import datetime
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from ledger.receipts import (
    FIRST,
    Countersignature,
    Receipt,
    SignedReceipt,
    parse_receipt,
)
from node.adapters.sql import tables as t
from node.adapters.sql.plan_receipts import of_plan
from node.adapters.sql.usage import SqlUsage
from node.domain.acknowledged import MOST_COUNTERSIGNATURES
from node.domain.agreement import instant, render_instant
from node.domain.negotiation import Role
from node.errors import Gone
from node.ports import LogEntry, Owed, Received, SentCall, StepReceipt

BESIDE: Final[Mapping[str, str]] = {
    "partner": "consumer",
    "agreement": "agreement",
    "dataset": "dataset",
    "purpose": "purpose",
    "decision": "decision",
    "customers": "customers",
    "records": "records",
    "plan": "plan",
}
"""Columns beside a receipt of ours, for the audit, and what the receipt calls them."""


class SqlReceipts(SqlUsage):
    """Implements `node.ports.Receipts`, what calls use up among it."""

    def head(self, stream: str) -> tuple[int, str]:
        """Return the next sequence number of a stream and its newest receipt id.

        On PostgreSQL the row stays locked until the commit; on SQLite the whole
        database is.
        """
        row = self._connection.execute(
            self._upsert(t.streams)
            .values(stream=stream, count=0, head=FIRST)
            .on_conflict_do_update(
                index_elements=["stream"], set_={"head": t.streams.c.head}
            )
            .returning(t.streams.c.count, t.streams.c.head)
        ).one()
        return row[0], row[1]

    def append(
        self,
        signed: SignedReceipt,
        *,
        salt: bytes,
        token: str | None,
        question: str,
        took_ms: int,
    ) -> int:
        """Append a receipt to its stream and to the log's order."""
        receipt = signed.receipt
        inserted = self._connection.execute(
            sa.insert(t.receipts)
            .values(
                receipt_id=receipt.receipt_id,
                stream=receipt.stream,
                stream_sequence=receipt.sequence,
                core=receipt.canonical().decode(),
                signature=signed.signature,
                salt=salt,
                token=token,
                question=question,
                at=int(instant(receipt.at).timestamp()),
                **beside(receipt),
                took_ms=took_ms,
            )
            .returning(t.receipts.c.sequence)
        )
        sequence: int = inserted.scalar_one()
        self._connection.execute(
            sa.update(t.streams)
            .where(t.streams.c.stream == receipt.stream)
            .values(count=receipt.sequence + 1, head=receipt.receipt_id)
        )
        self.index(sequence, receipt)
        return sequence

    def index(self, sequence: int, receipt: Receipt) -> None:
        """Keep beside a receipt what it asked for and was denied for, to be found."""
        self._many(t.receipt_fields, sequence, "field", asked_fields(receipt))
        self._many(t.receipt_denials, sequence, "code", receipt.denials)

    def _many(
        self, table: sa.Table, sequence: int, column: str, values: Iterable[str]
    ) -> None:
        rows = [{"sequence": sequence, column: value} for value in values]
        if rows:
            self._connection.execute(sa.insert(table), rows)

    def countersign(self, receipt_id: str, countersignature: Countersignature) -> None:
        """Keep the consumer's signature beside a receipt; the first one stays."""
        self._connection.execute(
            sa.update(t.receipts)
            .where(
                t.receipts.c.receipt_id == receipt_id,
                t.receipts.c.countersignature.is_(None),
            )
            .values(
                countersigner=countersignature.key_id,
                countersignature=countersignature.signature,
            )
        )

    def at(self, stream: str, sequence: int) -> str | None:
        """Return the id of the receipt of ours at a place of a stream, or None."""
        c = t.receipts.c
        found: str | None = self._connection.scalar(
            sa.select(c.receipt_id).where(
                c.stream == stream, c.stream_sequence == sequence
            )
        )
        return found

    def unacknowledged(self, stream: str, but: Collection[str], most: int) -> int:
        """Count receipts of a stream that its consumer has not signed back."""
        c = t.receipts.c
        some = (
            sa.select(sa.literal(1))
            .where(
                c.stream == stream,
                c.countersignature.is_(None),
                c.erased_at.is_(None),
                c.receipt_id.not_in(but),
            )
            .limit(most)
            .subquery()
        )
        counted = sa.select(sa.func.count()).select_from(some)
        return int(self._connection.execute(counted).scalar_one())

    def send(self, call: SentCall) -> None:
        """Keep a call that we are about to make."""
        values = dataclasses.asdict(call) | {"at": int(call.at.timestamp())}
        self._connection.execute(sa.insert(t.asked).values(values))

    def sent(self, nonce: str) -> SentCall | None:
        """Return a call that we made, or None."""
        statement = sa.select(t.asked).where(t.asked.c.nonce == nonce)
        row = self._connection.execute(statement).one_or_none()
        if row is None:
            return None
        return SentCall(
            nonce=row.nonce,
            stream=row.stream,
            provider=row.provider,
            agreement=row.agreement,
            request_hash=row.request_hash,
            token=row.token,
            at=_instant(row.at),
            receipt_id=row.receipt_id,
        )

    def newest(self, stream: str) -> tuple[int, str] | None:
        """Return number and id of the newest verified receipt that we received."""
        c = t.received.c
        row = self._connection.execute(
            sa.select(c.stream_sequence, c.receipt_id)
            .where(c.stream == stream, c.verified)
            .order_by(c.stream_sequence.desc())
            .limit(1)
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def neighbours(self, receipt: Receipt) -> Sequence[SignedReceipt]:
        """Return what we received verified of a stream at a place and beside it."""
        c = t.received.c
        rows = self._connection.execute(
            sa.select(t.received)
            .where(
                c.stream == receipt.stream,
                c.verified,
                c.erased_at.is_(None),
                c.stream_sequence.between(receipt.sequence - 1, receipt.sequence + 1),
            )
            .order_by(c.stream_sequence)
        )
        return [signed_receipt(row) for row in rows]

    def owing(self) -> Sequence[str]:
        """Return the streams of which `owed` has some."""
        c = t.received.c
        undelivered = c.countersignature.is_not(None), sa.not_(c.delivered)
        statement = sa.select(c.stream).where(*undelivered).distinct()
        return list(self._connection.scalars(statement))

    def owed(self, stream: str, before: datetime.datetime) -> Sequence[Owed]:
        """Return received receipts that we signed and whose provider may not know."""
        c = t.received.c
        # Not the answers: they are large, and every call asks this.
        wanted = (c.core, c.signature, c.countersigner, c.countersignature)
        statement: sa.Select[Any] = (
            sa.select(*wanted)
            .where(
                c.stream == stream,
                c.countersignature.is_not(None),
                sa.not_(c.delivered),
                c.at <= int(before.timestamp()),
            )
            .order_by(c.sequence)
            .limit(MOST_COUNTERSIGNATURES)
        )
        return [
            Owed(
                signed=signed_receipt(row),
                countersignature=Countersignature(
                    key_id=row.countersigner, signature=row.countersignature
                ),
            )
            for row in self._connection.execute(statement)
        ]

    def delivered(self, receipts: Collection[str]) -> None:
        """Note that providers have our signatures over these receipts."""
        c = t.received.c
        self._connection.execute(
            sa.update(t.received)
            .where(c.receipt_id.in_(receipts))
            .values(delivered=True)
        )

    def entry(self, receipt_id: str) -> LogEntry | None:
        """Return a receipt's log entry, or None. Raises `Gone` where it is erased."""
        statement = sa.select(t.receipts).where(t.receipts.c.receipt_id == receipt_id)
        row = (self._connection.execute(statement)).one_or_none()
        return None if row is None else log_entry(_unerased(row))

    def entries(self, receipts: Collection[str]) -> Mapping[str, LogEntry]:
        """Return the log entries of receipts by id, of those that are not erased."""
        c = t.receipts.c
        rows = self._connection.execute(
            sa.select(t.receipts)
            .where(c.receipt_id.in_(receipts), c.erased_at.is_(None))
            .order_by(c.sequence)
        )
        return {row.receipt_id: log_entry(row) for row in rows}

    def of_plan(
        self, plan: str, asker: str, role: Role, most: int
    ) -> Sequence[StepReceipt]:
        """Return the newest receipts of the steps of a plan, oldest first."""
        return of_plan(self._connection, plan, asker, role, most)

    def question(self, receipt_id: str) -> str | None:
        """Return the policy's input behind a receipt, or None."""
        c = t.receipts.c
        columns: list[sa.Column[Any]] = [c.question, c.erased_at, c.erased_why]
        found = self._connection.execute(
            sa.select(*columns).where(c.receipt_id == receipt_id)
        ).one_or_none()
        return None if found is None else _unerased(found).question

    def receive(self, received: Received) -> None:
        """Keep what a partner's node answered us; the first answer stays."""
        receipt, signature = received.signed.receipt, received.countersignature
        self._connection.execute(
            self._upsert(t.received)
            .values(
                receipt_id=receipt.receipt_id,
                stream=receipt.stream,
                stream_sequence=receipt.sequence,
                nonce=receipt.nonce,
                plan=receipt.plan,
                at=int(received.at.timestamp()),
                core=receipt.canonical().decode(),
                signature=received.signed.signature,
                verified=received.verified,
                checks=json.dumps(list(received.checks), ensure_ascii=False),
                disclosure=None
                if received.disclosure is None
                else json.dumps(received.disclosure, ensure_ascii=False),
                countersigner=signature and signature.key_id,
                countersignature=signature and signature.signature,
                delivered=received.delivered,
            )
            .on_conflict_do_nothing(index_elements=["receipt_id"])
        )
        answered = sa.update(t.asked).where(t.asked.c.nonce == receipt.nonce)
        self._connection.execute(answered.values(receipt_id=receipt.receipt_id))

    def received(self, receipt_id: str) -> Received | None:
        """Return what we received with a receipt, or None. Raises `Gone`."""
        statement = sa.select(t.received).where(t.received.c.receipt_id == receipt_id)
        row = (self._connection.execute(statement)).one_or_none()
        return None if row is None else _received(_unerased(row))


def _received(row: sa.Row[Any]) -> Received:
    return Received(
        signed=signed_receipt(row),
        at=_instant(row.at),
        verified=row.verified,
        checks=json.loads(row.checks),
        disclosure=None if row.disclosure is None else json.loads(row.disclosure),
        countersignature=_countersignature(row),
        delivered=row.delivered,
    )


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _unerased(row: sa.Row[Any]) -> sa.Row[Any]:
    """Return a row of `receipts` or `received`; raise `Gone` where it is erased."""
    if row.erased_at is not None:
        at = render_instant(_instant(row.erased_at))
        detail = f"What this receipt says was erased at {at}: {row.erased_why}"
        extra = {"erased": {"at": at, "why": row.erased_why}}
        raise Gone("receipt.erased", detail, extra=extra)
    return row


def beside(receipt: Receipt) -> dict[str, Any]:
    """Return what stands in columns beside a receipt, for the audit's questions."""
    return {column: getattr(receipt, member) for column, member in BESIDE.items()}


def asked_fields(receipt: Receipt) -> set[str]:
    """Return the fields that a call asked for, those to be proved of among them."""
    return {*receipt.fields, *(name for each in receipt.where for name in each.fields)}


def signed_receipt(row: sa.Row[Any]) -> SignedReceipt:
    """Return the receipt that a row holds, signed."""
    return SignedReceipt(
        receipt=parse_receipt(json.loads(row.core)), signature=row.signature
    )


def log_entry(row: sa.Row[Any]) -> LogEntry:
    """Return the log entry that a row of `receipts` holds."""
    return LogEntry(
        sequence=row.sequence,
        signed=signed_receipt(row),
        salt=row.salt,
        index=row.log_index,
        countersignature=_countersignature(row),
        token=row.token,
    )


def _countersignature(row: sa.Row[Any]) -> Countersignature | None:
    if row.countersignature is None:
        return None
    return Countersignature(key_id=row.countersigner, signature=row.countersignature)
