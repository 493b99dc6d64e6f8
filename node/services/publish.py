"""Publish: examine a dataset's source, and take in what it holds now.

A publication is all or nothing: the new version replaces the old one in one
transaction, after everything was read. What was left out is counted in the report
with its reason; no row disappears silently. A record that is as it was keeps its
version, so nothing has to be committed to anew but what has changed; that is left
to `keep_snapshots`.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger.records import Schema
from node.domain.dataset import Dataset
from node.domain.declaration import dataset_to_json
from node.domain.publication import Examination, check_columns
from node.domain.report import SoundRecord
from node.ports import Clock, Publication, Record, Sources, Store, UnitOfWork
from node.services.align import Align
from node.services.commit import Commit, digest
from node.services.keep_snapshots import KeepSnapshots

_log = logging.getLogger("fieldpact.publish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publishes datasets."""

    store: Store
    sources: Sources
    commit: Commit
    align: Align
    snapshots: KeepSnapshots
    clock: Clock

    async def __call__(self, dataset: Dataset) -> Mapping[str, Any]:
        """Publish a dataset as it is declared and filled now.

        Returns:
            The report.

        Raises:
            BadRequest: The source lacks a declared column.
            Unavailable: The source did not answer, or not in time.
        """
        last, known = await self.store.read(
            lambda view: (
                view.datasets.get(dataset.id),
                view.datasets.records(dataset.id),
            )
        )
        schema = self.commit.schema(dataset, last)
        found, report = await asyncio.to_thread(self._read, dataset, schema, known)

        def keep(work: UnitOfWork) -> int:
            held = work.datasets.hold(dataset.id)
            standing = held is not None and (
                (held.schema, held.key_id) == (schema, self.commit.key_id)
            )
            now = {each.key: each for each in work.datasets.records(dataset.id)}
            following = held.version + 1 if held else 1
            records = [
                _kept(each, now.get(each.key) if standing else None, following)
                for each in found
            ]
            same = standing and now == {each.key: each for each in records}
            publication = Publication(
                dataset=dataset,
                version=held.version if held and same else following,
                schema=schema,
                key_id=self.commit.key_id,
                published_at=self.clock.now(),
                declaration=dataset_to_json(dataset),
                report=report,
            )
            work.datasets.publish(publication, records)
            self.align.again(work, dataset.id)
            return publication.version

        version = await self.store.write(keep)
        await self.snapshots.want_all(dataset.id)
        return {"dataset": dataset.id, "version": version, "report": report}

    async def again(self) -> None:
        """Publish every dataset anew, to take in what changed in the CRM."""
        for publication in await self.store.read(lambda view: view.datasets.all()):
            await self(publication.dataset)

    def _read(
        self, dataset: Dataset, schema: Schema, known: Sequence[Record]
    ) -> tuple[list[Record], dict[str, Any]]:
        """Read everything, and what each record is recognised by. Runs in a thread."""
        source = self.sources(dataset)
        check_columns(dataset, source.check())
        started = self.clock.elapsed_ms()
        links = {each.key: each.link for each in known}

        def progress(rows: int) -> None:
            rate = rows / max(0.001, (self.clock.elapsed_ms() - started) / 1000)
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
        records = [record(each) for each in examination.records()]
        return records, examination.report().to_json()


def _kept(found: Record, before: Record | None, version: int) -> Record:
    """Return a record in its version: the old one if nothing of it has changed."""
    if before is not None and replace(before, version=0) == found:
        return before
    return replace(found, version=version)
