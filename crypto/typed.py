"""Typed records: fields as numbers that can be compared without being shown.

The standard interface of BBS hashes every message, and nothing can be proved of
a hash but that it is equal. Here a date, an amount or an integer *is* the number
under the signature, so that "at least 500,000" can be proved of it later
(`crypto.predicates`). The schema says which message is which, in what unit and
with how many decimals; its hash is in the signed header, so no number can be
read with another meaning than the one it was signed with.

A record has 16, 32 or 64 messages: a *blinder* (uniform, fresh, never shown: it
is what makes the commitment hide), a *link* (secret, kept from one commitment of
a record to the next), the fields in the order of the schema, and zeros.

Spec: `docs/protocols/fp-bbs-1.md`.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from crypto.bbs.suite import ORDER, SCALAR_BYTES, SHA_256
from crypto.encoding import canonical, parse_canonical, sha256, tagged
from crypto.errors import Malformed

TYPED: Final = replace(SHA_256, name="fp-bbs-1", interface=b"H2G_TM2S_FP1_")
"""The Interface of typed records: its tags and points are no other's."""

HEADER_TYPE: Final = "fieldpact/typed-record/1"
SIZES: Final = (16, 32, 64)
FIRST_FIELD: Final = 2
"""Index of the first field: the blinder is at 0, the link at 1."""
MOST_FIELDS: Final = SIZES[-1] - FIRST_FIELD

OFFSET: Final = 2**63
"""Added to every number: those from -2^63 become 0 to `TOP`."""
TOP: Final = 2**64 - 1
NULL_STEP: Final = 2**66

_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Kind(StrEnum):
    """The type of a field's values."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DATE = "date"
    MONEY = "money"


_HASHED: Final = {Kind.TEXT: str, Kind.BOOLEAN: bool}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a typed record.

    Attributes:
        name: `[a-z][a-z0-9_]{0,63}`.
        unit: ISO 4217 currency for money, a unit symbol for integers, or None.
        scale: Digits after the decimal point, 0 to 18; 0 unless it is money.
    """

    name: str
    kind: Kind
    unit: str | None = None
    scale: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Malformed("not the name of a field")
        if self.kind not in list(Kind):
            raise Malformed("a field of a type that is not defined")
        if not (self.unit is None or isinstance(self.unit, str)):
            raise Malformed("a unit that is not text")
        limit = 18 if self.kind is Kind.MONEY else 0
        if type(self.scale) is not int or not 0 <= self.scale <= limit:
            raise Malformed("a scale is for money only, and at most 18")

    @property
    def is_number(self) -> bool:
        """Whether values are signed as numbers, not as hashes."""
        return self.kind not in _HASHED

    def number(self, value: object) -> int:
        """Return a value as the number that is signed, 0 to `TOP`.

        Args:
            value: Integer; "YYYY-MM-DD"; or decimal text with `scale` decimals.

        Raises:
            Malformed: It is not a number of this field's type, or out of range.
        """
        match self.kind, value:
            case Kind.INTEGER, int() if type(value) is int and abs(value) < 2**53:
                number = value
            case Kind.DATE, str() if _DATE.fullmatch(value):
                number = _days(value)
            case Kind.MONEY, str() if _is_money(value, self.scale):
                number = int(value.replace(".", ""))
            case _:
                raise Malformed(f"{self.name} does not hold this as a number")
        if not 0 <= number + OFFSET <= TOP:
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


Schema: TypeAlias = tuple[Field, ...]
"""The fields of a dataset's records, in signed order."""


@lru_cache(maxsize=256)
def schema_hash(schema: Schema) -> bytes:
    """Hash names, types, units, scales and how they are mapped: 32 bytes.

    Raises:
        Malformed: No field, too many, or one name twice.
    """
    names = {field.name for field in schema}
    if not 0 < len(schema) <= MOST_FIELDS or len(names) != len(schema):
        raise Malformed(f"a schema has 1 to {MOST_FIELDS} fields, each name once")
    described = [asdict(field) | {"number": field.is_number} for field in schema]
    return sha256(tagged("typed-schema", canonical(described)))


def size(schema: Schema) -> int:
    """Return how many messages a record of this schema has: 16, 32 or 64.

    Raises:
        Malformed: It has too many fields.
    """
    fitting = [size for size in SIZES if FIRST_FIELD + len(schema) <= size]
    if not fitting:
        raise Malformed(f"a schema has at most {MOST_FIELDS} fields")
    return fitting[0]


