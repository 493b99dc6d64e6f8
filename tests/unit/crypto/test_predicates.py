"""Predicates: what is proved, of what, and how it looks."""

import dataclasses

import pytest

from crypto import bbs
from crypto.bbs import ARKWORKS
from crypto.errors import Invalid, InvalidProof, Malformed
from crypto.predicates import (
    between,
    equal,
    holds,
    verify,
)
from crypto.predicates.kinds import Predicate
from crypto.predicates.verify import Opened
from crypto.transcript import presentation_header
from crypto.typed import TYPED
from tests.unit.crypto.typed_world import (
    FALSE,
    HEADER,
    KEY,
    MIXED,
    PH,
    RECORD,
    SCHEMA,
    TRUE,
    VALUES,
    claim,
    sealed,
    source,
    statement,
)

CLAIM = claim(MIXED)


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("anchored", [False, True])
def test_what_is_true_is_proved(name: str, anchored: bool) -> None:
    verify(claim(statement(TRUE[name], anchored=anchored)))


@pytest.mark.parametrize("name", FALSE)
def test_what_is_false_is_not_proved(name: str) -> None:
    with pytest.raises(Invalid, match="false of this record"):
        claim(statement(FALSE[name]))


@pytest.mark.parametrize(("among", "true"), [(TRUE, True), (FALSE, False)])
def test_whether_a_statement_is_true_is_said_without_a_proof(
    among: dict[str, Predicate], true: bool
) -> None:
    assert {holds(RECORD, statement(one)) for one in among.values()} == {true}


def test_several_are_proved_together_beside_fields_shown() -> None:
    verify(CLAIM)
    assert len(CLAIM.proof) == 272 + 32 * (16 - 5 - 2) + 96 + 32 * (2 + 1 + 2)


def test_nothing_or_everything_can_be_shown() -> None:
    verify(claim(statement()))
    verify(claim(statement(anchored=True, shown=tuple(sorted(VALUES)))))


def test_a_chain_of_equalities_holds_together() -> None:
    values = {**VALUES, "paid": "500000.00", "bonus": "500000.00"}
    record = sealed(values)
    chain = statement(
        equal(SCHEMA, "spend", "paid"),
        equal(SCHEMA, "paid", "bonus"),
        equal(SCHEMA, "spend", "bonus"),
        between(SCHEMA, "bonus", "499999.99", "500000.00"),
    )
    verify(claim(chain, record=record))


def test_two_presentations_have_nothing_in_common() -> None:
    other = claim(MIXED, seed="other").proof
    pieces = {CLAIM.proof[at : at + 16] for at in range(0, len(CLAIM.proof), 16)}
    assert not pieces & {other[at : at + 16] for at in range(0, len(other), 16)}


@pytest.mark.parametrize(
    "scalars",
    [
        b"",
        RECORD.scalars[:-32],
        RECORD.scalars[:-1],
        RECORD.scalars + bytes(32),
        b"\xff" * 32 + RECORD.scalars[32:],
    ],
)
def test_a_record_out_of_form_is_not_presented(scalars: bytes) -> None:
    for stated in (MIXED, statement()):
        with pytest.raises(Malformed):
            claim(stated, record=dataclasses.replace(RECORD, scalars=scalars))


def test_nothing_is_proved_under_the_header_of_another_schema() -> None:
    for other in ({"schema_hash": "0" * 64}, {"messages": 32}):
        header = dataclasses.replace(HEADER, **other)
        with pytest.raises(Malformed):
            claim(MIXED, header=header)


def test_a_record_with_numbers_of_its_own_in_the_padding_is_not_believed() -> None:
    """The padding is shown, and what is shown is zero."""
    filled = RECORD.scalars[:-32] + bytes(31) + b"\1"
    commitment, signature = KEY.seal_scalars(
        HEADER.to_bytes(),
        [filled[at : at + 32] for at in range(0, len(filled), 32)],
        suite=TYPED,
        random_bytes=source("filled"),
    )
    record = dataclasses.replace(
        RECORD, scalars=filled, signature=signature, commitment=commitment
    )
    with pytest.raises(InvalidProof):
        verify(claim(statement(anchored=True), record=record))


def test_the_moves_are_what_the_verifier_computes() -> None:
    opened = Opened.of(CLAIM, ARKWORKS)
    sums = [ARKWORKS.encode_g1(ARKWORKS.msm(*one)) for one in opened.equations]
    assert CLAIM.moves == b"".join(sums)


def test_what_is_in_a_presentation_is_an_unmodified_proof_of_bbs() -> None:
    moves = [CLAIM.moves[at : at + 48] for at in range(0, len(CLAIM.moves), 48)]
    cut = 272 + 32 * (16 - len(MIXED.shown))
    sent = [CLAIM.proof[cut : cut + 48], CLAIM.proof[cut + 48 : cut + 96]]
    bound = presentation_header(
        PH,
        MIXED.to_bytes(),
        anchor=[RECORD.commitment, moves[2]],
        bits=[*sent, *moves[3:]],
    )
    bbs.frame(TYPED, ARKWORKS, KEY.public_bytes, HEADER.to_bytes(), 16).verify_proof(
        CLAIM.proof[:cut],
        [RECORD.messages[index] for index in MIXED.shown],
        disclosed=MIXED.shown,
        ph=bound,
    )
