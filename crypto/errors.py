"""What can be wrong with bytes, and whose fault it is.

    CryptoError
    ├── Malformed            does not parse: wrong length, alphabet, range or form
    └── Invalid              parses, and is false
        ├── InvalidSignature
        └── InvalidProof
            └── InvalidBatch     some of many; says which

Verification raises and returns nothing, so that a forgotten `if` cannot turn a
forgery into a success. A caller who wants one answer catches `CryptoError`.
`TypeError` and `ValueError` are kept for mistakes of our own code. No message
of these errors ever holds key material or a plaintext value.
"""

from collections.abc import Mapping


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


class InvalidBatch(InvalidProof):
    """Some of the proofs that were checked together do not hold.

    Attributes:
        faults: What is wrong with each of those, by its place in the batch.
    """

    def __init__(self, faults: Mapping[int, CryptoError]) -> None:
        """Say how many are wrong, and keep what with each."""
        super().__init__(f"{len(faults)} of the proofs of this batch do not hold")
        self.faults = dict(faults)
