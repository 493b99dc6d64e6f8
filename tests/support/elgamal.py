"""Sums under ElGamal on ristretto255: a second way to add up what nobody reads.

For tests only: an oracle beside BFV that shares nothing with it but the numbers. A
number stands in the exponent, so that ciphertexts add up and reading one is a search
(baby steps, giant steps), which is why numbers are cut into limbs of 16 bits.

Source: Cramer, Gennaro and Schoenmakers, 1997; RFC 9496.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import rbcl

ZERO = bytes(32)
LIMB = 16
_BABY = 1 << 12


class Ciphertext(NamedTuple):
    """A number, encrypted: (r G, m G + r H)."""

    mask: bytes
    body: bytes


def times_base(number: int) -> bytes:
    """Return a number times the generator."""
    if number == 0:
        return ZERO
    scalar = abs(number).to_bytes(32, "little")
    size: bytes = rbcl.crypto_scalarmult_ristretto255_base(scalar)
    if number > 0:
        return size
    negative: bytes = rbcl.crypto_core_ristretto255_sub(ZERO, size)
    return negative


class Key:
    """A key pair."""

    def __init__(self) -> None:
        wide = secrets.token_bytes(64)
        self._secret = rbcl.crypto_core_ristretto255_scalar_reduce(wide)
        self.public = rbcl.crypto_scalarmult_ristretto255_base(self._secret)

    def encrypt(self, number: int) -> Ciphertext:
        """Encrypt a whole number, negative ones too."""
        wide = secrets.token_bytes(64)
        drawn = rbcl.crypto_core_ristretto255_scalar_reduce(wide)
        hidden = rbcl.crypto_scalarmult_ristretto255(drawn, self.public)
        return Ciphertext(
            rbcl.crypto_scalarmult_ristretto255_base(drawn),
            rbcl.crypto_core_ristretto255_add(times_base(number), hidden),
        )

    def decrypt(self, ciphertext: Ciphertext, most: int) -> int:
        """Return the number, of at most `most` in size.

        Raises:
            ValueError: It is larger.
        """
        mask = rbcl.crypto_scalarmult_ristretto255(self._secret, ciphertext.mask)
        point = rbcl.crypto_core_ristretto255_sub(ciphertext.body, mask)
        return _searched(point, most)


def add(ciphertexts: Iterable[Ciphertext]) -> Ciphertext:
    """Add up."""
    mask = body = ZERO
    for each in ciphertexts:
        mask = rbcl.crypto_core_ristretto255_add(mask, each.mask)
        body = rbcl.crypto_core_ristretto255_add(body, each.body)
    return Ciphertext(mask, body)


def joint_sum(values: Sequence[int], chosen: Iterable[int], bound: int) -> int:
    """Return the sum of the values at some places, added up under encryption."""
    key, places = Key(), list(chosen)
    limbs = max(1, -(-bound.bit_length() // LIMB))
    found = 0
    for limb in range(limbs):
        digits = [
            (1 if value > 0 else -1) * (abs(value) >> LIMB * limb & (1 << LIMB) - 1)
            for value in values
        ]
        total = add(key.encrypt(digits[place]) for place in places)
        found += key.decrypt(total, len(places) << LIMB) << LIMB * limb
    return found


def _searched(point: bytes, most: int) -> int:
    table, at = {}, ZERO
    for step in range(_BABY):
        table[at] = step
        at = rbcl.crypto_core_ristretto255_add(at, times_base(1))
    here = rbcl.crypto_core_ristretto255_add(point, times_base(most))
    for giant in range(2 * most // _BABY + 1):
        if here in table:
            return giant * _BABY + table[here] - most
        here = rbcl.crypto_core_ristretto255_sub(here, at)
    raise ValueError("a number beyond its bound")
