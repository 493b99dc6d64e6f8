"""Presentations shown again: to others, of other records, with other values."""

import dataclasses
from typing import Any

import pytest

from crypto.bbs import BbsKey
from crypto.encoding import canonical
from crypto.errors import InvalidBatch, InvalidProof, Malformed
from crypto.predicates import Claim, between, verify, verify_batch
from crypto.typed import Header, Kind
from tests.unit.crypto.typed_world import (
    BOUND,
    FIELDS,
    HEADER,
    MIXED,
    PH,
    RECORD,
    SCHEMA,
    VALUES,
    claim,
    sealed,
    source,
    statement,
)

CLAIM = claim(MIXED)


def _with(**changes: Any) -> Claim:
    return dataclasses.replace(CLAIM, **changes)


# --- For whom ----------------------------------------------------------------


@pytest.mark.parametrize("name", BOUND)
@pytest.mark.parametrize("value", ["", "other", None])
@pytest.mark.parametrize("stated", [MIXED, statement(), statement(anchored=True)])
def test_a_presentation_is_for_one_audience_agreement_purpose_and_nonce(
    name: str, value: str | None, stated: Any
) -> None:
    made = claim(stated)
    other = dict(BOUND) | {name: value}
    for ph in (canonical(other), canonical({k: v for k, v in other.items() if v})):
        with pytest.raises(InvalidProof):
            verify(dataclasses.replace(made, ph=ph))
    there = claim(stated, ph=canonical(other))
    verify(there)
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(there, ph=PH))


@pytest.mark.parametrize("ph", [b"", PH + b"\0", PH[:-1], b"\0" + PH, PH + PH])
def test_a_presentation_header_is_neither_cut_nor_longer(ph: bytes) -> None:
    with pytest.raises(InvalidProof):
        verify(_with(ph=ph))


def test_octets_do_not_move_between_the_presentation_header_and_the_statement() -> None:
    """Each has its length in the transcript."""
    octets = MIXED.to_bytes()
    for ph in (PH + octets, PH + len(octets).to_bytes(8, "big") + octets):
        with pytest.raises(InvalidProof):
            verify(_with(ph=ph))


# --- Of what -----------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "did:web:b"},
        {"key_id": "did:web:a#2"},
        {"dataset": "e"},
        {"grant": "h"},
        {"version": 1},
    ],
)
@pytest.mark.parametrize("stated", [MIXED, statement()])
def test_a_presentation_is_of_one_header(stated: Any, changes: dict[str, Any]) -> None:
    other: Header = dataclasses.replace(HEADER, **changes)
    made = claim(stated)
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(made, header=other))
    there = claim(stated, header=other, record=sealed(header=other))
    verify(there)
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(there, header=HEADER))


@pytest.mark.parametrize("changes", [{"grant": "h"}, {"version": 1}])
def test_a_record_of_one_grant_or_version_is_not_shown_under_another(
    changes: dict[str, Any],
) -> None:
    """Neither with the commitment of this one nor with that of the other."""
    other: Header = dataclasses.replace(HEADER, **changes)
    there = sealed(header=other)
    assert there.commitment != RECORD.commitment
    for record, header in ((RECORD, other), (there, HEADER)):
        with pytest.raises(InvalidProof):
            verify(claim(MIXED, record=record, header=header))
    with pytest.raises(InvalidProof):
        verify(_with(commitment=there.commitment))
    with pytest.raises(InvalidProof):
        verify(_with(commitment=there.commitment, header=other))


def test_another_commitment_of_the_same_record_is_refused() -> None:
    with pytest.raises(InvalidProof):
        verify(_with(commitment=sealed(seed="other").commitment))


def test_a_provider_that_answers_from_a_record_it_did_not_commit_to_is_caught() -> None:
    values = {**VALUES, "accepted": "1960-01-01"}
    other = sealed(values, seed="other")
    made = claim(MIXED, record=other, values=values)
    verify(made)
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(made, commitment=RECORD.commitment))
    mixed = dataclasses.replace(other, commitment=RECORD.commitment)
    with pytest.raises(InvalidProof):
        verify(claim(MIXED, record=mixed, values=values))


@pytest.mark.parametrize("part", ["scalars", "signature", "commitment"])
def test_the_parts_of_two_sealed_records_do_not_mix(part: str) -> None:
    other = sealed({**VALUES, "spend": "1.00"}, seed="other")
    mixed = dataclasses.replace(RECORD, **{part: getattr(other, part)})
    with pytest.raises(InvalidProof):
        verify(claim(MIXED, record=mixed))


def test_commitments_that_change_places_in_a_batch_are_both_named() -> None:
    """Two customers of one answer, each with the other's commitment."""
    values = {**VALUES, "accepted": "1960-01-01"}
    claims = [
        claim(MIXED, seed="first"),
        claim(MIXED, record=sealed(values, seed="o"), values=values, seed="second"),
        claim(statement(anchored=True), seed="third"),
    ]
    verify_batch(claims, random_bytes=source("weights"))
    one, other = (each.commitment for each in claims[:2])
    for moves in (True, False):
        swapped = [
            dataclasses.replace(each, commitment=commitment)
            for each, commitment in zip(claims[:2], (other, one), strict=True)
        ] + claims[2:]
        if not moves:
            swapped = [dataclasses.replace(each, moves=b"") for each in swapped]
        with pytest.raises(InvalidBatch) as caught:
            verify_batch(swapped, random_bytes=source("weights"))
        assert set(caught.value.faults) == {0, 1}
        assert {type(fault) for fault in caught.value.faults.values()} == {InvalidProof}


