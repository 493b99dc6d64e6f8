"""Live answers: what a consumer countersigns, and what it does not."""

import json
from dataclasses import replace
from typing import Any

import pytest

from crypto.errors import Invalid, InvalidProof, Malformed
from ledger.disclosure import (
    Disclosure,
    ShownRecord,
    parse_disclosure,
    verify_disclosure,
)
from ledger.receipts import SignedReceipt, request_hash, sign_receipt
from ledger.response import Asked, Response, parse_response, verify_response
from ledger.steps import State, require, verdict
from tests.unit.ledger import samples

SIGNED, DISCLOSURE = samples.answer()
ANSWERED = Response(signed=SIGNED, disclosure=DISCLOSURE)
ASKED = Asked(
    consumer=samples.CONSUMER,
    dataset=samples.DATASET,
    nonce=samples.NONCE,
    agreement_hash=samples.seed("agreement").hex(),
    body=samples.BODY,
)
ASKED_HASH = request_hash(samples.DATASET, samples.BODY)


def failed(response: Response, asked: Asked = ASKED) -> list[str]:
    """The names of the steps that fail."""
    steps = verify_response(response, asked, samples.PROVIDER_RECORD)
    return [step.name for step in steps if step.state is State.FAILED]


def refused(**changes: object) -> Response:
    """A refusal of the call, signed."""
    facts = {"request_hash": ASKED_HASH, "customers": 3} | changes
    receipt = samples.refusal(**facts)
    signed = sign_receipt(receipt, samples.PROVIDER_KEY)
    return Response(signed=signed, disclosure=None)


def told(**changes: Any) -> Response:
    """The answer with another disclosure, and a receipt that goes along with it."""
    disclosure = replace(DISCLOSURE, **changes)
    facts = {"response_hash": disclosure.response_hash, "request_hash": ASKED_HASH}
    counts = {"customers": len(disclosure.answers), "records": disclosure.records}
    receipt = samples.receipt(**(facts | counts))
    signed = sign_receipt(receipt, samples.PROVIDER_KEY)
    return Response(signed=signed, disclosure=disclosure)


def test_an_honest_answer_passes_every_step() -> None:
    steps = verify_response(ANSWERED, ASKED, samples.PROVIDER_RECORD)
    assert [step.name for step in steps] == [
        "provider_signature",
        "request",
        "disclosure",
    ]
    assert verdict(steps) is State.CHECKED
    require(steps)


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
    assert failed(refused(**unsaid, dataset=None, purpose=None, fields=())) == []


@pytest.mark.parametrize(
    "lie",
    [
        {"consumer": "did:web:another"},
        {"purpose": "marketing"},
        {"fields": ("order_total",)},
        {"customers": 2},
        {"request_hash": "ab" * 32},
        {"agreement": "agreement-2"},
        {"agreement_hash": "ab" * 32},
        {"nonce": "A" * 22},
        {"dataset": "leads"},
    ],
)
def test_a_receipt_of_another_call_is_not_countersigned(lie: dict[str, object]) -> None:
    assert failed(refused(**lie)) == ["request"]


def test_a_provider_cannot_answer_in_anothers_name() -> None:
    other = "did:web:another"
    key_id = samples.PROVIDER_KEY.key_id(other)
    assert failed(refused(provider=other, key_id=key_id)) == ["request"]


def test_a_signature_by_another_key_is_not_believed() -> None:
    forged = SignedReceipt(receipt=SIGNED.receipt, signature=bytes(64))
    assert failed(replace(ANSWERED, signed=forged)) == ["provider_signature"]


def test_values_other_than_the_receipts_are_caught() -> None:
    shown = DISCLOSURE.answers[0].records
    assert shown is not None
    cheaper = replace(shown[0], fields=dict(shown[0].fields) | {"order_total": "1.00"})
    altered = samples.answers([cheaper, shown[1]])
    swapped = replace(DISCLOSURE, answers=altered)
    assert failed(replace(ANSWERED, disclosure=swapped)) == ["disclosure"]
    # Even when the receipt goes along with the lie, the presentation does not.
    assert failed(told(answers=altered)) == ["disclosure"]


def test_records_in_another_order_are_caught() -> None:
    shown = DISCLOSURE.answers[0].records
    assert shown is not None
    assert failed(told(answers=samples.answers(shown[::-1]))) == ["disclosure"]


def test_more_or_fewer_fields_than_the_receipt_says_are_caught() -> None:
    for fields in ({"order_total": "12.50"}, samples.RECORDS[0]):
        shown = [ShownRecord(fields=fields)]
        assert failed(told(answers=samples.answers(shown))) == ["disclosure"]


