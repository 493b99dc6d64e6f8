"""Published datasets and their records, in SQL."""

import datetime
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice

import sqlalchemy as sa
from sqlalchemy import Connection

from ledger.presentation import SignedRecord
from node.adapters.sql import tables as t
from node.domain.dataset import Dataset
from node.domain.declaration import dataset_from_json
from node.ports import Publication, Record

_BATCH = 1000


class SqlDatasets:
    """Implements `node.ports.Datasets`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, publication: Publication, records: Iterable[Record]) -> None:
        """Replace the dataset's records and version."""
        dataset = publication.dataset.id
        for table, owner in (
            (t.datasets, t.datasets.c.id),
            (t.records, t.records.c.dataset),
        ):
            self._connection.execute(sa.delete(table).where(owner == dataset))
        self._connection.execute(
            sa.insert(t.datasets).values(
                id=dataset,
                version=publication.version,
                published_at=int(publication.published_at.timestamp()),
                declaration=json.dumps(publication.declaration, ensure_ascii=False),
                report=json.dumps(publication.report, ensure_ascii=False),
            )
        )
        rest = iter(records)
        while batch := list(islice(rest, _BATCH)):
            rows = [
                {
                    "dataset": dataset,
                    "key": record.key,
                    "customer": record.customer,
                    "scalars": record.signed.scalars,
                    "signature": record.signed.signature,
                }
                for record in batch
            ]
            self._connection.execute(sa.insert(t.records), rows)

    def renew(self, dataset: str, records: Sequence[Record]) -> None:
        """Replace records that are published already."""
        c = t.records.c
        for record in records:
            self._connection.execute(
                sa.update(t.records)
                .where(c.dataset == dataset, c.key == record.key)
                .values(
                    scalars=record.signed.scalars, signature=record.signed.signature
                )
            )

    def get(self, dataset: str) -> Publication | None:
        """Return the newest publication, or None."""
        found = self._select(sa.select(t.datasets).where(t.datasets.c.id == dataset))
        return found[0] if found else None

    def all(self) -> Sequence[Publication]:
        """Return every dataset's newest publication."""
        return self._select(sa.select(t.datasets).order_by(t.datasets.c.id))

    def _select(self, statement: sa.Select[tuple[object, ...]]) -> list[Publication]:
        return [_publication(row) for row in self._connection.execute(statement)]

    def records(
        self, dataset: str, customers: Sequence[str], most: int
    ) -> Sequence[Record]:
        """Return up to `most` records of these customers, by customer and key."""
        c = t.records.c
        rows = self._connection.execute(
            sa.select(c.key, c.customer, c.scalars, c.signature)
            .where(c.dataset == dataset, c.customer.in_(customers))
            .order_by(c.customer, c.key)
            .limit(most)
        )
        return [
            Record(
                key=row.key,
                customer=row.customer,
                signed=SignedRecord(scalars=row.scalars, signature=row.signature),
            )
            for row in rows
        ]

    def customers(self, dataset: str) -> Sequence[str]:
        """Return the normalised key of every customer that has a record."""
        c = t.records.c
        statement = sa.select(c.customer).where(c.dataset == dataset).distinct()
        return list(self._connection.scalars(statement))


@lru_cache(maxsize=64)
def _dataset(declaration: str) -> Dataset:
    """Read a declaration; the same text always declares the same dataset."""
    return dataset_from_json(json.loads(declaration))


def _publication(row: sa.Row[tuple[object, ...]]) -> Publication:
    return Publication(
        dataset=_dataset(row.declaration),
        version=row.version,
        published_at=datetime.datetime.fromtimestamp(row.published_at, datetime.UTC),
        declaration=json.loads(row.declaration),
        report=json.loads(row.report),
    )
