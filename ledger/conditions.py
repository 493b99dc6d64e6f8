"""Conditions: what a consumer wants proved of fields that it is not shown.

A condition is said in the request, told again in the receipt, and turned into a
predicate (`crypto.predicates`) by each side for itself, from the request and the
declared schema. A bound or a set is never read from what a provider sends.

A condition has one spelling: members of sets ascend, and so do the two fields
where their order does not matter. Several stand in the order of their canonical
JSON, each once. So two requests that ask the same have the same hash, and nobody
can count as two questions what is one.

Whether a condition fits the type of its fields is for the schema to say
(`Condition.predicate`); here only its form is known.

Spec: `docs/protocols/receipts.md`, section "Conditions".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from crypto import predicates
from crypto.encoding import canonical
from crypto.errors import Malformed
from crypto.typed import Schema, field_at
from ledger import shape

Value: TypeAlias = str | int | bool | None
"""A field's value on the wire."""

MOST_CONDITIONS: Final = 16
MOST_VALUES: Final = 64
MOST_OCTETS: Final = 2**14
"""Of all conditions together: strangers leave receipts, too, and those are kept."""


class Operator(StrEnum):
    """What is said of the fields. Each includes its bounds, but `before`, `after`."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BEFORE = "before"
    AFTER = "after"
    BETWEEN = "between"
    ONE_OF = "one_of"
    NO_MORE_THAN = "no_more_than"
    EQUAL = "equal"
    SUM_AT_LEAST = "sum_at_least"


OPERATORS: Final = tuple(sorted(operator.value for operator in Operator))
"""The names of all operators, sorted."""

_COUNTS: Final[dict[Operator, tuple[int, int, int]]] = {
    Operator.AT_LEAST: (1, 1, 1),
    Operator.AT_MOST: (1, 1, 1),
    Operator.BEFORE: (1, 1, 1),
    Operator.AFTER: (1, 1, 1),
    Operator.BETWEEN: (1, 2, 2),
    Operator.ONE_OF: (1, 2, MOST_VALUES),
    Operator.NO_MORE_THAN: (2, 0, 0),
    Operator.EQUAL: (2, 0, 0),
    Operator.SUM_AT_LEAST: (2, 1, 1),
}
"""How many fields, and how many values at least and at most."""

_ASKING: Final[dict[Operator, Callable[..., predicates.Predicate]]] = {
    Operator.AT_LEAST: predicates.at_least,
    Operator.AT_MOST: predicates.at_most,
    Operator.BEFORE: predicates.before,
    Operator.AFTER: predicates.after,
    Operator.BETWEEN: predicates.between,
    Operator.ONE_OF: predicates.one_of,
    Operator.NO_MORE_THAN: predicates.no_more_than,
    Operator.EQUAL: predicates.equal,
    Operator.SUM_AT_LEAST: predicates.sum_at_least,
}
"""Each takes the schema, the names of the fields, and the values; a set as one."""

_SYMMETRIC: Final = (Operator.EQUAL, Operator.SUM_AT_LEAST)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Condition:
    """One condition on hidden fields of a record.

    A field without a value meets none. Two are equal when their JSON is: as a
    tuple, Python would take `(0, 1)` for `(False, True)`.

    Attributes:
        fields: One name, or two. Ascending where their order does not matter.
        operator: One of `OPERATORS`.
        values: In wire form: bounds from low to high, or a set in the order of
            the canonical JSON of its members.
    """

    fields: tuple[str, ...]
    operator: str
    values: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        """Check the form. Raises `Malformed`."""
        if self.operator not in OPERATORS:
            raise Malformed("a condition with an operator that is not defined")
        operator = Operator(self.operator)
        names = [shape.field_name(name, "fields") for name in self.fields]
        octets = [canonical(_value(value, operator)) for value in self.values]
        count, least, most = _COUNTS[operator]
        if len(names) != count or not least <= len(octets) <= most:
            raise Malformed(f"{operator} has another number of fields or values")
        if len(set(names)) != count:
            raise Malformed("a condition compares two different fields")
        if operator in _SYMMETRIC and names != sorted(names):
            raise Malformed(f"the fields of {operator} ascend")
        if operator is Operator.ONE_OF and octets != sorted(set(octets)):
            raise Malformed("the values of a set ascend, each once")
        if len({type(value) for value in self.values}) > 1:
            raise Malformed("the values of a condition are of one type")

    @classmethod
    def of(
        cls, operator: str, fields: Iterable[str], values: Iterable[Value] = ()
    ) -> "Condition":
        """Return a condition, putting in order what has no order of its own.

        Raises:
            Malformed: It is not one.
        """
        names, listed = tuple(fields), tuple(values)
        if operator in _SYMMETRIC:
            names = tuple(sorted(names))
        if operator == Operator.ONE_OF:
            listed = tuple({canonical(value): value for value in listed}.values())
            listed = tuple(sorted(listed, key=canonical))
        return cls(fields=names, operator=operator, values=listed)

    def predicate(self, schema: Schema) -> predicates.Predicate:
        """Return what is to be proved of a record of this schema.

        Raises:
            Malformed: The schema does not tell these fields, a value has not the
                form of its field's type, the fields do not compare, or no
                number meets the condition.
        """
        operator = Operator(self.operator)
        whole = operator is Operator.ONE_OF
        values = (self.values,) if whole else self.values
        return _ASKING[operator](schema, *self.fields, *values)

    def holds(self, schema: Schema, values: Mapping[str, Value]) -> bool:
        """Say whether the values of a record meet the condition.

        Args:
            schema: Tells at least the fields of the condition.
            values: Value by name, at least of those fields.

        Raises:
            Malformed: As `predicate` does, or a value is out of form.
        """
        asked = self.predicate(schema)
        messages = {
            index: (field := field_at(schema, index)).scalar(values[field.name], index)
            for index in asked.indexes
        }
        if isinstance(asked, predicates.Window) and not asked.weights:
            return asked.reach(messages, 1) == 0
        try:
            asked.bits(messages)
        except ValueError:
            return False
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "fields": list(self.fields),
            "is": str(self.operator),
            "values": list(self.values),
        }

    def canonical(self) -> bytes:
        """Return the canonical JSON, which also orders conditions."""
        return canonical(self.to_json())

    def __eq__(self, other: object) -> bool:
        """Say whether it is the same condition."""
        if not isinstance(other, Condition):
            return NotImplemented
        return self.canonical() == other.canonical()

    def __hash__(self) -> int:
        """Hash what `__eq__` compares."""
        return hash(self.canonical())


def ordered(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return conditions in the order of requests and receipts, each once."""
    return tuple(sorted(set(conditions), key=Condition.canonical))


