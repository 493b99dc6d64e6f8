"""A PostgreSQL that keeps what it acknowledged, to be stopped and started again.

The server of `tests.support.servers` is fast and forgets when it is killed. This one
writes to the disk as one in use does (`fsync`, `synchronous_commit`).
"""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from tests.support.servers import (
    _account,
    _answers,
    _directory,
    find,
    free_port,
    running,
)


@dataclass
class Postgres:
    """A server over a folder of data.

    Attributes:
        url: Without a driver's name in it.
    """

    initdb: str
    server: str
    ask: str
    home: Path
    port: int
    account: str | None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def url(self) -> str:
        return f"postgresql://fieldpact@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        subprocess.run(
            [self.initdb, "-D", self.home / "data", "-U", "fieldpact",
             "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, user=self.account, cwd=self.home,
        )  # fmt: skip

    def start(self) -> None:
        command = [self.server, "-D", str(self.home / "data")]
        command += ["-p", str(self.port), "-h", "127.0.0.1"]
        command += ["-c", "unix_socket_directories=", "-c", "max_connections=100"]
        asking = [self.ask, "-q", "-h", "127.0.0.1"]
        self._process = self._stack.enter_context(
            running(
                command,
                ready=_answers([*asking, "-p", str(self.port)]),
                log=self.home / "log",
                account=self.account,
                stop=signal.SIGQUIT,  # at once, and recovered at the next start
            )
        )

    def database(self, name: str) -> str:
        """Make another database; return its URL."""
        admin = sa.create_engine(
            sa.make_url(self.url).set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
        )
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        admin.dispose()
        return self.url.rpartition("/")[0] + f"/{name}"

    def stop(self) -> None:
        """Stop at once, without a checkpoint: the next start recovers."""
        self._stack.close()


@contextlib.contextmanager
def durable() -> Iterator[Postgres]:
    """Run a server while the block lasts.

    Raises:
        Absent: It is not installed here.
    """
    places = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name)
    )[::-1]
    initdb, program, ask = (
        find(name, places=places) for name in ("initdb", "postgres", "pg_isready")
    )
    account = _account("postgres")
    with _directory(account) as home:
        server = Postgres(initdb, program, ask, home, free_port(), account)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
