"""Publish: examine a dataset's source, and take in what it holds now.

A publication is all or nothing: the new version replaces the old one in one
transaction, after everything was read. What was left out is counted in the report
with its reason; no row disappears silently. A record that is as it was keeps its
version, so nothing has to be committed to anew but what has changed; that is left
to `keep_snapshots`.
"""

import asyncio
import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ledger.records import Schema
from node.domain.dataset import Dataset
from node.domain.declaration import dataset_to_json
from node.domain.publication import Examination, check_columns
from node.domain.report import SoundRecord
from node.errors import Conflict, NodeError
from node.ports import Clock, Publication, Record, Sources, Store, UnitOfWork
from node.services.align import Align, Match
from node.services.check_suites import no_bbs
from node.services.commit import Commit, digest
from node.services.keep_snapshots import KeepSnapshots
from node.services.seal_records import Overtaken

_log = logging.getLogger("fieldpact.publish")
_PATIENCE: Final = 3
_TELL_MS: Final = 5000.0
_TURN_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publishes datasets.

    Attributes:
        process: Names this process, where several publish into one store.
    """

    store: Store
    sources: Sources
    commit: Commit
    align: Align
    snapshots: KeepSnapshots
    clock: Clock
    gm_only: bool = False
    process: str = ""

    async def __call__(self, dataset: Dataset) -> Mapping[str, Any]:
        """Publish a dataset as it is declared and filled now.

        Returns:
            The report.

        Raises:
            BadRequest: The source lacks a declared column, or this company offers
                nothing that rests on BBS.
            Unavailable: The source did not answer, or not in time.
        """
        if self.gm_only:
            raise no_bbs()
        last, known = await self.store.read(
            lambda view: (
                view.datasets.get(dataset.id),
                view.datasets.records(dataset.id),
            )
        )
        schema = self.commit.schema(dataset, last)
        found, report = await asyncio.to_thread(self._read, dataset, schema, known)
        publication = Publication(
            dataset=dataset,
            version=0,
            schema=schema,
            key_id=self.commit.key_id,
            published_at=self.clock.now(),
            declaration=dataset_to_json(dataset),
            report=report,
        )
        version = await self._keep(publication, found)
        await self.snapshots.want_all(dataset.id)
        return {"dataset": dataset.id, "version": version, "report": report}

    async def _keep(self, publication: Publication, found: Sequence[Record]) -> int:
        """Keep what was found; return its version.

        What is new is worked out before the store is locked. Who is overtaken too
        often does it with the store locked.
        """
        for _ in range(_PATIENCE):
            changes = await self.store.read(partial(self._compare, publication, found))
            try:
                return await self.store.write(partial(self._apply, changes))
            except Overtaken:
                continue
        return await self.store.write(
            lambda work: self._apply(self._compare(publication, found, work), work)
        )

    def _compare(
        self, publication: Publication, found: Sequence[Record], view: UnitOfWork
    ) -> "_Changes":
        """Work out what is another than the store has."""
        dataset = publication.dataset.id
        held = view.datasets.get(dataset)
        following = held.version + 1 if held else 1
        standing = held is not None and (
            (held.schema, held.key_id) == (publication.schema, publication.key_id)
        )
        before: dict[str, Record] = {}
        if standing:
            before = {each.key: each for each in view.datasets.records(dataset)}
        changed = [
            replace(each, version=following)
            for each in found
            if not _is_same(each, before.get(each.key))
        ]
        gone = before.keys() - {each.key for each in found}
        same = standing and not (changed or gone)
        version = held.version if held and same else following
        customers = {each.customer for each in found}
        return _Changes(
            held=_state(held),
            publication=replace(publication, version=version),
            whole=not before,
            changed=changed,
            gone=sorted(gone),
            matches=self.align.compare(view, dataset, customers),
        )

    def _apply(self, changes: "_Changes", work: UnitOfWork) -> int:
        """Keep what is new.

        Raises:
            Overtaken: It was compared with what is not there any more.
        """
        publication = changes.publication
        held = work.datasets.hold(publication.dataset.id)
        if _state(held) != changes.held:
            raise Overtaken
        if changes.whole:
            work.datasets.publish(publication, changes.changed)
        else:
            work.datasets.republish(publication, changes.changed, changes.gone)
        self.align.match(work, changes.matches)
        for kept in work.agreements.all():
            if kept.agreement.dataset == publication.dataset.id:
                work.turns.want(kept.agreement.id)
        return publication.version

    async def once(
        self, dataset: Dataset, *, since: datetime.datetime
    ) -> Mapping[str, Any] | None:
        """Publish a dataset, unless another process on this store does, or has.

        Args:
            since: What was published as it is declared after that need not be again.

        Returns:
            The report; None where it was published.

        Raises:
            BadRequest, Unavailable: As above.
            Conflict: Another process is at it; ask again.
        """
        name, declared = f"publish:{dataset.id}", dataset_to_json(dataset)

        def _begin(work: UnitOfWork) -> bool | None:
            last = work.datasets.get(dataset.id)
            if last and last.published_at >= since and last.declaration == declared:
                return None
            return work.turns.take(name, self.process, self.clock.now(), _TURN_S)

        taken = await self.store.write(_begin)
        if taken is None:
            return None
        if not taken:
            detail = f"Another process publishes {dataset.id}."
            raise Conflict("dataset.publishing", detail)
        try:
            return await self(dataset)
        finally:
            await self.store.write(
                lambda work: work.turns.give_back(name, self.process)
            )

    async def again(self, every_s: float = 0.0) -> None:
        """Publish every dataset anew, to take in what changed in the CRM.

        Args:
            every_s: Those that were published within half of that, by another process
                on this store, are left out.

        Raises:
            BadRequest: A source lacks a declared column.
            Unavailable: A source did not answer. The others are published.
        """
        failed = None
        for publication in await self.store.read(lambda view: view.datasets.all()):
            try:
                ago = every_s / 2 if every_s else -1.0
                since = self.clock.now() - datetime.timedelta(seconds=ago)
                await self.once(publication.dataset, since=since)
            except Conflict:
                continue
            except NodeError as error:
                failed = error
        if failed is not None:
            raise failed

    def _read(
        self, dataset: Dataset, schema: Schema, known: Sequence[Record]
    ) -> tuple[list[Record], dict[str, Any]]:
        """Read everything, and what each record is recognised by. Runs in a thread."""
        source = self.sources(dataset)
        check_columns(dataset, source.check())
        started = self.clock.elapsed_ms()
        links = {each.key: each.link for each in known}

        told = started

        def progress(rows: int) -> None:
            nonlocal told
            now = self.clock.elapsed_ms()
            if now - told >= _TELL_MS:
                told = now
                rate = rows / (now - started) * 1000
                _log.info("%s: %d rows read, %.0f/s", dataset.id, rows, rate)

        def record(sound: SoundRecord) -> Record:
            link = links.get(sound.key) or self.commit.link()
            values = {each.name: sound.values[each.name] for each in dataset.committed}
            return Record(
                key=sound.key,
                customer=sound.customer,
                link=link,
                digest=digest(schema, values, link) or b"",
                version=0,
            )

        examination = Examination(dataset, source, progress=progress)
        # By key, as the store has them: that is half the work of keeping them.
        records = sorted(map(record, examination.records()), key=lambda one: one.key)
        return records, examination.report().to_json()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """What a publication changes.

    Attributes:
        held: Version, schema and key of what it was compared with.
        whole: Whether all records are replaced.
        changed: Those that are new or not as they were.
        gone: Keys of those that are not there any more.
    """

    held: tuple[int, Schema, str] | None
    publication: Publication
    whole: bool
    changed: Sequence[Record]
    gone: Sequence[str]
    matches: Sequence[Match]


def _is_same(found: Record, before: Record | None) -> bool:
    """Tell whether nothing of a record has changed; it then keeps its version."""
    return before is not None and (
        (found.customer, found.link, found.digest)
        == (before.customer, before.link, before.digest)
    )


def _state(held: Publication | None) -> tuple[int, Schema, str] | None:
    return (held.version, held.schema, held.key_id) if held else None
