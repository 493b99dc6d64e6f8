"""A dataset: which fields of which records a company could share, and how.

A dataset names a *source* (a table or query of the company's CRM database, or a
file), the column that identifies a *customer*, the column that identifies a
*record*, and the typed *fields*. Each field carries titles in both languages, a
grade (GB/T 43697), whether it is personal data, and the modes in which it may be
shared at all. What a partner really sees is decided later, by agreement and
policy; a dataset only draws the outer border.

Spec: Dataspace Protocol 2025-1 (the noun), GB/T 43697-2024 (the grades).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ledger.records import FieldType, Value

__all__ = [
    "CustomerKey",
    "Dataset",
    "Field",
    "FieldType",
    "Grade",
    "Mode",
    "Source",
    "Title",
    "Value",
    "committed",
]


class Grade(StrEnum):
    """How much harm a leak of the field could do. GB/T 43697-2024."""

    CORE = "core"
    IMPORTANT = "important"
    GENERAL = "general"


class Mode(StrEnum):
    """How a field may leave the company."""

    PLAIN = "plain"
    PREDICATE = "predicate"
    AGGREGATE = "aggregate"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """A name for people, in both languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column that may be shared.

    Attributes:
        name: Name on the wire, `[a-z][a-z0-9_]{0,63}`.
        column: Column of the source that holds the value.
        unit: ISO 4217 currency for money, a unit symbol for integers, or None.
        scale: Digits after the decimal point, for money only.
        modes: Every way in which the field may be shared; `never` stands alone.
        values: Known values of a text field; others are published all the same,
            and reported.
    """

    name: str
    column: str
    type: FieldType
    title: Title
    grade: Grade
    personal: bool
    modes: frozenset[Mode]
    unit: str | None = None
    scale: int = 0
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the records live.

    Attributes:
        url: SQLAlchemy URL without a password, or absolute path of a CSV or
            Parquet file. None when `env` names it.
        env: Name of the environment variable that holds the URL, or None. Only
            the name is kept: the secret stays where it is until the source is
            opened.
        relation: `table` or `schema.table`, or a SELECT statement in
            parentheses; empty for files.
        record: Column that identifies a record, unique in the source.
        timeout_s: Longest time one query may take, in seconds.
    """

    url: str | None
    env: str | None = None
    relation: str
    record: str
    timeout_s: float = 5.0

    def __repr__(self) -> str:
        return f"Source(relation={self.relation!r}, record={self.record!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerKey:
    """How a record names its customer.

    Attributes:
        column: Column of the source that holds the identifier.
        rule: Name of the normalisation rule, for example `uscc` or `e164`.
    """

    column: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a company offers to share. Immutable; a change is a new version."""

    id: str
    title: Title
    source: Source
    customer: CustomerKey
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field | None:
        """Return the field of that name, or None."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def shareable(self) -> tuple[Field, ...]:
        """Return the fields that may leave in some way, in order."""
        return tuple(field for field in self.fields if Mode.NEVER not in field.modes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every column the node may read: never that of a `never` field."""
        named = (field.column for field in self.shareable)
        return tuple(dict.fromkeys((self.source.record, self.customer.column, *named)))

    @property
    def committed(self) -> tuple[Field, ...]:
        """Return the fields that a record's signature covers, in order.

        Fields that can never be shown, or only as an aggregate, are left out:
        what is not needed for a proof is not read for one.
        """
        return committed(self.fields)


def committed(fields: Iterable[Field]) -> tuple[Field, ...]:
    """Return the fields that a record's signature covers, in order."""
    provable = {Mode.PLAIN, Mode.PREDICATE}
    return tuple(field for field in fields if field.modes & provable)
