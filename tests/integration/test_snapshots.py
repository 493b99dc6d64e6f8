"""Building snapshots of thousands of records: killed, started again, and measured.

A real node process commits to its records and is killed (SIGKILL) at random moments,
while it seals and just when all is sealed. Whatever is on its disk then must follow
from what it signed: no seal is lost, none is made twice, no root stands for half of
its leaves. Its partner asks all the time, and every answer that it gets verifies.

How fast it is depends on the machine (`benchmarks/snapshots.py`). What does not is
how many steps the database takes for a statement.
"""

import asyncio
import contextlib
import secrets
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import sqlalchemy as sa

from ledger.participants import Participant
from node.adapters.sql import tables as t
from node.adapters.sql.snapshots import SqlSnapshots
from node.adapters.sql.store import SqlUnitOfWork, engine_for
from node.config import load as settings
from node.domain.declaration import dataset_from_json
from node.errors import Unavailable
from node.ports import Seal
from tests.contract.samples import declare, publication, record, seal, snapshot
from tests.faults.provider import Provider
from tests.support.node import (
    PURPOSE,
    SHARED,
    RealClock,
    World,
    empty_store,
    open_world,
    postgres_database,
)
from tests.support.servers import free_port
from tests.support.snapshots import check_current, check_snapshots

MANY, SHARED_RECORDS = 3000, 4
"""Customers with one record each; records of the usual ones."""
PENDING = "snapshot.pending"
Seals = dict[tuple[str, str, int], bytes]


@dataclass
class Build:
    """A provider's process that builds, and what was seen of it.

    Attributes:
        seen: Commitment of every seal that was ever on the disk of the snapshot to
            come, by agreement, record and number.
        answers: What the consumer's node made of what it was answered.
    """

    world: World
    me: Participant
    provider: Provider
    engine: sa.Engine
    seen: Seals = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def agreement(self) -> str:
        return self.world.agreement

    def sealed(self) -> Seals:
        c = t.seals.c
        rows = sa.select(c.agreement, c.key, c.since, c.commitment)
        with self.engine.connect() as connection:
            return {tuple(row[:3]): row.commitment for row in connection.execute(rows)}

    def count(self, since: int) -> int:
        mine = sa.select(sa.func.count()).select_from(t.seals)
        with self.engine.connect() as connection:
            found = connection.scalar(mine.where(t.seals.c.since == since))
        return int(found or 0)

    def signed(self) -> int:
        """Return how many snapshots were signed."""
        count = sa.select(sa.func.count()).select_from(t.snapshots)
        with self.engine.connect() as connection:
            return int(connection.scalar(count) or 0)

    def check(self) -> None:
        """Look at what is on the disk of a process that was killed."""
        now, following = self.sealed(), self.signed()
        assert self.seen.items() <= now.items()
        # The same record may be sealed for one snapshot and again for the next.
        self.seen = {key: seal for key, seal in now.items() if key[2] >= following}
        newest = check_snapshots(self.engine, self.me)
        with self.engine.connect() as connection:
            trees = set(connection.scalars(sa.select(t.tiles.c.agreement).distinct()))
        assert trees == newest.keys()

    async def start(self) -> None:
        self.provider.start()
        await self.provider.ready()

    def kill(self) -> None:
        assert self.provider.end(signal.SIGKILL) == -signal.SIGKILL
        self.check()

    async def cut(self, times: int, since: int, total: int) -> None:
        """Kill it at random moments and when all is sealed; start it again."""
        for cut in range(times):
            before = self.count(since)
            await self.sealed_more(since, total if cut == times - 1 else before + 1)
            await asyncio.sleep(secrets.randbelow(200) / 1000 * (cut < times - 1))
            self.kill()
            assert self.count(since) > before or before >= total
            await self.start()

    async def sealed_more(self, since: int, wanted: int) -> None:
        """Wait until so many are sealed for a snapshot, or it is there."""
        async with asyncio.timeout(240):
            while self.count(since) < wanted and self.signed() <= since:  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def finished(self, snapshots: int) -> None:
        """Wait until so many snapshots are signed."""
        async with asyncio.timeout(240):
            while self.signed() < snapshots:
                assert self.provider.process is not None
                assert self.provider.process.poll() is None, self.provider.tail()
                await asyncio.sleep(0.05)

    async def ask(self, *customers: str) -> dict[str, Any] | None:
        """Ask as the consumer; None if the provider is not there."""
        try:
            answer = await self.world.supplier.services.ask(
                agreement_id=self.agreement,
                purpose=PURPOSE,
                fields=["units"],
                customers=customers,
            )
        except (Unavailable, httpx.HTTPError):
            return None
        assert answer["verified"], answer
        self.answers.append({**answer})
        return {**answer}

    @contextlib.asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """Ask all the time, for any customers."""

        async def go_on() -> None:
            while True:
                customers = {f"C{secrets.randbelow(MANY)}" for _ in range(3)}
                await self.ask(*customers, SHARED[0])
                await asyncio.sleep(0.05)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended


