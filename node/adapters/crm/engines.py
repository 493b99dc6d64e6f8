"""Engines that cannot write and do not wait for ever; and what their errors mean.

The server itself is asked to refuse writes and to stop slow statements, in the
way that each one knows:

    sqlite            file opened with `mode=ro`, and `query_only`; a progress
                      handler interrupts the statement
    postgresql        `default_transaction_read_only`, `statement_timeout`
    mysql, mariadb    `SET SESSION TRANSACTION READ ONLY`, `max_execution_time`
                      or `max_statement_time`, and a timeout on the socket

For any other database the rights of its user are all that prevents a write.
They should be the first line everywhere: a user that may select from one table
or view, and nothing else.

What a driver says about a failure may repeat values or the address, so it is
replaced, not chained: our errors carry the server's number and no more.
"""

import contextlib
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from node.errors import Unavailable

_DRIVERS: Final = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
READ_ONLY: Final = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})
"""Databases that are made to refuse writes."""

_POOL: Final[Mapping[str, Any]] = {
    "poolclass": QueuePool,
    "pool_size": 5,
    "max_overflow": 5,
    "pool_pre_ping": True,
    "pool_recycle": 1800,
    "hide_parameters": True,
}
_TOO_SLOW: Final = frozenset({"57014", 1205, 1969, 3024})
_REFUSED: Final = frozenset({1054, 1064, 1142, 1143, 1146, 1370})


def open_engine(url: str, timeout_s: float) -> Engine:
    """Return a pooled engine; it connects on first use.

    Raises:
        Unavailable: `source.unavailable`: not a URL, or no driver for it.
    """
    try:
        target = make_url(url)
        kind = target.get_backend_name()
        target = target.set(drivername=_DRIVERS.get(kind, target.drivername))
        if kind == "sqlite":
            return _sqlite(target, timeout_s)
        engine = sa.create_engine(
            target,
            pool_timeout=timeout_s,
            connect_args=_connect_arguments(target, timeout_s),
            **_POOL,
        )
    except (exc.ArgumentError, ImportError, ValueError):
        detail = "This is not an SQLAlchemy URL of a database that has a driver here."
        raise Unavailable("source.unavailable", detail) from None
    if engine.dialect.name in {"mysql", "mariadb"}:
        _my_session(engine, timeout_s)
    return engine


def _connect_arguments(target: URL, timeout_s: float) -> dict[str, Any]:
    kind, seconds = target.get_backend_name(), math.ceil(timeout_s)
    if kind == "postgresql":
        own = target.query.get("options", "")  # of two settings the later one holds
        limit = f"-c statement_timeout={math.ceil(timeout_s * 1000)}"
        return {
            "options": f"{own} -c default_transaction_read_only=on {limit}",
            "connect_timeout": max(2, seconds),
            "tcp_user_timeout": 1000 * (seconds + 5),
        }
    if kind in {"mysql", "mariadb"}:
        # The socket waits longer than the server, which has the better words.
        return {"connect_timeout": seconds, "read_timeout": seconds + 5}
    return {}


def _sqlite(target: URL, timeout_s: float) -> Engine:
    if not target.database:
        raise ValueError(target.drivername)
    place = f"file:{quote(target.database)}?mode=ro"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            place, uri=True, timeout=timeout_s, check_same_thread=False
        )
        connection.execute("PRAGMA query_only = ON")
        return connection

    def watch(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        info = entry.info
        connection.set_progress_handler(
            lambda: time.monotonic() > info.get("deadline", math.inf), 10_000
        )

    engine = sa.create_engine(
        "sqlite://", creator=connect, pool_timeout=timeout_s, **_POOL
    )
    sa.event.listen(engine, "connect", watch)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _start(connection: Connection, *_: object) -> None:
        connection.info["deadline"] = time.monotonic() + timeout_s

    return engine


def _my_session(engine: Engine, timeout_s: float) -> None:
    """Prepare each new session of MySQL or MariaDB."""

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("SELECT VERSION()")
            mariadb = "MariaDB" in str(cursor.fetchone())
            cursor.execute(_my_limit(mariadb, timeout_s))


def _my_limit(mariadb: bool, seconds: float) -> str:
    """Return the statement that limits the next ones; 0 lifts the limit."""
    if mariadb:
        return f"SET SESSION max_statement_time = {seconds:f}"
    return f"SET SESSION max_execution_time = {math.ceil(seconds * 1000)}"


def begin_scan(connection: Connection) -> None:
    """Prepare a connection for a statement whose rows are fetched at leisure.

    The connection leaves the pool and ends with its use. MySQL and MariaDB would
    count the time of the whole reading, the reader's pauses too; there only the
    socket's timeout stays. The others count each fetch.
    """
    connection.detach()
    if connection.dialect.name in {"mysql", "mariadb"}:
        mariadb = getattr(connection.dialect, "is_mariadb", False)
        connection.exec_driver_sql(_my_limit(mariadb, 0))


def next_fetch(connection: Connection, timeout_s: float) -> None:
    """Give the next fetch of a scan its own time."""
    connection.info["deadline"] = time.monotonic() + timeout_s


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy and its drivers raise into `Unavailable`."""
    try:
        yield
    except (exc.SQLAlchemyError, UnicodeError, ValueError, OverflowError) as error:
        raise _fault(error) from None


def _fault(error: Exception) -> Unavailable:
    cause = getattr(error, "orig", None) or error
    number = _number(cause)
    said = f" ({number})" if number else ""
    text = str(cause)
    slow = isinstance(error, exc.TimeoutError) or number in _TOO_SLOW
    if slow or text == "interrupted" or "timed out" in text:
        detail = f"The CRM database did not answer in time{said}. Is the record "
        mend = "column indexed? If it has to be slow, raise `source.timeout_s`."
        return Unavailable("source.timeout", detail + mend)
    unreached = isinstance(error, exc.OperationalError | exc.InterfaceError)
    if number in _REFUSED or text.startswith("no such ") or not unreached:
        detail = f"The CRM database refused the query{said}. Check the declared table "
        mend = "and columns, letter case too, and that its user may select them."
        return Unavailable("source.query", detail + mend)
    detail = f"The CRM database did not answer{said}. Check its URL, that it runs, "
    return Unavailable("source.unavailable", detail + "and that it lets the user in.")


def _number(cause: Exception) -> int | str | None:
    """Return MySQL's error number or PostgreSQL's SQLSTATE; other text is unsafe."""
    first = cause.args[0] if cause.args else None
    state = getattr(cause, "sqlstate", None)
    return first if isinstance(first, int) else state
