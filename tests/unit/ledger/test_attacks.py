"""Each way of cheating that the log is there to show, tried.

First piece by piece, then as a third party meets it: with a file in hand, and the
verifier. What nothing shows is here too, so that nobody believes otherwise: both
parties agree to leave a call out, and a provider answers without ever writing a
receipt (`docs/protocols/log.md`).
"""

from dataclasses import replace
from typing import Any

import pytest

from crypto import merkle
from crypto.errors import InvalidProof
from ledger import checkpoint, log, receipts
from ledger.cosignature import cosign
from ledger.equivocation import equivocation, verify_equivocation
from ledger.errors import Inconsistent
from ledger.evidence import Evidence
from ledger.fork import Fork, verify_fork
from ledger.memory import MemoryLog
from ledger.receipts import SignedReceipt
from ledger.request import parse_request, token_key
from ledger.steps import State, Step
from ledger.streams import sign_head
from ledger.verify import verify_evidence
from tests.unit.ledger import bundled, samples

ENTRIES = samples.stream(6)
STORY = bundled.story()
CALLS = list(STORY.entries)


def kept(entries: list[SignedReceipt]) -> MemoryLog:
    """A provider's log of these receipts, integrated."""
    found = MemoryLog(samples.PROVIDER_RECORD, samples.PROVIDER_KEY)
    for number, entry in enumerate(entries):
        found.sequence(entry, salt=samples.seed(f"salt {number}"))
    found.integrate()
    return found


def opened(note: str) -> checkpoint.Checkpoint:
    """The checkpoint of a note by the provider's log."""
    origin = checkpoint.origin_of(samples.PROVIDER)
    return checkpoint.open_checkpoint(
        note, origin=origin, keys=samples.PROVIDER_RECORD.verifiers
    )


def rewritten() -> SignedReceipt:
    """The third receipt told anew, and signed by the provider itself."""
    last = ENTRIES[1].receipt.receipt_id
    receipt = samples.receipt(sequence=2, previous=last, records=1)
    return receipts.sign_receipt(receipt, samples.PROVIDER_KEY)


def test_an_edited_receipt_breaks_the_stream_after_it() -> None:
    receipts.check_successor(ENTRIES[1].receipt, rewritten().receipt)
    with pytest.raises(Inconsistent):
        receipts.check_successor(rewritten().receipt, ENTRIES[3].receipt)


def test_an_edited_receipt_is_not_the_one_the_consumer_countersigned() -> None:
    back = receipts.countersign(ENTRIES[2], samples.CONSUMER_KEY)
    evidence = kept([*ENTRIES[:2], rewritten(), *ENTRIES[3:]]).evidence(2)
    steps = verify_evidence(replace(evidence, countersignature=back), samples.PINS)
    assert steps[1].state is State.CHECKED
    assert steps[2].state is State.FAILED


def test_reordered_receipts_have_no_consistency_with_what_was_published() -> None:
    honest, other = kept(ENTRIES), kept(ENTRIES[::-1])
    proof = merkle.consistency_proof(3, 6, other.nodes)
    known = replace(
        opened(honest.publish()), size=3, root=merkle.root_at(3, honest.nodes)
    )
    with pytest.raises(InvalidProof):
        checkpoint.advance(known, opened(other.publish()), proof)


def test_a_tail_deleted_before_any_anchor_lives_on_in_the_consumers_copy() -> None:
    last = ENTRIES[-1]
    back = receipts.countersign(last, samples.CONSUMER_KEY)
    shortened = kept(ENTRIES[:-1])
    # The log alone looks sound ...
    shortened.publish()
    assert shortened.size == 5
    # ... but the consumer shows a receipt that the provider signed and dropped.
    receipts.verify_receipt(last, samples.PROVIDER_RECORD)
    receipts.verify_countersignature(last, back, samples.CONSUMER_RECORD)
    receipts.check_successor(ENTRIES[4].receipt, last.receipt)


def test_an_entry_deleted_after_an_anchor_leaves_a_root_that_does_not_match() -> None:
    honest, chain = kept(ENTRIES), samples.chain()
    honest.publish()
    honest.anchor(chain, salt=bytes(32))
    anchor = honest.evidence(0).anchor
    assert anchor is not None
    shortened = kept([*ENTRIES[:2], *ENTRIES[3:]])
    shortened.publish()
    for nodes in (honest.nodes, shortened.nodes):
        proof = tuple(merkle.consistency_proof(4, 5, nodes))
        for consistency in (
            (),
            proof,
            tuple(merkle.consistency_proof(5, 6, honest.nodes)),
        ):
            tried = replace(anchor, consistency=consistency)
            evidence = replace(shortened.evidence(3), anchor=tried)
            steps = verify_evidence(evidence, samples.PINS, chain)
            assert steps[5].state is State.FAILED


def test_a_log_told_differently_to_two_readers_is_caught_when_they_compare() -> None:
    ours = opened(kept(ENTRIES).publish())
    theirs = opened(kept([*ENTRIES[:5], rewritten()]).publish())
    with pytest.raises(Inconsistent, match="two roots"):
        checkpoint.advance(ours, theirs, [])


