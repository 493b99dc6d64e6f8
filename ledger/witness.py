"""The law of a witness: when may a checkpoint be cosigned?

A request brings a checkpoint, the size that the sender believes we hold, and the
proof that leads from there:

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=

    127.0.0.1:8101/log
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — 127.0.0.1:8101/log Az3grlgtzPICa5OS8npVmf1Myq/5…

`judge` is handed what is held and says what to do. It does nothing. Whoever keeps
the checkpoint MUST hold, from before the judgement until it is kept, what was judged
on: two requests that are judged on one state could make the log go back.

    Cosign      it continues what is held, or is the same again
    Conflict    the sender is wrong about what is held, and is told
    Refused     anything else, with the status that the specification gives

Whatever the decision, a checkpoint of a size that is held, with another root, proves
that its log has two histories (`ledger.equivocation`).

Spec: c2sp.org/tlog-witness, `add-checkpoint`; `docs/protocols/witnesses.md`.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from crypto import merkle
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.hashing import Hashing
from crypto.notes import Checkpoint, parse_checkpoint, split_note
from ledger.checkpoint import open_checkpoint, origin_of
from ledger.participants import Participant

MOST_STEPS: Final = 63
MOST_LINES: Final = 16
"""Signature lines of a checkpoint. The least that signed-note asks to accept: each
costs whoever reads it, and a log needs one."""
SIZE_MEDIA: Final = "text/x.tlog.size"
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")
_SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a log asks of a witness. Nothing of it is verified.

    Attributes:
        old: Size from which on the log believes that it has to show consistency.
        proof: Consistency proof, 32 bytes each, 63 at most.
        note: The checkpoint, with its signature lines.
    """

    old: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def origin(self) -> str:
        """The log that the checkpoint says it is of."""
        return parse_checkpoint(split_note(self.note)[0]).origin

    def render(self) -> str:
        """Return the body of the request."""
        steps = "".join(f"{base64.b64encode(step).decode()}\n" for step in self.proof)
        return f"old {self.old}\n{steps}\n{self.note}"


def parse_request(body: bytes) -> Request:
    """Read the body of a request; the inverse of `Request.render`.

    Raises:
        Malformed: Not of that form, or what follows the empty line is no checkpoint.
    """
    try:
        head, blank, note = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise Malformed("a request that is not UTF-8") from None
    first, *steps = head.split("\n")
    old = _OLD.fullmatch(first)
    if not blank or old is None:
        raise Malformed("a request is `old`, a proof, an empty line and a checkpoint")
    if len(steps) > MOST_STEPS:
        raise Malformed("a consistency proof of more than 63 lines")
    text, lines = split_note(note)
    parse_checkpoint(text)
    if len(lines) > MOST_LINES:
        raise Malformed("a checkpoint with more than 16 signature lines")
    proof = tuple(_hash(each) for each in steps)
    return Request(old=int(old[1]), proof=proof, note=note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The newest checkpoint that a witness has cosigned of a log."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosign:
    """The checkpoint is to be kept, then cosigned.

    Attributes:
        changes: False where it is the one that is held: then nothing is to be kept.
    """

    changes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Status 409: the size that is held is another than the sender believes."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Not cosigned. `status` is that of the specification: 400, 403, 404 or 422."""

    status: int
    why: str


Decision: TypeAlias = Cosign | Conflict | Refused


def open_request(
    request: Request, logs: Mapping[str, Participant]
) -> tuple[Participant, Checkpoint] | Refused:
    """Verify that a request's checkpoint is that of a known log.

    Signed with its key of now: what only a key of its past signed may come from
    whoever has that key today.

    Args:
        logs: Whose logs are witnessed, as *pinned*, by their origins.
    """
    log = logs.get(request.origin)
    if log is None:
        return Refused(status=404, why="no log of this origin is known here")
    origin, keys = origin_of(log.did), [log.signing]
    try:
        return log, open_checkpoint(request.note, origin=origin, keys=keys)
    except (InvalidSignature, Malformed) as error:
        return Refused(status=403, why=str(error))


def judge(
    old: int,
    proof: Sequence[bytes],
    checkpoint: Checkpoint,
    held: Held | None,
    *,
    hashing: Hashing = "sha-256",
) -> Decision:
    """Decide about a checkpoint that is verified to be its log's own.

    Args:
        old: Size that the log believes we hold.
        proof: From that size to the checkpoint's.
        checkpoint: Verified (`open_request`).
        held: Newest checkpoint that we cosigned of this log; None before the first.
        hashing: What the log's tree is built with.
    """
    # 1. A proof leads from a smaller tree to a larger one.
    if old > checkpoint.size:
        return Refused(status=400, why="the old size is beyond the checkpoint's")
    # 2. It must lead from what we hold: else the log could go back.
    size = held.size if held else 0
    if old != size:
        return Conflict(size=size)
    # 3. Whatever was in the tree is in it still.
    if why := _break(proof, checkpoint, held, hashing):
        return Refused(status=422, why=why)
    return Cosign(changes=held is None or checkpoint.size > size)


def _break(
    proof: Sequence[bytes], checkpoint: Checkpoint, held: Held | None, hashing: Hashing
) -> str | None:
    """Say why a checkpoint does not continue what is held, or None."""
    # 1. The empty tree has one root.
    if checkpoint.size == 0 and checkpoint.root != merkle.empty_root(hashing=hashing):
        return "a tree of no leaves has another root"
    # 2. Everything continues the empty tree, and needs no proof.
    if held is None or held.size == 0:
        return "a proof from the empty tree is empty" if proof else None
    # 3. One size has one root; a larger tree begins with the smaller one.
    try:
        merkle.verify_consistency(
            size1=held.size,
            size2=checkpoint.size,
            proof=proof,
            root1=held.root,
            root2=checkpoint.root,
            hashing=hashing,
        )
    except InvalidProof as error:
        return str(error)
    return None


def render_size(size: int) -> str:
    """Return the body of a conflict: the size that is held."""
    return f"{size}\n"


def parse_size(body: str) -> int:
    """Read the body of a conflict. Raises `Malformed`."""
    if (found := _SIZE.fullmatch(body)) is None:
        raise Malformed("a conflict names a size")
    return int(found[1])


def _hash(line: str) -> bytes:
    try:
        step = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("a line of a proof that is not base64") from None
    if len(step) != 32 or base64.b64encode(step).decode() != line:
        raise Malformed("a line of a proof that is not a hash")
    return step
