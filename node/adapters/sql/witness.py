"""What was seen of others' logs, and what others have seen of ours, in SQL."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from node.adapters.sql import tables as t
from node.ports import Cosigned, Witnessed

_MET: Final = 1000
"""Checkpoints of one log that are remembered."""
_NEWEST: Final = 16
"""Checkpoints of ours whose cosignatures are kept although they are not anchored."""


class SqlWitness:
    """Implements `node.ports.Witness`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        sqlite_ = connection.dialect.name == "sqlite"
        self._upsert = sqlite.insert if sqlite_ else postgresql.insert

    def hold(self, origin: str) -> Witnessed | None:
        """Return the newest checkpoint cosigned of a log, held for this transaction.

        A log of which there is none gets an empty row: without one PostgreSQL has
        nothing to hold, and two firsts at once would both be cosigned.
        """
        empty = {"size": 0, "root": b"", "note": "", "at": 0}
        self._connection.execute(
            self._upsert(t.witnessed)
            .values(origin=origin, **empty)
            .on_conflict_do_nothing(index_elements=["origin"])
        )
        return self._newest(self._of(origin).with_for_update())

    def newest(self, origin: str) -> Witnessed | None:
        """Return the newest checkpoint that we cosigned of a log, or None."""
        return self._newest(self._of(origin))

    @staticmethod
    def _of(origin: str) -> sa.Select[Any]:
        return sa.select(t.witnessed).where(t.witnessed.c.origin == origin)

    def _newest(self, statement: sa.Select[Any]) -> Witnessed | None:
        row = self._connection.execute(statement).one_or_none()
        return _witnessed(row) if row is not None and row.note else None

    def keep(self, witnessed: Witnessed) -> None:
        """Replace the newest checkpoint that we cosigned of a log."""
        values = _values(witnessed)
        self._connection.execute(
            self._upsert(t.witnessed)
            .values(origin=witnessed.origin, **values)
            .on_conflict_do_update(index_elements=["origin"], set_=values)
        )

    def met(self, origin: str, size: int) -> Witnessed | None:
        """Return what is remembered of a log at a size, or None."""
        c = t.met_checkpoints.c
        row = self._connection.execute(
            sa.select(t.met_checkpoints).where(c.origin == origin, c.size == size)
        ).one_or_none()
        return None if row is None else _witnessed(row)

    def meet(self, witnessed: Witnessed) -> None:
        """Remember a checkpoint; of one size the first that was met."""
        self._connection.execute(
            self._upsert(t.met_checkpoints)
            .values(origin=witnessed.origin, **_values(witnessed))
            .on_conflict_do_nothing(index_elements=["origin", "size"])
        )
        self._forget_met(witnessed.origin)

    def _forget_met(self, origin: str) -> None:
        c = t.met_checkpoints.c
        smallest = (
            sa.select(c.size)
            .where(c.origin == origin)
            .order_by(c.size.desc())
            .offset(_MET - 1)
            .limit(1)
            .scalar_subquery()
        )
        self._connection.execute(
            sa.delete(t.met_checkpoints).where(c.origin == origin, c.size < smallest)
        )

    def keep_cosignature(self, cosigned: Cosigned) -> None:
        """Keep a witness's line under a checkpoint of our own, replacing its last."""
        values = {"line": cosigned.line, "at": int(cosigned.at.timestamp())}
        self._connection.execute(
            self._upsert(t.cosignatures)
            .values(size=cosigned.size, witness=cosigned.witness, **values)
            .on_conflict_do_update(index_elements=["size", "witness"], set_=values)
        )
        self._forget_cosignatures()

    def _forget_cosignatures(self) -> None:
        """Drop lines of the sizes next below the newest, where nothing is anchored.

        Only a few sizes are looked at: what is below them was looked at before.
        """
        c, anchored = t.cosignatures.c, t.anchors.c.size
        if old := self._sizes()[_NEWEST:]:
            kept = sa.select(anchored).where(anchored.in_(old))
            self._connection.execute(
                sa.delete(t.cosignatures).where(c.size.in_(old), c.size.not_in(kept))
            )

    def _sizes(self) -> Sequence[int]:
        size = t.cosignatures.c.size
        newest = sa.select(size).distinct().order_by(size.desc()).limit(2 * _NEWEST)
        return self._connection.scalars(newest).all()

    def cosignatures(self, size: int) -> Sequence[Cosigned]:
        """Return the lines under our checkpoint of a size, in order of witnesses."""
        c = t.cosignatures.c
        rows = self._connection.execute(
            sa.select(t.cosignatures).where(c.size == size).order_by(c.witness)
        )
        return [
            Cosigned(size=size, witness=row.witness, line=row.line, at=_instant(row.at))
            for row in rows
        ]

    def reach(self) -> Mapping[str, int]:
        """Return the size of the newest checkpoint that each witness has cosigned."""
        c = t.cosignatures.c
        rows = self._connection.execute(
            sa.select(c.witness, sa.func.max(c.size).label("size"))
            .where(c.size.in_(self._sizes()))
            .group_by(c.witness)
        )
        return {row.witness: row.size for row in rows}


def _values(witnessed: Witnessed) -> dict[str, Any]:
    return {
        "size": witnessed.size,
        "root": witnessed.root,
        "note": witnessed.note,
        "at": int(witnessed.at.timestamp()),
    }


def _witnessed(row: sa.Row[Any]) -> Witnessed:
    return Witnessed(
        origin=row.origin,
        size=row.size,
        root=row.root,
        note=row.note,
        at=_instant(row.at),
    )


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
