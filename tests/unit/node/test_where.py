"""Conditions as people write them, and as they are shown again."""

from typing import Any

import pytest

from ledger.conditions import Condition
from node.domain.dataset import FieldType
from node.domain.predicates import PredicateGrant
from node.domain.where import grant_in_words, in_words, parse_where
from node.errors import BadRequest


def granted(name: str, type_: FieldType, **more: Any) -> PredicateGrant:
    operators = {
        FieldType.TEXT: ("equal", "one_of"),
        FieldType.BOOLEAN: ("one_of",),
        FieldType.DATE: ("after", "before"),
    }.get(type_, ("at_least", "at_most"))
    right: dict[str, Any] = {"operators": operators, "probes": 8} | more
    return PredicateGrant(field=name, type=type_, **right)


EUR: dict[str, Any] = {"unit": "EUR", "scale": 2}
GRANTS = [
    granted("spend", FieldType.MONEY, step="100000.00", **EUR),
    granted("rent", FieldType.MONEY, **EUR),
    granted("machines", FieldType.INTEGER, unit="台"),
    granted("people", FieldType.INTEGER),
    granted("accepted", FieldType.DATE, step="month"),
    granted("stage", FieldType.TEXT),
    granted("phase", FieldType.TEXT),
    granted("insured", FieldType.BOOLEAN),
]


@pytest.mark.parametrize(
    ("text", "operator", "fields", "values", "shown"),
    [
        ("spend >= 500000", "at_least", "spend", ["500000.00"], "spend ≥ 500,000.00 EUR"),
        ("spend>=500,000.00EUR", "at_least", "spend", ["500000.00"], None),
        ("  spend  ≥  5.5  EUR ", "at_least", "spend", ["5.50"], "spend ≥ 5.50 EUR"),
        ("spend > 5", "at_least", "spend", ["5.01"], None),
        ("spend <= -5", "at_most", "spend", ["-5.00"], "spend ≤ -5.00 EUR"),
        ("spend < 500000", "at_most", "spend", ["499999.99"], None),
        ("spend < 0", "at_most", "spend", ["-0.01"], None),
        ("spend > -0.01", "at_least", "spend", ["0.00"], None),
        ("machines > 5 台", "at_least", "machines", [6], "machines ≥ 6 台"),
        ("people ≤ 1,000", "at_most", "people", [1000], "people ≤ 1,000"),
        (
            "spend between 100000 EUR and 199999.99",
            "between",
            "spend",
            ["100000.00", "199999.99"],
            "spend between 100,000.00 EUR and 199,999.99 EUR",
        ),
        (
            "accepted between 2026-03-01 and 2026-03-31",
            "between",
            "accepted",
            ["2026-03-01", "2026-03-31"],
            "accepted between 2026-03-01 and 2026-03-31",
        ),
        (
            "accepted before 2026-03-01",
            "before",
            "accepted",
            ["2026-03-01"],
            "accepted before 2026-03-01",
        ),
        ("accepted < 2026-03-01", "before", "accepted", ["2026-03-01"], None),
        ("accepted <= 2026-02-28", "before", "accepted", ["2026-03-01"], None),
        ("accepted after 2026-02-28", "after", "accepted", ["2026-02-28"], None),
        ("accepted > 2026-02-28", "after", "accepted", ["2026-02-28"], None),
        ("accepted >= 2026-03-01", "after", "accepted", ["2026-02-28"], None),
        (
            'stage in [on site, "on, hold", on site]',
            "one_of",
            "stage",
            ["on site", "on, hold"],
            'stage in ["on site", "on, hold"]',
        ),
        ("machines in [5, 7 台]", "one_of", "machines", [5, 7], "machines in [5, 7]"),
        ("spend in [5, 7.5]", "one_of", "spend", ["5.00", "7.50"], None),
        (
            "accepted in [2026-03-02, 2026-03-01]",
            "one_of",
            "accepted",
            ["2026-03-01", "2026-03-02"],
            None,
        ),
        ("insured in [true, false]", "one_of", "insured", [False, True], None),
        ("rent <= spend", "no_more_than", "rent spend", [], "rent ≤ spend"),
        ("spend >= rent", "no_more_than", "rent spend", [], None),
        ("stage = phase", "equal", "phase stage", [], "phase = stage"),
        ("spend == rent", "equal", "rent spend", [], None),
        (
            "spend + rent >= 500000 EUR",
            "sum_at_least",
            "rent spend",
            ["500000.00"],
            "rent + spend ≥ 500,000.00 EUR",
        ),
        ("spend+rent>5", "sum_at_least", "rent spend", ["5.01"], None),
    ],
)  # fmt: skip
def test_what_people_write_is_read_in_the_form_of_the_wire(
    text: str, operator: str, fields: str, values: list[Any], shown: str | None
) -> None:
    read = parse_where(text, GRANTS)
    assert read == Condition.of(operator, fields.split(), values)
    said = in_words(read, GRANTS)
    assert shown is None or said == shown
    assert parse_where(said, GRANTS) == read


