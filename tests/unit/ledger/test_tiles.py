"""Trees in rows of 256 hashes give the roots and proofs of RFC 9162."""

import random

import pytest

from crypto import merkle
from crypto.encoding import sha256
from ledger import tiles


def leaves(size: int) -> list[bytes]:
    return [sha256(b"%d" % number) for number in range(size)]


@pytest.mark.parametrize("size", [1, 2, 64, 256, 512, 4096, 131_072])
def test_a_tree_in_tiles_has_the_root_and_the_proofs_of_the_whole_tree(
    size: int,
) -> None:
    whole = leaves(size)
    kept, root = tiles.change(size, dict(enumerate(whole)), {})
    assert root == merkle.root(whole)
    for index in {0, size // 3, size - 1}:
        wanted = tiles.needed(size, [index])
        read = tiles.Reader({place: kept[place] for place in wanted})
        proof = merkle.inclusion_proof(index, size, read)
        merkle.verify_inclusion(
            leaf=whole[index], index=index, size=size, proof=proof, root=root
        )


@pytest.mark.parametrize("size", [64, 256, 1024, 8192])
def test_changing_some_leaves_rewrites_only_the_tiles_above_them(size: int) -> None:
    rng = random.Random(size)  # noqa: S311  # which leaves, not what is in them
    whole = leaves(size)
    kept, _ = tiles.change(size, dict(enumerate(whole)), {})
    for _ in range(5):
        places = rng.sample(range(size), 3)
        changes = {place: sha256(rng.randbytes(8)) for place in places}
        wanted = tiles.needed(size, places)
        changed, root = tiles.change(
            size, changes, {place: kept[place] for place in wanted}
        )
        assert set(changed) == wanted
        kept |= changed
        for place, value in changes.items():
            whole[place] = value
        assert root == merkle.root(whole)


def test_a_proof_among_a_million_leaves_reads_three_tiles() -> None:
    assert len(tiles.needed(1 << 20, [123_456])) == 3
