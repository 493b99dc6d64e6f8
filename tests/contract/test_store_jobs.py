"""Jobs go on where they were, whoever goes on with them: what is kept first stays."""

import asyncio
import datetime
import secrets
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore
from node.domain.negotiation import Role
from node.ports.aggregates import JobState, KeptJob
from tests.contract.samples import NOW, YOU, Undo

HOUR = datetime.timedelta(hours=1)
ENDED = [JobState.DONE, JobState.FAILED, JobState.CANCELLED]


def job(plan: str = "p" * 64, role: Role = Role.PROVIDER, **changes: Any) -> KeptJob:
    values: dict[str, Any] = {
        "id": secrets.token_hex(16),
        "kind": "heat-map",
        "role": role,
        "plan": plan,
        "partner": YOU,
        "core": '{"plan":"国"}',
        "state": JobState.RUNNING,
        "stage": "open",
        "done": 0,
        "total": 0,
        "created_at": NOW,
        "updated_at": NOW,
        "began_at": 1_764_000_000_123,
        "told": {},
    }
    return KeptJob(**(values | changes))


async def opened(store: SqlStore, *jobs: KeptJob) -> list[KeptJob]:
    return await store.write(lambda work: [work.jobs.open(each) for each in jobs])


async def told(store: SqlStore, job: KeptJob) -> bool:
    return await store.write(lambda work: work.jobs.tell(job))


async def kept(store: SqlStore, job: KeptJob) -> KeptJob:
    found = await store.read(lambda view: view.jobs.get(job.id))
    assert found is not None
    return found


async def keep(
    store: SqlStore, job: KeptJob, octets: bytes, *, stage: str = "blind", part: int = 0
) -> bytes:
    return await store.write(lambda work: work.jobs.keep(job.id, stage, part, octets))


# --- jobs


async def test_a_job_is_kept_whole(store: SqlStore) -> None:
    wanted = job(
        done=2**40, total=2**41, told={"code": "x", "detail": "国", "n": [1, None]}
    )
    assert await opened(store, wanted) == [wanted]
    assert await kept(store, wanted) == wanted
    found = await store.read(lambda view: view.jobs.of(wanted.plan, Role.PROVIDER))
    assert found == wanted


async def test_a_job_that_nobody_opened_is_not_there(store: SqlStore) -> None:
    await opened(store, job())
    assert await store.read(lambda view: view.jobs.get("0" * 32)) is None
    assert await store.read(lambda view: view.jobs.of("p" * 64, Role.CONSUMER)) is None
    assert await store.read(lambda view: view.jobs.of("q" * 64, Role.PROVIDER)) is None


async def test_there_is_one_job_of_a_plan_in_each_role(store: SqlStore) -> None:
    first, again, other = job(), job(), job(role=Role.CONSUMER)
    assert await opened(store, first, again, other) == [first, first, other]
    assert await store.read(lambda view: view.jobs.all(9)) == [other, first]


async def test_of_many_that_open_a_job_at_once_all_get_the_same(
    store: SqlStore,
) -> None:
    found = await asyncio.gather(*(opened(store, job()) for _ in range(16)))
    assert len({each.id for (each,) in found}) == 1


async def test_jobs_are_listed_newest_first_and_running_ones_oldest_first(
    store: SqlStore,
) -> None:
    jobs = [job(f"{number}" * 64) for number in range(5)]
    await opened(store, *jobs)
    for number, state in zip((1, 2, 3), ENDED, strict=True):
        jobs[number] = replace(jobs[number], state=state)
        assert await told(store, jobs[number])
    assert await store.read(lambda view: view.jobs.all(9)) == jobs[::-1]
    assert await store.read(lambda view: view.jobs.all(2)) == [jobs[4], jobs[3]]
    assert await store.read(lambda view: view.jobs.running()) == [jobs[0], jobs[4]]


# --- telling


async def test_what_is_told_of_a_job_replaces_what_was(store: SqlStore) -> None:
    (begun,) = await opened(store, job())
    later = replace(
        begun,
        state=JobState.FAILED,
        stage="multiply",
        done=3,
        total=7,
        updated_at=NOW + HOUR,
        began_at=begun.began_at + 5,
        told={"code": "compute.unavailable"},
    )
    assert await told(store, later)
    assert await kept(store, begun) == later


async def test_what_a_job_is_about_is_never_changed(store: SqlStore) -> None:
    (begun,) = await opened(store, job())
    other = replace(
        begun,
        kind="ring-count",
        role=Role.CONSUMER,
        plan="q" * 64,
        partner="did:web:x",
        core="{}",
        created_at=NOW + HOUR,
        done=1,
    )
    assert await told(store, other)
    assert await kept(store, begun) == replace(begun, done=1)


async def test_a_job_that_was_cancelled_stays_so(store: SqlStore) -> None:
    (begun,) = await opened(store, job())
    cancelled = replace(begun, state=JobState.CANCELLED)
    assert await told(store, cancelled)
    for state in JobState:
        done = await told(store, replace(begun, state=state))
        assert done == (state is JobState.CANCELLED)
    assert (await kept(store, begun)).state is JobState.CANCELLED


