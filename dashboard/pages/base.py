"""What every page shares: the reader, the frame around it, and how it is drawn.

A `Desk` holds what one dashboard has (settings, client, registry, templates); a
`Reader` is one request's person with language, zone and theme. Wishes come from
the query (`?lang=en&theme=dark&tz=utc`), are kept in a cookie, and fall back to
the browser's language and the settings' zone. They need no script.
"""

import datetime
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from dashboard.access import Door, Person, Sessions, Throttle
from dashboard.assets import Assets
from dashboard.client import AuditClient
from dashboard.i18n import HTML_LANG, LANGUAGES, Speech
from dashboard.pages.window import Window
from dashboard.registry import Registry
from dashboard.settings import Settings
from dashboard.statements import Summary
from dashboard.system import Clock
from ledger.ports import ChainReader
from ledger.registry import Registry as KeyRegistry

_WISHES: Final = {
    "lang": LANGUAGES,
    "theme": ("auto", "light", "dark"),
    "tz": ("local", "utc"),
}
_YEAR_S: Final = 365 * 86_400
NAVIGATION: Final = (
    ("ours", (("overview", "/"), ("calls", "/calls"), ("budget", "/budget"))),
    ("joint", (("jobs", "/jobs"),)),
    ("consortium", (("ledger", "/ledger"),)),
)
"""Groups of pages, as in the rail. A page is listed once it exists."""
UNKNOWN: Final = "unknown"
"""What the audit API calls a value that a call did not have, when it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The newest summary that the node gave, for when it no longer answers."""

    summary: Summary
    window: Window
    at: datetime.datetime


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything one dashboard works with. One per process."""

    settings: Settings
    registry: Registry
    client: AuditClient
    chain: ChainReader | None
    keys: KeyRegistry | None
    assets: Assets
    clock: Clock
    door: Door
    throttle: Throttle
    sessions: Sessions
    templates: jinja2.Environment
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whoever reads one page, and how they want it."""

    speech: Speech
    theme: str
    person: Person | None
    now: datetime.datetime
    wishes: Mapping[str, str]

    @property
    def language(self) -> str:
        """Return `zh` or `en`."""
        return self.speech.language


def templates() -> jinja2.Environment:
    """Return the template environment: everything escaped, nothing undefined."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def desk_of(request: Request) -> Desk:
    """Return the desk that the application was made with."""
    desk: Desk = request.app.state.desk
    return desk


def read_reader(request: Request, person: Person | None) -> Reader:
    """Work out how this reader wants the page."""
    desk = desk_of(request)
    wishes = {name: _wish(request, name) for name in _WISHES}
    language = wishes["lang"] or _spoken(request) or desk.settings.language
    zone = "UTC" if wishes["tz"] == "utc" else desk.settings.time_zone
    return Reader(
        speech=Speech(language=language, zone=zoneinfo.ZoneInfo(zone)),
        theme=wishes["theme"] or "auto",
        person=person,
        now=desk.clock.now(),
        wishes={name: value for name, value in wishes.items() if value},
    )


def render(
    request: Request,
    reader: Reader,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    """Draw a template for a reader, and remember the wishes that the URL states."""
    desk = desk_of(request)
    body = desk.templates.get_template(template).render(
        _frame(request, desk, reader) | values
    )
    response = HTMLResponse(body, status_code=status, headers=dict(headers or {}))
    for name, value in reader.wishes.items():
        if name in request.query_params:
            response.set_cookie(
                name, value, max_age=_YEAR_S, httponly=True, samesite="lax"
            )
    return response


def address(path: str, query: Mapping[str, str]) -> str:
    """Write a path with a query, leaving out what is empty."""
    kept = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def here(request: Request, **changes: str) -> str:
    """Write the address that was asked for, with changes to its query."""
    return address(request.url.path, dict(request.query_params) | changes)


def is_fragment(request: Request) -> bool:
    """Say whether only a part of the page is wanted, by a script that swaps it in."""
    return request.headers.get("hx-request-type") == "partial"


def _frame(request: Request, desk: Desk, reader: Reader) -> dict[str, Any]:
    speech = reader.speech
    own = desk.registry.find(desk.settings.participant)

    def partner(did: str | None) -> object:
        if did is None or did == UNKNOWN:
            return speech.say("caller.unknown")
        found = desk.registry.find(did)
        return speech.name(found.name) if found else did

    return {
        "t": speech.say,
        "speech": speech,
        "reader": reader,
        "html_lang": HTML_LANG[reader.language],
        "other_language": "en" if reader.language == "zh" else "zh",
        "asset": desk.assets.url,
        "here": partial(here, request),
        "path": request.url.path,
        "navigation": NAVIGATION,
        "company": speech.name(own.name) if own else desk.settings.participant,
        "participant": desk.settings.participant,
        "node_url": desk.client.node_url,
        "partner": partner,
    }


def _wish(request: Request, name: str) -> str:
    for source in (request.query_params, request.cookies):
        if source.get(name) in _WISHES[name]:
            return source[name]
    return ""


def _spoken(request: Request) -> str:
    for part in request.headers.get("accept-language", "").split(","):
        language = part.split(";")[0].strip().split("-")[0].lower()
        if language in LANGUAGES:
            return language
    return ""
