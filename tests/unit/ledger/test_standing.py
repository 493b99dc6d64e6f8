"""Standing: how far a snapshot has come, and who saw it there."""

from dataclasses import replace

import pytest

from crypto.errors import CryptoError, InvalidProof
from ledger.errors import ChainUnavailable, Inconsistent
from ledger.evidence import Place
from ledger.memory import MemoryLog
from ledger.memory_chain import MemoryChain
from ledger.standing import Standing, verify_place
from tests.unit.ledger import samples, world

SIGNED = world.committed().snapshot
PROVIDER = samples.PROVIDER_RECORD


def stations() -> tuple[list[Place], MemoryChain]:
    """Where the snapshot stands: sequenced, published, anchored."""
    kept, chain = MemoryLog(PROVIDER, samples.PROVIDER_KEY), samples.chain()
    kept.sequence(samples.stream(1)[0], salt=samples.seed("salt 0"))
    index = kept.sequence(SIGNED, salt=samples.seed("salt 1"))
    places = [kept.place(index)]
    kept.integrate()
    kept.publish()
    places.append(kept.place(index))
    kept.sequence(samples.stream(2)[1], salt=samples.seed("salt 2"))
    kept.integrate()
    kept.publish()
    kept.anchor(chain, salt=samples.seed("anchor"))
    places.append(kept.place(index))
    return places, chain


PLACES, CHAIN = stations()
SEQUENCED, PUBLISHED, ANCHORED = PLACES
assert ANCHORED.anchor


def test_an_anchored_snapshot_has_an_epoch_and_a_time() -> None:
    found = verify_place(SIGNED, ANCHORED, PROVIDER, CHAIN)
    assert found == Standing(outcome="checked", epoch=1, at="2027-01-15T08:00:01Z")


@pytest.mark.parametrize("place", [SEQUENCED, PUBLISHED])
def test_before_its_anchor_a_snapshot_is_pending(place: Place) -> None:
    assert verify_place(SIGNED, place, PROVIDER, CHAIN) == Standing(outcome="pending")


def test_a_chain_that_was_not_asked_or_is_another_is_said_to_be_so() -> None:
    silent = replace(CHAIN, answers=False)
    elsewhere = replace(CHAIN, chain_id=1)
    for chain, outcome in [
        (None, "not_asked"),
        (silent, "unreachable"),
        (elsewhere, "elsewhere"),
    ]:
        found = verify_place(SIGNED, ANCHORED, PROVIDER, chain)
        assert found == Standing(outcome=outcome, epoch=1)


def test_without_a_pinned_key_nothing_is_known() -> None:
    assert verify_place(SIGNED, ANCHORED, None, CHAIN).outcome == "unknown"


class _NoClock(MemoryChain):
    """A chain that answers what, and then not when."""

    def anchored_at(self, member: str, epoch: int) -> int | None:
        raise ChainUnavailable("gone")


class _OddClock(MemoryChain):
    """A chain whose time is in no calendar."""

    def anchored_at(self, member: str, epoch: int) -> int | None:
        return 2**200


@pytest.mark.parametrize("kind", [_NoClock, _OddClock])
def test_an_anchor_of_an_unknown_time_is_still_an_anchor(
    kind: type[MemoryChain],
) -> None:
    chain = kind(member=CHAIN.member, blocks=CHAIN.blocks)
    found = verify_place(SIGNED, ANCHORED, PROVIDER, chain)
    assert found == Standing(outcome="checked", epoch=1, at=None)


def test_what_was_never_anchored_has_no_time() -> None:
    assert CHAIN.anchored_at(CHAIN.member, 2) is None


def test_a_false_place_is_refused_even_where_less_was_claimed() -> None:
    assert PUBLISHED.inclusion
    assert ANCHORED.anchor
    wrong = replace(PUBLISHED.inclusion, index=0)
    with pytest.raises(InvalidProof):
        verify_place(SIGNED, replace(PUBLISHED, inclusion=wrong), PROVIDER, None)
    foreign = replace(ANCHORED.anchor, member="0x" + "ee" * 20)
    with pytest.raises(InvalidProof):
        verify_place(SIGNED, replace(ANCHORED, anchor=foreign), PROVIDER, None)
    other = world.commit().snapshot
    with pytest.raises(InvalidProof):
        verify_place(other, ANCHORED, PROVIDER, CHAIN)
    with pytest.raises((CryptoError, Inconsistent)):
        verify_place(SIGNED, ANCHORED, samples.CONSUMER_RECORD, CHAIN)


def test_a_receipt_has_its_standing_too() -> None:
    evidence, chain = world.story()
    found = verify_place(evidence.signed, evidence.place, PROVIDER, chain)
    assert found.outcome == "checked"