def fill(world: World) -> None:
    """Add customers with a record each to the CRM."""
    row = "project_id, customer, stage, acceptance, units, delivered, spend, secret"
    with contextlib.closing(sqlite3.connect(world.crm.file)) as connection, connection:
        connection.execute("CREATE UNIQUE INDEX by_key ON projects (project_id)")
        connection.executemany(
            f"INSERT INTO projects ({row}) VALUES (?, ?, 'S', '2027-01-01', ?, 1, "  # noqa: S608
            "'7000000000.00', 5)",
            ((f"P{n}", f"C{n}", n) for n in range(MANY)),
        )


@contextlib.asynccontextmanager
async def building(folder: Path, database: str | None) -> AsyncIterator[Build]:
    """Thousands of records that are shared, and none of them sealed yet."""
    ports = [free_port() for _ in range(3)]
    terms: dict[str, Any] = {
        "valid_from": "2020-01-01T00:00:00Z",
        "valid_to": "2100-01-01T00:00:00Z",
        "calls_per_hour": 1_000_000,
        "align": False,
    }
    async with open_world(
        folder, clock=RealClock(), ports=ports, database=database, **terms
    ) as world:
        fill(world)
        services, me = world.maker.services, world.maker.me
        await services.publish(dataset_from_json(world.crm.declaration()))
        await world.supplier.manage(
            f"/management/agreements/{world.agreement}/customers",
            {"customers": [*SHARED, *(f"C{n}" for n in range(MANY))]},
        )
        address = world.maker.url
        await world.maker.stop()
        engine = engine_for(settings(world.maker.folder / "node.yaml").database)
        process = Provider(folder=world.maker.folder, url=address)
        async with httpx.AsyncClient(
            base_url=address, trust_env=False, timeout=120
        ) as client:
            world.wire.clients[address] = client
            try:
                yield Build(world=world, me=me, provider=process, engine=engine)
            finally:
                if process.process is not None and process.process.poll() is None:
                    process.end(signal.SIGTERM)
                engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    with postgres_database() as url:
        yield url


