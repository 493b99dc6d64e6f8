"""Read: fetch the granted columns of the shared customers from the CRM.

Only customers that both sides know are looked up, only the granted columns are
selected, and only records that were published. A record whose values are no
longer those that its signature covers is signed anew before it is shown; one
that has left the CRM, or moved to another customer, is not shown any more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ledger.disclosure import CustomerAnswer, Disclosure, ShownRecord
from ledger.presentation import changed_fields
from node.domain.agreement import Agreement
from node.domain.customer import BadCustomer, normalise
from node.domain.dataset import CustomerKey, Dataset, Field, Value
from node.domain.disclosure import Request
from node.domain.report import SoundRecord
from node.domain.values import BadValue, to_wire
from node.errors import Unavailable
from node.ports import Publication, Record, Sources, Store, UnitOfWork
from node.services.commit import Commit, schema_of

_Found: TypeAlias = tuple[Record, Mapping[str, Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What will be disclosed, and the signed records that it will be proved from.

    Attributes:
        disclosure: Values, not yet proved.
        records: For each customer asked, in order, the record behind each value.
    """

    disclosure: Disclosure
    records: tuple[tuple[Record, ...], ...]


class NotReadable(Exception):
    """The call cannot be answered; the message is the denial code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Reads what a decision has allowed."""

    store: Store
    sources: Sources
    commit: Commit

    async def __call__(
        self,
        request: Request,
        publication: Publication | None,
        agreement: Agreement | None,
        most: int,
    ) -> Draft:
        """Read the requested fields of the requested customers.

        Args:
            most: The company's own cap on records in one call.

        Raises:
            NotReadable: No customer is shared, there are too many records, a record
                no longer fits its declaration, or the CRM did not answer.
        """
        if publication is None or agreement is None:
            raise NotReadable("policy.malformed")  # no policy may allow that
        dataset = publication.dataset
        most = min(most, agreement.terms.rows_per_call)

        def look(view: UnitOfWork) -> tuple[Mapping[bytes, str], Sequence[Record]]:
            aligned = view.agreements.aligned(agreement.id, request.customers)
            customers = sorted(set(aligned.values()))
            return aligned, view.datasets.records(dataset.id, customers, most + 1)

        aligned, records = await self.store.read(look)
        if not aligned:
            raise NotReadable("customer.not_shared")
        if len(records) > most:
            raise NotReadable("rows.exceeded")
        found = await self._values(dataset, records, request.fields)
        header = self.commit.header(dataset).to_bytes()
        return _draft(request, header, dataset, aligned, found)

    async def _values(
        self, dataset: Dataset, records: Sequence[Record], names: Sequence[str]
    ) -> list[_Found]:
        """Return each record that is still this customer's, with its values."""
        fields = [field for field in dataset.fields if field.name in names]
        rows = await self._rows(dataset, records, fields)
        found: list[_Found] = []
        for record in records:
            if (row := rows.get(record.key)) is not None:
                values = {each.name: _wire(each, row[each.column]) for each in fields}
                found.append((record, values))
        changed = _changed(dataset, found)
        if changed:
            renewed = {each.key: each for each in await self._renew(dataset, changed)}
            found = [(renewed.get(old.key, old), values) for old, values in found]
            if _changed(dataset, found):
                raise NotReadable("record.changed")  # once more, meanwhile
        return found

    async def _rows(
        self, dataset: Dataset, records: Sequence[Record], fields: Sequence[Field]
    ) -> Mapping[str, Mapping[str, object]]:
        keys = [record.key for record in records]
        customer = dataset.customer
        columns = sorted({customer.column, *(field.column for field in fields)})
        try:
            source = await asyncio.to_thread(self.sources, dataset)
            rows = await asyncio.to_thread(source.read, keys, columns)
        except Unavailable as error:
            raise NotReadable("source.unavailable") from error
        return {
            record.key: rows[record.key]
            for record in records
            if record.key in rows
            and _names(customer, rows[record.key], record.customer)
        }

    async def _renew(self, dataset: Dataset, records: Sequence[Record]) -> list[Record]:
        """Sign records anew that have changed in the CRM, and keep them."""
        rows = await self._rows(dataset, records, dataset.committed)
        try:
            renewed = [
                self.commit(dataset, _sound(dataset, record, rows[record.key]))
                for record in records
                if record.key in rows
            ]
        except BadValue as error:
            raise NotReadable("record.changed") from error
        await self.store.write(lambda work: work.datasets.renew(dataset.id, renewed))
        return renewed


def _sound(dataset: Dataset, record: Record, row: Mapping[str, object]) -> SoundRecord:
    values = {each.name: to_wire(each, row[each.column]) for each in dataset.committed}
    return SoundRecord(key=record.key, customer=record.customer, values=values)


def _changed(dataset: Dataset, found: Sequence[_Found]) -> list[Record]:
    """Return the records whose signature covers other values than these."""
    schema = schema_of(dataset)
    return [
        record
        for record, values in found
        if changed_fields(record.signed, values, schema=schema)
    ]


def _names(key: CustomerKey, row: Mapping[str, object], customer: str) -> bool:
    """Tell whether a row still belongs to the customer it was published for.

    A record can move to another account in the CRM. Under the old customer's token
    it must not be shown any more; the next publication finds its new customer.
    """
    try:
        return normalise(key.rule, row[key.column]) == customer
    except BadCustomer:
        return False


def _wire(field: Field, raw: object) -> Value:
    try:
        return to_wire(field, raw)
    except BadValue as error:
        raise NotReadable("record.changed") from error


def _draft(
    request: Request,
    header: bytes,
    dataset: Dataset,
    aligned: Mapping[bytes, str],
    found: Sequence[_Found],
) -> Draft:
    """Put what was found in the order in which it was asked for."""
    by_customer: dict[str, list[_Found]] = {name: [] for name in aligned.values()}
    for record, values in found:
        by_customer[record.customer].append((record, values))
    answers, behind = [], []
    for token in request.customers:
        shown = by_customer[aligned[token]] if token in aligned else None
        behind.append(tuple(record for record, _ in shown or ()))
        answers.append(
            CustomerAnswer(
                customer=token,
                records=None
                if shown is None
                else tuple(ShownRecord(fields=values) for _, values in shown),
            )
        )
    return Draft(
        disclosure=Disclosure(
            header=header, schema=schema_of(dataset), answers=tuple(answers)
        ),
        records=tuple(behind),
    )
