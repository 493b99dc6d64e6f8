"""A tree kept in rows: of a hundred thousand leaves, a proof reads two or three.

A *tile* holds up to 256 neighbouring hashes of one level. Tiles stand on levels
0, 8, 16, ...; the levels in between are computed from them. A tree whose size is a
power of two, and of which any leaf may change, is rewritten by a few tiles.

Source: the tiles of c2sp.org/tlog-tiles, of which a change of leaves is no part.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final, TypeAlias

from crypto import merkle

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT

Place: TypeAlias = tuple[int, int]
"""Of a tile: how many tiles are below it, and its number among its neighbours."""


def needed(size: int, leaves: Iterable[int]) -> set[Place]:
    """Return the tiles that inclusion proofs, or a change, of these leaves need.

    Args:
        size: Leaves of the tree, a power of two.
        leaves: Their positions.
    """
    rows = set(leaves)
    found: set[Place] = set()
    level = 0
    while True:
        rows = {position >> HEIGHT for position in rows}
        found |= {(level, row) for row in rows}
        size >>= HEIGHT
        if size <= 1:
            return found
        level += 1


def change(
    size: int, leaves: Mapping[int, bytes], tiles: Mapping[Place, bytes]
) -> tuple[dict[Place, bytes], bytes]:
    """Put leaves into a tree.

    Args:
        size: Leaves of the tree, a power of two.
        leaves: Leaf hash by position: some, or for a new tree all of them.
        tiles: What is stored of `needed(size, leaves)`.

    Returns:
        The tiles that have changed, and the new root.
    """
    changed: dict[Place, bytes] = {}
    level, hashes = 0, dict(leaves)
    while True:
        width = min(size, WIDTH)
        rows: dict[int, dict[int, bytes]] = {}
        for position, value in hashes.items():
            rows.setdefault(position >> HEIGHT, {})[position % WIDTH] = value
        hashes = {}
        for row, values in rows.items():
            whole = _split(tiles.get((level, row), bytes(32 * width)))
            for position, value in values.items():
                whole[position] = value
            changed[level, row] = b"".join(whole)
            hashes[row] = merkle.root(whole)
        if size <= WIDTH:
            return changed, hashes[0]
        size >>= HEIGHT
        level += 1


class Reader:
    """Reads nodes of a tree from its tiles: a `crypto.merkle.Reader`."""

    def __init__(self, tiles: Mapping[Place, bytes]) -> None:
        self._tiles = {place: _Tile(hashes) for place, hashes in tiles.items()}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of the complete node (level, index)."""
        above, inside = divmod(level, HEIGHT)
        row, first = divmod(index << inside, WIDTH)
        return self._tiles[above, row].read(inside, first >> inside)


class _Tile:
    """The hashes of one tile, and those computed from them when first asked for."""

    def __init__(self, hashes: bytes) -> None:
        self._hashes = hashes

    @cached_property
    def read(self) -> merkle.Reader:
        return merkle.stored(_split(self._hashes))


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
