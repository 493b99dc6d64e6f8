"""Lists of points of ristretto255, hashed to and multiplied.

Lists of customers are long, and libsodium's own work for a point is some tens of
microseconds. rbcl, which brings libsodium, wraps each of its functions for one point;
here whole lists go through the same functions, called on one buffer. Of rbcl this uses
the library that it has loaded and set up (`rbcl._sodium`, a `ctypes.CDLL`), which it
exports beside its functions; a test compares the two.

Libsodium runs in constant time and without Python's lock.

Sources: RFC 9496; libsodium, "Finite field arithmetic: ristretto255".
"""

import ctypes
from typing import Final

import rbcl

from crypto.errors import Malformed

DIGEST: Final = 64
"""Octets that a point is hashed from."""
_POINT: Final = 32
_SCALAR: Final = 32
_at = ctypes.c_void_p
_multiply: Final = ctypes.CFUNCTYPE(ctypes.c_int, _at, ctypes.c_char_p, _at)(
    ("crypto_scalarmult_ristretto255", rbcl._sodium)  # noqa: SLF001
)
_from_hash: Final = ctypes.CFUNCTYPE(ctypes.c_int, _at, _at)(
    ("crypto_core_ristretto255_from_hash", rbcl._sodium)  # noqa: SLF001
)


def hashed(digests: bytes) -> bytes:
    """Return the points that uniform octets lead to, RFC 9496, section 4.3.4.

    Of none of them anybody knows the logarithm.

    Args:
        digests: 64 octets for each point.

    Returns:
        32 octets for each point.
    """
    count, rest = divmod(len(digests), DIGEST)
    if rest:
        raise ValueError("a point is hashed from 64 bytes")
    given = ctypes.create_string_buffer(digests, len(digests))
    made = ctypes.create_string_buffer(_POINT * count)
    source, target = ctypes.addressof(given), ctypes.addressof(made)
    for number in range(count):
        _from_hash(target + _POINT * number, source + DIGEST * number)
    return made.raw


def multiplied(scalar: bytes, points: bytes) -> bytes:
    """Return points times a scalar, in their order.

    Args:
        scalar: 32 octets: below the order of the group, and not zero.
        points: 32 octets each, not yet known to be points.

    Raises:
        Malformed: Not canonical encodings of points other than the identity.
    """
    if len(scalar) != _SCALAR:
        raise ValueError("a scalar has 32 bytes")
    if len(points) % _POINT:
        raise Malformed("a list of points is a multiple of 32 bytes")
    given = ctypes.create_string_buffer(points, len(points))
    made = ctypes.create_string_buffer(len(points))
    source, target = ctypes.addressof(given), ctypes.addressof(made)
    for at in range(0, len(points), _POINT):
        if _multiply(target + at, scalar, source + at):
            raise Malformed("not a point of ristretto255, or the identity")
    return made.raw
