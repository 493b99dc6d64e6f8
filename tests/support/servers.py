"""Throw-away servers: PostgreSQL, MariaDB and OPA on free loopback ports.

Each is started from the programs that are installed, with its data in a
temporary directory, and ended by its process id. Nothing of a server that is
already running on the machine is touched. The databases refuse to run as root,
so root lends them an account of their own (`postgres`, `mysql`, or `nobody`).

As a program it wraps another command:

    python -m tests.support.servers [--require NAME]... -- COMMAND...

It starts what is installed and not yet named by the environment, sets

    FIELDPACT_TEST_POSTGRES   postgresql://…  a database to make schemas in
    FIELDPACT_TEST_MARIADB    mysql://…       likewise
    FIELDPACT_TEST_OPA        path of the opa program
    FIELDPACT_TEST_OPA_URL    http://…        a running policy server
    FIELDPACT_TEST_CHROMIUM   path of a browser

runs the command, and ends with its exit code. A server that is not installed is
left out, and the tests that need it say so; `--require` makes that an error.
"""

import argparse
import fcntl
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

from examples import processes

START_S = 300
STOP_S = 30
_PORTS = range(10_240, 32_768)
_taken: set[int] = set()


class Absent(Exception):
    """The server's programs are not installed here."""


def free_port() -> int:
    """Return a TCP port of loopback that is free, and that no other test will get.

    It is below those that systems give to connections, or to whoever wants any port.
    And it is locked as long as this process lives: tests run in several processes at
    once, and between this answer and the start of a server may be seconds.
    """
    while True:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        if port not in _taken and _locked(port) and _is_free(port):
            _taken.add(port)
            return port


