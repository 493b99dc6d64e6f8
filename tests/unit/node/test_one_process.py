"""Who may serve an SQLite file: one process, until it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.adapters.sql.lock import alone
from node.bootstrap import running
from node.config import load
from node.errors import Unavailable
from tests.support import REPOSITORY
from tests.support.node import World, open_world

_HOLD = """
import sys
from node.adapters.sql.lock import alone
with alone(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


async def test_a_second_node_on_the_file_of_a_running_one_is_refused(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        settings = load(world.maker.folder / "node.yaml")
        with pytest.raises(Unavailable, match=r"store\.in_use") as refused:
            async with running(settings):
                pass
        assert "PostgreSQL" in refused.value.detail
        await _still_serves(world)


async def _still_serves(world: World) -> None:
    assert (await world.query()).status == 200


def test_another_process_is_refused_until_the_first_one_is_killed(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'node.sqlite'}"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, url],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match=r"store\.in_use"), alone(url):
            pass
        process.kill()
    with alone(url):
        pass
    with alone(url):
        pass


def test_a_lock_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'nowhere' / 'node.sqlite'}"
    with pytest.raises(Unavailable, match=r"store\.unavailable"), alone(url):
        pass


def test_processes_share_a_server() -> None:
    url = "postgresql://node@127.0.0.1/node"
    with alone(url), alone(url):
        pass
