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

The hash of a schema is a hash of hashes, one for each field. Whoever may know of
some fields only is `told` those; the others are `Opaque`, and the hash the same.

Spec: `docs/protocols/fp-bbs-1.md`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from crypto.bbs.suite import ORDER, SCALAR_BYTES
from crypto.encoding import canonical, parse_canonical, sha256, tagged
from crypto.errors import Malformed
from crypto.fields import (
    NULL_STEP,
    OFFSET,
    TOP,
    TYPED,
    Field,
    Kind,
    Opaque,
    field_digest,
)

__all__ = [
    "FIRST_FIELD",
    "HEADER_TYPE",
    "MOST_FIELDS",
    "NULL_STEP",
    "OFFSET",
    "SIZES",
    "TOP",
    "TYPED",
    "Field",
    "Header",
    "Kind",
    "Opaque",
    "Schema",
    "field_at",
    "field_digest",
    "padding",
    "parse_header",
    "places",
    "scalars",
    "schema_hash",
    "size",
    "told",
    "write",
]

HEADER_TYPE: Final = "fieldpact/typed-record/1"
SIZES: Final = (16, 32, 64)
FIRST_FIELD: Final = 2
"""Index of the first field: the blinder is at 0, the link at 1."""
MOST_FIELDS: Final = SIZES[-1] - FIRST_FIELD

Schema: TypeAlias = tuple[Field | Opaque, ...]
"""The fields of a dataset's records, in signed order."""


@lru_cache(maxsize=256)
def schema_hash(schema: Schema) -> bytes:
    """Hash the digests of all fields in their order: 32 bytes.

    That no name occurs twice is seen of the fields that are told, and no further.

    Raises:
        Malformed: Too many fields, or one name or digest twice.
    """
    digests = [field_digest(field) for field in schema]
    names = [field.name for field in schema if isinstance(field, Field)]
    if len(schema) > MOST_FIELDS:
        raise Malformed(f"a schema has at most {MOST_FIELDS} fields")
    if len(set(names)) != len(names) or len(set(digests)) != len(digests):
        raise Malformed("a schema has each field once")
    return sha256(tagged("typed-schema", b"".join(digests)))


def told(schema: Schema, names: Collection[str]) -> Schema:
    """Keep the definitions of the named fields, and of the others their digests.

    The hash stays what it is. It hides the others if their salts are random.

    Raises:
        Malformed: A name that the schema does not tell, or one twice.
    """
    kept = places(schema, names)
    fields = enumerate(schema, FIRST_FIELD)
    return tuple(
        field if index in kept else Opaque(field_digest(field))
        for index, field in fields
    )


def size(schema: Schema) -> int:
    """Return how many messages a record of this schema has: 16, 32 or 64.

    Raises:
        Malformed: It has too many fields.
    """
    fitting = [size for size in SIZES if FIRST_FIELD + len(schema) <= size]
    if not fitting:
        raise Malformed(f"a schema has at most {MOST_FIELDS} fields")
    return fitting[0]


def places(schema: Schema, names: Collection[str]) -> list[int]:
    """Return the message indexes of the named fields, ascending.

    Raises:
        Malformed: A field that the schema does not have or tell, or one twice.
    """
    wanted = set(names)
    found = [
        index
        for index, field in enumerate(schema, FIRST_FIELD)
        if isinstance(field, Field) and field.name in wanted
    ]
    if len(found) != len(names):
        raise Malformed("a field that the schema does not have, or one twice")
    return found


def field_at(schema: Schema, index: int) -> Field:
    """Return the definition of the field whose message is at `index`.

    Raises:
        Malformed: There is no field, or its definition is not told.
    """
    inside = 0 <= index - FIRST_FIELD < len(schema)
    field = schema[index - FIRST_FIELD] if inside else None
    if not isinstance(field, Field):
        raise Malformed("a field that the schema does not have, or does not tell")
    return field


def scalars(
    schema: Schema, values: Mapping[str, object], *, blinder: bytes, link: bytes
) -> list[bytes]:
    """Map a record to its messages: 16, 32 or 64 scalars of 32 bytes.

    Args:
        schema: Orders and types the fields; all of them are told.
        values: Value by name, for every field.
        blinder: 48 bytes, random and fresh for each signature.
        link: 48 bytes, random, secret, the same each time this record of this
            customer is committed to again.

    Raises:
        Malformed: A field is missing, unknown or opaque, or a value out of form.
    """
    if len(blinder) != 48 or len(link) != 48:
        raise ValueError("blinder and link have 48 bytes")
    fields = [field for field in schema if isinstance(field, Field)]
    names = {field.name for field in fields}
    if len(fields) != len(schema) or values.keys() != names:
        raise Malformed("a record has every field of its schema, and no other")
    secret = [int.from_bytes(secret, "big") % ORDER for secret in (blinder, link)]
    placed = enumerate(fields, FIRST_FIELD)
    numbers = [field.scalar(values[field.name], index) for index, field in placed]
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
