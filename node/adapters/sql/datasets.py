"""Published datasets and their records, in SQL."""

import datetime
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from ledger.records import Schema, parse_schema, schema_to_json
from node.adapters.sql import bulk
from node.adapters.sql import tables as t
from node.adapters.sql.snapshots import record
from node.domain.dataset import Dataset
from node.domain.declaration import dataset_from_json
from node.ports import Publication, Record

_BATCH = 1000


class SqlDatasets:
    """Implements `node.ports.Datasets`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        dialect = connection.dialect.name
        self._upsert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def publish(self, publication: Publication, records: Iterable[Record]) -> None:
        """Replace the dataset's records and version."""
        dataset = publication.dataset.id
        self._describe(publication)
        self._connection.execute(
            sa.delete(t.records).where(t.records.c.dataset == dataset)
        )
        self._add(dataset, records)

    def republish(
        self,
        publication: Publication,
        changed: Sequence[Record],
        gone: Sequence[str],
    ) -> None:
        """Replace the dataset's version, replace some records and drop others."""
        self._describe(publication)
        self.change(publication.dataset.id, publication.version, changed, gone)

    def _describe(self, publication: Publication) -> None:
        values = {
            "version": publication.version,
            "schema": json.dumps(schema_to_json(publication.schema)),
            "key_id": publication.key_id,
            "published_at": int(publication.published_at.timestamp()),
            "declaration": json.dumps(publication.declaration, ensure_ascii=False),
            "report": json.dumps(publication.report, ensure_ascii=False),
        }
        self._connection.execute(
            self._upsert(t.datasets)
            .values(id=publication.dataset.id, **values)
            .on_conflict_do_update(index_elements=["id"], set_=values)
        )

    def _add(self, dataset: str, records: Iterable[Record]) -> None:
        bulk.insert(
            self._connection,
            t.records,
            ("dataset", "key", "customer", "link", "digest", "version"),
            (
                (
                    dataset,
                    record.key,
                    record.customer,
                    record.link,
                    record.digest,
                    record.version,
                )
                for record in records
            ),
        )

    def change(
        self, dataset: str, version: int, changed: Sequence[Record], gone: Sequence[str]
    ) -> None:
        """Replace some records, drop others, and count the dataset's version on."""
        c = t.records.c
        keys = [*(each.key for each in changed), *gone]
        for start in range(0, len(keys), _BATCH):
            self._connection.execute(
                sa.delete(t.records).where(
                    c.dataset == dataset, c.key.in_(keys[start : start + _BATCH])
                )
            )
        self._add(dataset, changed)
        self._connection.execute(
            sa.update(t.datasets)
            .where(t.datasets.c.id == dataset)
            .values(version=version)
        )

    def hold(self, dataset: str) -> Publication | None:
        """Return the newest publication, held so that nobody else changes it."""
        found = self._select(
            sa.select(t.datasets).where(t.datasets.c.id == dataset).with_for_update()
        )
        return found[0] if found else None

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
        self, dataset: str, keys: Sequence[str] | None = None
    ) -> Sequence[Record]:
        """Return records by their keys, or all of them."""
        c = t.records.c
        every = sa.select(t.records).where(c.dataset == dataset)
        if keys is None:
            return [record(row) for row in self._connection.execute(every)]
        found: list[Record] = []
        for start in range(0, len(keys), _BATCH):
            named = every.where(c.key.in_(keys[start : start + _BATCH]))
            found += [record(row) for row in self._connection.execute(named)]
        return found

    def customers(self, dataset: str) -> Sequence[str]:
        """Return the normalised key of every customer that has a record."""
        c = t.records.c
        statement = sa.select(c.customer).where(c.dataset == dataset).distinct()
        return list(self._connection.scalars(statement))

    def count_customers(self, dataset: str) -> int:
        """Return how many `customers` returns."""
        c = t.records.c
        count = sa.select(sa.func.count(c.customer.distinct()))
        return self._connection.scalar(count.where(c.dataset == dataset)) or 0


@lru_cache(maxsize=64)
def _dataset(declaration: str) -> Dataset:
    """Read a declaration; the same text always declares the same dataset."""
    return dataset_from_json(json.loads(declaration))


@lru_cache(maxsize=64)
def _schema(text: str) -> Schema:
    """Read a schema; the same text is always the same schema."""
    return parse_schema(json.loads(text))


def _publication(row: sa.Row[tuple[object, ...]]) -> Publication:
    return Publication(
        dataset=_dataset(row.declaration),
        version=row.version,
        schema=_schema(row.schema),
        key_id=row.key_id,
        published_at=datetime.datetime.fromtimestamp(row.published_at, datetime.UTC),
        declaration=json.loads(row.declaration),
        report=json.loads(row.report),
    )
