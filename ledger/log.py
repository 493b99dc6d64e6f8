"""The log: one append-only tree over all receipts and snapshots of a provider.

An entry moves *sequence* (it gets its place, in the transaction of the call) →
*integrate* (its leaf joins the tree, this module) → *publish* (a signed
checkpoint names the root) → *anchor* (a chain fixes the checkpoint).

A log is hashed with one function from its first entry on, SHA-256 or SM3: that of
its participant (`Participant.hashing`).

The tree holds no entry, only a salted *commitment* to each. Without the salt
nobody can test a guess about an entry against the log, and once the salt is
deleted nobody ever can: the log stays whole when an entry must be forgotten.

Only complete subtrees are stored, and a stored node never changes. The functions
here are pure: they read nodes through a callable, and return what is to be
stored. Proofs are those of `crypto.merkle`.

Spec: `docs/protocols/log.md`; RFC 9162, section 2.1 (the tree).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from crypto import merkle
from crypto.hashing import HASHES, Hashing

Coordinates: TypeAlias = tuple[int, int]
"""Level (0 for leaves) and index of a complete subtree."""


class Entry(Protocol):
    """What a log holds: a signed receipt, or a signed snapshot."""

    @property
    def signature(self) -> bytes:
        """The provider's signature, 64 bytes."""
        ...

    def canonical(self) -> bytes:
        """Return what was signed, without its tag: JSON whose `typ` says what it is."""
        ...


def commitment(signed: Entry, salt: bytes, *, hashing: Hashing = merkle.USUAL) -> bytes:
    """Commit to an entry: 32 bytes.

    Args:
        signed: The entry, with its provider's signature.
        salt: 32 random bytes, used for this entry only.
        hashing: Of the provider's log.
    """
    if len(salt) != 32:
        raise ValueError("a salt has 32 bytes")
    return HASHES[hashing](salt, signed.canonical(), signed.signature)


def leaf(signed: Entry, salt: bytes, *, hashing: Hashing = merkle.USUAL) -> bytes:
    """Return the leaf hash of an entry, 32 bytes. See `commitment`."""
    return merkle.leaf_hash(commitment(signed, salt, hashing=hashing), hashing=hashing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """What integrating leaves changes.

    Attributes:
        size: Number of leaves afterwards.
        root: Root hash afterwards, 32 bytes.
        nodes: What to store: (level, index, hash) of each new complete subtree.
    """

    size: int
    root: bytes
    nodes: tuple[tuple[int, int, bytes], ...]


def integrate(
    size: int,
    read: merkle.Reader,
    leaves: Sequence[bytes],
    *,
    hashing: Hashing = merkle.USUAL,
) -> Integration:
    """Append leaves to a tree.

    Args:
        size: Number of leaves so far.
        read: Reads the complete subtrees stored so far.
        leaves: Leaf hashes in the log's order, 32 bytes each.
        hashing: Of the log.
    """
    fresh: dict[Coordinates, bytes] = {}

    def look(level: int, index: int) -> bytes:
        return fresh.get((level, index)) or read(level, index)

    for position, leaf_hash in enumerate(leaves, size):
        level, index, node = 0, position, leaf_hash
        fresh[level, index] = node
        while index & 1:  # a right child completes its parent
            node = merkle.node_hash(look(level, index - 1), node, hashing=hashing)
            level, index = level + 1, index >> 1
            fresh[level, index] = node
    total = size + len(leaves)
    return Integration(
        size=total,
        root=merkle.root_at(total, look, hashing=hashing),
        nodes=tuple((*place, node) for place, node in fresh.items()),
    )


def reads(compute: Callable[[merkle.Reader], object]) -> tuple[Coordinates, ...]:
    """List the nodes that a computation over the tree will read.

    Which nodes are read depends on positions alone, so the computation is run
    once over zeros. A store behind an `await` fetches the listed nodes in one
    query and runs it again over them:

        wanted = reads(lambda read: merkle.inclusion_proof(index, size, read))
    """
    wanted: dict[Coordinates, None] = {}

    def record(level: int, index: int) -> bytes:
        wanted[level, index] = None
        return bytes(32)

    compute(record)
    return tuple(wanted)
