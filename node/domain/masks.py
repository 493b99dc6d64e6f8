"""Masks: which of the declared customers are in which segment, a bit for each position.

The asker of a heat map over rows divides the customers that it declared into
*segments*. A segment is a mask: one bit for each position of the declaration, padding
included. All masks, one after the other, are one string of octets, whose hash is in the
plan; so an asker cannot change its mind once it has seen something.

Masks have no bit in common: a customer in two segments would count twice, and the noise
is for once. A mask of a few bits is a question about a few customers; it is refused for
its bits alone, before anybody knows how many of them the provider knows.
"""

from collections.abc import Collection, Sequence
from typing import Final

from crypto.encoding import sha256
from crypto.errors import Malformed

LEAST: Final = 64
MOST: Final = 2**20
"""Positions in a declaration."""


def write_masks(size: int, segments: Sequence[Collection[int]]) -> bytes:
    """Return segments as octets: size / 8 for each, the first position lowest.

    Args:
        size: Positions in the declaration, a power of two.
        segments: The positions in each.

    Raises:
        Malformed: A position is beyond the declaration, or in two segments.
    """
    taken: set[int] = set()
    written = []
    for positions in segments:
        chosen = set(positions)
        if chosen & taken or any(not 0 <= each < size for each in chosen):
            message = "a position in two segments, or beyond the declaration"
            raise Malformed(message)
        taken |= chosen
        octets = bytearray(size // 8)
        for position in chosen:
            octets[position // 8] |= 1 << position % 8
        written.append(bytes(octets))
    return b"".join(written)


def parse_masks(octets: bytes, size: int, count: int) -> list[int]:
    """Read masks: of each segment an integer, bit p for position p.

    Args:
        size: Positions in the declaration.
        count: Segments that the plan names.

    Raises:
        Malformed: No such size, too few or too many octets, or a position is in two
            segments.
    """
    if type(size) is not int or not LEAST <= size <= MOST or size & (size - 1):
        message = "a declaration's size is a power of two"
        raise Malformed(message)
    width = size // 8
    if len(octets) != width * count:
        message = "masks are a bit for each segment and position"
        raise Malformed(message)
    masks = [
        int.from_bytes(octets[at : at + width], "little")
        for at in range(0, len(octets), width)
    ]
    if sum(mask.bit_count() for mask in masks) != united(masks).bit_count():
        message = "a position in two segments"
        raise Malformed(message)
    return masks


def united(masks: Sequence[int]) -> int:
    """Return the mask of all that are in any segment."""
    union = 0
    for mask in masks:
        union |= mask
    return union


def selection(mask: int, size: int) -> list[int]:
    """Return a mask as numbers: 1 for each position that is in it, else 0."""
    digits = format(mask, f"0{size}b")
    return [int(digit) for digit in reversed(digits)]


def masks_hash(octets: bytes) -> str:
    """Return the hash of masks by which plans name them, 64 hex digits."""
    return sha256(octets).hex()
