"""Jobs: plans that are being carried out, by us or for a partner.

A plan may take minutes, and a node may be stopped or killed at any moment. So what
is asked runs beside the calls as a task of its own (`carry_out`), and is gone on with
where it was when the node starts again: what its stages had made is kept (`job_run`),
and so is what only we know of it, encrypted like the rest. Of several processes on
one store one has the *turn* of a job, and keeps it as long as it lives.

Of plans that partners ask us there are jobs too: they run only while a step is being
answered, and are there so that both sides can see how far it is, and end it.
"""

import asyncio
import datetime
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeAlias

from ledger.plans import SignedPlan
from node.domain.agreement import instant
from node.domain.negotiation import Role
from node.errors import Conflict
from node.ports import UnitOfWork
from node.ports.aggregates import JobState, KeptJob
from node.services.aggregates.carry_out import CarryOut, keep_inputs
from node.services.aggregates.job_run import (
    Cancelled,
    Keeping,
    KeptRun,
    check_not_cancelled,
    end,
    ended,
    kept_job,
)
from node.services.aggregates.job_told import listed, plan_json, whole
from node.services.aggregates.steps import Run

Begin: TypeAlias = Callable[[Run], Awaitable[None]]

_log = logging.getLogger("fieldpact")
_TURN_S: Final = 30
_RENEW_S: Final = 10.0
_KEPT: Final = datetime.timedelta(days=7)
_MOST: Final = 200


