"""The consumer's own signature under what it asked: the token that it sent along.

A receipt is the provider's word first. Whether the consumer really asked is shown by
the consumer alone: either by its countersignature, later, or by the token that it
signed for this one call, before it knew the answer. A consumer that never signs back
cannot deny the call for that.

The token is a JWT (RFC 7519) in the compact form of a JWS (RFC 7515), signed with
Ed25519 (RFC 8037). It is read strictly, as what is under a signature must be: one
algorithm, one form, each name once, no claim that is not defined. A node refuses
tokens that are late or were seen before; years later there is no clock to ask, so
here a token is tied to its receipt by the nonce and the hash of the request instead.

What this does not show: that an answer reached the consumer.

Spec: `docs/protocols/evidence.md`, section "The request".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import parse_json, unb64u
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.signing import Verifier
from ledger import shape
from ledger.participants import Participant
from ledger.receipts import Receipt

LONGEST: Final = 4096
"""Characters of a token."""
_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_CLAIMS: Final[Mapping[str, shape.Reader[Any]]] = {
    "iss": shape.did,
    "sub": shape.did,
    "aud": shape.did,
    "iat": shape.count,
    "exp": shape.count,
    "jti": shape.text,
    "agreement": shape.optional(shape.text),
    "request": shape.text,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A token that was signed for one call, not yet verified.

    Attributes:
        token: As it was sent.
        key_id: Of the key that is said to have signed it.
        claims: What it says: `iss`, `sub`, `aud`, `iat`, `exp`, `jti`, `agreement`
            and `request`, the hash of the request.
        signature: Ed25519 signature, 64 bytes.
    """

    token: str
    key_id: str
    claims: Mapping[str, Any]
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes under the signature (RFC 7515, section 5.2)."""
        return self.token.rpartition(".")[0].encode()


def parse_request(value: object, what: str = "request") -> Request:
    """Read a token.

    Raises:
        Malformed: Not a compact JWS of known length; base64url in another spelling
            than its own; a header or claims that are not exactly those defined.
    """
    token = shape.prose(value, what)
    form = _FORM.fullmatch(token) if len(token) <= LONGEST else None
    if form is None:
        raise Malformed(f"{what} must be a compact JWS of at most {LONGEST} characters")
    # 1. One header: one algorithm, one type, no extension (RFC 7515, section 4.1.11).
    header = shape.members(_json(form[1]), {"alg", "typ", "kid"}, "header")
    shape.constant(header["alg"], "EdDSA", "alg")
    shape.constant(header["typ"], "JWT", "typ")
    # 2. All claims and no others, each in its form.
    found = shape.members(_json(form[2]), _CLAIMS, "claims")
    return Request(
        token=token,
        key_id=shape.text(header["kid"], "kid"),
        claims={name: read(found[name], name) for name, read in _CLAIMS.items()},
        signature=unb64u(form[3], 64),
    )


def _json(part: str) -> object:
    return parse_json(unb64u(part))


def verify_request(token: str, receipt: Receipt, consumer: Participant) -> str:
    """Check that the consumer of a receipt signed for the call that the receipt tells.

    1. `token` parses.
    2. The consumer's *pinned* Ed25519 key signed it.
    3. The consumer speaks for itself, and to the provider of the receipt.
    4. It is about this call: nonce, agreement and hash of the request.

    Args:
        token: As the provider kept it.
        receipt: Whose signature is verified elsewhere.
        consumer: The receipt's consumer, as pinned.

    Returns:
        The id of the key that signed.

    Raises:
        Malformed: It does not parse.
        InvalidSignature: Signed by another key, or by nobody.
        InvalidProof: It says something else than the receipt.
    """
    request = parse_request(token)
    token_key(consumer, request.key_id).verify(request.signed, request.signature)
    expected = {
        "iss": receipt.consumer,
        "sub": receipt.consumer,
        "aud": receipt.provider,
        "jti": receipt.nonce,
        "agreement": receipt.agreement,
        "request": receipt.request_hash,
    }
    for claim, value in expected.items():
        if request.claims[claim] != value:
            raise InvalidProof(f"the request's {claim} is not what the receipt says")
    if consumer.did != receipt.consumer:
        raise InvalidProof("the request of another participant")
    return request.key_id


def token_key(consumer: Participant, named: str) -> Verifier:
    """Return the Ed25519 key of an id, of now or before: tokens know no other suite.

    Raises:
        InvalidSignature: The participant has no such key.
    """
    for known in consumer.token_verifiers:
        if known.key_id(consumer.did) == named:
            return known
    raise InvalidSignature("said to be signed with a key that is not pinned")
