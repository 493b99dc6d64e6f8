"""The overview: what left the building, and is anything odd?

One sentence, six figures, the field × partner matrix, the trend, at most five
things that need a person, and the latest calls. All of it is what the node
states; the page says so, and every call leads to its receipt, which is checked.

When the node does not answer, the newest summary this process saw is shown with
its age in large letters; with none, the problem page is.
"""

import asyncio
import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import Person
from dashboard.charts import StackedBars, stacked_bars
from dashboard.client import AuditClient, rfc3339
from dashboard.errors import NodeError, NodeNonsense
from dashboard.i18n import Speech
from dashboard.pages.attention import Seen, findings
from dashboard.pages.base import Desk, Reader, Snapshot, desk_of, read_reader, render
from dashboard.pages.labels import Labels
from dashboard.pages.matrix import matrix_view
from dashboard.pages.window import LENGTHS, Window, read_window
from dashboard.statements import Agreement, CallPage, Calls, Summary, TrendPoint

LATEST: Final = 25
_EPOCH: Final = datetime.datetime.fromtimestamp(0, datetime.UTC)
_DAY: Final = datetime.timedelta(days=1)
_STEPS: Final = ((_DAY * 2, _DAY / 24), (_DAY * 7, _DAY / 6))
"""Widths of the trend's bars, by the longest window that has them."""
_MOST_LABELS: Final = 7
_LABEL: Final = 36
"""Width of a day's name on the x axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the node said for one overview."""

    summary: Summary
    before: Calls
    latest: CallPage
    denied: CallPage
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One line of the trend's table twin."""

    date: datetime.date
    allowed: int
    denied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendView:
    """The trend as a drawing and as a table.

    Attributes:
        labels: Where on the x axis which day is named.
        offset: The zone whose days these are.
    """

    bars: StackedBars
    labels: tuple[tuple[float, str], ...]
    days: tuple[Day, ...]
    offset: str


async def overview(request: Request, person: Person) -> Response:
    """Draw the overview."""
    desk, reader = desk_of(request), read_reader(request, person)
    window = read_window(request.query_params, now=reader.now, zone=reader.speech.zone)
    try:
        answers = await _ask(desk.client, window)
    except NodeError as error:
        if desk.snapshot is None:
            raise
        return _stale(request, reader, window, desk.snapshot, error)
    check_participant(desk, answers.summary)
    desk.snapshot = Snapshot(summary=answers.summary, at=reader.now)
    query = dict(window.query)
    seen = Seen(
        summary=answers.summary,
        agreements=tuple(
            each for each in answers.agreements if each.role == "provider"
        ),
        deniers=answers.denied.facets.get("partner", ()),
        now=reader.now,
        query=query,
    )
    return render(
        request,
        reader,
        "overview.html",
        **_figures(answers.summary, reader, window),
        before=answers.before,
        findings=findings(seen),
        calls=answers.latest.items,
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
    request: Request,
    reader: Reader,
    window: Window,
    snapshot: Snapshot,
    error: NodeError,
) -> Response:
    return render(
        request,
        reader,
        "overview.html",
        status=503,
        **_figures(snapshot.summary, reader, window),
        before=None,
        findings=None,
        calls=None,
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
        "labels": Labels.of(summary),
    }


async def _ask(client: AuditClient, window: Window) -> Answers:
    span = {"from": rfc3339(window.start), "to": rfc3339(window.end)}
    summary, before, latest, denied, agreements = await asyncio.gather(
        client.summary(window.start, window.end),
        client.summary(*window.before),
        client.calls({**span, "limit": str(LATEST)}),
        client.calls({**span, "decision": "deny", "limit": "1"}),
        client.agreements(),
    )
    return Answers(
        summary=summary,
        before=before.calls,
        latest=latest,
        denied=denied,
        agreements=agreements.items,
    )


def trend_view(
    points: Sequence[TrendPoint], window: Window, speech: Speech
) -> TrendView:
    """Lay out the trend over the whole window, hours without a call included.

    The node counts by the hour up to seven days, beyond that by the day in UTC;
    in the second case the days shown are those of UTC.
    """
    span = window.end - window.start
    step = next((step for most, step in _STEPS if span <= most), _DAY)
    if step == _DAY:
        speech = replace(speech, zone=zoneinfo.ZoneInfo("UTC"))
    first = _EPOCH + (window.start - _EPOCH) // step * step
    counts = [[0, 0] for _ in range(-((first - window.end) // step))]
    for point in points:
        place = (point.at - first) // step
        if 0 <= place < len(counts):
            counts[place][0] += point.allowed
            counts[place][1] += point.denied
    bars = stacked_bars([(it[0], it[1]) for it in counts], width=320, height=150)
    days: dict[datetime.date, Day] = {}
    starts: list[tuple[float, str]] = []
    for place, (allowed, denied) in enumerate(counts):
        at = first + step * place
        date = speech.date(at)
        if date not in days:
            starts.append((bars.centres[place], speech.day(at)))
        day = days.get(date, Day(date=date, allowed=0, denied=0))
        days[date] = Day(
            date=date, allowed=day.allowed + allowed, denied=day.denied + denied
        )
    every = -(-len(starts) // _MOST_LABELS)
    labels = [start for start in starts[::every] if start[0] < bars.width - _LABEL / 2]
    return TrendView(
        bars=bars,
        labels=tuple(labels),
        days=tuple(days.values()),
        offset=speech.offset(window.end),
    )
