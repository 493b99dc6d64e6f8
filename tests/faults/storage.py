"""What a store stands on goes away and comes back, while calls are answered.

    python -m tests.faults.storage [--calls 400] [--fault disk|limit|database]

`disk`: a file system of a few megabytes is full (a tmpfs, which takes the right to
mount one). `limit`: the process may write no file any further (RLIMIT_FSIZE), which
takes no right. `database`: PostgreSQL is stopped at once and started again.

While it lasts, every call is answered with 503, without a receipt and without data.
Afterwards calls are answered as before, and the store is whole.
"""

import argparse
import asyncio
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.config import load as settings
from tests.faults.left import Left
from tests.faults.load import Load, provider
from tests.support.postgres import Postgres, durable

FAILURES = 40
"""So many calls must have failed before the fault ends."""


class Unmounted(Exception):
    """No file system can be mounted here."""


class Fault(Protocol):
    """Something that can be taken from a node and given back."""

    @property
    def database(self) -> str | None:
        """The address of the node's store, None for the usual one."""
        ...

    async def strike(self, load: Load) -> None:
        """Take it away."""
        ...

    async def mend(self, load: Load) -> None:
        """Give it back."""
        ...


@dataclass
class Disk:
    """A small file system that gets full."""

    place: Path

    @property
    def database(self) -> str | None:
        return f"sqlite:///{self.place / 'node.sqlite'}"

    async def strike(self, load: Load) -> None:
        with contextlib.suppress(OSError), (self.place / "ballast").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()

    async def mend(self, load: Load) -> None:
        (self.place / "ballast").unlink()


@dataclass
class Limit:
    """What the process may write: nothing that makes a file longer."""

    database: str | None = None

    async def strike(self, load: Load) -> None:
        self._let(load, 1)

    async def mend(self, load: Load) -> None:
        self._let(load, resource.RLIM_INFINITY)

    @staticmethod
    def _let(load: Load, soft: int) -> None:
        assert load.provider.process is not None
        pid, kind = load.provider.process.pid, resource.RLIMIT_FSIZE
        resource.prlimit(pid, kind, (soft, resource.RLIM_INFINITY))


@dataclass
class Database:
    """A PostgreSQL that is stopped without a word, and recovers when it is started."""

    server: Postgres
    database: str | None

    async def strike(self, load: Load) -> None:
        await asyncio.to_thread(self.server.stop)

    async def mend(self, load: Load) -> None:
        await asyncio.to_thread(self.server.start)


@dataclass
class Report:
    """What came of a fault under load."""

    answers: int
    failed: int
    receipts: int
    back_s: float
    codes: Counter[str]

    def __str__(self) -> str:
        codes = ", ".join(f"{count} {code}" for code, count in self.codes.items())
        return (
            f"{self.answers} answers, {self.failed} calls failed meanwhile ({codes}) "
            f"and were made again, {self.receipts} receipts; answered again "
            f"{self.back_s:.1f} s after it was back; nothing lost, nothing twice"
        )


async def struck(load: Load, fault: Fault, calls: int) -> Report:
    """Let a load run, take away what the store stands on, and give it back."""
    load.total = calls
    load.up.set()
    asking = asyncio.create_task(load.run())
    await until(load, asking, lambda: len(load.answers) >= calls // 4)
    await fault.strike(load)
    load.failed.clear()
    await until(load, asking, lambda: len(load.failed) >= FAILURES)
    before = len(load.answers)
    load.total += 20  # there are some to ask when it is back
    await fault.mend(load)
    mended = time.monotonic()
    await until(load, asking, lambda: len(load.answers) > before)
    back_s = time.monotonic() - mended
    await asking
    await load.settled()
    await load.replay([told.call for told in load.answers[:: max(1, calls // 20)]])
    await load.settled()
    url = settings(load.provider.folder / "node.yaml").database
    load.provider.stop()
    left = Left(load.world.maker.me)
    await asyncio.to_thread(left.look, load, url)
    check_failed(load)
    assert left.places.keys() == left.receipts.keys()
    assert load.spilled() == []
    return Report(
        answers=len(load.answers),
        failed=len(load.failed),
        receipts=len(left.receipts),
        back_s=back_s,
        codes=Counter(body["code"] for _, body in load.failed),
    )


async def until(
    load: Load, asking: "asyncio.Task[None]", holds: Callable[[], bool]
) -> None:
    """Wait until something holds, while the load runs."""
    end = time.monotonic() + 240
    while not holds():
        assert not asking.done(), asking.exception()
        assert time.monotonic() < end, load.provider.tail()
        await asyncio.sleep(0.005)


def check_failed(load: Load) -> None:
    """Check that who was told that it failed was told nothing else."""
    for status, body in load.failed:
        assert status == 503
        assert body["code"] in {"store.unavailable", "store.contended"}
        assert body.keys() <= {"type", "title", "status", "code", "detail", "instance"}


@contextlib.contextmanager
def small_disk(size: str = "16m") -> Iterator[Path]:
    """A file system of its own, in memory.

    Raises:
        Unmounted: It takes a right that we have not.
    """
    with tempfile.TemporaryDirectory() as place:
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place]
        try:
            subprocess.run(mounting, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unmounted(str(error)) from error
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


@contextlib.contextmanager
def faults(kind: str) -> Iterator[Fault]:
    """Prepare what is to be taken away."""
    if kind == "limit":
        yield Limit()
    elif kind == "disk":
        with small_disk() as place:
            yield Disk(place)
    else:
        with durable() as server:
            yield Database(server, server.url)


async def run(folder: Path, kind: str, calls: int) -> Report:
    """Try one fault in a folder."""
    with faults(kind) as fault:
        async with provider(folder, fault.database) as load:
            return await struck(load, fault, calls)


def main() -> int:
    """Try the faults that were asked for, and tell what came of them."""
    parser = argparse.ArgumentParser(prog="tests.faults.storage")
    kinds = ["disk", "limit", "database"]
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--fault", choices=kinds, action="append")
    chosen = parser.parse_args()
    for kind in chosen.fault or kinds:
        with tempfile.TemporaryDirectory() as folder:
            report = asyncio.run(run(Path(folder), kind, chosen.calls))
        sys.stdout.write(f"{kind}: {report}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
