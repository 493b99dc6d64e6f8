"""Bytes in SQLite, for a chain that must survive the loss of its process.

py-evm wants one dictionary of bytes to bytes: trie nodes, headers and lookups,
nearly all of them named by their own hash. Events are kept a second time, as rows
with an index, because finding them in blocks means reading every block.

Both are written in one SQLite transaction per block. The file is in WAL mode with
`synchronous = FULL`: COMMIT returns after fsync, and a file cut off at any byte
reopens at the last commit. It is locked while it is open, so that two processes
can never build two chains in one file.

Sources: SQLite, "Write-Ahead Logging" and "PRAGMA synchronous".
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    key BLOB PRIMARY KEY, value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
    block INTEGER NOT NULL, position INTEGER NOT NULL, address BLOB NOT NULL,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
    block_hash BLOB NOT NULL, transaction_hash BLOB NOT NULL,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS log_search
    ON log (address, topic0, topic1, topic2, block, position);
"""


class Log(NamedTuple):
    """One event of one transaction, in the order of the table's columns."""

    block: int
    position: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_hash: bytes
    transaction_hash: bytes


class LogFilter(NamedTuple):
    """Which events are wanted.

    Attributes:
        first: Lowest block number, inclusive.
        last: Highest block number, inclusive.
        addresses: Emitting contracts; none named means any.
        topics: For each position the accepted values; none named means any.
    """

    first: int
    last: int
    addresses: Sequence[bytes] = ()
    topics: Sequence[Sequence[bytes]] = ()


class _Entries(BaseDB):
    """The dictionary that py-evm wants, one SQL statement per access."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getitem__(self, key: bytes) -> bytes:
        row = self._connection.execute(
            "SELECT value FROM entry WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            raise KeyError(key)
        return bytes(row[0])

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO entry VALUES (?, ?)", (key, value)
        )

    def __delitem__(self, key: bytes) -> None:
        self._connection.execute("DELETE FROM entry WHERE key = ?", (key,))

    def _exists(self, key: bytes) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM entry WHERE key = ?", (key,)
        ).fetchone()
        return row is not None


class Store:
    """One open chain file. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and lock it.

        Raises:
            sqlite3.OperationalError: Another process has it open.
        """
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=2.0
        )
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("PRAGMA synchronous=FULL")
        with self.transaction():
            for statement in _SCHEMA.split(";"):
                self._connection.execute(statement)
        self.entries = AtomicDB(_Entries(self._connection))

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def is_empty(self) -> bool:
        """Tell whether nothing was ever written here."""
        return not self._connection.execute("SELECT 1 FROM entry LIMIT 1").fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all that is written inside, durably, or none of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def add_log(self, log: Log) -> None:
        """Index one event; to be called inside `transaction`."""
        topics = (*log.topics, None, None, None, None)[:4]
        self._connection.execute(
            "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*log[:3], *topics, *log[4:]),
        )

    def logs(self, wanted: LogFilter, *, limit: int) -> list[Log]:
        """Return the events that a filter accepts, oldest first, at most `limit`."""
        clauses = ["block BETWEEN ? AND ?"]
        values: list[int | bytes] = [wanted.first, wanted.last]
        columns = ("address", "topic0", "topic1", "topic2", "topic3")
        for column, accepted in zip(
            columns, (wanted.addresses, *wanted.topics), strict=False
        ):
            if accepted:
                clauses.append(f"{column} IN ({', '.join('?' * len(accepted))})")
                values.extend(accepted)
        rows = self._connection.execute(
            f"SELECT * FROM log WHERE {' AND '.join(clauses)}"  # noqa: S608 -- names
            " ORDER BY block, position LIMIT ?",  # and question marks only
            (*values, limit),
        )
        return [
            Log._make((*row[:3], tuple(t for t in row[3:7] if t is not None), *row[7:]))
            for row in rows
        ]
