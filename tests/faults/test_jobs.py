"""A process is killed in the middle of a job, and another goes on with it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from crypto.kernels import psi
from node.ports.aggregates import JobState
from node.services.aggregates.job_run import KeptRun
from tests.support import REPOSITORY
from tests.support.compute import processes
from tests.support.jobs import (
    CANARY,
    LONG,
    PARTS,
    Blinding,
    Counting,
    digest,
    opened,
    parts,
)


def killed(folder: Path) -> str:
    """Begin a job in a process, and kill it once some parts are kept."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.jobs", str(folder)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout
    with process.stdout:
        job_id: str = json.loads(process.stdout.readline())["job"]
        while len(asyncio.run(kept(folder, job_id))) < 5:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
    return job_id


async def kept(folder: Path, job_id: str) -> dict[int, bytes]:
    async with opened(folder) as site:
        return {**await site.kept(job_id, "blind")}


def test_a_job_whose_process_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    job_id = killed(tmp_path)
    asyncio.run(gone_on(tmp_path, job_id))


async def gone_on(folder: Path, job_id: str) -> None:
    async with opened(folder) as site, processes(2) as workers:
        before = await site.kept(job_id, "blind")
        assert 5 <= len(before) < PARTS
        assert (await site.job(job_id)).state is JobState.RUNNING

        asking, counting = Blinding(LONG), Counting(workers)
        jobs = site.jobs(counting, asking=asking, process="two")
        assert await jobs.resume() == 1
        assert await jobs.resume() == 0
        await jobs.wait(job_id)

        found = await jobs.show(job_id)
        assert found["state"] == "done"
        assert counting.calls == ["blind"] * (PARTS - len(before))
        assert asking.drawn == []  # the key is the one that was drawn before
        assert asking.inputs == [{"weight": CANARY}]
        after = await site.kept(job_id, "blind")
        assert {part: after[part] for part in before} == before

        run = KeptRun(jobs._keeping, await site.job(job_id))
        key = await run.once("key", _never)
        expected = [psi.blind(key, bytes(32), part) for part in parts(LONG)]
        assert found["result"]["digest"] == digest(expected)


async def _never() -> bytes:
    raise AssertionError
