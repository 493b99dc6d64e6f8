"""Customers compared without being named.

Two companies that share customers must find the shared ones without handing
each other their customer lists. Both write each customer's identifier (a
unified social credit code, an LEI, a phone number: normalised the same way) as
a *token* that only the two of them can compute, and compare tokens. A third
party that sees tokens learns nothing from them.

A token is a commitment to the identifier. Its *opening* is a keyed hash of the
identifier, so neither company keeps it; shown to a judge, it proves of this one
token which customer it means, and tells nothing of any other. Nobody can open
a token to two identifiers.

What it does not do: each of the two *can* test identifiers it guesses, so
tokens hide customers from outsiders, and from the partner only as far as the
partner cannot enumerate identifiers. And an opening shows what a token means,
not that the two companies would have computed this token.

Sources: RFC 2104 (HMAC). The key comes from `X25519Key.customer_token_key`.
Spec: `docs/protocols/fp-bbs-1.md`, Customers.
"""

import hmac

from crypto.encoding import canonical, sha256, tagged
from crypto.errors import InvalidProof, Malformed


def customer_token(key: bytes, customer: str) -> bytes:
    """Write one customer as a 32-byte token.

    Args:
        key: 32 bytes from `X25519Key.customer_token_key`.
        customer: The normalised identifier, in Unicode form C.

    Raises:
        Malformed: The identifier is empty or not in form C.
    """
    return _commit(customer_opening(key, customer), customer)


def customer_opening(key: bytes, customer: str) -> bytes:
    """Return what opens a customer's token: 32 bytes, secret until it is shown.

    Args:
        key: 32 bytes from `X25519Key.customer_token_key`.
        customer: The normalised identifier, in Unicode form C.

    Raises:
        Malformed: The identifier is empty or not in form C.
    """
    if len(key) != 32:
        raise Malformed("a customer token key has 32 bytes")
    return hmac.digest(key, tagged("customer-opening", _octets(customer)), "sha256")


def check_opening(token: bytes, opening: bytes, customer: str) -> None:
    """Check that a token means this customer.

    Args:
        token: 32 bytes, from what both companies signed.
        opening: 32 bytes, as shown.
        customer: The normalised identifier, as shown.

    Raises:
        Malformed: The opening has another length, or the identifier is empty or
            not in form C.
        InvalidProof: It means another customer, or this is no opening of it.
    """
    if not hmac.compare_digest(_commit(opening, customer), token):
        raise InvalidProof("the token does not open to this customer")


def _commit(opening: bytes, customer: str) -> bytes:
    if len(opening) != 32:
        raise Malformed("the opening of a customer token has 32 bytes")
    return sha256(tagged("customer-token", opening + _octets(customer)))


def _octets(customer: str) -> bytes:
    if not customer:
        raise Malformed("an empty customer identifier")
    return canonical(customer)
