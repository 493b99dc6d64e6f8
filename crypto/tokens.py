"""Customers compared without being named.

Two companies that share customers must find the shared ones without handing
each other their customer lists. Both write each customer's identifier (a
unified social credit code, an LEI, a phone number: normalised the same way) as
a keyed hash, under a key that only the two of them can compute, and compare
hashes. A third party that sees tokens learns nothing from them.

What it does not do: each of the two *can* test identifiers it guesses, so
tokens hide customers from outsiders, and from the partner only as far as the
partner cannot enumerate identifiers.

Sources: RFC 2104 (HMAC). The key comes from `X25519Key.customer_token_key`.
"""

import hmac

from crypto.encoding import canonical, tagged
from crypto.errors import Malformed


def customer_token(key: bytes, customer: str) -> bytes:
    """Write one customer as a 32-byte token.

    Args:
        key: 32 bytes from `X25519Key.customer_token_key`.
        customer: The normalised identifier, in Unicode form C.

    Raises:
        Malformed: The identifier is empty or not in form C.
    """
    if len(key) != 32:
        raise Malformed("a customer token key has 32 bytes")
    if not customer:
        raise Malformed("an empty customer identifier")
    return hmac.digest(key, tagged("customer-token", canonical(customer)), "sha256")
