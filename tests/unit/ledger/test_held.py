"""Keys: held when the receipt was anchored, by the chain's registry and nobody else."""

from dataclasses import replace
from typing import Any

import pytest

from crypto.keys import Ed25519Key
from crypto.signing import Verifier
from ledger.errors import Inconsistent
from ledger.evidence import Evidence, parse_evidence
from ledger.held import check_prefix
from ledger.memory_registry import MemoryRegistry
from ledger.participants import PastKey
from ledger.receipts import countersign
from ledger.registry import History, KeyChange, MembershipChange, fingerprint
from ledger.steps import State, Step
from ledger.verify import verify_evidence
from tests.unit.ledger import asking, samples, world

FULL, CHAIN = world.story()
ANCHORED = CHAIN.started + 1
NEWER = Ed25519Key.from_bytes(samples.seed("newer"))
ACCOUNTS = {did: party.chain_address for did, party in samples.PINS.items()}
KEYS = {samples.PROVIDER: samples.PROVIDER_KEY, samples.CONSUMER: samples.CONSUMER_KEY}


class Clock:
    """Tells the time that a test says."""

    def __init__(self) -> None:
        self.at = ANCHORED - 1000

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def registry() -> MemoryRegistry:
    """A registry in which both parties set their keys well before the anchor."""
    found = MemoryRegistry(clock=Clock())
    found.found(list(ACCOUNTS.items()))
    for did, key in KEYS.items():
        set_key(found, did, key)
    found.clock.at = ANCHORED + 1000  # type: ignore[attr-defined]
    return found


def set_key(registry: MemoryRegistry, did: str, key: Ed25519Key) -> None:
    held = fingerprint("ed25519", key.public_bytes)
    registry.set_key(ACCOUNTS[did], suite="ed25519", fingerprint=held)


def at(registry: MemoryRegistry, seconds: int) -> None:
    registry.clock.at = seconds  # type: ignore[attr-defined]


def told(registry: MemoryRegistry, evidence: Evidence = FULL) -> Evidence:
    """Evidence with what the registry says of both parties."""
    return replace(evidence, histories=tuple(map(registry.history, ACCOUNTS)))


def keys(
    evidence: Evidence, registry: Any, chain: Any = CHAIN, pins: Any = samples.PINS
) -> Step:
    """How the step came out."""
    steps = verify_evidence(evidence, pins, chain, registry=registry)
    [found] = [step for step in steps if step.name == "keys"]
    return found


def test_keys_that_held_when_it_was_anchored_are_checked(
    registry: MemoryRegistry,
) -> None:
    for evidence in (FULL, told(registry)):
        step = keys(evidence, registry)
        assert step.state is State.CHECKED
        assert samples.PROVIDER_KEY.key_id(samples.PROVIDER) in step.detail
        assert samples.CONSUMER_KEY.key_id(samples.CONSUMER) in step.detail


def test_evidence_outlives_the_keys_that_signed_it(registry: MemoryRegistry) -> None:
    evidence = told(registry)
    at(registry, ANCHORED + 5000)
    own = Verifier(suite="ed25519", public=samples.PROVIDER_KEY.public_bytes)
    set_key(registry, samples.PROVIDER, NEWER)
    pinned = {**samples.PROVIDER_RECORD.keys, "ed25519": NEWER.public_bytes}
    past = PastKey(key=own, until="2027-01-15T10:00:00Z")
    rotated = replace(samples.PROVIDER_RECORD, keys=pinned, past_keys=(past,))
    pins = samples.PINS | {samples.PROVIDER: rotated}
    steps = verify_evidence(evidence, pins, CHAIN, registry=registry)
    assert [step.name for step in steps if step.state is not State.CHECKED] == []


def test_a_key_that_was_revoked_before_the_anchor_fails(
    registry: MemoryRegistry,
) -> None:
    at(registry, ANCHORED - 10)
    held = fingerprint("ed25519", samples.PROVIDER_KEY.public_bytes)
    registry.revoke_key(ACCOUNTS[samples.PROVIDER], suite="ed25519", fingerprint=held)
    at(registry, ANCHORED + 10)
    step = keys(FULL, registry)
    assert step.state is State.FAILED
    assert "did not hold" in step.detail


def test_a_key_that_was_set_only_after_the_anchor_fails(
    registry: MemoryRegistry,
) -> None:
    late = MemoryRegistry(clock=Clock())
    late.found(list(ACCOUNTS.items()))
    set_key(late, samples.CONSUMER, samples.CONSUMER_KEY)
    at(late, ANCHORED + 1)
    set_key(late, samples.PROVIDER, samples.PROVIDER_KEY)
    assert keys(FULL, late).state is State.FAILED


