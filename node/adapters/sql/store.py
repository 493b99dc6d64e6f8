"""The node's store on SQLAlchemy: SQLite for one process, PostgreSQL for many.

A transaction is a function that runs in a thread, on one connection. On SQLite
there is one writing thread, so writers queue in order, and those that wait share
one commit (`writers`); every commit reaches the disk (`synchronous=FULL`). On
PostgreSQL writers of one stream queue on its row, and reads see one snapshot.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from node.adapters.sql.agreements import SqlAgreements
from node.adapters.sql.alarms import SqlAlarms
from node.adapters.sql.budgets import SqlBudgets
from node.adapters.sql.datasets import SqlDatasets
from node.adapters.sql.erasure import SqlErasure
from node.adapters.sql.faults import SqlFaults
from node.adapters.sql.jobs import SqlJobs
from node.adapters.sql.log import SqlLog
from node.adapters.sql.receipts import SqlReceipts
from node.adapters.sql.snapshots import SqlSnapshots
from node.adapters.sql.streams import SqlStreams
from node.adapters.sql.turns import SqlTurns
from node.adapters.sql.witness import SqlWitness
from node.adapters.sql.writers import (
    SEPARATE,
    GroupedWriters,
    SeparateWriters,
    Writers,
    translated,
)
from node.errors import Unavailable

_READERS = 4
_PATIENCE_S = 10
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
BEGIN_READING: Final = {
    "sqlite": "BEGIN DEFERRED",
    "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
}
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
        "pool_size": _READERS + SEPARATE,
        "hide_parameters": True,
    }
    if driver != "sqlite":
        return sa.create_engine(
            target.set(drivername=driver), pool_timeout=5, **options
        )
    engine = sa.create_engine(
        target,
        connect_args={"timeout": _PATIENCE_S, "isolation_level": None},
        **options,
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
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
        self.turns = SqlTurns(connection)
        self.witness = SqlWitness(connection)
        self.faults = SqlFaults(connection)
        self.streams = SqlStreams(connection)
        self.budgets = SqlBudgets(connection)
        self.jobs = SqlJobs(connection)


class SqlStore:
    """Implements `node.ports.Store`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="read")
        sqlite = engine.dialect.name == "sqlite"
        self._begin = BEGIN_READING[engine.dialect.name]
        self._writers: Writers = (
            GroupedWriters(engine) if sqlite else SeparateWriters(engine)
        )

    async def read(self, question: Callable[[SqlUnitOfWork], T]) -> T:
        """Ask something of one consistent state, and change nothing."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._ask, question)

    def _ask(self, question: Callable[[SqlUnitOfWork], T]) -> T:
        with translated(), self._engine.connect() as connection:
            connection.exec_driver_sql(self._begin)
            return question(SqlUnitOfWork(connection))

    async def write(self, action: Callable[[SqlUnitOfWork], T]) -> T:
        """Do something whole: committed when it returns, undone when it raises."""

        def _act(connection: sa.Connection) -> T:
            return action(SqlUnitOfWork(connection))

        return await asyncio.wrap_future(self._writers.submit(_act))

    async def scrub(self) -> None:
        """Have SQLite empty its journal, in which what was erased may still stand."""
        if self._engine.dialect.name == "sqlite":
            await asyncio.to_thread(self._scrub)

    def _scrub(self) -> None:
        with translated(), self._engine.connect() as connection:
            # Who reads for long may keep it from that, but is not to hold up writers.
            connection.exec_driver_sql("PRAGMA busy_timeout=200")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_PATIENCE_S * 1000}")

    def close(self) -> None:
        """Finish what runs and what waits, and give back every connection."""
        self._reading.shutdown()
        self._writers.close()
        self._engine.dispose()
