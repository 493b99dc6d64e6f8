"""Nonces of signatures, computed from the key and from what is signed.

Signatures of the ECDSA family use a secret number once. Used twice, or guessed in a
few of its bits, it gives the key away. Derived from key and digest it needs no
randomness that could fail, and the same key signs the same message the same way.
OpenSSL does this for its own curves; this is for those that it is not used for.

What is derived is as secret as the key.

Source: RFC 6979, section 3.2.
"""

from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC


def nonces(
    *, secret: int, digest: bytes, order: int, hashing: hashes.HashAlgorithm
) -> Iterator[int]:
    """Yield the candidates for a nonce, of which the first usable one is taken.

    Args:
        secret: The secret key, from 1 to the order less 1.
        digest: Hash of what is signed, as long as the order.
        order: Order of the group, a whole number of bytes long.
        hashing: What the digest was made with, and what nonces are derived with.
    """
    size = (order.bit_length() + 7) // 8
    reduced = int.from_bytes(digest) % order
    seed = secret.to_bytes(size) + reduced.to_bytes(size)
    # b, c.
    value, key = b"\x01" * hashing.digest_size, bytes(hashing.digest_size)
    # d, e, f, g.
    for separator in (b"\x00", b"\x01"):
        key = _hmac(key, value + separator + seed, hashing)
        value = _hmac(key, value, hashing)
    # h. One block is as long as the order.
    while True:
        value = _hmac(key, value, hashing)
        if 0 < (candidate := int.from_bytes(value)) < order:
            yield candidate
        key = _hmac(key, value + b"\x00", hashing)
        value = _hmac(key, value, hashing)


def _hmac(key: bytes, data: bytes, hashing: hashes.HashAlgorithm) -> bytes:
    state = HMAC(key, hashing)
    state.update(data)
    return state.finalize()
