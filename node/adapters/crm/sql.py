"""Records in a SQL database.

Only the named columns are selected. Values travel as bound parameters, and names
are always quoted and always written `source."name"`: SQLite takes a lone
`"name"` that no column has for a piece of text, and would return that.

A published record is found again by the text of its key, while the column may
hold integers or UUIDs, and databases differ in what they make of a comparison
across types (PostgreSQL refuses, MySQL reads '5x' as 5). So the type is learnt
from one stored key, the keys are sent in it, and what comes back is compared
again here, character for character.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from node.adapters.crm.engines import (
    READ_ONLY,
    begin_scan,
    next_fetch,
    open_engine,
    translated,
)
from node.domain.dataset import Source
from node.domain.publication import Row, SourceReport
from node.domain.values import encodable, record_key

_CHUNK: Final = 500
"""Keys in one statement; SQLite's oldest limit is 999 parameters."""


class SqlSource:
    """Implements `node.ports.RecordSource` for a table or query.

    Args:
        source: Declares relation, record column and timeout.
        url: SQLAlchemy URL, which may hold a password.
    """

    def __init__(self, source: Source, url: str) -> None:
        self._source = source
        self._engine = open_engine(url, source.timeout_s)
        self._key_type: type | None = None
        self._select = lru_cache(maxsize=64)(self._build)

    def __repr__(self) -> str:
        return f"SqlSource({self._engine.dialect.name}, {self._source!r})"

    def check(self) -> SourceReport:
        """Return what the source is. Reads names, and no row.

        Raises:
            Unavailable: The source does not answer, or has no such relation.
        """
        with translated(), self._engine.connect() as connection:
            columns = self._columns(connection)
        kind = self._engine.dialect.name
        if getattr(self._engine.dialect, "is_mariadb", False):
            kind = "mariadb"
        return SourceReport(kind=kind, columns=columns, read_only=kind in READ_ONLY)

    def scan(self, columns: Sequence[str], batch: int = 1000) -> Iterator[list[Row]]:
        """Return every row, in batches, with the named columns only.

        Raises:
            Unavailable: The source does not answer, or not in time.
        """
        names = tuple(dict.fromkeys(columns))
        with translated(), self._engine.connect() as connection:
            begin_scan(connection)
            options = {"stream_results": True, "yield_per": batch}
            chosen = self._select(names)
            with connection.execute(chosen, execution_options=options) as result:
                while rows := result.fetchmany(batch):
                    yield [dict(zip(names, row, strict=True)) for row in rows]
                    next_fetch(connection, self._source.timeout_s)

    def read(
        self, records: Sequence[str], columns: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return the named columns of the named records, as stored.

        A key that names no row, or more than one, is left out.

        Raises:
            Unavailable: The source does not answer, or not in time.
        """
        names = tuple(dict.fromkeys((self._source.record, *columns)))
        wanted = self._select(names, by_key=True)
        asked, found = set(records), dict[str, list[Row]]()
        with translated(), self._engine.connect() as connection:
            keys = self._typed(connection, asked)
            for start in range(0, len(keys), _CHUNK):
                chunk = keys[start : start + _CHUNK]
                for row in connection.execute(wanted, {"keys": chunk}):
                    values = dict(zip(names, row, strict=True))
                    key = record_key(row[0])
                    if key in asked:
                        found.setdefault(key, []).append(values)
        return {
            key: {name: rows[0][name] for name in columns}
            for key, rows in found.items()
            if len(rows) == 1
        }

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    def _build(self, names: tuple[str, ...], *, by_key: bool = False) -> sa.Select[Any]:
        """Return the statement for these columns; by key, that is the first one."""
        columns: list[sa.ColumnClause[Any]] = [
            sa.column(sa.quoted_name(name, quote=True)) for name in names
        ]
        relation = self._relation(columns)
        chosen = sa.select(*(relation.c[name] for name in names))
        if by_key:
            keys: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
            chosen = chosen.where(relation.c[names[0]].in_(keys))
        return chosen

    def _relation(self, columns: list[sa.ColumnClause[Any]]) -> sa.FromClause:
        relation = self._source.relation
        if relation.startswith("("):
            # A colon would start a parameter of `text`; a query has none.
            # The line's end keeps a comment at its end from going on.
            query = sa.text(relation[1:-1].replace(":", "\\:") + "\n")
            return query.columns(*columns).subquery("source")
        schema, _, table = (
            sa.quoted_name(part, quote=True) for part in relation.rpartition(".")
        )
        return sa.table(table, *columns, schema=schema or None).alias("source")

    def _columns(self, connection: Connection) -> tuple[str, ...]:
        if self._source.relation.startswith("("):
            nothing = sa.select(sa.text("*")).select_from(self._relation([]))
            return tuple(connection.execute(nothing.where(sa.false())).keys())
        schema, _, table = self._source.relation.rpartition(".")
        columns = sa.inspect(connection).get_columns(table, schema=schema or None)
        return tuple(column["name"] for column in columns)

    def _typed(self, connection: Connection, keys: set[str]) -> list[Any]:
        """Return the keys in the type of the record column."""
        if self._key_type is None:
            one = self._select((self._source.record,))
            one = one.where(one.selected_columns[0].is_not(None)).limit(1)
            sample = connection.execute(one).scalar()
            self._key_type = None if sample is None else type(sample)
        return list({typed for key in keys for typed in _typed(key, self._key_type)})


def _typed(key: str, kind: type | None) -> tuple[Any, ...]:
    """Return what to compare with; nothing when no such row can be."""
    if kind is str:
        # PostgreSQL pads CHAR(n) when it returns it, not when it compares.
        return (key, key.rstrip(" ")) if encodable(key) else ()
    if kind in {int, Decimal} and re.fullmatch("-?[0-9]{1,18}", key):
        return (kind(key),)
    if kind is UUID and re.fullmatch("[0-9a-f-]{36}", key):
        return (UUID(key),)
    return ()
