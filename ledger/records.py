"""Records: typed fields, and the octets under a record's signature.

A provider signs each of its records once, as a list of messages, one for each
committed field in the order of the *schema*. Later it shows some of them and
proves that they stand in a record it signed, without showing the others
(`ledger.presentation`).

Both sides must read the same octets out of the same value. So a value has one
form on the wire, fixed by its field's type; its message is the canonical JSON of
that value; and the schema, whose hash is in the signed header, fixes the type of
every message. A total of "12.50" EUR can be passed off neither as a text, nor as
another currency, nor with another number of decimals.

Spec: `docs/protocols/records.md`.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias, assert_never

from crypto.encoding import canonical, parse_canonical, sha256, tagged
from crypto.errors import Malformed
from ledger import shape

HEADER_TYPE: Final = "fieldpact/record/1"
MOST_FIELDS: Final = 256

Value: TypeAlias = str | int | bool | None
"""A field's value on the wire."""

_UNIT: Final = re.compile("[^\\s\x00-\x1f\x7f\ud800-\udfff]{1,32}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class FieldType(StrEnum):
    """The type of a field's values, which fixes their form on the wire."""

    TEXT = "text"
    INTEGER = "integer"
    DATE = "date"
    MONEY = "money"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One committed field of a record.

    Attributes:
        name: `[a-z][a-z0-9_]{0,63}`.
        unit: ISO 4217 currency for money, a unit symbol in any script for
            integers, or None.
        scale: Digits after the decimal point, 0 to 18; 0 unless it is money.
    """

    name: str
    type: FieldType
    unit: str | None = None
    scale: int = 0

    def __post_init__(self) -> None:
        shape.field_name(self.name, "name")
        if self.unit is not None and not _is_unit(self.unit):
            raise Malformed("a unit is 1 to 32 characters without white space")
        limit = 18 if self.type is FieldType.MONEY else 0
        if shape.count(self.scale, "scale") > limit:
            raise Malformed("a scale is for money only, and at most 18")

    def message(self, value: object) -> bytes:
        """Return the octets of a value under the record's signature.

        Args:
            value: As on the wire; None when the record has none.

        Raises:
            Malformed: The value does not have the form of this field's type.
        """
        if value is not None and not self._takes(value):
            raise Malformed(f"{self.name} does not hold a {self.type.value}")
        return canonical(value)

    def _takes(self, value: object) -> bool:
        match self.type:
            case FieldType.TEXT:
                return isinstance(value, str)
            case FieldType.INTEGER:
                return type(value) is int
            case FieldType.BOOLEAN:
                return isinstance(value, bool)
            case FieldType.DATE:
                return isinstance(value, str) and _is_date(value)
            case FieldType.MONEY:
                return isinstance(value, str) and _is_money(value, self.scale)
            case _:
                assert_never(self.type)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "name": self.name,
            "type": self.type.value,
            "unit": self.unit,
            "scale": self.scale,
        }


Schema: TypeAlias = tuple[SchemaField, ...]
"""The committed fields of a dataset's records, in signed order."""


def parse_schema(value: object) -> Schema:
    """Read a schema from its JSON array.

    Raises:
        Malformed: A field is wrong, or a name occurs twice.
    """
    schema = shape.each(_parse_field, most=MOST_FIELDS)(value, "schema")
    if len({field.name for field in schema}) != len(schema):
        raise Malformed("a schema that names a field twice")
    return schema


def _parse_field(value: object, what: str) -> SchemaField:
    found = shape.members(value, {"name", "type", "unit", "scale"}, what)
    if found["type"] not in list(FieldType):
        raise Malformed("a field of a type that is not defined")
    return SchemaField(**{**found, "type": FieldType(found["type"])})


def schema_to_json(schema: Schema) -> list[dict[str, Any]]:
    """Return the JSON array of a schema."""
    return [field.to_json() for field in schema]


@lru_cache(maxsize=64)
def schema_hash(schema: Schema) -> str:
    """Return the hash of a schema, 64 hex digits."""
    return sha256(tagged("schema", canonical(schema_to_json(schema)))).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHeader:
    """What a record's signature covers beside its messages. Always shown.

    Attributes:
        issuer: DID of the provider that signed.
        key_id: Id of its BLS12-381 key.
        schema_hash: Of the schema that orders and types the messages.
    """

    issuer: str
    key_id: str
    dataset: str
    schema_hash: str

    def to_bytes(self) -> bytes:
        """Return the BBS header."""
        return canonical(
            {
                "typ": HEADER_TYPE,
                "issuer": self.issuer,
                "key_id": self.key_id,
                "dataset": self.dataset,
                "schema_hash": self.schema_hash,
            }
        )


def parse_header(data: bytes) -> RecordHeader:
    """Read a BBS header.

    Raises:
        Malformed: Not canonical JSON of exactly these members.
    """
    names = {"typ", "issuer", "key_id", "dataset", "schema_hash"}
    found = dict(shape.members(parse_canonical(data), names, "header"))
    shape.constant(found.pop("typ"), HEADER_TYPE, "typ")
    shape.did(found["issuer"], "issuer")
    shape.digest(found["schema_hash"], "schema_hash")
    for name in ("key_id", "dataset"):
        shape.text(found[name], name)
    return RecordHeader(**found)


def messages(schema: Schema, values: Mapping[str, object]) -> list[bytes]:
    """Return the octets of a whole record's values, in signed order.

    Raises:
        Malformed: A field is missing or unknown, or a value is out of form.
    """
    shape.members(values, {field.name for field in schema}, "record")
    return [field.message(values[field.name]) for field in schema]


def _is_unit(value: object) -> bool:
    return isinstance(value, str) and _UNIT.fullmatch(value) is not None


def _is_date(value: str) -> bool:
    if not _DATE.fullmatch(value):
        return False
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_money(value: str, scale: int) -> bool:
    decimals = rf"\.[0-9]{{{scale}}}" if scale else ""
    well_formed = re.fullmatch(rf"-?(0|[1-9][0-9]*){decimals}", value)
    negative_zero = value.startswith("-") and not value.strip("-0.")
    return well_formed is not None and not negative_zero
