"""Who is who: the consortium's registry file, and self-issued tokens.

The registry is a JSON array of participant records (`ledger.participants`). Its
keys are *pinned*: a token counts only under the key that the registry holds for
its issuer. The file is read again when it changes.

A token is a JWT that a participant signs for one call: issuer and subject are
its own DID, the audience is the node it calls, `jti` is a single-use nonce, and
`request` is the hash of the request, so that a token taken from one call is
worth nothing for another.

Source: Decentralized Claims Protocol 1.0, self-issued ID tokens; RFC 7519.
"""

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.types import Options

from crypto.encoding import b64u, canonical, unb64u
from crypto.errors import Malformed
from crypto.keys import Ed25519Key
from crypto.signing import Signer
from ledger.participants import Participant, Pins, pins_of
from node.domain.disclosure import Caller
from node.domain.pinned import Standing
from node.errors import Unavailable
from node.ports import Clock, KeyRegistry

_log = logging.getLogger("fieldpact.identity")
LIFETIME_S = 60
_LONGEST_S = 300
_SKEW_S = 30
_LONGEST_TOKEN = 4096
"""Characters. A token holds JSON, and long JSON can be nested deeply enough to end
the process (`crypto.encoding.check_depth`)."""
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_CLAIMS = {"iss", "sub", "aud", "iat", "exp", "jti", "agreement", "request"}
_UNVERIFIED: Options = {"verify_signature": False}
_SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class _Problem(Exception):
    """What is wrong with a token; the message is the denial code."""


