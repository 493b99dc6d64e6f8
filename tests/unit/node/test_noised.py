"""What may be told of a table: raised, noised, suppressed, and charged in full."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import noise
from ledger.plans import Measure, Plan
from node.domain.noised import Noised, Shares, bitmap, noised, parse_bitmap, shown
from tests.support.heat_maps import narrow, signed_plan, silent

SUM = Measure(what="sum", field="cost", bound=100)


def plan(**changes: Any) -> Plan:
    return signed_plan(groups=(), **changes).plan


class Seen:
    """Noise that says what it was asked for, and adds a fixed number."""

    def __init__(self, add: int = 0) -> None:
        self.asked: list[tuple[list[int], int, int]] = []
        self.add = add

    def __call__(
        self, values: Sequence[int], *, sensitivity: int, epsilon_micro: int
    ) -> list[int]:
        self.asked.append((list(values), sensitivity, epsilon_micro))
        return [value + self.add for value in values]


def made(asked: Plan, customers: Sequence[int], sums: Sequence[int]) -> Noised:
    return noised(asked, customers=customers, sums=sums, laplace=silent, spread=narrow)


@given(st.integers(1, 20_000_000), st.sampled_from([SUM, None]))
def test_shares_are_together_what_a_plan_costs(
    epsilon: int, measure: Measure | None
) -> None:
    asked = plan(epsilon_micro=epsilon, **({"measure": measure} if measure else {}))
    shares = Shares.of(asked)
    assert shares.test + shares.counts + shares.sums == epsilon
    assert shares.test == max(epsilon // 10, 1)
    assert (shares.sums == 0) is (measure is None or epsilon < 2)


def test_cells_below_the_least_cohort_are_all_alike() -> None:
    seen = Seen()
    asked = plan(k_min=6)
    noised(asked, customers=[0, 3, 5, 6, 7], sums=[0] * 5, laplace=seen, spread=narrow)
    assert seen.asked == [([5, 5, 5, 6, 7], 10, 900_000)]


def test_without_noise_cells_of_the_least_cohort_and_more_are_shown() -> None:
    table = made(plan(k_min=6), [0, 5, 6, 70], [0, 5, 6, 70])
    assert shown(table.cells, table.suppressed) == [None, None, 6, 70]
    assert table.shown == 2


def test_sums_are_suppressed_by_their_count_of_customers() -> None:
    table = made(plan(k_min=6, measure=SUM), [5, 6], [500, 20])
    assert shown(table.cells, table.suppressed) == [None, 20]


def test_noise_is_as_large_as_a_customer_can_do() -> None:
    seen = Seen()
    asked = plan(k_min=6, contribution=4, measure=SUM, epsilon_micro=1_000_000)
    noised(asked, customers=[9], sums=[70], laplace=seen, spread=narrow)
    assert seen.asked == [([9], 4, 180_000), ([70], 400, 720_000)]


def test_a_small_cell_shows_by_chance_once_in_a_hundred() -> None:
    asked = plan(k_min=5, contribution=1, epsilon_micro=1_000_000)
    table = noised(
        asked,
        customers=[4] * 20_000,
        sums=[4] * 20_000,
        laplace=noise.laplace,
        spread=noise.spread,
    )
    # It is one in 127, for noise is whole numbers: fewer than 80 or more than 250 of
    # 20,000 are once in 10^11.
    assert 80 <= table.shown <= 250


def test_a_sum_of_more_than_noise_is_added_to_is_cut_off_and_not_told_apart() -> None:
    asked = plan(k_min=5, measure=Measure(what="sum", field="cost", bound=2**40))
    table = noised(
        asked,
        customers=[2**23] * 2,
        sums=[2**63, 2**62 + 1],
        laplace=noise.laplace,
        spread=noise.spread,
    )
    assert table.suppressed == (False, False)
    assert table.bound >= 2**61


def test_nothing_is_shown_below_zero() -> None:
    seen = Seen(add=-30)
    asked = plan(k_min=5, measure=SUM)
    table = noised(asked, customers=[900], sums=[7], laplace=seen, spread=narrow)
    assert table.cells == (0,)
    assert table.suppressed == (False,)


@pytest.mark.parametrize(
    ("largest", "bound"), [(0, 1), (1, 1), (2, 2), (3, 4), (64, 64), (65, 128)]
)
def test_the_bound_is_the_next_power_of_two(largest: int, bound: int) -> None:
    table = made(plan(k_min=5, measure=SUM), [9, 9], [0, largest])
    assert table.bound == bound


def test_the_spread_holds_for_all_cells_together() -> None:
    asked = plan(k_min=5, measure=SUM, contribution=2, epsilon_micro=2_000_000)
    table = noised(
        asked,
        customers=[900] * 2000,
        sums=[10**9] * 2000,
        laplace=noise.laplace,
        spread=noise.spread,
    )
    assert table.spread == noise.spread(200, Shares.of(asked).sums, 0.01 / 2000)
    beyond = [cell for cell in table.cells if abs(cell - 10**9) > table.spread]
    assert len(beyond) <= 3  # each once in 200,000: four of 2000, once in 10^9.4


@given(st.lists(st.booleans(), max_size=200))
def test_flags_are_read_as_they_were_written(flags: list[bool]) -> None:
    assert parse_bitmap(bitmap(flags), len(flags)) == tuple(flags)


def test_flags_of_another_length_are_not_read() -> None:
    assert parse_bitmap(b"", 1) is None
    assert parse_bitmap(b"\x00\x00", 8) is None
    assert parse_bitmap(b"\x08", 3) is None
