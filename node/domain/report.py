"""The publication report: what was read, what goes out, and what is wrong.

Every row is either publishable or rejected for the first thing wrong with it, so
the counts add up and no row is lost silently. Some findings reject nothing and
are worth a look: missing values, spellings that differ only in case or spacing,
values outside the declared ones, doubtful check digits.

A report is for the company itself. It shows record keys as examples and, for
fields that are not personal, spellings; it shows no other value.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from node.domain.dataset import Field, Value

_EXAMPLES: Final = 3
_SPELLINGS: Final = 200
"""A field with more distinct values than this is no list of names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundRecord:
    """A publishable record.

    Attributes:
        key: Identifier of the record in the source.
        customer: Normalised customer key.
        values: Wire values of every shareable field, by name.
    """

    key: str
    customer: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of defect.

    Attributes:
        code: Rejecting ones: `record.duplicate`, `record.unusable`,
            `customer.<kind>` of `BadCustomer`, `value.<kind>` of `BadValue`.
            Others: `customer.doubtful`, `value.missing`, `value.spelling`,
            `value.undeclared`.
        field: Name of the field, for values.
        count: Rows read that have the defect.
        rejected: Rows rejected for it, having nothing wrong before it.
        examples: Up to three record keys, or `row 17` where there is no key.
        spellings: For `value.spelling` and `value.undeclared`, what was found
            and in how many rows.
    """

    code: str
    field: str | None = None
    count: int
    rejected: int = 0
    examples: tuple[str, ...] = ()
    spellings: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an examination found: rows = publishable + rejected.

    Attributes:
        rows: Rows that the source holds.
        publishable: Rows that can be published.
        customers: Customers with at least one publishable row.
        findings: Defects, those that reject the most rows first.
        sample: The first publishable records.
    """

    rows: int
    publishable: int
    customers: int
    findings: tuple[Finding, ...]
    sample: tuple[SoundRecord, ...] = field(default=(), repr=False)

    @property
    def rejected(self) -> int:
        """Return the number of rows that cannot be published."""
        return sum(finding.rejected for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return counts and findings as JSON, without the sample."""
        return {
            "rows": self.rows,
            "publishable": self.publishable,
            "rejected": self.rejected,
            "customers": self.customers,
            "findings": [_finding_to_json(each) for each in self.findings],
        }


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    spellings = [list(pair) for pair in finding.spellings]
    plain = {"examples": list(finding.examples), "spellings": spellings}
    return asdict(finding) | plain


class Tally:
    """Counts defects by code and field, with a few examples of each."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._rejected: Counter[tuple[str, str | None]] = Counter()
        self._examples = defaultdict[tuple[str, str | None], list[str]](list)

    def note(
        self, code: str, field: str | None, example: str, *, rejects: bool
    ) -> None:
        """Count one row that has a defect, and whether it was rejected for it."""
        self._counts[code, field] += 1
        self._rejected[code, field] += rejects
        if len(self._examples[code, field]) < _EXAMPLES:
            self._examples[code, field].append(example)

    def findings(self) -> Iterator[Finding]:
        """Return what was counted."""
        for (code, name), count in self._counts.items():
            yield Finding(
                code=code,
                field=name,
                count=count,
                rejected=self._rejected[code, name],
                examples=tuple(self._examples[code, name]),
            )


class Spellings:
    """Counts the values of a text field, to find one name written in two ways."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._counts: Counter[str] = Counter(dict.fromkeys(field.values, 0))
        self._examples = defaultdict[str, list[str]](list)
        self._crowded = 0

    def note(self, value: str, example: str) -> None:
        """Count one row's value."""
        if value not in self._counts and len(self._counts) >= _SPELLINGS:
            self._crowded += 1
            return
        self._counts[value] += 1
        if len(self._examples[value]) < _EXAMPLES:
            self._examples[value].append(example)

    def findings(self) -> Iterator[Finding]:
        """Return values that look like another one, and undeclared values."""
        groups = defaultdict[str, list[str]](list)
        for value in self._counts:
            groups[_folded(value)].append(value)
        declared, undeclared = self._field.values, list[str]()
        for group in groups.values():
            group.sort(key=lambda each: (each not in declared, -self._counts[each]))
            odd = [each for each in group[1:] if each not in declared]
            if odd and not (self._crowded and not declared):
                yield self._finding("value.spelling", odd, shown=group)
            elif declared and group[0] not in declared:
                undeclared += group
        if undeclared or (declared and self._crowded):
            undeclared.sort(key=lambda each: -self._counts[each])
            yield self._finding(
                "value.undeclared", undeclared, shown=undeclared, extra=self._crowded
            )

    def _finding(
        self, code: str, values: list[str], *, shown: list[str], extra: int = 0
    ) -> Finding:
        examples = [key for value in values for key in self._examples[value]]
        return Finding(
            code=code,
            field=self._field.name,
            count=sum(self._counts[value] for value in values) + extra,
            examples=tuple(examples[:_EXAMPLES]),
            spellings=tuple((each, self._counts[each]) for each in shown[:9]),
        )


def _folded(value: str) -> str:
    return "".join(unicodedata.normalize("NFKC", value).casefold().split())
