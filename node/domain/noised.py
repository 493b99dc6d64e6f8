"""Noised figures: what may be told of exact ones, and what is held back.

How it is done, and in this order:

1. *Raised*: a cell that holds fewer than `k_min` customers counts as though it held
   `k_min - 1`. Cells below the least cohort are all alike, so nothing of them leaves,
   and one customer still changes a cell by no more than one. (Setting such cells to
   zero would not do: at the edge one customer would change a cell by `k_min`, and the
   noise would have to be as much larger.)
2. *Noise*, drawn once, on counts of customers and on sums.
3. *Suppressed*: every cell whose noised count of customers is below `k_min` and a
   margin. The margin is what noise exceeds once in a hundred draws: so of the cells
   below the least cohort one in a hundred shows, and then it shows noise.
4. What is shown is not below zero, and what is suppressed is zero.

A table of counts takes all of what a plan spends on cells for its counts. For a table
of sums a fifth goes to the counts, by which cells are suppressed and which are not
told, and the rest to the sums. A sum is not raised: a cell of few customers that shows
by chance shows their sum under noise that is large enough for each of them.

Sources: Dwork and Roth, 2014, section 3.3; Korolova et al., 2009 (thresholds).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ledger.plans import Plan

_ONE_IN: Final = 100
"""Of this many cells below the least cohort, one shows."""
_BEYOND: Final = 0.01
"""How likely it is that any noise in a table is larger than its spread."""
_MOST: Final = 2**62
"""The largest figure that noise is added to."""


class Laplace(Protocol):
    """Adds noise to figures: `crypto.noise.laplace`."""

    def __call__(
        self, values: Sequence[int], *, sensitivity: int, epsilon_micro: int
    ) -> list[int]:
        """Return the figures with noise."""
        ...


Spread = Callable[[int, int, float], int]
"""How large noise is: `crypto.noise.spread`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What a plan spends on what, micro-epsilon: together what it costs.

    Attributes:
        test: On the question whether the cohort is large enough.
        counts: On how many customers are in each cell.
        sums: On the sums; 0 for a plan that counts.
    """

    test: int
    counts: int
    sums: int

    @classmethod
    def of(cls, plan: Plan) -> "Shares":
        """Return what a plan spends; a share is 0 where that is too little."""
        test = max(plan.epsilon_micro // 10, 1)
        cells = plan.epsilon_micro - test
        sums = cells - cells // 5 if plan.measure.what == "sum" else 0
        return cls(test=test, counts=cells - sums, sums=sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noised:
    """A table that may be told to whoever paid for it.

    Whatever is computed from it tells no more than it does, so it costs nothing.

    Attributes:
        cells: Counts or sums, none below zero; 0 where suppressed.
        suppressed: Whether each is.
        bound: No cell is larger: the power of two at or above the largest.
        spread: How far the noise of every cell is from zero at most, with a
            probability of 99 in 100 for all of them together.
    """

    cells: tuple[int, ...]
    suppressed: tuple[bool, ...]
    bound: int
    spread: int

    @property
    def shown(self) -> int:
        """How many cells are not suppressed."""
        return self.suppressed.count(False)


def noised(
    plan: Plan,
    *,
    customers: Sequence[int],
    sums: Sequence[int],
    laplace: Laplace,
    spread: Spread,
) -> Noised:
    """Make a table of exact figures one that may be told.

    Args:
        customers: In each cell, each in no more than `plan.contribution` cells.
        sums: Of each cell, in which no customer has more than the measure's bound.

    Raises:
        Malformed: The plan's noise does not fit 64 bits.
    """
    shares, reach, k_min = Shares.of(plan), plan.contribution, plan.k_min
    raised = [max(count, k_min - 1) for count in customers]
    counts = laplace(raised, sensitivity=reach, epsilon_micro=shares.counts)
    margin = spread(reach, shares.counts, 2 / _ONE_IN)
    suppressed = [count < k_min + margin for count in counts]
    figures = counts
    if plan.measure.what == "sum":
        # What is larger is refused for its bound, under noise like everything.
        figures = laplace(
            [min(each, _MOST) for each in sums],
            sensitivity=reach * plan.measure.bound,
            epsilon_micro=shares.sums,
        )
    cells = [
        0 if hidden else max(figure, 0)
        for figure, hidden in zip(figures, suppressed, strict=True)
    ]
    return Noised(
        cells=tuple(cells),
        suppressed=tuple(suppressed),
        bound=1 << (max(max(cells, default=1), 1) - 1).bit_length(),
        spread=spread_of(plan, len(cells), spread),
    )


def spread_of(plan: Plan, cells: int, spread: Spread) -> int:
    """Return how far the noise of so many cells of a plan is from zero at most.

    Raises:
        Malformed: The plan spends too little, or its noise does not fit 64 bits.
    """
    shares, reach = Shares.of(plan), plan.contribution
    beyond = _BEYOND / max(cells, 1)
    if plan.measure.what == "sum":
        return spread(reach * plan.measure.bound, shares.sums, beyond)
    return spread(reach, shares.counts, beyond)


def shown(cells: Sequence[int], suppressed: Sequence[bool]) -> list[int | None]:
    """Return cells as results tell them: None where suppressed."""
    return [
        None if hidden else cell for cell, hidden in zip(cells, suppressed, strict=True)
    ]


def bitmap(flags: Sequence[bool]) -> bytes:
    """Return flags as octets, eight in each, the first in the lowest bit."""
    digits = "".join("1" if flag else "0" for flag in reversed(flags))
    return int(digits or "0", 2).to_bytes(-(-len(flags) // 8), "little")


def parse_bitmap(octets: bytes, count: int) -> tuple[bool, ...] | None:
    """Return so many flags, or None where these octets are not as many."""
    total = int.from_bytes(octets, "little")
    if len(octets) != -(-count // 8) or total >> count:
        return None
    digits = format(total, f"0{count}b") if count else ""
    return tuple(digit == "1" for digit in reversed(digits))