class Jobs:
    """Carries plans out; shows, ends and forgets them."""

    def __init__(
        self, *, keeping: Keeping, carry_out: CarryOut, did: str, process: str
    ) -> None:
        """Take where jobs are kept, and what carries one out.

        Args:
            did: This node's.
            process: Names this process among those on the same store.
        """
        self._keeping, self._carry_out = keeping, carry_out
        self._did, self._process = did, process
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()

    # --- as consumer

    async def start(
        self, signed: SignedPlan, inputs: Mapping[str, Any], begin: Begin | None = None
    ) -> str:
        """Carry a plan of ours out, beside everything else; return the job's id.

        A plan that runs, or is done, is not begun again; one that failed goes on
        where it was.

        Args:
            inputs: JSON that only we know, for the `Asking`.
            begin: Keeps what is no JSON, before anything else is done.

        Raises:
            Conflict: It was cancelled.
        """
        digest = signed.plan.plan_hash
        self._starting.add(digest)  # it is not to be gone on with yet
        try:
            return await self._started(signed, inputs, begin)
        finally:
            self._starting.discard(digest)

    async def _started(
        self, signed: SignedPlan, inputs: Mapping[str, Any], begin: Begin | None
    ) -> str:
        job = await self._open(signed, Role.CONSUMER, signed.plan.parties[0].did)
        run = KeptRun(self._keeping, job)
        if begin is not None:
            await begin(run)
        await keep_inputs(run, inputs)
        if job.state is not JobState.DONE:
            await self._begin(job)
        return job.id

    async def resume(self) -> int:
        """Go on with what no process works on; return how many jobs."""
        found = await self._keeping.store.read(lambda view: view.jobs.running())
        begun = [
            await self._begin(job, found=True)
            for job in found
            if job.role is Role.CONSUMER and job.plan not in self._starting
        ]
        return sum(begun)

    async def wait(self, job_id: str) -> None:
        """Return when a job that this process works on has ended."""
        if (task := self._tasks.get(job_id)) is not None:
            await asyncio.wait({task})

    async def close(self) -> None:
        """Stop working; whoever starts next goes on."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- as provider

    async def provider(self, signed: SignedPlan, partner: str) -> Run:
        """Return the run of a plan that a partner asks us.

        Raises:
            Cancelled: We ended it.
        """
        job = await self._open(signed, Role.PROVIDER, partner)
        return KeptRun(self._keeping, job)

    async def finished(self, plan: str) -> None:
        """Say that the last step of a partner's plan was answered."""
        await self._end_provider(plan, JobState.DONE, {})

    async def failed(self, plan: str, code: str, detail: str = "") -> None:
        """Say that a step of a partner's plan was refused, and so the plan is over."""
        told = {"error": {"code": code, "detail": detail}}
        await self._end_provider(plan, JobState.FAILED, told)

    # --- for people

    async def list(self, plan: str | None = None) -> list[dict[str, Any]]:
        """Return the newest jobs, newest first, without their results.

        Args:
            plan: Hash of the plan whose job is wanted; None for all.
        """

        def _list(view: UnitOfWork) -> Iterable[KeptJob]:
            if plan is None:
                return view.jobs.all(_MOST)
            return filter(None, (view.jobs.of(plan, role) for role in Role))

        return await self._keeping.store.read(
            lambda view: [listed(view, job, self._did) for job in _list(view)]
        )

    async def show(self, job_id: str) -> dict[str, Any]:
        """Return a job with its plan, and its result if there is one.

        Raises:
            NotFound: There is none of that id.
        """
        return await self._keeping.store.read(
            lambda view: whole(view, kept_job(view, job_id), self._did)
        )

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """End a job: what it has spent is spent, and nothing more is sent of it.

        Raises:
            NotFound: There is none of that id.
            Conflict: It has ended by itself.
        """
        now = self._keeping.clock.now()

        def _cancel(work: UnitOfWork) -> None:
            job = kept_job(work, job_id)
            ended = replace(job, state=JobState.CANCELLED, updated_at=now, told={})
            if job.state is JobState.CANCELLED:
                return
            if job.state is not JobState.RUNNING or not work.jobs.tell(ended):
                raise Conflict("job.ended", f"This job is {job.state.value} already.")

        await self._keeping.store.write(_cancel)
        if (task := self._tasks.get(job_id)) is not None:
            task.cancel()
            await asyncio.wait({task})
        return await self.show(job_id)

    async def forget(self) -> int:
        """Drop what jobs had made that ended a week ago; return of how many.

        A partner's plan that has expired is over, whether its last step came or not.
        """
        now = self._keeping.clock.now()

        def _forget(work: UnitOfWork) -> int:
            for job in work.jobs.running():
                if job.role is Role.PROVIDER and _expired(job, now):
                    error = {"code": "plan.expired", "detail": "Nothing more came."}
                    work.jobs.tell(ended(job, JobState.FAILED, now, {"error": error}))
            return work.jobs.forget(now - _KEPT)

        return await self._keeping.store.write(_forget)

    # --- how

    async def _open(self, signed: SignedPlan, role: Role, partner: str) -> KeptJob:
        now, plan = self._keeping.clock.now(), signed.plan
        job = KeptJob(
            id=self._keeping.randomness(16).hex(),
            kind=plan.kind.value,
            role=role,
            plan=plan.plan_hash,
            partner=partner,
            core=json.dumps(signed.to_json(), ensure_ascii=False),
            state=JobState.RUNNING,
            stage="",
            done=0,
            total=0,
            created_at=now,
            updated_at=now,
            began_at=round(now.timestamp() * 1000),
            told={},
        )

        def _keep(work: UnitOfWork) -> KeptJob:
            kept = work.jobs.open(job)
            if role is Role.CONSUMER and kept.id == job.id:
                # At once: nobody is to go on with it before its inputs are kept.
                work.turns.take(_turn(job), self._process, now, _TURN_S)
            return kept

        kept = await self._keeping.store.write(_keep)
        if kept.state is JobState.CANCELLED:
            raise Cancelled
        return kept

    async def _begin(self, job: KeptJob, *, found: bool = False) -> bool:
        """Start the task of a job, if neither this nor another process has.

        Args:
            found: It is gone on with because it was running, so only if it still is.
        """

        def take(work: UnitOfWork) -> KeptJob | None:
            now = self._keeping.clock.now()
            if not work.turns.take(_turn(job), self._process, now, _TURN_S):
                return None
            # Who had the turn before may have ended it since we looked.
            kept = kept_job(work, job.id)
            if found and kept.state is not JobState.RUNNING:
                work.turns.give_back(_turn(job), self._process)
                return None
            told = kept.told if found else {}
            begun = replace(kept, state=JobState.RUNNING, told=told, updated_at=now)
            return begun if work.jobs.tell(begun) else None

        if job.id in self._tasks:
            return False
        if (begun := await self._keeping.store.write(take)) is None:
            return False
        if job.id not in self._tasks:  # nobody began it while this waited
            task = asyncio.create_task(self._work(begun))
            self._tasks[job.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return True

    async def _work(self, job: KeptJob) -> None:
        """Carry a job out while this process has its turn."""
        working = asyncio.ensure_future(self._carry_out(job))
        renewing = asyncio.ensure_future(self._renew(job))
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (working, renewing):
                each.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            await self._keeping.store.write(
                lambda work: work.turns.give_back(_turn(job), self._process)
            )

    async def _renew(self, job: KeptJob) -> None:
        """Keep the turn; return once another process has taken it, or cancelled."""

        def renew(work: UnitOfWork) -> bool:
            check_not_cancelled(work, job.id)
            now = self._keeping.clock.now()
            return work.turns.take(_turn(job), self._process, now, _TURN_S)

        held = True
        with suppress(Cancelled):
            while held:
                await asyncio.sleep(_RENEW_S)
                held = await self._keeping.store.write(renew)
            _log.warning("job %s: another process goes on with it", job.id)

    async def _end_provider(
        self, plan: str, state: JobState, told: Mapping[str, Any]
    ) -> None:
        job = await self._keeping.store.read(
            lambda view: view.jobs.of(plan, Role.PROVIDER)
        )
        if job is not None and job.state is JobState.RUNNING:
            await end(self._keeping, job.id, state, told)


def _expired(job: KeptJob, now: datetime.datetime) -> bool:
    return instant(plan_json(job)["expires"]) <= now


def _turn(job: KeptJob) -> str:
    return f"job:{job.id}"
