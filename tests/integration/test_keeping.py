"""The commands that look after a store, against a node that runs.

Its receipts are two hundred days old. They are checked, archived, removed, put back and
checked again; a row is then spoilt, found and named.
"""

import asyncio
import datetime
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.adapters.sql import tables as t
from node.adapters.sql.store import engine_for
from node.config import load
from tests.integration.test_processes import Process
from tests.support import REPOSITORY
from tests.support.node import RealClock, World, open_world
from tests.support.servers import free_port

pytestmark = pytest.mark.slow


class EarlierClock(RealClock):
    """The clock on the wall, two hundred days ago."""

    def now(self) -> datetime.datetime:
        return super().now() - datetime.timedelta(days=200)


async def fill(world: World) -> None:
    for _ in range(3):
        assert (await world.query()).status == 200
    await world.query(fields=["contact_phone"])
    await world.maker.services.keep_log.integrate()


def run(folder: Path, *words: str) -> tuple[int, str]:
    """Run a command beside the node; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "node", *words, "--settings", "node.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def spoil(folder: Path) -> str:
    """Change a receipt in the file of a node; return its row."""
    engine = engine_for(load(folder / "node.yaml").database)
    c = t.receipts.c
    with engine.begin() as connection:
        row = connection.scalar(sa.select(sa.func.min(c.sequence)))
        changed = sa.update(t.receipts).where(c.sequence == row)
        connection.execute(changed.values(salt=bytes(32)))
    engine.dispose()
    return str(row)


def look_after(folder: Path) -> None:
    """Do what an operator does, in this order."""
    code, said = run(folder, "fsck")
    assert (code, said.split(",")[0]) == (0, "✓ 4 receipts"), said
    code, said = run(folder, "archive", "write", "old.gz", "--before", "2100-01-01")
    assert (code, said.splitlines()[0]) == (0, "✓ 4 receipts, 0 to 3 in the log"), said
    code, said = run(folder, "archive", "remove", "old.gz")
    assert (code, said) == (0, "✓ erased 4\n")
    code, said = run(folder, "fsck")
    assert (code, said[:24]) == (0, "✓ 4 receipts, 4 erased, "), said
    code, said = run(folder, "archive", "verify", "old.gz")
    assert code == 0, said
    code, said = run(folder, "archive", "restore", "old.gz")
    assert (code, said) == (0, "✓ put back 4\n")
    code, said = run(folder, "fsck")
    assert (code, said[:24]) == (0, "✓ 4 receipts, 0 erased, "), said
    row = spoil(folder)
    code, said = run(folder, "fsck", "--alarm")
    assert (code, said.split(": ")[0]) == (4, f"✗ receipts {row}"), said
    code, said = run(folder, "alarms")
    assert "log.corrupt" in said
    code, said = run(folder, "receipt", "expire", "--yes")
    assert (code, said.split()[1]) == (1, "log.stopped"), said
    code, said = run(folder, "archive", "write", "none.gz", "--before", "soon")
    assert code == 2, said


async def test_receipts_are_checked_archived_removed_and_put_back(
    tmp_path: Path,
) -> None:
    async with open_world(
        tmp_path,
        clock=EarlierClock(),
        ports=[free_port() for _ in range(3)],
        valid_from="2020-01-01T00:00:00Z",
        valid_to="2100-01-01T00:00:00Z",
    ) as world:
        await fill(world)
        await world.maker.stop()
        folder = world.maker.folder
        node = Process.start(folder, int(world.maker.url.rpartition(":")[2]))
        try:
            await node.ready()
            await asyncio.to_thread(look_after, folder)
        finally:
            node.end(signal.SIGTERM)
