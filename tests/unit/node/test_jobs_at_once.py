"""Jobs that several processes look at in the same moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ledger.plans import SignedPlan
from node.errors import Refused
from node.ports import UnitOfWork
from node.ports.aggregates import JobState
from node.services.aggregates import jobs as module
from node.services.aggregates.job_run import KeptRun
from node.services.aggregates.jobs import Jobs
from node.services.aggregates.steps import Run
from node.services.situate import Outdated
from tests.support.jobs import CANARY, Blinding, Site, opened, signed
from tests.unit.node.sealing import ON_BOTH

ON_POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture
async def site(tmp_path: Path, database: str | None) -> AsyncIterator[Site]:
    async with opened(tmp_path, database) as made:
        yield made


def after_each_write(
    site: Site, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]
) -> None:
    """Do something after each transaction that others write."""
    write, acting = site.store.write, False

    async def written(action: Callable[[UnitOfWork], Any]) -> Any:
        nonlocal acting
        made = await write(action)
        if not acting:
            acting = True
            try:
                await act()
            finally:
                acting = False
        return made

    monkeypatch.setattr(site.store, "write", written)


async def resumed(jobs: Jobs) -> None:
    await jobs.resume()
    await asyncio.sleep(0.05)  # for whatever that has begun


async def check_carried_out_once(site: Site, jobs: Jobs, *others: Jobs) -> None:
    job_id = await jobs.start(signed(), {"weight": CANARY})
    for each in (jobs, *others):
        await each.wait(job_id)
    assert (await site.job(job_id)).state is JobState.DONE
    assert site.asking.inputs == [{"weight": CANARY}]


async def test_a_job_is_not_gone_on_with_while_it_is_being_begun(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = site.jobs()
    after_each_write(site, monkeypatch, lambda: resumed(jobs))
    await check_carried_out_once(site, jobs)


@ON_POSTGRES
async def test_nobody_else_goes_on_with_a_job_that_is_being_begun(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, other = site.jobs(), site.jobs(process="two")
    after_each_write(site, monkeypatch, lambda: resumed(other))
    await check_carried_out_once(site, jobs, other)


class Refusing(Blinding):
    """An asking that is refused."""

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        self.inputs.append(inputs)
        raise Refused("budget.exhausted", "Nothing is left.")


@ON_BOTH
async def test_a_job_that_ended_since_it_was_looked_up_is_left_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the turn another process may have carried it out."""
    asking = Refusing()
    jobs = site.jobs(asking=asking)
    other = site.jobs(asking=asking, process="two")
    read = site.store.read

    async def slowly(question: Callable[[UnitOfWork], Any]) -> Any:
        found = await read(question)
        if isinstance(found, list):  # the jobs that run
            await jobs.wait(job_id)
        return found

    job_id = await jobs.start(signed(), {})
    monkeypatch.setattr(site.store, "read", slowly)
    assert await other.resume() == 0
    ended = await site.job(job_id)
    assert ended.state is JobState.FAILED
    assert ended.told["error"]["code"] == "budget.exhausted"
    assert len(asking.inputs) == 1
    assert await other.start(signed(), {}) == job_id  # and it can be begun again
    await other.wait(job_id)
    assert len(asking.inputs) == 2


@ON_BOTH
async def test_of_two_that_draw_at_once_one_is_kept_and_paid_for(site: Site) -> None:
    job_id = await site.jobs().start(signed(), {})
    await site.opened[-1].wait(job_id)
    job, drawn, paid = await site.job(job_id), asyncio.Barrier(2), []

    async def draw(octets: bytes) -> bytes:
        await drawn.wait()
        return octets

    def pay(work: UnitOfWork, octets: bytes) -> None:
        assert work.jobs.kept(job_id, "noised")
        paid.append(octets)

    async def once(octets: bytes) -> bytes:
        run = KeptRun(site.jobs()._keeping, job)
        return await run.once("noised", lambda: draw(octets), within=pay)

    found = [*await asyncio.gather(once(b"one"), once(b"two"))]
    assert found == paid * 2
    assert len(paid) == 1


@ON_BOTH
async def test_what_cannot_be_paid_for_is_not_kept(site: Site) -> None:
    job_id = await site.jobs().start(signed(), {})
    await site.opened[-1].wait(job_id)
    run = KeptRun(site.jobs()._keeping, await site.job(job_id))

    async def draw() -> bytes:
        return b"drawn"

    def cannot(_work: UnitOfWork, _octets: bytes) -> None:
        raise Outdated

    with pytest.raises(Outdated):
        await run.once("noised", draw, within=cannot)
    assert not await site.kept(job_id, "noised")
    assert await run.once("noised", draw, within=lambda *_: None) == b"drawn"
    assert await run.once("noised", draw, within=cannot) == b"drawn"  # paid for before


class Waiting(Blinding):
    """An asking that waits for its partner."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.ended = asyncio.Event(), ""

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        self.waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = "cut off"
        return {}


@ON_BOTH
async def test_a_job_that_another_process_cancels_waits_for_its_partner_no_longer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RENEW_S", 0.01)
    asking = Waiting()
    jobs, other = site.jobs(asking=asking), site.jobs(process="two")
    job_id = await jobs.start(signed(), {})
    await asking.waits.wait()
    assert (await other.cancel(job_id))["state"] == "cancelled"
    async with asyncio.timeout(120):
        await jobs.wait(job_id)
    assert asking.ended == "cut off"
    assert (await site.job(job_id)).state is JobState.CANCELLED
