"""Names of public keys, computed from the keys.

A key is named by a hash of itself, so a name cannot be given to another key.
Where JSON Web Keys know the kind of key, the hash is its JWK thumbprint, which
any JOSE library reproduces; for BLS12-381 G2 and SM2, unknown to JOSE, it is the
hash of the compressed point. The first 16 of its 43 characters (96 bits) go into the
name: names tell the keys of one registry apart, where keys are pinned in full.

Sources: RFC 7638 (thumbprint), RFC 8037 (OKP keys), RFC 8812 (secp256k1).
"""

import json
from typing import Final, Literal, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec

from crypto.encoding import b64u, sha256
from crypto.errors import Malformed

Suite: TypeAlias = Literal["ed25519", "x25519", "secp256k1", "bls12381g2", "sm2"]

_SIZES: Final[dict[Suite, int]] = {
    "ed25519": 32,
    "x25519": 32,
    "secp256k1": 33,
    "bls12381g2": 96,
    "sm2": 33,
}
_COMPRESSED: Final[frozenset[Suite]] = frozenset({"bls12381g2", "sm2"})
"""Suites that JOSE does not know, named by the hash of a compressed point."""
_OKP: Final[dict[Suite, str]] = {"ed25519": "Ed25519", "x25519": "X25519"}


def key_id(did: str, suite: Suite, public: bytes) -> str:
    """Name a participant's key: ``<did>#<suite>-<16 characters>``.

    Args:
        did: The participant's DID.
        suite: The kind of key.
        public: The public key: 32 bytes; 33 (compressed) for secp256k1 and sm2; 96
            (compressed) for bls12381g2.

    Raises:
        Malformed: `public` is not such a key.
    """
    return f"{did}#{fragment(suite, public)}"


def fragment(suite: Suite, public: bytes) -> str:
    """Return the part of the key id after the ``#``. See `key_id`."""
    if len(public) != _SIZES[suite]:
        message = f"a {suite} public key has {_SIZES[suite]} bytes, not {len(public)}"
        raise Malformed(message)
    unknown = suite in _COMPRESSED
    digest = b64u(sha256(public)) if unknown else thumbprint(suite, public)
    return f"{suite}-{digest[:16]}"


def suite_of(named: str) -> Suite:
    """Return the suite that a key id speaks of, without knowing the key.

    Raises:
        Malformed: It speaks of none.
    """
    owner, _, own = named.rpartition("#")
    name, _, digest = own.partition("-")
    for suite in _SIZES:
        if owner and digest and name == suite:
            return suite
    raise Malformed("a key id that names no suite")


def thumbprint(suite: Suite, public: bytes) -> str:
    """Hash a public key as RFC 7638 does: b64u(SHA-256) of its required members."""
    members = jwk(suite, public)
    return b64u(sha256(json.dumps(members, separators=(",", ":")).encode()))


def jwk(suite: Suite, public: bytes) -> dict[str, str]:
    """Write a public key as the required members of a JSON Web Key, in order.

    Raises:
        Malformed: Not a key of this suite, or JOSE does not know the suite.
    """
    if suite in _OKP:
        return {"crv": _OKP[suite], "kty": "OKP", "x": b64u(public)}
    if suite != "secp256k1":
        message = f"JOSE has no {suite} keys"
        raise Malformed(message)
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public)
    except ValueError as error:
        raise Malformed("not a point of secp256k1") from error
    point = key.public_numbers()
    x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
    return {"crv": "secp256k1", "kty": "EC", "x": b64u(x), "y": b64u(y)}
