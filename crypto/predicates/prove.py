"""Proving: fields shown, and statements about fields that are not.

The numbered steps are those of `docs/protocols/fp-lbv-1.md`, Prover.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crypto.anchored import Sealed
from crypto.bbs import ARKWORKS, Backend
from crypto.bbs.core import Frame, RandomBytes, frame, random_scalars
from crypto.bbs.wire import read_messages, write_scalars
from crypto.errors import Invalid, Malformed
from crypto.predicates import bits
from crypto.predicates.statement import Statement
from crypto.transcript import presentation_header
from crypto.typed import TYPED, Header


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """A proof, and what makes many of them quick to check together.

    Attributes:
        proof: All that a verifier needs.
        moves: The first moves, 48 bytes each. They follow from the proof; who
            verifies many proofs at once is spared computing them one by one.
    """

    proof: bytes
    moves: bytes = field(repr=False)


def prove(
    record: Sealed,
    statement: Statement,
    *,
    public: bytes,
    header: Header,
    ph: bytes,
    random_bytes: RandomBytes,
    backend: Backend = ARKWORKS,
) -> Presentation:
    """Show some fields of a sealed record, and prove statements about others.

    Neither the signature nor the commitment is checked: false ones give a false
    proof.

    Args:
        record: As kept since it was sealed.
        statement: The verifier's.
        public: The issuer's BBS key, 96 bytes.
        header: As when the record was sealed.
        ph: For whom, for what and when; with the verifier's nonce.
        random_bytes: Fresh for each proof. Two proofs from the same bytes give
            the hidden messages away.
        backend: The library that does the arithmetic.

    Raises:
        Malformed: The record or the header is of another schema, or out of form.
        Invalid: The statement is false of this record.
    """
    header.check(statement.schema)
    common = frame(TYPED, backend, public, header.to_bytes(), header.messages)
    messages = record.messages
    if len(messages) != header.messages:
        raise Malformed("a record of this header has another number of messages")
    # 1. The statement must be true: write it in bits.
    values = dict(enumerate(read_messages(messages)))
    witness = _witness(statement, values)
    # 2. The first moves of BBS, and of the commitment.
    masks = 5 + len(messages) - len(statement.shown)
    more = bits.free(statement) + 4 if witness else 0
    drawn = random_scalars(masks + more, random_bytes)  # one draw: all must differ
    opening = common.open_proof(
        record.signature,
        messages,
        disclosed=statement.shown,
        drawn=_tied(statement, drawn[:masks], len(messages)),
    )
    anchor = []
    if statement.anchored:
        t3 = backend.msm([opening.d], [opening.r3])
        anchor = [record.commitment, backend.encode_g1(t3)]
    # 3. The first moves of the bits.
    hidden = _Bits(common, statement, witness, opening.masks, drawn[masks:])
    # 4. The challenge, and the answers to it.
    bound = presentation_header(
        ph, statement.to_bytes(), anchor=anchor, bits=hidden.points
    )
    proof = common.close_proof(opening, ph=bound)
    answers = hidden.respond(int.from_bytes(proof[-32:], "big"))
    return Presentation(
        proof=proof + answers,
        moves=opening.moves + b"".join(anchor[1:] + hidden.points[2:]),
    )


def holds(record: Sealed, statement: Statement) -> bool:
    """Say whether a statement is true of a sealed record, without proving it.

    Raises:
        Malformed: The record is out of form.
    """
    values = dict(enumerate(read_messages(record.messages)))
    try:
        _witness(statement, values)
    except Invalid:
        return False
    return True


def _witness(statement: Statement, values: Mapping[int, int]) -> list[int]:
    try:
        return [bit for each in statement.predicates for bit in each.bits(values)]
    except ValueError:
        raise Invalid("the statement is false of this record") from None


def _tied(statement: Statement, drawn: Sequence[int], count: int) -> list[int]:
    """Let messages that are stated to be equal share one mask."""
    tied, shown = list(drawn), set(statement.shown)
    at = {j: 5 + i for i, j in enumerate(j for j in range(count) if j not in shown)}
    for window in statement.ties:
        keep, drop = (tied[at[index]] for index in window.indexes)
        tied = [keep if number == drop else number for number in tied]
    return tied


class _Bits:
    """First moves and answers about the bits of one presentation. Answers once.

    `drawn` are random scalars: the free masks, then the four that blind.
    """

    def __init__(
        self,
        common: Frame,
        statement: Statement,
        witness: list[int],
        masks: Mapping[int, int],
        drawn: Sequence[int],
    ) -> None:
        self._statement, self._witness = statement, witness
        self.points: list[bytes] = []
        if not witness:
            return
        count = bits.free(statement)
        parts = bits.split(statement, drawn[:count])
        pairs = zip(statement.predicates, parts, strict=True)
        self._masks = [
            mask for each, part in pairs for mask in each.complete(part, masks, 0)
        ]
        self._blindings = list(drawn[count:])
        self.points = self._commit(common)

    def _commit(self, common: Frame) -> list[bytes]:
        """Return K_b, K_c, K_a and K_d."""
        backend, a, b = common.backend, self._masks, self._witness
        r_b, r_c, r_a, r_d = self._blindings
        signed = [x * (1 - 2 * bit) for x, bit in zip(a, b, strict=True)]
        k_c, k_a, k_d = (
            backend.msm(*bits.commitment(backend, entries, blinding))
            for entries, blinding in (
                (signed, r_c),
                (a, r_a),
                ([-x * x for x in a], r_d),
            )
        )
        k_b = bits.commit(backend, b, r_b)
        return [backend.encode_g1(point) for point in (k_b, k_c, k_a, k_d)]

    def respond(self, challenge: int) -> bytes:
        """Return K_b, K_c, the free f, z1 and z2; nothing if there are no bits."""
        if not self.points:
            return b""
        r_b, r_c, r_a, r_d = self._blindings
        pairs = zip(self._masks, self._witness, strict=True)
        f = [mask + bit * challenge for mask, bit in pairs]
        self._masks, self._blindings = [], []
        sent, at = [], 0
        for predicate in self._statement.predicates:
            sent += f[at : at + predicate.free]
            at += len(predicate.weights)
        z = [r_a + r_b * challenge, r_d + r_c * challenge]
        return b"".join(self.points[:2]) + write_scalars([*sent, *z])
