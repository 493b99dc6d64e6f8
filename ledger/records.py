"""Schemas on the wire: which fields a record has, and which of them are told.

A record is committed to with all its fields (`crypto.typed`). A partner who asks
for some of them is told the definitions of those, with the salts that blind them,
and of every other field a digest from which not even its name can be guessed. The
hash of the schema is the same for both, and is under the signature of every record.

So a value has one form, fixed by its field's definition: a total of "12.50" EUR
can be passed off neither as a text, nor as another currency, nor with another
number of decimals.

Spec: `docs/protocols/snapshots.md`, section "Schemas"; `docs/protocols/fp-bbs-1.md`.
"""

from typing import Any

from crypto.encoding import b64u
from crypto.errors import Malformed
from crypto.typed import MOST_FIELDS, Field, Kind, Opaque, Schema, schema_hash
from ledger import shape
from ledger.conditions import Value

__all__ = ["FieldType", "Schema", "Value", "parse_schema", "schema_to_json"]

FieldType = Kind
"""The type of a field's values, which fixes their form on the wire."""


def parse_schema(value: object, what: str = "schema") -> Schema:
    """Read a schema from its JSON array.

    Raises:
        Malformed: A field is wrong, there are too many, or one occurs twice.
    """
    schema = shape.each(_parse_field, most=MOST_FIELDS)(value, what)
    schema_hash(schema)  # it must be one
    return schema


def _parse_field(value: object, what: str) -> Field | Opaque:
    found = shape.mapping(value, what)
    if "digest" in found:
        shape.members(found, {"digest"}, what)
        return Opaque(shape.octets(32)(found["digest"], "digest"))
    shape.members(found, {"name", "type", "unit", "scale", "salt"}, what)
    if found["type"] not in list(Kind):
        raise Malformed("a field of a type that is not defined")
    return Field(
        name=shape.field_name(found["name"], "name"),
        kind=Kind(found["type"]),
        unit=found["unit"],
        scale=found["scale"],
        salt=shape.octets(32)(found["salt"], "salt"),
    )


def schema_to_json(schema: Schema) -> list[dict[str, Any]]:
    """Return the JSON array of a schema."""
    return [_field_to_json(field) for field in schema]


def _field_to_json(field: Field | Opaque) -> dict[str, Any]:
    if isinstance(field, Opaque):
        return {"digest": b64u(field.digest)}
    return {
        "name": field.name,
        "type": field.kind.value,
        "unit": field.unit,
        "scale": field.scale,
        "salt": b64u(field.salt),
    }
