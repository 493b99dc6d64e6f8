"""Whole lists of points, as rbcl's own functions make them one by one."""

import secrets

import pytest
import rbcl
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import Malformed
from crypto.ristretto import DIGEST, hashed, multiplied

SCALAR = bytes([7]) + bytes(31)
POINTS = [rbcl.crypto_core_ristretto255_random() for _ in range(5)]
NONE: list[bytes] = [
    bytes(32),  # the identity
    bytes([1]) + bytes(31),  # negative
    b"\xed" + b"\xff" * 30 + b"\x7f",  # the prime itself, a second name for zero
    b"\xff" * 32,
]


@given(st.lists(st.binary(min_size=DIGEST, max_size=DIGEST), max_size=5))
def test_points_are_hashed_to_as_rbcl_does(digests: list[bytes]) -> None:
    expected = [rbcl.crypto_core_ristretto255_from_hash(each) for each in digests]
    assert hashed(b"".join(digests)) == b"".join(expected)


@given(st.integers(0, 5), st.integers(1, 2**252))
def test_points_are_multiplied_as_rbcl_does(count: int, number: int) -> None:
    scalar = number.to_bytes(32, "little")
    points = POINTS[:count]
    expected = [rbcl.crypto_scalarmult_ristretto255(scalar, each) for each in points]
    assert multiplied(scalar, b"".join(points)) == b"".join(expected)


@pytest.mark.parametrize("at", [0, 2, 5])
@pytest.mark.parametrize("wrong", NONE)
def test_what_is_no_point_is_refused_wherever_it_stands(wrong: bytes, at: int) -> None:
    points = [*POINTS[:at], wrong, *POINTS[at:]]
    with pytest.raises(Malformed):
        multiplied(SCALAR, b"".join(points))


@pytest.mark.parametrize("octets", [1, 31, 33, 63])
def test_nothing_is_read_behind_the_end_of_a_list(octets: int) -> None:
    with pytest.raises(Malformed):
        multiplied(SCALAR, secrets.token_bytes(octets))
    with pytest.raises(ValueError, match="64 bytes"):
        hashed(secrets.token_bytes(octets))
    with pytest.raises(ValueError, match="32 bytes"):
        multiplied(SCALAR[:-1], POINTS[0])
