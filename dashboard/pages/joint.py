"""Joint figures: one number from several companies, and how far noise has moved it.

A count of shared customers and the count of three are exact; a sum, and what is made
of it, is noised, and is shown with its bound. A figure that the result does not have
is not shown, and never made up from others that lack a bound.
"""

from dataclasses import dataclass

from dashboard.aggregates import Result
from dashboard.figures import exact, written
from dashboard.i18n import Speech
from ledger.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number on a card.

    Attributes:
        name: Completes the catalogue key `figure.<name>`.
        value: Written.
        unit: Empty where there is none.
        bound: By how much noise may have moved it, written; None where it is exact.
    """

    name: str
    value: str
    unit: str
    bound: str | None


def joint_figures(result: Result, plan: Plan, speech: Speech) -> tuple[Figure, ...]:
    """Return the figures of a result without groups, the one asked for first."""
    sums = plan.measure.what == "sum"
    unit = result.unit or ""
    spread = None if not result.spread else written(speech, result.spread, result.scale)
    found = []
    if result.sum is not None:
        found.append(
            _figure("sum", written(speech, result.sum, result.scale), unit, spread)
        )
    elif len(result.cells) == 1 and result.cells[0] is not None:
        value = written(speech, result.cells[0], result.scale)
        found.append(_figure("sum" if sums else "count", value, unit, spread))
    if result.mean is not None:
        mean = exact(result.mean / 10**result.scale, max(2, result.scale))
        found.append(_figure("mean", mean, unit, None))
    if result.rate is not None:
        found.append(_figure("rate", f"{result.rate * 100:.1f}%", "", None))
    if result.count is not None:
        found.append(_figure("count", speech.number(result.count), "", None))
    return tuple(found)


def _figure(name: str, value: str, unit: str, bound: str | None) -> Figure:
    return Figure(name=name, value=value, unit=unit, bound=bound)
