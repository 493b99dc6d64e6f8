"""Processes that end with whoever started them, also after `kill -9`.

A *supervisor* starts processes and writes each into a record: its id, and when
it started, so that the id is never mistaken for a later process that was given
the same number. Three things end them:

1. the supervisor, when its block ends;
2. a *guardian*, a process that waits at the other end of a pipe and wakes when
   the supervisor is gone without having done so;
3. the next supervisor with the same record, should both have been killed.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).resolve().parents[1]
STOP_S = 12.0


class AlreadyRunning(Exception):
    """Another supervisor with the same record is at work."""


class NotStarted(Exception):
    """A process ended, or was not ready in time; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process, beyond doubt: its id and when it started."""

    name: str
    pid: int
    began: str

    @classmethod
    def of(cls, name: str, pid: int) -> "Recorded":
        """Return the record of a running process."""
        return cls(name, pid, _began(pid) or "")

    @property
    def runs(self) -> bool:
        """Tell whether this very process is still there."""
        return bool(self.began) and _began(self.pid) == self.began

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there."""
        if self.runs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _began(pid: int) -> str | None:
    """Return when a process started, in the words of its system; None if it ended."""
    proc = Path("/proc")
    try:
        if (proc / "self").exists():
            stat = (proc / str(pid) / "stat").read_text(errors="replace")
            fields = stat.rpartition(")")[2].split()  # a name may hold anything
            return None if fields[0] in "ZX" else fields[19]
        ask = ["ps", "-p", str(pid), "-o", "stat=,lstart="]
        told = subprocess.run(  # noqa: S603
            ask, capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return None
    state, _, began = told.strip().partition(" ")
    return None if not state or "Z" in state else began.strip()


class Supervisor:
    """Starts processes in a folder, and ends them when its block ends.

    Args:
        folder: Holds the record and, under `logs`, what each process says.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / "processes.json"
        self._own = Recorded.of("supervisor", os.getpid())
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        clear(self._folder)
        (self._folder / "logs").mkdir(parents=True, exist_ok=True)
        self._write()
        words = [str(self._record), str(self._own.pid), self._own.began]
        self._guardian = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "examples.supervisor", *words],
            stdin=subprocess.PIPE,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process. A second Ctrl-C does not come in between."""
        with _deaf():
            end(self._entries())
            for process in self._running.values():
                process.wait()
            self._record.unlink(missing_ok=True)
            if self._guardian and self._guardian.stdin:
                self._guardian.stdin.close()
                self._guardian.wait()

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a process; what it says goes to `logs/<name>.log`."""
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                env=dict(os.environ) | dict(environment or {}),
                start_new_session=True,  # Ctrl-C is for the supervisor alone
            )
        self._write()

    def kill(self, name: str) -> None:
        """End a process at once, as a power cut would. It may be started again."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self._write()

    def log(self, name: str) -> Path:
        """Return where a process writes what it says."""
        return self._folder / "logs" / f"{name}.log"

    def check(self, name: str) -> None:
        """See that a process has not ended by itself.

        Raises:
            NotStarted: It has.
        """
        code = self._running[name].poll()
        if code is not None:
            raise NotStarted(f"{name} ended with exit code {code}:\n{self._tail(name)}")

    def check_all(self) -> None:
        """See that no process has ended by itself. Raises `NotStarted`."""
        for name in self._running:
            self.check(name)

    def _tail(self, name: str) -> str:
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-8:])

    def _entries(self) -> list[Recorded]:
        return [Recorded.of(name, each.pid) for name, each in self._running.items()]

    def _write(self) -> None:
        entries = [asdict(each) for each in (self._own, *self._entries())]
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps(entries))
        draft.replace(self._record)


def clear(folder: Path) -> None:
    """End what a supervisor that was killed has left behind.

    Raises:
        AlreadyRunning: It was not killed.
    """
    found = _read(folder / "processes.json")
    if found and found[0].runs:
        raise AlreadyRunning(f"process {found[0].pid} runs it")
    end(found[1:])


def end(entries: Iterable[Recorded]) -> None:
    """Ask processes to end, and after a while do not ask any more."""
    left = [each for each in entries if each.runs]
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        for each in left:
            each.send(number)
        until = time.monotonic() + patience_s
        while (left := [each for each in left if each.runs]) and (
            time.monotonic() < until
        ):
            time.sleep(0.02)


def _read(record: Path) -> list[Recorded]:
    try:
        return [Recorded(**each) for each in json.loads(record.read_text())]
    except (OSError, ValueError, TypeError):
        return []


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _guard(record: Path, supervisor: Recorded) -> None:
    """Wait until the supervisor is gone, and end what it did not."""
    sys.stdin.buffer.read()
    found = _read(record)
    if found and found[0] == supervisor:
        end(found[1:])


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), Recorded("supervisor", int(sys.argv[2]), sys.argv[3]))
