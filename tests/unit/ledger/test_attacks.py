"""Each way of cheating that the log is there to show, tried.

Not here, because nothing shows it: both parties agree to leave a call out, and a
provider answers without ever writing a receipt (`docs/protocols/log.md`).
"""

from dataclasses import replace

import pytest

from crypto import merkle
from crypto.errors import InvalidProof
from ledger import checkpoint, log, receipts
from ledger.errors import Inconsistent
from ledger.memory import MemoryLog
from ledger.receipts import SignedReceipt
from ledger.steps import State
from ledger.verify import verify_evidence
from tests.unit.ledger import samples

ENTRIES = samples.stream(6)


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
    first = chain.anchor(epoch=1, commitment=bytes(32))
    assert chain.anchor(epoch=1, commitment=bytes(32)) == first
    with pytest.raises(Inconsistent):
        chain.anchor(epoch=1, commitment=b"\1" * 32)
    with pytest.raises(Inconsistent):
        chain.anchor(epoch=3, commitment=bytes(32))


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
