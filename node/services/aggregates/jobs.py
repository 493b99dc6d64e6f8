"""Jobs: plans that are being carried out, by us or for a partner.

A plan may take minutes, and a node may be stopped or killed at any moment. So what
is asked runs beside the calls as a task of its own, and is gone on with where it was
when the node starts again: what its stages had made is kept (`job_run`), and so is
what only we know of it, encrypted like the rest. Of several processes on one store one
has the *turn* of a job, and keeps it as long as it lives.

Of plans that partners ask us there are jobs too: they run only while a step is being
answered, and are there so that both sides can see how far it is, and end it.
"""

import asyncio
import datetime
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeAlias

from crypto.errors import CryptoError
from ledger.errors import LedgerError
from ledger.plans import Kind, Plan, SignedPlan
from node.domain.agreement import instant, render_instant
from node.domain.negotiation import Role
from node.errors import Conflict, NodeError, NotFound, Unavailable
from node.ports import UnitOfWork
from node.ports.aggregates import JobState, KeptJob
from node.services.aggregates.job_run import (
    Cancelled,
    Keeping,
    KeptRun,
    check_not_cancelled,
)
from node.services.aggregates.job_told import listed, plan_json, signed_plan, whole
from node.services.aggregates.steps import Asking, Preparing, Refusal, Run

Ready: TypeAlias = Callable[[], Awaitable[None]]
Sign: TypeAlias = Callable[[Plan], SignedPlan]
Begin: TypeAlias = Callable[[Run], Awaitable[None]]

_log = logging.getLogger("fieldpact")
_TURN_S: Final = 30
_RENEW_S: Final = 10.0
_PAUSES_S: Final = (1.0, 4.0, 15.0)
_KEPT: Final = datetime.timedelta(days=7)
_MOST: Final = 200
_INPUTS: Final = "job/inputs"
_UNFORESEEN: Final = {"code": "job.failed", "detail": "The node's own log tells more."}


class Jobs:
    """Carries plans out; shows, ends and forgets them."""

    def __init__(
        self,
        *,
        keeping: Keeping,
        askings: Mapping[Kind, Asking],
        preparings: Mapping[Kind, Preparing],
        sign: Sign,
        did: str,
        process: str,
        ready: Ready,
        pauses_s: Sequence[float] = _PAUSES_S,
    ) -> None:
        """Take what each kind of plan is carried out by.

        Args:
            preparings: Of kinds whose plans are signed only when something is done.
            sign: Signs a plan of ours.
            did: This node's.
            process: Names this process among those on the same store.
            ready: Is awaited before a plan is begun or gone on with; raises
                `Unavailable` where what is computed here cannot be trusted.
            pauses_s: How long to wait before trying again what was not available.
        """
        self._keeping, self._askings, self._did = keeping, askings, did
        self._preparings, self._sign = preparings, sign
        self._process, self._pauses_s, self._ready = process, pauses_s, ready
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
        octets = json.dumps(dict(inputs), ensure_ascii=False).encode()
        if begin is not None:
            await begin(run)
        await run.once(_INPUTS, lambda: _given(octets), secret=True)
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
            lambda view: whole(view, _found(view, job_id), self._did)
        )

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """End a job: what it has spent is spent, and nothing more is sent of it.

        Raises:
            NotFound: There is none of that id.
            Conflict: It has ended by itself.
        """
        now = self._keeping.clock.now()

        def _cancel(work: UnitOfWork) -> None:
            job = _found(work, job_id)
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
                    work.jobs.tell(_ended(job, JobState.FAILED, now, {"error": error}))
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
            kept = _found(work, job.id)
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
        working = asyncio.ensure_future(self._carried_out(job))
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

    async def _carried_out(self, job: KeptJob) -> None:
        """Ask, and write down what came of it."""
        try:
            told = {"result": await self._asked(job)}
            state = JobState.DONE
        except Cancelled:
            return
        except (NodeError, LedgerError, CryptoError, Refusal) as error:
            told, state = {"error": _said(error)}, JobState.FAILED
        except Exception:  # noqa: BLE001  # a bug must not leave it running for ever
            _log.exception("job %s failed", job.id)
            told, state = {"error": _UNFORESEEN}, JobState.FAILED
        await self._end(job.id, state, told)

    async def _asked(self, job: KeptJob) -> Mapping[str, Any]:
        """Return the result; what is not available is tried some times more."""
        for pause_s in self._pauses_s:
            try:
                return await self._asked_once(job)
            except Unavailable as error:
                _log.warning("job %s waits: %s", job.id, error)
                await asyncio.sleep(pause_s)
        return await self._asked_once(job)

    async def _asked_once(self, job: KeptJob) -> Mapping[str, Any]:
        run, signed = KeptRun(self._keeping, job), signed_plan(job)
        inputs = json.loads(await run.once(_INPUTS, _missing, secret=True))
        await self._ready()
        if (prepare := self._preparings.get(signed.plan.kind)) is not None:
            plan, inputs = await prepare(signed.plan, inputs, run)
            signed = await self._fixed(job.id, signed, plan)
        return await self._askings[signed.plan.kind](signed, inputs, run)

    async def _fixed(self, job_id: str, signed: SignedPlan, plan: Plan) -> SignedPlan:
        """Sign what a plan has become, once; what holds for some time holds from now.

        Raises:
            Cancelled: The job was cancelled.
        """
        if plan == signed.plan:
            return signed
        now, holds = self._keeping.clock.now(), instant(plan.expires)
        until = render_instant(now + (holds - instant(plan.created)))
        made = self._sign(replace(plan, created=render_instant(now), expires=until))
        core = json.dumps(made.to_json(), ensure_ascii=False)

        def fix(work: UnitOfWork) -> KeptJob:
            check_not_cancelled(work, job_id)
            work.jobs.fix(job_id, signed.plan.plan_hash, made.plan.plan_hash, core)
            return _found(work, job_id)

        return signed_plan(await self._keeping.store.write(fix))

    async def _end(self, job_id: str, state: JobState, told: Mapping[str, Any]) -> None:
        now = self._keeping.clock.now()
        await self._keeping.store.write(
            lambda work: work.jobs.tell(_ended(_found(work, job_id), state, now, told))
        )

    async def _end_provider(
        self, plan: str, state: JobState, told: Mapping[str, Any]
    ) -> None:
        job = await self._keeping.store.read(
            lambda view: view.jobs.of(plan, Role.PROVIDER)
        )
        if job is not None and job.state is JobState.RUNNING:
            await self._end(job.id, state, told)


def _found(view: UnitOfWork, job_id: str) -> KeptJob:
    job = view.jobs.get(job_id)
    if job is None:
        raise NotFound("job.unknown", "There is no such job.")
    return job


def _ended(
    job: KeptJob, state: JobState, at: datetime.datetime, told: Mapping[str, Any]
) -> KeptJob:
    return replace(job, state=state, updated_at=at, told=told)


def _expired(job: KeptJob, now: datetime.datetime) -> bool:
    return instant(plan_json(job)["expires"]) <= now


def _turn(job: KeptJob) -> str:
    return f"job:{job.id}"


def _said(error: Exception) -> dict[str, str]:
    """Return what people are told of an error: its code, and a sentence."""
    if isinstance(error, NodeError):
        return {"code": error.code, "detail": error.detail}
    if isinstance(error, Refusal):
        return {"code": str(error), "detail": ""}
    return {"code": "job.failed", "detail": f"{error}."}


async def _given(octets: bytes) -> bytes:
    return octets


async def _missing() -> bytes:
    raise Conflict("job.unreadable", "What this job was begun with is not kept.")
