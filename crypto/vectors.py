"""Commitments to rows of numbers, which add up as the rows do.

``Com(v; r) = h*r + G_1*v_1 + ... + G_n*v_n`` over BLS12-381 hides v perfectly, and
binds to it as long as nobody knows how one of the points is a multiple of the others.
The sum of commitments commits to the sum of the rows under the sum of the blindings, so
whoever is told a sum can check it against what each party had committed to.

The points are hashed to the curve under a tag of their own, five hundred at a time.
Numbers are small and not negative: of 4,096 numbers of 20 bits a commitment takes a
fifteenth of the time that it takes of 255 bits. That time depends on the size of the
numbers, which the parties have agreed on, and on nothing else that matters.

Source: Pedersen, CRYPTO 1991; draft-irtf-cfrg-bbs-signatures, section 4.1.1
(create_generators).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from crypto.bbs import ARKWORKS
from crypto.bbs.backends import G1, Backend
from crypto.bbs.generators import generators
from crypto.bbs.suite import ORDER
from crypto.errors import InvalidProof, Malformed
from crypto.typed import TYPED

BITS: Final = 48
"""Of the largest number in a row, and of the largest sum."""
MOST: Final = 65_536
"""Numbers in a row."""
_STEP: Final = 512


def commit(
    numbers: Sequence[int], blinding: int, *, backend: Backend = ARKWORKS
) -> bytes:
    """Commit to a row of numbers: 48 bytes.

    Args:
        numbers: Each from 0 and below 2^48; at most `MOST`.
        blinding: From 0 and below the group's order, uniformly random.

    Raises:
        Malformed: A number or the blinding is out of range, or there are too many.
    """
    return backend.encode_g1(_committed(numbers, blinding, backend))


def check_commitment(commitment: bytes, *, backend: Backend = ARKWORKS) -> None:
    """Check that octets are a commitment to something.

    Raises:
        Malformed: Not a point of the group, the identity, or in another spelling.
    """
    backend.decode_g1(commitment)


def check_sum(
    commitments: Sequence[bytes],
    numbers: Sequence[int],
    blinding: int,
    *,
    backend: Backend = ARKWORKS,
) -> None:
    """Check that a row is the sum of the rows that were committed to.

    Args:
        commitments: One of each party, 48 bytes.
        numbers: What is said to be the sum.
        blinding: What is said to be the sum of the blindings, modulo the order.

    Raises:
        Malformed: A commitment is no point, or a number is out of range.
        InvalidProof: It is another row.
    """
    points = [backend.decode_g1(each) for each in commitments]
    total = backend.msm(points, [1] * len(points))
    claimed = _committed(numbers, blinding, backend)
    if backend.encode_g1(total) != backend.encode_g1(claimed):
        raise InvalidProof("not the sum of what was committed to")


def _committed(numbers: Sequence[int], blinding: int, backend: Backend) -> G1:
    if not 0 <= blinding < ORDER or len(numbers) > MOST:
        raise Malformed("a blinding out of range, or a row that is too long")
    if any(number < 0 or number >> BITS for number in numbers):
        raise Malformed(f"a number that is negative, or has more than {BITS} bits")
    header, points = _points(backend, -(-len(numbers) // _STEP))
    # Apart from the blinding, which has 255 bits: beside it small numbers cost as much.
    hidden = backend.msm([header], [blinding])
    return backend.add(hidden, backend.msm(points[: len(numbers)], list(numbers)))


@cache
def _points(backend: Backend, parts: int) -> tuple[G1, list[G1]]:
    made = [
        generators(
            replace(TYPED, interface=TYPED.interface + b"ROWV_%04d_" % part),
            backend,
            _STEP,
        )
        for part in range(max(parts, 1))
    ]
    return made[0].header, [point for each in made for point in each.messages]
