"""What an agreement lets a partner count and sum of fields that never leave.

A field of mode `aggregate` is shown to nobody and nothing is proved of it. What
leaves is a table of counts or sums over many customers, and that only as far as a
*grant* goes: a field may be used to choose customers (`filter`), to make the
table's rows and columns (`group`), or be added up (`sum`), and for nothing else.
Whoever may sum must say how much one customer can add to a cell at most (*bound*):
the noise that hides a customer is measured by it. Whoever may group by a date may
do so by named periods (*grains*), or by longer ones made of those.

Every table tells a little of everybody in it, and many tables tell a lot. So the
agreement has an *allowance*: how much privacy may be spent in a period (epsilon, in
millionths), how many customers a table must be over at least, how many plans may be
asked in a day, and whether the two sides may find out how many customers they share
(`count`) or which (`list`).

A grant names the type, unit and scale that the field had when it was made. When the
dataset means something else by the field today, the grant is void.

What it does not do: an allowance adds up what one agreement tells. What several
partners are told adds up, too, where they put it together: see `docs/privacy.md`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, NoReturn

from node.domain.checking import did_you_mean
from node.domain.dataset import Dataset, Field, FieldType, Mode
from node.domain.grants import MEASURED, FieldGrant, amount
from node.domain.values import Typed
from node.errors import BadRequest

USES: Final = ("filter", "group", "sum")
"""What a field may be used for, sorted."""

GRAINS: Final = ("day", "week", "month", "quarter", "year")
"""The periods by which dates are grouped, the shortest first."""

PERIODS: Final = ("day", "month", "quarter", "year", "always")
"""After which an allowance begins anew; `always` never does."""

MATCHING: Final = ("none", "count", "list")
"""What may be found out of shared customers; each includes the one before."""

LEAST_COHORT: Final = 5
MOST_COHORT: Final = 1_000_000
MOST_EPSILON: Final = 1_000_000_000
"""Micro-epsilon of one period: 1,000 epsilon, which protects nobody any more."""
MOST_PLANS: Final = 10_000
MOST_MATCHED: Final = 2**20

FITTING: Final = {
    FieldType.TEXT: frozenset({"filter", "group"}),
    FieldType.BOOLEAN: frozenset({"filter", "group"}),
    FieldType.DATE: frozenset({"filter", "group"}),
    FieldType.INTEGER: frozenset(USES),
    FieldType.MONEY: frozenset({"filter", "sum"}),
}
"""The uses that go with each type."""

_COARSER: Final = {
    "day": frozenset(GRAINS),
    "week": frozenset({"week"}),
    "month": frozenset({"month", "quarter", "year"}),
    "quarter": frozenset({"quarter", "year"}),
    "year": frozenset({"year"}),
}
"""The periods that are made of whole ones of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateGrant(FieldGrant):
    """What may be counted and summed by one field of mode `aggregate`.

    Attributes:
        uses: Of `USES`, sorted, each once.
        bound: The most that one customer adds to a cell of a sum, as an amount in
            wire form; None unless it may be summed.
        grains: The periods by which a date may be grouped, in the order of
            `GRAINS`; longer ones that are made of these are granted with them.
            Empty unless it is a date that may be grouped.
    """

    TERM: ClassVar = "aggregates"
    LISTS: ClassVar = ("uses", "grains")

    uses: tuple[str, ...]
    bound: str | None = None
    grains: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a grant that nobody could mean.

        Raises:
            BadRequest: Naming the field and the mend.
        """
        self.check_field("region")
        self.check_chosen(self.uses, FITTING, "use of")
        self._check_bound()
        self._check_grains()

    def _check_bound(self) -> None:
        if self.bound is None:
            if "sum" in self.uses:
                mend = "Say how much one customer adds to a sum at most"
                _refuse(f"{mend} ({self.field}), as in 5000.")
            return
        if "sum" not in self.uses:
            _refuse(f"A bound is for sums. Leave that of {self.field} out.")
        if self.bound != (bound := _bound(self.field, self, self.bound)):
            _refuse(f"Write the bound of {self.field} as {bound}.")

    def _check_grains(self) -> None:
        dated = self.type is FieldType.DATE and "group" in self.uses
        if dated and not self.grains:
            mend = f"Say by which periods it may be grouped: {', '.join(GRAINS)}"
            _refuse(f"{self.field} is a date. {mend}.")
        if self.grains and not dated:
            _refuse(f"Periods are for dates that are grouped, not for {self.field}.")
        if unknown := sorted(set(self.grains) - set(GRAINS)):
            _refuse(f"{self.field}: {did_you_mean(unknown[0], GRAINS)}.")
        if self.grains != _in_order(self.grains):
            _refuse(f"Name the periods of {self.field} once, the shortest first.")

    @property
    def most(self) -> int:
        """The bound in the field's smallest unit; 0 where nothing may be summed."""
        return 0 if self.bound is None else int(self.bound.replace(".", ""))

    def groups_by(self, grain: str) -> bool:
        """Tell whether the field may be grouped in this way.

        Args:
            grain: `value`, or for dates one of `GRAINS`.
        """
        if "group" not in self.uses:
            return False
        if self.type is not FieldType.DATE:
            return grain == "value"
        return any(grain in _COARSER[each] for each in self.grains)

    def means(self, field: Field | None) -> bool:
        """Tell whether a field of a dataset is still what was granted."""
        return (
            field is not None
            and Mode.AGGREGATE in field.modes
            and (field.name, field.type, field.unit, field.scale)
            == (self.field, self.type, self.unit, self.scale)
        )

    def to_text(self) -> str:
        """Return the grant as policies write it.

        `amount:money:2:filter,sum:5000.00:-:EUR` and
        `due:date:0:filter,group:-:week,month:`; the unit stands last, as it may hold
        any sign.
        """
        listed = ",".join(self.uses), self.bound or "-", ",".join(self.grains) or "-"
        return self.written(*listed)

    @classmethod
    def from_text(cls, text: str) -> "AggregateGrant":
        """Read what `to_text` writes. Whoever needs that alone compares.

        Raises:
            BadRequest: The grant is one that nobody could mean.
            ValueError: It has another form.
        """
        told, (uses, bound, grains) = cls.parted(text)
        return cls(
            **told,
            uses=tuple(uses.split(",")),
            bound=None if bound == "-" else bound,
            grains=() if grains == "-" else tuple(grains.split(",")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateOffer:
    """What a data steward wants to grant, before the dataset has been looked at."""

    field: str
    uses: tuple[str, ...]
    bound: str | None = None
    grains: tuple[str, ...] = ()

    def of(self, dataset: Dataset) -> AggregateGrant:
        """Return the grant: with type, unit and scale as declared.

        Raises:
            BadRequest: The field cannot be used in this way.
        """
        field = dataset.field(self.field)
        if field is None or Mode.AGGREGATE not in field.modes:
            detail = f"The dataset {dataset.id} does not share {self.field}"
            _refuse(f"{detail} as aggregate. Declare that mode, or leave it out.")
        known = [each for each in self.grains if each in GRAINS]
        unknown = [each for each in self.grains if each not in GRAINS]
        bound = self.bound
        if bound is not None and "sum" in self.uses and field.type in MEASURED:
            bound = _bound(field.name, field, bound)
        return AggregateGrant(
            field=field.name,
            type=field.type,
            unit=field.unit,
            scale=field.scale,
            uses=tuple(sorted(set(self.uses))),
            bound=bound,
            grains=(*_in_order(known), *unknown),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much may be asked of what is granted.

    Attributes:
        epsilon_micro: Privacy that may be spent in one period, in millionths of
            epsilon; 0 where nothing is noised.
        period: One of `PERIODS`, by UTC.
        k_min: Customers that a table, or a shared set, is over at least.
        plans_per_day: Different plans that are answered in one day (UTC).
        matching: One of `MATCHING`.
        match_size: The most customers that the asker's list may name; 0 where
            nothing is matched.
    """

    epsilon_micro: int
    period: str
    k_min: int
    plans_per_day: int
    matching: str = "none"
    match_size: int = 0

    def __post_init__(self) -> None:
        """Refuse an allowance that nobody could mean.

        Raises:
            BadRequest: Naming the member and the mend.
        """
        for name, (least, most) in self._ranges().items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                _refuse(f"{name} is a whole number, {least} to {most}.", "allowance")
        for name, known in (("period", PERIODS), ("matching", MATCHING)):
            if getattr(self, name) not in known:
                mend = did_you_mean(str(getattr(self, name)), known)
                _refuse(f"{name}: {mend}.", "allowance")
        if self.matches != (self.match_size > 0):
            mend = "Say how many customers a list may name (match_size); 0 for none."
            _refuse(mend, "allowance")

    @staticmethod
    def _ranges() -> dict[str, tuple[int, int]]:
        return {
            "epsilon_micro": (0, MOST_EPSILON),
            "k_min": (LEAST_COHORT, MOST_COHORT),
            "plans_per_day": (1, MOST_PLANS),
            "match_size": (0, MOST_MATCHED),
        }

    @property
    def matches(self) -> bool:
        """Tell whether anything may be found out of shared customers."""
        return self.matching != "none"

    def lets_match(self, wanted: str) -> bool:
        """Tell whether as much as this may be found out of shared customers.

        Args:
            wanted: One of `MATCHING`.
        """
        return MATCHING.index(wanted) <= MATCHING.index(self.matching)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, as operators and auditors see it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "Allowance":
        """Read what `to_json` writes.

        Raises:
            BadRequest: It is something else.
        """
        try:
            return cls(**value)
        except TypeError as error:
            detail = "An allowance has another form."
            raise BadRequest("terms.allowance", detail) from error


def _bound(name: str, field: Typed, text: str) -> str:
    """Return a bound in wire form."""
    if field.type not in MEASURED:
        _refuse(f"{name} is {field.type}, which has no sums. Leave its bound out.")
    bound = amount(field, text)
    if bound is None:
        detail = f"The bound of {name} is an amount above zero with at most"
        _refuse(f"{detail} {field.scale} decimals, as in 5000.")
    return bound


def _in_order(grains: Iterable[str]) -> tuple[str, ...]:
    """Return known periods once, the shortest first."""
    named = set(grains)
    return tuple(grain for grain in GRAINS if grain in named)


def _refuse(detail: str, term: str = "aggregates") -> NoReturn:
    raise BadRequest(f"terms.{term}", detail)