def test_a_chain_takes_one_commitment_for_an_epoch() -> None:
    chain = samples.chain()
    one, other = samples.seed("one"), samples.seed("other")
    first = chain.anchor(epoch=1, commitment=one)
    assert chain.anchor(epoch=1, commitment=one) == first
    with pytest.raises(Inconsistent):
        chain.anchor(epoch=1, commitment=other)
    with pytest.raises(Inconsistent):
        chain.anchor(epoch=3, commitment=other)


def test_a_silent_node_is_behind_on_chain() -> None:
    chain = samples.chain()
    member = samples.PROVIDER_RECORD.chain_address
    for epoch in (1, 2):
        chain.anchor(epoch=epoch, commitment=samples.seed(f"epoch {epoch}"))
    assert chain.latest_epoch(member) == 2
    assert chain.commitment(member, 3) is None
    assert chain.as_member("0x" + "ee" * 20).latest_epoch("0x" + "ee" * 20) == 0


def test_a_receipt_missing_on_one_side_is_a_gap_in_its_stream() -> None:
    with pytest.raises(Inconsistent, match="gap"):
        receipts.check_successor(ENTRIES[1].receipt, ENTRIES[3].receipt)


def test_a_receipt_that_was_never_logged_has_no_place_in_the_log() -> None:
    honest = kept(ENTRIES)
    honest.publish()
    evidence = replace(honest.evidence(2), signed=rewritten())
    assert verify_evidence(evidence, samples.PINS)[3].state is State.FAILED


def test_an_inner_node_is_not_an_entry() -> None:
    nodes = kept(ENTRIES).nodes
    inner = nodes(1, 0)
    root = merkle.root_at(6, nodes)
    proof = [nodes(1, 1), merkle.node_hash(nodes(0, 4), nodes(0, 5))]
    with pytest.raises(InvalidProof):
        merkle.verify_inclusion(leaf=inner, index=0, size=6, proof=proof, root=root)


def test_a_guess_cannot_be_tested_against_the_log_without_its_salt() -> None:
    guess = ENTRIES[0]
    published = kept(ENTRIES).nodes(0, 0)
    assert log.leaf(guess, samples.seed("salt 0")) == published
    assert log.leaf(guess, bytes(32)) != published


# -- the same, as files that a third party checks ---------------------------


def exported(entries: list[Evidence], **changes: Any) -> tuple[Step, ...]:
    """How the provider's export of these receipts comes out, signed by itself."""
    newest = entries[-1].signed
    first = bundled.manifest(entries, newest, **changes)
    return bundled.check(bundled.lines(first, entries), STORY.trust)


def resigned(entry: Evidence, **changes: Any) -> Evidence:
    """A receipt told anew by its provider, who holds the key."""
    receipt = replace(entry.signed.receipt, **changes)
    signed = receipts.sign_receipt(receipt, samples.PROVIDER_KEY)
    return replace(entry, signed=signed)


def test_edit_shows_in_evidence_of_the_receipt() -> None:
    edited = resigned(CALLS[4], records=1)
    steps = verify_evidence(edited, samples.PINS, STORY.chain)
    assert bundled.weak(steps) == {
        "countersignature": "failed",
        "inclusion": "failed",
    }


def test_edit_of_what_was_asked_shows_in_the_consumers_own_request() -> None:
    edited = resigned(CALLS[4], request_hash=samples.seed("another").hex())
    steps = verify_evidence(edited, samples.PINS, STORY.chain)
    assert bundled.weak(steps)["request_signature"] == "failed"


def test_edit_shows_in_a_bundle_though_all_is_signed_anew() -> None:
    edited = [*CALLS[:4], resigned(CALLS[4], records=1)]
    for old in CALLS[5:]:
        previous = edited[-1].signed.receipt.receipt_id
        edited.append(resigned(old, previous=previous))
    steps = exported(edited)
    # The stream is whole again, for its provider rewrote it. But its own log and the
    # consumer's signatures tell of another one.
    assert bundled.weak(steps) == {
        "countersignature": "failed",
        "inclusion": "failed",
    }


def test_reordering_shows_in_a_bundle() -> None:
    swapped = [*CALLS[:4], CALLS[5], CALLS[4], *CALLS[6:]]
    assert bundled.weak(exported(swapped)) == {"complete": "failed"}
    renumbered = [
        *CALLS[:4],
        resigned(CALLS[5], sequence=4, previous=CALLS[3].signed.receipt.receipt_id),
        resigned(CALLS[4], sequence=5),
        *CALLS[6:],
    ]
    steps = exported(renumbered)
    assert bundled.weak(steps)["complete"] == "failed"
    assert bundled.weak(steps)["inclusion"] == "failed"


