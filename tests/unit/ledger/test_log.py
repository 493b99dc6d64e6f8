"""The log: commitments, integration, and reading no more than needed."""

import hashlib

import pytest

from crypto import merkle
from ledger import log
from ledger.memory import MemoryNodes
from tests.unit.ledger import samples

LEAVES = [hashlib.sha256(bytes([number])).digest() for number in range(70)]


def grown(*batches: int) -> tuple[MemoryNodes, log.Integration]:
    """A store after integrating batches of these sizes, and the last result."""
    nodes, result = MemoryNodes(), log.integrate(0, MemoryNodes(), [])
    for batch in batches:
        leaves = LEAVES[result.size : result.size + batch]
        result = log.integrate(result.size, nodes, leaves)
        nodes.store(result.nodes)
    return nodes, result


def test_a_leaf_is_the_rfc_9162_hash_of_the_salted_commitment() -> None:
    signed, salt = samples.stream(1)[0], bytes(range(32))
    committed = salt + signed.receipt.canonical() + signed.signature
    commitment = hashlib.sha256(committed).digest()
    assert log.commitment(signed, salt) == commitment
    assert log.leaf(signed, salt) == hashlib.sha256(b"\0" + commitment).digest()


def test_another_salt_gives_another_commitment() -> None:
    signed = samples.stream(1)[0]
    assert log.commitment(signed, bytes(32)) != log.commitment(signed, b"\1" * 32)
    with pytest.raises(ValueError, match="32 bytes"):
        log.commitment(signed, b"short")


def test_an_empty_log_has_the_empty_root() -> None:
    assert log.integrate(0, MemoryNodes(), []).root == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 65, 70])
def test_however_it_grew_the_root_is_that_of_its_leaves(size: int) -> None:
    _, at_once = grown(size)
    _, one_by_one = grown(*[1] * size)
    assert at_once.root == one_by_one.root == merkle.root(LEAVES[:size])
    assert at_once.size == one_by_one.size == size


def test_only_complete_subtrees_are_stored_and_none_twice() -> None:
    nodes, result = grown(5)
    places = [(level, index) for level, index, _ in result.nodes]
    assert sorted(places) == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (1, 0),
        (1, 1),
        (2, 0),
    ]
    again = log.integrate(5, nodes, LEAVES[5:7])
    assert {place[:2] for place in again.nodes} == {(0, 5), (0, 6), (1, 2)}


def test_what_a_computation_reads_is_known_before_it_is_read() -> None:
    nodes, _ = grown(70)
    asked = log.reads(lambda read: merkle.inclusion_proof(37, 70, read))
    few = {place: nodes(*place) for place in asked}
    proof = merkle.inclusion_proof(37, 70, lambda *place: few[place])
    merkle.verify_inclusion(
        leaf=LEAVES[37], index=37, size=70, proof=proof, root=merkle.root(LEAVES)
    )
    assert len(asked) <= 2 * 7


def test_integration_reads_only_the_right_edge_of_the_tree() -> None:
    nodes, _ = grown(69)
    asked = log.reads(lambda read: log.integrate(69, read, [bytes(32)]))
    assert set(asked) <= {(6, 0), (2, 16), (0, 68)}
    few = {place: nodes(*place) for place in asked}
    result = log.integrate(69, lambda *place: few[place], LEAVES[69:70])
    assert result.root == merkle.root(LEAVES)
