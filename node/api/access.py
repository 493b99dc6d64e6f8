"""Who may call: operators by bearer token, partners by self-issued token."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request

from crypto.errors import Malformed
from ledger.receipts import request_hash
from node.errors import BadRequest, NotFound, Unauthenticated, Unavailable
from node.services import Services

_UNREAD = {"", "token.agreement_mismatch", "token.request_mismatch"}
"""What a token may lack while nobody has read the body that it is bound to."""
_LONG = 2**16
"""Bytes of a body from which on it is hashed in a thread."""
_ROLES = {"audit": {"audit", "management"}, "management": {"management"}}


def services(request: Request) -> Services:
    """Return the node's services."""
    found: Services = request.app.state.services
    return found


def bearer(request: Request) -> str | None:
    """Return the bearer token of a request, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def operator(role: str) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that lets only operators of a role pass."""

    async def _check(request: Request) -> None:
        if not _is_operator(request, role):
            detail = f"Send the bearer token of an operator with the role {role}."
            raise Unauthenticated("operator.unknown", detail)

    return _check


def _is_operator(request: Request, role: str) -> bool:
    known: Mapping[str, str] = request.app.state.operators
    token = bearer(request)
    digest = hashlib.sha256((token or "").encode()).hexdigest()
    allowed = False
    for hashed, owner in known.items():
        same = hmac.compare_digest(hashed, digest)
        allowed |= token is not None and same and owner in _ROLES[role]
    return allowed


def is_known(request: Request) -> bool:
    """Tell whether a call whose body is still unread comes from somebody we know.

    It says who may make the node read much, and not who may do what: that is
    decided by `operator` and `partner` once the body is there.
    """
    try:
        identity = services(request).identity
        caller = identity.authenticate(bearer(request), bound_to="", agreement=None)
    except (AttributeError, Unavailable):  # not started yet, or no registry
        return False
    signed = caller.did is not None and caller.problem in _UNREAD
    return signed or _is_operator(request, "management")


async def partner(request: Request, body: Any, agreement: str | None = None) -> str:
    """Return the DID of the partner that signed a call, and burn its nonce.

    For calls that change something but disclose nothing; queries leave a receipt
    and go through `node.services.disclose`.

    Raises:
        Unauthenticated: The token is missing, wrong, or was used before.
    """
    node = services(request)
    try:
        if len(await request.body()) < _LONG:
            bound_to = request_hash(request.url.path, body)
        else:
            bound_to = await asyncio.to_thread(request_hash, request.url.path, body)
    except Malformed as error:
        raise BadRequest("message.malformed", str(error)) from error
    caller = node.identity.authenticate(
        bearer(request), bound_to=bound_to, agreement=agreement
    )
    if caller.problem or caller.did is None:
        raise Unauthenticated(caller.problem, "The call's token is not accepted.")
    await node.burn(caller)
    return caller.did


def found(value: Any, what: str) -> Any:
    """Return a value, or answer that there is no such thing."""
    if value is None:
        raise NotFound(f"{what}.unknown", f"There is no such {what}.")
    return value
