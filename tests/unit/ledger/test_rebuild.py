"""Building a tree again, and saying which stored hash is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import merkle
from ledger import log
from ledger.rebuild import Fault, Rebuild, Wrong

Nodes = dict[tuple[int, int], bytes]


def leaves(size: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % number) for number in range(size)]


def stored(size: int) -> Nodes:
    grown = log.integrate(0, lambda *_: b"", leaves(size))
    return {(level, index): node for level, index, node in grown.nodes}


def walk(
    nodes: Nodes, derived: list[bytes | None]
) -> tuple[list[Fault], list[set[bytes]]]:
    """Return what is found, and the roots after each leaf."""
    rebuild = Rebuild(lambda level, index: nodes.get((level, index)))
    found: list[Fault] = []
    roots = [rebuild.roots()]
    for index, leaf in enumerate(derived):
        found += rebuild.add(nodes.get((0, index)), leaf)
        roots.append(rebuild.roots())
    return [*found, *rebuild.finish()], roots


@given(st.integers(0, 70))
def test_a_sound_tree_has_no_fault_and_the_root_of_every_size(size: int) -> None:
    found, roots = walk(stored(size), list(leaves(size)))
    assert found == []
    assert roots == [{merkle.root(leaves(size)[:count])} for count in range(size + 1)]


@given(st.data())
def test_one_wrong_hash_is_one_fault_at_its_place(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    nodes = stored(size)
    place = data.draw(st.sampled_from(sorted(nodes)))
    nodes[place] = bytes(32)
    found, roots = walk(nodes, list(leaves(size)))
    assert [(each.level, each.index) for each in found] == [place]
    alone = size % 2 and place == (0, size - 1)  # no parent tells which is right
    assert found[0].wrong is (Wrong.ENTRY if alone else Wrong.NODE)
    assert merkle.root(leaves(size)) in roots[-1]


@given(st.data())
def test_one_missing_hash_is_one_fault_at_its_place(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    nodes = stored(size)
    place = data.draw(st.sampled_from(sorted(nodes)))
    del nodes[place]
    found, _ = walk(nodes, list(leaves(size)))
    assert found == [Fault(*place, Wrong.MISSING)]


@given(st.data())
def test_of_one_wrong_entry_no_hash_is_blamed(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    index = data.draw(st.integers(0, size - 1))
    derived: list[bytes | None] = [*leaves(size)]
    derived[index] = bytes(32)
    assert walk(stored(size), derived)[0] == [Fault(0, index, Wrong.ENTRY)]


@pytest.mark.parametrize("gone", [{0}, {3}, {2, 3}, set(range(13))])
def test_what_is_erased_is_taken_from_the_tree(gone: set[int]) -> None:
    derived = [None if n in gone else leaf for n, leaf in enumerate(leaves(13))]
    found, roots = walk(stored(13), derived)
    assert found == []
    assert roots[-1] == {merkle.root(leaves(13))}


def test_a_changed_leaf_of_what_is_erased_shows_in_the_node_above() -> None:
    nodes = stored(8)
    nodes[0, 3] = bytes(32)
    found, _ = walk(nodes, [None if n == 3 else x for n, x in enumerate(leaves(8))])
    assert found == [Fault(1, 1, Wrong.BELOW)]
