"""Conditions: one spelling each, and what they say of a record."""

import json
from typing import Any

import pytest

from crypto import predicates
from crypto.errors import Malformed
from crypto.typed import Field, Kind, told
from ledger.conditions import (
    MOST_CONDITIONS,
    MOST_OCTETS,
    OPERATORS,
    Condition,
    Value,
    check_conditions,
    ordered,
    parse_condition,
    parse_conditions,
)

SCHEMA = (
    Field(name="amount", kind=Kind.MONEY, unit="EUR", scale=2),
    Field(name="other", kind=Kind.MONEY, unit="EUR", scale=2),
    Field(name="dollars", kind=Kind.MONEY, unit="USD", scale=2),
    Field(name="count", kind=Kind.INTEGER),
    Field(name="day", kind=Kind.DATE),
    Field(name="region", kind=Kind.TEXT),
    Field(name="home", kind=Kind.TEXT),
    Field(name="gift", kind=Kind.BOOLEAN),
)
RECORD: dict[str, Value] = {
    "amount": "12.50",
    "other": "20.00",
    "dollars": "1.00",
    "count": 3,
    "day": "2026-03-01",
    "region": "华东",
    "home": "华东",
    "gift": False,
}

HELD: list[tuple[str, list[str], list[Value]]] = [
    ("at_least", ["amount"], ["12.50"]),
    ("at_most", ["amount"], ["12.50"]),
    ("between", ["amount"], ["12.50", "12.51"]),
    ("between", ["count"], [-1, 3]),
    ("before", ["day"], ["2026-03-02"]),
    ("after", ["day"], ["2026-02-28"]),
    ("one_of", ["region"], ["华东", "华南"]),
    ("one_of", ["count"], [3, 30]),
    ("one_of", ["gift"], [False, True]),
    ("no_more_than", ["amount", "other"], []),
    ("equal", ["region", "home"], []),
    ("sum_at_least", ["other", "amount"], ["32.50"]),
]
BROKEN: list[tuple[str, list[str], list[Value]]] = [
    ("at_least", ["amount"], ["12.51"]),
    ("at_most", ["amount"], ["12.49"]),
    ("between", ["count"], [4, 9]),
    ("before", ["day"], ["2026-03-01"]),
    ("after", ["day"], ["2026-03-01"]),
    ("one_of", ["region"], ["华北", "华南"]),
    ("no_more_than", ["other", "amount"], []),
    ("equal", ["amount", "other"], []),
    ("sum_at_least", ["other", "amount"], ["32.51"]),
]


@pytest.mark.parametrize(("operator", "names", "values"), HELD)
def test_a_condition_holds_of_a_record_that_meets_it(
    operator: str, names: list[str], values: list[Value]
) -> None:
    assert Condition.of(operator, names, values).holds(SCHEMA, RECORD)


@pytest.mark.parametrize(("operator", "names", "values"), BROKEN)
def test_a_condition_does_not_hold_of_a_record_that_does_not_meet_it(
    operator: str, names: list[str], values: list[Value]
) -> None:
    assert not Condition.of(operator, names, values).holds(SCHEMA, RECORD)


@pytest.mark.parametrize(("operator", "names", "values"), HELD)
def test_a_field_without_a_value_meets_no_condition(
    operator: str, names: list[str], values: list[Value]
) -> None:
    condition = Condition.of(operator, names, values)
    for name in names:
        assert not condition.holds(SCHEMA, RECORD | {name: None})


@pytest.mark.parametrize(("operator", "names", "values"), HELD)
def test_a_condition_needs_to_be_told_no_field_but_its_own(
    operator: str, names: list[str], values: list[Value]
) -> None:
    condition = Condition.of(operator, names, values)
    few = told(SCHEMA, condition.fields)
    assert condition.predicate(few) == condition.predicate(SCHEMA)
    with pytest.raises(Malformed):
        condition.predicate(told(SCHEMA, ["dollars"]))


@pytest.mark.parametrize(("operator", "names", "values"), HELD)
def test_a_condition_reads_back_as_it_was_written(
    operator: str, names: list[str], values: list[Value]
) -> None:
    condition = Condition.of(operator, names, values)
    again = parse_condition(json.loads(json.dumps(condition.to_json())))
    assert again == condition
    assert hash(again) == hash(condition)
    assert [type(value) for value in again.values] == [
        type(value) for value in condition.values
    ]


def test_every_operator_is_tried_here() -> None:
    assert sorted({operator for operator, _, _ in HELD}) == list(OPERATORS)


def test_the_predicate_of_a_condition_is_what_its_name_says() -> None:
    condition = Condition.of("at_least", ["amount"], ["12.50"])
    assert condition.predicate(SCHEMA) == predicates.at_least(SCHEMA, "amount", "12.50")
    among = Condition.of("one_of", ["region"], ["b", "a"])
    assert among.predicate(SCHEMA) == predicates.one_of(SCHEMA, "region", ["a", "b"])


