"""Fields: which number a value is, and what a definition tells about itself.

Text and truth values are hashed, and nothing can be proved of a hash but that it
is equal. Integers, dates and amounts *are* the number under the signature, all
with one offset, so that they can be compared without being shown.

A definition is hashed together with a *salt*. A partner who is told a field gets
its definition and salt; of another field it gets the hash alone (`Opaque`), from
which not even the name can be guessed. So one record, under one signature, serves
partners who may know of different fields.

Spec: `docs/protocols/fp-bbs-1.md`, Messages.
"""

import datetime
import re
import unicodedata
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from crypto.bbs.suite import SHA_256
from crypto.encoding import canonical, sha256, tagged
from crypto.errors import Malformed

TYPED: Final = replace(SHA_256, name="fp-bbs-1", interface=b"H2G_TM2S_FP1_")
"""The Interface of typed records: its tags and points are no other's."""

OFFSET: Final = 2**63
"""Added to every number: those from -2^63 become 0 to `TOP`."""
TOP: Final = 2**64 - 1
NULL_STEP: Final = 2**66
SALT_BYTES: Final = 32

_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_UNIT: Final = re.compile("[^\\s\x00-\x1f\x7f\ud800-\udfff]{1,32}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Kind(StrEnum):
    """The type of a field's values."""

    TEXT = "text"
    INTEGER = "integer"
    DATE = "date"
    MONEY = "money"
    BOOLEAN = "boolean"


_HASHED: Final = {Kind.TEXT: str, Kind.BOOLEAN: bool}
_MOST_INTEGER: Final = 2**53 - 1
_ENDS: Final = {
    Kind.INTEGER: (OFFSET - _MOST_INTEGER, OFFSET + _MOST_INTEGER),
    Kind.DATE: (
        OFFSET + datetime.date.min.toordinal() - _EPOCH,
        OFFSET + datetime.date.max.toordinal() - _EPOCH,
    ),
    Kind.MONEY: (0, TOP),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a typed record.

    Attributes:
        name: `[a-z][a-z0-9_]{0,63}`.
        unit: ISO 4217 currency for money, a unit symbol in any script for
            integers, or None; 1 to 32 characters without white space.
        scale: Digits after the decimal point, 0 to 18; 0 unless it is money.
        salt: 32 bytes, random where the definition must not be guessed.
    """

    name: str
    kind: Kind
    unit: str | None = None
    scale: int = 0
    salt: bytes = field(default=bytes(SALT_BYTES), repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Malformed("not the name of a field")
        if not isinstance(self.kind, Kind):
            raise Malformed("a field of a type that is not defined")
        if self.unit is not None and not _is_unit(self.unit):
            raise Malformed("a unit is 1 to 32 characters without white space")
        limit = 18 if self.kind is Kind.MONEY else 0
        if type(self.scale) is not int or not 0 <= self.scale <= limit:
            raise Malformed("a scale is for money only, and at most 18")
        if len(self.salt) != SALT_BYTES:
            raise Malformed("the salt of a field has 32 bytes")

    @property
    def is_number(self) -> bool:
        """Whether values are signed as numbers, not as hashes."""
        return self.kind not in _HASHED

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the largest number that a value of this type can be.

        Raises:
            Malformed: Values of this type are no numbers.
        """
        if not self.is_number:
            raise Malformed(f"{self.name} does not hold numbers")
        return _ENDS[self.kind]

    def number(self, value: object) -> int:
        """Return a value as the number that is signed, 0 to `TOP`.

        Args:
            value: Integer; "YYYY-MM-DD"; or decimal text with `scale` decimals.

        Raises:
            Malformed: It is not a number of this field's type, or out of range.
        """
        match self.kind, value:
            case Kind.INTEGER, int() if type(value) is int:
                number = value
            case Kind.DATE, str() if _DATE.fullmatch(value):
                number = _days(value)
            case Kind.MONEY, str() if _is_money(value, self.scale):
                number = int(value.replace(".", ""))
            case _:
                raise Malformed(f"{self.name} does not hold this as a number")
        least, most = self.ends
        if not least <= number + OFFSET <= most:
            raise Malformed(f"{self.name} does not reach that far")
        return number + OFFSET

    def scalar(self, value: object, index: int) -> int:
        """Return a value as the scalar that is signed at `index`.

        None is a number of its own, different at each index, that lies outside
        of every range, sum and difference that can be asked for.

        Raises:
            Malformed: The value does not have the form of this field's type.
        """
        if value is None:
            return NULL_STEP * (index + 1)
        if self.is_number:
            return self.number(value)
        if type(value) is not _HASHED[self.kind]:
            raise Malformed(f"{self.name} does not hold a {self.kind.value}")
        dst = TYPED.api_id + b"MAP_MSG_TO_SCALAR_AS_HASH_"
        return TYPED.hash_to_scalar(canonical(value), dst)


@dataclass(frozen=True, slots=True)
class Opaque:
    """A field of which nothing is told but that it is there.

    Attributes:
        digest: `field_digest` of its definition, 32 bytes.
    """

    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise Malformed("the digest of a field has 32 bytes")


def field_digest(field: Field | Opaque) -> bytes:
    """Hash name, type, unit, scale and how values are mapped, under the salt.

    Hiding for whoever does not know the salt, and binding for everybody: 32 bytes.
    """
    if isinstance(field, Opaque):
        return field.digest
    described = {
        "kind": field.kind.value,
        "name": field.name,
        "number": field.is_number,
        "scale": field.scale,
        "unit": field.unit,
    }
    return sha256(tagged("typed-field", field.salt + canonical(described)))


def _days(text: str) -> int:
    try:
        return datetime.date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        raise Malformed("a date that is in no calendar") from None


def _is_unit(value: object) -> bool:
    return (
        isinstance(value, str)
        and _UNIT.fullmatch(value) is not None
        and unicodedata.is_normalized("NFC", value)
    )


def _is_money(value: str, scale: int) -> bool:
    decimals = rf"\.[0-9]{{{scale}}}" if scale else ""
    well_formed = re.fullmatch(rf"-?(0|[1-9][0-9]{{0,19}}){decimals}", value)
    return well_formed is not None and not (
        value.startswith("-") and not value.strip("-0.")
    )
