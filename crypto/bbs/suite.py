"""The two ciphersuites of BBS: which hash, and how it becomes numbers.

Both use the curve BLS12-381 and differ in one thing: `expand_message`, which
stretches a message into uniform bytes under a *domain separation tag*, so that
the same bytes hashed for two purposes give unrelated numbers. Numbers that must
look uniform modulo a 255-bit prime are cut from 48 bytes: the excess makes the
bias of the reduction negligible (below 2^-128).

Sources: draft-irtf-cfrg-bbs-signatures, sections 4.2.2 and 6 (hash_to_scalar,
ciphersuites); RFC 9380, section 5.3 (expand_message).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from crypto.errors import Malformed

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Order r of the groups: the field of all scalars."""

FIELD: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f624"
    "1eabfffeb153ffffb9feffffffffaaab",
    16,
)
"""Prime p of the field the coordinates of G1 are in."""

SCALAR_BYTES: Final = 32
POINT_BYTES: Final = 48
EXPAND_BYTES: Final = 48

Expand = Callable[[bytes, bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class Suite:
    """One ciphersuite, with the draft's own Interface (H2G, HM2S) or another.

    Attributes:
        name: How published vectors call it.
        ciphersuite_id: How the draft calls it.
        expand_message: Stretches (message, tag, length); RFC 9380, section 5.3.
        interface: How generators and messages are made: its ids and its extra.
    """

    name: str
    ciphersuite_id: bytes
    expand_message: Expand = field(repr=False)
    interface: bytes = b"H2G_HM2S_"

    @property
    def api_id(self) -> bytes:
        """The Interface: prefix of every domain separation tag."""
        return self.ciphersuite_id + self.interface

    def hash_to_scalar(self, message: bytes, dst: bytes) -> int:
        """Hash to a number below `ORDER`, under a domain separation tag.

        Raises:
            Malformed: `dst` is longer than 255 bytes.
        """
        if len(dst) > 255:
            raise Malformed("a domain separation tag has at most 255 bytes")
        return int.from_bytes(self.expand_message(message, dst, EXPAND_BYTES)) % ORDER


def _expand_xmd(message: bytes, tag: bytes, length: int) -> bytes:
    """expand_message_xmd with SHA-256; RFC 9380, section 5.3.1."""
    tag_prime = tag + _octets(len(tag), 1)
    blocks = -(-length // 32)
    first = _sha256(bytes(64), message, _octets(length, 2), b"\x00", tag_prime)
    block = _sha256(first, b"\x01", tag_prime)
    uniform = block
    for index in range(2, blocks + 1):
        mixed = int.from_bytes(first, "big") ^ int.from_bytes(block, "big")
        block = _sha256(_octets(mixed, 32), _octets(index, 1), tag_prime)
        uniform += block
    return uniform[:length]


def _expand_xof(message: bytes, tag: bytes, length: int) -> bytes:
    """expand_message_xof with SHAKE-256; RFC 9380, section 5.3.2."""
    tag_prime = tag + _octets(len(tag), 1)
    return hashlib.shake_256(message + _octets(length, 2) + tag_prime).digest(length)


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _octets(number: int, length: int) -> bytes:
    return number.to_bytes(length, "big")


SHA_256: Final = Suite(
    "bls12-381-sha-256", b"BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_", _expand_xmd
)
SHAKE_256: Final = Suite(
    "bls12-381-shake-256", b"BBS_BLS12381G1_XOF:SHAKE-256_SSWU_RO_", _expand_xof
)
SUITES: Final = {suite.name: suite for suite in (SHA_256, SHAKE_256)}
