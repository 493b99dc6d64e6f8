"""Evidence: its form, its steps one by one, and what nobody looked at."""

import json
import secrets
from dataclasses import replace
from typing import Any

import pytest

from crypto.errors import Malformed
from ledger import evidence as files
from ledger.evidence import Evidence, Place, parse_evidence
from ledger.memory import MemoryLog
from ledger.participants import parse_participant, pins_of
from ledger.ports import ChainReader
from ledger.receipts import sign_receipt
from ledger.steps import State, Step, verdict
from ledger.verify import verify_evidence
from ledger.wording import WORDS
from tests.unit.ledger import planned, samples, world

FULL, CHAIN = world.story()
NAMES = [
    *("receipt", "provider_signature", "countersignature", "inclusion"),
    *("checkpoint", "consistency", "anchor", "chain"),
    *("disclosure", "snapshot", "openings"),
]
OPTIONAL = ("request_signature", "witnesses", "keys", "plan", "answer")
BUNDLED = ("manifest", "complete")
ANSWERED = ("request", "stream")
FAULTS = (
    *("equivocation", "equivocation_notes"),
    *("fork", "fork_receipts", "fork_heads"),
)
assert FULL.inclusion
assert FULL.anchor
assert FULL.disclosure
assert FULL.snapshot_place
assert FULL.snapshot_place.anchor


TOLD = ("disclosure", "snapshot_place", "openings")
UNASKED = {"chain": "not_checked", "snapshot": "not_checked"}


def states(steps: tuple[Step, ...]) -> dict[str, str]:
    """State by step, those that are `checked` left out."""
    return {s.name: s.state.value for s in steps if s.state is not State.CHECKED}


def check(evidence: Evidence) -> dict[str, str]:
    """What is not `checked` about evidence, with every pin and the chain."""
    return states(verify_evidence(evidence, samples.PINS, CHAIN))


def test_full_evidence_is_checked_in_every_step() -> None:
    steps = verify_evidence(FULL, samples.PINS, CHAIN)
    assert [step.name for step in steps] == NAMES
    assert verdict(steps) is State.CHECKED
    assert verify_evidence(FULL.render(), samples.PINS, CHAIN) == steps


def test_evidence_reads_back_as_it_was_written() -> None:
    for evidence in (
        FULL,
        replace(FULL, anchor=None, countersignature=None, openings=()),
        replace(FULL, snapshot_place=None),
        replace(FULL, disclosure=None, snapshot_place=None, openings=()),
        replace(FULL, anchor=None, inclusion=None),
    ):
        assert parse_evidence(evidence.render()) == evidence
        assert files.evidence_of(evidence.to_json()) == evidence


def test_every_step_speaks_both_languages() -> None:
    for step in verify_evidence(FULL, samples.PINS):
        assert step.words["en"]
        assert not step.words["zh"].isascii()
        assert set(step.to_json()) == {"name", "state", "detail", "en", "zh"}


def test_every_outcome_has_a_step_that_can_have_it() -> None:
    named = {key.partition(".")[0] for key in WORDS}
    assert named == {*NAMES, *OPTIONAL, *BUNDLED, *ANSWERED, *FAULTS}


STEP, STEP_CHAIN = planned.story()
STEPS = [*NAMES[:8], "plan", "answer"]


def step_states(evidence: Evidence, **known: Any) -> dict[str, str]:
    """What is not `checked` about evidence of a step, with every pin and the chain."""
    facts: dict[str, Any] = {"pins": samples.PINS, "chain": STEP_CHAIN} | known
    return states(verify_evidence(evidence, **facts))


def signed_otherwise(**changes: Any) -> Evidence:
    """Evidence whose receipt says something else, signed by both all the same."""
    receipt = planned.step_receipt(planned.signed(), **changes)
    return planned.story(receipt)[0]


def test_evidence_of_a_step_is_checked_in_every_step() -> None:
    steps = verify_evidence(STEP, samples.PINS, STEP_CHAIN)
    assert [step.name for step in steps] == STEPS
    assert verdict(steps) is State.CHECKED
    assert verify_evidence(STEP.render(), samples.PINS, STEP_CHAIN) == steps
    for evidence in (STEP, replace(STEP, plan=None), replace(STEP, answer=None)):
        assert parse_evidence(evidence.render()) == evidence


