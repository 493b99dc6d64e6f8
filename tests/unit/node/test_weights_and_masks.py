"""Weights and masks: what an asker puts into a heat map."""

import hashlib
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import Malformed
from crypto.kernels.packing import parse_numbers
from ledger.plans import Group
from node.domain.cells import Amounts
from node.domain.masks import masks_hash, parse_masks, selection, united, write_masks
from node.domain.noised import Noised
from node.domain.weights import Weights, totals_of
from node.errors import BadRequest
from node.services.aggregates.blinding import centred, uniform, zero_sums
from node.services.aggregates.earlier import Known
from node.services.aggregates.heat_map_wire import Keys
from node.services.aggregates.tally import Rows
from tests.support.heat_maps import signed_plan

T = 2199023190017
GROUPS = (
    Group(field="fault", grain="value", values=("a", "b")),
    Group(field="region", grain="value", values=("N", "S", "W")),
    Group(field="year", grain="value", values=("2025", "2026")),
)
PLAN = signed_plan(groups=GROUPS).plan


def test_without_weights_every_cell_weighs_one() -> None:
    weights = Weights.of(PLAN, None)
    assert (weights.values, weights.bound) == ((1,) * 12, 1)


def test_weights_by_value_are_multiplied() -> None:
    given = {"fault": {"a": 2, "b": -3}, "year": {"2026": 5}}
    assert Weights.of(PLAN, given).values == (0, 10) * 3 + (0, -15) * 3


@pytest.mark.parametrize(("largest", "bound"), [(0, 1), (1, 1), (-3, 4), (5, 8)])
def test_the_bound_of_weights_is_the_next_power_of_two(
    largest: int, bound: int
) -> None:
    assert Weights.of(PLAN, [largest] + [0] * 11).bound == bound


def test_weights_are_checked_against_what_a_slot_holds() -> None:
    weights = Weights.of(PLAN, [7] * 12)
    weights.check(100, 800)
    weights.check(100, 3200, cells=4)
    with pytest.raises(BadRequest, match="weights may be 7 in size"):
        weights.check(100, 799)
    with pytest.raises(BadRequest):
        weights.check(100, 3199, cells=4)


@pytest.mark.parametrize(
    ("totals", "wanted"),
    [
        ((), [0] * 12),
        (("fault",), [0] * 6 + [1] * 6),
        (("region",), [0, 0, 1, 1, 2, 2] * 2),
        (("fault", "year"), [0, 1] * 3 + [2, 3] * 3),
        (("fault", "region", "year"), list(range(12))),
    ],
)
def test_cells_are_added_up_by_totals(
    totals: tuple[str, ...], wanted: list[int]
) -> None:
    plan = signed_plan("flip", groups=GROUPS, totals=totals, key="0" * 64).plan
    assert totals_of(plan) == (wanted, max(wanted) + 1)


async def test_blinding_is_uniform_and_of_one_place_adds_up_to_nothing() -> None:

    places = [0, 1, 1, 2, 0, 1, 0]
    drawn = parse_numbers(await zero_sums(secrets.token_bytes, places, T))
    assert all(0 <= value < T for value in drawn)
    assert drawn[3] == 0
    for place in (0, 1):
        of = [v for v, at in zip(drawn, places, strict=True) if at == place]
        assert sum(of) % T == 0
        assert all(of)
    many = parse_numbers(await uniform(secrets.token_bytes, 4000, T))
    # Two of 4000 below 2^41 are alike once in 3 * 10^5; three times, once in 10^17.
    assert len(set(many)) >= 3998
    # 0.05 is more than six standard deviations: once in 10^9.5.
    assert 0.45 < sum(value > T // 2 for value in many) / 4000 < 0.55


@given(st.integers(-(2**70), 2**70))
def test_centred_numbers_are_the_same_modulo_t(value: int) -> None:
    found = centred(value, T)
    assert abs(found) <= T // 2
    assert (found - value) % T == 0


@given(st.lists(st.sets(st.integers(0, 127), max_size=20), max_size=5))
def test_masks_are_read_as_they_were_written(segments: list[set[int]]) -> None:
    taken: set[int] = set()
    apart = []
    for each in segments:
        apart.append(each - taken)
        taken |= each
    masks = parse_masks(write_masks(128, apart), 128, len(apart))
    assert [{p for p in range(128) if m >> p & 1} for m in masks] == apart
    assert [p for p, bit in enumerate(selection(united(masks), 128)) if bit] == sorted(
        taken
    )


def test_nobody_is_in_two_segments() -> None:
    for apart in ([], [[7]]):  # whatever segment is between them
        with pytest.raises(Malformed):
            write_masks(64, [[1, 2], *apart, [2, 3]])
    with pytest.raises(Malformed, match="two segments"):
        parse_masks(write_masks(64, [[1]]) + write_masks(64, [[1]]), 64, 2)


def test_masks_are_a_bit_for_each_position_the_first_lowest() -> None:
    octets = write_masks(64, [[0, 9], [63]])
    assert octets == b"\x01\x02" + bytes(13) + b"\x80"
    assert masks_hash(octets) == hashlib.sha256(octets).hexdigest()
    assert selection(0b1001, 64) == [1, 0, 0, 1] + [0] * 60


@pytest.mark.parametrize("size", [64, 2**20])
def test_the_least_and_the_largest_declaration_have_masks(size: int) -> None:
    assert parse_masks(bytes(size // 8), size, 1) == [0]


@pytest.mark.parametrize("size", [0, 32, 63, 65, 96, 2**20 + 64, 2**21, 64.0, "64"])
def test_a_declaration_is_as_long_as_a_power_of_two_within_bounds(size: Any) -> None:
    with pytest.raises(Malformed, match="power of two"):
        parse_masks(bytes(int(size) // 8), size, 1)


@pytest.mark.parametrize("position", [-1, 64])
def test_positions_are_within_the_declaration(position: int) -> None:
    with pytest.raises(Malformed):
        write_masks(64, [[position]])


@pytest.mark.parametrize(("octets", "count"), [(7, 1), (9, 1), (16, 1), (8, 2)])
def test_masks_are_of_the_right_length(octets: int, count: int) -> None:
    with pytest.raises(Malformed, match="a bit for each"):
        parse_masks(bytes(octets), 64, count)


def test_what_is_secret_shows_in_no_text_of_what_holds_it() -> None:
    """Weights, keys, customers and what they add up to: a log would keep it."""
    amounts = Amounts(
        by_customer={"VIN4711": {0: 4711}},
        cohort=4711,
        differences=(4711,),
        members=frozenset({"VIN4711"}),
    )
    known = Known(
        others=(),
        positions={"VIN4711": 3},
        size=64,
        declaration=None,
        reservation=None,
    )
    noised = Noised(cells=(), suppressed=(), bound=1, spread=0)
    for holder in (
        amounts,
        known,
        Keys(secret=b"4711", public=b"4711", digest="00"),
        Rows(size=64, matrix=b"4711", noised=noised),
        Weights(values=(4711,), bound=8192),
    ):
        assert "4711" not in repr(holder)
