"""Weights: what an asker multiplies each cell of a table with, and tells nobody.

They come as a list with one whole number for each cell, or as numbers by group value:
then a cell's weight is the product of those of its labels, a group that is not named
weighs one, and a value that is not named in a group that is weighs nothing. Without
weights every cell weighs one.

A result must fit a slot: *range analysis* multiplies the largest weight by the largest
that a cell can be, before anything is sent. What does not fit is refused; it would come
back wrong and look right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ledger.plans import Plan
from node.errors import BadRequest

MOST: Final = 2**40
"""No weight is larger: cells are at least one, and slots hold no more."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Weights:
    """One weight for each cell of a plan.

    Attributes:
        values: In the order of the cells; secret.
        bound: The power of two at or above the largest in size. It may be told.
    """

    values: tuple[int, ...]
    bound: int

    @classmethod
    def of(cls, plan: Plan, given: Any) -> "Weights":
        """Read weights as an operator gives them.

        Args:
            given: A list; an object of objects, by field and label; or None.

        Raises:
            BadRequest: They do not fit the plan's cells, or are no whole numbers.
        """
        if given is None:
            values = [1] * plan.cell_count
        elif isinstance(given, Mapping):
            values = _by_label(plan, given)
        elif isinstance(given, list) and len(given) == plan.cell_count:
            values = given
        else:
            _refuse(f"Give a list of {plan.cell_count} numbers, or numbers by value.")
        if any(type(value) is not int or abs(value) > MOST for value in values):
            _refuse(f"Weights are whole numbers of at most {MOST} in size.")
        largest = max(map(abs, values), default=1) or 1
        return cls(values=tuple(values), bound=1 << (largest - 1).bit_length())

    def check(self, cell_bound: int, most: int, cells: int = 1) -> None:
        """See that no result can exceed what a slot holds.

        Args:
            cell_bound: No cell is larger.
            most: The largest number that a slot holds.
            cells: How many cells are added up.

        Raises:
            BadRequest: One could; the detail tells how large weights may be.
        """
        if self.bound * cell_bound * cells > most:
            fits = most // (cell_bound * cells)
            raise BadRequest(
                "weights.too_large",
                f"Results would not fit: weights may be {fits} in size here.",
            )


def _by_label(plan: Plan, given: Mapping[str, Any]) -> list[int]:
    groups = {group.field: set(group.values) for group in plan.groups}
    for field, weights in given.items():
        if field not in groups or not isinstance(weights, Mapping):
            _refuse(f"{field[:64]} is not one of the plan's groups, with its weights.")
        if set(weights) - groups[field]:
            _refuse(f"A weight for {field} is for a value that is not in the plan.")
        if any(type(weight) is not int for weight in weights.values()):
            _refuse(f"Weights are whole numbers of at most {MOST} in size.")
    values = [1]
    for group in plan.groups:
        weights = given.get(group.field)
        factors = [
            1 if weights is None else weights.get(label, 0) for label in group.values
        ]
        values = [value * factor for value in values for factor in factors]
    return values


def totals_of(plan: Plan) -> tuple[Sequence[int], int]:
    """Return in which total each cell of a flipped plan is added up, and how many are.

    Totals are in the order of the groups that they are by.
    """
    places, totals = [0], 1
    for group in plan.groups:
        size = len(group.values)
        if group.field in plan.totals:
            places = [place * size + at for place in places for at in range(size)]
            totals *= size
        else:
            places = [place for place in places for _ in range(size)]
    return places, totals


def _refuse(detail: str) -> NoReturn:
    raise BadRequest("weights.malformed", detail)
