"""Presentations: what they show, and all the ways in which they do not move."""

import secrets
from dataclasses import replace
from typing import Any

import pytest

from crypto.bbs import BbsKey
from crypto.encoding import b64u
from crypto.errors import InvalidProof, Malformed
from ledger.presentation import (
    changed_fields,
    presentation_header,
    prove_record,
    sign_record,
    verify_record,
)
from ledger.records import FieldType, SchemaField
from tests.unit.ledger import samples

WHERE: dict[str, Any] = {
    "public": samples.BBS_KEY.public_bytes,
    "header": samples.HEADER,
    "schema": samples.SCHEMA,
    "receipt": samples.receipt(),
    "customer": samples.TOKENS[0],
    "position": 0,
}
SHOWN = {name: samples.RECORDS[0][name] for name in samples.FIELDS}
RECORD = samples.signed_records()[0]
PROOF = prove_record(RECORD, SHOWN, **WHERE, random_bytes=secrets.token_bytes)


def test_shown_fields_verify_and_the_rest_stays_hidden() -> None:
    verify_record(PROOF, SHOWN, **WHERE)
    assert len(PROOF) == 272 + 32 * 3


@pytest.mark.parametrize(
    "names", [(), ("gift",), tuple(f.name for f in samples.SCHEMA)]
)
def test_any_choice_of_fields_can_be_shown(names: tuple[str, ...]) -> None:
    values = {"region": "华东", "gift": True} | samples.RECORDS[0]
    proof = prove_record(RECORD, names, **WHERE, random_bytes=secrets.token_bytes)
    verify_record(proof, {name: values[name] for name in names}, **WHERE)


@pytest.mark.parametrize(
    "moved",
    [
        {"receipt": samples.receipt(records=4)},
        {"receipt": samples.receipt(nonce="A" * 22)},
        {"customer": samples.TOKENS[1]},
        {"position": 1},
        {"public": BbsKey.generate(samples.seed("another")).public_bytes},
        {"header": replace(samples.HEADER, dataset="leads")},
        {"schema": samples.SCHEMA[:4]},
        {"schema": (*samples.SCHEMA, SchemaField(name="x", type=FieldType.TEXT))},
    ],
)
def test_a_presentation_holds_in_its_own_place_only(moved: dict[str, Any]) -> None:
    with pytest.raises(InvalidProof):
        verify_record(PROOF, SHOWN, **(WHERE | moved))


@pytest.mark.parametrize(
    "shown",
    [
        SHOWN | {"order_total": "12.51"},
        SHOWN | {"order_total": None},
        SHOWN | {"units": 3},
        {"order_total": "12.50"},
        {"order_total": "12.50", "units": 3},
    ],
)
def test_other_values_or_other_fields_are_not_shown_by_it(
    shown: dict[str, Any],
) -> None:
    with pytest.raises(InvalidProof):
        verify_record(PROOF, shown, **WHERE)


def test_a_value_out_of_form_or_an_unknown_field_is_refused() -> None:
    for shown in (SHOWN | {"order_total": "12.5"}, SHOWN | {"colour": "red"}):
        with pytest.raises(Malformed):
            verify_record(PROOF, shown, **WHERE)
    with pytest.raises(Malformed):
        prove_record(RECORD, ["colour"], **WHERE, random_bytes=secrets.token_bytes)


def test_two_presentations_of_one_record_share_no_bytes() -> None:
    again = prove_record(RECORD, SHOWN, **WHERE, random_bytes=secrets.token_bytes)
    for start in range(0, len(PROOF), 32):
        assert again[start : start + 32] not in PROOF


def test_a_record_of_another_length_cannot_be_proved_under_this_schema() -> None:
    cut = replace(RECORD, scalars=RECORD.scalars[:-32])
    with pytest.raises(Malformed):
        prove_record(cut, SHOWN, **WHERE, random_bytes=secrets.token_bytes)


def test_a_value_that_changed_since_it_was_signed_is_named() -> None:
    now = {"order_total": "12.50", "ordered_on": "2026-11-03", "units": 3}
    assert changed_fields(RECORD, now, schema=samples.SCHEMA) == ("ordered_on",)
    assert changed_fields(RECORD, SHOWN, schema=samples.SCHEMA) == ()


def test_a_record_is_signed_whole_or_not_at_all() -> None:
    with pytest.raises(Malformed):
        sign_record(
            samples.RECORDS[0],
            key=samples.BBS_KEY,
            header=samples.HEADER,
            schema=samples.SCHEMA,
            random_bytes=secrets.token_bytes,
        )


def test_the_presentation_header_names_everything_it_is_bound_to() -> None:
    receipt = samples.receipt()
    header = presentation_header(
        receipt, customer=samples.TOKENS[0], position=7
    ).decode()
    for part in (
        '"typ":"fieldpact/presentation/1"',
        f'"issuer":"{samples.PROVIDER}"',
        f'"audience":"{samples.CONSUMER}"',
        f'"agreement":"{samples.AGREEMENT}"',
        f'"purpose":"{samples.PURPOSE}"',
        f'"nonce":"{samples.NONCE}"',
        f'"receipt":"{receipt.receipt_id}"',
        f'"customer":"{b64u(samples.TOKENS[0])}"',
        '"position":7',
    ):
        assert part in header
