"""Noise is charged with no less than it costs, and is distributed as it is said to be.

Tests of samples have bounds that honest noise misses less often than once in 10^9.
"""

import math
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import noise
from crypto.errors import Invalid, Malformed
from crypto.noise import MICRO, cost, laplace, scale_for, spread

SENSITIVITIES = st.integers(1, 2**53)
EPSILONS = st.integers(1, 20 * MICRO)
SCALES = st.floats(1e-3, 2.0**56)
DRAWS = 40_000
SIGMAS = 7.0


def fits(sensitivity: int, epsilon_micro: int) -> bool:
    """Whether there is a scale: noise must fit 64 bits."""
    return sensitivity * MICRO / epsilon_micro < 2.0**56


def drawn(sensitivity: int, epsilon_micro: int, value: int = 0) -> list[int]:
    figures = [value] * DRAWS
    noised = laplace(figures, sensitivity=sensitivity, epsilon_micro=epsilon_micro)
    return [each - value for each in noised]


def tail(scale: float, t: int) -> float:
    """Pr[|x| > t], summed up term by term: not by the formula that is tested."""
    a = math.exp(-1 / scale)
    terms = (a**x for x in range(t + 1, t + 1 + math.ceil(60 * scale) + 1))
    return 2 * (1 - a) / (1 + a) * math.fsum(terms)


# --- what it costs


@pytest.mark.parametrize(
    ("sensitivity", "scale", "micro"),
    [
        (1, 1.0, 1_000_000),
        (1, 2.0, 500_000),
        (3, 0.5, 6_000_000),
        (20, 10.0, 2_000_000),
        (1, 2.0**20, 1),  # 0.95 millionths
        (1, 2.0**56, 1),
        # A tenth is no double: the next larger one costs a millionth more.
        (1, 10.0, 100_001),
        (1, 3.0, 333_334),
        (2**53, 2.0**53, 1_000_000),
    ],
)
def test_noise_of_known_scales_costs_what_it_is_known_to(
    sensitivity: int, scale: float, micro: int
) -> None:
    assert cost(sensitivity, scale) == micro


@settings(deadline=None)  # the first to come loads the library
@given(SENSITIVITIES, SCALES)
def test_never_less_is_charged_than_the_exact_quotient(
    sensitivity: int, scale: float
) -> None:
    exact = Fraction(sensitivity) / Fraction(scale) * MICRO
    assert exact <= cost(sensitivity, scale) <= exact * (1 + Fraction(1, 2**50)) + 1


@settings(deadline=None)  # the first to come loads the library
@given(SENSITIVITIES, SCALES)
def test_never_less_is_charged_than_the_library_says(
    sensitivity: int, scale: float
) -> None:
    said = Fraction(noise._measurement(scale).map(sensitivity)) * MICRO
    assert said <= cost(sensitivity, scale) < said + 1


@settings(deadline=None)  # the first to come loads the library
@given(SENSITIVITIES, st.tuples(SCALES, SCALES))
def test_more_noise_never_costs_more(
    sensitivity: int, scales: tuple[float, float]
) -> None:
    less, more = sorted(scales)
    assert cost(sensitivity, more) <= cost(sensitivity, less)


@settings(deadline=None)  # the first to come loads the library
@given(st.tuples(SENSITIVITIES, SENSITIVITIES), SCALES)
def test_who_can_change_more_never_costs_less(
    sensitivities: tuple[int, int], scale: float
) -> None:
    less, more = sorted(sensitivities)
    assert cost(less, scale) <= cost(more, scale)


@settings(deadline=None)  # the first to come loads the library
@given(SENSITIVITIES, EPSILONS)
def test_the_scale_is_the_smallest_that_does_not_cost_too_much(
    sensitivity: int, epsilon_micro: int
) -> None:
    if not fits(sensitivity, epsilon_micro):
        with pytest.raises(Malformed, match="64 bits"):
            scale_for(sensitivity, epsilon_micro)
        return
    scale = scale_for(sensitivity, epsilon_micro)
    assert cost(sensitivity, scale) <= epsilon_micro
    assert cost(sensitivity, math.nextafter(scale, 0)) > epsilon_micro


# --- how large it is


@pytest.mark.parametrize("beta", [0.5, 0.05, 1e-3, 1e-9])
@pytest.mark.parametrize("epsilon_micro", [10_000, 450_000, MICRO, 20 * MICRO])
@pytest.mark.parametrize("sensitivity", [1, 4, 50])
def test_the_spread_is_the_smallest_bound_that_holds(
    sensitivity: int, epsilon_micro: int, beta: float
) -> None:
    scale = scale_for(sensitivity, epsilon_micro)
    bound = spread(sensitivity, epsilon_micro, beta)
    assert tail(scale, bound) <= beta * (1 + 1e-9)
    if bound:
        assert tail(scale, bound - 1) > beta * (1 - 1e-9)


def test_noise_stays_within_its_spread_as_often_as_said() -> None:
    bound = spread(1, 200_000, 0.01)
    outside = sum(abs(each) > bound for each in drawn(1, 200_000))
    expected = DRAWS * tail(scale_for(1, 200_000), bound)
    assert abs(outside - expected) < SIGMAS * math.sqrt(expected)


