"""BLS12-381 by arkworks (Rust, through py_arkworks_bls12381): the fast backend.

Four things this library lets pass, each found by measurement, are stopped here:

* its decoder takes the identity, and several encodings of it: we encode again
  and compare, and refuse the identity;
* `multiexp_unchecked` silently drops what one list has more than the other: we
  compare the lengths;
* `Scalar(int)` silently reduces: we go through `from_be_bytes`, which refuses;
* ``point * scalar`` keeps the interpreter locked: we use a multi-exponentiation
  of one term, which lets other threads run.

Its scalar multiplication takes a time that depends on the scalar. Callers blind
scalars that are secret (`crypto.bbs.core.sign`).
"""

from collections.abc import Sequence
from typing import Final, cast

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from crypto.bbs.backends import G1, G2
from crypto.errors import Malformed

_MINUS_BP2: Final = -G2Point()


class Arkworks:
    """The `Backend` on arkworks. Holds no state."""

    name = "arkworks"

    def map_to_curve(self, element: int) -> G1:
        """See `Backend`."""
        return G1(G1Point.map_from_fp_be(element.to_bytes(48, "big")))

    def add(self, left: G1, right: G1) -> G1:
        """See `Backend`."""
        return G1(_g1(left) + _g1(right))

    def msm(self, points: Sequence[G1], scalars: Sequence[int]) -> G1:
        """See `Backend`."""
        if len(points) != len(scalars):
            raise ValueError("as many scalars as points")
        factors = [
            Scalar.from_be_bytes(scalar.to_bytes(32, "big")) for scalar in scalars
        ]
        return G1(G1Point.multiexp_unchecked([_g1(point) for point in points], factors))

    def encode_g1(self, point: G1) -> bytes:
        """See `Backend`."""
        return _g1(point).to_compressed_bytes()

    def decode_g1(self, data: bytes) -> G1:
        """See `Backend`."""
        try:
            point = G1Point.from_compressed_bytes(data)
        except ValueError:
            raise Malformed("not a point of G1") from None
        if point == G1Point.identity() or point.to_compressed_bytes() != data:
            raise Malformed("the identity of G1, or not in canonical encoding")
        return G1(point)

    def decode_g2(self, data: bytes) -> G2:
        """See `Backend`."""
        try:
            point = G2Point.from_compressed_bytes(data)
        except ValueError:
            raise Malformed("not a point of G2") from None
        if point == G2Point.identity() or point.to_compressed_bytes() != data:
            raise Malformed("the identity of G2, or not in canonical encoding")
        return G2(point)

    def public_key(self, secret: int) -> bytes:
        """See `Backend`."""
        scalar = Scalar.from_be_bytes(secret.to_bytes(32, "big"))
        return (G2Point() * scalar).to_compressed_bytes()

    def pairings_equal(self, left: G1, key: G2, right: G1) -> bool:
        """See `Backend`."""
        return self.pairing_sums_equal([left], [key], right)

    def pairing_sums_equal(
        self, lefts: Sequence[G1], keys: Sequence[G2], right: G1
    ) -> bool:
        """See `Backend`."""
        if len(lefts) != len(keys):
            raise ValueError("as many keys as points")
        points = [_g1(point) for point in (*lefts, right)]
        others = [*(cast("G2Point", key) for key in keys), _MINUS_BP2]
        return GT.pairing_check(points, others)


def _g1(point: G1) -> G1Point:
    return cast("G1Point", point)


ARKWORKS: Final = Arkworks()
