"""Hash trees that prove what a log contains.

A log commits to all of its entries with one 32-byte *root hash*. An
*inclusion proof* is the list of sibling hashes met on the walk from one leaf
up to that root: about log2(size) hashes convince a reader that the entry is in
the log, without showing any other entry. A *consistency proof* shows that a
larger tree begins with all the leaves of a smaller one: nothing was removed or
rewritten in between.

Leaves and inner nodes are hashed under different prefixes (0x00 and 0x01), so
that no inner node can be passed off as an entry.

A tree is stored as its *complete* nodes: node (level, index) is the root over
the leaves index*2^level up to (index+1)*2^level, once all of those exist. Such
a node never changes again. Whatever else a proof needs is computed from them:
a proof over a million leaves reads some twenty to forty.

Neither proof says that a root is the only one its log ever signed: two readers
must compare checkpoints, or find them anchored in one place.

A tree is built with one hash function from its first leaf on. Which one is said by
whoever reads it, from what it knows of the log, never by the proof.

Spec: RFC 9162, section 2.1 (the same trees as RFC 6962).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from crypto.errors import InvalidProof, Malformed
from crypto.hashing import HASHES, Hashing

Reader: TypeAlias = Callable[[int, int], bytes]
"""Returns the stored hash of the complete node (level, index)."""

USUAL: Final[Hashing] = "sha-256"
"""The hash function of trees that are not said to have another."""
EMPTY_ROOT: Final = HASHES[USUAL](b"")


def leaf_hash(entry: bytes, *, hashing: Hashing = USUAL) -> bytes:
    """Hash an entry as a leaf."""
    return HASHES[hashing](b"\x00", entry)


def node_hash(left: bytes, right: bytes, *, hashing: Hashing = USUAL) -> bytes:
    """Hash two children as their parent."""
    return HASHES[hashing](b"\x01", left, right)


def empty_root(*, hashing: Hashing = USUAL) -> bytes:
    """Return the root of a tree without leaves."""
    return HASHES[hashing](b"")


def stored(leaves: Sequence[bytes], *, hashing: Hashing = USUAL) -> Reader:
    """Build every complete node over leaf hashes, in memory, and read from them."""
    levels = [list(leaves)]
    while len(below := levels[-1]) > 1:
        pairs = zip(below[::2], below[1::2], strict=False)
        levels.append([node_hash(*pair, hashing=hashing) for pair in pairs])
    return lambda level, index: levels[level][index]


def root(leaves: Sequence[bytes], *, hashing: Hashing = USUAL) -> bytes:
    """Compute the root over leaf hashes that are all at hand."""
    return root_at(len(leaves), stored(leaves, hashing=hashing), hashing=hashing)


def root_at(size: int, read: Reader, *, hashing: Hashing = USUAL) -> bytes:
    """Compute the root over the first `size` leaves of a stored tree."""
    return _range(0, size, read, hashing) if size else empty_root(hashing=hashing)


def inclusion_proof(
    index: int, size: int, read: Reader, *, hashing: Hashing = USUAL
) -> list[bytes]:
    """List the siblings from a leaf up to the root. RFC 9162, section 2.1.3.1.

    Args:
        index: Position of the leaf, counted from zero, below `size`.
        size: Number of leaves the proof is against.
        read: Reads the stored tree, which may have grown beyond `size`.
        hashing: What the tree is built with.
    """
    if not 0 <= index < size:
        message = f"there is no leaf {index} in a tree of {size}"
        raise ValueError(message)
    proof = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(_range(middle, end, read, hashing))
            end = middle
        else:
            proof.append(_range(begin, middle, read, hashing))
            begin = middle
    return proof[::-1]


def consistency_proof(
    size1: int, size2: int, read: Reader, *, hashing: Hashing = USUAL
) -> list[bytes]:
    """List the hashes that link two sizes of a tree. RFC 9162, section 2.1.4.1.

    Args:
        size1: The smaller size, at least 1.
        size2: The larger size.
        read: Reads the stored tree, which may have grown beyond `size2`.
        hashing: What the tree is built with.
    """
    if not 0 < size1 <= size2:
        message = f"no consistency proof leads from size {size1} to {size2}"
        raise ValueError(message)
    proof = []
    begin, end = 0, size2
    while end != size1:
        middle = begin + _split(end - begin)
        if size1 <= middle:
            proof.append(_range(middle, end, read, hashing))
            end = middle
        else:
            proof.append(_range(begin, middle, read, hashing))
            begin = middle
    if begin:  # the old tree's last subtree; at 0 it is the old root itself
        proof.append(_range(begin, end, read, hashing))
    return proof[::-1]


def verify_inclusion(
    *,
    leaf: bytes,
    index: int,
    size: int,
    proof: Sequence[bytes],
    root: bytes,
    hashing: Hashing = USUAL,
) -> None:
    """Check that a leaf is in the tree. RFC 9162, section 2.1.3.2.

    Args:
        leaf: Leaf hash, 32 bytes.
        index: Position of the leaf, counted from zero.
        size: Number of leaves under `root`.
        proof: Sibling hashes from the leaf up, 32 bytes each.
        root: Root hash taken from a *verified* checkpoint, 32 bytes.
        hashing: What the tree is built with, as known of it beforehand.

    Raises:
        Malformed: Something that should be a hash is not 32 bytes long.
        InvalidProof: The walk does not end at `root`, or the proof has the
            wrong length for this position and size.
    """
    _check_hashes(leaf, root, *proof)
    if not 0 <= index < size:
        raise InvalidProof("there is no such leaf in a tree of this size")
    walk, join = leaf, partial(node_hash, hashing=hashing)
    turns = _turns(index, size - 1, len(proof))
    for sibling, from_left in zip(proof, turns, strict=True):
        walk = join(sibling, walk) if from_left else join(walk, sibling)
    if walk != root:
        raise InvalidProof("the inclusion proof does not lead to the root")


def verify_consistency(
    *,
    size1: int,
    size2: int,
    proof: Sequence[bytes],
    root1: bytes,
    root2: bytes,
    hashing: Hashing = USUAL,
) -> None:
    """Check that a larger tree extends a smaller one. RFC 9162, section 2.1.4.2.

    A tree of size 0 is refused: everything extends it, so a proof from there
    shows nothing, and a caller who asks has most likely lost its old checkpoint.

    Args:
        size1: Number of leaves under `root1`, at least 1.
        size2: Number of leaves under `root2`, at least `size1`.
        proof: The hashes of `consistency_proof`, 32 bytes each.
        root1: Root hash from an older *verified* checkpoint, 32 bytes.
        root2: Root hash from a newer *verified* checkpoint, 32 bytes.
        hashing: What the tree is built with, as known of it beforehand.

    Raises:
        Malformed: Something that should be a hash is not 32 bytes long.
        InvalidProof: The proof does not rebuild both roots.
    """
    _check_hashes(root1, root2, *proof)
    if not 0 < size1 <= size2:
        raise InvalidProof("a tree does not shrink, nor begin at nothing")
    # Equal sizes need no proof, and admit none.
    if size1 == size2:
        if proof or root1 != root2:
            raise InvalidProof("two roots, or a proof, for one tree size")
        return
    # 1, 2. A complete old tree is its own first subtree.
    path = [root1, *proof] if size1 & (size1 - 1) == 0 else list(proof)
    if not proof:
        raise InvalidProof("the consistency proof is empty")
    # 3, 4. Positions of the last node of the old and of the new tree, on the
    # level where the last complete subtree of the old one sits.
    level = (size1 & -size1).bit_length() - 1
    turns = _turns((size1 - 1) >> level, (size2 - 1) >> level, len(path) - 1)
    # 5, 6. Both walks begin there; what comes from the right is new.
    walk1 = walk2 = path[0]
    join = partial(node_hash, hashing=hashing)
    for sibling, from_left in zip(path[1:], turns, strict=True):
        if from_left:
            walk1, walk2 = join(sibling, walk1), join(sibling, walk2)
        else:
            walk2 = join(walk2, sibling)
    # 7. Both must have arrived.
    if (walk1, walk2) != (root1, root2):
        raise InvalidProof("the consistency proof does not lead to both roots")


def _turns(position: int, last: int, steps: int) -> list[bool]:
    """Walk to the top of a tree; say of each sibling whether it is on our left.

    RFC 9162, section 2.1.3.2, steps 4 and 5, with `fn` as `position` and `sn`
    as `last`: where we are the last node of a level and have no sibling, we
    move up for nothing. The walk must end at the top in exactly `steps` steps.
    """
    turns = []
    while last:
        from_left = bool(position & 1) or position == last
        turns.append(from_left)
        while from_left and position and not position & 1:
            position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    if len(turns) != steps:
        raise InvalidProof("the proof is too short or too long for these sizes")
    return turns


def _split(width: int) -> int:
    """Return the largest power of two below `width`, which is at least 2."""
    return 1 << ((width - 1).bit_length() - 1)


def _range(begin: int, end: int, read: Reader, hashing: Hashing) -> bytes:
    """Return the root over the leaves begin..end, a subtree of RFC 9162's tree."""
    width = end - begin
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return read(level, begin >> level)
    middle = begin + _split(width)
    left = _range(begin, middle, read, hashing)
    return node_hash(left, _range(middle, end, read, hashing), hashing=hashing)


def _check_hashes(*hashes: bytes) -> None:
    if any(len(value) != 32 for value in hashes):
        raise Malformed("a hash has 32 bytes")
