"""Octets that are kept where others could read them: encrypted, and bound to a place.

AES-256-GCM. What is sealed says where it belongs (`about`), so that one octet string
is not taken for another that was sealed under the same key. It does not hide how long
it is, and nothing here notices that something older was put back.

Source: NIST SP 800-38D; at most 2^32 seals under one key, as nonces are random.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto.errors import Invalid

NONCE: Final = 12


def seal(key: bytes, octets: bytes, *, about: bytes, nonce: bytes) -> bytes:
    """Encrypt.

    Args:
        key: 32 bytes.
        about: Where the octets belong; needed to open them.
        nonce: 12 random bytes, never used twice under a key.
    """
    if len(nonce) != NONCE:
        raise ValueError("a nonce has 12 bytes")
    return nonce + AESGCM(key).encrypt(nonce, octets, about)


def open_sealed(key: bytes, sealed: bytes, *, about: bytes) -> bytes:
    """Decrypt what `seal` made.

    Raises:
        Invalid: Another key or place, or somebody has changed it.
    """
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], about)
    except (InvalidTag, ValueError):
        raise Invalid("sealed octets of another key or place, or changed") from None
