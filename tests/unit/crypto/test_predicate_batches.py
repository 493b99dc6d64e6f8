"""Batches: together they are judged as each is by itself."""

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from crypto.anchored import seal
from crypto.bbs import ARKWORKS, BbsKey
from crypto.bbs.backends import G1
from crypto.bbs.backends.arkworks import Arkworks
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.moves import Equation
from crypto.bbs.suite import ORDER
from crypto.errors import InvalidBatch, Malformed
from crypto.predicates import (
    Claim,
    between,
    equal,
    no_more_than,
    prove,
    verify,
    verify_batch,
)
from crypto.predicates.batch import _Total
from crypto.predicates.verify import Opened
from crypto.transcript import presentation_header
from tests.unit.crypto.test_bbs_backends import _g1_outside_the_subgroup
from tests.unit.crypto.typed_world import (
    HEADER,
    KEY,
    LINK,
    PH,
    SCHEMA,
    VALUES,
    claim,
    source,
    statement,
)

PLAIN = statement(shown=("region", "orders"), anchored=True)
RANGE = statement(
    between(SCHEMA, "orders", 3, 9), equal(SCHEMA, "region", "home"), anchored=True
)
CLAIMS = [
    claim([PLAIN, RANGE, statement()][place % 3], seed=f"{place}") for place in range(9)
]


def _faults(claims: list[Claim]) -> dict[int, str]:
    try:
        verify_batch(claims, random_bytes=source("weights"))
    except InvalidBatch as error:
        return {place: type(fault).__name__ for place, fault in error.faults.items()}
    return {}


def _but(place: int, **changes: object) -> list[Claim]:
    changed = dataclasses.replace(CLAIMS[place], **changes)  # type: ignore[arg-type]
    return [*CLAIMS[:place], changed, *CLAIMS[place + 1 :]]


@pytest.mark.parametrize("moves", [True, False])
def test_a_batch_of_honest_presentations_holds(moves: bool) -> None:
    claims = [one if moves else dataclasses.replace(one, moves=b"") for one in CLAIMS]
    assert _faults(claims) == {}
    assert _faults([]) == {}
    assert _faults(claims * 2) == {}


def test_the_wrong_ones_are_named() -> None:
    claims = _but(4, ph=b"other")
    claims[2] = dataclasses.replace(claims[2], proof=claims[2].proof[:-1])
    assert _faults(claims) == {2: "Malformed", 4: "InvalidProof"}


def test_a_false_signature_is_named_though_its_challenge_is_right() -> None:
    forger = BbsKey.generate(b"o" * 32)
    for moves in (CLAIMS[3].moves, b""):
        assert _faults(_but(3, public=forger.public_bytes, moves=moves)) == {
            3: "InvalidProof"
        }


def test_pairings_that_are_wrong_in_opposite_ways_do_not_cancel() -> None:
    """Two provers exchange Bbar for Bbar + X and Bbar - X: their plain sum is right."""
    total = _Total(ARKWORKS, source("weights"))
    for one in (CLAIMS[0], CLAIMS[3]):
        total.add(one)
    assert total.holds()
    points, _ = total._right
    x = ARKWORKS.map_to_curve(7)
    for place, sign in ((0, 1), (1, ORDER - 1)):
        points[place] = ARKWORKS.msm([points[place], x], [1, sign])
    assert not total.holds()


def test_sums_that_are_wrong_in_opposite_ways_do_not_cancel() -> None:
    x, total = ARKWORKS.map_to_curve(7), _Total(ARKWORKS, source("weights"))
    total._accumulate(Equation([x], [5]), total._weight())
    total._accumulate(Equation([x], [ORDER - 5]), total._weight())
    assert not total.holds()


@pytest.mark.parametrize("place", [0, 1])
def test_moves_that_lie_change_nothing(place: int) -> None:
    other = CLAIMS[place + 3].moves
    for moves in (other, other[:-1], bytes(len(other)), b"x", other + other):
        assert _faults(_but(place, moves=moves)) == {}
        wrong = _but(place, moves=moves, ph=b"other")
        assert _faults(wrong) == {place: "InvalidProof"}


