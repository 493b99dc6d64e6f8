"""Tokens that a consumer signs for a call, right and wrong."""

from typing import Any

from crypto.encoding import b64u, canonical
from crypto.keys import Ed25519Key
from ledger.receipts import Receipt
from tests.unit.ledger import samples


def header(**changes: Any) -> dict[str, Any]:
    """What stands above the claims."""
    named = samples.CONSUMER_KEY.key_id(samples.CONSUMER)
    return {"alg": "EdDSA", "typ": "JWT", "kid": named} | changes


def claims(receipt: Receipt, **changes: Any) -> dict[str, Any]:
    """What the consumer of a receipt signed when it asked."""
    return {
        "iss": receipt.consumer,
        "sub": receipt.consumer,
        "aud": receipt.provider,
        "iat": 1_795_371_600,
        "exp": 1_795_371_660,
        "jti": receipt.nonce,
        "agreement": receipt.agreement,
        "request": receipt.request_hash,
    } | changes


def signed(above: Any, below: Any, key: Ed25519Key = samples.CONSUMER_KEY) -> str:
    """A compact JWS over any header and claims."""
    return over(canonical(above), canonical(below), key)


def over(above: bytes, below: bytes, key: Ed25519Key = samples.CONSUMER_KEY) -> str:
    """A compact JWS over any octets."""
    text = f"{b64u(above)}.{b64u(below)}"
    return f"{text}.{b64u(key.sign(text.encode()))}"


def token(receipt: Receipt, **changes: Any) -> str:
    """The token of a call, with some claims changed before it is signed."""
    return signed(header(), claims(receipt, **changes))
