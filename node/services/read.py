"""Read: fetch the granted columns of the shared customers from the CRM.

Only customers that both sides know are looked up, only the granted columns are
selected, and only records that were published. A record whose values are no
longer those that its signature covers is signed anew before it is shown; one
that has left the CRM, or moved to another customer, is not shown any more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
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


class Outdated(Exception):
    """What was decided on has changed meanwhile; decide again."""


class NotReadable(Exception):
    """The call cannot be answered; the message is the denial code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Reads what a decision has allowed.

    Attributes:
        threads: Where the CRM is waited for, so that a slow one holds up nothing
            but its own readers.
    """

    store: Store
    sources: Sources
    commit: Commit
    threads: Executor

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
            Outdated: The dataset was published anew meanwhile.
            NotReadable: No customer is shared, there are too many records, a record
                no longer fits its declaration, or the CRM did not answer.
        """
        if publication is None or agreement is None:
            raise NotReadable("policy.malformed")  # no policy may allow that
        dataset = publication.dataset
        most = min(most, agreement.terms.rows_per_call)

        def look(view: UnitOfWork) -> tuple[Mapping[bytes, str], Sequence[Record]]:
            _check_current(view, publication)
            aligned = view.agreements.aligned(agreement.id, request.customers)
            customers = sorted(set(aligned.values()))
            return aligned, view.datasets.records(dataset.id, customers, most + 1)

        aligned, records = await self.store.read(look)
        if not aligned:
            raise NotReadable("customer.not_shared")
        if len(records) > most:
            raise NotReadable("rows.exceeded")
        fields = [field for field in dataset.fields if field.name in request.fields]
        run = partial(asyncio.get_running_loop().run_in_executor, self.threads)
        found = await run(self._values, dataset, records, fields)
        if changed := await run(_changed, dataset, found):
            found = await self._renew(publication, changed, found)
        header = self.commit.header(dataset).to_bytes()
        return _draft(request, header, dataset, aligned, found)

    def _values(
        self, dataset: Dataset, records: Sequence[Record], fields: Sequence[Field]
    ) -> list[_Found]:
        """Return each record that is still its customer's, with its values."""
        keys = [record.key for record in records]
        customer = dataset.customer
        columns = sorted({customer.column, *(field.column for field in fields)})
        try:
            rows = self.sources(dataset).read(keys, columns)
        except Unavailable as error:
            raise NotReadable("source.unavailable") from error
        try:
            return [
                (
                    record,
                    {each.name: to_wire(each, row[each.column]) for each in fields},
                )
                for record in records
                if (row := rows.get(record.key)) is not None
                and _names(customer, row, record.customer)
            ]
        except BadValue as error:
            raise NotReadable("record.changed") from error

    async def _renew(
        self,
        publication: Publication,
        changed: Sequence[Record],
        found: Sequence[_Found],
    ) -> list[_Found]:
        """Sign records anew that have changed in the CRM, and keep them."""
        dataset = publication.dataset

        def sign() -> list[Record]:
            now = self._values(dataset, changed, dataset.committed)
            return [self.commit(dataset, _sound(*each)) for each in now]

        loop = asyncio.get_running_loop()
        signed = await loop.run_in_executor(self.threads, sign)

        def keep(work: UnitOfWork) -> None:
            _check_current(work, publication)
            work.datasets.renew(dataset.id, signed)

        await self.store.write(keep)
        renewed = {each.key: each for each in signed}
        again = [(renewed.get(old.key, old), values) for old, values in found]
        if _changed(dataset, again):
            raise NotReadable("record.changed")  # once more, meanwhile
        return again


def _check_current(view: UnitOfWork, publication: Publication) -> None:
    """Check that no newer publication has replaced the records meanwhile."""
    current = view.datasets.get(publication.dataset.id)
    if current is None or current.version != publication.version:
        raise Outdated


def _sound(record: Record, values: Mapping[str, Value]) -> SoundRecord:
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
