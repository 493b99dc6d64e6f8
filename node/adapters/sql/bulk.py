"""Many rows at once, while others wait for the store.

SQLAlchemy looks at every value of every row, which takes twice as long as SQLite
needs to keep them. Rows that are bytes, text and whole numbers need no looking at:
only the statement is SQLAlchemy's.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

_BATCH: Final = 10_000


def insert(
    connection: Connection,
    table: sa.Table,
    columns: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    """Insert rows of values that the driver takes as they are.

    Args:
        columns: Names, in the order of the values of a row.
        rows: As many as there are; they are taken in batches.
    """
    statement = sa.insert(table).compile(
        dialect=connection.dialect, column_keys=list(columns)
    )
    # Some drivers want the values by position, others by name.
    order = [columns.index(name) for name in statement.positiontup or ()]
    rest = iter(rows)
    while batch := list(islice(rest, _BATCH)):
        values: list[Any] = [
            tuple(row[at] for at in order)
            if order
            else dict(zip(columns, row, strict=True))
            for row in batch
        ]
        connection.exec_driver_sql(str(statement), values)
