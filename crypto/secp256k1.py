"""The key that signs for the chain.

Ethereum identifies an account by 20 bytes of a hash of its public key and gets
that key back out of each signature, so a signature carries one more bit than
elsewhere: the parity of a y-coordinate.

The secret is used by OpenSSL alone, with the nonce derived from key and digest
(RFC 6979). Finding the extra bit needs only public values, and that is done by
eth_keys, which is slow and not constant-time.

Sources: SEC 1 section 4.1.6 (recovery), EIP-2 (low s), EIP-55 (addresses).
"""

from typing import Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import PublicKey, Signature

from crypto.errors import Malformed
from crypto.handles import SecretHandle, load_pem

_CURVE: Final = ec.SECP256K1()
_PREHASHED: Final = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)


class Secp256k1Key(SecretHandle):
    """Signs digests so that a chain accepts them."""

    __slots__ = ()

    suite = "secp256k1"
    _secret: ec.EllipticCurvePrivateKey

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Take a key from 32 secret bytes: a number from 1 to the order less 1."""
        if (
            len(secret) != 32
            or not 0 < (number := int.from_bytes(secret, "big")) < SECPK1_N
        ):
            raise Malformed("not a secp256k1 secret")
        return cls._of(ec.derive_private_key(number, _CURVE))

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> Self:
        """Take a key from PKCS #8 or SEC 1 PEM. Raises `Malformed`."""
        key = load_pem(pem, password)
        if (
            not isinstance(key, ec.EllipticCurvePrivateKey)
            or key.curve.name != "secp256k1"
        ):
            raise Malformed("a PEM private key, but not of secp256k1")
        return cls._of(key)

    @classmethod
    def _of(cls, key: ec.EllipticCurvePrivateKey) -> Self:
        form = PublicFormat.CompressedPoint
        public = key.public_key().public_bytes(Encoding.X962, form)
        return cls(secret=key, public=public)

    @property
    def address(self) -> str:
        """The account's address: ``0x`` and 40 hex digits in EIP-55 case."""
        return ethereum_address(self._public)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest.

        Returns:
            65 bytes: r, s (32 each, s in the lower half as EIP-2 demands), and
            the parity of R's y-coordinate, 0 or 1 (add 27 where a `v` is asked).
        """
        if len(digest) != 32:
            raise Malformed("a digest has 32 bytes")
        r, s = decode_dss_signature(self._secret.sign(digest, _PREHASHED))
        s = min(s, SECPK1_N - s)
        own = PublicKey(_point(self._public))
        for parity in (0, 1):
            signature = Signature(vrs=(parity, r, s))
            if signature.recover_public_key_from_msg_hash(digest) == own:
                return signature.to_bytes()
        # R's x-coordinate is at or above the order: once in 2^127 signatures.
        raise AssertionError("the signature does not recover to its key")


def ethereum_address(public: bytes) -> str:
    """Return the address of a compressed public key (33 bytes), in EIP-55 case.

    Raises:
        Malformed: Not a compressed point of secp256k1.
    """
    return PublicKey(_point(public)).to_checksum_address()


def _point(public: bytes) -> bytes:
    """Return x and y (32 bytes each) of a compressed point."""
    if len(public) != 33:
        raise Malformed("a compressed secp256k1 key has 33 bytes")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public)
    except ValueError:
        raise Malformed("not a point of secp256k1") from None
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