@pytest.mark.parametrize(
    "point",
    [
        b"\xc0" + bytes(47),
        b"\xe0" + bytes(47),
        bytes(48),
        _g1_outside_the_subgroup(),
    ],
)
@pytest.mark.parametrize("at", range(0, 5 * 48, 48))
def test_moves_that_are_no_points_of_the_group_change_nothing(
    at: int, point: bytes
) -> None:
    """They would spoil the random sum, which needs the group of prime order."""
    moves = CLAIMS[1].moves
    assert len(moves) == 5 * 48
    bent = moves[:at] + point + moves[at + 48 :]
    assert _faults(_but(1, moves=bent)) == {}
    assert _faults(_but(1, moves=bent, ph=b"other")) == {1: "InvalidProof"}


def test_every_presentation_can_be_the_wrong_one() -> None:
    for place in range(len(CLAIMS)):
        bent = bytearray(CLAIMS[place].proof)
        bent[150] ^= 1  # e^: the challenge is not affected by it, T1 is
        assert _faults(_but(place, proof=bytes(bent))) == {place: "InvalidProof"}
    wrong = [dataclasses.replace(one, ph=b"other") for one in CLAIMS]
    assert set(_faults(wrong)) == set(range(len(CLAIMS)))


def test_a_proof_whose_challenge_is_the_hash_of_false_moves_is_named() -> None:
    """The forger's way into a batch: responses that fit no first move at all."""
    made = CLAIMS[2]
    opened = Opened.of(made, ARKWORKS)
    x, y = (ARKWORKS.map_to_curve(element) for element in (1, 2))
    moves = opened.common.encode(x, y)
    bound = presentation_header(PH, made.statement.to_bytes(), anchor=[], bits=[])
    challenge = opened.common._challenge(
        opened.reopened.disclosed,
        opened.reopened.named,
        opened.reopened.proof.points + moves,
        bound,
    )
    proof = made.proof[:-32] + challenge.to_bytes(32, "big")
    forged = dataclasses.replace(made, proof=proof, moves=moves)
    Opened.of(forged, ARKWORKS).check([x, y])
    assert _faults([CLAIMS[0], forged, CLAIMS[1]]) == {1: "InvalidProof"}


def test_several_issuers_are_checked_in_one_product() -> None:
    other = BbsKey.generate(b"o" * 32)
    header = dataclasses.replace(HEADER, issuer="did:web:b")
    record = seal(
        VALUES,
        key=other,
        header=header,
        schema=SCHEMA,
        link=LINK,
        random_bytes=source("other"),
    )
    theirs = prove(
        record,
        PLAIN,
        public=other.public_bytes,
        header=header,
        ph=PH,
        random_bytes=source("theirs"),
    )
    place = dataclasses.replace(
        CLAIMS[0],
        proof=theirs.proof,
        moves=theirs.moves,
        header=header,
        public=other.public_bytes,
        commitment=record.commitment,
    )
    assert _faults([*CLAIMS, place]) == {}
    exchanged = dataclasses.replace(place, public=KEY.public_bytes)
    assert _faults([*CLAIMS, exchanged]) == {9: "InvalidProof"}


class Counting(Arkworks):
    """Counts sums."""

    def __init__(self) -> None:
        self.sums = 0

    def msm(self, points: Sequence[G1], scalars: Sequence[int]) -> G1:
        self.sums += 1
        return super().msm(points, scalars)


def test_what_each_sum_comes_to_spares_computing_it() -> None:
    counting, counted = Counting(), []
    for moves in (True, True, False):
        claims = [
            one if moves else dataclasses.replace(one, moves=b"") for one in CLAIMS
        ]
        counting.sums = 0
        verify_batch(claims, random_bytes=source("weights"), backend=counting)
        counted.append(counting.sums)
    equations = sum(len(one.moves) // 48 for one in CLAIMS)
    # One of all equations, and two for the pairings; the first makes the frame.
    assert counted == [3 + 1, 3, 2 + equations]


@pytest.mark.parametrize("broken", [bytes, lambda count: b"x", lambda count: b""])
def test_random_weights_are_neither_short_nor_zero(
    broken: Callable[[int], bytes],
) -> None:
    with pytest.raises(ValueError, match="random bytes is broken"):
        verify_batch(CLAIMS[:1], random_bytes=broken)


def test_py_ecc_agrees() -> None:
    one = claim(statement(no_more_than(SCHEMA, "paid", "spend", bits=26)), seed="x")
    verify(one, backend=PYECC)
    claims = [one, CLAIMS[2]]
    verify_batch(claims, random_bytes=source("w"), backend=PYECC)
    with pytest.raises(Malformed):
        verify(dataclasses.replace(one, proof=one.proof + b"\0"), backend=PYECC)
