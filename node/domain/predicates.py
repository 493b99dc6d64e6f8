"""What an agreement lets a partner have proved of fields that it is never shown.

Whoever may ask "at least v?" for any v, as often as it likes, finds the value by
halving: forty questions are enough for any amount of money. So an agreement says
of each such field *which* operators may be asked, on which *grid* the bounds must
lie (a bound between two marks would tell more than was granted), and how many
different conditions may ever be asked of it of one customer (*probes*). The node
counts, and refuses beyond.

A grant names the type, unit and scale that the field had when it was made. When
the dataset means something else by the field today, no bound is on the grid any
more, and the grant is void until a new agreement is made.

What it does not do: conditions on two fields tell of both, and what several
partners learn they can put together. See `docs/privacy.md`.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, NoReturn, TypeAlias

from crypto import typed
from crypto.encoding import sha256, tagged
from crypto.errors import Malformed
from crypto.predicates import Member, Predicate, Window
from ledger.conditions import Condition
from node.domain.checking import did_you_mean
from node.domain.dataset import Dataset, FieldType, Mode
from node.domain.grants import MEASURED, FieldGrant, amount
from node.domain.values import Typed
from node.errors import BadRequest

MOST_PROBES: Final = 10_000
"""Of one field of one customer under one agreement."""

PERIODS: Final = ("day", "month", "quarter", "year")
"""The grids of dates."""

_EQUAL: Final = frozenset({"equal", "one_of"})
_ORDERED: Final = _EQUAL | {"between", "no_more_than"}
FITTING: Final = {
    FieldType.TEXT: _EQUAL,
    FieldType.BOOLEAN: _EQUAL,
    FieldType.DATE: _ORDERED | {"before", "after"},
    FieldType.INTEGER: _ORDERED | {"at_least", "at_most", "sum_at_least"},
    FieldType.MONEY: _ORDERED | {"at_least", "at_most", "sum_at_least"},
}
"""The operators that go with each type."""

_Field: TypeAlias = typed.Field | typed.Opaque
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class PredicateGrant(FieldGrant):
    """What may be asked about one field of mode `predicate`.

    Attributes:
        operators: Names of `ledger.conditions.OPERATORS`, sorted.
        step: Distance between two marks of the grid on which bounds must lie,
            from zero: an amount in wire form, or for dates one of `PERIODS`.
            None if any bound may be asked.
        probes: How many different conditions on the field may ever be asked of
            one customer, 1 to 10,000.
    """

    TERM: ClassVar = "predicates"
    LISTS: ClassVar = ("operators",)

    operators: tuple[str, ...]
    step: str | None = None
    probes: int

    def __post_init__(self) -> None:
        """Refuse a grant that nobody could mean.

        Raises:
            BadRequest: Naming the field and the mend.
        """
        self.check_field("annual_spend")
        self.check_chosen(self.operators, FITTING, "operator for")
        step = None if self.step is None else _step(self.field, self, self.step)
        if self.step != step:
            _refuse(f"Write the step of {self.field} as {step}.")
        if self.step is not None and "one_of" in self.operators:
            detail = "A set can hold any value: one_of goes with no step"
            _refuse(
                f"{detail} ({self.field}). Write `-` for the step, or leave it out."
            )
        if type(self.probes) is not int or not 1 <= self.probes <= MOST_PROBES:
            _refuse(f"{self.field} may be asked 1 to {MOST_PROBES} conditions.")

    def to_text(self) -> str:
        """Return the grant as policies write it.

        `annual_spend:money:2:at_least,at_most:100000.00:8:EUR`; the unit stands
        last, as it may hold any sign.
        """
        operators = ",".join(self.operators)
        return self.written(operators, self.step or "-", str(self.probes))

    @classmethod
    def from_text(cls, text: str) -> "PredicateGrant":
        """Read what `to_text` writes. Whoever needs that alone compares.

        Raises:
            BadRequest: The grant is one that nobody could mean.
            ValueError: It has another form.
        """
        told, (operators, step, probes) = cls.parted(text)
        return cls(
            **told,
            operators=tuple(operators.split(",")),
            step=None if step == "-" else step,
            probes=int(probes),
        )

    def means(self, field: _Field) -> bool:
        """Tell whether a field of records is still what was granted."""
        names = ("name", "kind", "unit", "scale")
        return isinstance(field, typed.Field) and all(
            getattr(field, name) == getattr(self.typed, name) for name in names
        )

    def begins(self, number: int) -> bool:
        """Tell whether a cell of the grid begins at a number (offset taken off)."""
        if self.step is None:
            return True
        if self.type is FieldType.DATE:
            return _begins(self.step, number + _EPOCH)
        return number % self._width == 0

    @property
    def _width(self) -> int:
        """The least width of a window: for dates that follows from its ends."""
        if self.step is None or self.type is FieldType.DATE:
            return 1
        return int(self.step.replace(".", ""))

    def holds(self, window: Window) -> bool:
        """Tell whether a window of this field alone lies on the grid.

        Both of its ends lie on marks, or at the end of the type's numbers, and it
        is at least one cell wide.
        """
        least, most = self.typed.ends
        return (
            (window.lo == least or self.begins(window.lo - typed.OFFSET))
            and (window.hi == most or self.begins(window.hi + 1 - typed.OFFSET))
            and window.hi - window.lo + 1 >= self._width
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PredicateOffer:
    """What a data steward wants to grant, before the dataset has been looked at."""

    field: str
    operators: tuple[str, ...]
    step: str | None = None
    probes: int

    def of(self, dataset: Dataset) -> PredicateGrant:
        """Return the grant: with type, unit and scale as declared.

        Raises:
            BadRequest: The field cannot be asked about in this way.
        """
        field = dataset.field(self.field)
        if field is None or Mode.PREDICATE not in field.modes:
            detail = f"The dataset {dataset.id} does not share {self.field}"
            _refuse(f"{detail} as predicate. Declare that mode, or leave it out.")
        return PredicateGrant(
            field=field.name,
            type=field.type,
            unit=field.unit,
            scale=field.scale,
            operators=tuple(sorted(set(self.operators))),
            step=None if self.step is None else _step(field.name, field, self.step),
            probes=self.probes,
        )


def schema_of(dataset: Dataset) -> typed.Schema:
    """Return the schema of a dataset's records, with no definition blinded."""
    return tuple(
        typed.Field(
            name=each.name,
            kind=typed.Kind(each.type),
            unit=each.unit,
            scale=each.scale,
        )
        for each in dataset.committed
    )


