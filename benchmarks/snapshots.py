"""Committing to a hundred thousand records: how fast, and what it costs the others.

    python -m benchmarks.snapshots [RECORDS]

A synthetic CRM of so many records of 20 fields, one for each customer, all of them
declared under one agreement; the provider's node is a real process with a store in
SQLite. It is bound to one core, then given two, then killed (SIGKILL) and started
again, and goes on to the end with nobody asking anything.

Under a second agreement, of 64 customers, questions are asked for a while. They tell
what a build does to those who ask meanwhile. The longest time for which the store
was locked is seen from outside, by somebody who wants the lock, too.
"""

import contextlib
import math
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil

from benchmarks.world import World, agree, fill, names, progress, ready, two_nodes

RECORDS, FIELDS, FEW, CHANGED = 100_000, 20, 64, 100
WINDOW_S, PAUSE_S = 20.0, 0.2
_EVERY_S = 0.002


@dataclass
class Lock:
    """Wants the store's write lock all the time, and notes how long it is denied.

    Attributes:
        denied: When it began to be denied, and for how many seconds.
    """

    store: Path
    denied: list[tuple[float, float]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        begun = None
        with contextlib.closing(self._connect()) as connection:
            while not self._ended.wait(_EVERY_S):
                now = time.perf_counter()
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
                except sqlite3.OperationalError:
                    begun = begun or now
                    continue
                if begun:
                    self.denied.append((begun, now - begun))
                    begun = None

    def longest(self, since: float, until: float = math.inf) -> float:
        denied = (took for at, took in self.denied if since <= at < until)
        return max(denied, default=0.0)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.store, timeout=0, isolation_level=None)

    @contextlib.contextmanager
    def watched(self) -> Iterator["Lock"]:
        thread = threading.Thread(target=self.watch)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()