def test_without_the_answer_of_a_step_it_is_said_that_none_was_compared() -> None:
    steps = verify_evidence(replace(STEP, answer=None, plan=None), samples.PINS)
    assert [step.name for step in steps] == [*NAMES[:8], "answer"]
    assert steps[-1].outcome == "sealed"
    assert "not compared" in steps[-1].words["en"]
    assert steps[-1].detail == STEP.signed.receipt.response_hash


def test_a_refused_step_has_no_answer() -> None:
    refusal = planned.step_refusal(planned.signed())
    evidence = replace(planned.story(refusal)[0], answer=None)
    steps = verify_evidence(evidence, samples.PINS)
    assert [step.name for step in steps] == [*NAMES[:8], "plan"]
    assert steps[-1].state is State.CHECKED


def test_an_answer_that_is_another_one_is_found() -> None:
    own = planned.ANSWER
    for other in (replace(own, members={}), replace(own, payload="ab" * 32)):
        assert step_states(replace(STEP, answer=other)) == {"answer": "failed"}


def test_a_plan_that_is_another_one_is_found() -> None:
    other = planned.signed(planned.plan(round="ab" * 32))
    assert step_states(replace(STEP, plan=other)) == {"plan": "failed"}
    unsigned = replace(planned.signed(), signature=bytes(64))
    assert step_states(replace(STEP, plan=unsigned)) == {"plan": "failed"}


@pytest.mark.parametrize(
    "lie", [{"fields": ("region",)}, {"spent": 500_001}, {"purpose": "marketing"}]
)
def test_a_receipt_that_is_not_within_its_plan_is_found(lie: dict[str, Any]) -> None:
    steps = verify_evidence(signed_otherwise(**lie), samples.PINS)
    assert states(steps) == {"plan": "failed", "chain": "not_checked"}


def test_a_plan_of_a_consumer_that_is_not_pinned_is_not_checked() -> None:
    only = {samples.PROVIDER: samples.PROVIDER_RECORD}
    found = step_states(STEP, pins=only)
    assert found == {"countersignature": "not_checked", "plan": "not_checked"}
    found = step_states(STEP, pins=only, trust_embedded=True)
    assert found == {"countersignature": "not_checked", "plan": "not_checked"}
    embedded = verify_evidence(STEP, only, STEP_CHAIN, trust_embedded=True)
    assert embedded[8].outcome == "embedded"


@pytest.mark.parametrize("member", ["plan", "answer"])
def test_evidence_of_a_query_holds_no_plan_and_no_answer_of_a_step(
    member: str,
) -> None:
    told = FULL.to_json() | {member: STEP.to_json()[member]}
    with pytest.raises(Malformed, match="plan"):
        files.evidence_of(told)


def test_evidence_of_a_refused_step_holds_no_answer() -> None:
    refusal = planned.step_refusal(planned.signed())
    with pytest.raises(Malformed, match="answer"):
        files.evidence_of(planned.story(refusal)[0].to_json())


@pytest.mark.parametrize("value", [None, [], {}, {"members": {}, "payload": "AA"}])
@pytest.mark.parametrize("member", ["plan", "answer"])
def test_a_plan_or_an_answer_out_of_form_does_not_parse(
    member: str, value: object
) -> None:
    with pytest.raises(Malformed):
        files.evidence_of(STEP.to_json() | {member: value})


def test_what_does_not_exist_yet_is_pending() -> None:
    young = replace(FULL, countersignature=None, anchor=None)
    waiting = {"consistency": "pending", "anchor": "pending", "chain": "pending"}
    assert check(young) == {"countersignature": "pending"} | waiting
    newborn = replace(young, inclusion=None)
    earlier = {"inclusion": "pending", "checkpoint": "pending"}
    assert check(newborn) == {"countersignature": "pending"} | earlier | waiting
    assert verdict(verify_evidence(young, samples.PINS, CHAIN)) is State.PENDING


