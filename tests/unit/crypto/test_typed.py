"""Typed records: which number a value is, and what is refused."""

import dataclasses
import itertools
import secrets
from typing import Any

import pytest

from crypto import bbs, typed
from crypto.bbs import SUITES
from crypto.bbs.core import random_scalars
from crypto.bbs.generators import generators
from crypto.encoding import canonical, parse_canonical
from crypto.errors import Malformed
from crypto.predicates import Statement
from crypto.predicates.bits import BITS
from crypto.typed import OFFSET, TYPED, Field, Kind, parse_header
from tests.unit.crypto.typed_world import (
    HEADER,
    KEY,
    LINK,
    RECORD,
    SCHEMA,
)

MONEY = Field(name="m", kind=Kind.MONEY, unit="EUR", scale=2)
WHOLE = Field(name="m", kind=Kind.MONEY, unit="JPY")
DATE = Field(name="d", kind=Kind.DATE)
INTEGER = Field(name="i", kind=Kind.INTEGER, unit="kg")


@pytest.mark.parametrize(
    ("field", "value", "number"),
    [
        (INTEGER, 0, 0),
        (INTEGER, -1, -1),
        (INTEGER, 2**53 - 1, 2**53 - 1),
        (DATE, "1970-01-01", 0),
        (DATE, "1969-12-31", -1),
        (DATE, "2026-11-22", 20779),
        (MONEY, "0.00", 0),
        (MONEY, "-0.01", -1),
        (MONEY, "1234.50", 123450),
        (MONEY, "92233720368547758.07", 2**63 - 1),
        (MONEY, "-92233720368547758.08", -(2**63)),
        (WHOLE, "1234", 1234),
    ],
)
def test_numbers_are_signed_as_numbers(
    field: Field, value: object, number: int
) -> None:
    assert field.scalar(value, 5) == number + OFFSET


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (INTEGER, True),
        (INTEGER, "1"),
        (INTEGER, 2**53),
        (INTEGER, 1.0),
        (DATE, "2026-02-29"),
        (DATE, "20260228"),
        (DATE, 1),
        (MONEY, "1.5"),
        (MONEY, "1"),
        (MONEY, "+1.00"),
        (MONEY, "01.00"),
        (MONEY, "-0.00"),
        (MONEY, "1.00\n"),
        (MONEY, "92233720368547758.08"),
        (MONEY, "9" * 5000 + ".00"),
        (WHOLE, "1.0"),
        (Field(name="t", kind=Kind.TEXT), 1),
        (Field(name="t", kind=Kind.TEXT), "e\u0301"),
        (Field(name="b", kind=Kind.BOOLEAN), 0),
    ],
)
def test_a_value_out_of_form_is_not_signed(field: Field, value: object) -> None:
    with pytest.raises(Malformed):
        field.scalar(value, 5)


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        (INTEGER, -(2**53) + 1, 2**53 - 1),
        (DATE, "0001-01-01", "9999-12-31"),
        (MONEY, "-92233720368547758.08", "92233720368547758.07"),
        (WHOLE, "-9223372036854775808", "9223372036854775807"),
    ],
)
def test_the_numbers_of_a_type_end_where_its_values_end(
    field: Field, least: object, most: object
) -> None:
    assert field.ends == (field.number(least), field.number(most))
    assert 0 <= field.ends[0] < OFFSET < field.ends[1] <= typed.TOP


def test_texts_and_truth_values_have_no_numbers() -> None:
    for kind, value in ((Kind.TEXT, "x"), (Kind.BOOLEAN, True)):
        field = Field(name="t", kind=kind)
        with pytest.raises(Malformed):
            field.number(value)
        with pytest.raises(Malformed):
            _ = field.ends


def test_a_missing_value_is_another_number_at_each_index() -> None:
    nulls = [MONEY.scalar(None, index) for index in range(64)]
    texts = [Field(name="t", kind=Kind.TEXT).scalar(None, index) for index in range(64)]
    assert nulls == texts
    for one, other in itertools.combinations(nulls, 2):
        assert abs(one - other) > 2 * typed.TOP
    assert min(nulls) - typed.TOP > 2 * typed.TOP


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "A"},
        {"name": ""},
        {"kind": "colour"},
        {"kind": "money"},
        {"kind": "integer", "scale": 0},
        {"kind": Kind.INTEGER, "scale": 1},
        {"kind": Kind.DATE, "scale": 1, "unit": None},
        {"scale": 19},
        {"scale": -1},
        {"scale": True},
        {"unit": 1},
        {"kind": Kind.TEXT},
    ],
)
def test_a_field_out_of_form_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        dataclasses.replace(MONEY, **changes)


@pytest.mark.parametrize("unit", ["EUR", "kg", "件", "m³", "°C", "%", "x" * 32])
def test_a_unit_is_a_symbol_in_any_script(unit: str) -> None:
    for kind in (Kind.MONEY, Kind.INTEGER):
        assert Field(name="m", kind=kind, unit=unit).unit == unit


