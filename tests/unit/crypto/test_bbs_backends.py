"""What a curve library lets pass and must not: stopped in both backends."""

import pytest
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.bls.typing import G1Compressed, G2Compressed
from py_ecc.optimized_bls12_381 import optimized_curve as curve

from crypto.bbs import ARKWORKS, Backend
from crypto.bbs.backends import G1
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.suite import FIELD, ORDER
from crypto.errors import Malformed

BACKENDS = pytest.mark.parametrize(
    "backend", [ARKWORKS, PYECC], ids=lambda backend: backend.name
)
POINT = ARKWORKS.encode_g1(ARKWORKS.map_to_curve(7))
KEY = ARKWORKS.public_key(7)
COMPRESSED, INFINITY, LARGER_Y = 1 << 383, 1 << 382, 1 << 381


def _g1_outside_the_subgroup() -> bytes:
    for x in range(1, 100):
        try:
            point = decompress_G1(G1Compressed(COMPRESSED | x))
        except ValueError:
            continue
        if not curve.is_inf(curve.multiply(point, ORDER)):
            return (COMPRESSED | x).to_bytes(48, "big")
    raise AssertionError


def _g2_outside_the_subgroup() -> bytes:
    for x in range(1, 100):
        try:
            point = decompress_G2(G2Compressed((COMPRESSED, x)))
        except ValueError:
            continue
        if not curve.is_inf(curve.multiply(point, ORDER)):
            return COMPRESSED.to_bytes(48, "big") + x.to_bytes(48, "big")
    raise AssertionError


def _flagged(encoded: bytes, flags: int) -> bytes:
    size = len(encoded)
    return (int.from_bytes(encoded) ^ (flags << 8 * (size - 48))).to_bytes(size, "big")


def _bad(good: bytes, outside: bytes) -> list[bytes]:
    rest = bytes(len(good) - 1)
    beyond = (COMPRESSED | FIELD).to_bytes(48, "big") + bytes(len(good) - 48)
    return [
        b"",
        good[:-1],
        good + b"\0",
        b"\0" + good,
        outside,
        b"\xc0" + rest,  # the identity
        b"\xe0" + rest,  # other encodings of it, which arkworks takes
        b"\xc0" + rest[:-1] + b"\x01",
        b"\xff" * len(good),
        bytes(len(good)),
        _flagged(good, COMPRESSED),
        _flagged(good, INFINITY),
        beyond,  # x = p instead of x = 0
    ]


@BACKENDS
@pytest.mark.parametrize("data", _bad(POINT, _g1_outside_the_subgroup()))
def test_only_points_of_the_first_group_in_one_encoding_are_read(
    backend: Backend, data: bytes
) -> None:
    with pytest.raises(Malformed):
        backend.decode_g1(data)


@BACKENDS
@pytest.mark.parametrize("data", _bad(KEY, _g2_outside_the_subgroup()))
def test_only_points_of_the_second_group_in_one_encoding_are_read(
    backend: Backend, data: bytes
) -> None:
    with pytest.raises(Malformed):
        backend.decode_g2(data)


@BACKENDS
def test_a_second_coordinate_beyond_the_field_is_refused(backend: Backend) -> None:
    low = int.from_bytes(KEY[48:])
    for other in (low + FIELD, low | COMPRESSED, low | INFINITY, low | LARGER_Y):
        with pytest.raises(Malformed):
            backend.decode_g2(KEY[:48] + other.to_bytes(48, "big"))


@BACKENDS
def test_a_point_reads_as_it_was_written_and_its_negative_is_another(
    backend: Backend,
) -> None:
    assert backend.encode_g1(backend.decode_g1(POINT)) == POINT
    negative = _flagged(POINT, LARGER_Y)
    assert backend.encode_g1(backend.decode_g1(negative)) == negative
    total = backend.add(backend.decode_g1(POINT), backend.decode_g1(negative))
    with pytest.raises(Malformed):
        backend.decode_g1(backend.encode_g1(total))


@BACKENDS
def test_lists_of_unequal_length_are_not_multiplied(backend: Backend) -> None:
    point = backend.map_to_curve(7)
    for points, scalars in (
        ([point], [1, 2]),
        ([point, point], [1]),
        ([], [1]),
        ([point], []),
    ):
        with pytest.raises(ValueError, match=r"points|argument"):
            backend.msm(points, scalars)


def test_both_libraries_compute_the_same_sums_and_pairings() -> None:
    scalars = [0, 1, ORDER - 1, 2**128 + 5, 3]
    encoded = []
    for backend in (ARKWORKS, PYECC):
        points: list[G1] = [backend.map_to_curve(element) for element in range(5)]
        encoded.append(backend.encode_g1(backend.msm(points, scalars)))
        key = backend.decode_g2(KEY)
        assert backend.pairings_equal(points[2], key, backend.msm([points[2]], [7]))
        assert not backend.pairings_equal(points[2], key, backend.msm([points[2]], [8]))
    assert encoded[0] == encoded[1]
    assert ARKWORKS.public_key(ORDER - 1) == PYECC.public_key(ORDER - 1)


def test_arkworks_refuses_a_scalar_that_is_not_reduced() -> None:
    for scalar in (ORDER, -1, 2**256):
        with pytest.raises((ValueError, OverflowError)):
            ARKWORKS.msm([ARKWORKS.map_to_curve(7)], [scalar])
