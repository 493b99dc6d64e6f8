"""Noise that hides one customer in a sum: differential privacy on whole numbers.

A figure over customers tells something of each of them: whoever knows all but one
takes them off. *Noise* added to the figure limits that. It is drawn from the discrete
Laplace distribution, ``Pr[x] ~ exp(-|x| / scale)``, whose scale is the *sensitivity*
(by how much one customer can change all the figures together) over *epsilon*. Then
nothing that is seen is more than ``exp(epsilon)`` times as likely with a customer as
without, whatever else is known; and epsilons of several answers add up.

Epsilon is an integer here, in millionths. What is charged for noise is what OpenDP's
own privacy map says of it, rounded up, so that what is written down is never less
than what was spent. Noise is whole numbers from an exact sampler: no rounding of
floating-point numbers shows through (Mironov, 2012).

What can go wrong: a sensitivity that is smaller than what a customer can do makes
this empty, so clip before, never after. Noise that is drawn twice for one figure
averages out and costs twice: keep what was drawn. OpenDP adds in numbers of any size
and cuts off what does not fit 64 bits; that would be safe and silently wrong, so
values and scales that come near are refused. How long sampling takes depends on what
is drawn: do not let others measure it alone.

OpenDP draws from the random generator of the OpenSSL that it brings; ours cannot be
given to it. It works outside Python's lock, at some 100 values per millisecond: call
it in a thread.

Sources: Ghosh, Roughgarden and Sundararajan, 2012; Canonne, Kamath and Steinke,
2020/1288, section 5.2; OpenDP 0.16, `make_laplace`.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Final

from crypto.errors import Invalid, Malformed

MICRO: Final = 1_000_000
"""Micro-epsilon in an epsilon of one."""
_MOST: Final = 2**62
"""No value, and no noise but once in 2^64 draws, is larger: sums fit 64 bits."""
_LARGEST_SCALE: Final = 2.0**56
_SENSITIVE: Final = 2**53
"""Integers up to here are doubles as well, and those are what OpenDP divides."""
_EPSILON: Final = 10**12


def laplace(
    values: Sequence[int], *, sensitivity: int, epsilon_micro: int
) -> list[int]:
    """Add noise to figures that one customer changes by no more than `sensitivity`.

    All of them together cost `epsilon_micro`, and not each.

    Args:
        values: Exact figures, clipped to what `sensitivity` promises.
        sensitivity: L1: the sum over all figures of the most that one customer can
            change each, in the figures' units.
        epsilon_micro: Millionths of epsilon.

    Raises:
        Malformed: A figure beyond 2^62, or what `scale_for` refuses.
    """
    scale = scale_for(sensitivity, epsilon_micro)
    if any(type(value) is not int or abs(value) > _MOST for value in values):
        message = "a figure is no integer below 2^62"
        raise Malformed(message)
    return list(_measurement(scale)(list(values)))


def cost(sensitivity: int, scale: float) -> int:
    """Return what noise of a scale costs, in micro-epsilon, rounded up.

    Raises:
        Malformed: The sensitivity or the scale is out of range.
    """
    _check_sensitivity(sensitivity)
    if not 1 / _LARGEST_SCALE <= scale <= _LARGEST_SCALE:
        message = "the scale of the noise is out of range"
        raise Malformed(message)
    return math.ceil(Fraction(_measurement(scale).map(sensitivity)) * MICRO)


def scale_for(sensitivity: int, epsilon_micro: int) -> float:
    """Return the smallest scale that costs no more than `epsilon_micro`.

    Raises:
        Malformed: The sensitivity is not in 1..2^53, epsilon not in 1..10^12, or
            together they make noise that 64 bits may not hold.
    """
    _check_sensitivity(sensitivity)
    if type(epsilon_micro) is not int or not 1 <= epsilon_micro <= _EPSILON:
        message = "epsilon is no whole number of millionths from 1 to 10^12"
        raise Malformed(message)
    scale = float(Fraction(sensitivity * MICRO, epsilon_micro))
    if scale > _LARGEST_SCALE:
        message = "the noise would not fit 64 bits: a larger epsilon or a lower bound"
        raise Malformed(message)
    return _smallest(scale, sensitivity, epsilon_micro)


@lru_cache(1024)
def _smallest(scale: float, sensitivity: int, epsilon_micro: int) -> float:
    """Walk from about the right scale to exactly the right one: some doubles."""
    while cost(sensitivity, scale) > epsilon_micro:
        scale = math.nextafter(scale, math.inf)
    while cost(sensitivity, below := math.nextafter(scale, 0)) <= epsilon_micro:
        scale = below
    return scale


def spread(sensitivity: int, epsilon_micro: int, beta: float) -> int:
    """Return a bound that the noise of one figure keeps with probability 1 - beta.

    With ``a = exp(-1 / scale)``, ``Pr[|x| > t] = 2 a^(t + 1) / (1 + a)``; the bound
    is the smallest whole t for which that is no more than beta. For a bound that n
    figures keep together, divide beta by n.

    Args:
        beta: Above 0 and below 1.

    Raises:
        Malformed: As `scale_for`, or beta is out of range.
    """
    if not 0 < beta < 1:
        message = "beta is not between 0 and 1"
        raise Malformed(message)
    scale = scale_for(sensitivity, epsilon_micro)
    tail = math.log(2 / beta) - math.log1p(math.exp(-1 / scale))
    return max(math.ceil(scale * tail) - 1, 0)


def check() -> None:
    """See that OpenDP computes here what it computed when this was written.

    Raises:
        Invalid: It does not: nothing may leave that rests on its noise.
    """
    known = {(1, 10.0): 100_001, (20, 10.0): 2_000_000, (3, 0.5): 6_000_000}
    figures = [0, 7, -7, _MOST, -_MOST]
    wrong = [pair for pair, answer in known.items() if cost(*pair) != answer]
    # Noise of this scale is other than zero once in e^1000 draws.
    if wrong or list(_measurement(0.001)(figures)) != figures:
        message = "OpenDP does not give known answers"
        raise Invalid(message)


def _check_sensitivity(sensitivity: int) -> None:
    if type(sensitivity) is not int or not 1 <= sensitivity <= _SENSITIVE:
        message = "the sensitivity is no whole number from 1 to 2^53"
        raise Malformed(message)


def _measurement(scale: float) -> Any:
    """Return OpenDP's mechanism: integers in, integers out, distance in L1."""
    opendp = _opendp()
    domain = opendp.vector_domain(opendp.atom_domain(T="i64"))
    return opendp.m.make_laplace(domain, opendp.l1_distance(T="i64"), scale=scale)


@cache
def _opendp() -> Any:
    """Load OpenDP when noise is first wanted: that takes a quarter of a second."""
    import opendp.prelude as opendp  # noqa: PLC0415  # see above

    opendp.enable_features("contrib")
    return opendp
