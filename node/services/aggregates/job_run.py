"""A run that can be killed and gone on with: what stages make is kept in the store.

All of it is kept encrypted under a key of the node's own, whether it is secret or
not: a copy of the database tells what was asked and how far it came, and nothing that
was computed. Whoever keeps the result of a part twice gets the first, so that of two
processes that work on one job nobody sends what the other did not.

A run writes down how far it is at most five times a second. When it does, or keeps
something, it sees whether somebody cancelled the job.
"""

import asyncio
import datetime
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from crypto.encoding import canonical
from crypto.errors import Invalid
from crypto.keys import X25519Key
from crypto.sealed import NONCE, open_sealed, seal
from node.errors import Conflict, NotFound
from node.ports import Clock, Randomness, Store, UnitOfWork
from node.ports.aggregates import Compute, JobState, KeptJob, Kernel, Shared
from node.services.aggregates.steps import Within

_TOLD_EVERY_MS: Final = 200.0
T = TypeVar("T")


class Cancelled(Conflict):
    """Somebody cancelled the job that this belongs to."""

    def __init__(self) -> None:
        super().__init__("job.cancelled", "The job of this plan was cancelled.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where runs keep what they make, and what they work with."""

    store: Store
    compute: Compute
    clock: Clock
    randomness: Randomness
    storage: X25519Key


@dataclass(slots=True)
class KeptRun:
    """Implements `node.services.aggregates.steps.Run`.

    Attributes:
        keeping: Where it is kept.
        job: As it was when the run began; what changes is written, not read, here.
    """

    keeping: Keeping
    job: KeptJob
    _key: bytes = field(init=False, repr=False)
    _stage: str = field(default="", init=False)
    _began_ms: float = field(default=0.0, init=False)
    _from: int = field(default=0, init=False)
    _told_ms: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        """Derive the key under which this job's parts are kept."""
        self._key = self.keeping.storage.storage_key(f"job/{self.job.id}")

    async def once(
        self,
        stage: str,
        make: Callable[[], Awaitable[bytes]],
        *,
        secret: bool = False,  # noqa: ARG002  # all is kept as what is secret
        within: Within | None = None,
    ) -> bytes:
        """Return what a stage has made; make and keep it the first time.

        Args:
            within: Done in the transaction that keeps it, where nothing was kept
                before. If it raises, that is raised, and nothing is kept.

        Raises:
            Cancelled: The job was cancelled.
            Conflict: What was kept cannot be read (`job.unreadable`).
        """
        kept = await self._kept(stage)
        if 0 in kept:
            return kept[0]
        return await self._keep(stage, 0, await make(), within)

    async def map(
        self,
        stage: str,
        kernel: Kernel,
        parts: Sequence[bytes],
        *common: bytes | Shared,
        size: int = 1,
    ) -> list[bytes]:
        """Run ``kernel(*common, part)`` for each part, in worker processes.

        Parts whose result is kept are not computed again; of the others as many are
        under way at once as there are workers for.

        Raises:
            Cancelled: The job was cancelled.
            CryptoError: What the kernel raised.
            Conflict: What was kept cannot be read (`job.unreadable`).
        """
        kept = await self._kept(stage)
        waiting = iter([n for n in range(len(parts)) if n not in kept])
        compute, total = self.keeping.compute, len(parts) * size
        await self.tell(stage, len(kept) * size, total)

        async def _work() -> None:
            for number in waiting:
                made = await compute(kernel, *common, parts[number])
                kept[number] = await self._keep(stage, number, made)
                await self.tell(stage, len(kept) * size, total)

        await _together(_work() for _ in range(compute.width))
        return [kept[number] for number in range(len(parts))]

    async def compute(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        """Run one kernel in a worker process; nothing is kept.

        Raises:
            CryptoError: What the kernel raised.
        """
        return await self.keeping.compute(kernel, *arguments)

    async def tell(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Show how far it is. Raises `Cancelled`.

        A stage that begins or ends is written down at once, counts within it at most
        five times a second.
        """
        now_ms = self.keeping.clock.elapsed_ms()
        begins = stage != self._stage
        if begins:
            self._stage, self._began_ms, self._from = stage, now_ms, done
        ends = done == total > 0
        if now_ms - self._told_ms < _TOLD_EVERY_MS and not (begins or ends):
            return
        self._told_ms = now_ms
        elapsed_s = (now_ms - self._began_ms) / 1000
        rate = (done - self._from) / elapsed_s if elapsed_s > 0 else 0.0
        await self._write(_telling(self._now(stage, done, total, rate)))

    def _now(self, stage: str, done: int, total: int, rate: float) -> KeptJob:
        now = self.keeping.clock.now()
        elapsed_ms = round(self.keeping.clock.elapsed_ms() - self._began_ms)
        return replace(
            self.job,
            state=JobState.RUNNING,
            stage=stage,
            done=done,
            total=total,
            updated_at=now,
            began_at=round(now.timestamp() * 1000) - elapsed_ms,
            told={"rate": rate} if rate > 0 else {},
        )

    async def _keep(
        self, stage: str, part: int, octets: bytes, within: Within | None = None
    ) -> bytes:
        """Keep what a part made; return what is kept, which is the first."""
        nonce, about = self.keeping.randomness(NONCE), self._about(stage, part)
        sealing = functools.partial(seal, self._key, octets, about=about, nonce=nonce)
        sealed = await asyncio.to_thread(sealing)

        def keep(work: UnitOfWork) -> bytes:
            check_not_cancelled(work, self.job.id)
            kept = work.jobs.keep(self.job.id, stage, part, sealed)
            if within and kept == sealed:
                within(work, octets)
            return kept

        kept = await self._write(keep)
        if kept == sealed:
            return octets
        return (await asyncio.to_thread(self._opened, stage, {part: kept}))[part]

    async def _kept(self, stage: str) -> dict[int, bytes]:
        def look(view: UnitOfWork) -> dict[int, bytes]:
            check_not_cancelled(view, self.job.id)
            return dict(view.jobs.kept(self.job.id, stage))

        kept = await self.keeping.store.read(look)
        return await asyncio.to_thread(self._opened, stage, kept) if kept else {}

    def _opened(self, stage: str, kept: dict[int, bytes]) -> dict[int, bytes]:
        try:
            return {
                part: open_sealed(self._key, sealed, about=self._about(stage, part))
                for part, sealed in kept.items()
            }
        except Invalid:
            detail = (
                "What this job had made cannot be read: it was kept under another"
                " X25519 key of this node, or changed. Ask with a new plan."
            )
            raise Conflict("job.unreadable", detail) from None

    def _about(self, stage: str, part: int) -> bytes:
        return canonical([self.job.id, stage, part])

    async def _write(self, action: Callable[[UnitOfWork], T]) -> T:
        return await self.keeping.store.write(action)


def check_not_cancelled(view: UnitOfWork, job_id: str) -> None:
    """Raise `Cancelled` if a job was cancelled."""
    kept = view.jobs.get(job_id)
    if kept is not None and kept.state is JobState.CANCELLED:
        raise Cancelled


def kept_job(view: UnitOfWork, job_id: str) -> KeptJob:
    """Return a job.

    Raises:
        NotFound: There is none of that id.
    """
    job = view.jobs.get(job_id)
    if job is None:
        raise NotFound("job.unknown", "There is no such job.")
    return job


def ended(
    job: KeptJob, state: JobState, at: datetime.datetime, told: Mapping[str, Any]
) -> KeptJob:
    """Return a job as it has ended, with its result or error."""
    return replace(job, state=state, updated_at=at, told=told)


async def end(
    keeping: Keeping, job_id: str, state: JobState, told: Mapping[str, Any]
) -> None:
    """Write down how a job has ended."""
    now = keeping.clock.now()
    await keeping.store.write(
        lambda work: work.jobs.tell(ended(kept_job(work, job_id), state, now, told))
    )


def _telling(job: KeptJob) -> Callable[[UnitOfWork], None]:
    def tell(work: UnitOfWork) -> None:
        # It is refused too for a job that is done: steps of it that are called again.
        if not work.jobs.tell(job):
            check_not_cancelled(work, job.id)

    return tell


async def _together(works: Iterator[Any]) -> None:
    """Do things side by side; the first that fails ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
