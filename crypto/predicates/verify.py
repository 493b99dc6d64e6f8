"""Verifying: one presentation, against one statement of the verifier's own.

The numbered steps are those of `docs/protocols/fp-lbv-1.md`, Verifier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto.bbs import ARKWORKS, Backend
from crypto.bbs.backends import G1
from crypto.bbs.core import Frame, frame
from crypto.bbs.moves import Equation, Reopened
from crypto.bbs.suite import ORDER, POINT_BYTES, SCALAR_BYTES
from crypto.bbs.wire import PROOF_FLOOR_BYTES, read_scalars
from crypto.errors import InvalidProof, Malformed
from crypto.predicates import bits
from crypto.predicates.statement import Statement
from crypto.transcript import presentation_header
from crypto.typed import TYPED, Header, field_at, places, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A presentation, and all that its verifier holds against it.

    Only `proof`, `shown`, `commitment` and `moves` come from the prover.

    Attributes:
        proof: As received.
        shown: Value by name, as received.
        statement: The verifier's own, never as received. Its schema may be as
            told: the types and units in it are for the caller to compare with
            what was agreed on.
        public: The issuer's *pinned* BBS key, 96 bytes.
        header: As received, and checked to be this issuer's, of this dataset,
            grant and version.
        ph: What the verifier expects: audience, agreement, purpose, own nonce.
        commitment: C_rec, 48 bytes, found with `header` in an anchored tree;
            None if the statement does not ask for it.
        moves: What came with the proof, or nothing. Only batches use it.
    """

    proof: bytes
    shown: Mapping[str, object]
    statement: Statement
    public: bytes
    header: Header
    ph: bytes
    commitment: bytes | None = None
    moves: bytes = b""


def verify(claim: Claim, *, backend: Backend = ARKWORKS) -> None:
    """Check that a presentation shows and proves what the statement says.

    Not shown by it: that the issuer tells the truth, that a number it signed was
    in the range of its type, or that the commitment is in an anchored tree.

    Raises:
        Malformed: Something does not parse, or a value is out of form.
        InvalidProof: The presentation is not of this statement.
    """
    opened = Opened.of(claim, backend)
    opened.check([backend.msm(*equation) for equation in opened.equations])
    common, parsed = opened.common, opened.reopened.proof
    # 6. The blinded signature must be the issuer's.
    if not backend.pairings_equal(parsed.abar, common.key, parsed.bbar):
        raise InvalidProof("the proof does not rest on a signature of this issuer")


@dataclass(frozen=True, slots=True)
class Opened:
    """A presentation that parses, and the sums that its first moves must be.

    Attributes:
        equations: T1, T2; T3 if anchored; K_a, K_d if there are bits.
        points: K_b and K_c as received, or nothing.
    """

    claim: Claim
    common: Frame
    reopened: Reopened
    equations: tuple[Equation, ...]
    points: tuple[bytes, ...]

    @classmethod
    def of(cls, claim: Claim, backend: Backend) -> "Opened":
        """Read a presentation. Raises `Malformed` or `InvalidProof`."""
        statement, header = claim.statement, claim.header
        # 1. The header is of this schema, the values are those asked for.
        header.check(statement.schema)
        if (claim.commitment is not None) != statement.anchored:
            raise Malformed("a commitment is given if and only if it is asked for")
        common = frame(TYPED, backend, claim.public, header.to_bytes(), header.messages)
        # 2. Every length follows from the statement.
        hidden = header.messages - len(statement.shown)
        cut = PROOF_FLOOR_BYTES + hidden * SCALAR_BYTES
        if len(claim.proof) != cut + _extra_bytes(statement):
            raise Malformed("not the length of a presentation of this statement")
        reopened = common.reopen_proof(
            claim.proof[:cut], _named(claim), disclosed=statement.shown
        )
        # 3. Equalities; then the sums that the other first moves must be.
        _check_ties(statement, reopened)
        equations = [*reopened.equations]
        if claim.commitment is not None:
            point = backend.decode_g1(claim.commitment)
            parsed = reopened.proof
            equations.append(Equation([parsed.d, point], [parsed.r3, parsed.challenge]))
        points: tuple[bytes, ...] = ()
        if statement.bits:
            tail = claim.proof[cut:]
            points = (tail[:POINT_BYTES], tail[POINT_BYTES : 2 * POINT_BYTES])
            equations += _bit_equations(
                statement, reopened, points, tail[2 * POINT_BYTES :], backend
            )
        return cls(claim, common, reopened, tuple(equations), points)

    def check(self, moves: Sequence[G1]) -> None:
        """Check the challenge, for first moves equal to the sums. `InvalidProof`."""
        encoded = [self.common.encode(move) for move in moves]
        # 4. The presentation header, from the verifier's own words.
        commitment = self.claim.commitment
        anchor = [] if commitment is None else [commitment, encoded[2]]
        bound = presentation_header(
            self.claim.ph,
            self.claim.statement.to_bytes(),
            anchor=anchor,
            bits=[*self.points, *encoded[-2:]] if self.points else [],
        )
        # 5. The challenge must be the hash of it all.
        self.common.check_challenge(
            self.reopened, moves=b"".join(encoded[:2]), ph=bound
        )


def _extra_bytes(statement: Statement) -> int:
    if not statement.bits:
        return 0
    return 2 * POINT_BYTES + (bits.free(statement) + 2) * SCALAR_BYTES


def _named(claim: Claim) -> list[bytes]:
    """Map the values shown to their messages; the padding is zero."""
    statement, shown = claim.statement, claim.shown
    if tuple(places(statement.schema, shown)) != statement.disclosed:
        raise Malformed("the fields shown are not those asked for")
    fields = ((j, field_at(statement.schema, j)) for j in statement.disclosed)
    numbers = [field.scalar(shown[field.name], j) for j, field in fields]
    return write([*numbers, *(0 for _ in statement.shown[len(numbers) :])])


def _check_ties(statement: Statement, reopened: Reopened) -> None:
    for window in statement.ties:
        left = window.reach(reopened.responses, reopened.proof.challenge)
        if left % ORDER:
            raise InvalidProof("the fields said to be equal are not")


def _bit_equations(
    statement: Statement,
    reopened: Reopened,
    points: tuple[bytes, ...],
    tail: bytes,
    backend: Backend,
) -> list[Equation]:
    """Return the sums that K_a and K_d must be."""
    k_b, k_c = (backend.decode_g1(point) for point in points)
    *sent, z1, z2 = read_scalars(tail)
    c = reopened.proof.challenge
    parts = bits.split(statement, sent)
    f = [
        response
        for predicate, part in zip(statement.predicates, parts, strict=True)
        for response in predicate.complete(part, reopened.responses, c)
    ]
    products = [x * (c - x) for x in f]
    return [
        bits.minus(bits.commitment(backend, f, z1), c, k_b),
        bits.minus(bits.commitment(backend, products, z2), c, k_c),
    ]
