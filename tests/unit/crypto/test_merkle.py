"""Merkle trees, against the published vectors and against the RFC's recursion."""

from typing import Any

import pytest

from crypto import merkle
from crypto.conformance import run_merkle
from crypto.errors import InvalidProof, Malformed
from crypto.hashing import sm3
from tests.support import shared
from tests.vectors.reading import cases, expectation

LEAVES = [merkle.leaf_hash(bytes([index])) for index in range(70)]
READ = merkle.stored(LEAVES)
HASHES = {
    "empty": merkle.EMPTY_ROOT,
    "one": LEAVES[0],
    "other": LEAVES[1],
    "short": LEAVES[0][:12],
}


def _mth(leaves: list[bytes]) -> bytes:
    """Return the Merkle tree hash as RFC 9162, section 2.1.1, defines it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else merkle.EMPTY_ROOT
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return merkle.node_hash(_mth(leaves[:split]), _mth(leaves[split:]))


def test_the_published_vectors_pass() -> None:
    report = run_merkle(shared("vectors/merkle-rfc6962"))
    assert report.failures == ()
    assert report.passed >= 92


@pytest.mark.parametrize("case", cases("merkle-policy"))
def test_trees_of_no_size_prove_nothing(case: dict[str, Any]) -> None:
    with expectation(case["expect"]):
        merkle.verify_consistency(
            size1=case["size1"],
            size2=case["size2"],
            proof=[HASHES[name] for name in case["proof"]],
            root1=HASHES[case["root1"]],
            root2=HASHES[case["root2"]],
        )


@pytest.mark.parametrize("size", range(71))
def test_the_root_is_that_of_the_rfc_also_from_a_tree_that_has_grown_on(
    size: int,
) -> None:
    expected = _mth(LEAVES[:size])
    assert merkle.root(LEAVES[:size]) == expected
    assert merkle.root_at(size, READ) == expected


@pytest.mark.parametrize("size", range(1, 71))
def test_every_leaf_and_every_earlier_size_is_proved(size: int) -> None:
    root = merkle.root_at(size, READ)
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, READ)
        merkle.verify_inclusion(
            leaf=LEAVES[index], index=index, size=size, proof=proof, root=root
        )
    for earlier in range(1, size + 1):
        proof = merkle.consistency_proof(earlier, size, READ)
        old = merkle.root_at(earlier, READ)
        merkle.verify_consistency(
            size1=earlier, size2=size, proof=proof, root1=old, root2=root
        )


def test_a_proof_at_a_million_leaves_reads_few_nodes_and_only_complete_ones() -> None:
    size, reads = 1_000_000, 0

    def read(level: int, index: int) -> bytes:
        nonlocal reads
        reads += 1
        assert (index + 1) << level <= size
        return bytes(32)

    for position in (0, 1, 524_287, 524_288, 777_777, 999_999):
        reads = 0
        merkle.inclusion_proof(position, size, read)
        assert reads <= 26
        reads = 0
        merkle.consistency_proof(position + 1, size, read)
        assert reads <= 26


def test_a_leaf_elsewhere_in_the_tree_is_not_proved() -> None:
    proof, root = merkle.inclusion_proof(3, 7, READ), merkle.root_at(7, READ)
    for leaf, index, size in (
        (LEAVES[3], 2, 7),
        (LEAVES[2], 3, 7),
        (LEAVES[3], 3, 9),
        (LEAVES[3], 3, 3),
        (LEAVES[3], -1, 7),
    ):
        with pytest.raises(InvalidProof):
            merkle.verify_inclusion(
                leaf=leaf, index=index, size=size, proof=proof, root=root
            )


@pytest.mark.parametrize(("size1", "size2"), [(1, 7), (3, 7), (4, 7), (6, 7), (8, 64)])
def test_both_roots_of_a_consistency_proof_are_checked(size1: int, size2: int) -> None:
    proof = merkle.consistency_proof(size1, size2, READ)
    old, new = merkle.root_at(size1, READ), merkle.root_at(size2, READ)
    for root1, root2 in ((LEAVES[9], new), (old, LEAVES[9]), (new, old)):
        with pytest.raises(InvalidProof):
            merkle.verify_consistency(
                size1=size1, size2=size2, proof=proof, root1=root1, root2=root2
            )


def test_an_inner_node_cannot_be_passed_off_as_an_entry() -> None:
    entry = LEAVES[0] + LEAVES[1]
    assert merkle.leaf_hash(entry) != merkle.node_hash(LEAVES[0], LEAVES[1])


def test_what_is_no_hash_is_malformed() -> None:
    with pytest.raises(Malformed):
        merkle.verify_inclusion(leaf=b"", index=0, size=1, proof=[], root=b"")


def test_asking_for_an_impossible_proof_is_our_own_mistake() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="no leaf"):
            merkle.inclusion_proof(index, size, READ)
    for size1, size2 in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="no consistency proof"):
            merkle.consistency_proof(size1, size2, READ)


def test_a_tree_of_sm3_is_another_tree_with_the_same_laws() -> None:
    def leaf(entry: bytes) -> bytes:
        return merkle.leaf_hash(entry, hashing="sm3")

    assert leaf(b"entry") == sm3(b"\x00", b"entry")
    both = merkle.node_hash(leaf(b"1"), leaf(b"2"), hashing="sm3")
    assert both == sm3(b"\x01", leaf(b"1"), leaf(b"2"))
    assert merkle.root([leaf(b"1"), leaf(b"2")], hashing="sm3") == both
    assert merkle.root([], hashing="sm3") == merkle.empty_root(hashing="sm3") == sm3()
    leaves = [leaf(bytes([index])) for index in range(13)]
    read = merkle.stored(leaves, hashing="sm3")
    for size in range(1, 14):
        root = merkle.root_at(size, read, hashing="sm3")
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, read, hashing="sm3")
            facts: Any = {"leaf": leaves[index], "index": index, "size": size}
            facts |= {"proof": proof, "root": root}
            merkle.verify_inclusion(**facts, hashing="sm3")
            if size > 1:
                with pytest.raises(InvalidProof):
                    merkle.verify_inclusion(**facts)
        steps = merkle.consistency_proof(size, 13, read, hashing="sm3")
        facts = {"size1": size, "size2": 13, "proof": steps, "root1": root}
        facts |= {"root2": merkle.root(leaves, hashing="sm3")}
        merkle.verify_consistency(**facts, hashing="sm3")
        if size < 13:
            with pytest.raises(InvalidProof):
                merkle.verify_consistency(**facts)
