"""Schemas of which a partner is told a part."""

import dataclasses
import itertools
from typing import Any

import pytest

from crypto import typed
from crypto.anchored import record_digest
from crypto.encoding import canonical, sha256, tagged
from crypto.errors import InvalidProof, Malformed
from crypto.predicates import (
    Member,
    Statement,
    Window,
    between,
    equal,
    no_more_than,
    one_of,
    parse_statement,
    sum_at_least,
    verify,
)
from crypto.typed import Field, Opaque, told
from tests.unit.crypto.typed_world import (
    FIELDS,
    HEADER,
    LINK,
    SCHEMA,
    TRUE,
    VALUES,
    claim,
    statement,
)

MONEY = FIELDS[0]
PART = told(SCHEMA, ["paid", "region"])
"""Told of the fields at 3 and 5; there are others at 2, 4 and 6 to 10."""


def test_the_hash_is_the_same_whatever_is_told() -> None:
    names = [field.name for field in FIELDS]
    seen = set()
    for count in range(len(names) + 1):
        for some in itertools.combinations(names, count):
            schema = told(SCHEMA, some)
            seen.add(schema)
            assert typed.schema_hash(schema) == typed.schema_hash(SCHEMA)
            assert typed.size(schema) == 16
            HEADER.check(schema)
            assert [one.name for one in schema if isinstance(one, Field)] == list(some)
    assert len(seen) == 2 ** len(names)


def test_the_hash_is_that_of_salted_definitions() -> None:
    described = canonical(
        {"kind": "money", "name": "spend", "number": True, "scale": 2, "unit": "EUR"}
    )
    digest = sha256(tagged("typed-field", MONEY.salt + described))
    assert typed.field_digest(MONEY) == digest == typed.field_digest(Opaque(digest))
    joined = b"".join(typed.field_digest(field) for field in FIELDS)
    assert typed.schema_hash(SCHEMA) == sha256(tagged("typed-schema", joined))


def test_telling_less_of_what_is_told_is_telling_less() -> None:
    assert told(PART, ["paid"]) == told(SCHEMA, ["paid"])
    assert told(PART, ["paid", "region"]) == PART
    assert told(SCHEMA, VALUES) == SCHEMA


@pytest.mark.parametrize("names", [["nothing"], ["paid", "paid"], ["spend"], [""]])
def test_only_what_is_known_is_told(names: list[str]) -> None:
    with pytest.raises(Malformed):
        told(PART, names)


def test_a_digest_tells_no_definition() -> None:
    """Who guesses it right and has another salt does not see it."""
    assert PART[0] == Opaque(typed.field_digest(MONEY))
    for salt in (bytes(32), FIELDS[1].salt):
        guess = dataclasses.replace(MONEY, salt=salt)
        assert PART[0] != Opaque(typed.field_digest(guess))
    assert repr(MONEY.salt) not in repr(MONEY)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_salts_and_digests_have_32_bytes(size: int) -> None:
    with pytest.raises(Malformed):
        dataclasses.replace(MONEY, salt=bytes(size))
    with pytest.raises(Malformed):
        Opaque(bytes(size))


@pytest.mark.parametrize(
    "schema",
    [
        (MONEY, Opaque(typed.field_digest(MONEY))),
        (Opaque(bytes(32)), Opaque(bytes(32))),
        (MONEY, dataclasses.replace(MONEY, salt=bytes(32))),
        tuple(Opaque(bytes([number]) * 32) for number in range(63)),
    ],
)
def test_a_schema_has_no_field_twice(schema: typed.Schema) -> None:
    with pytest.raises(Malformed):
        typed.schema_hash(schema)


def test_a_schema_of_digests_alone_has_records_that_show_nothing() -> None:
    nothing = told(SCHEMA, [])
    verify(claim(statement(schema=nothing, anchored=True)))


# --- What cannot be said of a field that is not told -------------------------


