"""Live answers: what a consumer countersigns, and what it does not."""

import json
import secrets
from dataclasses import replace
from typing import Any

import pytest

from crypto.errors import Invalid, Malformed
from crypto.typed import Field, Kind
from ledger.conditions import Condition
from ledger.receipts import SignedReceipt, request_hash, sign_receipt
from ledger.response import Asked, Response, parse_response, verify_response
from ledger.snapshots import declaration_hash
from ledger.steps import State, Step, require, verdict
from tests.unit.ledger import samples, world

WHERE = (world.AT_LEAST_THREE,)
SIGNED, DISCLOSURE = world.answer(where=WHERE)
ANSWERED = Response(signed=SIGNED, disclosure=DISCLOSURE)
ASKED = Asked(
    consumer=samples.CONSUMER,
    dataset=samples.DATASET,
    nonce=samples.NONCE,
    agreement_hash=samples.seed("agreement").hex(),
    body=world.body(where=WHERE),
)


def steps(response: Response, asked: Asked = ASKED, **known: Any) -> tuple[Step, ...]:
    """Look at an answer as the consumer that asked."""
    rest = {"rank": world.rank, "random_bytes": secrets.token_bytes}
    return verify_response(response, asked, samples.PROVIDER_RECORD, **(rest | known))


def failed(response: Response, asked: Asked = ASKED, **known: Any) -> list[str]:
    """The names of the steps that fail."""
    found = steps(response, asked, **known)
    return [step.name for step in found if step.state is State.FAILED]


def refused(**changes: Any) -> Response:
    """A refusal of the call, signed."""
    hashed = request_hash(samples.DATASET, ASKED.body)
    facts = {"request_hash": hashed, "customers": 3, "where": WHERE} | changes
    signed = sign_receipt(samples.refusal(**facts), samples.PROVIDER_KEY)
    return Response(signed=signed, disclosure=None)


def told(**changes: Any) -> Response:
    """The answer with another disclosure, and a receipt that goes along with it."""
    disclosure = replace(DISCLOSURE, **changes)
    signed = world.sign_answer(
        disclosure, where=WHERE, request_hash=SIGNED.receipt.request_hash
    )
    return Response(signed=signed, disclosure=disclosure)


def test_an_honest_answer_passes_every_step() -> None:
    found = steps(ANSWERED, declaration=declaration_hash(world.declared()))
    assert [step.name for step in found] == [
        "provider_signature",
        "request",
        "disclosure",
    ]
    assert verdict(found) is State.CHECKED
    require(found)


def test_an_answer_reads_back_as_it_was_sent() -> None:
    body = json.loads(json.dumps(SIGNED.to_json() | DISCLOSURE.to_json()))
    assert parse_response(body) == ANSWERED


def test_a_refusal_in_a_problem_document_passes_too() -> None:
    response = refused()
    problem = response.signed.to_json() | {"type": "about:blank", "status": 403}
    assert parse_response(problem) == response
    assert failed(response) == []


def test_a_refusal_may_leave_unsaid_what_it_did_not_recognise() -> None:
    unsaid = dict.fromkeys(["consumer", "agreement", "agreement_hash", "nonce"])
    nothing = {"fields": (), "where": (), "dataset": None, "purpose": None}
    assert failed(refused(**unsaid, **nothing)) == []


@pytest.mark.parametrize(
    "lie",
    [
        {"consumer": "did:web:another"},
        {"purpose": "marketing"},
        {"fields": ("order_total",)},
        {"where": (Condition.of("at_least", ["units"], [2]),)},
        {"customers": 2},
        {"request_hash": "ab" * 32},
        {"agreement": "agreement-2"},
        {"agreement_hash": "ab" * 32},
        {"nonce": "A" * 22},
        {"dataset": "leads"},
    ],
)
def test_a_receipt_of_another_call_is_not_countersigned(lie: dict[str, Any]) -> None:
    assert failed(refused(**lie)) == ["request"]


@pytest.mark.parametrize(
    "where",
    [
        (),
        (Condition.of("at_least", ["units"], [2]),),
        (*WHERE, Condition.of("at_most", ["units"], [50])),
    ],
)
def test_conditions_other_than_those_asked_about_are_caught(
    where: tuple[Condition, ...],
) -> None:
    signed, disclosure = world.answer(
        where=where, request_hash=SIGNED.receipt.request_hash
    )
    response = Response(signed=signed, disclosure=disclosure)
    assert failed(response) == ["request"]


def test_a_provider_cannot_answer_in_anothers_name() -> None:
    other = "did:web:another"
    key_id = samples.PROVIDER_KEY.key_id(other)
    found = failed(refused(provider=other, key_id=key_id))
    assert found == ["provider_signature", "request"]


def test_a_signature_by_another_key_is_not_believed() -> None:
    forged = SignedReceipt(receipt=SIGNED.receipt, signature=bytes(64))
    assert failed(replace(ANSWERED, signed=forged)) == ["provider_signature"]


def test_an_answer_for_other_customers_than_those_asked_for_is_caught() -> None:
    first, second, third = DISCLOSURE.answers
    for answers in [
        (second, first, third),
        (first, second, second),
        (first, second),
        (),
    ]:
        assert "disclosure" in failed(told(answers=answers))


def test_a_customer_is_where_the_consumer_knows_it_must_be() -> None:
    for rank in (lambda _: 0, lambda _: None):
        assert failed(ANSWERED, rank=rank) == ["disclosure"]
    assert failed(ANSWERED, rank=None) == []


def test_a_snapshot_of_another_declaration_is_caught() -> None:
    assert failed(ANSWERED, declaration="ab" * 32) == ["disclosure"]


def test_a_bound_is_met_in_the_unit_that_was_agreed_on() -> None:
    units = Field(name="units", kind=Kind.INTEGER, unit="pcs")
    assert failed(ANSWERED, agreed={"units": units}) == []
    boxes = replace(units, unit="boxes")
    assert failed(ANSWERED, agreed={"units": boxes}) == ["disclosure"]


def test_an_answer_without_a_disclosure_is_not_an_answer() -> None:
    assert failed(Response(signed=SIGNED, disclosure=None)) == ["disclosure"]
    with pytest.raises(Malformed):
        parse_response(SIGNED.to_json())
    with pytest.raises(Malformed):
        parse_response(SIGNED.to_json() | DISCLOSURE.to_json() | {"more": 1})


def test_what_fails_is_named_by_require() -> None:
    with pytest.raises(Invalid, match=r"request: .*purpose"):
        require(steps(refused(purpose="x")))


def test_a_failure_names_the_customer_and_the_record() -> None:
    one, *rest = DISCLOSURE.answers
    assert one.records
    first, second = one.records
    empty = replace(first, presentation=bytes(len(first.presentation)))
    altered = replace(one, records=(empty, second))
    response = replace(
        ANSWERED, disclosure=replace(DISCLOSURE, answers=(altered, *rest))
    )
    for random_bytes in (secrets.token_bytes, None):
        found = steps(response, random_bytes=random_bytes)
        assert "customer 1, record 1: " in found[-1].detail
