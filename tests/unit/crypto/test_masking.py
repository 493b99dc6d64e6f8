"""Masks cancel out over a roster, in one round, and look like nothing alone."""

import secrets
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.bbs.suite import ORDER
from crypto.errors import Malformed
from crypto.keys import X25519Key
from crypto.masking import check_public, masks
from crypto.stream import stream

T = 1099511480321
ROUND, ROSTER = bytes(range(32)), b"r" * 32
SMALL = (b"\x01", b"\x02")
NAMES = ["did:web:a", "did:web:b", "did:web:c", "did:web:d"]


@pytest.fixture(scope="module")
def keys() -> dict[str, X25519Key]:
    return {name: X25519Key.from_bytes(secrets.token_bytes(32)) for name in NAMES}


def mask(
    keys: dict[str, X25519Key],
    me: str,
    *,
    round_id: bytes = ROUND,
    roster: bytes = ROSTER,
    count: int = 50,
) -> tuple[list[int], int]:
    others = {name: key.public_bytes for name, key in keys.items() if name != me}
    return masks(
        keys[me],
        me,
        others,
        round_id=round_id,
        roster=roster,
        count=count,
        modulus=T,
    )


def test_masks_of_a_roster_add_up_to_zero(keys: dict[str, X25519Key]) -> None:
    found = [mask(keys, name) for name in NAMES]
    rows = [row for row, _ in found]
    assert all(sum(each) % T == 0 for each in zip(*rows, strict=True))
    assert sum(blinding for _, blinding in found) % ORDER == 0
    assert all(0 <= number < T for row in rows for number in row)


def test_without_one_party_nothing_adds_up(keys: dict[str, X25519Key]) -> None:
    rows = [mask(keys, name)[0] for name in NAMES[:-1]]
    assert not any(sum(each) % T == 0 for each in zip(*rows, strict=True))