def test_a_tail_deleted_before_an_anchor_shows_when_two_bundles_are_laid_together() -> (
    None
):
    kept_back = CALLS[:8]
    # The provider's own file is whole ...
    steps = exported(kept_back)
    assert bundled.weak(steps) == {}
    # ... the consumer's is longer, and what is in it the provider signed.
    first = bundled.manifest(
        CALLS, CALLS[-1].signed, samples.CONSUMER_KEY, exporter=samples.CONSUMER
    )
    steps = bundled.check(bundled.lines(first, CALLS), STORY.trust)
    assert bundled.weak(steps) == {}


def test_a_tail_denied_to_the_consumers_face_is_a_proof_for_anybody() -> None:
    newest, short = CALLS[-1].signed, CALLS[7].signed
    asked = bundled.head(newest, samples.CONSUMER_KEY, samples.CONSUMER)
    answer = bundled.head(short, samples.PROVIDER_KEY, samples.PROVIDER)
    said = replace(answer.head, answers=asked.head.digest)
    answered = sign_head(said, samples.PROVIDER_KEY)
    proof = Fork(first=newest, heads=(asked, answered))
    assert bundled.weak(verify_fork(proof.to_json(), samples.PINS)) == {}


def test_deletion_after_an_anchor_shows_on_the_chain() -> None:
    shortened = kept([each.signed for each in CALLS[:-1]])
    note = shortened.publish()
    held = CALLS[-1]
    assert held.anchor
    assert held.inclusion
    # Told under the log without it, the receipt is not in it; told under a checkpoint
    # of that log in the place of the anchored one, the chain says otherwise.
    under = replace(held.inclusion, checkpoint=note)
    moved = replace(held, inclusion=under)
    assert bundled.weak(verify_evidence(moved, samples.PINS, STORY.chain)).keys() >= {
        "inclusion"
    }
    salt = held.anchor.salt
    swapped = replace(
        held.anchor,
        checkpoint=note,
        commitment=checkpoint.anchor_commitment(note, salt),
    )
    steps = verify_evidence(replace(held, anchor=swapped), samples.PINS, STORY.chain)
    assert bundled.weak(steps) == {"consistency": "failed", "chain": "failed"}


def test_equivocation_is_a_proof_for_anybody() -> None:
    ours = kept(ENTRIES).publish()
    theirs = kept([*ENTRIES[:5], rewritten()]).publish()
    proof = equivocation(samples.PROVIDER_RECORD, ours, theirs)
    assert proof
    assert bundled.weak(verify_equivocation(proof.to_json(), samples.PINS)) == {}
    assert equivocation(samples.PROVIDER_RECORD, ours, ours) is None


def test_equivocation_shows_for_want_of_witnesses() -> None:
    evidence = STORY.entries[0]
    assert evidence.inclusion
    steps = verify_evidence(evidence, samples.PINS, STORY.chain, quorum=1)
    assert bundled.weak(steps) == {"witnesses": "failed"}
    note = evidence.inclusion.checkpoint
    text = note.rpartition("\n\n")[0] + "\n"
    line = cosign(text, did=samples.CONSUMER, signer=samples.CONSUMER_KEY, at=1)
    seen = replace(evidence.inclusion, checkpoint=note + line.render())
    evidence = replace(evidence, inclusion=seen)
    steps = verify_evidence(evidence, samples.PINS, STORY.chain, quorum=1)
    assert bundled.weak(steps) == {}
    # A witness's line under one history is worth nothing under the other.
    other = replace(seen, checkpoint=kept(ENTRIES).publish() + line.render())
    forged = replace(evidence, inclusion=other)
    steps = verify_evidence(forged, samples.PINS, STORY.chain, quorum=1)
    assert bundled.weak(steps)["witnesses"] == "failed"


def test_a_missing_receipt_is_named() -> None:
    steps = exported([*CALLS[:3], *CALLS[4:]])
    assert bundled.weak(steps) == {"complete": "failed"}
    assert bundled.detail(steps, "complete") == "missing: 3"


def test_a_silent_node_leaves_its_evidence_pending_and_its_epoch_missing() -> None:
    silent = bundled.story(whole=False)
    steps = verify_evidence(silent.entries[-1], samples.PINS, silent.chain)
    assert bundled.weak(steps)["anchor"] == "pending"
    member = samples.PROVIDER_RECORD.chain_address
    assert silent.chain.latest_epoch(member) == 2
    assert silent.chain.commitment(member, 3) is None
    # An anchor that it only says it made is not there.
    claimed = STORY.entries[-1]
    assert claimed.anchor
    assert claimed.anchor.epoch == 3
    steps = verify_evidence(claimed, samples.PINS, silent.chain)
    assert bundled.weak(steps) == {"chain": "failed"}


def test_what_both_parties_leave_out_nothing_shows() -> None:
    steps = exported(CALLS[:-1])
    assert bundled.weak(steps) == {}


def test_of_a_call_without_a_receipt_there_is_only_the_consumers_own_word() -> None:
    unanswered = CALLS[-1]
    request = parse_request(unanswered.request)
    key = token_key(samples.CONSUMER_RECORD, request.key_id)
    # It shows that the consumer signed for it; not that the provider was asked.
    key.verify(request.signed, request.signature)
