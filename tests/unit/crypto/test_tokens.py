"""Customer tokens, and opening them one by one."""

import hashlib
import hmac
from collections.abc import Callable

import pytest

from crypto.errors import InvalidProof, Malformed
from crypto.tokens import check_opening, customer_opening, customer_token

KEY = b"k" * 32
WHO = "91350100M000100Y43"


def test_a_token_commits_to_the_identifier_and_opens_with_a_keyed_hash_of_it() -> None:
    tagged = b'fieldpact/customer-opening/1\x00"91350100M000100Y43"'
    opening = hmac.new(KEY, tagged, hashlib.sha256).digest()
    assert customer_opening(KEY, WHO) == opening
    committed = b"fieldpact/customer-token/1\x00" + opening + b'"91350100M000100Y43"'
    assert customer_token(KEY, WHO) == hashlib.sha256(committed).digest()


def test_tokens_and_openings_of_two_keys_or_two_customers_differ() -> None:
    found = {
        make(key, who)
        for make in (customer_token, customer_opening)
        for key in (KEY, b"l" * 32)
        for who in ("a", "b", "ab", "ä")
    }
    assert len(found) == 16


def test_a_token_opens_to_its_customer_and_to_nobody_else() -> None:
    token, opening = customer_token(KEY, WHO), customer_opening(KEY, WHO)
    check_opening(token, opening, WHO)
    for customer in (WHO[:-1], WHO + "0", "a", '"' + WHO):
        with pytest.raises(InvalidProof):
            check_opening(token, opening, customer)


def test_no_byte_of_a_token_or_an_opening_can_be_changed() -> None:
    token, opening = customer_token(KEY, WHO), customer_opening(KEY, WHO)
    for at in range(32):
        for bent in (0x01, 0x80, 0xFF):
            mask = bytes(at) + bytes([bent]) + bytes(31 - at)
            other = bytes(x ^ y for x, y in zip(opening, mask, strict=True))
            with pytest.raises(InvalidProof):
                check_opening(token, other, WHO)
            other = bytes(x ^ y for x, y in zip(token, mask, strict=True))
            with pytest.raises(InvalidProof):
                check_opening(other, opening, WHO)
    with pytest.raises(InvalidProof):
        check_opening(token[:-1], opening, WHO)


def test_the_tokens_of_two_agreements_open_to_one_customer() -> None:
    """What a judge needs to see that two companies speak of the same one."""
    for key in (KEY, b"l" * 32):
        token, opening = customer_token(key, WHO), customer_opening(key, WHO)
        check_opening(token, opening, WHO)
        with pytest.raises(InvalidProof):
            check_opening(token, customer_opening(b"o" * 32, WHO), WHO)


def test_an_opening_of_one_customer_opens_no_other() -> None:
    opening = customer_opening(KEY, WHO)
    with pytest.raises(InvalidProof):
        check_opening(customer_token(KEY, "b"), opening, "b")


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_an_opening_of_another_length_is_malformed(length: int) -> None:
    """So that octets cannot move between the opening and the identifier."""
    with pytest.raises(Malformed):
        check_opening(customer_token(KEY, WHO), bytes(length), WHO)


@pytest.mark.parametrize("customer", ["", "A\u030a", "\ud800"])
def test_an_identifier_that_is_empty_or_has_two_spellings_is_refused(
    customer: str,
) -> None:
    with pytest.raises(Malformed):
        customer_token(KEY, customer)
    with pytest.raises(Malformed):
        customer_opening(KEY, customer)
    with pytest.raises(Malformed):
        check_opening(bytes(32), bytes(32), customer)


@pytest.mark.parametrize("make", [customer_token, customer_opening])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_the_wrong_length_is_refused(
    make: Callable[[bytes, str], bytes], length: int
) -> None:
    with pytest.raises(Malformed):
        make(bytes(length), "a")