@pytest.mark.parametrize("part", ["proof", "shown", "header", "ph", "statement"])
def test_what_belongs_to_two_presentations_does_not_change_places(part: str) -> None:
    header = dataclasses.replace(HEADER, version=1)
    values = {**VALUES, "accepted": "1960-01-01"}
    asked = dataclasses.replace(MIXED, predicates=MIXED.predicates[::-1])
    other = claim(
        asked,
        record=sealed(values, header=header),
        values=values,
        header=header,
        ph=b"other",
    )
    claims = [CLAIM, other]
    verify_batch(claims, random_bytes=source("weights"))
    swapped = [
        dataclasses.replace(one, **{part: getattr(another, part)})
        for one, another in zip(claims, claims[::-1], strict=True)
    ]
    with pytest.raises(InvalidBatch) as caught:
        verify_batch(swapped, random_bytes=source("weights"))
    assert set(caught.value.faults) == {0, 1}


def test_a_commitment_is_given_if_and_only_if_it_is_asked_for() -> None:
    with pytest.raises(Malformed):
        verify(_with(commitment=None))
    plain = claim(statement())
    with pytest.raises(Malformed):
        verify(dataclasses.replace(plain, commitment=RECORD.commitment))


def test_a_presentation_that_is_not_anchored_is_none_of_an_anchored_statement() -> None:
    plain, anchored = statement(), statement(anchored=True)
    made = dataclasses.replace(
        claim(plain), statement=anchored, commitment=RECORD.commitment
    )
    with pytest.raises(InvalidProof):
        verify(made)
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(claim(anchored), statement=plain, commitment=None))


# --- With which values -------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"accepted": "1969-12-31"},
        {"accepted": "1969-12-31", "region": "华东", "active": True},
        {"accepted": "1969-12-31", "active": True},
        {"accepted": "1969-12-31", "region": 1},
        {"accepted": "华东", "region": "华东"},
    ],
)
def test_the_values_shown_are_those_asked_for_and_of_their_types(
    shown: dict[str, object],
) -> None:
    with pytest.raises(Malformed):
        verify(_with(shown=shown))


@pytest.mark.parametrize("value", ["1970-01-01", None])
def test_another_value_is_refused(value: str | None) -> None:
    with pytest.raises(InvalidProof):
        verify(_with(shown={"accepted": value, "region": "华东"}))


def test_a_missing_value_can_be_shown() -> None:
    made = claim(statement(shown=("bonus",)))
    verify(made)
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(made, shown={"bonus": "0.00"}))


def test_a_missing_value_of_one_field_is_none_of_another() -> None:
    values = {**VALUES, "paid": None}
    both = claim(statement(shown=("bonus",)), record=sealed(values), values=values)
    other = dataclasses.replace(both, statement=statement(shown=("paid",)))
    with pytest.raises(InvalidProof):
        verify(dataclasses.replace(other, shown={"paid": None}))


def test_another_key_did_not_sign_it() -> None:
    with pytest.raises(InvalidProof):
        verify(_with(public=BbsKey.generate(b"o" * 32).public_bytes))


def test_a_false_signature_gives_a_false_proof() -> None:
    forged = dataclasses.replace(RECORD, signature=sealed(seed="other").signature)
    with pytest.raises(InvalidProof, match="signature"):
        verify(claim(MIXED, record=forged))


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        ({"spend", "paid"}, {"unit": "USD"}),
        ({"spend", "paid"}, {"unit": None}),
        ({"spend", "paid"}, {"scale": 3}),
        ({"spend"}, {"name": "profit"}),
        ({"orders", "returns"}, {"unit": "kg"}),
        ({"orders", "returns"}, {"kind": Kind.DATE}),
        ({"orders", "returns"}, {"kind": Kind.MONEY}),
        ({"spend"}, {"salt": bytes(32)}),
    ],
)
def test_a_number_is_not_read_with_another_name_type_unit_or_scale(
    names: set[str], changes: dict[str, Any]
) -> None:
    """The same number, under the same signature, said to be something else."""
    schema = tuple(
        dataclasses.replace(field, **changes) if field.name in names else field
        for field in FIELDS
    )
    header = Header.of(
        schema,
        issuer=HEADER.issuer,
        key_id=HEADER.key_id,
        dataset=HEADER.dataset,
        grant=HEADER.grant,
        version=HEADER.version,
    )
    other = dataclasses.replace(MIXED, schema=schema)
    with pytest.raises(Malformed):
        verify(_with(statement=other))
    with pytest.raises(InvalidProof):
        verify(_with(statement=other, header=header))


def test_two_fields_of_one_type_do_not_change_places_in_a_schema() -> None:
    spend, paid, *rest = FIELDS
    other = statement(between(SCHEMA, "orders", 3, 9), schema=(paid, spend, *rest))
    with pytest.raises(Malformed):
        verify(dataclasses.replace(claim(statement()), statement=other))


def test_the_predicates_of_a_statement_cannot_change_places() -> None:
    first, second, *rest = MIXED.predicates
    other = dataclasses.replace(MIXED, predicates=(second, first, *rest))
    with pytest.raises(InvalidProof):
        verify(_with(statement=other))
