"""Who sends a list on signs it: for one plan, of one side, this list and no other."""

from dataclasses import replace

import pytest

from crypto.encoding import b64u, tagged
from crypto.errors import CryptoError, InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from ledger.passed_lists import PassedList, sign_passed, verify_passed
from tests.support.federated import participant

SENDER, OTHER = "did:web:sender.example", "did:web:other.example"
PINNED, KEY = participant(SENDER)
PASSED = PassedList(plan="11" * 32, of=OTHER, sender=SENDER, points="22" * 32)
SIGNED = b64u(sign_passed(PASSED, KEY))


def test_what_was_signed_verifies() -> None:
    verify_passed(PASSED, SIGNED, PINNED)


@pytest.mark.parametrize(
    "changes",
    [{"plan": "33" * 32}, {"of": SENDER}, {"points": "33" * 32}],
    ids=["another plan", "another side", "another list"],
)
def test_it_is_about_nothing_else(changes: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        verify_passed(replace(PASSED, **changes), SIGNED, PINNED)


def test_another_participant_has_not_signed_it() -> None:
    stranger, key = participant(OTHER)
    with pytest.raises(InvalidSignature):
        verify_passed(PASSED, b64u(sign_passed(PASSED, key)), PINNED)
    with pytest.raises(InvalidSignature, match="another participant"):
        verify_passed(PASSED, b64u(sign_passed(PASSED, key)), stranger)


def test_a_key_of_the_past_does_not_count() -> None:
    new = Ed25519Key.from_bytes(bytes(31) + b"7").public_bytes
    rotated = replace(PINNED, keys={**PINNED.keys, "ed25519": new})
    with pytest.raises(InvalidSignature):
        verify_passed(PASSED, SIGNED, rotated)


@pytest.mark.parametrize("wrong", [None, 7, "", "AAAA", SIGNED + "A", [SIGNED]])
def test_what_is_no_signature_is_refused(wrong: object) -> None:
    with pytest.raises(Malformed):
        verify_passed(PASSED, wrong, PINNED)


def test_no_bit_of_a_signature_can_be_another() -> None:
    octets = sign_passed(PASSED, KEY)
    for at in range(0, 512, 37):
        changed = bytearray(octets)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(CryptoError):
            verify_passed(PASSED, b64u(bytes(changed)), PINNED)


def test_what_is_signed_says_what_it_is() -> None:
    assert PASSED.signed_bytes() == tagged(
        "passed-list",
        b'{"of":"did:web:other.example","plan":"'
        + b"11" * 32
        + b'","points":"'
        + b"22" * 32
        + b'","sender":"did:web:sender.example",'
        b'"typ":"fieldpact/passed-list/1"}',
    )
