"""Signing in and out.

Every page but this one asks for a session (`signed_in`). Where to go afterwards
is kept as a path of this dashboard; anything that could leave it is dropped.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.access import IDLE, LIFETIME, Person
from dashboard.pages.base import Desk, desk_of, here, read_reader, render
from dashboard.security import from_own_page

_MAX_FORM_BYTES: Final = 4096
Page = Callable[[Request, Person], Awaitable[Response]]


def signed_in(
    page: Page, *, used: bool = True
) -> Callable[[Request], Awaitable[Response]]:
    """Let a page be drawn only for somebody who signed in.

    Args:
        page: Draws it.
        used: Whether asking for it keeps the session from going idle.
    """

    async def guarded(request: Request) -> Response:
        """Draw the page, or the way to the sign-in form."""
        person = who(request, used=used)
        if person is None:
            return _to_sign_in(request)
        return await page(request, person)

    return guarded


def who(request: Request, *, used: bool = True) -> Person | None:
    """Return whose session the request's cookie names, or None."""
    desk = desk_of(request)
    cookie = request.cookies.get(cookie_name(desk), "")
    return desk.sessions.person(cookie, used=used)


def cookie_name(desk: Desk) -> str:
    """Return the session cookie's name; bound to this host where there is TLS."""
    return "__Host-session" if _encrypted(desk) else "session"


async def sign_in_form(request: Request) -> Response:
    """Show the form, or pass on whoever is signed in already."""
    if who(request):
        return RedirectResponse(_next(request.query_params.get("next", "")), 303)
    return _form(request, problem=None)


async def sign_in(request: Request) -> Response:
    """Open a session for the right key."""
    desk = desk_of(request)
    if not from_own_page(request.headers, desk.settings.listen.url):
        return _form(request, problem="foreign", status=403)
    address = request.client.host if request.client else "-"
    wait = desk.throttle.wait(address)
    if wait:
        seconds = max(1, int(wait.total_seconds()))
        return _form(request, problem="throttled", status=429, wait=seconds)
    form = await _fields(request)
    person = desk.door.person(form.get("key", ""))
    if person is None:
        desk.throttle.failed(address)
        return _form(request, problem="wrong", status=403)
    response = RedirectResponse(_next(form.get("next", "")), 303)
    response.set_cookie(
        cookie_name(desk),
        desk.sessions.begin(person),
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=_encrypted(desk),
    )
    return response


async def sign_out(request: Request) -> Response:
    """Close the session."""
    desk = desk_of(request)
    if not from_own_page(request.headers, desk.settings.listen.url):
        return _form(request, problem="foreign", status=403)
    desk.sessions.end(request.cookies.get(cookie_name(desk), ""))
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(cookie_name(desk), secure=_encrypted(desk), httponly=True)
    return response


def _form(
    request: Request, *, problem: str | None, status: int = 200, wait: int = 0
) -> Response:
    return render(
        request,
        read_reader(request, None),
        "sign_in.html",
        status=status,
        headers={"Retry-After": str(wait)} if wait else {},
        problem=problem,
        wait=wait,
        next=_next(request.query_params.get("next", "")),
        idle_minutes=int(IDLE.total_seconds() // 60),
    )


async def _fields(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _to_sign_in(request: Request) -> Response:
    target = f"/sign-in?next={quote(here(request))}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)


def _next(path: str) -> str:
    parts = urlsplit(path)
    local = path.isprintable() and not parts.scheme and not parts.netloc
    rooted = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if local and rooted else "/"


def _encrypted(desk: Desk) -> bool:
    return desk.settings.listen.url.startswith("https://")