@cache
def _locks() -> int:
    """Open the file of which each octet is a port; closing it would unlock them all."""
    path = Path(tempfile.gettempdir(), f"fieldpact-ports-{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(port: int) -> bool:
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find(*names: str, places: Sequence[Path] = ()) -> str:
    """Return the first of some programs, or say which are not there."""
    for name in names:
        for candidate in (shutil.which(name), *(str(p / name) for p in places)):
            if candidate and os.access(candidate, os.X_OK):
                return candidate
    raise Absent(f"{' or '.join(names)} is not installed")


def _account(*names: str) -> str | None:
    """Return the account a server is to run under; None: the one we have."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in (*names, "nobody") if name in known)


@contextmanager
def _directory(account: str | None) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="fieldpact-"))
    try:
        if account:
            shutil.chown(path, account)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def running(
    command: Sequence[str],
    *,
    ready: Callable[[], bool],
    log: Path,
    account: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block lasts, once `ready` has said yes.

    Raises:
        RuntimeError: It ended, or was not ready within `START_S` seconds. The
            message ends with the last lines of its log.
    """
    with log.open("wb") as out:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            user=account,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_S
        while not ready():
            if server.poll() is not None or time.monotonic() > until:
                tail = log.read_text(errors="replace").splitlines()[-8:]
                raise RuntimeError(f"{command[0]} did not start:\n" + "\n".join(tail))
            time.sleep(0.05)
        yield server
    finally:
        _end(server, stop)


def _end(server: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    if server.poll() is None:
        server.send_signal(stop)
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(command: Sequence[str]) -> Callable[[], bool]:
    def ask() -> bool:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    return ask


def _listens(port: int) -> Callable[[], bool]:
    def ask() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ask


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL and give its URL, without a driver's name in it."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name)
    )
    places = versions[::-1]
    initdb = find("initdb", places=places)
    server, ask = (
        find(name, places=[Path(initdb).parent]) for name in ("postgres", "pg_isready")
    )
    account, port = _account("postgres"), free_port()
    with _directory(account) as home:
        data = home / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "fieldpact", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            check=True, capture_output=True, user=account, cwd=home,
        )  # fmt: skip
        command = [server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1"]
        settings = {
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        ready = _answers([ask, "-q", "-h", "127.0.0.1", "-p", str(port)])
        with running(
            command,
            ready=ready,
            log=home / "log",
            account=account,
            stop=signal.SIGINT,
        ):
            yield f"postgresql://fieldpact@127.0.0.1:{port}/postgres"


@contextmanager
def mariadb() -> Iterator[str]:
    """Run a MariaDB and give its URL, without a driver's name in it."""
    places = [Path("/usr/sbin"), Path("/usr/bin")]
    server = find("mariadbd", "mysqld", places=places)
    install = find("mariadb-install-db", "mysql_install_db", places=places)
    account, port = _account("mysql"), free_port()
    with _directory(account) as home:
        data, setup = home / "data", home / "setup.sql"
        data.mkdir()
        setup.write_text(
            "CREATE DATABASE IF NOT EXISTS fieldpact CHARACTER SET utf8mb4;\n"
            "CREATE USER IF NOT EXISTS fieldpact@'%';\n"
            "GRANT ALL ON *.* TO fieldpact@'%';\n"
        )
        if account:
            shutil.chown(data, account)
            shutil.chown(setup, account)
        common = ["--no-defaults", f"--datadir={data}"]
        subprocess.run(
            [install, *common, "--auth-root-authentication-method=normal",
             "--skip-test-db"],
            check=True, capture_output=True, user=account, cwd=home,
        )  # fmt: skip
        command = [
            server,
            *common,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={home / 'socket'}",
            f"--pid-file={home / 'pid'}",
            f"--init-file={setup}",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        with running(command, ready=_listens(port), log=home / "log", account=account):
            yield f"mysql://fieldpact@127.0.0.1:{port}/fieldpact"


def opa_binary() -> str:
    """Return the path of an OPA, also where `go install` leaves it."""
    places = [Path.home() / "go" / "bin"]
    if "GOBIN" in os.environ:
        places.insert(0, Path(os.environ["GOBIN"]))
    return find("opa", places=places)


@contextmanager
def opa(binary: str | None = None) -> Iterator[str]:
    """Run an OPA server with no policy in it and give its URL."""
    port = free_port()
    command = processes.opa(port=port, binary=binary or opa_binary())
    with (
        _directory(None) as home,
        running(command, ready=_listens(port), log=home / "log"),
    ):
        yield f"http://127.0.0.1:{port}"


def chromium() -> str:
    """Return the path of a Chromium."""
    return find("chromium", "chromium-browser", "google-chrome")


def _start(stack: ExitStack, environment: dict[str, str]) -> dict[str, str]:
    """Start what is installed; return what was left out, with the reason."""
    starters: dict[str, tuple[str, Callable[[], str]]] = {
        "postgres": (
            "FIELDPACT_TEST_POSTGRES",
            lambda: stack.enter_context(postgres()),
        ),
        "mariadb": ("FIELDPACT_TEST_MARIADB", lambda: stack.enter_context(mariadb())),
        "opa": ("FIELDPACT_TEST_OPA", opa_binary),
        "opa-server": (
            "FIELDPACT_TEST_OPA_URL",
            lambda: stack.enter_context(opa(environment.get("FIELDPACT_TEST_OPA"))),
        ),
        "chromium": ("FIELDPACT_TEST_CHROMIUM", chromium),
    }
    missing = {}
    for name, (variable, start) in starters.items():
        if variable in environment:
            continue
        try:
            environment[variable] = start()
        except (Absent, RuntimeError, subprocess.CalledProcessError) as error:
            missing[name] = str(error)
    return missing


def _say(words: str) -> None:
    sys.stderr.write(f"servers: {words}\n")


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command with the servers beside it."""
    parser = argparse.ArgumentParser(prog="tests.support.servers")
    parser.add_argument("--require", action="append", default=[], metavar="NAME")
    parser.add_argument("command", nargs="+")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    environment = dict(os.environ)
    with ExitStack() as stack:
        began = time.monotonic()
        missing = _start(stack, environment)
        for name, reason in missing.items():
            _say(f"without {name}: {reason}")
        if refused := set(chosen.require) & set(missing):
            _say(f"required: {', '.join(sorted(refused))}")
            return 1
        _say(f"ready in {time.monotonic() - began:.1f} s")
        return subprocess.run(chosen.command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
