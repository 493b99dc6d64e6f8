"""What several processes on one database share out among themselves, in SQL."""

import datetime
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from node.adapters.sql import tables as t

_l, _u = t.leases.c, t.unbuilt.c


class SqlTurns:
    """Implements `node.ports.Turns`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._alone = connection.dialect.name == "sqlite"
        self._upsert = sqlite.insert if self._alone else postgresql.insert

    def take(
        self, name: str, holder: str, now: datetime.datetime, seconds: int
    ) -> bool:
        """Take, or keep, a turn; False while another process has it."""
        if self._alone:
            return True  # no other process has this file
        instant = int(now.timestamp())
        put = self._upsert(t.leases).values(
            name=name, holder=holder, until=instant + seconds
        )
        taken = put.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "until": instant + seconds},
            where=sa.or_(_l.holder == holder, _l.until < instant),
        ).returning(_l.name)
        return self._connection.execute(taken).one_or_none() is not None

    def give_back(self, name: str, holder: str) -> None:
        """End a turn that this process has."""
        mine = sa.and_(_l.name == name, _l.holder == holder)
        self._connection.execute(sa.delete(t.leases).where(mine))

    def want(self, agreement: str) -> None:
        """Have the snapshot of an agreement looked at as a whole, by some process."""
        self._connection.execute(
            self._upsert(t.unbuilt)
            .values(agreement=agreement, wanted=1)
            .on_conflict_do_update(
                index_elements=["agreement"], set_={"wanted": _u.wanted + 1}
            )
        )

    def wanted(self) -> Mapping[str, int]:
        """Return the agreements that are wanted, and how often since their build."""
        rows = self._connection.execute(sa.select(_u.agreement, _u.wanted))
        return {row.agreement: row.wanted for row in rows}

    def built(self, agreement: str, wish: int) -> None:
        """End a wish, unless it was repeated meanwhile."""
        done = sa.and_(_u.agreement == agreement, _u.wanted == wish)
        self._connection.execute(sa.delete(t.unbuilt).where(done))
