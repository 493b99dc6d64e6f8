"""How many receipts of each stream are open, drawn as bars up to the limit.

A receipt is open until its consumer has signed it back. A provider serves nobody
who leaves more open than its limit, so the limit is the bar's whole length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from dashboard.pages.attention import NEARLY_FULL
from dashboard.statements import Stream

WIDTH: Final = 200
_FEW: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How much of what a partner may leave open it leaves open, as a drawing.

    Attributes:
        length: Of the open part, of `WIDTH`.
        state: `none`, `some`, `near` or `full`.
    """

    length: float
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A stream as a page shows it."""

    stream: Stream
    bar: Bar


def bar_of(stream: Stream, most: int) -> Bar:
    """Draw how many receipts of a stream are open, of as many as may be.

    One that is open is seen: "a few" must not look like "none".
    """
    if not stream.open:
        return Bar(length=0, state="none")
    share = min(1.0, stream.open / max(1, most))
    state = "full" if share == 1 else "near" if share >= NEARLY_FULL else "some"
    return Bar(length=max(3.0, share * WIDTH), state=state)


def rows_of(streams: Sequence[Stream], most: int) -> tuple[tuple[str, list[Row]], ...]:
    """Return streams by partner, those that differ or are nearly full first."""
    rows = [Row(stream=each, bar=bar_of(each, most)) for each in streams]
    rows.sort(key=lambda each: each.stream.partner)
    by_partner = [
        (did, sorted(group, key=_weight))
        for did, group in groupby(rows, key=lambda each: each.stream.partner)
    ]
    return tuple(sorted(by_partner, key=lambda each: (_weight(each[1][0]), each[0])))


def _weight(row: Row) -> tuple[bool, float, str]:
    last = row.stream.compared
    differs = last is not None and last.state == "different"
    return (not differs, -row.bar.length, row.stream.agreement)


def worst(streams: Sequence[Stream], most: int) -> tuple[Row, ...]:
    """Return the streams that partners read from us, most open first; a few."""
    rows = [
        Row(stream=each, bar=bar_of(each, most))
        for each in streams
        if each.role == "provider" and each.open
    ]
    rows.sort(key=lambda each: (-each.stream.open, each.stream.agreement))
    return tuple(rows[:_FEW])
