"""Joint figures: one number from several companies, and how far noise has moved it.

A count of shared customers and the count of three are exact; a sum, and what is made
of it, is noised, and is shown with its bound. A figure that the result does not have
is not shown, and never made up from others that lack a bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from dashboard.aggregates import Result
from dashboard.figures import written
from dashboard.i18n import Speech
from ledger.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number on a card.

    Attributes:
        name: Completes the catalogue key `figure.<name>`.
        value: Written.
        unit: Empty where there is none.
        bound: By how much noise may have moved it, written; empty where it is exact.
        of: The whole that it is a part of, written; empty where it is none.
        between: DIDs of the two that a pair is of.
    """

    name: str
    value: str
    unit: str = ""
    bound: str = ""
    of: str = ""
    between: tuple[str, ...] = ()


def joint_figures(result: Result, plan: Plan, speech: Speech) -> tuple[Figure, ...]:
    """Return the figures of a result without groups, the one asked for first."""
    unit, number = result.unit or "", speech.number
    found = list(_sums(result, plan, speech, unit))
    if result.mean is not None:
        places = max(2, result.scale)
        bound = ""
        if result.spread and result.count:
            moved = Decimal(result.spread) / result.count / 10**result.scale
            bound = f"{moved:,.{places}f}"
        mean = f"{result.mean:,.{places}f}"
        found.append(Figure(name="mean", value=mean, unit=unit, bound=bound))
    if result.rate is not None:
        found.append(Figure(name="rate", value=f"{result.rate * 100:.1f}%"))
    if result.count is not None:
        whole = "" if result.asked is None else number(result.asked)
        found.append(Figure(name="count", value=number(result.count), of=whole))
    elif result.fewer_than is not None:
        found.append(Figure(name="count", value=_few(speech, result.fewer_than)))
    if result.declared is not None:
        found.append(Figure(name="declared", value=number(result.declared)))
    found += [
        Figure(
            name="pair",
            value=_few(speech, plan.k_min)
            if each.count is None
            else number(each.count),
            between=each.between,
        )
        for each in result.pairs
    ]
    return tuple(found)


def _few(speech: Speech, least: int) -> str:
    return str(speech.say("figure.fewer", n=least))


def _sums(result: Result, plan: Plan, speech: Speech, unit: str) -> Iterator[Figure]:
    bound = written(speech, result.spread, result.scale) if result.spread else ""
    figure, name = result.sum, "sum"
    if figure is None and len(result.cells) == 1:
        figure, name = result.cells[0], plan.measure.what
    if figure is not None:
        value = written(speech, figure, result.scale)
        yield Figure(name=name, value=value, unit=unit, bound=bound)
