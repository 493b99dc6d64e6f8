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
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from crypto import typed
from crypto.keys import Ed25519Key
from ledger import tiles
from ledger.snapshots import FIRST, Snapshot, customer_leaf, sign_snapshot
from node.domain.agreement import Status, render_instant
from node.domain.negotiation import Role
from node.ports import (
    Clock,
    KeptSnapshot,
    Leaf,
    Publication,
    Randomness,
    Record,
    Seal,
    Sources,
    Store,
    UnitOfWork,
)
from node.services.commit import Commit
from node.services.rows import Row, read_rows

_log = logging.getLogger("fieldpact.snapshots")
_BATCH: Final = 256
_CHUNK: Final = 16
"""Records that one thread seals at a time."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSnapshots:
    """Builds and publishes the snapshots of this node's agreements.

    Attributes:
        sealing: Threads for arithmetic, one for each core.
        reading: Threads that wait for the CRM.
        wanted: Agreements to be looked at, when `awake` is set.
    """

    store: Store
    sources: Sources
    commit: Commit
    clock: Clock
    randomness: Randomness
    signer: Ed25519Key
    sealing: Executor
    reading: Executor
    wanted: set[str] = field(default_factory=set)
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    building: dict[str, _Progress] = field(default_factory=dict)

    def want(self, agreement: str) -> None:
        """Have an agreement's snapshot brought up to date soon."""
        self.wanted.add(agreement)
        self.awake.set()

    async def want_all(self, dataset: str | None = None) -> None:
        """Have the snapshots of a dataset, or all of them, brought up to date."""
        for kept in await self.store.read(lambda view: view.agreements.all()):
            if dataset in {None, kept.agreement.dataset}:
                self.want(kept.agreement.id)

    async def keep(self) -> None:
        """Bring every snapshot up to date, then each that is wanted. Never returns.

        Raises:
            Unavailable: The store or a CRM does not answer; call again.
        """
        await self.want_all()
        while True:
            await self.awake.wait()
            self.awake.clear()
            while self.wanted:
                await self.build(self.wanted.pop())

    async def build(self, agreement: str) -> None:
        """Bring one agreement's snapshot up to date, however long it takes.

        Raises:
            Unavailable: The store or the CRM does not answer. What was sealed so far
                is kept; call again.
        """
        try:
            while not await self._round(agreement, gone=None, most=None):
                pass
        finally:
            self.building.pop(agreement, None)

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
            while not await self._round(agreement, gone=keys, most=AT_ONCE):
                pass
        except TooMany:
            self.want(agreement)
            raise

    async def progress(self, dataset: str) -> Mapping[str, Any]:
        """Return how far the snapshots of a dataset's agreements are."""

        def look(view: UnitOfWork) -> list[dict[str, Any]]:
            return [
                self._told(view, kept.agreement.id, dataset)
                for kept in view.agreements.all()
                if kept.role is Role.PROVIDER
                and kept.agreement.dataset == dataset
                and kept.status is not Status.REVOKED
            ]

        return {"agreements": await self.store.read(look)}

    def _told(self, view: UnitOfWork, agreement: str, dataset: str) -> dict[str, Any]:
        current = view.snapshots.current(agreement)
        done, total = view.snapshots.count(agreement, dataset)
        rate = eta = None
        if (running := self.building.get(agreement)) is not None:
            passed_s = (self.clock.elapsed_ms() - running.started_ms) / 1000
            rate = max(0, done - running.began_with) / max(passed_s, 0.001)
            eta = (total - done) / rate if rate else None
        standing = stands(view, agreement, current)
        state = "ready" if standing and done == total else "waiting"
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
        self, agreement: str, *, gone: Sequence[str] | None, most: int | None
    ) -> bool:
        """Seal what is to be sealed, then publish; False if there is more by then."""
        state = await self.store.read(lambda view: self._state(view, agreement))
        if state is None:
            return True
        publication, since, above = state
        dataset = publication.dataset.id
        after = ""
        while True:
            stale = await self.store.read(
                lambda view, after=after: view.snapshots.stale(  # type: ignore[misc]
                    agreement, dataset, above=above, after=after, most=_BATCH
                )
            )
            if most is not None and len(stale) > most:
                raise TooMany
            if not stale:
                break
            if most is None and agreement not in self.building:
                await self._begin(agreement, dataset)
            after = stale[-1][0].key
            try:
                await self._seal(publication, agreement, since, stale)
            except Overtaken:
                return False
        return await self.store.write(
            partial(self._publish, agreement=agreement, since=since, gone=gone)
        )

    def _state(
        self, view: UnitOfWork, agreement: str
    ) -> tuple[Publication, int, int] | None:
        """Return what a build starts from; None if the agreement needs no snapshot.

        Returns:
            The dataset; the number of the snapshot to come; and the version up to which
            everything is sealed, -1 if the whole tree has to be made anew.
        """
        kept = view.agreements.get(agreement)
        if kept is None or kept.role is not Role.PROVIDER:
            return None
        if kept.status is Status.REVOKED:
            return None
        if self.clock.now() >= kept.agreement.terms.valid_to:
            return None
        publication = view.datasets.get(kept.agreement.dataset)
        if publication is None or view.agreements.declaration_hash(agreement) is None:
            return None
        current = view.snapshots.current(agreement)
        above = -1
        if current is not None and stands(view, agreement, current):
            snapshot = current.signed.snapshot
            same_schema = (
                snapshot.schema_hash == typed.schema_hash(publication.schema).hex()
            )
            if same_schema and snapshot.bbs_key_id == publication.key_id:
                above = snapshot.version
        return publication, _next(current), above

    async def _begin(self, agreement: str, dataset: str) -> None:
        done, total = await self.store.read(
            lambda view: view.snapshots.count(agreement, dataset)
        )
        now = self.clock.elapsed_ms()
        self.building[agreement] = _Progress(done, total, now, done)

    async def _seal(
        self,
        publication: Publication,
        agreement: str,
        since: int,
        stale: Sequence[tuple[Record, int]],
    ) -> None:
        """Seal a batch of records, on all cores, and keep it."""
        loop = asyncio.get_running_loop()
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
            if _next(work.snapshots.current(agreement)) != since:
                raise Overtaken
            kept = [each for part in sealed for each in part]
            work.snapshots.keep(agreement, since, kept)

        await self.store.write(keep)
        self._tell(agreement, len(sound))

    def _tell(self, agreement: str, sealed: int) -> None:
        """Count what was sealed, and write it to the log."""
        if (state := self.building.get(agreement)) is None:
            return
        state.done += sealed
        seconds = max((self.clock.elapsed_ms() - state.started_ms) / 1000, 0.001)
        rate = (state.done - state.began_with) / seconds
        left = (state.total - state.done) / rate if rate else 0
        _log.info(
            "%s: %d of %d records sealed, %.0f/s, %.0f s to go",
            *(agreement, state.done, state.total, rate, left),
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
                if record is None or record.link != row.record.link:
                    continue
                if row.digest is None:
                    gone.append(record.key)
                elif row.digest != record.digest:
                    changed.append(replace(record, digest=row.digest, version=version))
            if changed or gone:
                work.datasets.change(dataset, version, changed, gone)

        await self.store.write(change)

    def _publish(
        self,
        work: UnitOfWork,
        *,
        agreement: str,
        since: int,
        gone: Sequence[str] | None,
    ) -> bool:
        """Sign the snapshot and change its tree, if all is sealed."""
        kept = work.agreements.hold(agreement)
        if kept is not None:
            work.datasets.hold(kept.agreement.dataset)
        state = self._state(work, agreement)
        if state is None:
            return True
        publication, following, above = state
        if following != since:
            return False
        dataset = publication.dataset.id
        left = work.snapshots.stale(agreement, dataset, above=above, after="", most=1)
        if left:
            return False
        current = work.snapshots.current(agreement)
        whole = above < 0
        changed = work.snapshots.drop_old(
            agreement, dataset, since, None if whole else gone
        )
        if whole or changed:
            self._sign(
                work, publication, agreement, current, None if whole else changed
            )
        return True

    def _sign(
        self,
        work: UnitOfWork,
        publication: Publication,
        agreement: str,
        current: KeptSnapshot | None,
        changed: set[int] | None,
    ) -> None:
        declaration = work.agreements.declaration(agreement)
        kept = work.agreements.get(agreement)
        if declaration is None or kept is None:
            return
        size = declaration.size
        positions = range(size) if changed is None else sorted(changed)
        # Whose customer we do not know has a leaf that says nothing.
        leaves = {position: self.randomness(32) for position in positions}
        found = work.snapshots.leaves(agreement, None if changed is None else positions)
        leaves |= {
            leaf.position: self._leaf(publication, agreement, leaf) for leaf in found
        }
        wanted = () if changed is None else tiles.needed(size, leaves)
        tree, root = tiles.change(size, leaves, work.snapshots.tiles(agreement, wanted))
        last = current.signed.snapshot if current else None
        snapshot = Snapshot(
            provider=kept.agreement.assigner,
            agreement=agreement,
            dataset=publication.dataset.id,
            version=publication.version,
            sequence=last.sequence + 1 if last else 0,
            previous=last.snapshot_id if last else FIRST,
            declaration=declaration.hash,
            customers=size,
            root=root.hex(),
            schema_hash=typed.schema_hash(publication.schema).hex(),
            messages=typed.size(publication.schema),
            bbs_key_id=publication.key_id,
            at=render_instant(self.clock.now()),
            key_id=self.signer.key_id(kept.agreement.assigner),
        )
        work.snapshots.publish(
            KeptSnapshot(
                signed=sign_snapshot(snapshot, self.signer),
                salt=self.randomness(32),
                index=None,
            ),
            tree,
        )

    def _leaf(self, publication: Publication, agreement: str, leaf: Leaf) -> bytes:
        return customer_leaf(
            leaf.token,
            [
                (
                    commitment,
                    self.commit.header(publication, agreement, version).to_bytes(),
                )
                for commitment, version in leaf.records
            ],
        )


def _next(current: KeptSnapshot | None) -> int:
    return current.signed.snapshot.sequence + 1 if current else 0


def stands(view: UnitOfWork, agreement: str, current: KeptSnapshot | None) -> bool:
    """Tell whether a snapshot is over the customers that are declared now."""
    declared = view.agreements.declaration_hash(agreement)
    return current is not None and current.signed.snapshot.declaration == declared
