"""SM2: signatures as China's commercial cryptography prescribes them.

SM2 signs on an elliptic curve of 256 bits, much like ECDSA, and hashes with SM3.
What is hashed before the message is who signs (an identifier, the public key) and on
which curve, so that a signature belongs to one key and to no other.

A public key is written in one way only, the 33 bytes of a compressed point: the
multicodec table has it so, secp256k1 keys are written so here, and the long form
would say y twice. A signature is r and s, 32 bytes each; other than with ECDSA, there
is no second s that verifies too.

The curve's arithmetic is gmalg's, in plain Python: slow, and not in constant time.
Whoever can measure a node's signing closely enough learns its key (docs/limitations).
Nonces are derived (`crypto.nonces`), and lengthened to one length, so that at least
their length is not measured.

Sources: GB/T 32918.2-2016 (signatures), GB/T 32918.5-2017 (the curve), GB/T 35276-2017
(the identifier), GB/T 32905-2016 (SM3).
"""

from typing import Final, Self, TypeAlias

from cryptography.hazmat.primitives import hashes
from gmalg.ellipticcurve import ECDLP

from crypto.errors import InvalidSignature, Malformed
from crypto.handles import SecretHandle
from crypto.hashing import sm3
from crypto.nonces import nonces

_Point: TypeAlias = tuple[int, int]

_P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A: Final = _P - 3
_B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
_N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
"""The order of the curve, which is prime: every point on it is of this order."""
_GROUP: Final = ECDLP(_P, _A, _B, _G, _N)
_IDENTIFIER: Final = b"1234567812345678"
"""What GB/T 35276 says for signers who are known by their key, as everybody is here."""


class Sm2Key(SecretHandle):
    """Signs messages."""

    __slots__ = ()

    suite = "sm2"
    _secret: int

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Take a key from 32 secret bytes: a number from 1 to the order less 2."""
        number = int.from_bytes(secret)
        if len(secret) != 32 or not 0 < number < _N - 1:
            raise Malformed("not an SM2 secret")
        return cls(secret=number, public=_compressed(_times_base(number)))

    def sign(self, message: bytes) -> bytes:
        """Sign a message, which says what it is (`encoding.tagged`): 64 bytes.

        The same message is signed the same way each time.
        """
        digest = _digest(_point(self._public), message)
        candidates = nonces(
            secret=self._secret, digest=digest, order=_N, hashing=hashes.SM3()
        )
        for nonce in candidates:
            if signature := sign_with_nonce(self._secret, digest, nonce):
                return signature
        raise AssertionError("candidates do not end")


def sign_with_nonce(secret: int, digest: bytes, nonce: int) -> bytes | None:
    """Sign a digest with a nonce. GB/T 32918.2, section 6.1, steps A4 to A7.

    For `Sm2Key` and the standard's own examples. A nonce that is used for two
    digests gives the secret away.

    Returns:
        r and s, 64 bytes; None when the nonce does not do for this digest.
    """
    x, _ = _times_base(nonce)
    r = (int.from_bytes(digest) + x) % _N
    if r == 0 or r + nonce == _N:
        return None
    s = pow(1 + secret, -1, _N) * (nonce - r * secret) % _N
    return r.to_bytes(32) + s.to_bytes(32) if s else None


def check_sm2_public(public: bytes) -> None:
    """Refuse what is no SM2 public key.

    Raises:
        Malformed: Not the 33 bytes of a compressed point on the curve. (The curve
            has no points of small order, and infinity has no such form.)
    """
    _point(public)


def verify_sm2(public: bytes, message: bytes, signature: bytes) -> None:
    """Check that the holder of `public` signed `message`. GB/T 32918.2, section 7.1.

    Args:
        public: A *pinned* public key, 33 bytes.
        message: The bytes said to be signed, domain tag included.
        signature: 64 bytes.

    Raises:
        Malformed: `public` is no key (`check_sm2_public`).
        InvalidSignature: Anything is wrong with the signature.
    """
    point = _point(public)
    if len(signature) != 64:
        raise InvalidSignature("an SM2 signature has 64 bytes")
    # B1, B2. Both numbers are in range, in their one form.
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < _N and 0 < s < _N):
        raise InvalidSignature("an SM2 signature with a number out of range")
    # B3, B4. What was signed, for this key.
    digest = int.from_bytes(_digest(point, message))
    # B5. gmalg takes no 0 for a factor; the standard refuses it too.
    if (both := (r + s) % _N) == 0:
        raise InvalidSignature("an SM2 signature whose numbers cancel out")
    # B6, B7. Infinity has no coordinates, so nothing can equal them.
    curve = _GROUP.ec
    found = curve.add(curve.mul(s, _G), curve.mul(both, point))
    if found == curve.INF or (digest + found[0]) % _N != r:
        raise InvalidSignature("not signed by this SM2 key")


def _digest(point: _Point, message: bytes) -> bytes:
    """Hash a message for a key: identity and curve first. Sections 5.5 and 6.1."""
    bits = (8 * len(_IDENTIFIER)).to_bytes(2)
    numbers = b"".join(each.to_bytes(32) for each in (_A, _B, *_G, *point))
    return sm3(sm3(bits, _IDENTIFIER, numbers), message)


def _times_base(factor: int) -> _Point:
    """Multiply the base point by a secret, over as many bits for every secret."""
    longer = factor + _N
    found: _Point = _GROUP.ec.mul(longer if longer >> 256 else longer + _N, _G)
    return found


def _compressed(point: _Point) -> bytes:
    x, y = point
    return bytes([2 + (y & 1)]) + x.to_bytes(32)


def _point(public: bytes) -> _Point:
    if len(public) != 33 or public[0] not in (2, 3):
        raise Malformed("an SM2 public key is a compressed point of 33 bytes")
    x = int.from_bytes(public[1:])
    y = _GROUP.ec.get_y(x) if x < _P else None
    if y is None:
        raise Malformed("an SM2 public key that is not on the curve")
    return x, y if y & 1 == public[0] & 1 else _P - y
