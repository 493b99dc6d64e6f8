"""Rows: what published records hold in the CRM at this moment.

A record can change, leave the CRM or move to another customer at any time. Under
the old customer it must not be shown any more, and what it held when it was
committed to is not what it holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.domain.customer import BadCustomer, normalise
from node.domain.dataset import CustomerKey, Value
from node.domain.values import BadValue, to_wire
from node.ports import Publication, Record, Sources
from node.services.commit import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A published record, and its values now.

    Attributes:
        values: Of every committed field; None when the record is not there any
            more, belongs to another customer, or fits its declaration no longer.
        digest: Of the values, None without any.
    """

    record: Record
    values: Mapping[str, Value] | None
    digest: bytes | None

    @property
    def unchanged(self) -> bool:
        """Tell whether the values are those that were published."""
        return self.digest == self.record.digest


def read_rows(
    sources: Sources, publication: Publication, records: Sequence[Record]
) -> list[Row]:
    """Read what records hold now. Runs in a thread.

    Raises:
        Unavailable: The source does not answer, or not in time.
    """
    dataset = publication.dataset
    columns = {dataset.customer.column, *(each.column for each in dataset.committed)}
    rows = sources(dataset).read([each.key for each in records], sorted(columns))
    found = []
    for record in records:
        values = _values(publication, record, rows.get(record.key))
        known = None
        if values is not None:
            known = digest(publication.schema, values, record.link)
        found.append(Row(record=record, values=values, digest=known))
    return found


def _values(
    publication: Publication, record: Record, row: Mapping[str, object] | None
) -> Mapping[str, Value] | None:
    dataset = publication.dataset
    if row is None or not _names(dataset.customer, row, record.customer):
        return None
    try:
        fields = dataset.committed
        return {each.name: to_wire(each, row[each.column]) for each in fields}
    except BadValue:
        return None


def _names(key: CustomerKey, row: Mapping[str, object], customer: str) -> bool:
    """Tell whether a row still belongs to the customer it was published for."""
    try:
        return normalise(key.rule, row[key.column]) == customer
    except BadCustomer:
        return False
