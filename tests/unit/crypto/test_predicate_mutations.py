"""Presentations with one thing changed: a byte, a point, a scalar, a length."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crypto import bbs
from crypto.bbs import ARKWORKS
from crypto.bbs.suite import ORDER
from crypto.errors import InvalidProof, Malformed
from crypto.predicates import Claim, parse_statement, verify
from crypto.predicates.verify import Opened
from crypto.transcript import presentation_header
from crypto.typed import TYPED, parse_header
from tests.unit.crypto.test_bbs_backends import _g1_outside_the_subgroup
from tests.unit.crypto.typed_world import (
    HEADER,
    KEY,
    MIXED,
    PH,
    RECORD,
    SCHEMA,
    claim,
    mutations,
    refused,
    statement,
)

CLAIM = claim(MIXED)
CUT = 272 + 32 * (16 - len(MIXED.shown))
"""Where the proof of BBS ends: 9 hidden messages."""
POINTS = [0, 48, 96, CUT, CUT + 48]
SCALARS = [*range(144, CUT, 32), *range(CUT + 96, len(CLAIM.proof), 32)]
TIED = 144 + 32 * (3 + 5)
"""Where the answer of `orders` is; `returns` follows."""


def _with(**changes: Any) -> Claim:
    return dataclasses.replace(CLAIM, **changes)


def _put(at: int, data: bytes) -> Claim:
    return _with(proof=CLAIM.proof[:at] + data + CLAIM.proof[at + len(data) :])


def test_the_places_of_these_tests_cover_a_presentation() -> None:
    places = [(at, at + 48) for at in POINTS] + [(at, at + 32) for at in SCALARS]
    ends = sorted(places)
    assert [begin for begin, _ in ends[1:]] == [end for _, end in ends[:-1]]
    assert ends[0][0] == 0
    assert ends[-1][1] == len(CLAIM.proof) == 560 + 96 + 32 * (2 + 1 + 2)
    verify(CLAIM)


# --- Every byte --------------------------------------------------------------


def test_no_byte_of_a_presentation_can_be_changed() -> None:
    for proof in mutations(CLAIM.proof):
        assert refused(_with(proof=proof))


def _neighbours(data: bytes, read: Callable[[bytes], Any]) -> Iterator[tuple[int, Any]]:
    """Change each byte in the first way that can still be read."""
    for at in range(len(data)):
        for mask in (1, 2, 3, 4, 8, 16, 64, 128, 255):
            other = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            try:
                yield at, read(other)
            except Malformed:
                continue
            break


def test_no_byte_of_a_statement_can_be_changed() -> None:
    changed = 0
    octets = MIXED.to_bytes()
    for _, other in _neighbours(octets, lambda data: parse_statement(data, SCHEMA)):
        changed += 1
        assert refused(_with(statement=other))
    # Not those that name the format and the schema, or that only one value fits.
    assert changed > 100


def test_no_byte_of_a_header_can_be_changed() -> None:
    changed = 0
    for _, other in _neighbours(HEADER.to_bytes(), parse_header):
        changed += 1
        assert refused(_with(header=other))
    values = [getattr(HEADER, name) for name in ("issuer", "key_id", "dataset")]
    assert changed >= len("".join(values)) + len(HEADER.grant) + 64 + 1


@pytest.mark.parametrize("part", ["ph", "commitment", "public"])
def test_no_byte_of_what_the_verifier_expects_can_be_changed(part: str) -> None:
    for data in mutations(getattr(CLAIM, part)):
        assert refused(_with(**{part: data}))


def _transcript() -> bytes:
    moves = [CLAIM.moves[at : at + 48] for at in range(0, len(CLAIM.moves), 48)]
    return presentation_header(
        PH,
        MIXED.to_bytes(),
        anchor=[RECORD.commitment, moves[2]],
        bits=[
            CLAIM.proof[CUT : CUT + 48],
            CLAIM.proof[CUT + 48 : CUT + 96],
            *moves[3:],
        ],
    )


def test_no_byte_of_the_transcript_can_be_changed() -> None:
    """Those that no reader would let pass included: ph, statement, first moves."""
    opened = Opened.of(CLAIM, ARKWORKS)
    ask = opened.common.check_challenge
    moves = CLAIM.moves[:96]
    ask(opened.reopened, moves=moves, ph=_transcript())
    for bound in mutations(_transcript()):
        with pytest.raises(InvalidProof):
            ask(opened.reopened, moves=moves, ph=bound)
    for other in mutations(moves):
        with pytest.raises(InvalidProof):
            ask(opened.reopened, moves=other, ph=_transcript())


def test_no_byte_of_the_octets_of_a_header_can_be_changed() -> None:
    """Those that are no header any more included."""
    named = [RECORD.messages[index] for index in MIXED.shown]

    def check(header: bytes) -> None:
        bbs.frame(TYPED, ARKWORKS, KEY.public_bytes, header, 16).verify_proof(
            CLAIM.proof[:CUT], named, disclosed=MIXED.shown, ph=_transcript()
        )

    check(HEADER.to_bytes())
    for header in mutations(HEADER.to_bytes()):
        with pytest.raises(InvalidProof):
            check(header)


# --- Points and scalars ------------------------------------------------------


@pytest.mark.parametrize("at", SCALARS)
def test_a_scalar_that_is_not_reduced_is_malformed(at: int) -> None:
    number = int.from_bytes(CLAIM.proof[at : at + 32], "big")
    assert number + ORDER < 2**256
    for other in (number + ORDER, ORDER, 2**256 - 1):
        with pytest.raises(Malformed):
            verify(_put(at, other.to_bytes(32, "big")))


@pytest.mark.parametrize("at", SCALARS)
def test_a_scalar_of_another_value_is_refused(at: int) -> None:
    number = int.from_bytes(CLAIM.proof[at : at + 32], "big")
    for other in (0, 1, ORDER - 1, ORDER - number, (number + 1) % ORDER):
        assert refused(_put(at, other.to_bytes(32, "big")))


BAD_POINTS = {
    "the identity": b"\xc0" + bytes(47),
    "the identity, spelt otherwise": b"\xe0" + bytes(47),
    "the identity with a coordinate": b"\xc0" + bytes(46) + b"\1",
    "zeros": bytes(48),
    "beyond the field": b"\xff" * 48,
    "outside the subgroup": _g1_outside_the_subgroup(),
    "a point and its negative, not compressed": CLAIM.proof[:1] + bytes(47),
}


@pytest.mark.parametrize("name", BAD_POINTS)
@pytest.mark.parametrize("at", POINTS)
def test_what_is_no_point_of_the_group_is_malformed(name: str, at: int) -> None:
    with pytest.raises(Malformed):
        verify(_put(at, BAD_POINTS[name]))


@pytest.mark.parametrize("name", BAD_POINTS)
def test_a_commitment_that_is_no_point_of_the_group_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        verify(_with(commitment=BAD_POINTS[name]))


@pytest.mark.parametrize("at", POINTS)
def test_the_negative_of_a_point_is_refused(at: int) -> None:
    point = CLAIM.proof[at : at + 48]
    with pytest.raises(InvalidProof):
        verify(_put(at, bytes([point[0] ^ 0x20]) + point[1:]))


@pytest.mark.parametrize("at", POINTS)
def test_a_point_of_another_place_is_refused(at: int) -> None:
    others = [CLAIM.proof[other : other + 48] for other in POINTS if other != at]
    for point in (*others, RECORD.commitment, CLAIM.moves[:48]):
        with pytest.raises(InvalidProof):
            verify(_put(at, point))


@pytest.mark.parametrize("at", SCALARS[:-1])
def test_two_answers_do_not_change_places(at: int) -> None:
    following = SCALARS[SCALARS.index(at) + 1]
    one, other = (CLAIM.proof[place : place + 32] for place in (at, following))
    if at == TIED:
        assert one == other  # two hidden numbers stated to be equal
        return
    changed = bytearray(CLAIM.proof)
    changed[at : at + 32], changed[following : following + 32] = other, one
    with pytest.raises(InvalidProof):
        verify(_with(proof=bytes(changed)))


# --- Lengths -----------------------------------------------------------------


def test_a_presentation_is_cut_nowhere() -> None:
    for cut in range(len(CLAIM.proof)):
        with pytest.raises(Malformed):
            verify(_with(proof=CLAIM.proof[:cut]))
    for more in (b"\0", bytes(32), bytes(48), CLAIM.proof):
        with pytest.raises(Malformed):
            verify(_with(proof=CLAIM.proof + more))


@pytest.mark.parametrize("at", [*POINTS, *SCALARS])
def test_nothing_is_left_out_of_a_presentation_or_said_twice(at: int) -> None:
    size = 48 if at in POINTS else 32
    piece = CLAIM.proof[at : at + size]
    for proof in (
        CLAIM.proof[:at] + CLAIM.proof[at + size :],
        CLAIM.proof[:at] + piece + CLAIM.proof[at:],
    ):
        with pytest.raises(Malformed):
            verify(_with(proof=proof))


def test_no_part_of_a_statement_can_be_left_out_or_added() -> None:
    asked = MIXED.predicates
    for place in range(len(asked)):
        fewer = asked[:place] + asked[place + 1 :]
        other = dataclasses.replace(MIXED, predicates=fewer)
        assert refused(_with(statement=other))
    for disclosed in ((), (4,), (5,), (4, 5, 9), (4, 9)):
        other = dataclasses.replace(MIXED, disclosed=disclosed)
        assert refused(_with(statement=other))
    assert refused(_with(statement=dataclasses.replace(MIXED, anchored=False)))
    assert refused(_with(statement=statement()))


def test_a_tail_of_bits_is_read_only_where_bits_are_asked_for() -> None:
    plain = claim(statement(anchored=True))
    with pytest.raises(Malformed):
        verify(dataclasses.replace(plain, proof=plain.proof + CLAIM.proof[CUT:]))
    with pytest.raises(Malformed):
        verify(_with(proof=CLAIM.proof[:CUT]))


def test_lists_of_points_and_factors_are_not_cut_to_the_shorter_one() -> None:
    opened = Opened.of(CLAIM, ARKWORKS)
    for points, scalars in opened.equations:
        assert len(points) == len(scalars)
        with pytest.raises(ValueError, match="as many"):
            ARKWORKS.msm(points, scalars[:-1])
