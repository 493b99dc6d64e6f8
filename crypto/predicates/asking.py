"""Words for statements: what people ask, turned into windows and sets.

Bounds are given as values are, in the unit and with the decimals of the field:
``at_least(schema, "annual_spend", "500000.00")``. They must come from whoever
verifies.

A field that has no value satisfies none of these.

One-sided questions are two-sided inside: "at least" is a window that ends at the
largest number of the field's type: at most 64 bits for amounts, 54 for integers,
22 for dates. With ``bits=n`` it ends 2^n - 1 above the bound, which is shorter and
*says more*: that the value is not above that either. A question that leaves one
value or none is `Malformed`.
"""

from collections.abc import Iterable

from crypto.errors import Malformed
from crypto.predicates.kinds import Member, Window
from crypto.typed import OFFSET, TOP, Field, Kind, Schema, field_at, places


def between(schema: Schema, name: str, lo: object, hi: object) -> Window:
    """``lo <= name <= hi``, exactly: as many bits as ``hi - lo`` has."""
    index, field = _find(schema, name)
    return Window(first=index, lo=field.number(lo), hi=field.number(hi))


def at_least(
    schema: Schema, name: str, bound: object, *, bits: int | None = None
) -> Window:
    """``name >= bound``; with `bits`, also ``name < bound + 2^bits``."""
    index, field = _find(schema, name)
    return _upwards(index, field, field.number(bound), bits)


def at_most(
    schema: Schema, name: str, bound: object, *, bits: int | None = None
) -> Window:
    """``name <= bound``; with `bits`, also ``name > bound - 2^bits``."""
    index, field = _find(schema, name)
    return _downwards(index, field, field.number(bound), bits)


def after(schema: Schema, name: str, day: str, *, bits: int | None = None) -> Window:
    """A date later than `day`; with `bits`, at most 2^bits days later."""
    index, field = _find_date(schema, name)
    return _upwards(index, field, field.number(day) + 1, bits)


def before(schema: Schema, name: str, day: str, *, bits: int | None = None) -> Window:
    """A date earlier than `day`; with `bits`, at most 2^bits days earlier."""
    index, field = _find_date(schema, name)
    return _downwards(index, field, field.number(day) - 1, bits)


def one_of(schema: Schema, name: str, values: Iterable[object]) -> Member:
    """The value of `name` is one of 2 to 64 values."""
    index, field = _find(schema, name)
    listed = list(values)
    if None in listed:
        raise Malformed("a field without a value is in no set")
    scalars = {field.scalar(value, index) for value in listed}
    return Member(first=index, among=tuple(sorted(scalars)))


def no_more_than(
    schema: Schema, name: str, other: str, *, bits: int | None = None
) -> Window:
    """``name <= other``; with `bits`, also ``other < name + 2^bits``."""
    [first, second] = places(schema, [name, other])
    least, most = field_at(schema, first).ends
    span = min(most - least, _span(bits))
    if _find(schema, name)[0] == first:
        return Window(first=first, second=second, sign=-1, lo=-span, hi=0)
    return Window(first=first, second=second, sign=-1, lo=0, hi=span)


def equal(schema: Schema, name: str, other: str) -> Window:
    """Two fields of one type have the same value. Costs no bits."""
    [first, second] = places(schema, [name, other])
    return Window(first=first, second=second, sign=-1, lo=0, hi=0)


def sum_at_least(
    schema: Schema, name: str, other: str, bound: object, *, bits: int | None = None
) -> Window:
    """``name + other >= bound``; with `bits`, also below ``bound + 2^bits``."""
    [first, second] = places(schema, [name, other])
    field = field_at(schema, first)
    if field.kind is Kind.DATE:
        raise Malformed("dates do not add up")
    lo = field.number(bound) + OFFSET
    hi = min(2 * field.ends[1], lo + _span(bits))
    return Window(first=first, second=second, sign=1, lo=lo, hi=hi)


def _upwards(index: int, field: Field, lo: int, bits: int | None) -> Window:
    return Window(first=index, lo=lo, hi=min(field.ends[1], lo + _span(bits)))


def _downwards(index: int, field: Field, hi: int, bits: int | None) -> Window:
    return Window(first=index, lo=max(field.ends[0], hi - _span(bits)), hi=hi)


def _find(schema: Schema, name: str) -> tuple[int, Field]:
    [index] = places(schema, [name])
    return index, field_at(schema, index)


def _find_date(schema: Schema, name: str) -> tuple[int, Field]:
    index, field = _find(schema, name)
    if field.kind is not Kind.DATE:
        raise Malformed("only dates are before or after a day")
    return index, field


def _span(bits: int | None) -> int:
    if bits is None:
        return 2 * TOP
    if not 1 <= bits <= 64:
        raise Malformed("a window has 1 to 64 bits")
    return (1 << bits) - 1
