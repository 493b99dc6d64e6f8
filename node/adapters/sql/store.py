"""The node's store on SQLAlchemy: SQLite for one process, PostgreSQL for many.

A unit of work is one connection and one transaction. On SQLite a writing one
takes the write lock when it begins (`BEGIN IMMEDIATE`), so that two writers
queue instead of failing half way, and every commit reaches the disk
(`synchronous=FULL`). On PostgreSQL writers of one stream queue on its row.
"""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from node.adapters.sql.agreements import SqlAgreements
from node.adapters.sql.datasets import SqlDatasets
from node.adapters.sql.log import SqlLog
from node.adapters.sql.receipts import SqlReceipts
from node.errors import Unavailable


def engine_for(url: str) -> AsyncEngine:
    """Return an engine for the node's own database.

    Args:
        url: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://…`.
    """
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_size=10, max_overflow=10, pool_timeout=5)
    engine = create_async_engine(
        url, connect_args={"timeout": 10, "isolation_level": None}, pool_size=8
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


class SqlUnitOfWork:
    """One transaction on one connection."""

    def __init__(
        self, engine: AsyncEngine, turn: asyncio.Lock | None, *, writes: bool
    ) -> None:
        self._engine = engine
        self._turn = turn
        self._writes = writes
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin; a writer waits for its turn."""
        try:
            if self._turn is not None:
                await self._stack.enter_async_context(self._turn)
            self._connection = await self._stack.enter_async_context(
                self._engine.connect()
            )
            await self._begin(self._connection)
        except BaseException:
            await self._stack.aclose()
            raise
        self.datasets = SqlDatasets(self._connection)
        self.agreements = SqlAgreements(self._connection)
        self.receipts = SqlReceipts(self._connection)
        self.log = SqlLog(self._connection)
        return self

    async def _begin(self, connection: AsyncConnection) -> None:
        if connection.dialect.name == "sqlite":
            # The driver commits by itself, so that we say where a transaction
            # begins and how.
            kind = "IMMEDIATE" if self._writes else "DEFERRED"
            await connection.exec_driver_sql(f"BEGIN {kind}")
        elif not self._writes:
            await connection.exec_driver_sql(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
            )

    async def commit(self) -> None:
        """Make it durable."""
        await self._connection.commit()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Roll back what was not committed, and give the connection back."""
        await self._stack.aclose()
        if isinstance(error, DBAPIError | PoolTimeout):
            raise Unavailable(
                "store.unavailable", "The node's own database did not answer."
            ) from error


class SqlStore:
    """The node's own database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite has one writer. Waiting for the lock here is fair and free; waiting
        # for it in the driver is polling.
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    def work(self) -> SqlUnitOfWork:
        """Return a transaction that may write."""
        return SqlUnitOfWork(self._engine, self._turn, writes=True)

    def view(self) -> SqlUnitOfWork:
        """Return a transaction that only reads one consistent state."""
        return SqlUnitOfWork(self._engine, None, writes=False)

    async def close(self) -> None:
        """Give back every connection."""
        await self._engine.dispose()
