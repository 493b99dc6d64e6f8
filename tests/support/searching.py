"""Finding many strings in a lot of octets at once.

A test that watches for leaks has thousands of strings to look for, in all that
nodes ever said to each other. One search for each takes seconds. Of every string
that is long enough, some eight octets in a row lie at a place that eight divides,
wherever the string begins; so it is enough to look at those places.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import lru_cache

_PIECE = 8
_LONG = 2 * _PIECE - 1
"""So many octets hold a whole piece, wherever they begin."""


@lru_cache(maxsize=8)
def _pieces(needles: frozenset[bytes]) -> Mapping[bytes, set[bytes]]:
    pieces: dict[bytes, set[bytes]] = defaultdict(set)
    for needle in needles:
        for shift in range(_PIECE):
            pieces[needle[shift : shift + _PIECE]].add(needle)
    return pieces


def occurring(needles: Collection[bytes], octets: bytes) -> set[bytes]:
    """Return those of the strings that occur in the octets."""
    pieces = _pieces(frozenset(each for each in needles if len(each) >= _LONG))
    likely = {each for each in needles if len(each) < _LONG}
    for at in range(0, len(octets) - _PIECE + 1, _PIECE):
        likely |= pieces.get(octets[at : at + _PIECE], set())
    return {each for each in likely if each in octets}