def test_a_mask_looks_uniform(keys: dict[str, X25519Key]) -> None:
    row, _ = mask(keys, NAMES[0], count=20_000)
    tenths = [0] * 10
    for number in row:
        tenths[number * 10 // T] += 1
    assert all(1_700 < count < 2_300 for count in tenths)  # seven standard deviations


def test_another_round_or_roster_has_other_masks(keys: dict[str, X25519Key]) -> None:
    row, blinding = mask(keys, NAMES[0])
    for changed in (
        mask(keys, NAMES[0], round_id=bytes(32)),
        mask(keys, NAMES[0], roster=bytes(32)),
    ):
        assert not any(a == b for a, b in zip(changed[0], row, strict=True))
        assert changed[1] != blinding


def test_two_parties_alone_know_each_others_mask(keys: dict[str, X25519Key]) -> None:
    # Two cancel out, and hide nothing from each other: a roster has three at least.
    two = {name: keys[name] for name in NAMES[:2]}
    one, other = mask(two, NAMES[0]), mask(two, NAMES[1])
    assert [-number % T for number in one[0]] == other[0]


def test_who_is_alone_or_among_the_others_gets_none(
    keys: dict[str, X25519Key],
) -> None:
    me = keys[NAMES[0]]
    for others in ({}, {NAMES[0]: me.public_bytes}):
        with pytest.raises(Malformed):
            masks(
                me, NAMES[0], others, round_id=ROUND, roster=ROSTER, count=1, modulus=T
            )


@pytest.mark.parametrize("wrong", [b"", bytes(32), b"\x01" + bytes(31), b"x" * 31])
def test_a_key_that_is_none_is_refused(
    keys: dict[str, X25519Key], wrong: bytes
) -> None:
    with pytest.raises(Malformed):
        check_public(wrong)
    with pytest.raises(Malformed):
        masks(
            keys[NAMES[0]],
            NAMES[0],
            {NAMES[1]: wrong},
            round_id=ROUND,
            roster=ROSTER,
            count=1,
            modulus=T,
        )


def test_masks_are_those_of_a_plain_computation(keys: dict[str, X25519Key]) -> None:
    me = NAMES[1]
    row, total = [0] * 50, 0
    for name in NAMES:
        if name == me:
            continue
        low, high = sorted((me, name))
        seed = keys[me].mask_key(keys[name].public_bytes, ROUND, ROSTER, low, high)
        drawn, sign = stream(seed)(50 * 16 + 64), 1 if me < name else -1
        for at in range(50):
            row[at] += sign * int.from_bytes(drawn[16 * at : 16 * at + 15], "little")
        total += sign * int.from_bytes(drawn[800:], "little")
    assert mask(keys, me) == ([number % T for number in row], total % ORDER)


def test_masks_are_those_of_the_protocol() -> None:
    """`docs/protocols/fp-agg-1.md`, "A party contributes", 7: partners do the same."""
    secret, other = (x25519.X25519PrivateKey.from_private_bytes(k * 32) for k in SMALL)
    theirs = other.public_key().public_bytes_raw()
    both = sorted((secret.public_key().public_bytes_raw(), theirs))
    names = f'["{ROUND.hex()}","{ROSTER.hex()}","{NAMES[0]}","{NAMES[1]}"]'
    info = b"fieldpact/mask-key/1\x00" + b"".join(both) + names.encode()
    expand = HKDF(hashes.SHA256(), 32, salt=None, info=info)
    seed = expand.derive(secret.exchange(other.public_key()))
    drawn = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor().update(bytes(96))
    words = [int.from_bytes(drawn[at : at + 15], "little") % T for at in (0, 16)]
    blinding = int.from_bytes(drawn[32:], "little") % ORDER
    pair = {
        name: X25519Key.from_bytes(each * 32)
        for name, each in zip(NAMES[:2], SMALL, strict=True)
    }
    assert mask(pair, NAMES[0], count=2) == (words, blinding)
    taken = ([-word % T for word in words], -blinding % ORDER)
    assert mask(pair, NAMES[1], count=2) == taken
    assert words == [29414348401, 825791659026]


@pytest.mark.parametrize("modulus", [2, 97, 2**41])
def test_masks_of_twenty_parties_cancel_out_modulo_anything(modulus: int) -> None:
    many = {f"p{at:02}": X25519Key.from_bytes(bytes([at + 1] * 32)) for at in range(20)}
    rows = []
    for name, key in many.items():
        others = {each: many[each].public_bytes for each in many if each != name}
        row, _ = masks(
            key,
            name,
            others,
            round_id=ROUND,
            roster=ROSTER,
            count=3,
            modulus=modulus,
        )
        rows.append(row)
    assert all(sum(each) % modulus == 0 for each in zip(*rows, strict=True))


@pytest.mark.parametrize("me", ["a", "z"])
def test_masks_with_as_many_as_may_be_are_those_of_a_plain_computation(
    me: str,
) -> None:
    # All are added, or all are taken off: no lane carries into another.
    key = X25519Key.from_bytes(bytes([1] * 32))
    others = {
        f"p{at:02}": X25519Key.from_bytes(bytes([at] * 32)).public_bytes
        for at in range(2, 66)
    }
    row, total, sign = [0] * 3, 0, 1 if me == "a" else -1
    for name, public in others.items():
        low, high = sorted((me, name))
        drawn = stream(key.mask_key(public, ROUND, ROSTER, low, high))
        words = [int.from_bytes(drawn(16)[:15], "little") for _ in row]
        row = [cell + sign * word for cell, word in zip(row, words, strict=True)]
        total += sign * int.from_bytes(drawn(64), "little")
    given: dict[str, Any] = {"round_id": ROUND, "roster": ROSTER, "modulus": T}
    found = masks(key, me, others, count=3, **given)
    assert found == ([number % T for number in row], total % ORDER)
    others["one more"] = X25519Key.from_bytes(bytes([66] * 32)).public_bytes
    with pytest.raises(Malformed, match="others of its roster"):
        masks(key, me, others, count=3, **given)


@pytest.mark.parametrize("modulus", [0, 1, 2**41 + 1])
def test_a_modulus_out_of_range_is_refused(
    keys: dict[str, X25519Key], modulus: int
) -> None:
    others = {NAMES[1]: keys[NAMES[1]].public_bytes}
    with pytest.raises(Malformed):
        masks(
            keys[NAMES[0]],
            NAMES[0],
            others,
            round_id=ROUND,
            roster=ROSTER,
            count=1,
            modulus=modulus,
        )
