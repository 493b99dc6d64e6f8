"""Answers to steps: what an asker countersigns, and what it does not."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from crypto.errors import InvalidProof, Malformed
from ledger.receipts import SignedReceipt, request_hash, sign_receipt
from ledger.step_answer import (
    AskedStep,
    StepAnswer,
    StepResponse,
    check_answer,
    check_plan,
    parse_step_answer,
    parse_step_response,
    verify_step_response,
)
from ledger.steps import State, Step, require, verdict
from tests.unit.ledger import planned, samples
from tests.unit.ledger.planned import ANSWER

PLAN = planned.signed()
ASKED = planned.asked_step(PLAN)
PAYLOAD = b"\x00 ciphertext \xff"
HEX = "ab" * 32


def told(**changes: Any) -> StepResponse:
    """An allowed step, its receipt changed as said and signed."""
    receipt = planned.step_receipt(PLAN, **changes)
    signed = sign_receipt(receipt, samples.PROVIDER_KEY)
    return StepResponse(signed=signed, members=ANSWER.members)


def refused(**changes: Any) -> StepResponse:
    """A refused step, its receipt changed as said and signed."""
    receipt = planned.step_refusal(PLAN, **changes)
    signed = sign_receipt(receipt, samples.PROVIDER_KEY)
    return StepResponse(signed=signed, members=None)


def steps(
    response: StepResponse, asked: AskedStep = ASKED, payload: bytes = PAYLOAD
) -> tuple[Step, ...]:
    """Look at an answer as the asker."""
    return verify_step_response(response, asked, samples.PROVIDER_RECORD, payload)


def failed(*of: Any) -> list[str]:
    """The names of the steps that fail."""
    return [step.name for step in steps(*of) if step.state is State.FAILED]


def test_an_honest_answer_passes_every_step() -> None:
    found = steps(told())
    assert [step.name for step in found] == ["provider_signature", "request", "answer"]
    assert verdict(found) is State.CHECKED
    require(found)


def test_a_refusal_passes_with_what_it_has_spent() -> None:
    found = steps(refused(), ASKED, b"")
    assert [step.name for step in found] == ["provider_signature", "request"]
    require(found)


def test_a_refusal_may_leave_unsaid_what_it_did_not_recognise() -> None:
    unsaid = dict.fromkeys(["consumer", "agreement", "agreement_hash", "nonce"])
    nothing = {"fields": (), "dataset": None, "purpose": None, "plan": None}
    assert failed(refused(**unsaid, **nothing, spent=0)) == []
    assert failed(refused(plan=None, step=None, spent=0)) == []


def test_an_answer_reads_back_as_it_was_sent() -> None:
    body = told().signed.to_json() | {"members": dict(ANSWER.members)}
    assert parse_step_response(json.loads(json.dumps(body))) == told()
    problem = refused().signed.to_json() | {"type": "about:blank", "status": 403}
    assert parse_step_response(problem) == refused()
    assert parse_step_answer(json.loads(json.dumps(ANSWER.to_json()))) == ANSWER


@pytest.mark.parametrize(
    "changes",
    [
        {"members": None},
        {"members": []},
        {"members": 1},
        {"receipt": None},
        {"provider_signature": "AA"},
        {"note": 1},
    ],
)
def test_an_answer_out_of_form_does_not_parse(changes: dict[str, Any]) -> None:
    body = told().signed.to_json() | {"members": dict(ANSWER.members)}
    with pytest.raises(Malformed):
        parse_step_response(body | changes)


def test_an_allowed_step_without_members_does_not_parse() -> None:
    with pytest.raises(Malformed, match="lacks members"):
        parse_step_response(told().signed.to_json())


@pytest.mark.parametrize(
    "value",
    [
        *([], 1, None, {}, {"members": {}}, {"payload": HEX}),
        {"members": {}, "payload": HEX, "note": 1},
        *({"members": {}, "payload": wrong} for wrong in (None, "", "AB" * 32, 7)),
        *({"members": wrong, "payload": HEX} for wrong in (None, [], [["a", 1]], "")),
    ],
)
def test_what_holds_no_answer_does_not_parse(value: object) -> None:
    with pytest.raises(Malformed):
        parse_step_answer(value)


@pytest.mark.parametrize(
    "lie",
    [
        {"consumer": "did:web:another"},
        {"agreement": "agreement-2"},
        {"agreement_hash": HEX},
        {"dataset": "leads"},
        {"purpose": "marketing"},
        {"nonce": "A" * 22},
        {"fields": ("region",)},
        {"plan": HEX},
        {"step": "accept"},
        {"request_hash": HEX},
        {"spent": 500_001},
    ],
)
def test_a_receipt_of_another_step_is_not_countersigned(lie: dict[str, Any]) -> None:
    assert failed(told(**lie)) == ["request"]
    assert failed(refused(**lie)) == ["request"]


def test_a_step_that_is_answered_as_a_query_is_not_countersigned() -> None:
    query = samples.receipt(request_hash=request_hash(samples.DATASET, ASKED.header))
    signed = sign_receipt(query, samples.PROVIDER_KEY)
    found = failed(StepResponse(signed=signed, members=ANSWER.members))
    assert found == ["request", "answer"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("agreement", "agreement-2"),
        ("purpose", "marketing"),
        ("step", "accept"),
        ("arguments", {"part": 1}),
        ("payload", HEX),
        ("stream", {"last": {"sequence": 0, "receipt": HEX}, "countersignatures": []}),
        ("plan", planned.signed(planned.plan(round=HEX)).to_json()),
    ],
)
def test_whatever_was_sent_is_in_the_hash_of_the_request(
    member: str, value: object
) -> None:
    sent = replace(ASKED, header=planned.header(PLAN, **{member: value}))
    assert failed(told(), sent) == ["request"]


def test_a_member_or_an_octet_that_is_changed_is_not_the_answer() -> None:
    for members in ({}, {**ANSWER.members, "cells": 7}, {**ANSWER.members, "x": None}):
        assert failed(replace(told(), members=members)) == ["answer"]
    for payload in (b"", PAYLOAD + b"\0", PAYLOAD[:-1], b"\x01" + PAYLOAD[1:]):
        assert failed(told(), ASKED, payload) == ["answer"]
    assert failed(replace(told(), members=None)) == ["answer"]
    assert failed(replace(told(), members={"x": 0.5})) == ["answer"]


def test_an_answer_is_called_by_the_hash_of_its_members_and_its_octets() -> None:
    payload = hashlib.sha256(b"a").hexdigest()
    told = b'fieldpact/step-answer/1\x00{"members":{"x":1},"payload":"%b"}'
    digest = hashlib.sha256(told % payload.encode()).hexdigest()
    assert StepAnswer.of({"x": 1}, b"a").response_hash == digest


def test_no_octet_of_an_answer_can_be_taken_for_a_member() -> None:
    one = StepAnswer.of({}, b"a")
    assert (
        one.response_hash != StepAnswer.of({"payload": one.payload}, b"").response_hash
    )


def test_a_signature_by_another_key_is_not_believed() -> None:
    forged = SignedReceipt(receipt=told().signed.receipt, signature=bytes(64))
    assert failed(replace(told(), signed=forged)) == ["provider_signature"]
    other = "did:web:another"
    stolen = told(provider=other, key_id=samples.PROVIDER_KEY.key_id(other))
    assert failed(stolen) == ["provider_signature", "request"]


def test_the_receipt_of_a_query_has_no_answer_of_a_step() -> None:
    with pytest.raises(InvalidProof):
        check_answer(samples.receipt(response_hash=ANSWER.response_hash), ANSWER)


@pytest.mark.parametrize(
    "lie",
    [
        {"consumer": "did:web:another"},
        {"agreement": "agreement-2"},
        {"agreement_hash": HEX},
        {"dataset": "leads"},
        {"purpose": "marketing"},
        {"fields": ("region",)},
        {"plan": HEX},
        {"spent": 500_001},
        {"at": "2026-11-22T17:59:59Z"},
        {"at": "2026-11-23T18:00:00Z"},
        {
            "provider": "did:web:another",
            "key_id": samples.PROVIDER_KEY.key_id("did:web:another"),
        },
    ],
)
def test_a_receipt_that_is_not_within_its_plan_is_found(lie: dict[str, Any]) -> None:
    check_plan(planned.step_receipt(PLAN), PLAN.plan)
    check_plan(planned.step_receipt(PLAN, at=PLAN.plan.created), PLAN.plan)
    with pytest.raises(InvalidProof):
        check_plan(planned.step_receipt(PLAN, **lie), PLAN.plan)


@pytest.mark.parametrize(
    "reason",
    [
        {"at": "2026-11-24T00:00:00Z"},
        {"agreement_hash": HEX},
        {"agreement": "agreement-2"},
        {"dataset": "leads"},
        {"purpose": "marketing"},
        {"fields": ()},
    ],
)
def test_a_step_may_be_refused_because_it_is_not_within_its_plan(
    reason: dict[str, Any],
) -> None:
    check_plan(planned.step_refusal(PLAN, **reason), PLAN.plan)


@pytest.mark.parametrize(
    "lie", [{"plan": HEX}, {"spent": 500_001}, {"consumer": "did:web:another"}]
)
def test_a_refusal_is_of_its_plan_and_its_asker(lie: dict[str, Any]) -> None:
    with pytest.raises(InvalidProof):
        check_plan(planned.step_refusal(PLAN, **lie), PLAN.plan)
