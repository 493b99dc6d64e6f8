"""Agreements, negotiations and declared customers, in SQL."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy import Connection

from node.adapters.sql import bulk
from node.adapters.sql import tables as t
from node.domain.agreement import Agreement, Offer, Status
from node.domain.negotiation import Negotiation, Role, State
from node.ports import Declaration, KeptAgreement

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

    def declare(
        self, agreement: str, declaration: Declaration, known: Mapping[bytes, str]
    ) -> None:
        """Keep the consumer's tokens, and the customers that some of them name here.

        Seals of customers that are declared still go on under their new positions.
        """
        self._connection.execute(
            sa.delete(t.declarations).where(t.declarations.c.agreement == agreement)
        )
        self._keep(agreement, declaration, number=0)
        self._connection.execute(
            sa.delete(t.declared).where(t.declared.c.agreement == agreement)
        )
        bulk.insert(
            self._connection,
            t.declared,
            ("agreement", "token", "position", "customer"),
            (
                (agreement, token, position, known.get(token))
                for position, token in enumerate(_split(declaration.tokens))
            ),
        )
        self._move_seals(agreement)

    def _move_seals(self, agreement: str) -> None:
        s, d = t.seals.c, t.declared.c
        place = (
            sa.select(d.position)
            .where(d.agreement == agreement, d.customer == s.customer)
            .scalar_subquery()
        )
        mine = s.agreement == agreement
        self._connection.execute(sa.delete(t.seals).where(mine, place.is_(None)))
        self._connection.execute(sa.update(t.seals).where(mine).values(position=place))

    def mismatches(
        self, agreement: str, known: Mapping[bytes, str]
    ) -> Mapping[bytes, str | None]:
        """Return what declared tokens name, where that is not what is kept."""
        c = t.declared.c
        rows = self._connection.execute(
            sa.select(c.token, c.customer).where(c.agreement == agreement)
        )
        return {
            token: known.get(token)
            for token, customer in rows
            if customer != known.get(token)
        }

    def match(self, agreement: str, names: Mapping[bytes, str | None]) -> None:
        """Keep which customers some declared tokens name now."""
        c = t.declared.c
        if names:
            self._connection.execute(
                sa.update(t.declared)
                .where(c.agreement == agreement, c.token == sa.bindparam("declared"))
                .values(customer=sa.bindparam("names")),
                [
                    {"declared": token, "names": customer}
                    for token, customer in names.items()
                ],
            )

    def declaration(
        self, agreement: str, digest: str | None = None
    ) -> Declaration | None:
        """Return the newest declaration under an agreement, or the one of a hash."""
        c = t.declarations.c
        statement = sa.select(t.declarations).where(c.agreement == agreement)
        if digest is not None:
            statement = statement.where(c.hash == digest)
        row = self._connection.execute(
            statement.order_by(c.number.desc()).limit(1)
        ).one_or_none()
        return None if row is None else Declaration(hash=row.hash, tokens=row.tokens)

    def declaration_hash(self, agreement: str) -> str | None:
        """Return the hash of the newest declaration under an agreement, or None."""
        c = t.declarations.c
        mine = sa.select(c.hash).where(c.agreement == agreement)
        found: str | None = self._connection.scalar(
            mine.order_by(c.number.desc()).limit(1)
        )
        return found

    def keep_own(self, agreement: str, declaration: Declaration) -> None:
        """Keep what we are about to declare, beside what we declared before.

        Nobody knows yet whether the partner will take it: the reply can be lost. Of
        those that it is not known to have taken, the newest three are kept.
        """
        c = t.declarations.c
        mine = c.agreement == agreement
        if self.declaration_hash(agreement) == declaration.hash:
            return  # the same once more, as an answer was lost
        newest = sa.select(sa.func.max(c.number)).where(mine)
        number = (self._connection.scalar(newest) or 0) + 1
        self._connection.execute(
            sa.delete(t.declarations).where(mine, c.number.between(1, number - 3))
        )
        self._keep(agreement, declaration, number=number)

    def own_taken(self, agreement: str, digest: str) -> None:
        """Keep a declaration of ours for good: the partner has taken it.

        It gets number 0. Answers can still be on their way that were given under
        the one before; that gets number -1, and what else was declared is dropped.
        """
        c = t.declarations.c
        mine = c.agreement == agreement
        taken = self._connection.scalar(
            sa.select(sa.func.max(c.number)).where(mine, c.hash == digest)
        )
        if taken is None or taken <= 0:
            return
        old = sa.or_(c.number < 0, c.number.between(1, taken - 1))
        self._connection.execute(sa.delete(t.declarations).where(mine, old))
        for before, now in ((0, -1), (taken, 0)):
            self._connection.execute(
                sa.update(t.declarations)
                .where(mine, c.number == before)
                .values(number=now)
            )

    def _keep(self, agreement: str, declaration: Declaration, *, number: int) -> None:
        self._connection.execute(
            sa.insert(t.declarations).values(
                agreement=agreement,
                number=number,
                hash=declaration.hash,
                tokens=declaration.tokens,
            )
        )

    def aligned(
        self, agreement: str, tokens: Sequence[bytes]
    ) -> Mapping[bytes, tuple[int, str]]:
        """Return position and customer of the tokens whose customer both sides know."""
        c = t.declared.c
        found: dict[bytes, tuple[int, str]] = {}
        for start in range(0, len(tokens), _BATCH):
            rows = self._connection.execute(
                sa.select(c.token, c.position, c.customer).where(
                    c.agreement == agreement,
                    c.token.in_(tokens[start : start + _BATCH]),
                    c.customer.is_not(None),
                )
            )
            found.update((row.token, (row.position, row.customer)) for row in rows)
        return found


def _split(tokens: bytes) -> list[bytes]:
    return [tokens[at : at + 32] for at in range(0, len(tokens), 32)]


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