def test_a_consumer_may_sign_back_after_the_anchor_with_a_later_key(
    registry: MemoryRegistry,
) -> None:
    at(registry, ANCHORED + 500)
    set_key(registry, samples.CONSUMER, NEWER)
    at(registry, ANCHORED + 1000)
    pinned = {**samples.CONSUMER_RECORD.keys, "ed25519": NEWER.public_bytes}
    pins = samples.PINS | {
        samples.CONSUMER: replace(samples.CONSUMER_RECORD, keys=pinned)
    }
    back = countersign(FULL.signed, NEWER)
    late = replace(FULL, countersignature=back)
    assert keys(late, registry, pins=pins).state is State.CHECKED
    # What it signed when it asked, it signed with the key of then.
    above = asking.header(kid=NEWER.key_id(samples.CONSUMER))
    token = asking.signed(above, asking.claims(FULL.signed.receipt), NEWER)
    asked = replace(late, request=token)
    assert keys(asked, registry, pins=pins).state is State.FAILED


def test_a_key_of_nobody_in_the_registry_fails() -> None:
    empty = MemoryRegistry(clock=Clock())
    empty.found([("did:web:somebody.else", "0x" + "77" * 20)])
    at(empty, ANCHORED + 1)
    assert keys(FULL, empty).state is State.FAILED


def test_without_a_chain_carried_histories_are_only_what_the_file_says(
    registry: MemoryRegistry,
) -> None:
    step = keys(told(registry), None)
    assert (step.state, step.outcome) == (State.NOT_CHECKED, "not_asked")
    assert "only what the file says" in step.words["en"]


def test_without_histories_and_without_a_registry_there_is_no_step() -> None:
    steps = verify_evidence(FULL, samples.PINS, CHAIN)
    assert "keys" not in {step.name for step in steps}


def test_what_is_not_anchored_yet_has_no_time(registry: MemoryRegistry) -> None:
    assert keys(replace(FULL, anchor=None), registry).state is State.PENDING


def test_a_registry_or_a_chain_that_does_not_answer_accuses_nobody(
    registry: MemoryRegistry,
) -> None:
    assert keys(FULL, registry, replace(CHAIN, answers=False)).outcome == "unreachable"
    registry.answers = False
    assert keys(FULL, registry).outcome == "unreachable"


def test_a_registry_that_was_read_before_the_anchor_decides_nothing(
    registry: MemoryRegistry,
) -> None:
    at(registry, ANCHORED - 1)
    assert keys(FULL, registry).outcome == "unreachable"


def test_histories_of_another_registry_are_not_compared(
    registry: MemoryRegistry,
) -> None:
    for change in ({"chain_id": 1}, {"contract": "0x" + "ab" * 20}):
        other = replace(registry.history(samples.PROVIDER), **change)
        evidence = replace(FULL, histories=(other,))
        assert keys(evidence, registry).outcome == "elsewhere"


def test_a_party_that_is_not_pinned_has_no_keys_to_look_up(
    registry: MemoryRegistry,
) -> None:
    assert keys(FULL, registry, pins={}).outcome == "unknown"


def test_a_carried_history_that_the_chain_does_not_tell_fails(
    registry: MemoryRegistry,
) -> None:
    true = registry.history(samples.PROVIDER)
    other = replace(true, changes=true.changes[:-1])
    extra = KeyChange(at=true.seen, suite="ed25519", fingerprint=samples.seed("x"))
    more = replace(true, changes=(*true.changes, extra))
    moved = replace(
        true, changes=tuple(replace(each, at=true.seen) for each in true.changes)
    )
    for history in (other, moved):
        step = keys(replace(FULL, histories=(history,)), registry)
        assert step.state is State.FAILED
        assert "another past" in step.detail
    # A chain that is behind is not accused: the file may have seen a later block.
    check_prefix(more, true)


def history(*changes: Any, seen: int) -> History:
    return History(
        chain_id=1,
        contract="0x" + "dd" * 20,
        did=samples.PROVIDER,
        block=1,
        seen=seen,
        changes=changes,
    )


JOINED = MembershipChange(at=10, account="0x" + "11" * 20)
SET = KeyChange(at=20, suite="ed25519", fingerprint=bytes(32))


def test_of_two_histories_one_begins_with_the_other() -> None:
    check_prefix(None, history(JOINED, seen=30))
    check_prefix(history(JOINED, seen=15), history(JOINED, SET, seen=30))
    check_prefix(history(JOINED, SET, seen=30), history(JOINED, seen=15))
    check_prefix(history(JOINED, seen=20), history(JOINED, SET, seen=30))
    for carried in (
        history(SET, seen=30),
        history(JOINED, seen=25),  # it had looked, and left out what was there
        history(JOINED, replace(SET, fingerprint=None), seen=30),
    ):
        with pytest.raises(Inconsistent):
            check_prefix(carried, history(JOINED, SET, seen=30))
    with pytest.raises(Inconsistent):
        check_prefix(history(JOINED, SET, seen=30), history(JOINED, seen=25))


def test_histories_read_back_as_they_were_written(registry: MemoryRegistry) -> None:
    evidence = told(registry)
    assert parse_evidence(evidence.render()) == evidence
