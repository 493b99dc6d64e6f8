"""What a plan is put together from: whom it asks, by what it groups, what it measures.

Every value here is well formed once it exists; how the parts fit together is the
plan's to say (`ledger.plans`).

Spec: `docs/protocols/plans.md`, section "Members".
"""

import dataclasses
import datetime
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from crypto.errors import Malformed
from ledger import shape
from ledger.conditions import Value

MOST_PARTIES: Final = 20
MOST_VALUES: Final = 4096
"""Of one group."""
MOST_BOUND: Final = 2**40
MOST_EPSILON: Final = 20_000_000
"""Of one plan, in millionths."""
_LONGEST: Final = 256
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_PERIODS: Final[Mapping[str, Callable[[datetime.date], datetime.date]]] = {
    "day": lambda day: day,
    "week": lambda day: day - datetime.timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
    "quarter": lambda day: day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
    "year": lambda day: day.replace(month=1, day=1),
}
"""The first day of the period in which a day is. Weeks begin on Monday."""
GRAINS: Final = ("value", *_PERIODS)
"""How values of a field are put together in groups: as they are, or by period."""
MEASURES: Final = ("count", "sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A provider that a plan asks, under its agreement with the asker.

    Attributes:
        did: Of the provider.
        agreement: Id of the agreement.
        agreement_hash: Hash of the signed agreement, 64 hex digits.
        dataset: Id of the dataset it is about.
    """

    did: str
    agreement: str
    agreement_hash: str
    dataset: str

    def __post_init__(self) -> None:
        """Check every value. Raises `Malformed`."""
        shape.well_formed(self, _PARTY, tuple, "a party")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {name: getattr(self, name) for name in _PARTY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A field by whose values cells are told apart, and which values there are.

    Whatever has another value, or none, is in no cell.

    Attributes:
        field: Its name.
        grain: `value`, or for dates the period: one of `GRAINS`.
        values: Labels, each once. Their order is that of the cells. A field's value
            as text; of a period its first day, `2026-11-01`.
    """

    field: str
    grain: str
    values: tuple[str, ...]
    _places: Mapping[str, int] = dataclasses.field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Check every value, then what they are to each other. Raises `Malformed`."""
        shape.well_formed(self, _GROUP, self._laws, "a group")
        places = {label: place for place, label in enumerate(self.values)}
        object.__setattr__(self, "_places", places)

    def _laws(self) -> tuple[tuple[object, str], ...]:
        dated = self.grain != "value"
        first = not dated or all(
            period(self.grain, each) == each for each in self.values
        )
        return (
            (self.values, "there is no value"),
            (len(set(self.values)) == len(self.values), "a value is there twice"),
            (first, "a date is not the first day of its period"),
        )

    def label(self, value: Value) -> str | None:
        """Return the label under which a value counts; None if it counts nowhere.

        Args:
            value: In wire form: text, an integer, money as text, `YYYY-MM-DD`, a
                boolean (`true`, `false`), or None.
        """
        text = self._text(value)
        return text if text in self._places else None

    def place(self, value: Value) -> int | None:
        """Return the place of a value's label among `values`, or None."""
        text = self._text(value)
        return None if text is None else self._places.get(text)

    def _text(self, value: Value) -> str | None:
        if self.grain != "value":
            return period(self.grain, value) if isinstance(value, str) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, int) else value

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"field": self.field, "grain": self.grain, "values": list(self.values)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is added up in a cell.

    Attributes:
        what: `count` for records (of which each customer's first in a cell counts), or
            `sum` for the values of a field.
        field: What is summed; for a count, what must have a value, None for nothing.
        bound: What one customer adds to a cell is cut off here, in smallest units; 1
            for a count.
    """

    what: str
    field: str | None
    bound: int

    def __post_init__(self) -> None:
        """Check every value, then the laws between them. Raises `Malformed`."""
        shape.well_formed(self, _MEASURE, self._laws, "a measure")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        return (
            (self.what == "count" or self.field, "nothing is summed"),
            (self.what == "sum" or self.bound == 1, "a customer counts more than once"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {name: getattr(self, name) for name in _MEASURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The round that was given up for this one, and who was missing in it.

    Attributes:
        round: Of the plan that is replaced.
        missing: DIDs of parties of that plan that did not answer, sorted.
    """

    round: str
    missing: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check every value, then the laws between them. Raises `Malformed`."""
        shape.well_formed(self, _REPLACED, self._laws, "a replacement")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        ordered = sorted(set(self.missing))
        return (
            (self.missing, "nobody was missing"),
            (list(self.missing) == ordered, "the missing are not sorted, each once"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"round": self.round, "missing": list(self.missing)}


@lru_cache(maxsize=65_536)
def period(grain: str, day: str) -> str | None:
    """Return the first day of the period in which a day is, None if it is no day."""
    try:
        found = datetime.date.fromisoformat(day)
    except ValueError:
        return None
    if found.isoformat() != day:  # Python takes `20261122` and `2026-W47-7`, too
        return None
    return _PERIODS[grain](found).isoformat()


def label(value: object, what: str) -> str:
    """Read a label: 1 to 256 characters of any script, NFC, none of them a control.

    Raises:
        Malformed: Something else.
    """
    text = shape.prose(value, what)
    if 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable():
        return text  # as most are
    if not 0 < len(text) <= _LONGEST or not unicodedata.is_normalized("NFC", text):
        raise Malformed(f"{what} must be 1 to {_LONGEST} characters in NFC")
    if _CONTROL.search(text):
        raise Malformed(f"{what} must hold no control characters")
    return text


def one_of(*known: str) -> shape.Reader[str]:
    """Return a reader of a text that is one of a few."""

    def read(value: object, what: str) -> str:
        if not isinstance(value, str) or value not in known:
            raise Malformed(f"{what} must be one of {', '.join(known)}")
        return value

    return read


def within(least: int, most: int) -> shape.Reader[int]:
    """Return a reader of an integer in a range, both ends included."""

    def read(value: object, what: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise Malformed(f"{what} must be an integer from {least} to {most}")
        return value

    return read


def parse_party(value: object, what: str = "party") -> Party:
    """Read a party from its JSON object. Raises `Malformed`."""
    return Party(**shape.members(value, _PARTY, what))


def parse_group(value: object, what: str = "group") -> Group:
    """Read a group from its JSON object. Raises `Malformed`."""
    found = shape.members(value, _GROUP, what)
    values = _array(found["values"], "values")  # what is in it, the group reads
    return Group(**{**found, "values": values})


def parse_measure(value: object, what: str = "measure") -> Measure:
    """Read a measure from its JSON object. Raises `Malformed`."""
    return Measure(**shape.members(value, _MEASURE, what))


def parse_replaced(value: object, what: str = "replaces") -> Replaced:
    """Read a replacement from its JSON object. Raises `Malformed`."""
    found = shape.members(value, _REPLACED, what)
    return Replaced(**{**found, "missing": _dids(found["missing"], "missing")})


_array: Final = shape.each(lambda each, _: each, most=MOST_VALUES)
_labels: Final = shape.each(label, most=MOST_VALUES)
_dids: Final = shape.each(shape.did, most=MOST_PARTIES)
_PARTY: Final[Mapping[str, shape.Reader[Any]]] = {
    "did": shape.did,
    "agreement": shape.text,
    "agreement_hash": shape.digest,
    "dataset": shape.text,
}
_GROUP: Final[Mapping[str, shape.Reader[Any]]] = {
    "field": shape.field_name,
    "grain": one_of(*GRAINS),
    "values": _labels,
}
_MEASURE: Final[Mapping[str, shape.Reader[Any]]] = {
    "what": one_of(*MEASURES),
    "field": shape.optional(shape.field_name),
    "bound": within(1, MOST_BOUND),
}
_REPLACED: Final[Mapping[str, shape.Reader[Any]]] = {
    "round": shape.digest,
    "missing": _dids,
}
