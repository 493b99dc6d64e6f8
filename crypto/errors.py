"""What can be wrong with bytes, and whose fault it is.

    CryptoError
    ├── Malformed            does not parse: wrong length, alphabet, range or form
    ├── Invalid              parses, and is false
    │   ├── InvalidSignature
    │   └── InvalidProof
    └── Exhausted            a bounded thing is used up

Verification raises and returns nothing, so that a forgotten `if` cannot turn a
forgery into a success. A caller who wants one answer catches `CryptoError`.
`TypeError` and `ValueError` are kept for mistakes of our own code. No message
of these errors ever holds key material or a plaintext value.
"""


class CryptoError(Exception):
    """Anything that `crypto` refuses because of what it was given."""


class Malformed(CryptoError):
    """The bytes do not parse as what they are said to be."""


class Invalid(CryptoError):
    """The bytes parse, and what they claim is false."""


class InvalidSignature(Invalid):
    """The signature was not made over this message by this key."""


class InvalidProof(Invalid):
    """The proof does not show the statement it is presented for."""


class Exhausted(CryptoError):
    """Something that may be used a bounded number of times is used up."""