@dataclass
class Questions:
    """Asks for one customer after the other, and notes how long it took.

    Attributes:
        took: When each was asked, and after how many seconds it was answered.
    """

    world: World
    took: list[tuple[float, float]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        calls = self.world.calls(1_000_000)
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._ended.wait(PAUSE_S):
                address, body, token = next(calls)
                headers = {"Authorization": f"Bearer {token}"}
                begun = time.perf_counter()
                try:
                    answer = client.post(address, json=body, headers=headers)
                except httpx.TransportError:  # the node was killed
                    continue
                if answer.status_code != 200:
                    raise RuntimeError(answer.text)
                self.took.append((begun, time.perf_counter() - begun))

    @contextlib.contextmanager
    def asked(self) -> Iterator["Questions"]:
        self._ended.clear()
        thread = threading.Thread(target=self.ask)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def told(self, since: float, until: float) -> str:
        took = [each * 1000 for at, each in self.took if since <= at <= until]
        if len(took) < 2:
            return "too few to tell"
        cuts = statistics.quantiles(took, n=20)
        return (
            f"{len(took)} questions, p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms, "
            f"longest {max(took):.0f} ms"
        )


@dataclass
class Run:
    """One build, from the CRM to the snapshot, and what is seen of it."""

    world: World
    declaration: Path
    lock: Lock
    questions: Questions

    @property
    def process(self) -> psutil.Process:
        settings = str(self.world.provider.settings)
        children = psutil.Process().children(recursive=True)
        return next(each for each in children if settings in each.cmdline())

    @property
    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def peak(self) -> str:
        """Tell the most memory that the process had."""
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        peak = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
        return f"{int(peak.split()[1]) / 1024:.0f} MiB"

    def bytes(self) -> int:
        """Return the size of the store."""
        store = self.lock.store
        files = [store, store.with_name(store.name + "-wal")]
        return sum(file.stat().st_size for file in files if file.exists())

    def declare(self, count: int) -> Iterator[str]:
        begun = time.perf_counter()
        sent = self.world.consumer.desk.declare(self.world.agreement, names(count))
        took = time.perf_counter() - begun
        yield f"{sent:,} tokens declared in {took:.1f} s"
        yield f"  longest write lock meanwhile: {self.lock.longest(begun):.2f} s"

    def rate(self, seconds: float) -> Iterator[str]:
        """Let it run for some time on the cores that it has."""
        before = self._now()
        time.sleep(seconds)
        yield self._between(before, self._now())

    def _now(self) -> tuple[float, int, float]:
        done = int(progress(self.world.provider, self.world.agreement)["done"])
        return time.perf_counter(), done, self.cpu_s

    def _between(
        self, before: tuple[float, int, float], now: tuple[float, int, float]
    ) -> str:
        passed, count, used = (b - a for a, b in zip(before, now, strict=True))
        return (
            f"  {count / passed:.0f} records a second, "
            f"{used / max(count, 1) * 1000:.2f} ms of processor time each, "
            f"{used / passed:.2f} cores in use, {count:,.0f} records"
        )

    def on_cores(self, count: int) -> Iterator[str]:
        """Bind it to some cores; let it build, then let it be asked besides."""
        cores = psutil.Process().cpu_affinity() or []
        self.process.cpu_affinity(cores[:count])
        yield f"on {count} of the cores, nobody asks:"
        yield from self.rate(WINDOW_S)
        yield f"on {count} of the cores, under the small agreement somebody asks:"
        begun = time.perf_counter()
        with self.questions.asked():
            yield from self.rate(WINDOW_S)
        yield f"  {self.questions.told(begun, time.perf_counter())}"

    def power_cut(self) -> Iterator[str]:
        before = self._now()[1]
        self.world.federation.supervisor.kill("provider")
        self.world.federation.start("provider")
        self.world.federation.await_ready("provider")
        yield f"killed at {before:,} records, started again at {self._now()[1]:,}"

    def to_the_end(self) -> Iterator[str]:
        before = self._now()
        ready(self.world.provider, self.world.agreement)
        now = self._now()
        yield "to the end, nobody asks:"
        yield self._between(before, now)
        begun, ended = before[0], now[0]
        yield (
            f"  longest write lock, building {self.lock.longest(begun, ended - 15):.2f}"
            f" s, at the end {self.lock.longest(ended - 15):.2f} s"
        )
        yield f"  most memory {self.peak()}, store {self.bytes() / 2**20:.0f} MiB"

    def publish(self, what: str) -> Iterator[str]:
        begun, used = time.perf_counter(), self.cpu_s
        report = self.world.provider.desk.publish(self.declaration)
        took = time.perf_counter() - begun
        yield (
            f"{what}: {report['publishable']:,} records read and kept in {took:.1f} s, "
            f"{report['publishable'] / took:.0f} a second, "
            f"{self.cpu_s - used:.1f} s of processor time"
        )
        yield f"  longest write lock meanwhile: {self.lock.longest(begun):.2f} s"

    def change(self, count: int) -> Iterator[str]:
        """Change rows of the CRM, publish them, and wait for the new snapshot."""
        before = progress(self.world.provider, self.world.agreement)["snapshot"]
        edit(self.world.crm, count)
        yield from self.publish(f"after {count} changed rows")
        begun = time.perf_counter()
        while progress(self.world.provider, self.world.agreement)["snapshot"] == before:
            time.sleep(0.01)
        took = time.perf_counter() - begun
        yield f"  the new snapshot was there {took:.2f} s later"
        yield f"  longest write lock meanwhile: {self.lock.longest(begun):.2f} s"


def edit(crm: Path, count: int) -> None:
    """Change the stage of rows, from the last one on."""
    with contextlib.closing(sqlite3.connect(crm)) as connection, connection:
        last = connection.execute("SELECT max(rowid) FROM projects").fetchone()[0]
        connection.execute(
            "UPDATE projects SET stage = stage || '+' WHERE rowid > ?", (last - count,)
        )


def taken_in(run: Run) -> Iterator[str]:
    """Change one row, and ask for it: the call itself takes the change in."""
    edit(run.world.crm, 1)
    customer = f"C{run.world.customers - 1}"
    begun = time.perf_counter()
    answer = run.world.consumer.desk.ask(
        run.world.agreement, [customer], ("project_stage",)
    )
    took = time.perf_counter() - begun
    if not answer["verified"]:
        raise RuntimeError(answer)
    yield f"a question about a row that had just changed: {took * 1000:.0f} ms"


@contextlib.contextmanager
def prepared(folder: Path, records: int) -> Iterator[Run]:
    """Start both nodes with a CRM that is not published yet."""
    crm = folder / "crm.sqlite"
    declaration = fill(crm, records, FIELDS - 2)
    with two_nodes(folder) as (made, provider, consumer):
        world = World(
            federation=made,
            provider=provider,
            consumer=consumer,
            crm=crm,
            agreement="",
            customers=records,
        )
        with Lock(provider.folder / "node.sqlite").watched() as lock:
            yield Run(world, declaration, lock, Questions(world))


def lines(records: int = RECORDS) -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    with tempfile.TemporaryDirectory() as name, prepared(Path(name), records) as run:
        yield from run.publish("first publication")
        yield f"  most memory {run.peak()}, store {run.bytes() / 2**20:.0f} MiB"
        provider, consumer = run.world.provider, run.world.consumer
        small, large = (agree(provider, consumer) for _ in range(2))
        consumer.desk.declare(small, names(FEW))
        ready(provider, small)
        run.questions.world = replace(run.world, agreement=small, customers=FEW)
        run.world = replace(run.world, agreement=large)
        yield from built(run, records)


def built(run: Run, records: int) -> Iterator[str]:
    """Build the large snapshot, then change what it is over."""
    yield from run.declare(records)
    yield from run.on_cores(1)
    yield from run.on_cores(2)
    yield from run.power_cut()
    yield from run.to_the_end()
    begun = time.perf_counter()
    with run.questions.asked():
        time.sleep(WINDOW_S)
    yield f"afterwards: {run.questions.told(begun, time.perf_counter())}"
    yield from taken_in(run)
    yield from run.change(CHANGED)
    yield from run.publish("nothing changed")
    yield f"most memory {run.peak()}, store {run.bytes() / 2**20:.0f} MiB"


if __name__ == "__main__":
    for line in lines(*map(int, sys.argv[1:])):
        print(line, flush=True)  # noqa: T201
