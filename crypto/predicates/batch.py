"""Many presentations checked together, at a fraction of the price of each.

Verification ends in equations between points: two (up to five) sums, and one
pairing. If each equation is multiplied by a random number of 128 bits that the
*verifier* draws after it has everything in hand, and all are added up, one false
equation makes the total false but with probability 2^-128. So one large sum and
one product of pairings decide over all of them.

The sums can be added up only if the prover sends what they come to (`moves`),
for the challenge is a hash of it; otherwise each is computed, and the pairings
alone are shared. If anything is false, each presentation is looked at by itself,
and the wrong ones are named. What a batch accepts, `verify` accepts, and the
other way round, up to that probability.

Source: Bellare, Garay, Rabin, "Fast batch verification for modular
exponentiation and digital signatures" (small exponents; all points are in the
group of prime order, which its test needs).
"""

from collections.abc import Sequence
from typing import Final

from crypto.bbs import ARKWORKS, Backend
from crypto.bbs.backends import G1, G2
from crypto.bbs.core import RandomBytes
from crypto.bbs.moves import Equation
from crypto.bbs.suite import ORDER, POINT_BYTES
from crypto.errors import CryptoError, InvalidBatch
from crypto.predicates.verify import Claim, Opened, verify

_WEIGHT_BYTES: Final = 16
_IDENTITY: Final = b"\xc0" + bytes(POINT_BYTES - 1)


def verify_batch(
    claims: Sequence[Claim], *, random_bytes: RandomBytes, backend: Backend = ARKWORKS
) -> None:
    """Check many presentations together. They may be of different issuers.

    Args:
        claims: In any order; their `moves` make it faster, and are not trusted.
        random_bytes: The verifier's own, unknown to any prover before.
        backend: The library that does the arithmetic.

    Raises:
        InvalidBatch: Some do not hold: its `faults` say which, and why.
    """
    total = _Total(backend, random_bytes)
    faults: dict[int, CryptoError] = {}
    for place, claim in enumerate(claims):
        try:
            total.add(claim)
        except CryptoError as error:
            faults[place] = error
    if not total.holds():
        faults |= _each(claims, backend)
    if faults:
        raise InvalidBatch(dict(sorted(faults.items())))


def _each(claims: Sequence[Claim], backend: Backend) -> dict[int, CryptoError]:
    faults: dict[int, CryptoError] = {}
    for place, claim in enumerate(claims):
        try:
            verify(claim, backend=backend)
        except CryptoError as error:
            faults[place] = error
    return faults


class _Total:
    """The sum of all equations so far, each with its random weight."""

    def __init__(self, backend: Backend, random_bytes: RandomBytes) -> None:
        self._backend, self._random_bytes = backend, random_bytes
        self._sum: dict[int, tuple[G1, int]] = {}  # by identity of the object
        self._left: dict[bytes, tuple[G2, list[G1], list[int]]] = {}
        self._right: tuple[list[G1], list[int]] = ([], [])

    def add(self, claim: Claim) -> None:
        """Check what is checked one by one, and add the rest. Raises if it fails."""
        opened = Opened.of(claim, self._backend)
        if not (claim.moves and self._add_sums(opened)):
            opened.check([self._backend.msm(*one) for one in opened.equations])
        proof = opened.reopened.proof
        weight = self._weight()
        empty: tuple[G2, list[G1], list[int]] = (opened.common.key, [], [])
        _, points, weights = self._left.setdefault(claim.public, empty)
        for point, listed, scalars in (
            (proof.abar, points, weights),
            (proof.bbar, *self._right),
        ):
            listed.append(point)
            scalars.append(weight)

    def _add_sums(self, opened: Opened) -> bool:
        """Add the sums of a claim that says what they come to; False if it lies."""
        moves, step = opened.claim.moves, POINT_BYTES
        try:
            if len(moves) != step * len(opened.equations):
                return False
            points = [
                self._backend.decode_g1(moves[at : at + step])
                for at in range(0, len(moves), step)
            ]
            opened.check(points)
        except CryptoError:
            return False
        for move, equation in zip(points, opened.equations, strict=True):
            weight = self._weight()
            self._accumulate(equation, weight)
            self._accumulate(Equation([move], [1]), ORDER - weight)
        return True

    def _accumulate(self, equation: Equation, weight: int) -> None:
        for point, scalar in zip(*equation, strict=True):
            _, so_far = self._sum.get(id(point), (point, 0))
            self._sum[id(point)] = (point, (so_far + weight * scalar) % ORDER)

    def _weight(self) -> int:
        answer = self._random_bytes(_WEIGHT_BYTES)
        weight = int.from_bytes(answer, "big")
        if len(answer) != _WEIGHT_BYTES or weight == 0:
            raise ValueError("the source of random bytes is broken")
        return weight

    def holds(self) -> bool:
        """Say whether all equations that were added hold."""
        backend = self._backend
        if self._sum:
            points, scalars = zip(*self._sum.values(), strict=True)
            if backend.encode_g1(backend.msm(points, scalars)) != _IDENTITY:
                return False
        if not self._left:
            return True
        lefts = [
            backend.msm(points, weights) for _, points, weights in self._left.values()
        ]
        keys = [key for key, _, _ in self._left.values()]
        return backend.pairing_sums_equal(lefts, keys, backend.msm(*self._right))
