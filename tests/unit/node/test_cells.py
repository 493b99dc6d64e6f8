"""What each customer adds to a table: clipped, in few cells, the same in any order."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import Malformed
from ledger.conditions import Condition
from ledger.plans import Group, Measure, Plan
from node.domain.cells import Amounts, Cohort, Gathering
from node.domain.dataset import Mode
from tests.support.heat_maps import dataset, signed_plan

DATASET = dataset(Path("/nowhere.csv"))
SEED = bytes(range(32))
FAULT = (Group(field="fault", grain="value", values=("a", "b", "c", "d", "e")),)
COST = Measure(what="sum", field="cost", bound=1000)


def plan(**changes: Any) -> Plan:
    return signed_plan(**{"groups": FAULT, **changes}).plan


def row(customer: str, fault: str = "a", **values: Any) -> tuple[str, dict[str, Any]]:
    return customer, {"fault": fault, **values}


def gathered(
    asked: Plan,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    others: Sequence[Cohort] = (),
    shared: frozenset[str] = frozenset(),
    seed: bytes = SEED,
) -> Amounts:
    gathering = Gathering(asked, DATASET, others, shared)
    for customer, values in rows:
        gathering.take(customer, values)
    return gathering.amounts(seed)


def test_a_customer_counts_once_in_a_cell() -> None:
    found = gathered(plan(), [row("x"), row("x"), row("y"), row("y", "b")])
    assert found.sums(5) == found.customers(5) == [2, 1, 0, 0, 0]


def test_a_value_that_is_not_in_the_plan_is_in_no_cell() -> None:
    found = gathered(plan(), [row("x", "z"), row("y")])
    assert found.sums(5) == [1, 0, 0, 0, 0]
    assert found.cohort == 2


def test_amounts_are_added_up_before_they_are_clipped() -> None:
    rows = [row("x", cost="6.00"), row("x", cost="-2.50"), row("y", cost="99.00")]
    found = gathered(plan(measure=COST), rows)
    assert found.by_customer == {"x": {0: 350}, "y": {0: 1000}}


def test_what_is_below_zero_adds_nothing_and_is_counted() -> None:
    found = gathered(plan(measure=COST), [row("x", cost="-0.05")])
    assert found.sums(1) == [0]
    assert found.customers(1) == [1]


def test_a_row_without_a_value_adds_nothing_to_a_sum() -> None:
    rows = [row("x", cost=None), row("y", cost="1.00")]
    found = gathered(plan(measure=COST), rows)
    assert found.by_customer == {"y": {0: 100}}
    assert found.cohort == 2
    counted = plan(measure=Measure(what="count", field="cost", bound=1))
    assert gathered(counted, rows).sums(1) == [1]


def test_whole_numbers_are_summed_as_they_are() -> None:
    miles = Measure(what="sum", field="mileage", bound=500)
    rows = [row("x", mileage=120), row("y", mileage=700), row("z", mileage=None)]
    assert gathered(plan(measure=miles), rows).sums(1) == [620]


def test_only_numbers_are_summed() -> None:
    """Text, which could name somebody, never enters arithmetic."""
    for name in ("region", "reported", "nothing"):
        asked = plan(measure=Measure(what="sum", field=name, bound=1))
        with pytest.raises(Malformed):
            Gathering(asked, DATASET)


@pytest.mark.parametrize(
    "condition",
    [
        Condition.of("at_least", ["fault"], ["a"]),
        Condition.of("at_least", ["cost"], [3]),
        Condition.of("one_of", ["nothing"], ["a", "b"]),
    ],
)
def test_filters_fit_their_fields(condition: Condition) -> None:
    with pytest.raises(Malformed):
        Gathering(plan(filters=(condition,)), DATASET)


def test_nobody_is_in_more_cells_than_the_plan_says() -> None:
    rows = [row("x", fault) for fault in "abcde"] + [row("y")]
    found = gathered(plan(contribution=2), rows)
    assert len(found.by_customer["x"]) == 2
    assert found.by_customer["y"] == {0: 1}


def test_which_cells_count_does_not_depend_on_the_order_of_rows() -> None:
    rows = [row(f"v{n}", fault) for n in range(20) for fault in "abcde"]
    asked = plan(contribution=2)
    found = gathered(asked, rows)
    random.Random(1).shuffle(rows)  # noqa: S311  # reproducible, not secret
    assert gathered(asked, rows).by_customer == found.by_customer


def test_which_cells_count_depends_on_a_secret_and_on_the_customer() -> None:
    rows = [row(f"v{n}", fault) for n in range(200) for fault in "abcde"]
    asked = plan(contribution=2)
    one, other = gathered(asked, rows), gathered(asked, rows, seed=bytes(32))
    assert one.by_customer != other.by_customer
    assert all(50 < count < 110 for count in one.customers(5))


def test_a_cohort_is_of_customers_with_a_row_that_passes_all_filters() -> None:
    filters = (
        Condition.of("at_least", ["mileage"], [100]),
        Condition.of("one_of", ["region"], ["North", "South"]),
    )
    rows = [
        row("x", mileage=50, region="North"),
        row("x", mileage=200, region="East"),
        row("y", mileage=100, region="South"),
        row("z", mileage=None, region="North"),
    ]
    found = gathered(plan(filters=filters), rows)
    assert (found.cohort, found.members) == (1, frozenset("y"))


def test_cohorts_of_earlier_plans_are_compared_in_the_same_rows() -> None:
    rows = [row(f"v{n}", mileage=n) for n in range(100)]
    low, high = (
        Cohort((Condition.of("at_most", ["mileage"], [bound]),), shared=False)
        for bound in (97, 20)
    )
    everybody, known = Cohort((), shared=False), Cohort((), shared=True)
    found = gathered(
        plan(filters=(Condition.of("at_most", ["mileage"], [95]),)),
        rows,
        [low, high, everybody, known],
        frozenset({"v1", "v99", "other"}),
    )
    assert found.cohort == 96
    assert found.differences == (2, 75, 4, 96)
    assert found.smallest == 2


def test_cohorts_that_cannot_be_evaluated_any_more_are_left_out() -> None:
    gone = Cohort((Condition.of("one_of", ["gone"], ["a", "b"]),), shared=False)
    found = gathered(plan(), [row("x"), row("y")], [gone, Cohort((), shared=False)])
    assert found.differences == (0,)


def test_only_fields_that_leave_as_figures_are_looked_at() -> None:
    """Whatever else a partner names: groups, filters and measures alike."""
    plain = replace(
        DATASET,
        fields=tuple(
            replace(each, modes=frozenset({Mode.PLAIN})) for each in DATASET.fields
        ),
    )
    for changes in (
        {},
        {"groups": (Group(field="vin", grain="value", values=("a",)),)},
        {"groups": (), "filters": (Condition.of("one_of", ["fault"], ["a", "b"]),)},
        {"groups": (), "measure": COST},
    ):
        with pytest.raises(Malformed, match="not for figures"):
            Gathering(plan(**changes), plain)


def test_a_plan_over_shared_customers_is_over_no_other() -> None:
    rows = [row("x"), row("y"), row("z")]
    found = gathered(plan(cohort="shared"), rows, shared=frozenset({"x", "q"}))
    assert found.by_customer == {"x": {0: 1}}


@given(
    st.lists(
        st.tuples(
            st.sampled_from("uvwxyz"), st.sampled_from("abcdez"), st.integers(-99, 3000)
        ),
        max_size=60,
    ),
    st.integers(1, 5),
    st.sampled_from("uvwxyz"),
)
def test_one_customer_changes_a_table_by_no_more_than_the_plan_says(
    made: list[tuple[str, str, int]], contribution: int, gone: str
) -> None:
    """The sensitivity by which noise is measured: in sums, counts and the cohort."""
    measure = Measure(what="sum", field="mileage", bound=1000)
    asked = plan(contribution=contribution, measure=measure)
    rows = [row(name, cell, mileage=amount) for name, cell, amount in made]
    left = [each for each in rows if each[0] != gone]
    earlier = [Cohort((Condition.of("at_least", ["mileage"], [500]),), shared=False)]
    one, other = (gathered(asked, each, earlier) for each in (rows, left))
    sums = zip(one.sums(5), other.sums(5), strict=True)
    counts = zip(one.customers(5), other.customers(5), strict=True)
    assert sum(abs(a - b) for a, b in sums) <= contribution * 1000
    assert sum(abs(a - b) for a, b in counts) <= contribution
    assert abs(one.smallest - other.smallest) <= 1
