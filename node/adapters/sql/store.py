"""The node's store on SQLAlchemy: SQLite for one process, PostgreSQL for many.

A transaction is a function that runs in a thread, on one connection. On SQLite
there is one writing thread, so writers queue in order, and it takes the write
lock when it begins (`BEGIN IMMEDIATE`); every commit reaches the disk
(`synchronous=FULL`). On PostgreSQL writers of one stream queue on its row, and
reads see one snapshot.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from node.adapters.sql.agreements import SqlAgreements
from node.adapters.sql.faults import SqlFaults
from node.adapters.sql.erasure import SqlErasure
from node.adapters.sql.alarms import SqlAlarms
from node.adapters.sql.datasets import SqlDatasets
from node.adapters.sql.log import SqlLog
from node.adapters.sql.witness import SqlWitness
from node.adapters.sql.writers import (
    SEPARATE,
    GroupedWriters,
    SeparateWriters,
    Writers,
    translated,
)
from node.adapters.sql.receipts import SqlReceipts
from node.adapters.sql.snapshots import SqlSnapshots
from node.errors import Unavailable

_READERS, _WRITERS = 4, 8
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
T = TypeVar("T")


def engine_for(url: str) -> sa.Engine:
    """Return an engine for the node's own database.

    Args:
        url: `sqlite:///path` or `postgresql://…`.

    Raises:
        Unavailable: Any other database, or no URL. The text may hold a password,
            so it is not repeated.
    """
    try:
        target = sa.make_url(url)
        driver = _DRIVERS[target.get_backend_name()]
    except (ArgumentError, ValueError, KeyError):
        detail = "The node's own database is SQLite or PostgreSQL, named by a URL."
        raise Unavailable("store.unsupported", detail) from None
    # What is written is about customers: it stays out of the texts of errors.
    options: dict[str, Any] = {
        "pool_size": _READERS + _WRITERS,
        "hide_parameters": True,
    }
    if driver != "sqlite":
        return sa.create_engine(
            target.set(drivername=driver), pool_timeout=5, **options
        )
    engine = sa.create_engine(
        target, connect_args={"timeout": 10, "isolation_level": None}, **options
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


class SqlUnitOfWork:
    """Implements `node.ports.UnitOfWork` on a connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self.datasets = SqlDatasets(connection)
        self.agreements = SqlAgreements(connection)
        self.snapshots = SqlSnapshots(connection)
        self.receipts = SqlReceipts(connection)
        self.log = SqlLog(connection)
        self.alarms = SqlAlarms(connection)


        self.erasure = SqlErasure(connection)
        self.witness = SqlWitness(connection)
        self.faults = SqlFaults(connection)
class SqlStore:
    """Implements `node.ports.Store`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        writers = 1 if engine.dialect.name == "sqlite" else _WRITERS
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="read")
        self._writing = ThreadPoolExecutor(writers, thread_name_prefix="write")

    async def read(self, question: Callable[[SqlUnitOfWork], T]) -> T:
        """Ask something of one consistent state, and change nothing."""
        return await self._run(self._reading, question, writes=False)

    async def write(self, action: Callable[[SqlUnitOfWork], T]) -> T:
        """Do something whole: committed when it returns, undone when it raises."""
        return await self._run(self._writing, action, writes=True)

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        function: Callable[[SqlUnitOfWork], T],
        *,
        writes: bool,
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, self._whole, function, writes)

    def _whole(self, function: Callable[[SqlUnitOfWork], T], writes: bool) -> T:
        try:
            with self._engine.connect() as connection:
                self._begin(connection, writes=writes)
                result = function(SqlUnitOfWork(connection))
                if writes:
                    connection.commit()
                return result
        except (DBAPIError, PoolTimeout) as error:
            detail = "The node's own database did not answer."
            raise Unavailable("store.unavailable", detail) from error

    def _begin(self, connection: sa.Connection, *, writes: bool) -> None:
        if self._engine.dialect.name == "sqlite":
            kind = "IMMEDIATE" if writes else "DEFERRED"
            connection.exec_driver_sql(f"BEGIN {kind}")
        elif not writes:
            connection.exec_driver_sql(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
            )

    def close(self) -> None:
        """Finish what runs, and give back every connection."""
        self._reading.shutdown()
        self._writing.shutdown()
        self._engine.dispose()
