"""Several processes of one node on one PostgreSQL database.

Three real processes answer calls of one consumer at once. Whoever keeps the log is
killed; another one goes on. At the end there is one log: streams without a gap, one
tree, every receipt in it once, one snapshot after the other.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from crypto.encoding import b64u
from node import keeping
from node.adapters.sql import tables as t
from node.adapters.sql.receipts import signed_receipt
from node.adapters.sql.store import engine_for
from node.adapters.system import system_randomness
from node.config import load
from tests.support import REPOSITORY
from tests.support.node import (
    SHARED,
    RealClock,
    World,
    check_log,
    check_streams,
    open_world,
    postgres_database,
)
from tests.support.servers import free_port
from tests.support.snapshots import check_current

pytestmark = pytest.mark.slow
_START_S, _PROCESSES = 240, 3


@dataclass
class Process:
    """One of the processes, on an address of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, port: int) -> "Process":
        with (folder / f"log-{port}").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "node", "serve", "-s", "node.yaml"],
                cwd=folder,
                env={
                    "PYTHONPATH": str(REPOSITORY),
                    "PATH": "/usr/bin:/bin",
                    "FIELDPACT_LISTEN": f"127.0.0.1:{port}",
                },
                stdout=log,
                stderr=log,
            )
        return cls(folder, port, process)

    async def ready(self) -> None:
        until = time.monotonic() + _START_S
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
            while time.monotonic() < until:
                assert self.process.poll() is None, self.log()
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.url}/health/ready")).is_success:
                        return
                await asyncio.sleep(0.1)
        raise AssertionError(self.log())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(120)

    def log(self) -> str:
        return (self.folder / f"log-{self.port}").read_text()


@contextlib.asynccontextmanager
async def three(
    folder: Path, database: str
) -> AsyncIterator[tuple[World, list[Process]]]:
    async with open_world(
        folder,
        clock=RealClock(),
        ports=[free_port() for _ in range(3)],
        database=database,
        settings="integrate_every_s: 0.05\n",
        valid_from="2020-01-01T00:00:00Z",
        valid_to="2100-01-01T00:00:00Z",
        calls_per_hour=1_000_000,
    ) as world:
        await world.maker.stop()
        processes: list[Process] = []
        try:
            folder = world.maker.folder
            ports = [free_port() for _ in range(_PROCESSES)]
            processes += [Process.start(folder, port) for port in ports]
            await asyncio.gather(*(each.ready() for each in processes))
            yield world, processes
        finally:
            for each in processes:
                each.end(signal.SIGTERM)


async def call(world: World, process: Process, number: int) -> int | None:
    """Ask one of the processes; None where it was killed meanwhile."""
    body = world.body(
        fields=["project_stage" if number % 4 else "contact_phone"],
        customers=[world.customer(SHARED[number % 2])],
    )
    token = world.supplier.token(
        world.maker.did,
        "projects",
        body,
        agreement=world.agreement,
        nonce=b64u(system_randomness(24)),
    )
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        try:
            answer = await client.post(
                f"{process.url}/views/projects/query",
                json=body,
                headers={"Authorization": f"Bearer {token}"},
            )
        except httpx.HTTPError:
            return None
    return answer.status_code


async def integrated(database: str) -> int:
    """Wait until no receipt waits for the tree; return how many there are."""
    engine = engine_for(database)
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            with engine.connect() as connection:
                c = t.receipts.c
                total, placed = connection.execute(
                    sa.select(sa.func.count(), sa.func.count(c.log_index)).select_from(
                        t.receipts
                    )
                ).one()
            if total == placed:
                return int(total)
            await asyncio.sleep(0.1)
    finally:
        engine.dispose()
    message = "receipts wait for the tree"
    raise AssertionError(message)


def check(world: World, database: str) -> None:
    me = world.supplier.services.identity.participant(world.maker.did)
    assert me is not None
    engine = engine_for(database)
    try:
        with engine.connect() as connection:
            signed = [
                signed_receipt(row) for row in connection.execute(sa.select(t.receipts))
            ]
        check_streams(signed, me)
        assert check_log(engine, me) == len(signed)
        check_current(engine, me, world.agreement)
    finally:
        engine.dispose()
    settings = load(world.maker.folder / "node.yaml")
    with keeping.checking(settings, ask_chain=False, progress=lambda *_: None) as (
        _,
        found,
    ):
        assert list(found) == []


async def test_three_processes_keep_one_log_and_outlive_each_other(
    tmp_path: Path,
) -> None:
    with postgres_database() as database:
        async with three(tmp_path, database) as (world, processes):
            statuses: list[int | None] = []
            for round_ in range(_PROCESSES):
                alive = processes[round_:]
                answers = await asyncio.gather(
                    *(call(world, alive[n % len(alive)], n) for n in range(24))
                )
                statuses += answers
                # Each of them has led at some time: kill them one after the other.
                if len(alive) > 1:
                    under_way = asyncio.gather(
                        *(call(world, alive[n % len(alive)], n) for n in range(12))
                    )
                    alive[0].end(signal.SIGKILL)
                    statuses += await under_way
            answered = [each for each in statuses if each is not None]
            assert set(answered) <= {200, 403}
            assert len(answered) >= 24 * _PROCESSES
            assert await integrated(database) >= len(answered)
            await asyncio.to_thread(check, world, database)
