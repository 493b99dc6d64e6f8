"""What every answer of the dashboard says to the browser, and what it refuses.

The content security policy allows nothing but the dashboard's own files: no
inline script, no inline style, no other origin. A page therefore cannot be made
to send what it shows anywhere else, even when some value in it was chosen by a
partner. Pages are not kept by caches, for they show who read what.

A pure ASGI middleware: it adds headers as the answer starts and never holds
back a body, so that streams may be added behind it.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""What every answer carries."""


class SecurityHeaders:
    """Adds the headers above to every answer, whatever made it."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def from_own_page(headers: Headers, own_url: str) -> bool:
    """Say whether a request that changes something came from a page of ours.

    `Sec-Fetch-Site` decides where the browser sends it. An older browser is
    judged by `Origin`, which must be the dashboard's own address. A request
    with neither is refused.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    own = urlsplit(own_url)
    return headers.get("origin") == f"{own.scheme}://{own.netloc}"
