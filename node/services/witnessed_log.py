"""Our own log as others see it: who cosigned it, and how one size leads to another.

Questions to one state of the store, which change nothing.
"""

from collections.abc import Collection, Mapping
from typing import Any

from crypto import merkle
from crypto.hashing import Hashing
from crypto.notes import Checkpoint
from ledger.cosignature import with_cosignatures
from node.ports import UnitOfWork
from node.services.keep_log import over_nodes


def cosigned_checkpoint(view: UnitOfWork, size: int | None = None) -> str | None:
    """Return our checkpoint of a size, or the newest, with who cosigned it."""
    checkpoint = view.log.checkpoint(size)
    if checkpoint is None:
        return None
    lines = [each.line for each in view.witness.cosignatures(checkpoint.size)]
    return with_cosignatures(checkpoint.note, lines)


def consistency(
    view: UnitOfWork, first: int, second: int, *, hashing: Hashing
) -> tuple[bytes, ...] | None:
    """Return the proof that leads from one size of our tree to another.

    None where the tree has never been of these sizes, or not in this order.
    """
    if not 0 < first <= second <= view.log.size():
        return None
    return tuple(
        over_nodes(
            view,
            lambda read: merkle.consistency_proof(first, second, read, hashing=hashing),
        )
    )


def contradiction(
    view: UnitOfWork, signed: Checkpoint, *, hashing: Hashing
) -> str | None:
    """Say how a checkpoint that bears our signature contradicts our log, or None.

    A checkpoint is signed and kept in one transaction with the tree that it is of,
    so there can be none of more entries than the tree has now.
    """
    size = view.log.size()
    if signed.size > size:
        return f"it has {signed.size} entries, and our log {size}."
    root = over_nodes(
        view, lambda read: merkle.root_at(signed.size, read, hashing=hashing)
    )
    if root != signed.root:
        return f"of {signed.size} entries its root is {signed.root.hex()}."
    return None


def cosigned_sizes(view: UnitOfWork, witnesses: Collection[str]) -> Mapping[str, Any]:
    """Return how many cosigned what was anchored last, and what is newest, as JSON.

    Args:
        witnesses: DIDs of those that count.
    """
    anchor, reach = view.log.anchor(), view.witness.reach()
    newest = max((size for did, size in reach.items() if did in witnesses), default=0)
    sizes = {"anchored": anchor.size if anchor else 0, "newest": newest}
    return {name: _count(view, size, witnesses) for name, size in sizes.items()}


def _count(
    view: UnitOfWork, size: int, witnesses: Collection[str]
) -> Mapping[str, int] | None:
    if not size:
        return None
    lines = view.witness.cosignatures(size)
    cosigned = sum(line.witness in witnesses for line in lines)
    return {"size": size, "cosigned": cosigned}
