"""Calls over time: a drawing, and a table with the same numbers.

The node names only the slots that had calls. Here every slot of the window has
its place, so that an hour without a call looks like one.
"""

import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from dashboard.charts import StackedBars, stacked_bars
from dashboard.i18n import Speech
from dashboard.pages.window import Window
from dashboard.statements import TrendPoint

_EPOCH: Final = datetime.datetime.fromtimestamp(0, datetime.UTC)
_DAY: Final = datetime.timedelta(days=1)
_STEPS: Final = ((_DAY * 2, _DAY / 24), (_DAY * 7, _DAY / 6))
"""Widths of the trend's bars, by the longest window that has them."""
_MOST_LABELS: Final = 7
_LABEL: Final = 36
"""Width of a day's name on the x axis."""


@dataclass(slots=True, kw_only=True)
class Day:
    """One line of the trend's table twin."""

    date: datetime.date
    allowed: int = 0
    denied: int = 0


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
            days[date] = Day(date=date)
        days[date].allowed += allowed
        days[date].denied += denied
    every = -(-len(starts) // _MOST_LABELS)
    room = bars.width - _LABEL / 2
    return TrendView(
        bars=bars,
        labels=tuple(start for start in starts[::every] if start[0] < room),
        days=tuple(days.values()),
        offset=speech.offset(window.end),
    )