def check_conditions(value: object, what: str = "where") -> tuple[Condition, ...]:
    """Check that these are conditions in the form of a request or a receipt.

    Raises:
        Malformed: Not a tuple of at most 16 conditions, in order, each once; or
            longer than 16,384 octets of canonical JSON.
    """
    if not isinstance(value, tuple) or len(value) > MOST_CONDITIONS:
        raise Malformed(f"{what} must be at most {MOST_CONDITIONS} conditions")
    if not all(isinstance(condition, Condition) for condition in value):
        raise Malformed(f"{what} must hold conditions")
    if sum(len(condition.canonical()) for condition in value) > MOST_OCTETS:
        raise Malformed(f"{what} must be at most {MOST_OCTETS} octets")
    if value != ordered(value):
        raise Malformed(f"{what} must be sorted, each once")
    return value


def parse_condition(value: object, what: str = "condition") -> Condition:
    """Read a condition from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    found = shape.members(value, {"fields", "is", "values"}, what)
    return Condition(
        fields=shape.each(shape.field_name, most=2)(found["fields"], "fields"),
        operator=shape.text(found["is"], "is"),
        values=shape.each(shape.scalar, most=MOST_VALUES)(found["values"], "values"),
    )


def parse_conditions(value: object, what: str = "where") -> tuple[Condition, ...]:
    """Read conditions from their JSON array.

    Raises:
        Malformed: One does not parse, or they are not sorted, each once.
    """
    read = shape.each(parse_condition, most=MOST_CONDITIONS)
    return check_conditions(read(value, what), what)


def _value(value: object, operator: Operator) -> Value:
    read = shape.scalar(value, "values")
    if read is None:
        raise Malformed("nothing is compared with no value")
    if isinstance(read, bool) and operator is not Operator.ONE_OF:
        raise Malformed("true and false have no order")
    return read
