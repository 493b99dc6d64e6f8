"""Figures that come of joint sums: limbs that never overflow, means, rates, totals."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import Malformed
from crypto.noise import spread
from crypto.parameters import parameter_set
from ledger.plans import Kind, Measure, Plan
from node.domain.joint import (
    MOST,
    Figure,
    Limbs,
    delivery_period,
    lifetime_value,
    limbs,
    written,
)
from node.services.aggregates.joint_rules import cut, for_count, for_sum, ranges
from tests.unit.ledger import planned

SLOT = parameter_set("bfv-8192-41").most


@given(st.data(), st.integers(1, 2**40), st.integers(1, 2**22))
def test_limbs_add_up_to_the_sum_and_none_leaves_its_slot(
    data: st.DataObject, bound: int, rows: int
) -> None:
    noise = 40
    if rows * bound > MOST:
        with pytest.raises(Malformed):
            limbs(bound=bound, rows=rows, most=SLOT)
        return
    cut = limbs(bound=bound, rows=rows, most=SLOT, noise=lambda most: noise * most)
    assert rows * max(cut.bounds) + noise * cut.sensitivity <= SLOT
    numbers = data.draw(st.lists(st.integers(-bound, bound), max_size=20))
    totals = [0] * cut.count
    for number in [*numbers, bound, -bound, bound]:
        digits = cut.split(number)
        pairs = zip(digits, cut.bounds, strict=True)
        assert all(abs(digit) <= most for digit, most in pairs)
        totals = [a + b for a, b in zip(totals, digits, strict=True)]
    assert cut.join(totals) == sum(numbers) + bound


def test_limbs_are_as_few_as_can_be() -> None:
    assert limbs(bound=2**20, rows=2**20, most=2**40) == Limbs(
        bound=2**20, count=1, width=21
    )
    assert limbs(bound=2**20, rows=2**20 + 1, most=2**40).count == 2
    assert limbs(bound=1, rows=1, most=1).count == 1


@pytest.mark.parametrize(
    ("bound", "rows", "noise"), [(0, 5, 0), (2**40, 2**13, 0), (5, 5, SLOT)]
)
def test_what_fits_no_slot_is_refused(bound: int, rows: int, noise: int) -> None:
    with pytest.raises(Malformed):
        limbs(bound=bound, rows=rows, most=SLOT, noise=lambda _: noise)


FIRST = Figure(sum=123_456, count=40, asked=100, spread=400, scale=2)
SECOND = Figure(sum=-23_456, count=10, asked=100, spread=100, scale=2)


def joint(bound: int, size: int, epsilon_micro: int = 1_000_000) -> Plan:
    measure = Measure(what="sum", field="order_total", bound=bound)
    changes = {"measure": measure, "size": size, "epsilon_micro": epsilon_micro}
    return planned.plan(Kind.JOINT_SUM, **changes)


def test_no_more_values_are_added_up_than_the_shorter_list_has() -> None:
    bound, short, long = 2**30, 128, 8192
    wanted = cut(joint(bound, short), short)
    for ours, theirs in ((short, long), (long, short)):
        found = cut(joint(bound, ours), theirs)
        assert found == wanted
        most = ranges(joint(bound, ours), theirs, found)
        assert most == ranges(joint(bound, short), short, found)
    assert cut(joint(bound, long), long) != wanted


def test_what_the_asker_adds_to_hide_itself_has_room_too() -> None:
    dear, cheap = (joint(2**30, 128, epsilon) for epsilon in (10**6, 10**5))
    assert (cut(dear, 128).count, cut(cheap, 128).count) == (1, 2)
    for plan in (dear, cheap):
        found = cut(plan, 128)
        noise = spread(found.sensitivity, for_sum(plan), 2.0**-40)
        assert ranges(plan, 128, found) == tuple(
            128 * bound + noise for bound in found.bounds
        )
        assert max(ranges(plan, 128, found)) <= SLOT


@pytest.mark.parametrize(
    ("epsilon", "apart"), [(1, (1, 1)), (9, (1, 8)), (10, (1, 9)), (1000, (100, 900))]
)
def test_what_the_asker_spends_on_hiding_itself_is_never_nothing(
    epsilon: int, apart: tuple[int, int]
) -> None:
    plan = joint(1, 64, epsilon)
    assert (for_sum(plan), for_count(plan)) == apart


def test_mean_and_rate_follow_from_sum_and_count() -> None:
    assert FIRST.mean == Fraction("30.864")
    assert FIRST.mean_spread == Fraction("0.1")
    assert FIRST.rate == Fraction("0.4")


def test_lifetime_value_is_the_sum_over_providers() -> None:
    found = lifetime_value([FIRST, SECOND])
    assert (found.value, found.spread) == (Fraction(1000), Fraction(5))
    assert lifetime_value([FIRST]).value == Fraction("1234.56")


def test_a_joint_delivery_period_is_the_sum_of_the_means_of_its_stages() -> None:
    making = Figure(sum=1200, count=40, asked=100, spread=20)
    sending = Figure(sum=35, count=10, asked=100, spread=5)
    found = delivery_period([making, sending])
    assert (found.value, found.spread) == (Fraction("33.5"), Fraction(1))


@pytest.mark.parametrize("combine", [lifetime_value, delivery_period])
def test_figures_of_two_scales_are_not_added_up(combine: object) -> None:
    assert callable(combine)
    for figures in ([], [FIRST, Figure(sum=1, count=1, asked=1, spread=0)]):
        with pytest.raises(ValueError, match="added up"):
            combine(figures)


@pytest.mark.parametrize(
    ("number", "digits", "text"),
    [
        (Fraction(1, 3), 4, "0.3333"),
        (Fraction(-7, 2), 2, "-3.50"),
        (Fraction(1, 8), 2, "0.12"),
        (Fraction(3, 8), 2, "0.38"),
        (Fraction(-1, 1000), 2, "0.00"),
        (Fraction(5, 2), 0, "2"),
        (Fraction(-12), 0, "-12"),
    ],
)
def test_numbers_are_written_rounded_half_to_even(
    number: Fraction, digits: int, text: str
) -> None:
    assert written(number, digits) == text