def places(schema: Schema, names: Sequence[str] | Mapping[str, object]) -> list[int]:
    """Return the message indexes of the named fields, ascending.

    Raises:
        Malformed: A field that the schema does not have.
    """
    wanted = set(names)
    fields = enumerate(schema, FIRST_FIELD)
    found = [index for index, field in fields if field.name in wanted]
    if len(found) != len(names):
        raise Malformed("a field that the schema does not have, or one twice")
    return found


def scalars(
    schema: Schema, values: Mapping[str, object], *, blinder: bytes, link: bytes
) -> list[bytes]:
    """Map a record to its messages: 16, 32 or 64 scalars of 32 bytes.

    Args:
        schema: Orders and types the fields.
        values: Value by name, for every field.
        blinder: 48 bytes, random and fresh for each signature.
        link: 48 bytes, random, secret, the same each time this record of this
            customer is committed to again.

    Raises:
        Malformed: A field is missing or unknown, or a value is out of form.
    """
    if len(blinder) != 48 or len(link) != 48:
        raise ValueError("blinder and link have 48 bytes")
    if values.keys() != {field.name for field in schema}:
        raise Malformed("a record has every field of its schema, and no other")
    secret = [int.from_bytes(secret, "big") % ORDER for secret in (blinder, link)]
    fields = enumerate(schema, FIRST_FIELD)
    numbers = [field.scalar(values[field.name], index) for index, field in fields]
    return write([*secret, *numbers, *padding(schema)])


def padding(schema: Schema) -> list[int]:
    """Return the zeros that fill a record up. They are always shown."""
    return [0] * (size(schema) - FIRST_FIELD - len(schema))


def write(numbers: Sequence[int]) -> list[bytes]:
    """Write message scalars in 32 bytes each."""
    return [number.to_bytes(SCALAR_BYTES, "big") for number in numbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is bound to a typed record and always shown.

    Attributes:
        issuer: DID of the company that signs.
        key_id: Which of its keys.
        dataset: Of what this is a record.
        schema_hash: Hex of `schema_hash`.
        messages: 16, 32 or 64.
        grant: What the record was committed for: an agreement, or a snapshot.
        version: Of the record under that grant, counted from 0.
    """

    issuer: str
    key_id: str
    dataset: str
    schema_hash: str
    messages: int
    grant: str
    version: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not (int if name in {"messages", "version"} else str):
                raise Malformed("a member of a header has another type")
        hashed = re.fullmatch(r"[0-9a-f]{64}", self.schema_hash)
        if not hashed or self.messages not in SIZES or self.version < 0:
            raise Malformed("a header with a number or a hash out of form")

    @classmethod
    def of(cls, schema: Schema, **names: Any) -> "Header":
        """Return the header of records of a schema; the rest by name."""
        hashed = schema_hash(schema).hex()
        return cls(schema_hash=hashed, messages=size(schema), **names)

    def to_bytes(self) -> bytes:
        """Return the octets under the signature: JCS."""
        return _header_octets(self)

    def check(self, schema: Schema) -> None:
        """Check that this is a header of records of `schema`. Raises `Malformed`."""
        expected = (schema_hash(schema).hex(), size(schema))
        if (self.schema_hash, self.messages) != expected:
            raise Malformed("the header is of another schema")


@lru_cache(maxsize=4096)
def _header_octets(header: Header) -> bytes:
    return canonical({"typ": HEADER_TYPE} | asdict(header))


def parse_header(data: bytes) -> Header:
    """Read what `Header.to_bytes` wrote, and nothing else.

    Raises:
        Malformed: Not canonical JSON of exactly these members.
    """
    found = parse_canonical(data)
    if not isinstance(found, dict) or found.pop("typ", None) != HEADER_TYPE:
        raise Malformed("not the header of a typed record")
    if found.keys() != set(Header.__dataclass_fields__):
        raise Malformed("not the members of the header of a typed record")
    return Header(**found)


def _days(text: str) -> int:
    try:
        return datetime.date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        raise Malformed("a date that is in no calendar") from None


def _is_money(value: str, scale: int) -> bool:
    decimals = rf"\.[0-9]{{{scale}}}" if scale else ""
    well_formed = re.fullmatch(rf"-?(0|[1-9][0-9]{{0,19}}){decimals}", value)
    return well_formed is not None and not (
        value.startswith("-") and not value.strip("-0.")
    )
