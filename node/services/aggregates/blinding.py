"""Numbers that hide others: uniform modulo T, of which some add up to nothing.

Drawing many takes long for an event loop, so it is done in a thread.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from crypto.kernels.packing import numbers
from crypto.stream import stream
from node.ports import Randomness

_WIDTH: Final = 16
"""Octets of each number before it is reduced: of 41 bits its bias is below 2^-87."""


async def uniform(randomness: Randomness, count: int, modulus: int) -> bytes:
    """Return uniform numbers from 0 and below a modulus, as kernels read them."""
    seed = randomness(32)
    return await asyncio.to_thread(lambda: numbers(_drawn(seed, count, modulus)))


async def zero_sums(
    randomness: Randomness, places: Sequence[int], modulus: int
) -> bytes:
    """Return uniform numbers of which those of one place add up to 0 modulo T.

    Args:
        places: In which sum each of the numbers is.
        modulus: T.
    """
    seed = randomness(32)

    def _draw() -> bytes:
        drawn = _drawn(seed, len(places), modulus)
        last = {place: at for at, place in enumerate(places)}
        sums = dict.fromkeys(last, 0)
        for at, place in enumerate(places):
            if at != last[place]:
                sums[place] += drawn[at]
        for place, at in last.items():
            drawn[at] = -sums[place] % modulus
        return numbers(drawn)

    return await asyncio.to_thread(_draw)


def _drawn(seed: bytes, count: int, modulus: int) -> list[int]:
    octets = stream(seed)(_WIDTH * count)
    return [
        int.from_bytes(octets[at : at + _WIDTH], "little") % modulus
        for at in range(0, len(octets), _WIDTH)
    ]


def centred(value: int, modulus: int) -> int:
    """Return the number of least size that is the same modulo T."""
    value %= modulus
    return value - modulus * (value > modulus // 2)
