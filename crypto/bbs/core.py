"""The core operations of BBS: sign, verify, prove, verify a proof.

In a word of mathematics: a record of messages m_1..m_L under a header becomes
one point ``B = P1 + Q_1*domain + H_1*m_1 + ... + H_L*m_L``, and the signature
is ``A = B * 1/(SK + e)``. Whoever knows (A, e) and the messages can show that
they do, in zero knowledge, while naming only some of the messages: they blind
A and B with fresh random factors, and answer a challenge that is the hash of
everything in sight (Schnorr, made non-interactive by Fiat and Shamir).

Where this differs from the letter of the draft, results are the same to the
byte: products of a sum are folded into the sum (D is computed without B), and
the signing exponent is never used bare, as multiplication takes a time that
depends on the factor: ``A = (B*rho) * 1/((SK+e)*rho)`` for a random rho.

Source: draft-irtf-cfrg-bbs-signatures, sections 3.6 and 3.7.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from crypto.bbs.backends import G1, G2, Backend
from crypto.bbs.generators import Generators, generators
from crypto.bbs.moves import Equation, Opening, Reopened
from crypto.bbs.suite import EXPAND_BYTES, ORDER, Suite
from crypto.bbs.wire import read_messages, read_proof, read_signature, write_scalars
from crypto.errors import InvalidProof, InvalidSignature, Malformed

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Returns that many fresh bytes from a cryptographic source, as `secrets` does."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What all records of one issuer share that have one header and length.

    The key is decoded and checked, and the header hashed, once: 0.3 ms, which
    `frame` saves by remembering. Messages are scalars of 32 bytes here, as
    `crypto.bbs.map_messages` makes them.

    Attributes:
        key: The issuer's public key.
        domain: Hash of key, generators and header.
        start: P1 + Q_1*domain, the part of B that no message changes.
    """

    suite: Suite
    backend: Backend
    points: Generators
    key: G2
    domain: int
    start: G1

    @classmethod
    def of(
        cls, suite: Suite, backend: Backend, public: bytes, header: bytes, count: int
    ) -> Self:
        """Prepare for records of `count` messages. See `frame`."""
        key = backend.decode_g2(public)
        points = generators(suite, backend, count)
        octets = public + points.octets + suite.api_id + _sized(header)
        domain = suite.hash_to_scalar(octets, suite.api_id + b"H2S_")
        start = backend.msm([points.base, points.header], [1, domain])
        return cls(suite, backend, points, key, domain, start)

    def sign(
        self, secret: int, messages: Sequence[bytes], random_bytes: RandomBytes
    ) -> bytes:
        """Sign a record; only `BbsKey` should call this. Source: CoreSign."""
        numbers = self._numbers(messages)
        e = self._exponent(secret, numbers)
        [rho] = random_scalars(1, random_bytes)
        blinded = self._commit(numbers, rho)
        inverse = pow((secret + e) * rho, -1, ORDER)
        a = self.backend.msm([blinded], [inverse])
        return self.backend.encode_g1(a) + write_scalars([e])

    def verify(self, signature: bytes, messages: Sequence[bytes]) -> None:
        """Check a signature over all messages of a record. Source: CoreVerify.

        Raises:
            Malformed: The signature does not parse, or a scalar does not.
            InvalidSignature: The issuer did not sign this record.
        """
        a, e = read_signature(signature, self.backend)
        numbers = self._numbers(messages)
        # h(A, W) * h(A*e - B, BP2) = 1, with B on the other side.
        right = self.backend.msm(
            [self.start, *self.points.messages, a], [1, *numbers, ORDER - e]
        )
        if not self.backend.pairings_equal(a, self.key, right):
            raise InvalidSignature("not a BBS signature of this issuer on this record")

    def prove(
        self,
        signature: bytes,
        messages: Sequence[bytes],
        *,
        disclosed: Sequence[int],
        ph: bytes,
        random_bytes: RandomBytes,
    ) -> bytes:
        """Prove a signature while naming some messages. Source: CoreProofGen.

        The signature itself is not checked: a false one gives a false proof.

        Args:
            signature: 80 bytes.
            messages: Scalars of *all* messages of the record.
            disclosed: Indexes of those named, ascending from 0.
            ph: Presentation header: what the proof is bound to.
            random_bytes: Fresh for each proof. Two proofs from the same bytes
                give the hidden messages away.

        Raises:
            Malformed: The signature, a scalar or the indexes do not parse.
        """
        drawn = random_scalars(5 + len(self._hidden(disclosed)), random_bytes)
        opening = self.open_proof(signature, messages, disclosed=disclosed, drawn=drawn)
        return self.close_proof(opening, ph=ph)

    def open_proof(
        self,
        signature: bytes,
        messages: Sequence[bytes],
        *,
        disclosed: Sequence[int],
        drawn: Sequence[int],
    ) -> Opening:
        """Make the first move of a proof. Source: ProofInit.

        Args:
            signature: 80 bytes.
            messages: Scalars of *all* messages of the record.
            disclosed: Indexes of those named, ascending from 0.
            drawn: r1, r2, e~, r1~, r3~, and one m~ for each hidden message: fresh
                `random_scalars`. Hidden messages may share one only where the
                verifier is to learn how they differ.

        Raises:
            Malformed: The signature, a scalar or the indexes do not parse.
        """
        # 1. Read everything.
        a, e = read_signature(signature, self.backend)
        numbers = self._numbers(messages)
        hidden = self._hidden(disclosed)
        r1, r2, e_, r1_, r3_, *m_ = drawn  # a trailing _ is the draft's tilde
        # 2. Blind the signature, commit to the hidden.
        msm = self.backend.msm
        d = self._commit(numbers, r2)
        abar = msm([a], [r1 * r2 % ORDER])
        bbar = msm([d, abar], [r1, ORDER - e])
        t1 = msm([abar, d], [e_, r1_])
        t2 = msm([d, *(self.points.messages[j] for j in hidden)], [r3_, *m_])
        return Opening(
            blinded=self.encode(abar, bbar, d),
            moves=self.encode(t1, t2),
            d=d,
            masks=dict(zip(hidden, m_, strict=True)),
            disclosed=disclosed,
            numbers=numbers,
            exponents=[(e_, e), (r1_, -r1), (r3_, -pow(r2, -1, ORDER))],
        )

    def close_proof(self, opening: Opening, *, ph: bytes) -> bytes:
        """Answer the challenge, which hashes everything in sight. ProofFinalize.

        Args:
            opening: What `open_proof` returned; it cannot be used again.
            ph: Presentation header. A protocol around BBS puts its own statement
                and first moves here.
        """
        commitments = opening.blinded + opening.moves
        return opening.respond(
            self._challenge(opening.disclosed, opening.named, commitments, ph)
        )

    def verify_proof(
        self,
        proof: bytes,
        named: Sequence[bytes],
        *,
        disclosed: Sequence[int],
        ph: bytes,
    ) -> None:
        """Check a proof. Source: CoreProofVerify.

        Args:
            proof: What `prove` returned.
            named: Scalars of the disclosed messages.
            disclosed: Their indexes, ascending from 0.
            ph: The presentation header the verifier expects.

        Raises:
            Malformed: The proof, a scalar or the indexes do not parse.
            InvalidProof: The proof does not show these messages under this
                header and presentation header.
        """
        reopened = self.reopen_proof(proof, named, disclosed=disclosed)
        moves = self.encode(*(self.backend.msm(*one) for one in reopened.equations))
        self.check_challenge(reopened, moves=moves, ph=ph)
        parsed = reopened.proof
        if not self.backend.pairings_equal(parsed.abar, self.key, parsed.bbar):
            raise InvalidProof("the proof does not rest on a signature of this issuer")

    def reopen_proof(
        self, proof: bytes, named: Sequence[bytes], *, disclosed: Sequence[int]
    ) -> Reopened:
        """Read a proof, and say how its first moves are rebuilt. ProofVerifyInit.

        Nothing is verified yet: the challenge (`check_challenge`) and the pairing
        are still to be checked.

        Raises:
            Malformed: The proof, a scalar or the indexes do not parse.
            InvalidProof: It is about another number of messages.
        """
        # Numbers and lengths must fit the record.
        parsed = read_proof(proof, self.backend)
        numbers = read_messages(named)
        hidden = self._hidden(disclosed)
        if len(numbers) != len(disclosed) or len(parsed.hidden) != len(hidden):
            raise InvalidProof("the proof is about another number of messages")
        c, points = parsed.challenge, self.points.messages
        t1 = Equation([parsed.bbar, parsed.abar, parsed.d], [c, parsed.e, parsed.r1])
        t2 = Equation(
            [self.start, parsed.d, *(points[i] for i in (*disclosed, *hidden))],
            [c, parsed.r3, *(m * c % ORDER for m in numbers), *parsed.hidden],
        )
        responses = dict(zip(hidden, parsed.hidden, strict=True))
        return Reopened(parsed, tuple(disclosed), tuple(numbers), responses, (t1, t2))

    def check_challenge(self, reopened: Reopened, *, moves: bytes, ph: bytes) -> None:
        """Check that the challenge is the hash of everything in sight.

        Args:
            reopened: What `reopen_proof` returned.
            moves: T1 and T2, 96 bytes, equal to the sums of its equations.
            ph: The presentation header the verifier expects.

        Raises:
            InvalidProof: It is not.
        """
        commitments = reopened.proof.points + moves
        expected = self._challenge(reopened.disclosed, reopened.named, commitments, ph)
        if reopened.proof.challenge != expected:
            raise InvalidProof("the proof was not made for this statement")

    def seal(
        self, secret: int, messages: Sequence[bytes], random_bytes: RandomBytes
    ) -> tuple[bytes, bytes]:
        """Return B in 48 bytes, and the signature on it. For `BbsKey` alone.

        B hides the messages only if one of them is a uniform secret.
        """
        numbers = self._numbers(messages)
        e = self._exponent(secret, numbers)
        [rho] = random_scalars(1, random_bytes)
        blinded = self._commit(numbers, rho)
        a, b = (
            self.backend.msm([blinded], [pow(factor * rho, -1, ORDER)])
            for factor in (secret + e, 1)
        )
        return self.encode(b), self.encode(a) + write_scalars([e])

    def _exponent(self, secret: int, numbers: Sequence[int]) -> int:
        octets = write_scalars([secret, *numbers, self.domain])
        return self.suite.hash_to_scalar(octets, self.suite.api_id + b"H2S_")

    def _commit(self, numbers: Sequence[int], factor: int) -> G1:
        """Return B * factor."""
        return self.backend.msm(
            [self.start, *self.points.messages],
            [factor, *(number * factor % ORDER for number in numbers)],
        )

    def _challenge(
        self,
        disclosed: Sequence[int],
        named: Sequence[int],
        commitments: bytes,
        ph: bytes,
    ) -> int:
        """Hash everything in sight. Source: ProofChallengeCalculate."""
        pairs = zip(disclosed, named, strict=True)
        statement = b"".join(_eight(i) + write_scalars([m]) for i, m in pairs)
        context = write_scalars([self.domain]) + _sized(ph)
        octets = _eight(len(disclosed)) + statement + commitments + context
        return self.suite.hash_to_scalar(octets, self.suite.api_id + b"H2S_")

    def encode(self, *points: G1) -> bytes:
        """Write points in 48 bytes each."""
        return b"".join(map(self.backend.encode_g1, points))

    def _numbers(self, messages: Sequence[bytes]) -> list[int]:
        if len(messages) != len(self.points.messages):
            raise Malformed("a record of this frame has another number of messages")
        return read_messages(messages)

    def _hidden(self, disclosed: Sequence[int]) -> list[int]:
        count, named = len(self.points.messages), set(disclosed)
        if list(disclosed) != sorted(named) or not named <= set(range(count)):
            raise Malformed("disclosed indexes ascend, each once, within the record")
        return [index for index in range(count) if index not in named]


