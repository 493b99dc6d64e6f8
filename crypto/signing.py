"""Signing, whatever the suite: what signs, and what a signature is checked with.

Receipts, snapshots and checkpoints are signed by a participant's *signing key*. Which
suite it is of stands in its key id, so that participants of different suites read
each other: whoever checks a signature takes a `Verifier` from the registry and asks
nothing else about the suite.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from crypto.errors import Malformed
from crypto.hashing import Hashing
from crypto.keyids import Suite, key_id
from crypto.keys import check_ed25519_public, verify_ed25519
from crypto.sm import check_sm2_public, verify_sm2


class Signer(Protocol):
    """A key that signs messages. It never shows its secret."""

    @property
    def suite(self) -> Suite:
        """Return the suite."""
        ...

    @property
    def public_bytes(self) -> bytes:
        """Return the public key, in the one form that its suite has."""
        ...

    def key_id(self, did: str) -> str:
        """Return the key's id, as the key of a participant."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign a message, which says what it is (`encoding.tagged`)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A public key that somebody pinned, and what signatures of it are checked with.

    Attributes:
        suite: A suite that signs (`SIGNING`).
        public: The public key.
    """

    suite: Suite
    public: bytes

    def key_id(self, did: str) -> str:
        """Return the key's id, as the key of a participant. Raises `Malformed`."""
        return key_id(did, self.suite, self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check that the holder of the key signed a message.

        Raises:
            Malformed: The key is none.
            InvalidSignature: Anything is wrong with the signature.
        """
        SIGNING[self.suite](self.public, message, signature)


SIGNING: Final[Mapping[Suite, Callable[[bytes, bytes, bytes], None]]] = {
    "ed25519": verify_ed25519,
    "sm2": verify_sm2,
}
"""How signatures of each signing suite are checked: public key, message, signature."""


HASHING: Final[Mapping[Suite, Hashing]] = {"ed25519": "sha-256", "sm2": "sm3"}
"""What a log is built with whose participant signs with a suite."""


CHECKING: Final[Mapping[Suite, Callable[[bytes], None]]] = {
    "ed25519": check_ed25519_public,
    "sm2": check_sm2_public,
}
"""What must never be pinned as somebody's key of each signing suite."""


def check_public(suite: Suite, public: bytes) -> None:
    """Refuse what must never be pinned as somebody's signing key.

    Raises:
        Malformed: Not such a key, one that anybody can sign for, or of a suite
            that does not sign.
    """
    if suite not in CHECKING:
        raise Malformed(f"{suite} keys sign no receipts and no notes")
    CHECKING[suite](public)
