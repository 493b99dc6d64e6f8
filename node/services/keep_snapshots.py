"""Keep snapshots: commit to every record that an agreement shares, and stand by it.

Under each agreement there is one tree, with one leaf for each customer that the
consumer declared, at the place that the customer's token has among them. Records
are sealed on all cores and kept as they come; only when all of them are is the
tree changed and a new snapshot signed, in one transaction. A builder that is
killed goes on where it was, and nobody ever sees half of what it did.

A snapshot is an entry of the log as receipts are, so the next anchor covers it.

    take in     what records hold in the CRM now, as a new version of the dataset
    seal        what is not sealed as it is now
    publish     the tree and its signed statement, whole or not at all

Spec: `docs/protocols/snapshots.md`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from node.domain.agreement import Status
from node.domain.negotiation import Role
from node.errors import Unavailable
from node.ports import (
    Clock,
    Publication,
    Record,
    Seal,
    Sources,
    Store,
    UnitOfWork,
)
from node.services.commit import Commit
from node.services.draft_snapshot import START, Basis, DraftSnapshot, Unsealed, stands
from node.services.rows import Row, read_rows

_log = logging.getLogger("fieldpact.snapshots")
_BATCH: Final = 256
_BATCHES: Final = 2
"""At a time: while one is sealed, the other is read from the CRM or kept."""
_CHUNK: Final = 16
"""Records that one thread seals at a time."""
_PATIENCE: Final = 3
"""Rounds that may be overtaken, before one locks out everybody else."""
_UNSTEADY: Final = 16
"""Times that one record may have changed by when it is sealed."""
_TELL_MS: Final = 5000.0
_LOOK_S: Final = 5.0
"""Between two looks for what other processes were told to build and have not."""
_TURN_S: Final = 30
AT_ONCE: Final = 64
"""Changed records that a call waits for; more are left to the builder."""


class Overtaken(Exception):
    """Somebody else published a snapshot meanwhile; begin again."""


class TooMany(Exception):
    """More records have to be sealed than a call should wait for."""


@dataclass(slots=True)
class _Progress:
    """How far a build has come; sealing a record takes milliseconds."""

    done: int
    total: int
    started_ms: float
    began_with: int
    told_ms: float

    def speed(self, now_ms: float) -> tuple[float, float | None]:
        """Return records a second so far, and the seconds that are left."""
        passed_s = max((now_ms - self.started_ms) / 1000, 0.001)
        rate = (self.done - self.began_with) / passed_s
        return rate, (self.total - self.done) / rate if rate else None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSnapshots:
    """Builds and publishes the snapshots of this node's agreements.

    Attributes:
        draft: Works out what is published.
        sealing: Threads for arithmetic, one for each core.
        reading: Threads that wait for the CRM.
        process: Names this process, where several work on one store.
        wanted: Agreements to be looked at, when `awake` is set. The store holds more:
            what a process was to build that has died, or what others are building.
            While it holds a wish for an agreement, there may be old records of it that
            are not sealed: of customers that were not known to be shared.
    """

    store: Store
    sources: Sources
    commit: Commit
    draft: DraftSnapshot
    clock: Clock
    sealing: Executor
    reading: Executor
    process: str = ""
    wanted: set[str] = field(default_factory=set)
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    building: dict[str, _Progress] = field(default_factory=dict)

    def want(self, agreement: str) -> None:
        """Have an agreement's snapshot brought up to date soon."""
        self.wanted.add(agreement)
        self.awake.set()

    async def want_all(self, dataset: str | None = None) -> None:
        """Have the snapshots of a dataset, or all of them, brought up to date."""

        def _want(work: UnitOfWork) -> list[str]:
            names = [
                kept.agreement.id
                for kept in work.agreements.all()
                if dataset in {None, kept.agreement.dataset}
            ]
            for name in names:
                work.turns.want(name)
            return names

        for name in await self.store.write(_want):
            self.want(name)

    async def keep(self) -> None:
        """Bring every snapshot up to date, then each that is wanted. Never returns.

        Raises:
            Unavailable: The store or a CRM does not answer; call again. Nobody has
                waited for it but its own agreements.
        """
        await self.want_all()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.awake.wait(), _LOOK_S)
            self.awake.clear()
            self.wanted.update(await self.store.read(lambda view: view.turns.wanted()))
            failed = None
            while self.wanted:
                try:
                    await self._in_turn(self.wanted.pop())
                except Unavailable as error:
                    failed = error
            if failed is not None:
                raise failed

    async def _in_turn(self, agreement: str) -> None:
        """Build, unless another process does; then it is looked at again later."""
        name = _turn(agreement)
        if await self.store.write(lambda work: self._take(work, agreement)):
            try:
                await self.build(agreement)
            finally:
                await self.store.write(
                    lambda work: work.turns.give_back(name, self.process)
                )

    def _take(self, work: UnitOfWork, agreement: str) -> bool:
        now = self.clock.now()
        return work.turns.take(_turn(agreement), self.process, now, _TURN_S)

    async def build(self, agreement: str) -> None:
        """Bring one agreement's snapshot up to date, however long it takes.

        Raises:
            Unavailable: The store or the CRM does not answer. What was sealed so far
                is kept; call again.
        """
        wishes = await self.store.read(lambda view: view.turns.wanted())
        try:
            await self._rounds(agreement, None)
            if wish := wishes.get(agreement):
                await self.store.write(lambda work: work.turns.built(agreement, wish))
        finally:
            if (built := self.building.pop(agreement, None)) is not None:
                seconds = (self.clock.elapsed_ms() - built.started_ms) / 1000
                _log.info(
                    "%s: %d of %d records sealed, after %.1f s",
                    *(agreement, built.done, built.total, seconds),
                )

    async def catch_up(
        self,
        publication: Publication,
        agreement: str,
        *,
        changed: Sequence[Row],
        keys: Sequence[str],
    ) -> None:
        """Take in records that have changed, while a call waits.

        Args:
            changed: Records that hold something else in the CRM now.
            keys: Records whose seals do not hold any more.

        Raises:
            TooMany: There is more to seal than a call should wait for; the builder
                has been told.
            Overtaken: The dataset was published anew meanwhile.
            Unavailable: The store or the CRM does not answer.
        """
        if changed:
            await self._take_in(publication, changed)
        try:
            await self._rounds(agreement, keys)
        except TooMany:
            await self.store.write(lambda work: work.turns.want(agreement))
            self.want(agreement)
            raise

    async def _rounds(self, agreement: str, keys: Sequence[str] | None) -> None:
        rounds = 0
        while not await self._round(agreement, keys=keys, patient=rounds < _PATIENCE):
            rounds += 1

    async def progress(self, dataset: str) -> Mapping[str, Any]:
        """Return how far the snapshots of a dataset's agreements are.

        `idle` are those that need none: over, or without declared customers.
        """

        def _look(view: UnitOfWork) -> list[dict[str, Any]]:
            return [
                self._told(view, kept.agreement.id, dataset)
                for kept in view.agreements.all()
                if kept.role is Role.PROVIDER
                and kept.agreement.dataset == dataset
                and kept.status is not Status.REVOKED
            ]

        return {"agreements": await self.store.read(_look)}

    def _told(self, view: UnitOfWork, agreement: str, dataset: str) -> dict[str, Any]:
        current = view.snapshots.current(agreement)
        rate = eta = None
        if (running := self.building.get(agreement)) is not None:
            done, total = running.done, running.total
            rate, eta = running.speed(self.clock.elapsed_ms())
        else:
            done, total = view.snapshots.count(agreement, dataset)
        following = current.signed.snapshot.sequence + 1 if current else 0
        ready = (
            stands(view, agreement, current, self.commit.key_id)
            and done == total
            and not view.snapshots.count_pending(agreement, following)
        )
        state = "ready" if ready else "waiting"
        if self.draft.needed(view, agreement) is None:
            state = "idle"
        return {
            "agreement": agreement,
            "state": "building" if running else state,
            "done": done,
            "total": total,
            "rate": rate and round(rate, 1),
            "eta_s": eta and round(eta),
            "snapshot": current.signed.snapshot.snapshot_id if current else None,
            "version": current.signed.snapshot.version if current else None,
        }

    async def _round(
        self, agreement: str, *, keys: Sequence[str] | None, patient: bool
    ) -> bool:
        """Seal what is to be sealed, then publish; False if there is more by then.

        Args:
            keys: As for `DraftSnapshot`; without them, everything is looked at.
            patient: Work the tree out before the store is locked, at the risk that
                it is not true any more when it is.
        """
        basis, due = await self.store.read(
            lambda view: (
                self.draft.basis(view, agreement),
                agreement in view.turns.wanted(),
            )
        )
        if basis is None:
            return True
        try:
            after = START if keys is None or due else basis.after
            await self._seal_all(basis, after, most=None if keys is None else AT_ONCE)
            if not patient:
                act = partial(self._at_once, agreement, keys, after)
                return await self.store.write(act)
            draft = await self.store.read(
                lambda view: self.draft(view, agreement, keys, after)
            )
        except (Overtaken, Unsealed):
            return False
        if draft is None:
            return True
        return await self.store.write(lambda work: self.draft.publish(work, draft))

    def _at_once(
        self,
        agreement: str,
        keys: Sequence[str] | None,
        after: tuple[int, str],
        work: UnitOfWork,
    ) -> bool:
        """Draft and publish in one transaction, which nobody can overtake."""
        self.draft.hold(work, agreement)
        draft = self.draft(work, agreement, keys, after)
        return draft is None or self.draft.publish(work, draft)

    async def _seal_all(
        self, basis: Basis, after: tuple[int, str], most: int | None
    ) -> None:
        """Seal what is not sealed, some batches at a time, so that no core waits.

        Args:
            after: Version and key of records; those before are sealed.
            most: How many a call waits for; None for a build.

        Raises:
            Overtaken: See there.
            TooMany: See there.
            Unavailable: See there; or some record is another each time it is read.
        """
        turn = asyncio.Lock()
        changed = Counter[str]()

        async def work() -> None:
            nonlocal after
            while True:
                async with turn:
                    stale = await self._stale(basis, after)
                    if not stale:
                        return
                    if most is not None and len(stale) > most:
                        raise TooMany
                    if most is None:
                        await self._begin(basis)
                    last, _ = stale[-1]
                    after = (last.version, last.key)
                await self._seal(basis, stale, changed)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_BATCHES):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _stale(
        self, basis: Basis, after: tuple[int, str]
    ) -> list[tuple[Record, int]]:
        return await self.store.read(
            lambda view: view.snapshots.stale(
                basis.agreement, basis.dataset, after=after, most=_BATCH
            )
        )

    async def _begin(self, basis: Basis) -> None:
        """Start to count, if this is the first batch of a build."""
        agreement = basis.agreement
        if agreement in self.building:
            return
        done, total = await self.store.read(
            lambda view: view.snapshots.count(agreement, basis.dataset)
        )
        now = self.clock.elapsed_ms()
        self.building[agreement] = _Progress(done, total, now, done, now)
        _log.info("%s: %d of %d records are sealed", agreement, done, total)

    async def _seal(
        self,
        basis: Basis,
        stale: Sequence[tuple[Record, int]],
        seen: Counter[str],
    ) -> None:
        """Seal a batch of records, on all cores, and keep it.

        Args:
            seen: How often each record has changed before it could be sealed.
        """
        loop = asyncio.get_running_loop()
        publication, agreement = basis.publication, basis.agreement
        positions = {record.key: position for record, position in stale}
        rows = await loop.run_in_executor(
            self.reading,
            read_rows,
            self.sources,
            publication,
            [record for record, _ in stale],
        )
        changed = [row for row in rows if not row.unchanged]
        if changed:
            seen.update(row.record.key for row in changed)
            _check_steady(basis.dataset, seen)
            await self._take_in(publication, changed)
        sound = [row for row in rows if row.unchanged]

        def seal(part: Sequence[Row]) -> list[Seal]:
            return [
                self.commit(
                    publication,
                    agreement,
                    (row.record, positions[row.record.key]),
                    row.values or {},
                )
                for row in part
            ]

        parts = (sound[at : at + _CHUNK] for at in range(0, len(sound), _CHUNK))
        sealed = await asyncio.gather(
            *(loop.run_in_executor(self.sealing, seal, part) for part in parts)
        )

        def keep(work: UnitOfWork) -> None:
            work.agreements.hold(agreement)
            if not basis.fits(self.draft.basis(work, agreement)):
                raise Overtaken
            if agreement in self.building:
                self._take(work, agreement)
            kept = [each for part in sealed for each in part]
            work.snapshots.keep(agreement, basis.following, kept)

        await self.store.write(keep)
        self._tell(agreement, len(sound))

    def _tell(self, agreement: str, sealed: int) -> None:
        """Count what was sealed, and write it to the log every few seconds."""
        if (state := self.building.get(agreement)) is None:
            return
        state.done = min(state.total, state.done + sealed)
        now = self.clock.elapsed_ms()
        if now - state.told_ms < _TELL_MS:
            return
        state.told_ms = now
        rate, left_s = state.speed(now)
        _log.info(
            "%s: %d of %d records sealed, %.0f/s, %.0f s to go",
            *(agreement, state.done, state.total, rate, left_s or 0),
        )

    async def _take_in(self, publication: Publication, rows: Sequence[Row]) -> None:
        """Make what records hold now the dataset's next version.

        Raises:
            Overtaken: The dataset was published anew meanwhile.
        """
        dataset = publication.dataset.id

        def change(work: UnitOfWork) -> None:
            held = work.datasets.hold(dataset)
            if held is None or held.schema != publication.schema:
                raise Overtaken
            known = {
                each.key: each
                for each in work.datasets.records(
                    dataset, [row.record.key for row in rows]
                )
            }
            version = held.version + 1
            changed, gone = [], []
            for row in rows:
                record = known.get(row.record.key)
                if record is None or not _is_same(record, row.record):
                    continue
                if row.digest is None:
                    gone.append(record.key)
                elif row.digest != record.digest:
                    changed.append(replace(record, digest=row.digest, version=version))
            if changed or gone:
                work.datasets.change(dataset, version, changed, gone)

        await self.store.write(change)


def _turn(agreement: str) -> str:
    """Name what one process does alone: the builds of one agreement."""
    return f"snapshot:{agreement}"


def _check_steady(dataset: str, seen: Mapping[str, int]) -> None:
    """Refuse to run after what nobody can commit to, such as a column of clocks."""
    if max(seen.values()) > _UNSTEADY:
        detail = f"A record of {dataset} holds something else each time it is read."
        raise Unavailable("source.unsteady", detail)


def _is_same(record: Record, read: Record) -> bool:
    """Tell whether a record is the one that was read, in whatever version.

    One that was published under another customer meanwhile has not gone from the
    CRM, though it is not found there under its old one.
    """
    return (record.link, record.customer) == (read.link, read.customer)
