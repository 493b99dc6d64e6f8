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

The first two are `seal_records`; what is drawn up for the third is `draft_snapshot`.

Spec: `docs/protocols/snapshots.md`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from node.domain.agreement import Status
from node.domain.negotiation import Role
from node.errors import Unavailable
from node.ports import Publication, Store, UnitOfWork
from node.services.builds import Builds
from node.services.draft_snapshot import START, DraftSnapshot, Unsealed, stands
from node.services.rows import Row
from node.services.seal_records import Overtaken, SealRecords, TooMany

_PATIENCE: Final = 3
"""Rounds that may be overtaken, before one locks out everybody else."""
_LOOK_S: Final = 5.0
"""Between two looks for what other processes were told to build and have not."""
AT_ONCE: Final = 64
"""Changed records that a call waits for; more are left to the builder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSnapshots:
    """Builds and publishes the snapshots of this node's agreements.

    Attributes:
        draft: Works out what is published.
        seal: Commits to records, in whatever order they come.
        builds: What this process is at.
        wanted: Agreements to be looked at, when `awake` is set. The store holds more:
            what a process was to build that has died, or what others are building.
            While it holds a wish for an agreement, there may be old records of it that
            are not sealed: of customers that were not known to be shared.
    """

    store: Store
    draft: DraftSnapshot
    seal: SealRecords
    builds: Builds
    wanted: set[str] = field(default_factory=set)
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def key_id(self) -> str:
        """Id of the key with which records are sealed; seals of others do not hold."""
        return self.draft.commit.key_id

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
        builds = self.builds
        if await self.store.write(lambda work: builds.take(work, agreement)):
            try:
                await self.build(agreement)
            finally:
                await self.store.write(lambda work: builds.give_back(work, agreement))

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
            self.builds.end(agreement)

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
            await self.seal.take_in(publication, changed)
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
        if (running := self.builds.under_way.get(agreement)) is not None:
            done, total = running.done, running.total
            rate, eta = running.speed(self.builds.clock.elapsed_ms())
        else:
            done, total = view.snapshots.count(agreement, dataset)
        following = current.signed.snapshot.sequence + 1 if current else 0
        ready = (
            stands(view, agreement, current, self.key_id)
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
            await self.seal(basis, after, most=None if keys is None else AT_ONCE)
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