def test_other_customers_than_the_ones_asked_for_are_caught() -> None:
    first, second, third = DISCLOSURE.answers
    for answers in [(second, first, third), (first, second, second), (first, second)]:
        assert "disclosure" in failed(told(answers=answers))


def test_a_header_of_somebody_else_is_caught() -> None:
    for change in (
        {"issuer": "did:web:another"},
        {"dataset": "leads"},
        {"key_id": "x"},
    ):
        header = replace(samples.HEADER, **change).to_bytes()
        assert failed(told(header=header)) == ["disclosure"]
    assert failed(told(header=b"{}")) == ["disclosure"]


@pytest.mark.parametrize(
    "lie",
    [
        {"header": replace(samples.HEADER, issuer="did:web:another")},
        {"header": replace(samples.HEADER, dataset="leads")},
        {"header": replace(samples.HEADER, key_id="another")},
        {"header": replace(samples.HEADER, schema_hash="ab" * 32)},
        {"names": ("order_total", "ordered_on", "units")},
        {"names": ("order_total",)},
        {"response_hash": "ab" * 32},
        {"records": 1},
    ],
)
def test_a_lie_that_every_proof_goes_along_with_is_caught(lie: dict[str, Any]) -> None:
    signed, disclosure = samples.answer(**lie)
    assert failed(Response(signed=signed, disclosure=disclosure)) == ["disclosure"]


def test_an_answer_for_customers_nobody_asked_for_is_caught() -> None:
    asked = replace(
        ASKED, body=samples.BODY | {"customers": samples.BODY["customers"][::-1]}
    )
    signed, disclosure = samples.answer(
        request_hash=request_hash(samples.DATASET, asked.body)
    )
    response = Response(signed=signed, disclosure=disclosure)
    assert failed(response, asked) == ["disclosure"]


def test_a_receipt_with_another_number_of_customers_does_not_fit_the_answer() -> None:
    signed, disclosure = samples.answer(customers=2)
    with pytest.raises(InvalidProof, match="as many customers"):
        verify_disclosure(disclosure, signed.receipt, samples.PROVIDER_RECORD)


def test_a_schema_that_is_not_the_signed_one_is_caught() -> None:
    first, *rest = samples.SCHEMA
    assert failed(told(schema=(replace(first, unit="USD"), *rest))) == ["disclosure"]


def test_an_answer_without_a_disclosure_is_not_an_answer() -> None:
    assert failed(Response(signed=SIGNED, disclosure=None)) == ["disclosure"]
    with pytest.raises(Malformed):
        parse_response(SIGNED.to_json())


def test_what_fails_is_named_by_require() -> None:
    steps = verify_response(refused(purpose="x"), ASKED, samples.PROVIDER_RECORD)
    with pytest.raises(Invalid, match=r"request: .*purpose"):
        require(steps)


def test_the_response_hash_covers_values_and_header_but_no_proofs() -> None:
    bare = [
        replace(record, presentation=b"")
        for record in DISCLOSURE.answers[0].records or ()
    ]
    unproved = replace(DISCLOSURE, answers=samples.answers(bare))
    assert unproved.response_hash == DISCLOSURE.response_hash
    others: list[Disclosure] = [
        replace(DISCLOSURE, header=b"another"),
        replace(DISCLOSURE, answers=DISCLOSURE.answers[:2]),
        replace(DISCLOSURE, answers=samples.answers(bare[:1])),
    ]
    assert len({other.response_hash for other in [DISCLOSURE, *others]}) == 4


@pytest.mark.parametrize(
    "answer",
    [
        {"customer": "AA", "status": "not_shared"},
        {"status": "not_shared"},
        {"status": "unknown"},
        {"status": "disclosed"},
        {"status": "not_shared", "records": []},
        {"status": "disclosed", "records": [{"fields": {}}]},
        {"status": "disclosed", "records": [{"fields": [], "presentation": ""}]},
        {"status": "disclosed", "records": [{"fields": {"a": []}, "presentation": ""}]},
        {
            "status": "disclosed",
            "records": [{"fields": {"a": 1.5}, "presentation": ""}],
        },
        {"status": "disclosed", "records": [{"fields": {}, "presentation": "?"}]},
        [],
    ],
)
def test_an_answer_out_of_form_does_not_parse(answer: Any) -> None:
    if isinstance(answer, dict) and answer != {"status": "not_shared"}:
        answer = {"customer": samples.BODY["customers"][0]} | answer
    with pytest.raises(Malformed):
        parse_disclosure(DISCLOSURE.to_json() | {"disclosures": [answer]})