def test_a_chain_that_nobody_asked_is_not_checked() -> None:
    steps = verify_evidence(FULL, samples.PINS)
    assert states(steps) == UNASKED
    assert verdict(steps) is State.NOT_CHECKED
    assert "not checked" in steps[7].words["en"]


def test_a_chain_that_does_not_answer_accuses_nobody() -> None:
    silent = replace(CHAIN, answers=False)
    steps = verify_evidence(FULL, samples.PINS, silent)
    assert states(steps) == UNASKED


def test_another_chain_or_contract_than_the_one_asked_is_not_checked() -> None:
    for other in (
        replace(CHAIN, chain_id=1),
        replace(CHAIN, contract="0x" + "dd" * 20),
    ):
        steps = verify_evidence(FULL, samples.PINS, other)
        assert states(steps) == UNASKED


def test_a_chain_that_holds_nothing_or_something_else_is_a_failure() -> None:
    empty = samples.chain()
    wrong = {"chain": "failed", "snapshot": "failed"}
    assert states(verify_evidence(FULL, samples.PINS, empty)) == wrong
    empty.anchor(epoch=1, commitment=samples.seed("else"))
    assert states(verify_evidence(FULL, samples.PINS, empty)) == wrong


def test_a_commitment_to_something_else_is_a_failure() -> None:
    assert FULL.anchor
    for anchor in (
        replace(FULL.anchor, commitment=bytes(32)),
        replace(FULL.anchor, salt=bytes(32)),
    ):
        assert check(replace(FULL, anchor=anchor))["anchor"] == "failed"


def test_an_anchor_by_another_account_is_a_failure_with_or_without_a_chain() -> None:
    assert FULL.anchor
    CHAIN.as_member("0x" + "ee" * 20).anchor(epoch=1, commitment=FULL.anchor.commitment)
    foreign = replace(FULL, anchor=replace(FULL.anchor, member="0x" + "ee" * 20))
    assert check(foreign) == {"chain": "failed"}
    offline = states(verify_evidence(foreign, samples.PINS))
    assert offline == {"chain": "failed", "snapshot": "not_checked"}


def test_without_pins_nothing_signed_is_checked() -> None:
    steps = verify_evidence(FULL, {}, CHAIN)
    signed = ["provider_signature", "countersignature", "checkpoint", "consistency"]
    rest = ["inclusion", "anchor", "chain", "disclosure", "snapshot"]
    assert states(steps) == dict.fromkeys([*signed, *rest], "not_checked")


def test_keys_from_the_file_are_used_only_when_asked_and_said_to_be_so() -> None:
    steps = verify_evidence(FULL, {}, CHAIN, trust_embedded=True)
    said = {"provider_signature": "not_checked", "countersignature": "not_checked"}
    assert states(steps) == said
    assert "only the file itself says" in steps[1].words["en"]


def test_a_pin_beats_what_the_file_says() -> None:
    impostor = replace(
        samples.participant(samples.PROVIDER, samples.CONSUMER_KEY),
        chain_address=samples.PROVIDER_RECORD.chain_address,
    )
    pins = samples.PINS | {samples.PROVIDER: impostor}
    steps = verify_evidence(FULL, pins, CHAIN, trust_embedded=True)
    signed = ["provider_signature", "checkpoint", "consistency"]
    rest = ["disclosure", "snapshot"]
    assert states(steps) == dict.fromkeys([*signed, *rest], "failed")


def test_evidence_for_another_receipt_than_the_one_asked_for_fails() -> None:
    for wanted, outcome in [
        (FULL.signed.receipt.receipt_id, {}),
        ("ab" * 32, {"receipt": "failed"}),
    ]:
        steps = verify_evidence(FULL, samples.PINS, CHAIN, receipt_id=wanted)
        assert states(steps) == outcome


def test_a_file_that_does_not_parse_has_one_step() -> None:
    for data in (b"", b"{}", b"[]", b"\xff", b'{"typ":"fieldpact/evidence/1"}'):
        [step] = verify_evidence(data, samples.PINS, CHAIN)
        assert (step.name, step.state) == ("receipt", State.FAILED)


