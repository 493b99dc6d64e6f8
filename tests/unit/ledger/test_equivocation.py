"""Each way in which a provider goes back on what it has committed to, played.

The consumer has its own list of declared tokens, the provider's pinned keys, and
what it is sent. In each of these the provider signs whatever it likes, and every
receipt and proof goes along with the lie as far as it can.

Not here, because nothing shows it: the values are false from the beginning, a false
value is committed to as a new version, a record is withheld although its condition
holds, or provider and one partner act together (`docs/protocols/snapshots.md`).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from crypto.anchored import Sealed
from crypto.errors import InvalidProof
from ledger.conditions import Condition
from ledger.disclosure import CustomerAnswer, Disclosure, verify_disclosure
from ledger.errors import Inconsistent
from ledger.memory import MemoryLog
from ledger.receipts import SignedReceipt
from ledger.snapshots import Age, check_successor, compare
from ledger.standing import verify_place
from tests.unit.ledger import samples, world
from tests.unit.ledger.world import Committed

HONEST = world.committed()
WHO = world.TOKENS[0]
FREE = next(
    each
    for each in world.declared()
    if each not in HONEST.sealed and each not in world.TOKENS
)
"""A declared customer that is not shared, and has a leaf that says nothing."""

FEWER = {**world.KEPT, "LEI-A": world.KEPT["LEI-A"][1:]}


def believed(signed: SignedReceipt, disclosure: Disclosure) -> None:
    """Verify as the consumer does."""
    verify_disclosure(
        disclosure,
        signed.receipt,
        samples.PROVIDER_RECORD,
        rank=world.rank,
        random_bytes=secrets.token_bytes,
    )


def first(disclosure: Disclosure) -> CustomerAnswer:
    """The answer for the first customer."""
    return disclosure.answers[0]


def with_first(disclosure: Disclosure, answer: CustomerAnswer) -> Disclosure:
    """The disclosure with another answer for the first customer."""
    return replace(disclosure, answers=(answer, *disclosure.answers[1:]))


def proved(told: Disclosure, own: Committed) -> tuple[SignedReceipt, Disclosure]:
    """Sign and prove what is told, from what is kept."""
    signed = world.sign_answer(told)
    return signed, world.prove(told, signed, own)


def secret_edition() -> Committed:
    """The same customers with a cheaper first order, sealed and never committed to."""
    row = {**world.KEPT["LEI-A"][0], "order_total": "1.00"}
    cheaper = {**world.KEPT, "LEI-A": (row, world.KEPT["LEI-A"][1])}
    values = {world.token(who): each for who, each in world.whole(cheaper).items()}
    sealed = world.seal_records(values, HONEST.facts)
    kept = {**HONEST.sealed, WHO: [sealed[WHO][0], HONEST.sealed[WHO][1]]}
    return replace(HONEST, sealed=kept, values={**HONEST.values, WHO: values[WHO]})


def test_the_honest_answer_is_believed() -> None:
    believed(*world.answer())


def test_an_answer_from_a_record_that_was_not_committed_to_is_caught() -> None:
    signed, lie = world.answer(secret_edition())
    shown = first(lie).records
    assert shown
    assert (shown[0].fields or {})["order_total"] == "1.00"
    with pytest.raises(InvalidProof, match="not the records in the snapshot"):
        believed(signed, lie)


def test_nor_does_it_help_to_show_the_commitment_of_the_other_record() -> None:
    secret = secret_edition()
    told = world.draft(secret)
    records = first(told).records
    assert records
    honest = replace(records[0], commitment=HONEST.sealed[WHO][0][1].commitment)
    mixed = with_first(told, replace(first(told), records=(honest, records[1])))
    with pytest.raises(InvalidProof, match="customer 1, record 1"):
        believed(*proved(mixed, secret))


def _two_leaves() -> tuple[Committed, dict[str, Any]]:
    """A snapshot in which the first customer stands twice: once at a free place."""
    values = {world.token(who): each for who, each in world.whole(world.KEPT).items()}
    other = {WHO: [{**world.REST, **world.KEPT["LEI-B"][0]}]}
    facts = HONEST.facts
    second = world.seal_records(other, facts)
    own = world.commit_to(values, world.seal_records(values, facts), facts, {})
    leaves = list(own.leaves)
    index = world.declared().index(FREE)
    leaves[index] = world.leaf_of(WHO, second[WHO], facts)
    both = world.snapshot_over(leaves, facts)
    own = replace(own, snapshot=both, leaves=leaves)
    from_second = replace(
        own,
        sealed={**own.sealed, WHO: second[WHO]},
        values={**own.values, WHO: other[WHO]},
    )
    return from_second, world.place_at(leaves, index)


def test_a_second_leaf_for_one_customer_is_not_where_it_must_be() -> None:
    cheat, place = _two_leaves()
    told = world.draft(cheat)
    lie = with_first(told, replace(first(told), **place))
    signed, disclosure = proved(lie, cheat)
    with pytest.raises(InvalidProof, match="customer 1: not at the place"):
        believed(signed, disclosure)
    # Only a third party, that does not know what was declared, cannot tell.
    verify_disclosure(
        disclosure,
        signed.receipt,
        samples.PROVIDER_RECORD,
        rank=None,
        random_bytes=None,
    )


def test_two_records_in_one_leaf_are_shown_both_or_not_believed() -> None:
    told = world.draft(HONEST)
    records = first(told).records
    assert records
    for some in (records[:1], records[1:], records[::-1], (*records, records[0])):
        lie = with_first(told, replace(first(told), records=some))
        sealed = [HONEST.sealed[WHO][records.index(record)] for record in some]
        own = replace(HONEST, sealed={**HONEST.sealed, WHO: sealed})
        with pytest.raises(InvalidProof, match="not the records in the snapshot"):
            believed(*proved(lie, own))


def test_a_customer_is_not_answered_with_the_records_of_another() -> None:
    other = world.TOKENS[1]
    swapped: Mapping[bytes, Sequence[tuple[int, Sealed]]] = {
        WHO: HONEST.sealed[other],
        other: HONEST.sealed[WHO],
    }
    values = {WHO: HONEST.values[other], other: HONEST.values[WHO]}
    cheat = replace(HONEST, sealed=swapped, values=values)
    told = world.draft(cheat)
    with pytest.raises(InvalidProof, match="not the records in the snapshot"):
        believed(*proved(told, cheat))
    one, two, three = world.draft(HONEST).answers
    moved = replace(
        told,
        answers=(
            replace(two, customer=one.customer),
            replace(one, customer=two.customer),
            three,
        ),
    )
    with pytest.raises(InvalidProof, match="not at the place"):
        believed(*proved(moved, cheat))


def test_an_answer_from_the_snapshot_of_another_agreement_is_caught() -> None:
    elsewhere = world.commit(agreement="agreement-2")
    told = world.draft(
        elsewhere, customers=[world.token(who, "agreement-2") for who in world.WHO]
    )
    signed = world.sign_answer(told, agreement=samples.AGREEMENT)
    with pytest.raises(InvalidProof, match="another agreement"):
        believed(signed, world.prove(told, signed, elsewhere))


def test_an_answer_from_another_snapshot_than_the_one_that_is_shown_is_caught() -> None:
    edited = world.commit(FEWER)
    told = replace(world.draft(edited), snapshot=HONEST.snapshot)
    with pytest.raises(InvalidProof, match="not the records in the snapshot"):
        believed(*proved(told, edited))


def test_two_snapshots_of_one_number_accuse_their_signer() -> None:
    edited = world.commit(FEWER)
    believed(*world.answer(HONEST))
    believed(*world.answer(edited, customers=world.TOKENS))
    for one, other in [(HONEST, edited), (edited, HONEST)]:
        with pytest.raises(Inconsistent, match="one number"):
            compare(one.facts, other.facts)


def test_a_newer_snapshot_follows_and_an_older_one_is_known_to_be_old() -> None:
    following = world.commit(
        FEWER,
        sequence=1,
        previous=HONEST.facts.snapshot_id,
        version=world.VERSION + 1,
    )
    check_successor(HONEST.facts, following.facts)
    believed(*world.answer(following))
    assert compare(HONEST.facts, following.facts) is Age.NEWER
    # What the old one shows was so. That it is old, the consumer knows.
    believed(*world.answer(HONEST))
    assert compare(following.facts, HONEST.facts) is Age.OLDER


def test_records_that_did_not_change_stay_committed_to_as_they_were() -> None:
    facts = replace(
        HONEST.facts,
        sequence=1,
        previous=HONEST.facts.snapshot_id,
        version=world.VERSION + 2,
    )
    own = world.commit_to(HONEST.values, HONEST.sealed, facts, {})
    signed, disclosure = world.answer(own)
    believed(signed, disclosure)
    versions = {record.version for _, _, record in disclosure.each()}
    assert versions == {world.VERSION}
    assert own.facts.version == world.VERSION + 2


def test_a_weaker_bound_than_the_one_asked_about_is_not_proved() -> None:
    asked = (Condition.of("at_least", ["units"], [30]),)
    weaker = (Condition.of("at_least", ["units"], [3]),)
    told = world.draft(HONEST, where=weaker)
    signed = world.sign_answer(told, where=asked)
    lie = world.prove(told, signed, HONEST, where=weaker)
    with pytest.raises(InvalidProof, match="customer 1, record 1"):
        believed(signed, lie)


def test_a_commitment_that_was_logged_and_anchored_cannot_be_exchanged() -> None:
    kept = MemoryLog(samples.PROVIDER_RECORD, samples.PROVIDER_KEY)
    chain = samples.chain()
    kept.sequence(HONEST.snapshot, salt=samples.seed("salt"))
    kept.integrate()
    kept.publish()
    kept.anchor(chain, salt=samples.seed("anchor"))
    place = kept.place(0)
    provider = samples.PROVIDER_RECORD
    assert verify_place(HONEST.snapshot, place, provider, chain).outcome == "checked"
    edited = world.commit(FEWER)
    with pytest.raises(InvalidProof):
        verify_place(edited.snapshot, place, provider, chain)


def test_a_withheld_record_shows_nothing_and_is_not_hidden() -> None:
    signed, disclosure = world.answer(where=[world.AT_LEAST_THREE])
    believed(signed, disclosure)
    assert (signed.receipt.records, signed.receipt.withheld) == (2, 1)
    records = first(disclosure).records
    assert records
    assert records[1].fields is None
    assert not records[1].presentation


def test_commitments_of_two_agreements_have_nothing_in_common() -> None:
    other = world.commit(agreement="agreement-2")
    ours, theirs = (
        {record.commitment for each in own.sealed.values() for _, record in each}
        for own in (HONEST, other)
    )
    assert ours.isdisjoint(theirs)
    assert set(HONEST.leaves).isdisjoint(other.leaves)
    assert set(HONEST.sealed).isdisjoint(other.sealed)
