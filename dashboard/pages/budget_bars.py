"""Budgets of privacy as bars: what was spent of each, and which are near their end."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, TypeAlias

from dashboard.aggregates import Budget, BudgetReport, DatasetBudget
from dashboard.i18n import Speech
from dashboard.pages.attention import BUDGET_LOW
from dashboard.pages.open_receipts import WIDTH

_FEW: Final = 3

Tone: TypeAlias = Literal["fine", "low", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A budget as a page shows it.

    Attributes:
        length: Of the spent part of the bar, of `WIDTH`.
        until: The day on which it is filled up again; empty where it never is.
    """

    budget: Budget | DatasetBudget
    length: float
    tone: Tone
    until: str


def gauge(budget: Budget | DatasetBudget, speech: Speech) -> Gauge:
    """Draw a budget. Something spent is seen: "a little" must not look like "none"."""
    share = min(1.0, budget.spent / budget.cap) if budget.cap > 0 else 1.0
    length = max(3.0, share * WIDTH) if budget.spent else 0.0
    return Gauge(
        budget=budget,
        length=length if budget.cap > 0 else WIDTH,
        tone=tone_of(budget),
        until=_day(budget.until, speech),
    )


def tone_of(budget: Budget | DatasetBudget) -> Tone:
    """Return how a budget stands."""
    if budget.left <= 0:
        return "empty"
    return "low" if budget.left < BUDGET_LOW * budget.cap else "fine"


def gauges(
    budgets: Iterable[Budget], speech: Speech
) -> tuple[tuple[str, list[Gauge]], ...]:
    """Return the budgets of agreements by partner, those with least left first."""
    ordered = sorted(budgets, key=lambda each: each.partner)
    by_partner = [
        (did, sorted((gauge(each, speech) for each in group), key=_weight))
        for did, group in groupby(ordered, key=lambda each: each.partner)
    ]
    return tuple(sorted(by_partner, key=lambda each: (_weight(each[1][0]), each[0])))


def lowest(report: BudgetReport, speech: Speech) -> tuple[Gauge, ...]:
    """Return the budgets of agreements with least left; a few, for the overview."""
    every = (gauge(each, speech) for each in report.items if each.status == "active")
    return tuple(sorted(every, key=_weight)[:_FEW])


def _weight(each: Gauge) -> tuple[float, str]:
    left = each.budget.left / each.budget.cap if each.budget.cap > 0 else 0.0
    return (left, getattr(each.budget, "agreement", each.budget.dataset))


def _day(at: datetime.datetime | datetime.date | None, speech: Speech) -> str:
    if at is None:
        return ""
    day = speech.date(at) if isinstance(at, datetime.datetime) else at
    return day.isoformat()
