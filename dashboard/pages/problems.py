"""Pages for what went wrong: what failed, what it means, and what to do.

Never a stack trace, and never a guess: each page says what the dashboard asked,
whether anything can be lost by it, and when the node last answered. The
reference on the page is the one in the log.
"""

import logging
import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dashboard.errors import NodeError, NotFound
from dashboard.pages.base import desk_of, here, read_reader, render
from dashboard.pages.sign_in import who
from dashboard.security import HEADERS

_log = logging.getLogger("dashboard")


async def node_failed(request: Request, error: Exception) -> Response:
    """Say that the node did not give the answer that was needed."""
    code = error.code if isinstance(error, NodeError) else "nonsense"
    return _problem(request, code, 502 if code != "unreachable" else 503, error)


async def not_found(request: Request, error: Exception) -> Response:
    """Say that there is nothing at this address."""
    return _problem(request, "missing", 404, error)


async def gone(request: Request, error: Exception) -> Response:
    """Say that what a receipt said is erased."""
    return _problem(request, "erased", 410, error)


async def refused(request: Request, error: Exception) -> Response:
    """Say that an address exists, but not in this way; or that it does not."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        return Response(status_code=405, headers=error.headers)
    return await not_found(request, NotFound(request.url.path))


async def broken(request: Request, error: Exception) -> Response:
    """Say that the dashboard itself failed.

    Starlette answers this outside of all middleware, so the headers are set here.
    """
    response = _problem(request, "broken", 500, error)
    response.headers.update(HEADERS | {"Cache-Control": "no-store"})
    return response


def _problem(request: Request, code: str, status: int, error: Exception) -> Response:
    reference = secrets.token_hex(4)
    trace = error if code == "broken" else None
    _log.warning("%s %s: %r", reference, code, error, exc_info=trace)
    if request.url.path.endswith(".json"):
        return JSONResponse({"code": code, "reference": reference}, status)
    if "hx-request" in request.headers:  # a problem wants the whole page
        return Response(status_code=status, headers={"HX-Redirect": here(request)})
    desk, person = desk_of(request), who(request)
    if person is None and code == "missing":
        return Response(status_code=404)
    return render(
        request,
        read_reader(request, person),
        "problem.html",
        status=status,
        code=code,
        reference=reference,
        from_node=isinstance(error, NodeError),
        last_answer_at=None
        if code in {"missing", "erased"}
        else desk.client.last_answer_at,
    )