def on_grid(
    condition: Condition, grants: Iterable[PredicateGrant], schema: typed.Schema
) -> bool:
    """Tell whether a condition asks for no finer an answer than was granted.

    A field without a grant has no grid to be off: that it is not granted is for
    the policy to say, and it does.

    Args:
        condition: What is asked.
        grants: Of the agreement.
        schema: Of the dataset's records today.
    """
    granted = [grant for grant in grants if grant.field in condition.fields]
    if len(granted) < len(condition.fields):
        return True
    if not all(any(map(grant.means, schema)) for grant in granted):
        return False
    try:
        predicate = condition.predicate(schema)
    except Malformed:
        return False
    return all(_lies(predicate, grant) for grant in granted)


def _lies(predicate: Predicate, grant: PredicateGrant) -> bool:
    match predicate:
        case Member():
            return grant.step is None
        case Window(second=None):
            return grant.holds(predicate)
        case Window(sign=1):
            return grant.begins(predicate.lo - 2 * typed.OFFSET)
        case _:  # a comparison of two hidden fields has no bound
            return True


def condition_key(condition: Condition) -> str:
    """Return what counts as one probe, 64 hex digits: the same question, no other."""
    return sha256(tagged("condition", condition.canonical())).hex()


def _begins(period: str, ordinal: int) -> bool:
    """Tell whether a period begins on a day, counted as Python does."""
    if ordinal > datetime.date.max.toordinal():  # 1 January 10000, and nothing later
        return True
    day = datetime.date.fromordinal(ordinal)
    months = {"month": 1, "quarter": 3, "year": 12}
    return period == "day" or (day.day == 1 and (day.month - 1) % months[period] == 0)


def _step(name: str, field: Typed, text: str) -> str:
    """Return a step in wire form."""
    if field.type is FieldType.DATE:
        if text not in PERIODS:
            mend = did_you_mean(text, PERIODS)
            _refuse(f"The step of the date {name} is a period; {mend}.")
        return text
    if field.type not in MEASURED:
        _refuse(f"{name} is {field.type}, which has no steps. Write `-`.")
    step = amount(field, text)
    if step is None:
        detail = f"The step of {name} is an amount above zero with at most"
        _refuse(f"{detail} {field.scale} decimals, as in 100000.")
    return step


def _refuse(detail: str) -> NoReturn:
    raise BadRequest("terms.predicates", detail)
