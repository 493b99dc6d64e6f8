"""Budgets of privacy: what each partner may still learn in sums, and what is left.

Each agreement has a budget for a period, each dataset one over all partners. A bar is
what was spent; where less than a tenth is left it is marked, and where nothing is left
no aggregate is answered until the period ends.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import Person
from dashboard.figures import epsilon
from dashboard.pages.base import desk_of, read_reader, render
from dashboard.pages.budget_bars import gauge, gauges, tone_of
from dashboard.pages.labels import Labels
from dashboard.pages.open_receipts import WIDTH
from dashboard.pages.overview import check_participant
from dashboard.pages.window import LENGTHS


async def budget(request: Request, person: Person) -> Response:
    """Draw the page."""
    desk, reader = desk_of(request), read_reader(request, person)
    summary, agreements, report = await asyncio.gather(
        desk.client.summary(reader.now - LENGTHS["24h"], reader.now),
        desk.client.agreements(),
        desk.client.budget(),
    )
    check_participant(desk, summary)
    return render(
        request,
        reader,
        "budget.html",
        sections=(
            ("partners", gauges(report.items, reader.speech)),
            ("asked", gauges(report.asked, reader.speech)),
        ),
        datasets=[gauge(each, reader.speech) for each in report.datasets],
        low=sum(
            tone_of(each) != "fine" for each in report.items if each.status == "active"
        ),
        labels=Labels.of(summary, agreements.items),
        epsilon=epsilon,
        width=WIDTH,
    )
