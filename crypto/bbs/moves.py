"""The moves of a proof, one at a time, for protocols that are built around BBS.

A BBS proof is a conversation of three moves, written down by one party: the
prover commits to what it does not know the question to (*first move*), the hash
of everything in sight asks the question (*challenge*), and the prover answers
(*responses*). A protocol that proves more about the same hidden messages adds
its own first moves before the question is asked, and reuses the responses.

What must not happen is that one first move answers two questions: subtracting
the answers gives every hidden message away. An `Opening` answers once.

Source: draft-irtf-cfrg-bbs-signatures, section 3.7 (ProofInit, ProofFinalize,
ProofVerifyInit).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from crypto.bbs.backends import G1
from crypto.bbs.wire import Proof, write_scalars


class Equation(NamedTuple):
    """A first move as the verifier rebuilds it: the sum of ``scalars[i] * points[i]``.

    Attributes:
        points: In the right group, none of them the identity.
        scalars: As many, from 0 to r-1.
    """

    points: Sequence[G1]
    scalars: Sequence[int]


class Reopened(NamedTuple):
    """A proof that parses and has the right numbers of everything. Nothing more.

    Attributes:
        proof: The proof taken apart.
        disclosed: Indexes of the messages shown.
        named: The messages shown, as numbers.
        responses: Response m^ by index, for every hidden message.
        equations: The first moves T1 and T2.
    """

    proof: Proof
    disclosed: tuple[int, ...]
    named: tuple[int, ...]
    responses: Mapping[int, int]
    equations: tuple[Equation, Equation]


class Opening:
    """A first move that waits for its challenge. Secret, and answers once.

    Attributes:
        blinded: Abar, Bbar and D, 144 bytes.
        moves: T1 and T2, 96 bytes.
        d: The point D.
        r3: The random scalar r3~, by which a protocol can make one more move on D.
        masks: The random scalar m~ by index, for every hidden message.
        disclosed: Indexes of the messages shown.
        named: The messages shown, as numbers.
    """

    __slots__ = (
        "_secrets",
        "blinded",
        "d",
        "disclosed",
        "masks",
        "moves",
        "named",
        "r3",
    )

    def __init__(
        self,
        *,
        blinded: bytes,
        moves: bytes,
        d: G1,
        masks: Mapping[int, int],
        disclosed: Sequence[int],
        numbers: Sequence[int],
        exponents: Sequence[tuple[int, int]],
    ) -> None:
        """Keep a first move.

        Args:
            blinded: See above; so for the arguments of the other names.
            moves: See above.
            d: See above.
            masks: See above.
            disclosed: See above.
            numbers: All messages of the record.
            exponents: (random scalar, factor of the challenge) of the responses
                e^, r1^ and r3^.
        """
        self.blinded, self.moves, self.d = blinded, moves, d
        self.masks, self.disclosed = masks, tuple(disclosed)
        self.named = tuple(numbers[index] for index in disclosed)
        self.r3 = exponents[2][0]
        hidden = [(mask, numbers[index]) for index, mask in masks.items()]
        self._secrets = [*exponents, *hidden]

    def respond(self, challenge: int) -> bytes:
        """Return the proof for this challenge. Source: ProofFinalize.

        Raises:
            ValueError: It has answered before.
        """
        if not self._secrets:
            raise ValueError("one first move answers one challenge")
        answers = [mask + factor * challenge for mask, factor in self._secrets]
        self._secrets = []
        return self.blinded + write_scalars([*answers, challenge])

    def __repr__(self) -> str:
        return "Opening()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a first move stays in the process that made it")
