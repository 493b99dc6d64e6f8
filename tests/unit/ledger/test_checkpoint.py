"""Checkpoints: whose they are, what a chain sees of them, and that logs only grow."""

import hashlib

import pytest

from crypto import merkle
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from ledger import checkpoint
from ledger.checkpoint import Checkpoint
from ledger.errors import Inconsistent
from tests.unit.ledger import samples

ORIGIN = "127.0.0.1:8101/log"
LEAVES = [hashlib.sha256(bytes([number])).digest() for number in range(13)]
READ = merkle.stored(LEAVES)


def at(size: int) -> Checkpoint:
    """The honest checkpoint of a size."""
    return Checkpoint(origin=ORIGIN, size=size, root=merkle.root_at(size, READ))


def test_the_origin_follows_from_the_did() -> None:
    assert checkpoint.origin_of(samples.PROVIDER) == ORIGIN
    assert checkpoint.origin_of("did:web:example.com:a:b") == "example.com/a/b/log"
    with pytest.raises(Malformed):
        checkpoint.origin_of("did:key:z6Mk")


def test_a_checkpoint_opens_for_its_own_log_only() -> None:
    note = checkpoint.sign_checkpoint(at(5), samples.PROVIDER_KEY)
    keys = samples.PROVIDER_RECORD.verifiers
    assert checkpoint.open_checkpoint(note, origin=ORIGIN, keys=keys) == at(5)
    for origin, others in [
        ("else/log", keys),
        (ORIGIN, samples.CONSUMER_RECORD.verifiers),
    ]:
        with pytest.raises(InvalidSignature):
            checkpoint.open_checkpoint(note, origin=origin, keys=others)


def test_the_chain_sees_a_salted_hash_of_the_whole_note() -> None:
    note = checkpoint.sign_checkpoint(at(5), samples.PROVIDER_KEY)
    salt = bytes(range(32))
    data = b"fieldpact/checkpoint-commitment/1\0" + salt + note.encode()
    assert checkpoint.anchor_commitment(note, salt) == hashlib.sha256(data).digest()
    assert (
        checkpoint.anchor_commitment(note, bytes(32)) != hashlib.sha256(data).digest()
    )
    with pytest.raises(ValueError, match="32 bytes"):
        checkpoint.anchor_commitment(note, b"")


def test_a_growing_log_is_followed_from_nothing_on() -> None:
    newest = None
    for size in (0, 0, 1, 1, 4, 7, 13):
        old = newest.size if newest else 0
        proof = merkle.consistency_proof(old, size, READ) if old else []
        newest = checkpoint.advance(newest, at(size), proof)
    assert newest == at(13)


def test_a_log_that_shrinks_is_caught() -> None:
    with pytest.raises(Inconsistent, match="smaller"):
        checkpoint.advance(at(7), at(6), [])


def test_two_roots_at_one_size_are_caught() -> None:
    forged = Checkpoint(origin=ORIGIN, size=7, root=bytes(32))
    with pytest.raises(Inconsistent, match="two roots"):
        checkpoint.advance(at(7), forged, [])
    with pytest.raises(Inconsistent, match="two roots"):
        checkpoint.advance(None, Checkpoint(origin=ORIGIN, size=0, root=bytes(32)), [])


def test_a_log_that_rewrote_an_entry_has_no_proof() -> None:
    edited = merkle.stored([LEAVES[0], bytes(32), *LEAVES[2:]])
    rewritten = Checkpoint(origin=ORIGIN, size=13, root=merkle.root_at(13, edited))
    for read in (READ, edited):
        proof = merkle.consistency_proof(7, 13, read)
        with pytest.raises(InvalidProof):
            checkpoint.advance(at(7), rewritten, proof)


def test_checkpoints_of_two_logs_are_not_compared() -> None:
    other = Checkpoint(origin="else/log", size=9, root=at(9).root)
    with pytest.raises(ValueError, match="two logs"):
        checkpoint.advance(at(7), other, [])