@pytest.mark.parametrize(
    ("text", "code", "mend"),
    [
        ("", "form", "spend >= 500000"),
        ("spend", "form", "spend >= 500000"),
        ("spend !! 5", "form", "spend >= 500000"),
        ("Spend >= 5", "form", "spend >= 500000"),
        ("spend >=", "value", "as in 500000"),
        ("spend >= " + "5" * 10_000, "form", "10,000 characters"),
        ("stage in [a,, b]", "form", "Write sets"),
        ('stage in ["a, b]', "form", "Write sets"),
        ('stage in ["a" "b"]', "form", "Write sets"),
        (r'stage in ["\q", b]', "form", "quotes"),
        ("spnd >= 5", "field", "did you mean `spend`"),
        ("spend >= rented", "field", "rented"),
        ("spend + rented >= 5", "field", "rented"),
        ("stage >= 5", "operator", "no order"),
        ("stage <= phase", "operator", "no order"),
        ("stage between a and b", "operator", "no order"),
        ("stage = delivered", "operator", "stage in [first, second]"),
        ("spend = 5", "operator", "spend in [first, second]"),
        ("spend < rent", "operator", "<=, >= and ="),
        ("spend >= machines", "operator", "do not compare"),
        ("stage = insured", "operator", "do not compare"),
        ("spend before 2026-03-01", "operator", "only dates"),
        ("accepted + accepted >= 5", "operator", "only amounts"),
        ("stage + phase >= 5", "operator", "only amounts"),
        ("spend >= five", "field", "five"),
        ("spend >= 5,00", "value", "as in 500000"),
        ("spend >= 0x10", "unit", "leave out x10"),
        ("spend >= 1e9", "unit", "leave out e9"),
        ("spend >= 007", "value", "as in 500000"),
        ("spend >= 2026-03-01", "value", "as in 500000"),
        ("spend >= 5.555", "value", "at most 2 decimals"),
        ("spend >= 99999999999999999", "value", "2^53"),
        ("spend > 90071992547409.91", "value", "2^53"),
        ("machines >= 5.5", "value", "at most 0 decimals"),
        ("accepted >= 5", "value", "2026-03-01"),
        ("accepted before 2026-02-30", "value", "2026-03-01"),
        ("accepted before 2026-3-1", "value", "2026-03-01"),
        ("accepted <= 9999-12-31", "value", "2026-03-01"),
        ("spend between 6 and 5", "value", "empty"),
        ("spend between 5 and 5.00", "value", "differ"),
        ("stage in [a]", "value", "one would tell it"),
        ("stage in []", "value", "one would tell it"),
        ("stage in [a, a]", "value", "one would tell it"),
        ('stage in [a, " "]', "value", "double quotes"),
        ('stage in [a, "\\ud800"]', "value", "double quotes"),
        ("insured in [yes, no]", "value", "true or false"),
        ("stage in [" + ", ".join(map(str, range(65))) + "]", "value", "number of"),
        ("spend <= spend", "value", "two different fields"),
        ("spend >= 5 USD", "unit", "in EUR"),
        ("people >= 5 台", "unit", "no unit"),
        ("machines in [5 kg, 7]", "unit", "in 台"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_mend(
    text: str, code: str, mend: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_where(text, GRANTS)
    assert caught.value.code == f"where.{code}"
    assert mend in caught.value.detail


def test_without_grants_nothing_can_be_asked() -> None:
    with pytest.raises(BadRequest, match=r"where\.field.*grants no predicates"):
        parse_where("spend >= 5", [])


def test_a_condition_is_shown_without_grants_too() -> None:
    read = parse_where("spend >= 500000", GRANTS)
    assert in_words(read) == "spend ≥ 500000.00"


@pytest.mark.parametrize(
    ("grant", "words"),
    [
        (GRANTS[0], "spend: at_least, at_most · every 100,000.00 EUR · 8 for each customer"),
        (GRANTS[4], "accepted: after, before · every month · 8 for each customer"),
        (
            granted("stage", FieldType.TEXT, probes=10_000),
            "stage: equal, one_of · any bound · 10,000 for each customer",
        ),
    ],
)  # fmt: skip
def test_a_grant_is_shown_in_words(grant: PredicateGrant, words: str) -> None:
    assert grant_in_words(grant) == words
