"""Blinded identifiers: both orders meet, nothing else does, and no false point passes."""

import copy
import hashlib
import pickle
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import psi
from crypto.errors import Malformed

SESSION, OTHER = bytes(range(32)), bytes(32)


def key() -> psi.BlindingKey:
    return psi.BlindingKey(secrets.token_bytes)


@given(
    ours=st.sets(st.text(max_size=12), max_size=12),
    theirs=st.sets(st.text(max_size=12), max_size=12),
)
def test_two_lists_meet_in_what_both_hold(ours: set[str], theirs: set[str]) -> None:
    one, two = key(), key()
    mine, yours = sorted(ours), sorted(theirs)
    found = psi.matches(
        two.multiply(one.blind(SESSION, mine)), one.multiply(two.blind(SESSION, yours))
    )
    assert {mine[place] for place in found} == ours & theirs


def test_another_session_or_key_gives_other_points() -> None:
    one = key()
    points = one.blind(SESSION, ["a", "b"])
    assert one.blind(SESSION, ["b"]) == points[32:]
    assert one.blind(OTHER, ["a", "b"]) != points
    assert key().blind(SESSION, ["a", "b"]) != points


@pytest.mark.parametrize(
    "wrong",
    [
        bytes(32),  # the identity
        b"\xff" * 32,  # not below p
        (1).to_bytes(32, "little"),  # negative
        b"\x01" * 31,
        b"\x01" * 33,
        bytes.fromhex(
            # RFC 9496, appendix A.2: a non-canonical field element.
            "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        ),
    ],
)
def test_what_is_no_point_is_refused(wrong: bytes) -> None:
    good = key().blind(SESSION, ["a"])
    with pytest.raises(Malformed):
        key().multiply(wrong)
    with pytest.raises(Malformed):
        key().multiply(good + wrong)


def test_points_are_those_of_rfc_9496() -> None:
    # Appendix A.3: SHA-512 of a label, mapped to the group.
    label = b"Ristretto is traditionally a short shot of espresso coffee"
    expected = "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46"
    drawn = hashlib.sha512(label).digest()
    assert psi.dummies(1, lambda _: drawn).hex() == expected


def test_a_list_with_one_customer_twice_is_refused() -> None:
    one, two = key(), key()
    twice = two.multiply(one.blind(SESSION, ["a", "a"]))
    once = one.multiply(two.blind(SESSION, ["a"]))
    for lists in ((twice, once), (once, twice)):
        with pytest.raises(Malformed, match="twice"):
            psi.matches(*lists)


def test_dummies_meet_nobody() -> None:
    one, two = key(), key()
    points = one.blind(SESSION, ["a"]) + psi.dummies(50, secrets.token_bytes)
    mine = two.multiply(points)
    theirs = one.multiply(
        two.blind(SESSION, ["a"]) + psi.dummies(70, secrets.token_bytes)
    )
    assert psi.matches(mine, theirs) == [0]


def test_an_order_is_a_permutation_and_arranges_points() -> None:
    places = psi.order(500, secrets.token_bytes)
    assert sorted(places) == list(range(500))
    assert places != list(range(500))
    points = key().blind(SESSION, map(str, range(500)))
    arranged = psi.split(psi.arranged(points, places))
    assert arranged == [psi.split(points)[at] for at in places]


def test_lists_have_eight_lengths_between_powers_of_two() -> None:
    lengths = sorted({psi.bucket(size) for size in range(1, 257)})
    assert lengths == [64, *range(72, 129, 8), *range(144, 257, 16)]


def test_a_list_is_fixed_by_a_hash_for_its_session_and_in_its_order() -> None:
    points = psi.dummies(3, secrets.token_bytes)
    fixed = psi.commitment(SESSION, points)
    assert fixed == psi.commitment(SESSION, points)
    others = (psi.commitment(OTHER, points), psi.commitment(SESSION, points[::-1]))
    assert fixed not in others


def test_a_point_twice_is_found_in_one_list_too() -> None:
    points = psi.dummies(3, secrets.token_bytes)
    psi.check_distinct(points)
    for wrong in (points + points[:32], points[:-1]):
        with pytest.raises(Malformed):
            psi.check_distinct(wrong)


@given(st.integers(min_value=0, max_value=2_000_000))
def test_lists_are_filled_up_to_few_lengths(size: int) -> None:
    length = psi.bucket(size)
    assert length >= max(size, 64)
    assert size < 64 or length < size * 9 / 8
    assert psi.bucket(length) == length


def test_a_session_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        key().blind(b"short", ["a"])


def test_without_randomness_there_is_no_key() -> None:
    with pytest.raises(ValueError, match="no randomness"):
        psi.BlindingKey(bytes)


ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        bytes(32),
        b"\1" * 31,
        b"\1" * 33,
        b"\1" + bytes(32),
        ORDER.to_bytes(32, "little"),
        (ORDER + 1).to_bytes(32, "little"),
        b"\xff" * 32,
    ],
)
def test_a_scalar_has_one_form_and_is_not_zero(wrong: bytes) -> None:
    with pytest.raises(Malformed, match="not a scalar"):
        psi.BlindingKey.from_octets(wrong)


@pytest.mark.parametrize("right", [1, ORDER - 1])
def test_a_scalar_is_taken_as_it_was_given(right: int) -> None:
    octets = right.to_bytes(32, "little")
    assert psi.BlindingKey.from_octets(octets).secret_octets() == octets


def test_the_scalar_does_not_come_out() -> None:
    mine = key()
    assert repr(mine) == "<BlindingKey>"
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(mine)
