"""What calls use up, in SQL: nonces, calls of an hour, probes of hidden fields.

Every method that guards something does so with one statement that the database makes
atomic: it changes a row only while its condition holds, and says whether it did. Probes
are of many customers at once, so whoever counts them holds the agreement.

All of it is written in the transaction that writes the call's receipt
(`node.adapters.sql.receipts`): both are there, or neither.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from node.adapters.sql import tables as t
from node.adapters.sql.agreements import SqlAgreements
from node.domain.agreement import Status
from node.domain.disclosure import Caller, Request, Situation
from node.domain.predicates import condition_key
from node.domain.steps import Call

_BATCH: Final = 1000


class SqlUsage:
    """The part of `node.ports.Receipts` that says what may still be called."""

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
