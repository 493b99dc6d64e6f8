"""What is found, and what it is checked against."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import sqlalchemy as sa

from ledger.participants import Participant, Pins
from ledger.ports import ChainReader

Row: TypeAlias = sa.Row[Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and where.

    Attributes:
        table: Name of a table.
        row: Its row, by primary key.
        wrong: In words; begins with the name of a column where it is one column.
    """

    table: str
    row: str
    wrong: str

    @property
    def code(self) -> str:
        """Return what is wrong as a word: table and column, or a table alone."""
        column, told, _ = self.wrong.partition(": ")
        alone = not told or not column.isidentifier()
        return self.table if alone else f"{self.table}.{column}"

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.table} {self.row}: {self.wrong}"


@dataclass(slots=True)
class Basis:
    """What the store is checked against, and what was counted on the way.

    Attributes:
        me: Whose log it is, as pinned.
        pins: Everybody's keys.
        chain: To be asked for each anchor; None where nobody is.
        latest: Our newest epoch there, as it was before the store was opened: what a
            node that runs has anchored since is not missing. None where that is now.
        unknown: Participants whose signatures nobody could check: not pinned.
    """

    me: Participant
    pins: Pins
    chain: ChainReader | None = None
    latest: int | None = None
    receipts: int = 0
    erased: int = 0
    entries: int = 0
    checkpoints: int = 0
    anchors: int = 0
    received: int = 0
    unknown: set[str] = field(default_factory=set)

    def participant(self, did: str) -> Participant | None:
        """Return a participant; note where it is not pinned."""
        found = self.pins.get(did)
        if found is None:
            self.unknown.add(did)
        return found

    def counts(self) -> dict[str, int]:
        """Return how much was looked at."""
        names = ("receipts", "erased", "entries", "checkpoints", "anchors", "received")
        return {name: getattr(self, name) for name in names}


def pages(
    connection: sa.Connection,
    table: sa.Table,
    *keys: sa.Column[Any],
    where: sa.ColumnElement[bool] | None = None,
    most: int = 500,
) -> Iterator[list[Row]]:
    """Read a table by its key, some rows at a time."""
    statement = sa.select(table).order_by(*keys).limit(most)
    if where is not None:
        statement = statement.where(where)
    last: tuple[Any, ...] | None = None
    while True:
        following = statement
        if last is not None:
            following = statement.where(sa.tuple_(*keys) > sa.tuple_(*last))
        rows = list(connection.execute(following))
        if not rows:
            return
        yield rows
        last = tuple(getattr(rows[-1], key.name) for key in keys)
