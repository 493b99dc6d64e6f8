"""Jobs: what is kept, gone on with, shown, ended and forgotten."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import Invalid, Malformed
from crypto.kernels import psi
from crypto.keys import X25519Key
from crypto.sealed import open_sealed, seal
from ledger.errors import Inconsistent
from node.domain.denials import DENIALS
from node.domain.negotiation import Role
from node.errors import Conflict, NotFound, Refused, Unavailable
from node.ports.aggregates import JobState
from node.services.aggregates.job_run import Cancelled, KeptRun
from node.services.aggregates.steps import Refusal
from tests.support.compute import Ticking, processes, slowness
from tests.support.jobs import (
    CANARY,
    PARTS,
    SIZE,
    STORAGE,
    Counting,
    Halting,
    Site,
    digest,
    opened,
    parts,
    signed,
)
from tests.support.node import FixedClock
from tests.unit.ledger.samples import AGREEMENT, CONSUMER, DATASET, PROVIDER
from tests.unit.node.sealing import ON_BOTH


@pytest.fixture
async def site(tmp_path: Path, database: str | None) -> AsyncIterator[Site]:
    async with opened(tmp_path, database) as made:
        yield made


async def until(condition: Any) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  # what it waits for is no event
            await asyncio.sleep(0.001)


def octets(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir())


# --- a plan of ours ---------------------------------------------------------


async def test_a_plan_is_carried_out_and_its_result_is_kept(site: Site) -> None:
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {"weight": CANARY})
    await jobs.wait(job_id)
    found = await jobs.show(job_id)
    (key,) = site.asking.drawn
    expected = digest([psi.blind(key, bytes(32), part) for part in parts()])
    assert found["state"] == "done"
    assert found["result"]["digest"] == expected
    assert found["plan"] == signed().to_json()
    assert found["partners"] == [PROVIDER]
    assert (found["agreement"], found["dataset"]) == (AGREEMENT, DATASET)
    assert found["spent"] == 5
    assert (found["stage"], found["done"]) == ("blind", PARTS * SIZE)
    assert site.asking.inputs == [{"weight": CANARY}]


@ON_BOTH
async def test_a_plan_is_carried_out_once(site: Site) -> None:
    jobs = site.jobs()
    first = await jobs.start(signed(), {})
    assert await jobs.start(signed(), {"weight": "another"}) == first
    await jobs.wait(first)
    assert await jobs.start(signed(), {}) == first
    await jobs.wait(first)
    assert len(site.asking.inputs) == 1


@ON_BOTH
async def test_a_job_is_gone_on_with_by_whoever_starts_next(site: Site) -> None:
    jobs = site.jobs(Halting(Counting(), 10))
    job_id = await jobs.start(signed(), {"weight": CANARY})
    await site.until_kept(job_id, "blind", 10)
    await jobs.close()
    before = await site.kept(job_id, "blind")
    assert len(before) == 10
    assert await site.running() == [job_id]

    again = Counting()
    later = site.jobs(again, process="two")
    assert await later.resume() == 1
    await later.wait(job_id)
    after = await site.kept(job_id, "blind")
    assert {part: after[part] for part in before} == before
    assert again.calls == ["blind"] * (PARTS - len(before))
    assert len(site.asking.drawn) == 1
    assert site.asking.inputs[-1] == {"weight": CANARY}
    assert (await later.show(job_id))["state"] == "done"


@ON_BOTH
async def test_resuming_twice_does_nothing_twice(site: Site) -> None:
    counting = Counting()
    jobs = site.jobs(counting)
    job_id = await jobs.start(signed(), {})
    assert [*await asyncio.gather(jobs.resume(), jobs.resume())] == [0, 0]
    await jobs.wait(job_id)
    assert await jobs.resume() == 0
    assert counting.calls.count("blind") == PARTS
    assert counting.calls.count("key") == 1


async def test_what_failed_is_told_and_can_be_gone_on_with(site: Site) -> None:
    site.asking.faults = [Refused("budget.exhausted", "Nothing is left.")]
    counting = Counting()
    jobs = site.jobs(counting)
    job_id = await jobs.start(signed(), {})
    await jobs.wait(job_id)
    found = await jobs.show(job_id)
    assert found["state"] == "failed"
    assert found["error"] == {"code": "budget.exhausted", "detail": "Nothing is left."}
    assert found["refused"]
    assert found["result"] is None
    assert await jobs.resume() == 0

    assert await jobs.start(signed(), {}) == job_id
    await jobs.wait(job_id)
    assert (await jobs.show(job_id))["state"] == "done"
    assert counting.calls.count("blind") == PARTS


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (Malformed("not a point"), "job.failed", "not a point."),
        (Inconsistent("two histories"), "job.failed", "two histories."),
        (Refusal("points.malformed"), "points.malformed", ""),
        (KeyError(CANARY), "job.failed", "The node's own log tells more."),
    ],
)
async def test_every_error_ends_a_job_and_is_told_without_what_it_held(
    site: Site, error: Exception, code: str, detail: str
) -> None:
    site.asking.faults = [error]
    logging.getLogger("fieldpact").disabled = True
    try:
        jobs = site.jobs()
        job_id = await jobs.start(signed(), {})
        await jobs.wait(job_id)
    finally:
        logging.getLogger("fieldpact").disabled = False
    found = await jobs.show(job_id)
    assert found["error"] == {"code": code, "detail": detail}
    assert found["refused"] is (code in DENIALS)


async def test_what_does_not_answer_is_asked_again_some_times(site: Site) -> None:
    site.asking.faults = [Unavailable("peer.unreachable", "Away.")] * 2
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {})
    await jobs.wait(job_id)
    assert (await jobs.show(job_id))["state"] == "done"

    site.asking.faults = [Unavailable("peer.unreachable", "Away.")] * 3
    other = await jobs.start(signed(purpose="other"), {})
    await jobs.wait(other)
    assert (await jobs.show(other))["error"]["code"] == "peer.unreachable"


async def test_nothing_is_gone_on_with_where_arithmetic_is_not_to_be_trusted(
    site: Site,
) -> None:
    site.unready = [Unavailable("aggregate.unavailable", "Wrong answers.")] * 3
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {})
    await jobs.wait(job_id)
    assert (await jobs.show(job_id))["error"]["code"] == "aggregate.unavailable"
    assert site.asking.inputs == []
    assert site.unready == []

    site.unready = [Unavailable("aggregate.unavailable", "No worker yet.")]
    await jobs.start(signed(), {})
    await jobs.wait(job_id)
    assert (await jobs.show(job_id))["state"] == "done"


# --- cancelled --------------------------------------------------------------


@ON_BOTH
async def test_a_job_that_is_cancelled_stops_at_once(site: Site) -> None:
    counting = Counting()
    jobs = site.jobs(counting)
    job_id = await jobs.start(signed(), {})
    await until(lambda: len(counting.calls) > 5)
    counting.hold.clear()
    found = await jobs.cancel(job_id)
    assert found["state"] == "cancelled"
    counting.hold.set()
    assert counting.calls.count("blind") < PARTS
    assert await jobs.resume() == 0
    assert (await jobs.cancel(job_id))["state"] == "cancelled"
    with pytest.raises(Cancelled):
        await jobs.start(signed(), {})


@ON_BOTH
async def test_another_process_sees_that_a_job_was_cancelled(site: Site) -> None:
    counting = Counting()
    jobs, others = site.jobs(counting), site.jobs(process="two")
    job_id = await jobs.start(signed(), {})
    await until(lambda: len(counting.calls) > 5)
    counting.hold.clear()  # or it might have ended before
    await others.cancel(job_id)
    counting.hold.set()
    await jobs.wait(job_id)
    assert counting.calls.count("blind") < PARTS
    assert (await jobs.show(job_id))["state"] == "cancelled"


async def test_a_job_that_has_ended_is_not_cancelled(site: Site) -> None:
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {})
    await jobs.wait(job_id)
    with pytest.raises(Conflict, match="done already"):
        await jobs.cancel(job_id)
    with pytest.raises(NotFound):
        await jobs.cancel("0" * 32)
    with pytest.raises(NotFound):
        await jobs.show("0" * 32)


# --- a partner's plan -------------------------------------------------------


async def test_a_partners_plan_has_one_run_whose_stages_are_drawn_once(
    site: Site,
) -> None:
    jobs = site.jobs(did=PROVIDER)
    drawn: list[int] = []

    async def draw() -> bytes:
        drawn.append(len(drawn))
        return bytes([len(drawn)])

    for _ in range(2):
        run = await jobs.provider(signed(), CONSUMER)
        assert await run.once("noise", draw, secret=True) == b"\1"
        await run.tell("noise", 1, 1)
    assert drawn == [0]
    (found,) = await jobs.list()
    assert found["role"] == "provider"
    assert found["partners"] == [CONSUMER]
    assert found["dataset"] == DATASET
    assert (found["state"], found["result"]) == ("running", False)
    assert found["plan"] == signed().plan.plan_hash
    assert await jobs.resume() == 0

    await jobs.finished(signed().plan.plan_hash)
    assert (await jobs.list())[0]["state"] == "done"
    run = await jobs.provider(signed(), CONSUMER)
    await run.tell("noise", 1, 1)  # its last step is called again
    assert await run.once("noise", draw) == b"\1"
    assert (await jobs.list())[0]["state"] == "done"


async def test_a_refused_step_fails_a_partners_plan(site: Site) -> None:
    jobs = site.jobs(did=PROVIDER)
    await jobs.provider(signed(), CONSUMER)
    await jobs.failed(signed().plan.plan_hash, "cohort.too_small")
    (found,) = await jobs.list()
    assert found["state"] == "failed"
    assert found["error"]["code"] == "cohort.too_small"
    await jobs.finished("0" * 64)


async def test_a_partners_plan_can_be_cancelled(site: Site) -> None:
    jobs = site.jobs(did=PROVIDER)
    run = await jobs.provider(signed(), CONSUMER)
    (found,) = await jobs.list()
    await jobs.cancel(found["id"])

    async def draw() -> bytes:
        return b""

    for again in (run.tell("x"), run.once("x", draw), run.map("x", psi.key, [b""])):
        with pytest.raises(Cancelled):
            await again
    with pytest.raises(Cancelled):
        await jobs.provider(signed(), CONSUMER)


@ON_BOTH
async def test_of_two_that_make_a_stage_at_once_both_get_the_first(site: Site) -> None:
    jobs = site.jobs(did=PROVIDER)
    one = await jobs.provider(signed(), CONSUMER)
    two = await jobs.provider(signed(), CONSUMER)
    both = asyncio.Barrier(2)

    async def make(octets: bytes) -> bytes:
        await both.wait()
        return octets

    found = await asyncio.gather(
        one.once("key", lambda: make(b"a")), two.once("key", lambda: make(b"b"))
    )
    assert [*found] in ([b"a", b"a"], [b"b", b"b"])


# --- what is kept -----------------------------------------------------------


async def test_what_stages_made_is_encrypted_where_it_is_kept(
    site: Site, tmp_path: Path
) -> None:
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {"weight": CANARY})
    await jobs.wait(job_id)
    (key,) = site.asking.drawn
    held = octets(tmp_path)
    assert job_id.encode() in held
    for secret in (CANARY.encode(), key, psi.blind(key, bytes(32), parts()[0])[:32]):
        assert secret not in held


async def test_what_was_kept_under_another_key_is_not_taken(site: Site) -> None:
    site.asking.faults = [Refused("x", "y")]
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {})
    await jobs.wait(job_id)
    rotated = site.jobs(storage=X25519Key.from_bytes(bytes(range(32))))
    with pytest.raises(Conflict, match="cannot be read") as refused:
        await rotated.start(signed(), {})
    assert refused.value.code == "job.unreadable"


async def test_a_part_is_not_taken_for_another(site: Site) -> None:
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {})
    await jobs.wait(job_id)
    run = KeptRun(jobs._keeping, await site.job(job_id))
    kept = await site.kept(job_id, "blind")
    await site.store.write(lambda work: work.jobs.keep(job_id, "other", 0, kept[0]))

    async def make() -> bytes:
        return b""

    with pytest.raises(Conflict, match="cannot be read"):
        await run.once("other", make)


def test_sealed_octets_open_only_as_they_were_sealed() -> None:
    key, nonce = STORAGE.storage_key("jobs"), bytes(12)
    assert len(key) == 32
    assert STORAGE.storage_key("other") != key
    sealed = seal(key, b"noise", about=b"here", nonce=nonce)
    assert open_sealed(key, sealed, about=b"here") == b"noise"
    for changed in (sealed[:-1], sealed[:5], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(Invalid):
            open_sealed(key, changed, about=b"here")
    with pytest.raises(Invalid):
        open_sealed(key, sealed, about=b"there")
    with pytest.raises(Invalid):
        open_sealed(STORAGE.storage_key("other"), sealed, about=b"here")
    with pytest.raises(ValueError, match="12 bytes"):
        seal(key, b"", about=b"", nonce=b"")


async def test_jobs_are_forgotten_after_a_week_and_still_listed(site: Site) -> None:
    jobs = site.jobs()
    job_id = await jobs.start(signed(), {})
    await jobs.wait(job_id)
    site.clock.advance(days=6)
    assert await jobs.forget() == 0
    site.clock.advance(days=1, seconds=1)
    assert await jobs.forget() == 1
    assert await site.kept(job_id, "blind") == {}
    assert (await jobs.show(job_id))["result"]["sum"] == PARTS


async def test_a_partners_plan_that_has_expired_is_over(site: Site) -> None:
    jobs = site.jobs(did=PROVIDER)
    await jobs.provider(signed(), CONSUMER)
    await jobs.forget()
    assert (await jobs.list())[0]["state"] == "running"
    site.clock.advance(days=1)
    await jobs.forget()
    (found,) = await jobs.list()
    assert found["error"]["code"] == "plan.expired"


# --- progress ---------------------------------------------------------------


class Ticks(FixedClock):
    """A clock whose milliseconds pass when a test says so."""

    ms = 0.0

    def elapsed_ms(self) -> float:
        return self.ms


async def test_progress_tells_count_rate_and_what_is_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        site.clock = clock = Ticks()
        jobs = site.jobs(did=PROVIDER)
        run = await jobs.provider(signed(), CONSUMER)
        (found,) = await jobs.list()
        assert (found["rate"], found["eta_s"]) == (None, None)
        await run.tell("blind", 100, 1100)  # a hundred had been kept before
        clock.ms += 2000
        await run.tell("blind", 300, 1100)
        (found,) = await jobs.list()
        assert (found["stage"], found["done"], found["total"]) == ("blind", 300, 1100)
        assert (found["rate"], found["eta_s"]) == (100.0, 8)
        job = await site.job(found["id"])
        assert job.began_at == round(clock.now().timestamp() * 1000) - 2000


async def test_progress_is_written_five_times_a_second_at_most(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        site.clock = clock = Ticks()
        jobs = site.jobs(did=PROVIDER)
        run = await jobs.provider(signed(), CONSUMER)
        seen = set()
        for done in range(1000):
            await run.tell("blind", done, 1000)
            clock.ms += 1
            if done % 10 == 0:
                seen.add((await jobs.list())[0]["done"])
        assert 4 <= len(seen) <= 6
        await run.tell("blind", 1000, 1000)
        assert (await jobs.list())[0]["done"] == 1000
        await run.tell("count")
        assert (await jobs.list())[0]["stage"] == "count"


@pytest.mark.usefixtures("set_apart")
async def test_the_event_loop_does_not_wait_for_a_job(site: Site) -> None:
    listed = [f"customer {number}" for number in range(20_000)]
    async with processes(1) as compute, Ticking() as ticking:
        jobs = site.jobs(compute)
        job_id = await jobs.start(signed(), {"customers": listed})
        await jobs.wait(job_id)
    assert (await jobs.show(job_id))["state"] == "done"
    assert ticking.worked_ms < 20 * slowness()


# --- several processes ------------------------------------------------------


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_of_several_processes_one_has_the_turn(site: Site) -> None:
    counting = Counting()
    jobs, other = site.jobs(counting), site.jobs(process="two")
    counting.hold.clear()
    job_id = await jobs.start(signed(), {})
    await until(lambda: counting.calls)
    assert await other.resume() == 0
    assert await other.start(signed(), {}) == job_id
    await jobs.close()  # and so gives its turn back
    assert await other.resume() == 1
    await other.wait(job_id)
    assert (await other.show(job_id))["state"] == "done"


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_who_died_loses_its_turn_in_half_a_minute(site: Site) -> None:
    other = site.jobs(process="two")
    job_id = await site.jobs().start(signed(), {})
    await site.opened[-1].wait(job_id)
    job, now = await site.job(job_id), site.clock.now()
    again = replace(job, id="a" * 32, plan="0" * 64, state=JobState.RUNNING, told={})
    await site.store.write(lambda work: work.jobs.open(again))
    turn = f"job:{again.id}"
    await site.store.write(lambda work: work.turns.take(turn, "dead", now, 30))
    assert await other.resume() == 0
    site.clock.advance(seconds=31)
    assert await other.resume() == 1
    await other.wait(again.id)
    assert (await site.job(again.id)).told["error"]["code"] == "job.unreadable"


async def test_a_process_that_lost_its_turn_stops(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.adapters.sql.turns import SqlTurns
    from node.services.aggregates import jobs as module

    monkeypatch.setattr(module, "_RENEW_S", 0.01)
    logging.getLogger("fieldpact").disabled = True
    counting = Counting()
    counting.hold.clear()
    jobs = site.jobs(counting)
    job_id = await jobs.start(signed(), {})
    await until(lambda: counting.calls)
    monkeypatch.setattr(SqlTurns, "take", lambda *_: False)
    await jobs.wait(job_id)
    logging.getLogger("fieldpact").disabled = False
    assert (await site.job(job_id)).state is JobState.RUNNING
    assert (await site.job(job_id)).role is Role.CONSUMER
