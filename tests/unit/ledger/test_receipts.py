"""Receipts: their form, their signatures, and the law of a stream."""

import dataclasses
import hashlib
import json

import pytest

from crypto.errors import InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from ledger import receipts
from ledger.conditions import Condition
from ledger.errors import Inconsistent
from ledger.plans import Kind
from ledger.receipts import Countersignature, parse_receipt
from tests.unit.ledger import planned, samples

SIGNED = samples.stream(1)[0]
AT_LEAST = Condition.of("at_least", ["units"], [3])


def test_a_receipt_reads_back_as_it_was_written() -> None:
    for receipt in (samples.receipt(), samples.refusal()):
        again = parse_receipt(json.loads(receipt.canonical()))
        assert again == receipt
        assert again.receipt_id == receipt.receipt_id


def test_the_id_is_the_hash_of_the_tagged_canonical_bytes() -> None:
    receipt = samples.receipt()
    written = json.dumps(receipt.to_json(), sort_keys=True, separators=(",", ":"))
    tagged = b"fieldpact/receipt/1\0" + written.encode()
    assert receipt.receipt_id == hashlib.sha256(tagged).hexdigest()


def test_every_member_is_written_even_when_unknown() -> None:
    written = samples.refusal(consumer=None, agreement=None, nonce=None).to_json()
    assert written["consumer"] is None
    assert set(written) == {
        "typ",
        *(f.name for f in dataclasses.fields(SIGNED.receipt) if f.init),
    }


def test_what_was_written_once_is_not_what_a_changed_copy_says() -> None:
    receipt = samples.receipt()
    written = receipt.canonical()
    assert receipt.canonical() is written
    other = dataclasses.replace(receipt, customers=9)
    assert other.canonical() != written
    assert dataclasses.replace(other, customers=receipt.customers) == receipt
    assert receipt == samples.receipt()
    assert "_written" not in repr(receipt)


@pytest.mark.parametrize("member", sorted(samples.receipt().to_json()))
def test_a_receipt_without_one_of_its_members_does_not_parse(member: str) -> None:
    core = samples.receipt().to_json()
    del core[member]
    with pytest.raises(Malformed, match="lacks"):
        parse_receipt(core)


@pytest.mark.parametrize("member", sorted(samples.receipt().to_json()))
@pytest.mark.parametrize("value", [1.5, [], {}, [1], True, "\n", -1, 2**53, "x" * 300])
def test_a_member_of_the_wrong_kind_does_not_parse(member: str, value: object) -> None:
    if member in {"denials", "where"} and value == []:
        return
    with pytest.raises(Malformed):
        parse_receipt(samples.receipt().to_json() | {member: value})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("typ", "fieldpact/receipt/2"),
        ("provider", "https://127.0.0.1:8101"),
        ("previous", "A" * 64),
        ("request_hash", "ab" * 31),
        ("at", "2026-11-22T18:20:00+00:00"),
        ("at", "2026-11-22T18:20:00.5Z"),
        ("at", "2026-02-30T18:20:00Z"),
        ("at", "٢026-11-22T18:20:00Z"),
        ("nonce", "c2hvcnQ"),
        ("nonce", "bm9uY2Utb2YtMTYtYnl0ZQ=="),
        ("purpose", "サービス"),
        ("fields", ["ordered_on", "order_total"]),
        ("fields", ["order_total", "order_total"]),
        ("policy", {"revision": "1", "input_hash": "1", "engine": "e"}),
        ("where", [{"fields": ["units"], "is": "at_least", "values": []}]),
        ("where", [AT_LEAST.to_json()] * 2),
        ("where", AT_LEAST.to_json()),
        ("statement", "ab" * 31),
        ("snapshot", b"ab" * 32),
        ("another", 1),
    ],
)
def test_a_value_out_of_form_does_not_parse(member: str, value: object) -> None:
    with pytest.raises(Malformed):
        parse_receipt(samples.receipt().to_json() | {member: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "ab" * 32},
        {"sequence": 1},
        {"previous": "ab" * 32},
        {"key_id": samples.CONSUMER_KEY.key_id(samples.CONSUMER)},
        {"denials": ("purpose.mismatch",)},
        {"decision": "deny"},
        {"decision": "deny", "denials": ("rate.exceeded",)},
        *({name: None} for name in ("consumer", "agreement", "agreement_hash")),
        *({name: None} for name in ("nonce", "dataset", "purpose", "response_hash")),
        *({name: None} for name in ("statement", "snapshot")),
        {"fields": ()},
        {"withheld": 1},
        {"fields": ("order_total", "units"), "where": (AT_LEAST,)},
    ],
)
def test_a_receipt_that_contradicts_itself_cannot_exist(
    changes: dict[str, object],
) -> None:
    with pytest.raises(Malformed):
        samples.receipt(**changes)


