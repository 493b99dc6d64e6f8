"""Signatures and proofs as octets, and back.

Reading is where forgers try their luck: a point outside the subgroup, a number
not reduced, one byte too many. Every reader here accepts exactly what its
writer writes, and raises `Malformed` for the rest.

A signature is 80 bytes: A, e. A proof is 272 bytes and 32 for each hidden
message: Abar, Bbar, D, e^, r1^, r3^, one m^ per hidden message, challenge.

Source: draft-irtf-cfrg-bbs-signatures, section 4.2.4 (serialization).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crypto.bbs.backends import G1, Backend
from crypto.bbs.suite import ORDER, POINT_BYTES, SCALAR_BYTES
from crypto.errors import Malformed

SIGNATURE_BYTES = POINT_BYTES + SCALAR_BYTES
PROOF_FLOOR_BYTES = 3 * POINT_BYTES + 4 * SCALAR_BYTES


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof taken apart.

    Attributes:
        points: The first 144 bytes: Abar, Bbar, D as they were received.
        abar, bbar, d: The same, decoded.
        e, r1, r3: Responses for the signature.
        hidden: One response per hidden message, in order.
        challenge: What the prover claims the hash to be.
    """

    points: bytes
    abar: G1
    bbar: G1
    d: G1
    e: int
    r1: int
    r3: int
    hidden: tuple[int, ...]
    challenge: int


def read_signature(data: bytes, backend: Backend) -> tuple[G1, int]:
    """Read A and e. Source: octets_to_signature. Raises `Malformed`."""
    if len(data) != SIGNATURE_BYTES:
        raise Malformed("a BBS signature has 80 bytes")
    [e] = read_scalars(data[POINT_BYTES:], least=1)
    return backend.decode_g1(data[:POINT_BYTES]), e


def read_proof(data: bytes, backend: Backend) -> Proof:
    """Read a proof. Source: octets_to_proof. Raises `Malformed`."""
    if len(data) < PROOF_FLOOR_BYTES:
        raise Malformed("a BBS proof has at least 272 bytes")
    points, rest = data[: 3 * POINT_BYTES], data[3 * POINT_BYTES :]
    abar, bbar, d = (
        backend.decode_g1(points[at : at + POINT_BYTES])
        for at in range(0, len(points), POINT_BYTES)
    )
    e, r1, r3, *hidden, challenge = read_scalars(rest, least=1)
    return Proof(points, abar, bbar, d, e, r1, r3, tuple(hidden), challenge)


def hidden_count(proof: bytes) -> int:
    """Say how many messages a proof hides, by its length. Raises `Malformed`."""
    count, rest = divmod(len(proof) - PROOF_FLOOR_BYTES, SCALAR_BYTES)
    if count < 0 or rest:
        raise Malformed("not the length of a BBS proof")
    return count


def read_scalars(data: bytes, *, least: int = 0) -> list[int]:
    """Read numbers of 32 bytes each, from `least` to r-1. Raises `Malformed`."""
    if len(data) % SCALAR_BYTES:
        raise Malformed("a scalar has 32 bytes")
    numbers = [
        int.from_bytes(data[at : at + SCALAR_BYTES], "big")
        for at in range(0, len(data), SCALAR_BYTES)
    ]
    if any(not least <= number < ORDER for number in numbers):
        raise Malformed("a scalar out of range")
    return numbers


def read_messages(scalars: Sequence[bytes]) -> list[int]:
    """Read message scalars, 32 bytes each. Raises `Malformed`."""
    if any(len(scalar) != SCALAR_BYTES for scalar in scalars):
        raise Malformed("a message scalar has 32 bytes")
    return read_scalars(b"".join(scalars))


def write_scalars(numbers: Iterable[int]) -> bytes:
    """Write numbers, reduced modulo r, in 32 bytes each."""
    return b"".join(
        (number % ORDER).to_bytes(SCALAR_BYTES, "big") for number in numbers
    )
