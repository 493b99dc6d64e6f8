"""Receipts, streams, nonces and usage, in SQL.

Every method that guards something (a nonce, a rate, the head of a stream) does
so with one statement that the database makes atomic: it changes a row only while
its condition holds, and says whether it did.
"""

import dataclasses
import datetime
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from ledger.receipts import (
    FIRST,
    Countersignature,
    Receipt,
    SignedReceipt,
    parse_receipt,
)
from node.adapters.sql import tables as t
from node.adapters.sql.agreements import SqlAgreements
from node.adapters.sql.plan_receipts import of_plan
from node.domain.acknowledged import MOST_COUNTERSIGNATURES
from node.domain.agreement import Status, instant, render_instant
from node.domain.disclosure import Caller, Request, Situation
from node.domain.negotiation import Role
from node.domain.predicates import condition_key
from node.domain.steps import Call
from node.errors import Gone
from node.ports import LogEntry, Owed, Received, SentCall, StepReceipt

_BATCH: Final = 1000
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


class SqlReceipts:
    """Implements `node.ports.Receipts`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        dialect = connection.dialect.name
        self._upsert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def situation(self, request: Call, caller: Caller, hour: int) -> Situation:
        """Return what a decision about this request depends on."""
        kept = SqlAgreements(self._connection).get(request.agreement)
        calls = self._connection.scalar(
            sa.select(t.usage.c.calls).where(
                t.usage.c.agreement == request.agreement, t.usage.c.hour == hour
            )
        )
        seen = self._connection.scalar(
            sa.select(sa.literal(1)).where(
                t.nonces.c.issuer == caller.did, t.nonces.c.nonce == caller.nonce
            )
        )
        return Situation(
            agreement=kept.agreement if kept else None,
            status=kept.status if kept else Status.REVOKED,
            calls_this_hour=calls or 0,
            nonce_seen=seen is not None,
            probes=self._probes(request),
        )

    def _probes(self, request: Call) -> dict[str, int]:
        """Return how much of its fields' probing a call would use up, at most."""
        asked = _asked(request)
        most = {field: len(keys) for field, keys in asked.items()}
        again = set().union(*asked.values())
        c = t.probes.c
        for tokens in _batches(request.customers if asked else ()):
            # Counted where they are: thousands of each customer may have been asked.
            rows = self._connection.execute(
                sa.select(c.field, sa.func.count())
                .where(
                    c.agreement == request.agreement,
                    c.token.in_(tokens),
                    c.field.in_(list(asked)),
                    c.condition.not_in(again),
                )
                .group_by(c.token, c.field)
            )
            for field, before in rows:
                most[field] = max(most[field], before + len(asked[field]))
        return most

    def probe(self, request: Request, cap: Mapping[str, int]) -> bool:
        """Count what a call asks about hidden fields; False beyond the caps.

        What was asked before about the same customer is not counted again. Who
        counts holds the agreement, so that no two calls spend the same probe.
        """
        SqlAgreements(self._connection).hold(request.agreement)
        if any(most > cap.get(name, 0) for name, most in self._probes(request).items()):
            return False
        for tokens in _batches(request.customers):
            rows = [
                {
                    "agreement": request.agreement,
                    "token": token,
                    "field": field,
                    "condition": key,
                }
                for field, keys in _asked(request).items()
                for key in keys
                for token in tokens
            ]
            if rows:
                added = self._upsert(t.probes).on_conflict_do_nothing()
                self._connection.execute(added, rows)
        return True

    def claim(self, caller: Caller, until: datetime.datetime) -> bool:
        """Use up the caller's nonce; False when it was used before."""
        claimed = self._connection.execute(
            self._upsert(t.nonces)
            .values(issuer=caller.did, nonce=caller.nonce, until=int(until.timestamp()))
            .on_conflict_do_nothing()
            # Not `rowcount`: what an INSERT counts differs between drivers.
            .returning(t.nonces.c.nonce)
        )
        return claimed.one_or_none() is not None

    def forget_nonces(self, before: datetime.datetime) -> None:
        """Drop nonces that no acceptable token can carry any more."""
        self._connection.execute(
            sa.delete(t.nonces).where(t.nonces.c.until < int(before.timestamp()))
        )

    def count_call(self, agreement: str, hour: int, cap: int) -> bool:
        """Count one answered call; False when that would exceed the cap."""
        counted = self._connection.execute(
            self._upsert(t.usage)
            .values(agreement=agreement, hour=hour, calls=1)
            .on_conflict_do_update(
                index_elements=["agreement", "hour"],
                set_={"calls": t.usage.c.calls + 1},
                where=t.usage.c.calls < cap,
            )
            .returning(t.usage.c.calls)
        )
        return counted.one_or_none() is not None

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


def _asked(request: Call) -> dict[str, set[bytes]]:
    """Return what is asked about each hidden field, as keys that are counted."""
    asked: dict[str, set[bytes]] = {}
    for condition in request.where:
        for field in condition.fields:
            key = bytes.fromhex(condition_key(condition))
            asked.setdefault(field, set()).add(key)
    return asked


def _batches(tokens: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (tokens[at : at + _BATCH] for at in range(0, len(tokens), _BATCH))


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