def test_nobody_needs_to_countersign_a_refusal_of_somebody_unknown() -> None:
    receipt = samples.refusal(consumer=None)
    signed = sign_receipt(receipt, samples.PROVIDER_KEY)
    unknown = Evidence(signed=signed, salt=bytes(32), participants=())
    assert "countersignature" not in check(unknown)
    back = replace(unknown, countersignature=FULL.countersignature)
    assert check(back)["countersignature"] == "failed"


def test_a_disclosure_beside_a_refusal_fails() -> None:
    signed = sign_receipt(samples.refusal(), samples.PROVIDER_KEY)
    told = Evidence(
        signed=signed, salt=bytes(32), participants=(), disclosure=FULL.disclosure
    )
    assert check(told)["disclosure"] == "failed"


def test_the_anchored_checkpoint_itself_may_hold_the_receipt() -> None:
    kept = MemoryLog(samples.PROVIDER_RECORD, samples.PROVIDER_KEY)
    fresh = samples.chain()
    kept.sequence(FULL.signed, salt=bytes(32))
    kept.integrate()
    kept.publish()
    kept.anchor(fresh, salt=bytes(32))
    steps = verify_evidence(kept.evidence(0), samples.PINS, fresh)
    assert states(steps) == {"countersignature": "pending"}


def snapshot_step(place: Place | None, chain: ChainReader | None = CHAIN) -> Step:
    """The step of the snapshot, where the file says that it stands there."""
    evidence = replace(FULL, snapshot_place=place)
    steps = verify_evidence(evidence, samples.PINS, chain)
    [found] = [step for step in steps if step.name == "snapshot"]
    return found


def test_a_snapshot_is_said_to_be_anchored_and_since_when() -> None:
    step = snapshot_step(FULL.snapshot_place)
    assert step.state is State.CHECKED
    assert step.detail == "epoch 1 2027-01-15T08:00:01Z"


def test_a_snapshot_that_is_not_anchored_yet_is_pending() -> None:
    assert FULL.snapshot_place
    for place in (
        Place(salt=FULL.snapshot_place.salt),
        replace(FULL.snapshot_place, anchor=None),
    ):
        assert snapshot_step(place).state is State.PENDING


def test_a_file_may_leave_untold_where_the_snapshot_stands() -> None:
    step = snapshot_step(None)
    assert step.state is State.NOT_CHECKED
    assert "does not say" in step.words["en"]


def test_a_snapshot_that_is_not_where_it_is_said_to_be_fails() -> None:
    place = FULL.snapshot_place
    assert place
    assert place.inclusion
    assert place.anchor
    for other in (
        FULL.place,
        replace(place, salt=bytes(32)),
        replace(place, inclusion=replace(place.inclusion, index=1)),
        replace(place, anchor=replace(place.anchor, salt=bytes(32))),
        replace(place, anchor=replace(place.anchor, consistency=())),
        replace(place, anchor=replace(place.anchor, epoch=2)),
    ):
        assert snapshot_step(other).state is State.FAILED


