"""Agreements, negotiations and declared customers, in SQL."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice

import sqlalchemy as sa
from sqlalchemy import Connection

from node.adapters.sql import tables as t
from node.domain.agreement import Agreement, Offer, Status
from node.domain.negotiation import Negotiation, Role, State
from node.ports import KeptAgreement

_BATCH = 1000


class SqlAgreements:
    """Implements `node.ports.Agreements`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, kept: KeptAgreement) -> None:
        """Keep an agreement for good."""
        agreement = kept.agreement
        provides = kept.role is Role.PROVIDER
        self._connection.execute(
            sa.insert(t.agreements).values(
                id=agreement.id,
                role=kept.role.value,
                partner=agreement.assignee if provides else agreement.assigner,
                dataset=agreement.dataset,
                status=kept.status.value,
                odrl=json.dumps(agreement.to_odrl()),
                signatures=json.dumps(dict(kept.signatures)),
                agreed_at=int(agreement.timestamp.timestamp()),
            )
        )

    def get(self, agreement: str) -> KeptAgreement | None:
        """Return an agreement, or None."""
        statement = sa.select(t.agreements).where(t.agreements.c.id == agreement)
        row = (self._connection.execute(statement)).one_or_none()
        return None if row is None else _kept(row)

    def hold(self, agreement: str) -> KeptAgreement | None:
        """Return an agreement, or None; see `hold_negotiation`."""
        statement = sa.select(t.agreements).where(t.agreements.c.id == agreement)
        row = self._connection.execute(statement.with_for_update()).one_or_none()
        return None if row is None else _kept(row)

    def all(self) -> Sequence[KeptAgreement]:
        """Return every agreement, newest first."""
        c = t.agreements.c
        statement = sa.select(t.agreements).order_by(c.agreed_at.desc(), c.id)
        return [_kept(row) for row in self._connection.execute(statement)]

    def set_status(self, agreement: str, status: Status) -> None:
        """Change what holds beside an agreement, from the next call on."""
        self._connection.execute(
            sa.update(t.agreements)
            .where(t.agreements.c.id == agreement)
            .values(status=status.value)
        )

    def keep_negotiation(self, negotiation: Negotiation) -> None:
        """Insert or replace a negotiation."""
        agreed = negotiation.agreement
        values = {
            "provider_pid": negotiation.provider_pid,
            "consumer_pid": negotiation.consumer_pid,
            "role": negotiation.role.value,
            "partner": negotiation.partner,
            "state": negotiation.state.value,
            "offer": json.dumps(negotiation.offer.to_odrl()),
            "agreement": json.dumps(agreed.to_odrl()) if agreed else None,
        }
        updated = self._connection.execute(
            sa.update(t.negotiations)
            .where(t.negotiations.c.pid == negotiation.pid)
            .values(**values)
        )
        if updated.rowcount == 0:
            count = sa.select(sa.func.count() + 1).select_from(t.negotiations)
            self._connection.execute(
                sa.insert(t.negotiations).values(
                    pid=negotiation.pid, opened=count.scalar_subquery(), **values
                )
            )

    def hold_negotiation(self, pid: str) -> Negotiation | None:
        """Return the negotiation with this id on our side, or None.

        On PostgreSQL its row stays locked until the commit; on SQLite the whole
        database is.
        """
        statement = sa.select(t.negotiations).where(t.negotiations.c.pid == pid)
        statement = statement.with_for_update()
        row = (self._connection.execute(statement)).one_or_none()
        return None if row is None else _negotiation(row)

    def negotiations(self) -> Sequence[Negotiation]:
        """Return every negotiation, newest first."""
        c = t.negotiations.c
        statement = sa.select(t.negotiations).order_by(c.opened.desc(), c.pid)
        return [_negotiation(row) for row in self._connection.execute(statement)]

    def declare(self, agreement: str, customers: Mapping[bytes, str | None]) -> None:
        """Keep the consumer's tokens with the customer each names here, if any."""
        self._connection.execute(
            sa.delete(t.declared).where(t.declared.c.agreement == agreement)
        )
        rest = iter(customers.items())
        while batch := list(islice(rest, _BATCH)):
            rows = [
                {"agreement": agreement, "token": token, "customer": customer}
                for token, customer in batch
            ]
            self._connection.execute(sa.insert(t.declared), rows)

    def declared(self, agreement: str) -> Sequence[bytes]:
        """Return every declared token."""
        statement = sa.select(t.declared.c.token).where(
            t.declared.c.agreement == agreement
        )
        return list(self._connection.scalars(statement))

    def aligned(self, agreement: str, tokens: Sequence[bytes]) -> Mapping[bytes, str]:
        """Return the customers that these tokens name and both sides know."""
        c = t.declared.c
        found: dict[bytes, str] = {}
        for start in range(0, len(tokens), _BATCH):
            rows = self._connection.execute(
                sa.select(c.token, c.customer).where(
                    c.agreement == agreement,
                    c.token.in_(tokens[start : start + _BATCH]),
                    c.customer.is_not(None),
                )
            )
            found.update((row.token, row.customer) for row in rows)
        return found


@lru_cache(maxsize=256)
def _agreement(odrl: str) -> Agreement:
    """Read an agreement's text; it never changes, so neither does what it says."""
    return Agreement.from_odrl(json.loads(odrl))


def _kept(row: sa.Row[tuple[object, ...]]) -> KeptAgreement:
    return KeptAgreement(
        agreement=_agreement(row.odrl),
        role=Role(row.role),
        status=Status(row.status),
        signatures=json.loads(row.signatures),
    )


def _negotiation(row: sa.Row[tuple[object, ...]]) -> Negotiation:
    return Negotiation(
        provider_pid=row.provider_pid,
        consumer_pid=row.consumer_pid,
        role=Role(row.role),
        partner=row.partner,
        state=State(row.state),
        offer=Offer.from_odrl(json.loads(row.offer)),
        agreement=Agreement.from_odrl(json.loads(row.agreement))
        if row.agreement
        else None,
    )
