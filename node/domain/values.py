"""From what a database holds to what travels on the wire.

A database, a CSV file and a Parquet file say the same value in different ways:
a date may come as a `date`, a `datetime` or a string, money as a `Decimal`, a
float or a string. The wire knows one form for each type (text in NFC, integers
within 2^53-1, `YYYY-MM-DD`, decimal strings with exactly `scale` digits, true
and false), because a signature covers its bytes.

What cannot be said exactly in that form is refused, never rounded or guessed: a
price of 9.999 does not become 10.00. Blank text means "missing" in every type.
A refusal carries a kind and never the value, so it may be logged.

Spec: RFC 8785 (numbers), RFC 3339 (full-date), UAX #15 (NFC).
"""

import datetime
import re
import unicodedata
from decimal import Decimal
from typing import Final, Protocol
from uuid import UUID

from node.domain.dataset import FieldType, Value

LARGEST: Final = 2**53 - 1
"""Largest integer, and largest amount in minor units, that every reader of JSON
takes in exactly."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?")
_TRUE: Final = frozenset({"1", "t", "true", "y", "yes", "是", "\x01"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no", "否", "\x00"})


class BadValue(Exception):
    """A value that does not fit its field.

    Args:
        kind: One of `not_text`, `not_unicode`, `not_an_integer`, `not_a_date`,
            `not_money`, `not_a_boolean`, `out_of_range`, `too_precise`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Typed(Protocol):
    """What a value's form on the wire depends on: a field, or a grant on one."""

    @property
    def type(self) -> FieldType:
        """Return the type of the values."""
        ...

    @property
    def scale(self) -> int:
        """Return the digits after the decimal point; 0 unless it is money."""
        ...


def to_wire(field: Typed, raw: object) -> Value:
    """Convert a raw value to the form that the field's type has on the wire.

    Args:
        field: Gives the type and, for money, the scale.
        raw: What the driver returned; text for every column of a CSV file.

    Returns:
        The value on the wire, or None when it is missing.

    Raises:
        BadValue: The value has no exact form in this type.
    """
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    match field.type:
        case FieldType.TEXT:
            return _text(raw)
        case FieldType.INTEGER:
            return _integer(raw)
        case FieldType.DATE:
            return _date(raw)
        case FieldType.MONEY:
            return _money(raw, field.scale)
        case FieldType.BOOLEAN:
            return _boolean(raw)


def encodable(text: str) -> bool:
    """Tell whether every database can hold the text: no lone surrogate, no NUL."""
    return not re.search("[\x00\ud800-\udfff]", text)


def record_key(raw: object) -> str | None:
    """Return the text that names a record, or None when `raw` cannot name one.

    Text is taken as it is, character for character; whole numbers and UUIDs in
    their usual form.
    """
    if isinstance(raw, str):
        return raw if raw.strip() and encodable(raw) else None
    if isinstance(raw, Decimal) and raw.is_finite() and raw == raw.to_integral_value():
        return str(int(raw))
    if isinstance(raw, int | UUID) and not isinstance(raw, bool):
        return str(raw)
    return None


def _text(raw: object) -> str:
    """Return text in NFC. A float has no one spelling, so it is no text."""
    if isinstance(raw, datetime.date):
        raw = raw.isoformat()
    elif isinstance(raw, Decimal) and raw.is_finite():
        raw = f"{raw:f}"
    elif isinstance(raw, int | UUID) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str):
        raise BadValue("not_text")
    if not encodable(raw):
        raise BadValue("not_unicode")
    return unicodedata.normalize("NFC", raw)


def _number(raw: object, pattern: re.Pattern[str], kind: str) -> Decimal:
    """Return the exact number; a float means its shortest decimal form."""
    if isinstance(raw, str) and pattern.fullmatch(raw.strip()):
        number = Decimal(raw.strip())
    elif isinstance(raw, float):
        number = Decimal(repr(raw))
    elif isinstance(raw, int | Decimal) and not isinstance(raw, bool):
        number = Decimal(raw)
    else:
        raise BadValue(kind)
    if not number.is_finite():
        raise BadValue(kind)
    # Bounded before any arithmetic: 1E+999999 would be a very long integer.
    if not -40 < number.adjusted() < 40:
        raise BadValue("out_of_range" if number.adjusted() > 0 else "too_precise")
    return number


def _minor_units(number: Decimal, scale: int, inexact: str) -> int:
    """Return number * 10^scale, exactly and in range."""
    numerator, denominator = number.as_integer_ratio()
    factor: int = 10**scale
    units, rest = divmod(numerator * factor, denominator)
    if rest:
        raise BadValue(inexact)
    if abs(units) > LARGEST:
        raise BadValue("out_of_range")
    return units


def _integer(raw: object) -> int:
    return _minor_units(_number(raw, _INTEGER, "not_an_integer"), 0, "not_an_integer")


def _money(raw: object, scale: int) -> str:
    units = _minor_units(_number(raw, _DECIMAL, "not_money"), scale, "too_precise")
    whole, part = divmod(abs(units), 10**scale)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{part:0{scale}d}" if scale else f"{sign}{whole}"


def _date(raw: object) -> str:
    """Return the calendar day; of an instant, the day in its own time zone."""
    if isinstance(raw, str) and _DATE.fullmatch(raw.strip()):
        try:
            raw = datetime.datetime.fromisoformat(raw.strip())
        except ValueError:
            raise BadValue("not_a_date") from None
    if isinstance(raw, datetime.datetime):
        raw = raw.date()
    if not isinstance(raw, datetime.date):
        raise BadValue("not_a_date")
    return raw.isoformat()


def _boolean(raw: object) -> bool:
    if isinstance(raw, bytes):  # MySQL's BIT(1)
        raw = raw.decode("latin-1")
    if isinstance(raw, int | str):
        word = str(raw).strip(" ").casefold()
        if isinstance(raw, bool) or word in _TRUE | _FALSE:
            return word in _TRUE
    raise BadValue("not_a_boolean")
