"""Blinded identifiers, from octets to octets. What it means: `crypto.psi`.

Lists of points are 32 bytes each. A list that is too long for one call is cut where a
point ends; each part is done by itself, in any order.
"""

from crypto import psi
from crypto.errors import Malformed
from crypto.kernels.packing import (
    numbers,
    pack,
    parse_number,
    parse_numbers,
    parse_text,
    unpack,
)
from crypto.stream import stream


def key(random: bytes) -> bytes:
    """Return the scalar that 64 random bytes give, 32 bytes: one session, one side."""
    if len(random) != 64:
        raise Malformed("a scalar is drawn from 64 bytes")
    return psi.BlindingKey(lambda _: random).secret_octets()


def listed(size: bytes, identifiers: bytes) -> bytes:
    """Sort identifiers, each once, and cut them into parts as `blind` takes them.

    Args:
        size: Identifiers in a part, one number.
        identifiers: UTF-8 each, packed.

    Returns:
        The parts, packed.
    """
    if (most := _count(size)) == 0:
        raise Malformed("parts of nothing")
    every = sorted(dict.fromkeys(unpack(identifiers)))
    starts = range(0, len(every), most)
    return pack(*(pack(*every[at : at + most]) for at in starts))


def blind(scalar: bytes, session: bytes, identifiers: bytes) -> bytes:
    """Hash identifiers to points and multiply them with the scalar.

    Args:
        session: 32 bytes.
        identifiers: UTF-8 each, packed.

    Returns:
        Their points, in order.
    """
    if len(session) != 32:
        raise Malformed("a session is named by 32 bytes")
    texts = [parse_text(each) for each in unpack(identifiers)]
    return psi.BlindingKey.from_octets(scalar).blind(session, texts)


def multiply(scalar: bytes, points: bytes) -> bytes:
    """Multiply the other party's points with the scalar."""
    return psi.BlindingKey.from_octets(scalar).multiply(points)


def dummies(count: bytes, seed: bytes) -> bytes:
    """Return random points that equal no identifier.

    Args:
        count: One number.
        seed: 32 random bytes for this call only.
    """
    return psi.dummies(_count(count), stream(seed))


def order(count: bytes, seed: bytes) -> bytes:
    """Return a random order, as numbers: the place from which each comes.

    Args:
        count: One number.
        seed: 32 random bytes for this call only.
    """
    return numbers(psi.order(_count(count), stream(seed)))


def arranged(places: bytes, points: bytes) -> bytes:
    """Return a list of points in an order, as `order` gives it."""
    wanted, held = parse_numbers(places), len(points) // psi.POINT
    if wanted and not 0 <= min(wanted) <= max(wanted) < held:
        raise Malformed("a place that is not in the list")
    return psi.arranged(points, wanted)


def matches(ours: bytes, theirs: bytes) -> bytes:
    """Return the places in our list of the points that are in theirs, as numbers."""
    return numbers(psi.matches(ours, theirs))


def check_distinct(points: bytes) -> bytes:
    """Check that a list holds no point twice; return nothing."""
    psi.check_distinct(points)
    return b""


def _count(octets: bytes) -> int:
    found = parse_number(octets)
    if not 0 <= found <= 1 << 24:
        raise Malformed("a count that is negative, or beyond sixteen million")
    return found
