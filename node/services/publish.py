"""Publish: examine a dataset's source, sign every good record, keep the report.

A publication is all or nothing: the new version replaces the old one in one
transaction, after everything was read and signed. What was left out is counted
in the report with its reason; no row disappears silently.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.domain.dataset import Dataset
from node.domain.declaration import dataset_to_json
from node.domain.publication import Examination, check_columns
from node.ports import Clock, Publication, Record, Sources, Store, UnitOfWork
from node.services.align import Align
from node.services.commit import Commit

_log = logging.getLogger("fieldpact.publish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publishes datasets."""

    store: Store
    sources: Sources
    commit: Commit
    align: Align
    clock: Clock

    async def __call__(self, dataset: Dataset) -> Mapping[str, Any]:
        """Publish a dataset as it is declared and filled now.

        Returns:
            The report.

        Raises:
            BadRequest: The source lacks a declared column.
            Unavailable: The source did not answer, or not in time.
        """
        records, report = await asyncio.to_thread(self._signed, dataset)

        def replace(work: UnitOfWork) -> int:
            last = work.datasets.get(dataset.id)
            publication = Publication(
                dataset=dataset,
                version=last.version + 1 if last else 1,
                published_at=self.clock.now(),
                declaration=dataset_to_json(dataset),
                report=report,
            )
            work.datasets.publish(publication, records)
            self.align.again(work, dataset.id)
            return publication.version

        version = await self.store.write(replace)
        return {"dataset": dataset.id, "version": version, "report": report}

    async def again(self) -> None:
        """Publish every dataset anew, to take in what changed in the CRM."""
        for publication in await self.store.read(lambda view: view.datasets.all()):
            await self(publication.dataset)

    def _signed(self, dataset: Dataset) -> tuple[list[Record], dict[str, Any]]:
        """Read and sign everything. Runs in a thread."""
        source = self.sources(dataset)
        check_columns(dataset, source.check())
        started = self.clock.elapsed_ms()

        def progress(rows: int) -> None:
            rate = rows / max(0.001, (self.clock.elapsed_ms() - started) / 1000)
            _log.info("%s: %d rows read and signed, %.0f/s", dataset.id, rows, rate)

        examination = Examination(dataset, source, progress=progress)
        records = [self.commit(dataset, each) for each in examination.records()]
        return records, examination.report().to_json()
