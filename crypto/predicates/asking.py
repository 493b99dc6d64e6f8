"""Words for statements: what people ask, turned into windows and sets.

Bounds are given as values are, in the unit and with the decimals of the field:
``at_least(schema, "annual_spend", "500000.00")``. They must come from whoever
verifies.

A field that has no value satisfies none of these.

One-sided questions are two-sided inside: "at least" is a window that ends at the
largest number, 64 bits. With ``bits=n`` it ends 2^n - 1 above the bound, which is
shorter and *says more*: that the value is not above that either.
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
    lo = field.number(bound)
    return Window(first=index, lo=lo, hi=min(TOP, lo + _span(bits)))


def at_most(
    schema: Schema, name: str, bound: object, *, bits: int | None = None
) -> Window:
    """``name <= bound``; with `bits`, also ``name > bound - 2^bits``."""
    index, field = _find(schema, name)
    hi = field.number(bound)
    return Window(first=index, lo=max(0, hi - _span(bits)), hi=hi)


def after(schema: Schema, name: str, day: str, *, bits: int | None = None) -> Window:
    """A date later than `day`; with `bits`, at most 2^bits days later."""
    index, field = _find_date(schema, name)
    lo = field.number(day) + 1
    return Window(first=index, lo=lo, hi=min(TOP, lo + _span(bits)))


def before(schema: Schema, name: str, day: str, *, bits: int | None = None) -> Window:
    """A date earlier than `day`; with `bits`, at most 2^bits days earlier."""
    index, field = _find_date(schema, name)
    hi = field.number(day) - 1
    return Window(first=index, lo=max(0, hi - _span(bits)), hi=hi)


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
    span = _span(bits)
    [first, second] = places(schema, [name, other])
    if _find(schema, name)[0] > _find(schema, other)[0]:
        return Window(first=first, second=second, sign=-1, lo=0, hi=span)
    return Window(first=first, second=second, sign=-1, lo=-span, hi=0)


def equal(schema: Schema, name: str, other: str) -> Window:
    """Two fields of one type have the same value. Costs no bits."""
    [first, second] = places(schema, [name, other])
    return Window(first=first, second=second, sign=-1, lo=0, hi=0)


def sum_at_least(
    schema: Schema, name: str, other: str, bound: object, *, bits: int | None = None
) -> Window:
    """``name + other >= bound``; with `bits`, also below ``bound + 2^bits``."""
    [first, second] = places(schema, [name, other])
    lo = _find(schema, name)[1].number(bound) + OFFSET
    most = 2 * TOP
    hi = most if bits is None else min(most, lo + _span(bits))
    return Window(first=first, second=second, sign=1, lo=lo, hi=hi)


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
        return TOP
    if not 1 <= bits <= 64:
        raise Malformed("a window has 1 to 64 bits")
    return (1 << bits) - 1
