"""Plans at their limits: as large as they may be, and all that they can say."""

import json
from typing import Any

import pytest

from crypto.encoding import canonical
from crypto.errors import Malformed
from ledger.conditions import Condition
from ledger.plan_laws import MOST_OCTETS
from ledger.plan_parts import (
    GRAINS,
    MEASURES,
    MOST_PARTIES,
    parse_group,
    parse_measure,
    parse_party,
    parse_replaced,
    period,
)
from ledger.plans import Group, Kind, Measure, Plan, Replaced, parse_plan
from tests.unit.ledger.planned import flipped, party, plan, rows

LISTS = (Kind.INTERSECTION, Kind.JOINT_SUM, Kind.RING_COUNT)
HEX = "ab" * 32
FILTERS = [
    Condition.of("at_least", ["units"], [3]),
    Condition.of("at_most", ["units"], [3]),
    Condition.of("before", ["shipped_on"], ["2026-01-01"]),
    Condition.of("after", ["shipped_on"], ["2026-01-01"]),
    Condition.of("between", ["units"], [3, 5]),
    Condition.of("one_of", ["region"], ["North", "South"]),
]


def test_kinds_and_measures_are_called_what_they_were() -> None:
    """Their names are on the wire, and under signatures."""
    assert [kind.value for kind in Kind] == [
        "heat-map",
        "intersection",
        "joint-sum",
        "ring-count",
        "federated-sum",
    ]
    assert MEASURES == ("count", "sum")
    assert GRAINS == ("value", "day", "week", "month", "quarter", "year")


@pytest.mark.parametrize(
    "values",
    [
        ("x" * 256,),
        ("华" * 256,),
        (" ", "~", "\xa0", "\xe9"),
        tuple(map(str, range(4096))),
    ],
    ids=["long", "long in any script", "just beside controls", "many"],
)
def test_a_group_has_as_much_as_it_may_have(values: tuple[str, ...]) -> None:
    made = Group(field="region", grain="value", values=values)
    assert parse_group(made.to_json()) == made


def test_a_group_has_no_more_values_than_it_may_have() -> None:
    with pytest.raises(Malformed, match="at most 4096"):
        Group(field="region", grain="value", values=tuple(map(str, range(4097))))


def test_no_value_counts_nowhere_whatever_a_group_names() -> None:
    of = Group(field="region", grain="value", values=("None", "null", "0", "1"))
    assert of.label(None) is None
    assert of.place(None) is None
    assert of.label(False) is None
    assert of.place(True) is None


def test_booleans_count_under_true_and_false() -> None:
    of = Group(field="member", grain="value", values=("false", "true"))
    assert (of.label(False), of.label(True)) == ("false", "true")
    assert (of.place(False), of.place(True)) == (0, 1)


@pytest.mark.parametrize(
    ("day", "first"),
    [
        ("2026-01-31", "2026-01-01"),
        ("2026-03-31", "2026-01-01"),
        ("2026-04-01", "2026-04-01"),
        ("2026-06-30", "2026-04-01"),
        ("2026-07-01", "2026-07-01"),
        ("2026-09-30", "2026-07-01"),
        ("2026-10-01", "2026-10-01"),
        ("2026-12-31", "2026-10-01"),
    ],
)
def test_quarters_begin_in_january_april_july_and_october(day: str, first: str) -> None:
    assert period("quarter", day) == first


def test_weeks_begin_on_monday() -> None:
    assert period("week", "2026-11-15") == "2026-11-09"
    assert period("week", "2026-11-16") == "2026-11-16"


@pytest.mark.parametrize("day", ["20261118", "2026-W47-3", "2026-11-31", "", "soon"])
@pytest.mark.parametrize("grain", ["day", "week", "month", "quarter", "year"])
def test_a_day_that_is_written_otherwise_is_in_no_period(grain: str, day: str) -> None:
    assert period(grain, day) is None


@pytest.mark.parametrize("bound", [1, 2**40])
def test_a_sum_is_cut_off_within_its_range(bound: int) -> None:
    made = Measure(what="sum", field="units", bound=bound)
    assert parse_measure(made.to_json()) == made


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("did", "somebody"),
        ("agreement", ""),
        ("agreement", "合同"),
        ("agreement_hash", HEX.upper()),
        ("dataset", ""),
        ("more", "than that"),
    ],
)
def test_a_party_out_of_form_does_not_parse(member: str, value: str) -> None:
    told = party(1).to_json()
    assert parse_party(told) == party(1)
    with pytest.raises(Malformed):
        parse_party(told | {member: value})


