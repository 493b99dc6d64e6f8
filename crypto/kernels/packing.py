"""Several octets as one, and rows of numbers as octets.

Strict: what does not parse exactly is refused, and each value has one form.
"""

import struct
import sys
from array import array
from collections.abc import Iterable

from crypto.errors import Malformed


def pack(*parts: bytes) -> bytes:
    """Return octets that hold several octets: each after its length, 4 bytes."""
    return b"".join(
        piece for part in parts for piece in (struct.pack(">I", len(part)), part)
    )


def unpack(octets: bytes) -> list[bytes]:
    """Return what `pack` was given.

    Raises:
        Malformed: Something is cut off.
    """
    parts, at, end = [], 0, len(octets)
    length = struct.Struct(">I").unpack_from
    try:
        while at < end:
            begin = at + 4
            at = begin + length(octets, at)[0]
            parts.append(octets[begin:at])
    except struct.error:
        raise Malformed("packed octets that end within a length") from None
    if at > end:
        raise Malformed("packed octets that end within a part")
    return parts


def numbers(values: Iterable[int]) -> bytes:
    """Return whole numbers as octets: 8 each, signed, little-endian.

    Raises:
        Malformed: One is below -2^63, or 2^63 and more.
    """
    try:
        return _little(array("q", values)).tobytes()
    except OverflowError:
        raise Malformed("a number of more than 64 bits") from None


def parse_numbers(octets: bytes) -> list[int]:
    """Return what `numbers` was given.

    Raises:
        Malformed: Not a multiple of 8 bytes.
    """
    if len(octets) % 8:
        raise Malformed("numbers are a multiple of 8 bytes")
    values = array("q")
    values.frombytes(octets)
    return _little(values).tolist()


def parse_number(octets: bytes) -> int:
    """Return the only number there is.

    Raises:
        Malformed: Not 8 bytes.
    """
    if len(octets) != 8:
        raise Malformed("one number is 8 bytes")
    return int.from_bytes(octets, "little", signed=True)


def parse_text(octets: bytes) -> str:
    """Return text, such as the name of a parameter set.

    Raises:
        Malformed: Not UTF-8.
    """
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None


def _little(values: "array[int]") -> "array[int]":
    if sys.byteorder == "big":  # pragma: no cover
        values.byteswap()
    return values
