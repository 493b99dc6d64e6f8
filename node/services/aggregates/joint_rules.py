"""What both sides of a joint sum work out alike: limbs, noise, and what is in range.

Everything here follows from the plan and from how long the two lists are, which both
know. So neither has to believe the other how values are cut, or how large a sum can be.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from crypto import noise
from crypto.errors import Malformed
from crypto.kernels.packing import parse_numbers
from crypto.parameters import ParameterSet, parameter_set
from ledger.plans import Plan
from node.domain.joint import MOST, Limbs, limbs
from node.domain.noised import Laplace
from node.services.aggregates.blinding import centred

FINISH: Final = "finish"
BETA: Final = 0.01
"""The chance that noise is beyond the spread that is told."""
_NEVER: Final = 2.0**-40
"""The chance that noise is beyond what range analysis leaves room for."""
_DRAWN_ON: Final = 2**61
"""The largest number to which noise can be added with certainty."""


async def noised(
    add: Laplace, values: Sequence[int], sensitivity: int, epsilon_micro: int
) -> list[int]:
    """Add noise, in a thread: sampling takes as long as it takes."""
    drawn = partial(add, sensitivity=sensitivity, epsilon_micro=epsilon_micro)
    return await asyncio.to_thread(drawn, list(values))


def for_sum(plan: Plan) -> int:
    """Return what the asker spends of its own privacy on what it adds to the sum.

    It takes that off again, so it may be large, and little is spent on it.
    """
    return max(plan.epsilon_micro // 10, 1)


def for_count(plan: Plan) -> int:
    """Return what the asker spends of its own privacy on the count that it tells."""
    return max(plan.epsilon_micro - for_sum(plan), 1)


def reach(epsilon_micro: int) -> Callable[[int], int]:
    """Return how large noise becomes, by sensitivity: more once in 2^40 draws."""
    return lambda sensitivity: noise.spread(sensitivity, epsilon_micro, _NEVER)


def spread(plan: Plan) -> int:
    """Return within what the provider's noise stays, but for `BETA`."""
    return noise.spread(plan.measure.bound, plan.epsilon_micro, BETA)


def cut(plan: Plan, theirs: int) -> Limbs:
    """Return how the values of a plan are cut.

    Args:
        theirs: Length of the provider's list, dummies included.

    Raises:
        Malformed: A sum could become larger than what can be added up with certainty.
    """
    rows, bound = min(plan.size, theirs), plan.measure.bound
    found = limbs(
        bound=bound, rows=rows, most=parameters(plan).most, noise=reach(for_sum(plan))
    )
    within = rows * bound + reach(plan.epsilon_micro)(bound) <= MOST
    if not within or found.join(ranges(plan, theirs, found)) > _DRAWN_ON:
        raise Malformed("a sum that could, with its noise, become too large")
    return found


def ranges(plan: Plan, theirs: int, cut_into: Limbs) -> tuple[int, ...]:
    """Return how large the sum of each limb can be, with the asker's noise."""
    rows = min(plan.size, theirs)
    extra = reach(for_sum(plan))(cut_into.sensitivity)
    return tuple(rows * bound + extra for bound in cut_into.bounds)


def parameters(plan: Plan) -> ParameterSet:
    """Return the plan's parameter set."""
    return parameter_set(plan.parameters)


def total(slots: bytes, modulus: int) -> int:
    """Return the sum of a row's slots modulo T, centred.

    Args:
        slots: Numbers.
    """
    return centred(sum(parse_numbers(slots)), modulus)
