"""Masks that cancel out: each party hides its row, and the sum shows through.

Each two of the parties agree on a key (X25519, fresh for the round) and expand it to a
row of numbers modulo T; one of the two adds it and the other takes it off. What a
party sends is uniformly random to everybody who does not know all of its keys; the
sum of all that is sent is the sum of the rows.

The keys belong to one round and one roster: both are in the derivation. A party that
drops out leaves its masks behind, so the round is given up and another begun; the key
of two parties is never shown to anybody, for whoever learns it after the fact could
take the mask off what had been sent.

Sources: Bonawitz et al., CCS 2017 (without recovery); RFC 7748, 5869, 8439.
"""

import struct
from collections.abc import Mapping
from typing import Final

from crypto.bbs.suite import ORDER
from crypto.errors import Malformed
from crypto.keys import X25519Key
from crypto.stream import stream

_LANE: Final = 16
"""Bytes that are drawn for one number."""
_WORD: Final = 120
"""Bits of them that count: modulo 2^41 they are uniform but for 2^-79. The others stay
free for carries, so that whole rows are added up as one long number."""
_MOST: Final = 64
"""Other parties. Twice as many words still fit a lane."""
_LONG: Final = 64
"""Bytes that are reduced to one number modulo the group's order."""
_ANY_KEY: Final = X25519Key.from_bytes(bytes(32))
"""Nobody's: what is agreed on with it is thrown away."""


def check_public(public: bytes) -> None:
    """Refuse what no key can be agreed on with.

    Raises:
        Malformed: Not 32 bytes, or of small order: then everybody knows the mask.
    """
    _ANY_KEY.mask_key(public, bytes(32), bytes(32), "", "")


def masks(
    key: X25519Key,
    me: str,
    others: Mapping[str, bytes],
    *,
    round_id: bytes,
    roster: bytes,
    count: int,
    modulus: int,
) -> tuple[list[int], int]:
    """Return what a party adds to its row, and to its blinding.

    Args:
        key: This party's, fresh for the round.
        me: This party's name, among those of the roster.
        others: Public key of every other party, 32 bytes, by name.
        round_id: 32 bytes, of this round only.
        roster: Hash of all parties and keys of the round, 32 bytes.
        count: Numbers in a row.
        modulus: Of the row, at most 2^41.

    Returns:
        `count` numbers below the modulus; and one below the order of BLS12-381's
        groups. Over all parties of a round each adds up to zero.

    Raises:
        Malformed: There is nobody else, or more than 64, this party is among the
            others, a public key is none, or the modulus is out of range.
    """
    if not 0 < len(others) <= _MOST or me in others:
        raise Malformed("masks are between a party and the others of its roster")
    if not 2 <= modulus <= 1 << 41:
        raise Malformed("a modulus of at most 41 bits")
    added = taken = 0
    ones = _lanes((1 << _WORD) - 1, count)
    # Taken off from a multiple of the modulus in each lane: no lane borrows of another.
    row = _lanes(len(others) * (-(-(1 << _WORD) // modulus) * modulus), count)
    for name, public in others.items():
        seed = key.mask_key(public, round_id, roster, *sorted((me, name)))
        drawn = stream(seed)
        words = int.from_bytes(drawn(count * _LANE), "little") & ones
        long = int.from_bytes(drawn(_LONG), "little")
        if me < name:
            row, added = row + words, added + long
        else:
            row, taken = row - words, taken + long
    return _reduced(row, count, modulus), (added - taken) % ORDER


def _lanes(value: int, count: int) -> int:
    """Return a value in each of so many lanes."""
    return int.from_bytes(value.to_bytes(_LANE, "little") * count, "little")


def _reduced(row: int, count: int, modulus: int) -> list[int]:
    """Return what is in each lane, modulo a number."""
    octets = row.to_bytes(count * _LANE, "little")
    halves = struct.unpack(f"<{2 * count}Q", octets)
    carry = (1 << 64) % modulus
    return [
        (high * carry + low) % modulus
        for low, high in zip(halves[::2], halves[1::2], strict=True)
    ]
