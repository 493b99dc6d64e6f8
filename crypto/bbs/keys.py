"""The key that signs records.

Source: draft-irtf-cfrg-bbs-signatures, section 3.4 (KeyGen, SkToPk).
"""

from collections.abc import Sequence
from typing import Self

from crypto.bbs.backends import Backend
from crypto.bbs.backends.arkworks import ARKWORKS
from crypto.bbs.core import RandomBytes, frame
from crypto.bbs.interface import map_messages
from crypto.bbs.suite import SCALAR_BYTES, SHA_256, Suite
from crypto.bbs.wire import read_scalars
from crypto.errors import Malformed
from crypto.handles import SecretHandle


class BbsKey(SecretHandle):
    """Signs records, so that parts of them can be shown and proved."""

    __slots__ = ("_backend", "_ciphersuite")

    suite = "bls12381g2"
    _secret: int
    _ciphersuite: Suite
    _backend: Backend

    @classmethod
    def generate(
        cls,
        material: bytes,
        info: bytes = b"",
        *,
        dst: bytes | None = None,
        suite: Suite = SHA_256,
        backend: Backend = ARKWORKS,
    ) -> Self:
        """Derive a key from secret random bytes, kept by the caller. Source: KeyGen.

        Args:
            material: At least 32 random bytes.
            info: Tells keys from the same material apart; at most 65535 bytes.
            dst: Domain separation tag, if not the suite's own.
            suite: The ciphersuite the key is for.
            backend: The library that does the arithmetic.

        Raises:
            Malformed: Too little material, or too much info.
        """
        if len(material) < 32 or len(info) > 65535:
            raise Malformed(
                "key material has at least 32 bytes, key info at most 65535"
            )
        octets = material + len(info).to_bytes(2, "big") + info
        if dst is None:
            dst = suite.ciphersuite_id + b"KEYGEN_DST_"
        secret = suite.hash_to_scalar(octets, dst)
        return cls.from_bytes(
            secret.to_bytes(SCALAR_BYTES, "big"), suite=suite, backend=backend
        )

    @classmethod
    def from_bytes(
        cls, secret: bytes, *, suite: Suite = SHA_256, backend: Backend = ARKWORKS
    ) -> Self:
        """Take a key from its scalar: 32 bytes, from 1 to r-1. Raises `Malformed`."""
        if len(secret) != SCALAR_BYTES:
            raise Malformed("a BBS secret has 32 bytes")
        [number] = read_scalars(secret, least=1)
        key = cls(secret=number, public=backend.public_key(number))
        key._ciphersuite, key._backend = suite, backend
        return key

    def sign(
        self, header: bytes, messages: Sequence[bytes], *, random_bytes: RandomBytes
    ) -> bytes:
        """Sign a record: 80 bytes, the same each time. Source: Sign.

        Args:
            header: What is bound to the record and always shown.
            messages: The messages, in the order their indexes will refer to.
            random_bytes: Blinds the arithmetic; leaves no trace in the result.
        """
        scalars = map_messages(messages, suite=self._ciphersuite)
        return self.sign_scalars(header, scalars, random_bytes=random_bytes)

    def sign_scalars(
        self, header: bytes, scalars: Sequence[bytes], *, random_bytes: RandomBytes
    ) -> bytes:
        """Sign a record whose messages are mapped already. See `sign`."""
        common = frame(
            self._ciphersuite, self._backend, self._public, header, len(scalars)
        )
        return common.sign(self._secret, scalars, random_bytes)

    def seal_scalars(
        self,
        header: bytes,
        scalars: Sequence[bytes],
        *,
        suite: Suite,
        random_bytes: RandomBytes,
    ) -> tuple[bytes, bytes]:
        """Commit to a record and sign it: B (48 bytes), signature (80 bytes).

        Args:
            header: What is bound to the record and always shown.
            scalars: The mapped messages; one of them uniform and secret, or B
                does not hide the others.
            suite: Interface and ciphersuite of the record. One key may serve
                several interfaces: their tags keep them apart.
            random_bytes: Blinds the arithmetic; leaves no trace in the result.
        """
        common = frame(suite, self._backend, self._public, header, len(scalars))
        return common.seal(self._secret, scalars, random_bytes)
