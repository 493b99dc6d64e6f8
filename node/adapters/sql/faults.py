"""Proofs of others' faults, in SQL."""

import datetime
import json
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from crypto.encoding import canonical
from node.adapters.sql import tables as t
from node.ports import Fault

_ENOUGH: Final = 100
"""Of one participant and kind. More prove nothing more, and fill the store."""
_MOST: Final = 1000


class SqlFaults:
    """Implements `node.ports.Faults`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, fault: Fault) -> None:
        """Keep a proof, unless it is there or there are enough."""
        c = t.proofs_of_fault.c
        there = self._connection.scalar(
            sa.select(sa.func.count()).where(
                c.participant == fault.participant, c.kind == fault.kind
            )
        )
        if (there or 0) >= _ENOUGH:
            return
        sqlite_ = self._connection.dialect.name == "sqlite"
        upsert = sqlite.insert if sqlite_ else postgresql.insert
        self._connection.execute(
            upsert(t.proofs_of_fault)
            .values(
                id=fault.id,
                kind=fault.kind,
                participant=fault.participant,
                proof=canonical(dict(fault.proof)).decode(),
                at=int(fault.at.timestamp()),
            )
            .on_conflict_do_nothing(index_elements=["id"])
        )

    def all(self) -> Sequence[Fault]:
        """Return every proof, newest first, a thousand at most."""
        c = t.proofs_of_fault.c
        rows = self._connection.execute(
            sa.select(t.proofs_of_fault).order_by(c.at.desc(), c.id).limit(_MOST)
        )
        return [_fault(row) for row in rows]

    def get(self, fault_id: str) -> Fault | None:
        """Return a proof, or None."""
        found = self._connection.execute(
            sa.select(t.proofs_of_fault).where(t.proofs_of_fault.c.id == fault_id)
        ).one_or_none()
        return None if found is None else _fault(found)


def _fault(row: sa.Row[Any]) -> Fault:
    return Fault(
        id=row.id,
        kind=row.kind,
        participant=row.participant,
        proof=json.loads(row.proof),
        at=datetime.datetime.fromtimestamp(row.at, datetime.UTC),
    )
