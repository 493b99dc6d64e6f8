"""What every secret key has in common: it does not come out again.

A handle takes its secret in once, uses it, and shows only the public half.
Printing it shows a key id; pickling, copying and comparing are refused, as they
are how keys end up in logs, caches and messages between processes. There is no
export: whoever made the key holds the bytes it was made from.

This stops accidents. Python cannot hide memory from code in the same process.
"""

from typing import ClassVar, Final, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from crypto.errors import Malformed
from crypto.keyids import Suite, fragment, key_id

_REFUSAL: Final = "a key handle is neither copied nor pickled"


class SecretHandle:
    """A secret key that can be used and not read."""

    __slots__ = ("_public", "_secret")

    suite: ClassVar[Suite]

    def __init__(self, *, secret: object, public: bytes) -> None:
        self._secret = secret
        self._public = public

    @property
    def public_bytes(self) -> bytes:
        """The public key, encoded as `crypto.keyids.key_id` takes it."""
        return self._public

    def key_id(self, did: str) -> str:
        """Return the id of this key as a key of the participant `did`."""
        return key_id(did, self.suite, self._public)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {fragment(self.suite, self._public)}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(_REFUSAL)

    def __getstate__(self) -> NoReturn:
        raise TypeError(_REFUSAL)


def load_pem(pem: bytes, password: bytes | None) -> PrivateKeyTypes:
    """Read a private key from PEM, encrypted or not.

    Raises:
        Malformed: Not PEM, an unknown kind of key, or the wrong password.
    """
    try:
        return serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Malformed("not a PEM private key for this password") from None