def test_a_customer_that_a_token_does_not_mean_is_caught() -> None:
    [opened] = FULL.openings
    for wrong in (
        replace(opened, identifier="LEI-B"),
        replace(opened, opening=bytes(32)),
        replace(opened, customer=world.TOKENS[1]),
        world.opening("LEI-E"),
    ):
        assert check(replace(FULL, openings=(wrong,))) == {"openings": "failed"}
    assert check(replace(FULL, openings=(opened, opened))) == {"openings": "failed"}
    both = (opened, world.opening("LEI-C"))
    assert check(replace(FULL, openings=both)) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"openings": []},
        {"openings": None},
        {"openings": [{}]},
        {"openings": [FULL.openings[0].to_json() | {"opening": "AA"}]},
        {"openings": [FULL.openings[0].to_json() | {"more": 1}]},
        {"snapshot_place": None},
        {"snapshot_place": {}},
        {"snapshot_place": FULL.snapshot_place.to_json() | {"more": 1}},
        {"snapshot_place": FULL.snapshot_place.to_json() | {"index": None}},
        {
            "snapshot_place": FULL.snapshot_place.to_json()
            | dict.fromkeys(["index", "inclusion", "checkpoint"])
        },
    ],
)
def test_what_is_told_of_a_disclosure_is_in_form(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        files.evidence_of(FULL.to_json() | change)


@pytest.mark.parametrize("member", ["snapshot_place", "openings"])
def test_nothing_is_told_of_a_disclosure_that_is_not_there(member: str) -> None:
    written = FULL.to_json()
    bare = {name: written[name] for name in written if name not in TOLD}
    files.evidence_of(bare)
    with pytest.raises(Malformed, match="holds none"):
        files.evidence_of(bare | {member: written[member]})


def test_a_place_reads_back_as_it_was_written() -> None:
    for place in (FULL.place, FULL.snapshot_place, Place(salt=bytes(32))):
        assert place
        assert files.parse_place(json.loads(json.dumps(place.to_json()))) == place


@pytest.mark.parametrize("random_bytes", [secrets.token_bytes, None])
def test_many_proofs_are_checked_together_or_one_by_one(random_bytes: Any) -> None:
    steps = verify_evidence(FULL, samples.PINS, CHAIN, random_bytes=random_bytes)
    assert verdict(steps) is State.CHECKED
    _, other = world.answer(where=[world.AT_LEAST_THREE], nonce="A" * 22)
    wrong = replace(FULL, disclosure=other)
    steps = verify_evidence(wrong, samples.PINS, CHAIN, random_bytes=random_bytes)
    assert states(steps) == {"disclosure": "failed"}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("typ", "fieldpact/evidence/2"),
        ("canonical", "e30"),
        ("salt", "AAAA"),
        ("salt", None),
        ("index", None),
        ("index", -1),
        ("inclusion", None),
        ("inclusion", ["AAAA"]),
        ("checkpoint", None),
        ("countersignature", {"key_id": "x"}),
        ("participants", [{}]),
        ("participants", None),
        ("anchor", {}),
        ("disclosure", None),
    ],
)
def test_a_member_out_of_form_does_not_parse(member: str, value: Any) -> None:
    with pytest.raises(Malformed):
        files.evidence_of(FULL.to_json() | {member: value})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("contract", "0x" + "CC" * 20),
        ("member", "ee" * 20),
        ("transaction", "0x" + "ee" * 20),
        ("epoch", "1"),
        ("commitment", "AAAA"),
        ("chain_id", True),
        ("checkpoint", "\ud800"),
    ],
)
def test_an_anchor_out_of_form_does_not_parse(member: str, value: Any) -> None:
    written = FULL.to_json()
    with pytest.raises(Malformed):
        files.evidence_of(written | {"anchor": written["anchor"] | {member: value}})


def test_an_anchor_without_a_place_in_the_log_does_not_parse() -> None:
    nowhere = dict.fromkeys(["index", "inclusion", "checkpoint"])
    with pytest.raises(Malformed):
        files.evidence_of(FULL.to_json() | nowhere)


def test_a_registry_reads_as_pins() -> None:
    records = [party.to_json() for party in samples.PINS.values()]
    assert pins_of(json.loads(json.dumps(records))) == samples.PINS


@pytest.mark.parametrize(
    "change",
    [
        {"did": "provider"},
        {"name": {"en": "only"}},
        {"keys": {}},
        {"chain_address": "0x12"},
        {"url": 1},
        {"more": 1},
    ],
)
def test_a_participant_record_out_of_form_does_not_parse(
    change: dict[str, Any],
) -> None:
    with pytest.raises(Malformed):
        parse_participant(samples.PROVIDER_RECORD.to_json() | change)


def test_an_account_is_the_same_in_any_spelling() -> None:
    spelled = samples.PROVIDER_RECORD.chain_address.upper().replace("0X", "0x")
    pins = samples.PINS | {
        samples.PROVIDER: replace(samples.PROVIDER_RECORD, chain_address=spelled)
    }
    assert states(verify_evidence(FULL, pins, CHAIN)) == {}