@pytest.mark.parametrize(
    ("sensitivity", "epsilon_micro", "value"),
    [(1, MICRO, 0), (4, 450_000, 1_000), (50 * 500_000, MICRO, -(2**40))],
)
def test_noised_figures_are_unbiased_and_spread_as_said(
    sensitivity: int, epsilon_micro: int, value: int
) -> None:
    found = drawn(sensitivity, epsilon_micro, value)
    a = math.exp(-1 / scale_for(sensitivity, epsilon_micro))
    variance = 2 * a / (1 - a) ** 2
    assert abs(math.fsum(found) / DRAWS) < SIGMAS * math.sqrt(variance / DRAWS)
    # The fourth moment of Laplace noise is six to eight times the variance squared.
    squares = math.fsum(each * each for each in found) / DRAWS
    assert abs(squares / variance - 1) < SIGMAS * math.sqrt(8 / DRAWS)


def test_noise_has_the_distribution_that_it_is_said_to_have() -> None:
    """Chi-squared over 13 classes; Laurent and Massart, 2000, for its tail."""
    found, a = Counter(drawn(1, 500_000)), math.exp(-1 / 2)
    inner = {str(x): (1 - a) / (1 + a) * a ** abs(x) for x in range(-5, 6)}
    outer = {"below": a**6 / (1 + a), "above": a**6 / (1 + a)}
    expected = inner | outer
    assert math.isclose(sum(expected.values()), 1)
    seen = {str(x): found.pop(x, 0) for x in range(-5, 6)} | {
        "below": sum(count for x, count in found.items() if x < 0),
        "above": sum(count for x, count in found.items() if x > 0),
    }
    statistic = sum(
        (seen[name] - DRAWS * share) ** 2 / (DRAWS * share)
        for name, share in expected.items()
    )
    freedom, exponent = len(expected) - 1, math.log(1e9)
    assert statistic < freedom + 2 * math.sqrt(freedom * exponent) + 2 * exponent


def test_each_figure_has_noise_of_its_own() -> None:
    found = drawn(1, 10_000)
    same = sum(one == other for one, other in pairwise(found))
    assert same < DRAWS * 0.02  # about one in 400 by chance


def test_noise_is_drawn_anew_each_time() -> None:
    assert drawn(1, 10_000) != drawn(1, 10_000)


def test_figures_are_left_as_they_are_given() -> None:
    figures = (1, 2, 3)
    assert all(type(x) is int for x in laplace(figures, sensitivity=1, epsilon_micro=9))
    assert figures == (1, 2, 3)
    assert laplace([], sensitivity=1, epsilon_micro=9) == []


def test_the_largest_figures_do_not_overflow() -> None:
    noised = laplace([2**62, -(2**62)], sensitivity=1, epsilon_micro=MICRO)
    assert all(abs(abs(each) - 2**62) < 1000 for each in noised)


# --- what is refused


@pytest.mark.parametrize("figure", [2**62 + 1, -(2**62) - 1, 2**63, 2**70, 1.0, True])
def test_a_figure_that_could_be_cut_off_is_refused_and_not_told(figure: Any) -> None:
    with pytest.raises(Malformed) as caught:
        laplace([0, figure], sensitivity=1, epsilon_micro=MICRO)
    assert str(figure) not in str(caught.value)


@pytest.mark.parametrize("sensitivity", [0, -1, 2**53 + 1, True, 1.0, "1"])
def test_a_sensitivity_that_means_nothing_is_refused(sensitivity: Any) -> None:
    with pytest.raises(Malformed):
        laplace([1], sensitivity=sensitivity, epsilon_micro=MICRO)
    with pytest.raises(Malformed):
        cost(sensitivity, 1.0)


@pytest.mark.parametrize("epsilon_micro", [0, -1, 10**12 + 1, True, 0.5, math.nan])
def test_an_epsilon_that_means_nothing_is_refused(epsilon_micro: Any) -> None:
    with pytest.raises(Malformed):
        laplace([1], sensitivity=1, epsilon_micro=epsilon_micro)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, 2.0**57, 5e-324])
def test_a_scale_that_means_nothing_is_refused(scale: float) -> None:
    with pytest.raises(Malformed):
        cost(1, scale)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_a_probability_that_means_nothing_is_refused(beta: float) -> None:
    with pytest.raises(Malformed):
        spread(1, MICRO, beta)


def test_noise_too_large_for_64_bits_is_refused() -> None:
    with pytest.raises(Malformed, match="64 bits"):
        laplace([0], sensitivity=2**53, epsilon_micro=1)


# --- the library


def test_the_library_gives_known_answers() -> None:
    noise.check()


def test_a_library_that_undercharges_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = noise._measurement
    monkeypatch.setattr(noise, "_measurement", lambda scale: honest(scale * 1.001))
    with pytest.raises(Invalid):
        noise.check()


def test_a_library_that_changes_figures_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = noise._measurement

    class Wrapped:
        def __init__(self, scale: float) -> None:
            self.map = honest(scale).map

        def __call__(self, figures: list[int]) -> list[int]:
            return [each & 0xFFFFFFFF for each in figures]

    monkeypatch.setattr(noise, "_measurement", Wrapped)
    with pytest.raises(Invalid):
        noise.check()


def test_the_library_is_loaded_when_noise_is_wanted() -> None:
    code = "import sys, crypto.noise; sys.exit('opendp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
