"""Checkpoints: what a log commits to, and the law that it never shrinks.

A checkpoint is three signed lines: origin, size, root hash (`crypto.notes`). A
log must never sign two that contradict each other. Whoever keeps the newest
checkpoint of a log, and goes on only through `advance`, notices when it does.

A chain holds no checkpoint but a salted commitment to one, under the number of
an *epoch*: a reader of the chain learns neither the size of a company's log nor
whether anything was added to it. One commitment per epoch, also when nothing
happened, is what makes silence visible.

Spec: `docs/protocols/log.md`; c2sp.org/tlog-checkpoint (the note).
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from crypto import merkle
from crypto.encoding import tagged
from crypto.errors import Malformed
from crypto.hashing import HASHES, Hashing
from crypto.notes import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.errors import Inconsistent

__all__ = [
    "Checkpoint",
    "advance",
    "anchor_commitment",
    "open_checkpoint",
    "origin_of",
    "sign_checkpoint",
]

_WEB: Final = "did:web:"


def origin_of(did: str) -> str:
    """Return the origin of a participant's log: `<host and path>/log`.

    Raises:
        Malformed: Not a DID of the method `web`.
    """
    if not did.startswith(_WEB):
        raise Malformed("a log's origin is derived from a did:web")
    return unquote(did.removeprefix(_WEB).replace(":", "/")) + "/log"


def anchor_commitment(
    note: str, salt: bytes, *, hashing: Hashing = merkle.USUAL
) -> bytes:
    """Commit to a checkpoint for a chain: 32 bytes.

    Args:
        note: The whole signed note, signature lines included.
        salt: 32 random bytes, used for this epoch only.
        hashing: Of the log.
    """
    if len(salt) != 32:
        raise ValueError("a salt has 32 bytes")
    return HASHES[hashing](tagged("checkpoint-commitment", salt + note.encode()))


def advance(
    newest: Checkpoint | None,
    following: Checkpoint,
    consistency: Sequence[bytes],
    *,
    hashing: Hashing = merkle.USUAL,
) -> Checkpoint:
    """Go on from the newest known checkpoint of a log to a later one.

    Args:
        newest: Newest checkpoint known so far, opened; None before the first.
        following: The one to go on to, opened for the same origin.
        consistency: Proof between the two sizes; empty when they are equal, or
            when there is nothing yet to be consistent with.
        hashing: Of the log (`Participant.hashing`).

    Returns:
        `following`, which is to be kept as the newest in the same transaction
        in which `newest` was read. A race between the two loses the law.

    Raises:
        Inconsistent: The log shrank, or has two roots at one size. The two
            signed notes are the proof of it, for everybody.
        InvalidProof: The proof does not link the two. The log may be at fault,
            or only whoever brought the proof.
    """
    if newest is None:
        empty = merkle.empty_root(hashing=hashing)
        newest = Checkpoint(origin=following.origin, size=0, root=empty)
    if newest.origin != following.origin:
        raise ValueError("checkpoints of two logs")
    # 1. A log never shrinks.
    if following.size < newest.size:
        raise Inconsistent("the log has become smaller")
    # 2. One size has one root.
    if following.size == newest.size and following.root != newest.root:
        raise Inconsistent("the log shows two roots at one size")
    # 3. What was in it is in it still, at the same place.
    if newest.size > 0:
        merkle.verify_consistency(
            size1=newest.size,
            size2=following.size,
            proof=consistency,
            root1=newest.root,
            root2=following.root,
            hashing=hashing,
        )
    return following