@pytest.mark.parametrize(
    "unit",
    ["", " ", "k g", "kg\n", "kg\u3000", "\x00", "\x7f", "\ud800", "A\u030a", "x" * 33],
)
def test_a_unit_has_no_white_space_and_one_spelling(unit: str) -> None:
    with pytest.raises(Malformed):
        Field(name="m", kind=Kind.INTEGER, unit=unit)


def test_the_schema_hash_holds_name_type_unit_and_scale() -> None:
    others: list[dict[str, Any]] = [
        {"name": "n"},
        {"unit": "USD"},
        {"unit": None},
        {"scale": 3},
        {"kind": Kind.INTEGER, "scale": 0},
    ]
    hashes = {typed.schema_hash((dataclasses.replace(MONEY, **one),)) for one in others}
    assert len(hashes | {typed.schema_hash((MONEY,))}) == len(others) + 1
    assert typed.schema_hash((MONEY, DATE)) != typed.schema_hash((DATE, MONEY))


@pytest.mark.parametrize("schema", [(MONEY, MONEY), (MONEY, WHOLE)])
def test_a_schema_names_each_field_once(schema: typed.Schema) -> None:
    with pytest.raises(Malformed):
        typed.schema_hash(schema)


@pytest.mark.parametrize(
    ("fields", "messages"), [(1, 16), (14, 16), (15, 32), (30, 32), (31, 64), (62, 64)]
)
def test_records_are_padded_to_one_of_three_lengths(fields: int, messages: int) -> None:
    schema = tuple(
        Field(name=f"f{number}", kind=Kind.INTEGER) for number in range(fields)
    )
    assert typed.size(schema) == messages
    values = {field.name: 1 for field in schema}
    scalars = typed.scalars(schema, values, blinder=b"b" * 48, link=LINK)
    assert len(scalars) == messages
    assert len(typed.schema_hash(schema)) == 32
    assert scalars[2 + fields :] == [bytes(32)] * (messages - 2 - fields)


def test_a_schema_has_at_most_62_fields() -> None:
    schema = tuple(Field(name=f"f{number}", kind=Kind.INTEGER) for number in range(63))
    with pytest.raises(Malformed):
        typed.schema_hash(schema)


def test_a_header_reads_as_it_was_written() -> None:
    assert parse_header(HEADER.to_bytes()) == HEADER
    HEADER.check(SCHEMA)
    with pytest.raises(Malformed):
        HEADER.check(SCHEMA[1:])


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": 17},
        {"messages": True},
        {"version": -1},
        {"version": "0"},
        {"schema_hash": "00"},
        {"schema_hash": "G" * 64},
        {"issuer": 1},
        {"grant": None},
    ],
)
def test_a_header_out_of_form_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_header(dataclasses.replace(HEADER, **changes).to_bytes())


def _members(**changes: object) -> bytes:
    found = parse_canonical(HEADER.to_bytes())
    assert isinstance(found, dict)
    changed = {**found, **changes}
    return canonical({name: value for name, value in changed.items() if value != ...})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        HEADER.to_bytes() + b" ",
        _members(more=1),
        _members(grant=...),
        _members(typ=...),
        _members(typ="fieldpact/record/1"),
    ],
)
def test_what_is_no_header_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_header(data)


def test_no_point_or_tag_is_shared_with_the_standard_interface() -> None:
    points = [
        generators(suite, bbs.ARKWORKS, 64) for suite in (*SUITES.values(), TYPED, BITS)
    ]
    encoded = [
        bbs.ARKWORKS.encode_g1(point)
        for made in points
        for point in (made.base, made.header, *made.messages)
    ]
    assert len(set(encoded)) == len(encoded)


def test_a_first_move_answers_once() -> None:
    frame = bbs.frame(TYPED, bbs.ARKWORKS, KEY.public_bytes, HEADER.to_bytes(), 16)
    drawn = random_scalars(21, secrets.token_bytes)
    opening = frame.open_proof(
        RECORD.signature, RECORD.messages, disclosed=[], drawn=drawn
    )
    frame.close_proof(opening, ph=b"one")
    with pytest.raises(ValueError, match="one challenge"):
        frame.close_proof(opening, ph=b"two")
    assert repr(opening) == "Opening()"
    with pytest.raises(TypeError):
        opening.__reduce__()


def test_a_schema_that_is_too_large_has_no_records_and_no_statements() -> None:
    schema = tuple(Field(name=f"f{number}", kind=Kind.INTEGER) for number in range(63))
    with pytest.raises(Malformed):
        typed.size(schema)
    for wrong in (schema, (MONEY, MONEY)):
        with pytest.raises(Malformed):
            Statement(schema=wrong)