@pytest.mark.slow
async def test_power_cuts_lose_no_seal_and_leave_no_half_of_a_snapshot(
    tmp_path: Path, place: str | None
) -> None:
    times, total = 5 if place is None else 3, MANY + SHARED_RECORDS
    async with building(tmp_path, place) as build:
        await build.start()
        async with build.asked():
            await build.cut(times, 0, total)
            await build.finished(1)
        build.provider.end(signal.SIGTERM)
        build.check()
        assert check_current(build.engine, build.me, build.agreement) == total
        denied = {
            each["denials"][0]["code"] for each in build.answers if each["denials"]
        }
        assert denied <= {PENDING, "policy.timeout"}  # machines may be busy

        # Half of it changes: the old snapshot is answered from until the new one is
        # there, and what has changed is not shown before.
        build.world.crm.write("UPDATE projects SET units = -units WHERE rowid % 2")
        build.answers.clear()
        await build.start()
        await publish(build)
        async with build.asked():
            await build.cut(times, 1, MANY // 2)
            await build.finished(2)
            for _ in range(5):
                await build.ask(SHARED[0], f"C{secrets.randbelow(MANY)}")
        build.provider.end(signal.SIGTERM)
        build.check()
        assert check_current(build.engine, build.me, build.agreement) == total
        check_shown(build.answers)


@pytest.mark.slow
async def test_records_are_sealed_on_two_cores(tmp_path: Path) -> None:
    """By two threads to the same extent, whatever else the machine does meanwhile."""
    async with building(tmp_path, None) as build:
        await build.start()
        assert build.provider.process is not None
        process = psutil.Process(build.provider.process.pid)
        before = {each.id: each.user_time for each in process.threads()}
        await build.sealed_more(0, MANY * 2 // 3)
        used = sorted(
            each.user_time - before.get(each.id, 0.0) for each in process.threads()
        )
        assert used[-2] > used[-1] / 2
        assert used[-2] + used[-1] > sum(used) / 2


async def publish(build: Build) -> None:
    """Have the running process publish the CRM as it is now."""
    async with httpx.AsyncClient(
        base_url=build.provider.url, trust_env=False, timeout=120
    ) as client:
        response = await client.post(
            "/management/datasets",
            json=build.world.crm.declaration(),
            headers=build.world.maker.operator(),
        )
        assert response.is_success, response.text


def check_shown(answers: list[dict[str, Any]]) -> None:
    """Check that everybody was shown what the CRM held since it was published."""
    found: dict[str, set[int]] = {}
    for answer in answers:
        for customer, records in answer["customers"].items():
            for each in records or ():
                found.setdefault(customer, set()).add(each["fields"]["units"])
    numbers = {customer[1:]: units for customer, units in found.items()}
    numbers.pop(SHARED[0][1:])
    assert numbers
    for number, units in numbers.items():
        # The first of these records is the eighth row.
        changed = int(number) % 2
        assert units == {-int(number) if changed else int(number)}


# --- what statements cost

Statement = Callable[[SqlSnapshots], object]
FEW = range(7, 17)
"""Positions, and numbers of records, that are asked about."""


def steps(engine: sa.Engine, statement: Statement) -> int:
    """Count the steps that SQLite takes, in hundreds."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_progress_handler(step, 100)
        statement(SqlSnapshots(connection))
        raw.set_progress_handler(None, 0)
        connection.rollback()
    return count


def store(folder: Path, size: int) -> sa.Engine:
    """Return a store with so many customers; each has a record, which is sealed.

    One in a hundred has changed, and is sealed for the snapshot to come.
    """
    file = folder / f"{size}.sqlite"
    file.write_bytes(empty_store())
    engine = engine_for(f"sqlite:///{file}")
    before = [record(f"k{n:06}", f"c{n}") for n in range(size)]
    after = [record(f"k{n:06}", f"c{n}", 2) for n in range(0, size, 100)]

    def seals(records: list[Any]) -> list[Seal]:
        return [seal(each, int(each.customer[1:])) for each in records]

    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        work = SqlUnitOfWork(connection)
        work.datasets.publish(publication(), before)
        declare(work, "a", {n: f"c{n}" for n in range(size)}, size=size)
        work.snapshots.keep("a", 0, seals(before))
        work.snapshots.publish(snapshot(), {})
        work.datasets.change("projects", 2, after, [])
        work.snapshots.keep("a", 1, seals(after))
        connection.commit()
    return engine


KEYS = [f"k{n:06}" for n in FEW]
SMALL: dict[str, Statement] = {
    "current": lambda s: s.current("a"),
    "seals": lambda s: s.seals("a", FEW, 100),
    "stale": lambda s: s.stale("a", "projects", after=(2, "k9"), most=64),
    "outdated": lambda s: s.outdated("a", "projects", KEYS),
    "leaves": lambda s: list(s.leaves("a", FEW, ())),
    "keep": lambda s: s.keep("a", 1, [seal(record("k000007", "c7", 3), 7)]),
}
LARGE: dict[str, Statement] = {
    "count": lambda s: s.count("a", "projects"),
    "stale": lambda s: s.stale("a", "projects", after=(-1, ""), most=64),
    "pending": lambda s: s.pending("a", 1),
    "count_pending": lambda s: s.count_pending("a", 1),
    "outdated": lambda s: s.outdated("a", "projects", None),
    "leaves": lambda s: list(s.leaves("a", None, ())),
    "drop": lambda s: s.drop("a", s.outdated("a", "projects", None)),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[sa.Engine]]:
    folder = tmp_path_factory.mktemp("stores")
    made = [store(folder, size) for size in (1024, 8192)]
    yield made
    for each in made:
        each.dispose()


@pytest.mark.parametrize("name", SMALL)
def test_what_a_call_asks_costs_the_same_among_many(
    stores: list[sa.Engine], name: str
) -> None:
    few, many = (steps(engine, SMALL[name]) for engine in stores)
    assert many <= few + 2


@pytest.mark.parametrize("name", LARGE)
def test_what_a_build_asks_grows_as_the_records_do(
    stores: list[sa.Engine], name: str
) -> None:
    few, many = (steps(engine, LARGE[name]) for engine in stores)
    assert many <= 9 * few + 10
