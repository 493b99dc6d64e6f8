"""The one place where the dashboard meets the machine's clock.

Everything else takes a `Clock`, so that a page can be drawn, photographed and
tested at a fixed instant.
"""

import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime.datetime:
        """Return the current instant, in UTC, to the second."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime.datetime:
        """Return the current instant, in UTC, to the second."""
        now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - this is the Clock
        return now.replace(microsecond=0)
