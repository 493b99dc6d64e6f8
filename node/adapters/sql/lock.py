"""One process for one SQLite file.

SQLite lets several processes write in turn; what they keep in memory (who builds
which snapshot) would still be doubled. So a node that serves holds a lock file beside
its database. The system gives the lock back when the process ends, however it ends.
Whoever only reads (`fieldpact fsck`) asks for no lock.

PostgreSQL has locks of its own, by which several processes share one database.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from node.errors import Unavailable


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Be the one process that serves a SQLite file; anything for PostgreSQL.

    Args:
        url: The store's URL, as in the settings.

    Raises:
        Unavailable: Another process holds the file, or the lock cannot be made.
    """
    database = _file(url)
    if database is None:
        yield
        return
    file = f"{database}.lock"
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        detail = f"The lock {file} cannot be made: {error.strerror}."
        raise Unavailable("store.unavailable", detail) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        detail = "Another process serves this SQLite file: stop it first. "
        mend = "For several processes, keep the store in PostgreSQL."
        raise Unavailable("store.in_use", detail + mend) from error
    try:
        yield
    finally:
        os.close(lock)


def _file(url: str) -> str | None:
    """Return the SQLite file of a URL; None for what is none, or no URL at all."""
    try:
        target = sa.make_url(url)
    except (ArgumentError, ValueError):
        return None  # whoever connects to it says what is wrong
    return target.database if target.get_backend_name() == "sqlite" else None