@pytest.mark.parametrize(
    "disclosed",
    [
        {"records": 1},
        {"withheld": 1, "where": (AT_LEAST,)},
        {"response_hash": "ab" * 32},
        {"statement": "ab" * 32},
        {"snapshot": "ab" * 32},
    ],
)
def test_nothing_is_disclosed_in_spite_of_a_refusal(
    disclosed: dict[str, object],
) -> None:
    with pytest.raises(Malformed, match="in spite of a refusal"):
        samples.refusal(**disclosed)


STEP = planned.step_receipt(planned.signed())


def test_the_receipt_of_a_step_reads_back_as_it_was_written() -> None:
    of = planned.signed()
    counted = planned.signed(planned.plan(Kind.INTERSECTION))
    unrecognised = planned.step_refusal(of, plan=None, spent=0, fields=())
    for receipt in (
        STEP,
        planned.step_receipt(counted),
        planned.step_refusal(of),
        unrecognised,
    ):
        assert parse_receipt(json.loads(receipt.canonical())) == receipt
    assert planned.step_receipt(counted).fields == ()


def test_a_query_has_no_plan_no_step_and_has_spent_nothing() -> None:
    written = samples.receipt().to_json()
    assert (written["plan"], written["step"], written["spent"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"plan": None, "spent": 0}, "not told in full"),
        ({"step": None}, "not told in full"),
        ({"plan": None}, "not told in full"),
        ({"response_hash": None}, "not told in full"),
        ({"purpose": None}, "not told in full"),
        ({"nonce": None}, "not told in full"),
        ({"customers": 1}, "records"),
        ({"records": 1}, "records"),
        ({"where": (AT_LEAST,)}, "records"),
        ({"where": (AT_LEAST,), "withheld": 1}, "records"),
        ({"statement": "ab" * 32}, "records"),
        ({"snapshot": "ab" * 32}, "records"),
        ({"plan": "AB" * 32}, "plan must be"),
        ({"step": ""}, "step must be"),
        ({"step": "Größe"}, "step must be"),
        ({"spent": -1}, "spent must be"),
        ({"spent": 20_000_001}, "spent must be"),
        ({"spent": True}, "spent must be"),
    ],
)
def test_the_receipt_of_a_step_that_contradicts_itself_cannot_exist(
    changes: dict[str, object], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        dataclasses.replace(STEP, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{"customers": 1}, {"where": (AT_LEAST,)}, {"plan": None}, {"step": None}],
)
def test_a_refused_step_tells_of_no_records_either(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        planned.step_refusal(planned.signed(), **changes)


@pytest.mark.parametrize(
    "changes",
    [{"spent": 1}, {"plan": "ab" * 32}, {"plan": "ab" * 32, "spent": 1}],
)
def test_a_query_is_on_no_plan(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        samples.receipt(**changes)
    with pytest.raises(Malformed):
        samples.refusal(**changes)


def test_conditions_can_be_asked_about_without_a_field_being_shown() -> None:
    receipt = samples.receipt(fields=(), where=(AT_LEAST,), withheld=2)
    assert parse_receipt(json.loads(receipt.canonical())) == receipt
    refusal = samples.refusal(fields=(), where=(AT_LEAST,))
    assert parse_receipt(json.loads(refusal.canonical())) == refusal


def test_a_refusal_of_somebody_unknown_gets_a_receipt_too() -> None:
    unknown = dict.fromkeys(["consumer", "agreement", "agreement_hash", "nonce"])
    receipt = samples.refusal(**unknown, dataset=None, purpose=None, fields=())
    receipts.verify_receipt(
        receipts.sign_receipt(receipt, samples.PROVIDER_KEY), samples.PROVIDER_RECORD
    )


def test_a_signature_holds_for_its_own_receipt_only() -> None:
    receipts.verify_receipt(SIGNED, samples.PROVIDER_RECORD)
    other = dataclasses.replace(SIGNED, receipt=samples.receipt(records=4))
    with pytest.raises(InvalidSignature):
        receipts.verify_receipt(other, samples.PROVIDER_RECORD)


def test_another_key_than_the_pinned_one_is_refused() -> None:
    other = Ed25519Key.from_bytes(samples.seed("other"))
    receipt = samples.receipt(key_id=other.key_id(samples.PROVIDER))
    signed = receipts.sign_receipt(receipt, other)
    with pytest.raises(InvalidSignature, match="not pinned"):
        receipts.verify_receipt(signed, samples.PROVIDER_RECORD)
    with pytest.raises(ValueError, match="another key"):
        receipts.sign_receipt(samples.receipt(), other)


def test_a_countersignature_covers_the_receipt_and_its_signature() -> None:
    countersignature = receipts.countersign(SIGNED, samples.CONSUMER_KEY)
    receipts.verify_countersignature(SIGNED, countersignature, samples.CONSUMER_RECORD)
    altered = bytes([SIGNED.signature[0] ^ 1]) + SIGNED.signature[1:]
    for other in (
        dataclasses.replace(SIGNED, receipt=samples.receipt(records=4)),
        dataclasses.replace(SIGNED, signature=altered),
    ):
        with pytest.raises(InvalidSignature):
            receipts.verify_countersignature(
                other, countersignature, samples.CONSUMER_RECORD
            )


def test_a_countersignature_under_another_key_id_is_refused() -> None:
    back = receipts.countersign(SIGNED, samples.CONSUMER_KEY)
    for key_id in ("", samples.CONSUMER_KEY.key_id(samples.PROVIDER)):
        with pytest.raises(InvalidSignature, match="not pinned"):
            receipts.verify_countersignature(
                SIGNED,
                dataclasses.replace(back, key_id=key_id),
                samples.CONSUMER_RECORD,
            )


def test_a_provider_cannot_pass_its_own_signature_off_as_a_countersignature() -> None:
    own = Countersignature(
        key_id=samples.CONSUMER_KEY.key_id(samples.CONSUMER), signature=SIGNED.signature
    )
    with pytest.raises(InvalidSignature):
        receipts.verify_countersignature(SIGNED, own, samples.CONSUMER_RECORD)


def test_nobody_countersigns_a_receipt_that_names_no_consumer() -> None:
    receipt = samples.refusal(consumer=None)
    signed = receipts.sign_receipt(receipt, samples.PROVIDER_KEY)
    with pytest.raises(ValueError, match="no consumer"):
        receipts.countersign(signed, samples.CONSUMER_KEY)
    countersignature = receipts.countersign(SIGNED, samples.CONSUMER_KEY)
    with pytest.raises(InvalidSignature):
        receipts.verify_countersignature(
            signed, countersignature, samples.CONSUMER_RECORD
        )


def test_a_signed_receipt_reads_back_from_the_message_that_carries_it() -> None:
    message = SIGNED.to_json() | {"header": "else"}
    assert receipts.parse_signed_receipt(message) == SIGNED
    with pytest.raises(Malformed):
        receipts.parse_signed_receipt({"receipt": message["receipt"]})


def test_the_stream_of_three_parties_is_not_that_of_others() -> None:
    one = {"provider": "did:web:a", "consumer": "did:web:b", "agreement": "c"}
    ids = {
        receipts.stream_id(**(one | change))
        for change in ({}, {"agreement": None}, {"consumer": None}, {"agreement": "d"})
    }
    assert len(ids) == 4


def test_a_stream_without_gaps_follows_its_law() -> None:
    signed = samples.stream(3)
    previous = None
    for entry in signed:
        receipts.check_successor(previous, entry.receipt)
        previous = entry.receipt


def test_a_gap_an_edit_a_repetition_and_a_swap_break_the_law() -> None:
    first, second, third = (entry.receipt for entry in samples.stream(3))
    edited = samples.receipt(records=9)
    elsewhere = samples.receipt(agreement="agreement-2")
    for previous, following in [
        (None, second),
        (first, third),
        (first, first),
        (third, second),
        (edited, second),
        (elsewhere, second),
    ]:
        with pytest.raises(Inconsistent):
            receipts.check_successor(previous, following)


def test_a_request_hash_is_bound_to_dataset_and_body() -> None:
    body = {"agreement": "a", "fields": ["x"]}
    assert receipts.request_hash("orders", body) != receipts.request_hash("leads", body)
    assert receipts.request_hash("orders", body) != receipts.request_hash(
        "orders", body | {"fields": ["y"]}
    )