class RegistryIdentity:
    """Implements `node.ports.Identity` on a registry file."""

    def __init__(
        self,
        registry: Path,
        *,
        did: str,
        signer: Ed25519Key,
        clock: Clock,
        keys: KeyRegistry | None = None,
        receipts: Signer | None = None,
    ) -> None:
        self._registry = registry
        self._did = did
        self._signer = signer
        self._receipts = receipts or signer
        self._clock = clock
        self._keys = keys
        self._read_at: tuple[int, int] = (0, 0)
        self._pins: Pins = {}

    @property
    def me(self) -> Participant:
        """Return this node's own record.

        Raises:
            Unavailable: The registry does not hold it, or other keys for it.
        """
        own = self._current().get(self._did)
        if own is None or not self._is_pinned(own):
            _log.error("%s does not pin this node's keys", self._registry)
            detail = "The registry does not pin this node's keys."
            raise Unavailable("registry.self", detail)
        return own

    def _is_pinned(self, own: Participant) -> bool:
        receipts = self._receipts.suite, self._receipts.public_bytes
        same = own.keys["ed25519"] == self._signer.public_bytes
        return same and (own.suite, own.signing.public) == receipts

    def participant(self, did: str) -> Participant | None:
        """Return the pinned record of a participant, or None."""
        return self._current().get(did)

    def participants(self) -> Sequence[Participant]:
        """Return every pinned record, this node's too, in order of name."""
        return sorted(self._current().values(), key=lambda each: each.name["en"])

    def _current(self) -> Pins:
        try:
            stat = self._registry.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            if version != self._read_at:
                self._pins = pins_of(json.loads(self._registry.read_bytes()))
                self._read_at = version
        except (OSError, ValueError, Malformed) as error:
            _log.error("the registry %s cannot be read", self._registry)
            detail = "This node cannot read the consortium's registry."
            raise Unavailable("registry.unreadable", detail) from error
        return self._pins

    def issue(
        self, *, audience: str, bound_to: str, agreement: str | None, nonce: str
    ) -> str:
        """Return a token for one call to one participant, whose keys must hold.

        Nobody is asked whose answers are signed with a key that somebody else may
        have. While the chain is silent, what it said last counts.

        Raises:
            Unavailable: The consortium's registry does not hold its keys.
        """
        partner = self.participant(audience)
        if self._keys and partner and self._keys.standing(partner) is Standing.NOT_HELD:
            detail = f"The consortium's registry does not hold the keys of {audience}."
            raise Unavailable("partner.keys", detail)
        now = int(self._clock.now().timestamp())
        header = {"alg": "EdDSA", "typ": "JWT", "kid": self._signer.key_id(self._did)}
        claims = {
            "iss": self._did,
            "sub": self._did,
            "aud": audience,
            "iat": now,
            "exp": now + LIFETIME_S,
            "jti": nonce,
            "agreement": agreement,
            "request": bound_to,
        }
        signed = f"{b64u(canonical(header))}.{b64u(canonical(claims))}"
        return f"{signed}.{b64u(self._signer.sign(signed.encode()))}"

    def authenticate(
        self, token: str | None, *, bound_to: str, agreement: str | None
    ) -> Caller:
        """Check a self-issued token. A fault of the token is `Caller.problem`.

        1. There is one, and it names a registered issuer.
        2. The issuer's pinned key signed it, and holds in the consortium's registry
           where there is one: from here on the caller is known.
        3. It is for this node, young, short-lived, and has a usable nonce.
        4. It is bound to this request and this agreement.
        """
        did: str | None = None
        nonce: str | None = None
        try:
            claims = self._signed_claims(token)
            did = claims["iss"]
            nonce = _nonce(claims)
            self._check(claims, bound_to=bound_to, agreement=agreement)
        except _Problem as problem:
            return Caller(did=did, problem=str(problem), nonce=nonce)
        return Caller(did=did, problem="", nonce=nonce)

    def _signed_claims(self, token: str | None) -> dict[str, Any]:
        if not token:
            raise _Problem("token.missing")
        if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
            raise _Problem("token.malformed")
        try:
            claims: dict[str, Any] = jwt.decode(token, options=_UNVERIFIED)
            unb64u(token.rpartition(".")[2])  # one spelling for one signature
        except (jwt.PyJWTError, Malformed) as error:
            raise _Problem("token.malformed") from error
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or set(claims) != _CLAIMS:
            raise _Problem("token.malformed")
        known = self.participant(issuer)
        if known is None:
            raise _Problem("token.issuer_unknown")
        named = jwt.get_unverified_header(token).get("kid")
        if named in [past.key_id(issuer) for past in known.token_verifiers[1:]]:
            raise _Problem("token.key_revoked")
        if named != known.key_id("ed25519"):
            raise _Problem("token.signature")
        key = Ed25519PublicKey.from_public_bytes(known.keys["ed25519"])
        try:
            jwt.decode(token, key, algorithms=["EdDSA"], options=_SIGNATURE_ONLY)
        except jwt.PyJWTError as error:
            raise _Problem("token.signature") from error
        self._check_held(known)
        return claims

    def _check_held(self, known: Participant) -> None:
        """Refuse a key that does not hold, and answer nobody while that is not known.

        Whoever stole a key can sign with it: the caller of such a token is nobody.
        Nor does anybody get an answer that we would sign with a key of ours that
        partners must not believe.
        """
        if self._keys is None:
            return
        if self._keys.standing(self.me) is Standing.NOT_HELD:
            detail = "The consortium's registry does not hold this node's keys."
            raise Unavailable("registry.own_keys", detail)
        match self._keys.standing(known):
            case Standing.NOT_HELD:
                raise _Problem("token.key_revoked")
            case Standing.UNKNOWN:
                detail = "Nobody here knows at present whether your keys hold."
                raise Unavailable("registry.stale", detail)
            case Standing.HELD:
                return

    def _check(
        self, claims: dict[str, Any], *, bound_to: str, agreement: str | None
    ) -> None:
        if claims["sub"] != claims["iss"]:
            raise _Problem("token.malformed")
        if claims["aud"] != self._did:
            raise _Problem("token.audience")
        issued, expires = claims["iat"], claims["exp"]
        if type(issued) is not int or type(expires) is not int:
            raise _Problem("token.malformed")
        now = int(self._clock.now().timestamp())
        young = issued <= now + _SKEW_S and now < expires <= issued + _LONGEST_S
        if not young:
            raise _Problem("token.expired")
        if claims["agreement"] != agreement:
            raise _Problem("token.agreement_mismatch")
        if claims["request"] != bound_to:
            raise _Problem("token.request_mismatch")


def _nonce(claims: dict[str, Any]) -> str:
    nonce = claims["jti"]
    try:
        if isinstance(nonce, str) and 16 <= len(unb64u(nonce)) <= 64:
            return nonce
    except Malformed:
        pass
    raise _Problem("token.malformed")
