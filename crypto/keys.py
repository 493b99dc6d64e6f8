"""Keys that sign, and keys that agree.

A participant has four: Ed25519 signs receipts, agreements and checkpoints;
X25519 agrees with a partner on the key under which customers are compared;
secp256k1 signs for the chain; BLS12-381 (in `crypto.bbs`) signs records. Each
does one thing, so none can be tricked into doing another's.

Ed25519 is verified more strictly than RFC 8032 asks: keys of small order and
non-canonical encodings are refused, because for those one signature can pass
for more than one message or key.

Sources: RFC 8032 (Ed25519), RFC 7748 (X25519), RFC 5869 (HKDF).
"""

from typing import Final, Self

from cryptography.exceptions import InvalidSignature as _OpenSslRefusal
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.encoding import canonical, tagged
from crypto.errors import InvalidSignature, Malformed
from crypto.handles import SecretHandle, load_pem
from crypto.keyids import Suite, fragment, jwk, key_id, thumbprint
from crypto.secp256k1 import Secp256k1Key

__all__ = [
    "Ed25519Key",
    "Secp256k1Key",
    "Suite",
    "X25519Key",
    "check_ed25519_public",
    "fragment",
    "jwk",
    "key_id",
    "thumbprint",
    "verify_ed25519",
]

_P: Final = 2**255 - 19
# y-coordinates of the eight points of small order: orders 4, 1, 2 and 8 (twice).
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "little",
)
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _ORDER_8_Y, _P - _ORDER_8_Y})


class Ed25519Key(SecretHandle):
    """Signs messages."""

    __slots__ = ()

    suite = "ed25519"
    _secret: ed25519.Ed25519PrivateKey

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Take a key from its 32-byte seed: random bytes, kept by the caller."""
        if len(secret) != 32:
            raise Malformed("an Ed25519 seed has 32 bytes")
        return cls._of(ed25519.Ed25519PrivateKey.from_private_bytes(secret))

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> Self:
        """Take a key from PKCS #8 PEM. Raises `Malformed`."""
        key = load_pem(pem, password)
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise Malformed("a PEM private key, but not of Ed25519")
        return cls._of(key)

    @classmethod
    def _of(cls, key: ed25519.Ed25519PrivateKey) -> Self:
        return cls(secret=key, public=key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Sign a message, which says what it is (`encoding.tagged`): 64 bytes."""
        return self._secret.sign(message)


def check_ed25519_public(public: bytes) -> None:
    """Refuse what must never be pinned as somebody's Ed25519 key.

    Bytes that are off the curve pass, and verify no signature.

    Raises:
        Malformed: Not 32 bytes, not canonical (RFC 8032, section 5.1.3: y must
            be below p), or a point of small order.
    """
    if len(public) != 32:
        raise Malformed("an Ed25519 public key has 32 bytes")
    y = int.from_bytes(public, "little") & (2**255 - 1)
    if y >= _P or y in _SMALL_ORDER_Y:
        raise Malformed("an Ed25519 public key that is not canonical or of small order")


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """Check that the holder of `public` signed `message`. RFC 8032, section 5.1.7.

    Args:
        public: A *pinned* public key, 32 bytes.
        message: The bytes said to be signed, domain tag included.
        signature: 64 bytes; S not reduced modulo the order is refused, so a
            signature cannot be altered into another that also verifies.

    Raises:
        Malformed: `public` is not a usable key (`check_ed25519_public`).
        InvalidSignature: Anything is wrong with the signature.
    """
    check_ed25519_public(public)
    if len(signature) != 64:
        raise InvalidSignature("an Ed25519 signature has 64 bytes")
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(public)
        key.verify(signature, message)
    except _OpenSslRefusal:
        raise InvalidSignature("not signed by this Ed25519 key") from None


class X25519Key(SecretHandle):
    """Agrees with a partner on keys that only the two of them can compute."""

    __slots__ = ()

    suite = "x25519"
    _secret: x25519.X25519PrivateKey

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Take a key from its 32 secret bytes: random bytes, kept by the caller."""
        if len(secret) != 32:
            raise Malformed("an X25519 secret has 32 bytes")
        return cls._of(x25519.X25519PrivateKey.from_private_bytes(secret))

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> Self:
        """Take a key from PKCS #8 PEM. Raises `Malformed`."""
        key = load_pem(pem, password)
        if not isinstance(key, x25519.X25519PrivateKey):
            raise Malformed("a PEM private key, but not of X25519")
        return cls._of(key)

    @classmethod
    def _of(cls, key: x25519.X25519PrivateKey) -> Self:
        return cls(secret=key, public=key.public_key().public_bytes_raw())

    def customer_token_key(
        self, peer_public: bytes, agreement_id: str, direction: str
    ) -> bytes:
        """Derive the key under which both parties write customers as tokens.

        The two parties get the same 32 bytes when they name the same agreement
        and direction. Another agreement, direction or pair of keys gives an
        unrelated key, so tokens of two agreements cannot be joined.

        Args:
            peer_public: The partner's *pinned* X25519 key, 32 bytes.
            agreement_id: The agreement under which customers are compared.
            direction: A word both sides use, such as the provider's DID.

        Raises:
            Malformed: `peer_public` is not 32 bytes, or of small order.
        """
        names = canonical([agreement_id, direction])
        return self._agreed(peer_public, "customer-token-key", names)

    def mask_key(
        self, peer_public: bytes, round_id: bytes, roster: bytes, low: str, high: str
    ) -> bytes:
        """Derive the key under which two parties of a round mask their rows.

        Args:
            peer_public: The other's key for this round, signed by it, 32 bytes.
            round_id: 32 bytes, of this round only.
            roster: Hash of all parties and keys of the round, 32 bytes.
            low: The lesser of the two parties' names.
            high: The greater.

        Raises:
            Malformed: `peer_public` is not 32 bytes, or of small order.
        """
        names = canonical([round_id.hex(), roster.hex(), low, high])
        return self._agreed(peer_public, "mask-key", names)

    def storage_key(self, purpose: str) -> bytes:
        """Derive a key under which this node encrypts what it keeps for itself.

        It agrees with nobody on this one. Whoever has the 32 secret bytes gets it
        again; a node whose X25519 key is replaced no longer reads what it had kept.

        Args:
            purpose: What is encrypted; another purpose gives an unrelated key.

        Returns:
            32 bytes.
        """
        info = tagged("storage-key", canonical([purpose]))
        secret = self._secret.private_bytes_raw()
        return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(secret)

    def _agreed(self, peer_public: bytes, thing: str, names: bytes) -> bytes:
        if len(peer_public) != 32:
            raise Malformed("an X25519 public key has 32 bytes")
        try:
            peer = x25519.X25519PublicKey.from_public_bytes(peer_public)
            shared = self._secret.exchange(peer)  # refuses the all-zero result
        except ValueError:
            raise Malformed("an X25519 public key of small order") from None
        # Both public keys go in (RFC 7748, section 6.1), in an order both know.
        pair = b"".join(sorted((self._public, peer_public)))
        info = tagged(thing, pair + names)
        return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(shared)