async def test_a_job_that_is_done_stays_so(store: SqlStore) -> None:
    (begun,) = await opened(store, job())
    done = replace(begun, state=JobState.DONE, told={"result": 1})
    assert await told(store, done)
    for state in {*JobState} - {JobState.DONE}:
        assert not await told(store, replace(begun, state=state))
    assert await kept(store, begun) == done


async def test_a_job_that_failed_can_go_on(store: SqlStore) -> None:
    (begun,) = await opened(store, job())
    assert await told(store, replace(begun, state=JobState.FAILED))
    assert await told(store, begun)
    assert await store.read(lambda view: view.jobs.running()) == [begun]


async def test_nothing_is_told_of_a_job_that_is_not_there(store: SqlStore) -> None:
    assert not await told(store, job())


# --- what stages have made


async def test_what_a_part_made_first_stays(store: SqlStore) -> None:
    (begun,) = await opened(store, job())
    assert await keep(store, begun, b"first") == b"first"
    assert await keep(store, begun, b"second") == b"first"
    found = await store.read(lambda view: view.jobs.kept(begun.id, "blind"))
    assert found == {0: b"first"}


async def test_of_many_that_keep_a_part_at_once_all_get_the_first(
    store: SqlStore,
) -> None:
    """Noise is drawn once, whoever draws it."""
    (begun,) = await opened(store, job())
    made = [secrets.token_bytes(32) for _ in range(16)]
    found = await asyncio.gather(*(keep(store, begun, each) for each in made))
    assert len({*found}) == 1
    assert found[0] in made


async def test_parts_are_kept_by_job_stage_and_number(store: SqlStore) -> None:
    one, other = await opened(store, job(), job("q" * 64))
    for part in (2, 0, 1, 10):
        await keep(store, one, bytes([part]), part=part)
    await keep(store, one, b"s", stage="multiply")
    await keep(store, other, b"o")

    async def parts(job: KeptJob, stage: str) -> list[tuple[int, bytes]]:
        found = await store.read(lambda view: view.jobs.kept(job.id, stage))
        return list(found.items())

    assert await parts(one, "blind") == [
        (each, bytes([each])) for each in (0, 1, 2, 10)
    ]
    assert await parts(one, "multiply") == [(0, b"s")]
    assert await parts(other, "blind") == [(0, b"o")]
    assert await parts(one, "nothing") == []


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
async def test_octets_are_kept_as_they_are(store: SqlStore, size: int) -> None:
    (begun,) = await opened(store, job())
    octets = secrets.token_bytes(size)
    await keep(store, begun, octets)
    found = await store.read(lambda view: view.jobs.kept(begun.id, "blind"))
    assert found == {0: octets}
    assert await keep(store, begun, b"other") == octets


async def test_a_part_is_undone_with_its_transaction(store: SqlStore) -> None:
    (begun,) = await opened(store, job())

    def act(work: Any) -> None:
        work.jobs.keep(begun.id, "blind", 0, b"x")
        raise Undo

    with pytest.raises(Undo):
        await store.write(act)
    assert await keep(store, begun, b"y") == b"y"


# --- forgetting


@pytest.mark.parametrize("state", ENDED)
async def test_stages_of_jobs_that_ended_are_forgotten_and_the_jobs_are_not(
    store: SqlStore, engine: sa.Engine, state: JobState
) -> None:
    old, young, running = await opened(
        store, job(), job("q" * 64), job("r" * 64, updated_at=NOW - HOUR)
    )
    ended = [
        replace(old, state=state, updated_at=NOW - HOUR, told={"result": 1}),
        replace(young, state=state, updated_at=NOW),
    ]
    for each in (old, young, running):
        for part in range(3):
            await keep(store, each, b"x", part=part)
    for each in ended:
        await told(store, each)

    assert await store.write(lambda work: work.jobs.forget(NOW)) == 1
    with engine.connect() as connection:
        left = connection.execute(sa.select(t.job_parts.c.job).distinct()).scalars()
        assert {*left} == {young.id, running.id}
    assert await kept(store, old) == ended[0]
    assert await store.write(lambda work: work.jobs.forget(NOW)) == 0


async def test_the_plan_of_a_job_is_replaced_once(store: SqlStore) -> None:
    first, other = job("p" * 64), job("o" * 64)
    await opened(store, first, other)

    async def fix(before: str, plan: str) -> bool:
        core = f'{{"plan":"{plan}"}}'
        return await store.write(
            lambda work: work.jobs.fix(first.id, before, plan, core)
        )

    assert await fix("p" * 64, "q")
    assert not await fix("p" * 64, "r")
    found = await kept(store, first)
    assert (found.plan, found.core) == ("q", '{"plan":"q"}')
    assert replace(found, plan=first.plan, core=first.core) == first
    assert await kept(store, other) == other
    assert await store.read(lambda view: view.jobs.of("p" * 64, first.role)) is None
