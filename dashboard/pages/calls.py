"""The call log: what exactly happened?

Every filter lives in the URL, so that a view can be sent to a colleague and
means the same there. Filters show how many calls each value has; pages are
found by sequence number (keyset), never by counting rows, so that new calls do
not push rows from one page to the next under a reader's eyes.

With scripts a change of a filter replaces only the part of the page below the
heading; without, the same form is sent by its button.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import Person
from dashboard.client import rfc3339
from dashboard.pages.base import (
    address,
    desk_of,
    is_fragment,
    read_reader,
    render,
)
from dashboard.pages.labels import Labels
from dashboard.pages.overview import check_participant
from dashboard.pages.window import LENGTHS, Window, read_window
from dashboard.statements import CallPage, FacetValue

FILTERS: Final = ("partner", "field", "purpose", "decision", "code")
"""Filters with a list of values to choose from."""
FIXED: Final = ("dataset", "agreement", "plan")
"""Filters that a link sets and a reader can only take away."""
PAGE_SIZE: Final = 50
_LONGEST: Final = 256
_CURSOR: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A value that a filter can take; `count` is None when the node named none."""

    value: str
    count: int | None
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter and its values."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A filter in force, with the address of the log without it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pager:
    """Where the four directions lead; None where there is nothing."""

    newest: str | None
    newer: str | None
    older: str | None
    oldest: str | None


async def calls(request: Request, person: Person) -> Response:
    """Draw the call log, or only the part of it that changed."""
    desk, reader = desk_of(request), read_reader(request, person)
    query = request.query_params
    window = read_window(query, now=reader.now, zone=reader.speech.zone)
    wanted = chosen_filters(query)
    page, summary, agreements = await asyncio.gather(
        desk.client.calls(_question(query, window, wanted)),
        desk.client.summary(window.start, window.end),
        desk.client.agreements(),
    )
    check_participant(desk, summary)
    kept = {**window.query, **wanted}
    fragment = is_fragment(request)
    return render(
        request,
        reader,
        "calls/log.html" if fragment else "calls/page.html",
        headers={"Vary": "HX-Request-Type"},
        fragment=fragment,
        window=window,
        lengths=tuple(LENGTHS),
        page=page,
        calls=page.items,
        filters=filters(page, wanted),
        applied=applied(kept, wanted),
        pager=pager(page, kept, query),
        clear=address("/calls", window.query),
        widest=address("/calls", {"window": "90d"}),
        fixed={name: wanted[name] for name in FIXED if name in wanted},
        labels=Labels.of(summary, agreements.items),
    )


def chosen_filters(query: Mapping[str, str]) -> dict[str, str]:
    """Return the filters that a URL sets; unreasonable lengths are dropped."""
    names = (*FILTERS, *FIXED)
    return {
        name: query[name] for name in names if 0 < len(query.get(name, "")) <= _LONGEST
    }


def filters(page: CallPage, wanted: Mapping[str, str]) -> tuple[Filter, ...]:
    """Return the filters with the node's counts; a chosen value is never missing."""
    return tuple(
        Filter(
            name=name,
            options=_options(page.facets.get(name, ()), wanted.get(name, "")),
        )
        for name in FILTERS
    )


def applied(kept: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[Applied, ...]:
    """Return the filters in force and how to take each away."""
    return tuple(
        Applied(
            name=name,
            value=value,
            without=address("/calls", {**kept, name: ""}),
        )
        for name, value in wanted.items()
    )


def pager(page: CallPage, kept: Mapping[str, str], query: Mapping[str, str]) -> Pager:
    """Return the addresses of the neighbouring pages."""

    def to(name: str, cursor: int | str | None) -> str | None:
        found = {**kept, name: str(cursor)}
        return None if cursor is None else address("/calls", found)

    away = "before" in query or "after" in query
    return Pager(
        newest=address("/calls", kept) if away and page.newer is not None else None,
        newer=to("after", page.newer),
        older=to("before", page.older),
        # Sequence numbers start at 1.
        oldest=to("after", 0) if page.older is not None else None,
    )


def _question(
    query: Mapping[str, str], window: Window, wanted: Mapping[str, str]
) -> dict[str, str]:
    cursors = {name: query.get(name, "") for name in ("before", "after")}
    return {
        "from": rfc3339(window.start),
        "to": rfc3339(window.end),
        "limit": str(PAGE_SIZE),
        **wanted,
        **{name: it for name, it in cursors.items() if _CURSOR.fullmatch(it)},
    }


def _options(found: tuple[FacetValue, ...], chosen: str) -> tuple[Option, ...]:
    options = [
        Option(value=each.value, count=each.count, chosen=each.value == chosen)
        for each in found
    ]
    if chosen and not any(option.chosen for option in options):
        options.append(Option(value=chosen, count=None, chosen=True))
    return tuple(options)
