"""Errors as RFC 9457 problem documents. The only module that knows HTTP statuses."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from node.errors import (
    BadRequest,
    Conflict,
    Gone,
    NodeError,
    NotFound,
    Refused,
    Unauthenticated,
    Unavailable,
)

_STATUS: Mapping[type[NodeError], tuple[int, str]] = {
    BadRequest: (400, "The request does not parse or fit"),
    Unauthenticated: (401, "The caller is not recognised"),
    Refused: (403, "Refused by policy"),
    NotFound: (404, "Not found"),
    Conflict: (409, "The state does not allow it"),
    Gone: (410, "Erased"),
    Unavailable: (503, "Something needed did not answer"),
}


class TooLarge(HTTPException):
    """The body is larger than any that this node reads."""

    def __init__(self) -> None:
        super().__init__(413, "The body is larger than any that this node reads.")


class TooDeep(HTTPException):
    """The body is nested so deeply that reading it could end the process."""

    def __init__(self) -> None:
        super().__init__(400, "The body is nested deeper than any that is read.")


_NOT_OURS = {
    404: "address.unknown",
    405: "method.not_allowed",
    413: "body.too_large",
}


class _Problem(JSONResponse):
    """Written in ASCII: what it repeats may hold what UTF-8 cannot say."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def problem(
    status: int,
    title: str,
    code: str,
    detail: str,
    extra: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a problem document."""
    content = {
        "type": f"urn:fieldpact:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        **(extra or {}),
    }
    told = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return _Problem(content, status, {**told, **(headers or {})})


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""

    @app.exception_handler(NodeError)
    async def _node_error(_: Request, error: NodeError) -> JSONResponse:
        kind = next(kind for kind in type(error).__mro__ if kind in _STATUS)
        status, title = _STATUS[kind]
        return problem(status, title, error.code, error.detail, error.extra)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Only places and rules, never the values that were sent.
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors()
        )
        return problem(400, _STATUS[BadRequest][1], "request.malformed", wrong)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        code = _NOT_OURS.get(error.status_code, "request.malformed")
        detail = str(error.detail)
        status, headers = error.status_code, error.headers
        return problem(status, "Not served", code, detail, headers=headers)

    @app.exception_handler(Exception)
    async def _bug(_: Request, __: Exception) -> JSONResponse:
        detail = "The node failed. Nothing was disclosed; its log tells more."
        return problem(500, "The node failed", "node.bug", detail)
