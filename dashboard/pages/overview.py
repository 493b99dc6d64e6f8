"""The overview: what left the building, and is anything odd?

One sentence, six figures, the field × partner matrix, the trend, at most five
things that need a person, and the latest calls. All of it is what the node
states; the page says so, and every call leads to its receipt, which is checked.

When the node does not answer, the newest summary this process saw is shown with
its window and age; with none, the problem page is.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import Person
from dashboard.aggregates import BudgetReport
from dashboard.client import AuditClient, rfc3339
from dashboard.errors import NodeError, NodeNonsense
from dashboard.figures import epsilon
from dashboard.pages.attention import Seen, findings
from dashboard.pages.base import Desk, Reader, Snapshot, desk_of, read_reader, render
from dashboard.pages.budget_bars import lowest
from dashboard.pages.labels import Labels
from dashboard.pages.matrix import matrix_view
from dashboard.pages.open_receipts import WIDTH, worst
from dashboard.pages.trend import trend_view
from dashboard.pages.window import LENGTHS, Window, read_window
from dashboard.statements import Agreement, CallPage, Calls, StreamList, Summary

LATEST: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the node said for one overview."""

    summary: Summary
    before: Calls
    latest: CallPage
    denied: CallPage
    agreements: tuple[Agreement, ...]
    streams: StreamList
    budget: BudgetReport


async def overview(request: Request, person: Person) -> Response:
    """Draw the overview."""
    desk, reader = desk_of(request), read_reader(request, person)
    window = read_window(request.query_params, now=reader.now, zone=reader.speech.zone)
    try:
        answers = await _ask(desk.client, window)
    except NodeError as error:
        if desk.snapshot is None:
            raise
        return _stale(request, reader, desk.snapshot, error)
    check_participant(desk, answers.summary)
    desk.snapshot = Snapshot(summary=answers.summary, window=window, at=reader.now)
    seen = Seen(
        summary=answers.summary,
        agreements=tuple(
            each for each in answers.agreements if each.role == "provider"
        ),
        deniers=answers.denied.facets.get("partner", ()),
        now=reader.now,
        query=window.query,
        streams=answers.streams.items,
        most=answers.streams.most_unacknowledged,
        budgets=answers.budget.items,
    )
    return render(
        request,
        reader,
        "overview.html",
        **_figures(answers.summary, reader, window),
        labels=Labels.of(answers.summary, answers.agreements),
        before=answers.before,
        findings=findings(seen),
        calls=answers.latest.items,
        streams=worst(seen.streams, seen.most),
        budgets=lowest(answers.budget, reader.speech),
        epsilon=epsilon,
        most=seen.most,
        width=WIDTH,
        stale=None,
    )


def check_participant(desk: Desk, summary: Summary) -> None:
    """Check that the node is the one that this dashboard audits.

    Raises:
        NodeNonsense: It says that it is somebody else's.
    """
    if summary.participant.did != desk.settings.participant:
        raise NodeNonsense("the node belongs to another participant")


def _stale(
    request: Request, reader: Reader, snapshot: Snapshot, error: NodeError
) -> Response:
    return render(
        request,
        reader,
        "overview.html",
        status=503,
        **_figures(snapshot.summary, reader, snapshot.window),
        labels=Labels.of(snapshot.summary),
        before=None,
        findings=None,
        calls=None,
        streams=None,
        budgets=(),
        stale={"code": error.code, "at": snapshot.at},
    )


def _figures(summary: Summary, reader: Reader, window: Window) -> dict[str, Any]:
    matrix = matrix_view(summary.matrix, window.query)
    active = {cell.partner for cell in summary.matrix.cells if cell.allowed}
    return {
        "summary": summary,
        "window": window,
        "lengths": tuple(LENGTHS),
        "matrix": matrix,
        "readers": len(active),
        "trend": trend_view(summary.trend, window, reader.speech),
    }


async def _ask(client: AuditClient, window: Window) -> Answers:
    span = {"from": rfc3339(window.start), "to": rfc3339(window.end)}
    figures = asyncio.gather(
        client.summary(window.start, window.end),
        client.summary(*window.before),
        client.calls({**span, "limit": str(LATEST)}),
        client.calls({**span, "decision": "deny", "limit": "1"}),
    )
    standing = asyncio.gather(client.agreements(), client.streams(), client.budget())
    (
        (summary, before, latest, denied),
        (agreements, streams, budget),
    ) = await asyncio.gather(figures, standing)
    return Answers(
        summary=summary,
        before=before.calls,
        latest=latest,
        denied=denied,
        agreements=agreements.items,
        streams=streams,
        budget=budget,
    )
