"""Carrying a plan of ours out: its list is prepared, it is signed, and its steps asked.

What is not available is tried some times more. Whatever comes of it is written down,
a bug's consequences too: no job runs for ever.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from crypto.errors import CryptoError
from ledger.errors import LedgerError
from ledger.plans import Kind, Plan, SignedPlan
from node.domain.agreement import instant, render_instant
from node.errors import Conflict, NodeError, Unavailable
from node.ports import UnitOfWork
from node.ports.aggregates import JobState, KeptJob
from node.services.aggregates.job_run import (
    Cancelled,
    Keeping,
    KeptRun,
    check_not_cancelled,
    end,
    kept_job,
)
from node.services.aggregates.job_told import signed_plan
from node.services.aggregates.steps import Asking, Preparing, Refusal, Run

Ready: TypeAlias = Callable[[], Awaitable[None]]
Sign: TypeAlias = Callable[[Plan], SignedPlan]

_log = logging.getLogger("fieldpact")
_PAUSES_S: Final = (1.0, 4.0, 15.0)
_INPUTS: Final = "job/inputs"
_UNFORESEEN: Final = {"code": "job.failed", "detail": "The node's own log tells more."}


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryOut:
    """Carries out what each kind of plan asks.

    Attributes:
        preparings: Of kinds whose plans are signed only when something is done.
        sign: Signs a plan of ours.
        ready: Is awaited before anything else; raises `Unavailable` where what is
            computed here cannot be trusted.
        pauses_s: How long to wait before trying again what was not available.
    """

    keeping: Keeping
    askings: Mapping[Kind, Asking]
    preparings: Mapping[Kind, Preparing]
    sign: Sign
    ready: Ready
    pauses_s: Sequence[float] = _PAUSES_S

    async def __call__(self, job: KeptJob) -> None:
        """Ask, and write down what came of it; nothing if the job was cancelled."""
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
        await end(self.keeping, job.id, state, told)

    async def _asked(self, job: KeptJob) -> Mapping[str, Any]:
        for pause_s in self.pauses_s:
            try:
                return await self._asked_once(job)
            except Unavailable as error:
                _log.warning("job %s waits: %s", job.id, error)
                await asyncio.sleep(pause_s)
        return await self._asked_once(job)

    async def _asked_once(self, job: KeptJob) -> Mapping[str, Any]:
        run, signed = KeptRun(self.keeping, job), signed_plan(job)
        inputs = json.loads(await run.once(_INPUTS, _missing, secret=True))
        await self.ready()
        if (prepare := self.preparings.get(signed.plan.kind)) is not None:
            plan, inputs = await prepare(signed.plan, inputs, run)
            signed = await self._fixed(job.id, signed, plan)
        return await self.askings[signed.plan.kind](signed, inputs, run)

    async def _fixed(self, job_id: str, signed: SignedPlan, plan: Plan) -> SignedPlan:
        """Sign what a plan has become, once; what holds for some time holds from now.

        Raises:
            Cancelled: The job was cancelled.
        """
        if plan == signed.plan:
            return signed
        now, holds = self.keeping.clock.now(), instant(plan.expires)
        until = render_instant(now + (holds - instant(plan.created)))
        made = self.sign(replace(plan, created=render_instant(now), expires=until))
        core = json.dumps(made.to_json(), ensure_ascii=False)

        def fix(work: UnitOfWork) -> KeptJob:
            check_not_cancelled(work, job_id)
            work.jobs.fix(job_id, signed.plan.plan_hash, made.plan.plan_hash, core)
            return kept_job(work, job_id)

        return signed_plan(await self.keeping.store.write(fix))


async def keep_inputs(run: Run, inputs: Mapping[str, Any]) -> None:
    """Keep what only we know of a plan with its job, encrypted like all it keeps."""
    octets = json.dumps(dict(inputs), ensure_ascii=False).encode()

    async def _given() -> bytes:
        return octets

    await run.once(_INPUTS, _given, secret=True)


def _said(error: Exception) -> dict[str, str]:
    """Return what people are told of an error: its code, and a sentence."""
    if isinstance(error, NodeError):
        return {"code": error.code, "detail": error.detail}
    if isinstance(error, Refusal):
        return {"code": str(error), "detail": ""}
    return {"code": "job.failed", "detail": f"{error}."}


async def _missing() -> bytes:
    raise Conflict("job.unreadable", "What this job was begun with is not kept.")