@functools.lru_cache(maxsize=256)
def frame(
    suite: Suite, backend: Backend, public: bytes, header: bytes, count: int
) -> Frame:
    """Return the frame for records of one issuer, header and length; remembered.

    Args:
        suite: The ciphersuite both sides use.
        backend: The library that does the arithmetic.
        public: The issuer's *pinned* public key, 96 bytes.
        header: What is bound to every record and always shown.
        count: Number of messages in a record.

    Raises:
        Malformed: `public` is not a usable key, or `count` is too large.
    """
    return Frame.of(suite, backend, public, header, count)


def random_scalars(count: int, random_bytes: RandomBytes) -> list[int]:
    """Draw non-zero scalars. Source: calculate_random_scalars.

    A source that repeats itself would give hidden messages and keys away, so
    the crudest failures are refused (`ValueError`): short answers, zeros, and
    the same bytes twice within one proof.
    """
    answers = [random_bytes(EXPAND_BYTES) for _ in range(count)]
    drawn = [int.from_bytes(answer, "big") % ORDER for answer in answers]
    if (
        any(len(answer) != EXPAND_BYTES for answer in answers)
        or len({0, *drawn}) <= count
    ):
        raise ValueError("the source of random bytes is broken")
    return drawn


def _sized(data: bytes) -> bytes:
    return _eight(len(data)) + data


def _eight(number: int) -> bytes:
    return number.to_bytes(8, "big")
