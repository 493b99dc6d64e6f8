"""BLS12-381 by py_ecc (plain Python): the slow, independent second opinion.

It shares no code with arkworks, which is its whole use. It is not constant-time
and must not see a secret key that matters: tests and conformance runs only.
"""

from collections.abc import Sequence
from typing import Final, cast

from py_ecc.bls.hash_to_curve import clear_cofactor_G1, map_to_curve_G1
from py_ecc.bls.point_compression import (
    compress_G1,
    compress_G2,
    decompress_G1,
    decompress_G2,
)
from py_ecc.bls.typing import G1Compressed, G1Uncompressed, G2Compressed, G2Uncompressed
from py_ecc.fields import optimized_bls12_381_FQ as FieldElement
from py_ecc.fields import optimized_bls12_381_FQ12 as PairingValue
from py_ecc.optimized_bls12_381 import optimized_curve as curve
from py_ecc.optimized_bls12_381.optimized_pairing import final_exponentiate, pairing

from crypto.bbs.backends import G1, G2
from crypto.bbs.suite import ORDER
from crypto.errors import Malformed


class PyEcc:
    """The `Backend` on py_ecc. Holds no state."""

    name = "pyecc"

    def map_to_curve(self, element: int) -> G1:
        """See `Backend`."""
        return G1(clear_cofactor_G1(map_to_curve_G1(FieldElement(element))))

    def add(self, left: G1, right: G1) -> G1:
        """See `Backend`."""
        return G1(curve.add(_g1(left), _g1(right)))

    def msm(self, points: Sequence[G1], scalars: Sequence[int]) -> G1:
        """See `Backend`."""
        total = curve.Z1
        for point, scalar in zip(points, scalars, strict=True):
            total = curve.add(total, curve.multiply(_g1(point), scalar))
        return G1(total)

    def encode_g1(self, point: G1) -> bytes:
        """See `Backend`."""
        return compress_G1(_g1(point)).to_bytes(48, "big")

    def decode_g1(self, data: bytes) -> G1:
        """See `Backend`."""
        try:
            point = decompress_G1(G1Compressed(int.from_bytes(data, "big")))
        except ValueError:
            raise Malformed("not a point of G1") from None
        if curve.is_inf(point) or not curve.is_inf(curve.multiply(point, ORDER)):
            raise Malformed("the identity of G1, or outside the subgroup")
        if self.encode_g1(G1(point)) != data:
            raise Malformed("a point of G1 that is not in canonical encoding")
        return G1(point)

    def decode_g2(self, data: bytes) -> G2:
        """See `Backend`."""
        halves = int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")
        try:
            point = decompress_G2(G2Compressed(halves))
        except ValueError:
            raise Malformed("not a point of G2") from None
        if curve.is_inf(point) or not curve.is_inf(curve.multiply(point, ORDER)):
            raise Malformed("the identity of G2, or outside the subgroup")
        if _encode_g2(point) != data:
            raise Malformed("a point of G2 that is not in canonical encoding")
        return G2(point)

    def public_key(self, secret: int) -> bytes:
        """See `Backend`."""
        return _encode_g2(curve.multiply(curve.G2, secret))

    def pairings_equal(self, left: G1, key: G2, right: G1) -> bool:
        """See `Backend`."""
        return self.pairing_sums_equal([left], [key], right)

    def pairing_sums_equal(
        self, lefts: Sequence[G1], keys: Sequence[G2], right: G1
    ) -> bool:
        """See `Backend`."""
        product = pairing(curve.neg(curve.G2), _g1(right), final_exponentiate=False)
        for point, key in zip(lefts, keys, strict=True):
            other = cast("G2Uncompressed", key)
            product *= pairing(other, _g1(point), final_exponentiate=False)
        return bool(final_exponentiate(product) == PairingValue.one())


def _g1(point: G1) -> G1Uncompressed:
    return cast("G1Uncompressed", point)


def _encode_g2(point: G2Uncompressed) -> bytes:
    high, low = compress_G2(point)
    return high.to_bytes(48, "big") + low.to_bytes(48, "big")


PYECC: Final = PyEcc()
