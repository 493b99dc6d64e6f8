"""What a person must look at, in SQL."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from node.adapters.sql import tables as t
from node.ports import Alarm


class SqlAlarms:
    """Implements `node.ports.Alarms`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sound(self, alarm: Alarm) -> None:
        """Keep an alarm; one that is open already stays as it is."""
        sqlite_ = self._connection.dialect.name == "sqlite"
        upsert = sqlite.insert if sqlite_ else postgresql.insert
        self._connection.execute(
            upsert(t.alarms)
            .values(
                code=alarm.code,
                subject=alarm.subject,
                detail=alarm.detail,
                at=int(alarm.at.timestamp()),
            )
            .on_conflict_do_nothing(
                index_elements=["code", "subject"],
                index_where=t.alarms.c.cleared_at.is_(None),
            )
        )

    def open(self) -> Sequence[Alarm]:
        """Return the open alarms, oldest first."""
        c = t.alarms.c
        rows = self._connection.execute(
            sa.select(t.alarms).where(c.cleared_at.is_(None)).order_by(c.row)
        )
        return [
            Alarm(
                code=row.code,
                subject=row.subject,
                detail=row.detail,
                at=datetime.datetime.fromtimestamp(row.at, datetime.UTC),
            )
            for row in rows
        ]

    def clear(self, code: str, subject: str, why: str, at: datetime.datetime) -> bool:
        """End an alarm, for a reason that is kept; False where none is open."""
        c = t.alarms.c
        cleared = self._connection.execute(
            sa.update(t.alarms)
            .where(c.code == code, c.subject == subject, c.cleared_at.is_(None))
            .values(cleared_at=int(at.timestamp()), cleared_why=why)
            .returning(c.row)
        )
        return cleared.one_or_none() is not None
