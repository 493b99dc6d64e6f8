"""Records: the one form of a value, and what a signature covers."""

import json

import pytest

from crypto.errors import Malformed
from ledger import records
from ledger.records import FieldType, SchemaField
from tests.unit.ledger import samples


def field(kind: str, scale: int = 0) -> SchemaField:
    return SchemaField(name="x", type=FieldType(kind), scale=scale)


GOOD = [
    (field("text"), "", b'""'),
    (field("text"), "12", b'"12"'),
    (field("text"), "华东", '"华东"'.encode()),
    (field("integer"), -(2**53) + 1, b"-9007199254740991"),
    (field("integer"), 0, b"0"),
    (field("boolean"), False, b"false"),
    (field("date"), "2024-02-29", b'"2024-02-29"'),
    (field("money", 2), "1234.50", b'"1234.50"'),
    (field("money", 2), "-0.01", b'"-0.01"'),
    (field("money", 2), "0.00", b'"0.00"'),
    (field("money"), "7", b'"7"'),
    *((field(kind), None, b"null") for kind in FieldType),
]

BAD = [
    (field("text"), 12),
    (field("text"), "e\u0301"),
    (field("text"), "\ud800"),
    (field("integer"), True),
    (field("integer"), "1"),
    (field("integer"), 1.0),
    (field("integer"), 2**53),
    (field("boolean"), 0),
    (field("boolean"), "false"),
    (field("date"), "2026-02-29"),
    (field("date"), "20261122"),
    (field("date"), "2026-W47-7"),
    (field("date"), "２026-11-22"),
    (field("date"), "2026-11-22\n"),
    (field("money", 2), "1234.5"),
    (field("money", 2), "1234.500"),
    (field("money", 2), "1,234.50"),
    (field("money", 2), "01.00"),
    (field("money", 2), ".50"),
    (field("money", 2), "+1.00"),
    (field("money", 2), "-0.00"),
    (field("money", 2), "1e2.00"),
    (field("money", 2), "１.00"),
    (field("money", 2), 12),
    (field("money"), "-0"),
    (field("money"), "7."),
    (field("money"), "7\n"),
]


@pytest.mark.parametrize(("field", "value", "octets"), GOOD)
def test_a_value_has_one_message(
    field: SchemaField, value: object, octets: bytes
) -> None:
    assert field.message(value) == octets


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_value_of_another_form_has_no_message(
    field: SchemaField, value: object
) -> None:
    with pytest.raises(Malformed) as caught:
        field.message(value)
    assert (
        not isinstance(value, str) or len(value) < 3 or value not in str(caught.value)
    )


def test_a_schema_reads_back_as_it_was_written() -> None:
    written = json.loads(json.dumps(records.schema_to_json(samples.SCHEMA)))
    assert records.parse_schema(written) == samples.SCHEMA


def test_the_hash_of_a_schema_depends_on_order_type_unit_and_scale() -> None:
    first, *rest = samples.SCHEMA
    variants = [
        samples.SCHEMA,
        (*rest, first),
        (SchemaField(name=first.name, type=FieldType.TEXT, unit=first.unit), *rest),
        (SchemaField(name=first.name, type=first.type, unit="USD", scale=2), *rest),
        (SchemaField(name=first.name, type=first.type, unit="EUR", scale=3), *rest),
    ]
    assert len({records.schema_hash(tuple(variant)) for variant in variants}) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Total"},
        {"name": "x" * 65},
        {"type": "float"},
        {"type": []},
        {"unit": 1},
        {"scale": 19},
        {"scale": -1},
        {"scale": True},
        {"type": "integer", "scale": 2},
        {"more": 1},
    ],
)
def test_a_field_out_of_form_is_no_field(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        records.parse_schema([samples.SCHEMA[0].to_json() | change])


def test_a_schema_names_no_field_twice() -> None:
    with pytest.raises(Malformed):
        records.parse_schema([samples.SCHEMA[0].to_json()] * 2)


def test_a_header_reads_back_as_it_was_written() -> None:
    assert records.parse_header(samples.HEADER.to_bytes()) == samples.HEADER


def test_a_header_in_another_spelling_is_not_a_header() -> None:
    spaced = json.dumps(json.loads(samples.HEADER.to_bytes())).encode()
    for data in (spaced, b"", b"{}", b"\xff", b"null"):
        with pytest.raises(Malformed):
            records.parse_header(data)


def test_the_messages_of_a_record_stand_in_the_order_of_the_schema() -> None:
    values = {"region": "华东", "gift": True} | samples.RECORDS[0]
    assert records.messages(samples.SCHEMA, values) == [
        b'"12.50"',
        '"华东"'.encode(),
        b'"2026-11-02"',
        b"3",
        b"true",
    ]
    with pytest.raises(Malformed, match="lacks"):
        records.messages(samples.SCHEMA, samples.RECORDS[0])
