"""Arithmetic on BLS12-381, by two libraries that know nothing of each other.

`arkworks` is fast (compiled Rust) and does the work. `pyecc` is slow (plain
Python, a hundred times) and is there to disagree: tests run both over the same
vectors and verify each other's proofs.

BBS needs little of the curve, and this is all of it. What the libraries let
pass and must not is stopped here, so that the code above sees points that are
on the curve, in the right subgroup, not the identity, and encoded in one way.
"""

from collections.abc import Sequence
from typing import NewType, Protocol

G1 = NewType("G1", object)
"""A point of the first group; only the backend that made it can use it."""

G2 = NewType("G2", object)
"""A point of the second group, where public keys live."""


class Backend(Protocol):
    """What BBS asks of a curve library. Scalars are integers from 0 to r-1."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """How the library is called on a command line."""
        ...

    def map_to_curve(self, element: int) -> G1:
        """Map a field element to G1: SSWU and clearing of the cofactor (RFC 9380)."""
        ...

    def add(self, left: G1, right: G1) -> G1:
        """Add two points."""
        ...

    def msm(self, points: Sequence[G1], scalars: Sequence[int]) -> G1:
        """Sum ``scalars[i] * points[i]``; `ValueError` if the lengths differ."""
        ...

    def encode_g1(self, point: G1) -> bytes:
        """Write a point in 48 bytes (compressed)."""
        ...

    def decode_g1(self, data: bytes) -> G1:
        """Read what `encode_g1` wrote, and nothing else.

        Raises:
            Malformed: Off the curve, outside the subgroup, the identity, or not
                the canonical encoding of a point.
        """
        ...

    def decode_g2(self, data: bytes) -> G2:
        """Read a point of G2 from 96 bytes, as strictly as `decode_g1`."""
        ...

    def public_key(self, secret: int) -> bytes:
        """Multiply the base point of G2 and write the product in 96 bytes."""
        ...

    def pairings_equal(self, left: G1, key: G2, right: G1) -> bool:
        """Say whether ``h(left, key) = h(right, BP2)``, BP2 the base point of G2."""
        ...

    def pairing_sums_equal(
        self, lefts: Sequence[G1], keys: Sequence[G2], right: G1
    ) -> bool:
        """Say whether the product of ``h(lefts[i], keys[i])`` is ``h(right, BP2)``.

        One final exponentiation for all; `ValueError` if the lengths differ.
        """
        ...
