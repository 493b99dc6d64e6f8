"""Plans that compare lists: a job at once, and signed when our list is blinded."""

import datetime
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from crypto.psi import bucket, commitment
from ledger.plans import Kind, SignedPlan, parse_signed_plan, verify_plan
from node.errors import Unavailable
from node.ports.aggregates import Compute
from node.services.aggregates.intersect_lists import PART
from node.services.aggregates.intersect_prepare import (
    UNKNOWN,
    Prepared,
    PrepareList,
    keep_named,
)
from node.services.aggregates.jobs import Jobs
from node.services.aggregates.steps import Run
from tests.support.jobs import Counting, Halting, Site, opened, signed
from tests.unit.ledger.samples import CONSUMER_RECORD
from tests.unit.node.sealing import ON_BOTH
from tests.unit.node.test_jobs import until

KIND = Kind.INTERSECTION
NAMES = [f"c{number:05}" for number in range(3 * PART + 7)]
OURS = {"ours": "orders"}


class Asked:
    """An `Asking` that shows what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[SignedPlan, Prepared]] = []
        self.faults: list[Exception] = []

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        self.given.append((signed, inputs["list"]))
        if self.faults:
            raise self.faults.pop(0)
        return {"count": 7}


class Datasets:
    """Our customers, which change all the time."""

    def __init__(self) -> None:
        self.reads = 0

    async def __call__(self, dataset: str) -> Sequence[str]:
        assert dataset == "orders"
        self.reads += 1
        return [*reversed(NAMES), *NAMES[:3], f"new-{self.reads}"]


class Desk:
    """Jobs of plans that compare lists, and what they are given."""

    def __init__(self, site: Site) -> None:
        self.site, self.asked, self.customers = site, Asked(), Datasets()

    def jobs(self, compute: Compute | None = None, process: str = "one") -> Jobs:
        listing = PrepareList(customers=self.customers, randomness=secrets.token_bytes)
        return self.site.jobs(
            compute, asking=self.asked, preparing=listing, kind=KIND, process=process
        )


@pytest.fixture
async def desk(tmp_path: Path, database: str | None) -> AsyncIterator[Desk]:
    async with opened(tmp_path, database) as site:
        yield Desk(site)


def drawn(**changes: Any) -> SignedPlan:
    return signed(KIND, commitment=UNKNOWN, size=bucket(len(NAMES)), **changes)


async def test_a_plan_is_signed_when_its_list_is_blinded(desk: Desk) -> None:
    jobs, begun = desk.jobs(), drawn()
    job_id = await jobs.start(begun, OURS)
    await jobs.wait(job_id)
    told = await jobs.show(job_id)
    [(given, mine)] = desk.asked.given
    assert parse_signed_plan(told["plan"]) == given
    verify_plan(given, CONSUMER_RECORD)
    session = bytes.fromhex(begun.plan.round)
    assert given.plan.commitment == commitment(session, mine.points) != UNKNOWN
    assert given.plan.round == begun.plan.round
    assert mine.asked == len(NAMES) + 1
    assert given.plan.size == mine.size == bucket(mine.asked)
    assert sorted(mine.customers.names()) == sorted({*NAMES, "new-1"})
    assert told["state"] == "done"


async def test_a_plan_holds_from_when_it_is_signed(desk: Desk) -> None:
    counting = Counting()
    counting.hold.clear()
    jobs, begun = desk.jobs(counting), drawn()
    job_id = await jobs.start(begun, OURS)
    await until(lambda: counting.calls)
    desk.site.clock.advance(hours=5)
    counting.hold.set()
    await jobs.wait(job_id)
    [(given, _)] = desk.asked.given
    created, expires = (
        [datetime.datetime.fromisoformat(at) for at in (plan.created, plan.expires)]
        for plan in (given.plan, begun.plan)
    )
    assert created[0] == desk.site.clock.now()
    assert created[1] - created[0] == expires[1] - expires[0]


async def test_how_far_a_list_is_blinded_is_told(desk: Desk) -> None:
    counting = Counting()
    jobs = desk.jobs(counting)
    job_id = await jobs.start(drawn(), OURS)
    await until(lambda: counting.calls.count("blind") >= 1)
    counting.hold.clear()
    await until(lambda: counting.calls.count("blind") >= 2)
    told = await jobs.show(job_id)
    assert (told["state"], told["stage"]) == ("running", "blind")
    assert told["total"] == 4 * PART
    assert parse_signed_plan(told["plan"]).plan.commitment == UNKNOWN
    counting.hold.set()
    await jobs.wait(job_id)
    assert desk.asked.given


@ON_BOTH
async def test_who_goes_on_after_a_kill_blinds_only_what_was_not(desk: Desk) -> None:
    jobs = desk.jobs(Halting(Counting(), 2))  # of four parts
    job_id = await jobs.start(drawn(), OURS)
    await desk.site.until_kept(job_id, "blind", 2)
    await jobs.close()
    assert desk.asked.given == []

    again = Counting()
    later = desk.jobs(again, "two")
    assert await later.resume() == 1
    await later.wait(job_id)
    assert again.calls.count("blind") == 2
    assert desk.customers.reads == 1
    assert (await later.show(job_id))["state"] == "done"


@ON_BOTH
async def test_a_plan_is_signed_once_however_often_it_is_asked(desk: Desk) -> None:
    desk.asked.faults = [Unavailable("partner.down", "Later.")]
    jobs = desk.jobs()
    job_id = await jobs.start(drawn(), OURS)
    await jobs.wait(job_id)
    desk.site.clock.advance(minutes=1)
    (first, mine), (second, same) = desk.asked.given
    assert first == second
    assert mine == same
    assert (await desk.site.job(job_id)).plan == first.plan.plan_hash


async def test_a_job_that_is_cancelled_meanwhile_signs_nothing(desk: Desk) -> None:
    counting = Counting()
    counting.hold.clear()
    jobs = desk.jobs(counting)
    job_id = await jobs.start(drawn(), OURS)
    await until(lambda: counting.calls)
    told = await jobs.cancel(job_id)
    assert told["state"] == "cancelled"
    assert parse_signed_plan(told["plan"]).plan.commitment == UNKNOWN
    assert desk.asked.given == []
    assert await desk.jobs(process="two").resume() == 0


async def test_customers_that_were_named_are_kept_before_anything_else(
    desk: Desk,
) -> None:
    jobs = desk.jobs()

    async def begin(run: Run) -> None:
        await keep_named(run, ["b", "a", "b", "名"])

    job_id = await jobs.start(drawn(), {"ours": None}, begin)
    await jobs.wait(job_id)
    [(given, mine)] = desk.asked.given
    assert mine.customers.names() == ["a", "b", "名"]
    assert given.plan.size == 64
    assert desk.customers.reads == 0


async def test_customers_that_nobody_kept_are_none(desk: Desk) -> None:
    jobs = desk.jobs()
    job_id = await jobs.start(drawn(), {"ours": None})
    await jobs.wait(job_id)
    told = await jobs.show(job_id)
    assert (told["state"], told["error"]["code"]) == ("failed", "job.unreadable")
