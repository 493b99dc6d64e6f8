"""Examining a source: which of its rows can be published.

A row is *publishable* when its record key and its customer are sound and every
shareable field has an exact form on the wire, or is missing. The columns of
fields that may never leave are not read at all.

A key that names two rows names neither: all rows that share it are rejected.
Finding those needs every key before the first row is judged, so the record
column is read once on its own; it costs about 100 bytes of memory a row.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from node.domain.checking import InvalidDeclaration, Problem, did_you_mean
from node.domain.customer import BadCustomer, doubt, normalise
from node.domain.dataset import Dataset, FieldType, Value
from node.domain.report import Finding, Report, SoundRecord, Spellings, Tally
from node.domain.values import BadValue, record_key, to_wire

Row = Mapping[str, Any]
"""Raw values by column, as the driver returned them."""

_SAMPLE: Final = 5


class Scan(Protocol):
    """The part of `node.ports.RecordSource` that an examination needs."""

    def scan(self, columns: Sequence[str], batch: int = 1000) -> Iterator[list[Row]]:
        """Return every row, in batches, with the named columns only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What a source is, as far as it can be said without showing a value.

    Attributes:
        kind: `sqlite`, `postgresql`, `mysql`, `mariadb`, `csv`, `parquet`, ...
        columns: Columns that the table, query or file has.
        read_only: Whether the node makes the source refuse writes; if not, only
            the rights of the database's user do.
    """

    kind: str
    columns: tuple[str, ...]
    read_only: bool


class BadRow(Exception):
    """A row that cannot be published.

    Args:
        defects: What is wrong: code (see `Finding`) and field, if it has one.
    """

    def __init__(self, defects: Sequence[tuple[str, str | None]]) -> None:
        super().__init__(", ".join(code for code, _ in defects))
        self.defects = tuple(defects)


def check_columns(dataset: Dataset, source: SourceReport) -> None:
    """Check that the source has every column that the dataset names.

    Raises:
        InvalidDeclaration: It has not; each mend names a similar column.
    """
    named = [
        ("source.record", dataset.source.record),
        ("customer.column", dataset.customer.column),
        *((f"fields.{each.name}.column", each.column) for each in dataset.fields),
    ]
    problems = [
        Problem(
            path=path,
            message=f"the source has no column `{column}`",
            mend=did_you_mean(column, source.columns),
        )
        for path, column in named
        if column not in source.columns
    ]
    if problems:
        raise InvalidDeclaration(problems)


def sound_record(dataset: Dataset, row: Row) -> SoundRecord:
    """Return the record that a row of `dataset.columns` holds.

    Raises:
        BadRow: Something keeps it from being published.
    """
    judged = _judge(dataset, row)
    record = judged.record()
    if record is None:
        raise BadRow(judged.defects)
    return record


@dataclass(slots=True, kw_only=True)
class _Judged:
    """What a row holds and what is wrong with it, in order of weight."""

    key: str | None
    customer: str
    values: dict[str, Value]
    defects: list[tuple[str, str | None]]

    def record(self) -> SoundRecord | None:
        if self.key is None or self.defects:
            return None
        return SoundRecord(key=self.key, customer=self.customer, values=self.values)


def _judge(dataset: Dataset, row: Row) -> _Judged:
    key = record_key(row[dataset.source.record])
    judged = _Judged(key=key, customer="", values={}, defects=[])
    if key is None:
        judged.defects.append(("record.unusable", None))
    try:
        raw = row[dataset.customer.column]
        judged.customer = normalise(dataset.customer.rule, raw)
    except BadCustomer as bad:
        judged.defects.append((f"customer.{bad.kind}", None))
    for field in dataset.shareable:
        try:
            judged.values[field.name] = to_wire(field, row[field.column])
        except BadValue as bad:
            judged.defects.append((f"value.{bad.kind}", field.name))
    return judged


class Examination:
    """One reading of a source: take every one of `records`, then the `report`.

    Args:
        dataset: What to look for.
        source: Where. Read twice: the record column alone, then the rows.
        batch: Rows to hold at a time.
        progress: Called with the number of rows read, after each batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        source: Scan,
        *,
        batch: int = 1000,
        progress: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        self._dataset, self._source = dataset, source
        self._batch, self._progress = batch, progress
        self._rows = self._publishable = 0
        self._customers: set[str] = set()
        self._sample: list[SoundRecord] = []
        self._tally = Tally()
        self._spellings = {
            field.name: Spellings(field)
            for field in dataset.shareable
            if field.type is FieldType.TEXT and not field.personal
        }

    def records(self) -> Iterator[SoundRecord]:
        """Return the publishable records, one by one. Call it once.

        Raises:
            Unavailable: The source does not answer, or not in time.
        """
        taken = self._ambiguous()
        for rows in self._source.scan(self._dataset.columns, self._batch):
            for row in rows:
                judged = _judge(self._dataset, row)
                if judged.key in taken:
                    judged.defects.insert(0, ("record.duplicate", None))
                elif judged.key:
                    taken.add(judged.key)
                self._count(judged)
                if record := judged.record():
                    self._keep(record)
                    yield record
            self._progress(self._rows)

    def report(self) -> Report:
        """Return what was found in the records taken so far."""
        findings = list(self._tally.findings())
        for spellings in self._spellings.values():
            findings += spellings.findings()
        return Report(
            rows=self._rows,
            publishable=self._publishable,
            customers=len(self._customers),
            findings=tuple(sorted(findings, key=_weight)),
            sample=tuple(self._sample),
        )

    def _ambiguous(self) -> set[str]:
        """Return the keys that name more than one row."""
        column = self._dataset.source.record
        seen: set[str] = set()
        twice: set[str] = set()
        for rows in self._source.scan([column], self._batch):
            for key in filter(None, (record_key(row[column]) for row in rows)):
                (twice if key in seen else seen).add(key)
        return twice

    def _keep(self, record: SoundRecord) -> None:
        self._publishable += 1
        self._customers.add(record.customer)
        if len(self._sample) < _SAMPLE:
            self._sample.append(record)

    def _count(self, judged: _Judged) -> None:
        self._rows += 1
        label = judged.key or f"row {self._rows}"
        for position, (code, name) in enumerate(judged.defects):
            self._tally.note(code, name, label, rejects=position == 0)
        if judged.customer and doubt(self._dataset.customer.rule, judged.customer):
            self._tally.note("customer.doubtful", None, label, rejects=False)
        for name, value in judged.values.items():
            if value is None:
                self._tally.note("value.missing", name, label, rejects=False)
            elif name in self._spellings:
                self._spellings[name].note(str(value), label)


def _weight(finding: Finding) -> tuple[int, int, str, str]:
    return (-finding.rejected, -finding.count, finding.code, finding.field or "")


def examine(
    dataset: Dataset,
    source: Scan,
    *,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Report:
    """Read a source to the end and report; nothing is kept but counts.

    Raises:
        Unavailable: The source does not answer, or not in time.
    """
    examination = Examination(dataset, source, progress=progress)
    for _ in examination.records():
        pass
    return examination.report()


def customers_in(source: Scan, column: str, rule: str) -> tuple[set[str], Counter[str]]:
    """Return the customers that a column names.

    Returns:
        Their normalised keys; and how many rows name none, by what is wrong.

    Raises:
        Unavailable: The source does not answer, or not in time.
    """
    found, bad = set[str](), Counter[str]()
    for rows in source.scan([column]):
        for row in rows:
            try:
                found.add(normalise(rule, row[column]))
            except BadCustomer as problem:
                bad[problem.kind] += 1
    return found, bad
