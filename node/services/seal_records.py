"""Seal records: commit to what an agreement shares, on all cores, a batch at a time.

What is sealed is kept as it comes, so that a builder that is killed goes on where it
was. A record that holds something else in the CRM by now is taken in first, as a new
version of its dataset.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Final

from node.errors import Unavailable
from node.ports import Publication, Record, Seal, Sources, Store, UnitOfWork
from node.services.builds import Builds
from node.services.commit import Commit
from node.services.draft_snapshot import Basis, DraftSnapshot
from node.services.rows import Row, read_rows

_BATCH: Final = 256
_BATCHES: Final = 2
"""At a time: while one is sealed, the other is read from the CRM or kept."""
_CHUNK: Final = 16
"""Records that one thread seals at a time."""
_UNSTEADY: Final = 16
"""Times that one record may have changed by when it is sealed."""


class Overtaken(Exception):
    """Somebody else published a snapshot meanwhile; begin again."""


class TooMany(Exception):
    """More records have to be sealed than a call should wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRecords:
    """Seals what is not sealed as it is now.

    Attributes:
        draft: Tells whether what is sealed is still wanted.
        builds: Are told how far it is, where a build has begun.
        sealing: Threads for arithmetic, one for each core.
        reading: Threads that wait for the CRM.
    """

    store: Store
    sources: Sources
    commit: Commit
    draft: DraftSnapshot
    builds: Builds
    sealing: Executor
    reading: Executor

    async def __call__(
        self, basis: Basis, after: tuple[int, str], most: int | None
    ) -> None:
        """Seal what is not sealed, some batches at a time, so that no core waits.

        Args:
            after: Version and key of records; those before are sealed.
            most: How many a call waits for; None for a build.

        Raises:
            Overtaken: See there.
            TooMany: See there.
            Unavailable: The store or the CRM does not answer; or some record is
                another each time it is read.
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
        if agreement in self.builds.under_way:
            return
        done, total = await self.store.read(
            lambda view: view.snapshots.count(agreement, basis.dataset)
        )
        self.builds.begin(agreement, done, total)

    async def _seal(
        self,
        basis: Basis,
        stale: Sequence[tuple[Record, int]],
        seen: Counter[str],
    ) -> None:
        """Seal a batch of records, and keep it.

        Args:
            seen: How often each record has changed before it could be sealed.
        """
        rows = await asyncio.get_running_loop().run_in_executor(
            self.reading,
            read_rows,
            self.sources,
            basis.publication,
            [record for record, _ in stale],
        )
        changed = [row for row in rows if not row.unchanged]
        if changed:
            seen.update(row.record.key for row in changed)
            _check_steady(basis.dataset, seen)
            await self.take_in(basis.publication, changed)
        sound = [row for row in rows if row.unchanged]
        places = {record.key: place for record, place in stale}
        seals = await self._seals(basis, sound, places)
        await self.store.write(lambda work: self._keep(work, basis, seals))
        self.builds.tell(basis.agreement, len(sound))

    async def _seals(
        self, basis: Basis, sound: Sequence[Row], places: Mapping[str, int]
    ) -> list[Seal]:
        """Return the seals of records that hold what is known, made on all cores.

        Args:
            places: Of each record among those of its customer, by key.
        """
        publication, agreement = basis.publication, basis.agreement

        def seal(part: Sequence[Row]) -> list[Seal]:
            return [
                self.commit(
                    publication,
                    agreement,
                    (row.record, places[row.record.key]),
                    row.values or {},
                )
                for row in part
            ]

        loop = asyncio.get_running_loop()
        parts = (sound[at : at + _CHUNK] for at in range(0, len(sound), _CHUNK))
        sealed = await asyncio.gather(
            *(loop.run_in_executor(self.sealing, seal, part) for part in parts)
        )
        return [each for part in sealed for each in part]

    def _keep(self, work: UnitOfWork, basis: Basis, seals: Sequence[Seal]) -> None:
        agreement = basis.agreement
        work.agreements.hold(agreement)
        if not basis.fits(self.draft.basis(work, agreement)):
            raise Overtaken
        if agreement in self.builds.under_way:
            self.builds.take(work, agreement)
        work.snapshots.keep(agreement, basis.following, seals)

    async def take_in(self, publication: Publication, rows: Sequence[Row]) -> None:
        """Make what records hold now the dataset's next version.

        Raises:
            Overtaken: The dataset was published anew meanwhile.
        """
        dataset = publication.dataset.id
        keys = [row.record.key for row in rows]

        def _change(work: UnitOfWork) -> None:
            held = work.datasets.hold(dataset)
            if held is None or held.schema != publication.schema:
                raise Overtaken
            known = {each.key: each for each in work.datasets.records(dataset, keys)}
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

        await self.store.write(_change)


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