@pytest.mark.parametrize(
    ("operator", "names", "values"),
    [
        ("more_than", ["amount"], ["1.00"]),
        ("at_least", [], ["1.00"]),
        ("at_least", ["amount", "other"], ["1.00"]),
        ("at_least", ["amount"], []),
        ("at_least", ["amount"], ["1.00", "2.00"]),
        ("at_least", ["Amount"], ["1.00"]),
        ("at_least", ["amount"], [None]),
        ("at_least", ["gift"], [True]),
        ("at_least", ["count"], [1.5]),
        ("at_least", ["count"], [2**53]),
        ("at_least", ["region"], ["e\u0301"]),
        ("between", ["count"], [1]),
        ("between", ["count"], [1, "2"]),
        ("one_of", ["count"], [1]),
        ("one_of", ["count"], [2, 1]),
        ("one_of", ["count"], [1, 1]),
        ("one_of", ["count"], [1, True]),
        ("one_of", ["count"], [9, 10]),
        ("one_of", ["count"], list(range(65))),
        ("one_of", ["region"], [None, "a"]),
        ("equal", ["region", "home"], []),
        ("equal", ["home", "home"], []),
        ("equal", ["home"], []),
        ("equal", ["home", "region"], ["a"]),
        ("no_more_than", ["count", "count"], []),
        ("sum_at_least", ["other", "amount"], ["1.00"]),
        ("sum_at_least", ["amount", "other"], []),
    ],
)
def test_a_condition_out_of_form_cannot_exist(
    operator: str, names: list[str], values: list[Any]
) -> None:
    with pytest.raises(Malformed):
        Condition(fields=tuple(names), operator=operator, values=tuple(values))


@pytest.mark.parametrize(
    ("operator", "names", "values"),
    [
        ("at_least", ["region"], ["a"]),
        ("at_least", ["amount"], ["12.5"]),
        ("at_least", ["amount"], [12]),
        ("at_least", ["unknown"], [12]),
        ("before", ["count"], [12]),
        ("before", ["day"], ["2026-02-30"]),
        ("between", ["count"], [3, 3]),
        ("between", ["count"], [4, 3]),
        ("one_of", ["gift"], ["a", "b"]),
        ("equal", ["amount", "dollars"], []),
        ("no_more_than", ["amount", "dollars"], []),
        ("no_more_than", ["home", "region"], []),
        ("sum_at_least", ["amount", "count"], [1]),
    ],
)
def test_a_condition_that_does_not_fit_its_fields_is_nothing_to_prove(
    operator: str, names: list[str], values: list[Value]
) -> None:
    condition = Condition.of(operator, names, values)
    with pytest.raises(Malformed):
        predicates.Statement(schema=SCHEMA, predicates=(condition.predicate(SCHEMA),))


@pytest.mark.parametrize(
    "change",
    [
        {"is": None},
        {"is": ["at_least"]},
        {"fields": "count"},
        {"fields": None},
        {"values": None},
        {"values": [[]]},
        {"values": [{}]},
        {"more": 1},
    ],
)
def test_a_condition_of_other_members_does_not_parse(change: dict[str, Any]) -> None:
    written = Condition.of("at_least", ["count"], [1]).to_json()
    parse_condition(written)
    with pytest.raises(Malformed):
        parse_condition(written | change)
    with pytest.raises(Malformed):
        parse_condition([])


def test_true_is_not_one() -> None:
    numbers = Condition.of("one_of", ["x"], [0, 1])
    assert numbers != Condition.of("one_of", ["x"], [False, True])
    assert numbers != "x"


def test_what_has_no_order_is_put_in_one() -> None:
    assert Condition.of("one_of", ["x"], [10, 9, 9]).values == (10, 9)
    assert Condition.of("equal", ["b", "a"]) == Condition.of("equal", ["a", "b"])
    assert Condition.of("no_more_than", ["b", "a"]).fields == ("b", "a")


def test_conditions_stand_in_order_each_once() -> None:
    many = [Condition.of("at_least", ["x"], [bound]) for bound in (3, 1, 2, 3)]
    where = ordered(many)
    assert [condition.values for condition in where] == [(1,), (2,), (3,)]
    written = [condition.to_json() for condition in where]
    assert parse_conditions(written) == where
    wrong: list[object] = [written[::-1], written * 2, {}, None, [1]]
    for other in wrong:
        with pytest.raises(Malformed):
            parse_conditions(other)
    with pytest.raises(Malformed):
        check_conditions(list(where))
    with pytest.raises(Malformed):
        check_conditions(("x",))


def test_there_are_at_most_sixteen() -> None:
    many = [Condition.of("at_least", ["x"], [bound]) for bound in range(17)]
    assert len(check_conditions(ordered(many[:MOST_CONDITIONS]))) == 16
    with pytest.raises(Malformed):
        check_conditions(ordered(many))


def test_there_are_no_more_octets_than_a_receipt_should_keep() -> None:
    def of(length: int) -> tuple[Condition, ...]:
        return (Condition.of("one_of", ["x"], ["a", "b" * length]),)

    longest = MOST_OCTETS - len(of(0)[0].canonical())
    assert check_conditions(of(longest))
    for check in (check_conditions, lambda each: parse_conditions([each[0].to_json()])):
        with pytest.raises(Malformed, match="octets"):
            check(of(longest + 1))