@pytest.mark.parametrize("index", [2, 4, 6, 10])
def test_an_opaque_field_is_neither_shown_nor_asked_about(index: int) -> None:
    stated: list[dict[str, Any]] = [
        {"disclosed": (index,)},
        {"predicates": (Window(first=index, lo=0, hi=1),)},
        {"predicates": (Member(first=index, among=(1, 2)),)},
        {"predicates": (_window(3, index),)},
        {"predicates": (_window(3, index, lo=0, hi=0),)},
    ]
    for one in stated:
        with pytest.raises(Malformed):
            Statement(schema=PART, **one)
        if index == 2:  # of one type with the field at 3
            Statement(schema=SCHEMA, **one)


def _window(one: int, other: int, **bounds: int) -> Window:
    first, second = sorted([one, other])
    return Window(first=first, second=second, sign=-1, **bounds or {"lo": 0, "hi": 1})


@pytest.mark.parametrize(
    "ask",
    [
        lambda: between(PART, "orders", 1, 9),
        lambda: one_of(PART, "home", ["x", "y"]),
        lambda: equal(PART, "region", "home"),
        lambda: no_more_than(PART, "paid", "spend"),
        lambda: no_more_than(PART, "spend", "paid"),
        lambda: sum_at_least(PART, "paid", "spend", "1.00"),
        lambda: typed.places(PART, ["spend"]),
        lambda: typed.field_at(PART, 2),
        lambda: typed.field_at(PART, 1),
        lambda: typed.field_at(PART, 0),
        lambda: typed.field_at(PART, -1),
        lambda: typed.field_at(PART, 11),
        lambda: record_digest(PART, VALUES, LINK),
        lambda: typed.scalars(PART, VALUES, blinder=LINK, link=LINK),
        lambda: typed.scalars(
            PART, {"paid": "1.00", "region": "x"}, blinder=LINK, link=LINK
        ),
    ],
)
def test_a_field_that_is_not_told_has_no_name_and_no_type(ask: Any) -> None:
    with pytest.raises(Malformed):
        ask()


def test_octets_about_a_field_that_is_not_told_are_malformed() -> None:
    asked = statement(TRUE["at least"], shown=("region",))
    with pytest.raises(Malformed):
        parse_statement(asked.to_bytes(), PART)
    here = statement(TRUE["at most, all the way"], shown=("region",))
    assert parse_statement(here.to_bytes(), PART).schema == PART


# --- What is proved to whoever is told ---------------------------------------


@pytest.mark.parametrize("name", TRUE)
def test_what_is_proved_does_not_depend_on_what_else_is_told(name: str) -> None:
    names = [FIELDS[index - 2].name for index in TRUE[name].indexes]
    here = statement(TRUE[name], schema=told(SCHEMA, names), anchored=True)
    there = statement(TRUE[name], anchored=True)
    assert here.to_bytes() == there.to_bytes()
    verify(dataclasses.replace(claim(there), statement=here))


def test_a_digest_that_is_not_of_this_schema_is_refused() -> None:
    made = claim(statement(shown=("region",), schema=PART, anchored=True))
    verify(made)
    for place in (0, 2, 8):
        wrong = (*PART[:place], Opaque(bytes(32)), *PART[place + 1 :])
        other = dataclasses.replace(made.statement, schema=wrong)
        with pytest.raises(Malformed):
            verify(dataclasses.replace(made, statement=other))
        header = dataclasses.replace(HEADER, schema_hash=typed.schema_hash(wrong).hex())
        with pytest.raises(InvalidProof):
            verify(dataclasses.replace(made, statement=other, header=header))


def test_another_number_of_fields_is_seen_and_refused() -> None:
    made = claim(statement(shown=("region",), schema=PART, anchored=True))
    for schema in (PART[:-1], (*PART, Opaque(bytes(32)))):
        other = dataclasses.replace(made.statement, schema=schema)
        with pytest.raises(Malformed):
            verify(dataclasses.replace(made, statement=other))


def test_a_name_that_two_fields_have_is_seen_once_both_are_told() -> None:
    """Until then nobody can know; what they show is held together by name."""
    twice = dataclasses.replace(FIELDS[1], name="spend")
    hidden = (MONEY, Opaque(typed.field_digest(twice)))
    assert typed.schema_hash(hidden)
    with pytest.raises(Malformed):
        typed.schema_hash((MONEY, twice))
