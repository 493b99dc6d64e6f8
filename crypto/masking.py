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

from collections.abc import Mapping
from typing import Final

from crypto.bbs.suite import ORDER
from crypto.errors import Malformed
from crypto.keys import X25519Key
from crypto.stream import stream

_WORD: Final = 16
"""Bytes that are reduced to one number: modulo 2^41 that is uniform but for 2^-87."""
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
        Malformed: There is nobody else, this party is among the others, or a public
            key is none.
    """
    if not others or me in others:
        raise Malformed("masks are between a party and the others of its roster")
    row, blinding = [0] * count, 0
    for name, public in others.items():
        sign = 1 if me < name else -1
        seed = key.mask_key(public, round_id, roster, *sorted((me, name)))
        drawn = stream(seed)(count * _WORD + _LONG)
        words = range(0, count * _WORD, _WORD)
        for at, start in enumerate(words):
            row[at] += sign * int.from_bytes(drawn[start : start + _WORD], "little")
        blinding += sign * int.from_bytes(drawn[count * _WORD :], "little")
    return [number % modulus for number in row], blinding % ORDER
