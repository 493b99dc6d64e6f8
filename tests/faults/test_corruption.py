"""A row that rots: fsck finds it, names it, and the node stops disclosing."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from node import keeping
from node.config import load as load_settings
from tests.faults.load import Load, provider
from tests.support import REPOSITORY

pytestmark = pytest.mark.slow
ROTTEN = {
    "a receipt's words": (
        "UPDATE receipts SET core = replace(core, 'joint-', 'joInt-') WHERE sequence=7",
        "receipts 7",
    ),
    "a bit of a signature": (
        "UPDATE receipts SET signature = zeroblob(64) WHERE sequence = 5",
        "receipts 5",
    ),
    "a hash of the tree": (
        "UPDATE log_nodes SET hash = zeroblob(32) WHERE level = 1 AND position = 2",
        "log_nodes",
    ),
    "a receipt that is gone": (
        "DELETE FROM receipts WHERE sequence = 6",
        "log_nodes 0/",
    ),
    "a checkpoint": (
        "UPDATE checkpoints SET root = zeroblob(32)",
        "checkpoints",
    ),
}


_LAST = "a receipt's words"


def rot(load: Load, what: str) -> None:
    store = load.provider.folder / "node.sqlite"
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        assert connection.execute(ROTTEN[what][0]).rowcount > 0


def found(load: Load) -> list[str]:
    """Return what is found wrong in the provider's store."""
    settings = load_settings(load.provider.folder / "node.yaml")
    with keeping.checking(settings, ask_chain=False, progress=lambda *_: None) as (
        _,
        findings,
    ):
        return [str(each) for each in findings]


async def fsck(load: Load, *options: str) -> tuple[int, str]:
    """Look at the store with the command; return the exit code and what it said."""
    command = [sys.executable, "-m", "node", "fsck", "--settings", "node.yaml"]
    told = await asyncio.to_thread(
        subprocess.run,
        [*command, *options],
        cwd=load.provider.folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return told.returncode, told.stdout + told.stderr


async def test_a_rotten_row_is_found_and_named_and_nothing_is_told_any_more(
    tmp_path: Path,
) -> None:
    async with provider(tmp_path) as load:
        load.total = 20
        load.up.set()
        await load.run()
        await load.settled()
        code, said = await fsck(load)  # beside the node that serves
        assert code == 0, said
        load.provider.end(signal.SIGTERM)
        store = load.provider.folder / "node.sqlite"
        sound = store.read_bytes()
        for what, (_, name) in ROTTEN.items():
            store.write_bytes(sound)
            rot(load, what)
            wrong = found(load)
            assert any(name in each for each in wrong), (what, wrong)
        store.write_bytes(sound)
        assert found(load) == []
        rot(load, _LAST)
        code, said = await fsck(load, "--alarm")
        assert code == 4, said
        assert ROTTEN[_LAST][1] in said
        await load.provider.begin()
        async with load.client() as client:
            answer = await load.send(client, load.call(load.world.agreement))
        assert (answer.status_code, answer.json()["code"]) == (503, "log.stopped")
        assert "receipt" not in answer.json()
