"""Customer tokens."""

import hashlib
import hmac

import pytest

from crypto.errors import Malformed
from crypto.tokens import customer_token

KEY = b"k" * 32


def test_a_token_is_the_hmac_of_the_tagged_canonical_identifier() -> None:
    expected = hmac.new(
        KEY, b'fieldpact/customer-token/1\x00"91350100M000100Y43"', hashlib.sha256
    )
    assert customer_token(KEY, "91350100M000100Y43") == expected.digest()


def test_tokens_of_two_keys_or_two_customers_differ() -> None:
    tokens = {
        customer_token(key, who)
        for key in (KEY, b"l" * 32)
        for who in ("a", "b", "ab", "ä")
    }
    assert len(tokens) == 8


@pytest.mark.parametrize("customer", ["", "A\u030a", "\ud800"])
def test_an_identifier_that_is_empty_or_has_two_spellings_is_refused(
    customer: str,
) -> None:
    with pytest.raises(Malformed):
        customer_token(KEY, customer)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(Malformed):
        customer_token(KEY[:-1], "a")
