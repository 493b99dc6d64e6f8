"""Anchors, from queued to final, in SQL. The rows are the outbox of the chain.

An account is a member's address at a contract of a chain. Each has epochs of its own,
counted from 1 without a gap; the row that was inserted last belongs to the account
that anchors now.
"""

import datetime
from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from ledger.ports import Account
from node.adapters.sql import tables as t
from node.ports import AnchorState, StoredAnchor

_C: Final = t.anchors.c
_KEY: Final = ("chain_id", "contract", "member", "epoch")
_ON_CHAIN: Final = ("mined", "final", "adopted")


class SqlAnchors:
    """The part of `node.ports.Log` that is about anchors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep_anchor(self, anchor: StoredAnchor) -> None:
        """Insert or replace an epoch's anchor."""
        signed_at = anchor.signed_at
        values = {
            "size": anchor.size,
            "note": anchor.note,
            "salt": anchor.salt,
            "commitment": anchor.commitment,
            "at": int(anchor.at.timestamp()),
            "state": anchor.state,
            "nonce": anchor.nonce,
            "raw": anchor.raw,
            "transaction_hash": anchor.transaction,
            "signed_at": None if signed_at is None else int(signed_at.timestamp()),
            "block": anchor.block,
            "block_hash": anchor.block_hash,
        }
        key = {name: getattr(anchor, name) for name in _KEY}
        sqlite_ = self._connection.dialect.name == "sqlite"
        upsert = sqlite.insert if sqlite_ else postgresql.insert
        self._connection.execute(
            upsert(t.anchors)
            .values(**key, **values)
            .on_conflict_do_update(index_elements=list(_KEY), set_=values)
        )

    def anchor(
        self, account: Account | None = None, epoch: int | None = None
    ) -> StoredAnchor | None:
        """Return the newest anchor, of an account; or the one of an epoch."""
        statement = sa.select(t.anchors).limit(1)
        if account is None:
            return self._first(statement.order_by(_C.row.desc()))
        statement = statement.where(*_of(account)).order_by(_C.epoch.desc())
        if epoch is not None:
            statement = statement.where(_C.epoch == epoch)
        return self._first(statement)

    def anchors(
        self,
        account: Account,
        *,
        states: Collection[AnchorState] = (),
        after: int = 0,
        most: int = 1000,
    ) -> list[StoredAnchor]:
        """Return an account's anchors by epoch, those in some states only."""
        statement = sa.select(t.anchors).where(*_of(account), _C.epoch > after)
        if states:
            statement = statement.where(_C.state.in_(states))
        rows = self._connection.execute(statement.order_by(_C.epoch).limit(most))
        return [_stored(row) for row in rows]

    def unanchor(self, account: Account, after: int, at: datetime.datetime) -> None:
        """Have the anchors beyond an epoch sent again: the chain holds them no more."""
        signed = _C.raw.is_not(None)
        lost = (*_of(account), _C.epoch > after, _C.state.in_(_ON_CHAIN))
        self._connection.execute(
            sa.update(t.anchors)
            .where(*lost)
            .values(
                state=sa.case((signed, "signed"), else_="queued"),
                transaction_hash=sa.case((signed, _C.transaction_hash), else_=None),
                signed_at=sa.case((signed, int(at.timestamp())), else_=None),
                block=None,
                block_hash=None,
            )
        )

    def anchor_covering(self, index: int) -> StoredAnchor | None:
        """Return the first final anchor whose tree holds this index.

        One of the account that anchors now, where there is one.
        """
        ours: sa.ColumnElement[int] = sa.literal(0)
        if (newest := self.anchor()) is not None:
            ours = sa.case((sa.and_(*_of(newest.account)), 0), else_=1)
        return self._first(
            sa.select(t.anchors)
            .where(_C.size > index, _C.state == "final")
            .order_by(ours, _C.size, _C.row)
            .limit(1)
        )

    def _first(self, statement: sa.Select[Any]) -> StoredAnchor | None:
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _stored(row)


def _of(account: Account) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _C.chain_id == account.chain_id,
        _C.contract == account.contract,
        _C.member == account.member,
    )


def _stored(row: sa.Row[Any]) -> StoredAnchor:
    return StoredAnchor(
        chain_id=row.chain_id,
        contract=row.contract,
        member=row.member,
        epoch=row.epoch,
        size=row.size,
        note=row.note,
        salt=row.salt,
        commitment=row.commitment,
        at=_instant(row.at),
        state=row.state,
        nonce=row.nonce,
        raw=row.raw,
        transaction=row.transaction_hash,
        signed_at=None if row.signed_at is None else _instant(row.signed_at),
        block=row.block,
        block_hash=row.block_hash,
    )


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
