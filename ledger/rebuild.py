"""Build a log's tree again, from its entries, and say which stored hash is wrong.

A tree that differs from its entries has many wrong sums and mostly one wrong value.
So where what is stored and what follows from below differ, both are carried on to
the parent: whichever of the two gives the parent's stored hash is right, and the other
is named. The tree is walked once, leaf by leaf, and holds one node of each level.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import TypeAlias

from crypto import merkle
from crypto.hashing import Hashing

Look: TypeAlias = Callable[[int, int], bytes | None]
"""Returns what is stored for a complete node (level, index), or None."""


class Wrong(StrEnum):
    """What is the matter with a place of the tree."""

    ENTRY = "the entry does not give the leaf that the tree above was built on"
    NODE = "it is not the hash of what is below it"
    MISSING = "it is missing"
    BELOW = "it fits the tree above, and not the two nodes below it"


@dataclass(frozen=True, slots=True)
class Fault:
    """A place that is wrong: level 0 for leaves."""

    level: int
    index: int
    wrong: Wrong


@dataclass(frozen=True, slots=True)
class _Node:
    level: int
    index: int
    stored: bytes | None
    derived: bytes | None

    @property
    def choices(self) -> tuple[bytes, ...]:
        """Return what it may be: once, where there is no doubt."""
        found = (self.derived, self.stored)
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def fault(self, right: bytes | None) -> Iterator[Fault]:
        """Say what is wrong, once it is known which choice is right.

        Args:
            right: None where that stays open: then the stored leaf is believed, and
                of inner nodes what follows from below.
        """
        if None in {self.stored, self.derived} or self.stored == self.derived:
            return
        if right is None:
            right = self.derived if self.level else self.stored
        wrong = Wrong.NODE
        if right == self.stored:
            wrong = Wrong.BELOW if self.level else Wrong.ENTRY
        yield Fault(self.level, self.index, wrong)


class Rebuild:
    """Takes leaves in the log's order.

    Args:
        look: Reads what is stored, of level 1 and above.
        hashing: Of the log.
    """

    def __init__(self, look: Look, *, hashing: Hashing = merkle.USUAL) -> None:
        self._look, self._hashing = look, hashing
        self._left: dict[int, _Node] = {}
        self.size = 0

    def add(self, stored: bytes | None, derived: bytes | None) -> Iterator[Fault]:
        """Take the next leaf; yield what turns out to be wrong by it.

        Args:
            stored: As the tree has it.
            derived: As its entry gives it; None where nothing can be derived.
        """
        node = _Node(0, self.size, stored, derived)
        self.size += 1
        if stored is None:
            yield Fault(0, node.index, Wrong.MISSING)
        while node.index & 1:
            left = self._left.pop(node.level)
            node = yield from self._join(left, node)
        self._left[node.level] = node

    def _join(self, left: _Node, right: _Node) -> Generator[Fault, None, _Node]:
        level, index = left.level + 1, left.index >> 1
        stored = self._look(level, index)
        if stored is None:
            yield Fault(level, index, Wrong.MISSING)
        sums = {
            self._hash(one, other): (one, other)
            for one, other in product(left.choices, right.choices)
        }
        fits = sums.get(stored) if stored is not None else None
        yield from left.fault(fits and fits[0])
        yield from right.fault(fits and fits[1])
        derived = stored if fits else next(iter(sums), None)
        return _Node(level, index, stored, derived)

    def roots(self) -> set[bytes]:
        """Return what the root over the leaves so far may be; mostly one hash."""
        if not self._left:
            return {merkle.empty_root(hashing=self._hashing)}
        found: set[bytes] = set()
        for level in sorted(self._left):
            choices = self._left[level].choices
            if not found:
                found = set(choices)
            else:
                found = {self._hash(*pair) for pair in product(choices, found)}
        return found

    def finish(self) -> Iterator[Fault]:
        """Say what is wrong with nodes that have no parent yet."""
        for node in self._left.values():
            yield from node.fault(None)

    def _hash(self, left: bytes, right: bytes) -> bytes:
        return merkle.node_hash(left, right, hashing=self._hashing)