@pytest.mark.parametrize("member", ["did", "agreement", "agreement_hash", "dataset"])
def test_a_party_says_all_of_itself(member: str) -> None:
    told = party(1).to_json()
    del told[member]
    with pytest.raises(Malformed, match="lacks"):
        parse_party(told)


def test_as_many_can_be_missing_as_there_were() -> None:
    missing = tuple(f"did:web:p{at:02}" for at in range(MOST_PARTIES + 1))
    made = Replaced(round=HEX, missing=missing[:20])
    assert parse_replaced(made.to_json()) == made
    for wrong in ({"missing": list(missing)}, {"round": "ab"}, {"more": 1}):
        with pytest.raises(Malformed):
            parse_replaced(made.to_json() | wrong)


@pytest.mark.parametrize(
    "condition", FILTERS, ids=lambda condition: str(condition.operator)
)
def test_records_are_filtered_by_one_field(condition: Condition) -> None:
    assert plan(filters=(condition,)).filters == (condition,)


def test_records_are_filtered_in_every_way_at_once() -> None:
    every = tuple(sorted(FILTERS, key=lambda each: canonical(each.to_json())))
    assert plan(filters=every).filters == every


@pytest.mark.parametrize("operator", ["no_more_than", "equal", "sum_at_least"])
def test_records_are_not_filtered_by_two_fields(operator: str) -> None:
    values = [5] if operator == "sum_at_least" else []
    with pytest.raises(Malformed, match="two fields"):
        plan(filters=(Condition.of(operator, ["limit", "order_total"], values),))


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("size", [64, 72, 2**22])
def test_a_list_is_as_long_as_it_may_be(kind: Kind, size: int) -> None:
    assert plan(kind, size=size).size == size
    with pytest.raises(Malformed, match="size"):
        plan(kind, size=size + 1)


def test_a_list_is_no_longer_than_it_may_be() -> None:
    with pytest.raises(Malformed, match="size"):
        plan(Kind.INTERSECTION, size=2**22 + 2**19)  # filled up, and too long


def test_an_intersection_is_counted_or_listed() -> None:
    one = plan(Kind.INTERSECTION, mode="list")
    assert parse_plan(json.loads(one.canonical())) == one


def test_a_sum_of_many_is_of_three_to_twenty_under_either_parameters() -> None:
    many = tuple(party(at) for at in [1, *range(3, 23)])
    for parameters in ("bfv-4096-40", "bfv-8192-41"):
        made = plan(Kind.FEDERATED_SUM, parties=many[:20], parameters=parameters)
        assert len(made.parties) == MOST_PARTIES
    with pytest.raises(Malformed, match="20"):
        plan(Kind.FEDERATED_SUM, parties=many)


@pytest.mark.parametrize(
    ("member", "least", "most"),
    [
        ("contribution", 1, 50),
        ("epsilon_micro", 1, 20_000_000),
        ("k_min", 5, 1_000_000),
    ],
)
def test_numbers_of_a_plan_have_both_ends(member: str, least: int, most: int) -> None:
    def made(value: int) -> Plan:
        changes: dict[str, Any] = {member: value}
        return plan(**changes)

    for value in (least, most):
        assert made(value).to_json()[member] == value
    for value in (least - 1, most + 1):
        with pytest.raises(Malformed):
            made(value)


@pytest.mark.parametrize(
    ("most", "member"), [(8, "groups"), (8, "totals"), (256, "segment_labels")]
)
def test_lists_of_a_plan_have_an_end(most: int, member: str) -> None:
    names = tuple(f"n{at}" for at in range(most + 1))
    groups = tuple(Group(field=n, grain="value", values=("a",)) for n in names)

    def made(count: int) -> Plan:
        if member == "segment_labels":
            return rows(segment_labels=names[:count])
        totals = names[:count] if member == "totals" else ()
        return flipped(
            groups=groups[: count if member == "groups" else 8], totals=totals
        )

    assert len(getattr(made(most), member)) == most
    with pytest.raises(Malformed, match=f"{member} must be an array of at most {most}"):
        made(most + 1)


def test_a_plan_has_so_many_octets_and_no_more() -> None:
    longest = [f"{n:0256}" for n in range(1009)]
    empty = len(
        plan(groups=(Group(field="a", grain="value", values=("0",)),)).canonical()
    )
    room = MOST_OCTETS - empty - sum(len(each) + 3 for each in longest) + 1
    assert 2 <= room <= 256
    for size, fits in ((room, True), (room + 1, False)):
        made = Group(field="a", grain="value", values=(*longest, "x" * size))
        if fits:
            assert len(plan(groups=(made,)).canonical()) == MOST_OCTETS == 2**18
        else:
            with pytest.raises(Malformed, match=str(MOST_OCTETS)):
                plan(groups=(made,))
