"""Who writes: one after another into one transaction, or each on its own.

An answer leaves when its receipt is on disk, and a disk takes milliseconds to say
so, whatever it is given. SQLite has one writer. So `GroupedWriters` takes all actions
that wait, runs each behind a *savepoint* of one transaction, commits once, and then
tells everybody: many receipts, one wait for the disk. Nobody waits for a group to
fill: whoever comes to an idle store is a group of one.

An action that raises is undone to its savepoint before the next one runs, so the next
one never sees it. Actions of one group see one another, and are committed together or
not at all. Also what an action *raised* is told after the commit only: it may rest
on what another has done. If the commit fails, or SQLite gives up the transaction half
way (a full disk), the whole group fails.

PostgreSQL has many writers and puts their commits together by itself:
`SeparateWriters`.

Sources: SQLite, "SAVEPOINT", and "Response to errors within a transaction" in "BEGIN
TRANSACTION"; PostgreSQL, "WAL configuration".
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from node.errors import Unavailable

_MOST: Final = 64
_WITHIN_S: Final = 0.010
SEPARATE: Final = 8
"""Connections that write to a database with many writers."""
T = TypeVar("T")


class Writers(Protocol):
    """Threads in which actions are run and committed."""

    def submit(self, action: Callable[[sa.Connection], T]) -> Future[T]:
        """Run an action when it is its turn; answer when it is on disk, or undone.

        An action whose answer is cancelled before its turn is never run.
        """
        ...

    def close(self) -> None:
        """Finish what waits, and take nothing more."""
        ...


@contextmanager
def translated() -> Iterator[None]:
    """Say `Unavailable` where a database says whatever it says.

    Raises:
        Unavailable: The database did not do it.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        detail = "The node's own database did not answer."
        raise Unavailable("store.unavailable", detail) from error


@dataclass(slots=True)
class _Waiting:
    """An action, what came of it, and who is to be told."""

    action: Callable[[sa.Connection], Any]
    answer: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: BaseException | None = None

    def run(self, connection: sa.Connection) -> None:
        """Act behind a savepoint; what the action raises is kept for later.

        Raises:
            DBAPIError: There is no transaction any more.
        """
        savepoint = connection.begin_nested()
        try:
            with translated():
                self.result = self.action(connection)
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            self.error = error
            savepoint.rollback()
        else:
            savepoint.commit()

    def tell(self, failure: BaseException | None) -> None:
        """Answer; `failure` is what happened to the whole group."""
        if error := failure or self.error:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(self.result)


class GroupedWriters:
    """Implements `Writers` with one thread, for a database that has one writer.

    Args:
        most: Actions of one transaction.
        within_s: Seconds after which a transaction takes no further action.
    """

    def __init__(
        self, engine: sa.Engine, *, most: int = _MOST, within_s: float = _WITHIN_S
    ) -> None:
        self._engine = engine
        self._most, self._within_s = most, within_s
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")

    def submit(self, action: Callable[[sa.Connection], T]) -> Future[T]:
        """See `Writers.submit`."""
        waiting = _Waiting(action)
        with self._lock:  # what is queued has a round to come, and the reverse
            self._thread.submit(self._round)
            self._queue.append(waiting)
        return waiting.answer

    def close(self) -> None:
        """See `Writers.close`."""
        self._thread.shutdown()

    def _round(self) -> None:
        """Take what waits, and answer it; an earlier round may have taken all."""
        if not (first := self._next()):
            return
        group = [first]
        failure: BaseException | None = None
        try:
            with translated():
                self._commit(group)
        except BaseException as error:  # noqa: BLE001  # it is the callers'
            failure = error
        for waiting in group:
            waiting.tell(failure)

    def _commit(self, group: list[_Waiting]) -> None:
        """Run the first of a group and those that wait by then, and commit them."""
        with self._engine.connect() as connection:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                self._run(group, connection)
                connection.commit()
            except BaseException:
                # A failed commit may leave its transaction open: close the connection.
                connection.invalidate()
                raise

    def _run(self, group: list[_Waiting], connection: sa.Connection) -> None:
        until = time.monotonic() + self._within_s
        group[0].run(connection)
        while len(group) < self._most and time.monotonic() < until:
            if not (waiting := self._next()):
                return
            group.append(waiting)
            waiting.run(connection)

    def _next(self) -> _Waiting | None:
        """Return the next action that somebody still waits for, if there is one."""
        with self._lock:
            while self._queue:
                waiting = self._queue.popleft()
                if waiting.answer.set_running_or_notify_cancel():
                    return waiting
        return None


class SeparateWriters:
    """Implements `Writers` with some threads, for a database that has many writers."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(SEPARATE, thread_name_prefix="write")

    def submit(self, action: Callable[[sa.Connection], T]) -> Future[T]:
        """See `Writers.submit`."""
        return self._threads.submit(self._commit, action)

    def close(self) -> None:
        """See `Writers.close`."""
        self._threads.shutdown()

    def _commit(self, action: Callable[[sa.Connection], T]) -> T:
        with translated(), self._engine.connect() as connection:
            result = action(connection)
            connection.commit()
            return result
