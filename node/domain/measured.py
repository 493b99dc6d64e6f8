"""Which rows count and how much each adds, as a plan says: conditions and measures.

A plan is a partner's. What it names is checked against the dataset, by type: only whole
numbers and amounts are ever added up, and only fields that may leave as figures are
looked at.
"""

from collections.abc import Callable, Mapping
from typing import Final

from crypto.errors import Malformed
from crypto.typed import Field as TypedField
from crypto.typed import Kind as TypedKind
from ledger.conditions import Condition
from ledger.plans import Plan
from node.domain.dataset import Dataset, Field, FieldType, Mode, Value

_MEMO: Final = 65_536
"""Values whose answer to a condition is remembered."""


class Test:
    """A condition on one field, which remembers its answers."""

    def __init__(self, condition: Condition, dataset: Dataset) -> None:
        (self._name,) = condition.fields
        self._condition = condition
        self._schema = (_typed(dataset, self._name),)
        condition.predicate(self._schema)
        self._known: dict[Value, bool] = {}

    def __call__(self, values: Mapping[str, Value]) -> bool:
        """Tell whether a row meets the condition."""
        value = values[self._name]
        if (answer := self._known.get(value)) is None:
            answer = self._condition.holds(self._schema, {self._name: value})
            if len(self._known) < _MEMO:
                self._known[value] = answer
        return answer


def _typed(dataset: Dataset, name: str) -> TypedField:
    field = counted(dataset, name)
    kind = TypedKind(field.type)
    return TypedField(name=name, kind=kind, unit=field.unit, scale=field.scale)


def counted(dataset: Dataset, name: str) -> Field:
    """Return a field that figures may be made of.

    Raises:
        Malformed: There is none of that name, or it leaves in other ways only.
    """
    field = dataset.field(name)
    if field is None or Mode.AGGREGATE not in field.modes:
        message = "the plan names a field that is not there, or not for figures"
        raise Malformed(message)
    return field


def measured(
    plan: Plan, dataset: Dataset
) -> Callable[[Mapping[str, Value]], int | None]:
    """Return what tells how much a row adds: None where it does not count at all.

    Only whole numbers and amounts of money are ever added up. Text, which could name
    somebody, chooses a cell or a cohort and enters no arithmetic.
    """
    name, counts = plan.measure.field, plan.measure.what == "count"
    if name is None:
        return lambda _: 1
    field = counted(dataset, name)
    if counts:
        return lambda values: None if values[name] is None else 1
    if field.type is FieldType.INTEGER:
        return lambda values: _integer(values[name])
    if field.type is FieldType.MONEY:
        return lambda values: _money(values[name])
    message = "only integers and amounts are summed"
    raise Malformed(message)


def _integer(value: Value) -> int | None:
    return value if type(value) is int else None


def _money(value: Value) -> int | None:
    """Return an amount in its smallest unit."""
    return int(value.replace(".", "")) if isinstance(value, str) else None
