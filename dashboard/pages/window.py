"""The stretch of time that a page covers, read from and written to its URL.

`?window=7d` (also `24h`, `30d`, `90d`) ends now; `?from=2026-11-01&to=2026-11-08`
covers whole days in the reader's zone, both included. What was asked for is
always shown as absolute instants too.
"""

import datetime
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LENGTHS: Final = {
    "24h": datetime.timedelta(hours=24),
    "7d": datetime.timedelta(days=7),
    "30d": datetime.timedelta(days=30),
    "90d": datetime.timedelta(days=90),
}
DEFAULT: Final = "7d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A half-open stretch of time.

    Attributes:
        name: One of `LENGTHS`, or empty for absolute days.
        query: What a URL needs to ask for the same window again.
    """

    start: datetime.datetime
    end: datetime.datetime
    name: str
    query: Mapping[str, str]

    @property
    def before(self) -> tuple[datetime.datetime, datetime.datetime]:
        """Return the stretch of equal length just before this one."""
        return self.start - (self.end - self.start), self.start


def read_window(
    query: Mapping[str, str], *, now: datetime.datetime, zone: zoneinfo.ZoneInfo
) -> Window:
    """Read a window; anything unreadable is the default of seven days."""
    days = _days(query.get("from", ""), query.get("to", ""), zone)
    if days is not None:
        start, end = days
        asked = {"from": query["from"], "to": query["to"]}
        return Window(start=start, end=end, name="", query=asked)
    name = query.get("window", DEFAULT)
    name = name if name in LENGTHS else DEFAULT
    asked = {} if name == DEFAULT else {"window": name}
    end = now + datetime.timedelta(seconds=1)  # the present second belongs to it
    return Window(start=end - LENGTHS[name], end=end, name=name, query=asked)


def _days(
    first: str, last: str, zone: zoneinfo.ZoneInfo
) -> tuple[datetime.datetime, datetime.datetime] | None:
    try:
        start = datetime.datetime.fromisoformat(first).replace(tzinfo=zone)
        end = datetime.datetime.fromisoformat(last).replace(tzinfo=zone)
    except ValueError:
        return None
    end += datetime.timedelta(days=1)
    if start >= end:
        return None
    return start.astimezone(datetime.UTC), end.astimezone(datetime.UTC)
