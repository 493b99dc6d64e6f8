"""What is kept of others' logs and streams, and what a person must look at."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.receipts import Countersignature, SignedReceipt
from node.domain.negotiation import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that a person must look at, and that does not go away by itself.

    Attributes:
        code: What it is. While one that begins with `log.` is open, nothing is
            disclosed and nothing anchored: the log may have two histories.
        subject: What it is about: a DID, a log's origin, an epoch. May be empty.
        detail: In words.
    """

    code: str
    subject: str
    detail: str
    at: datetime.datetime

    @property
    def stops(self) -> bool:
        """Whether the node discloses nothing while it is open."""
        return self.code.startswith("log.")


class Alarms(Protocol):
    """What a person must look at. Kept until somebody says that it is mended."""

    def sound(self, alarm: Alarm) -> None:
        """Keep an alarm; one that is open already stays as it is."""
        ...

    def open(self) -> Sequence[Alarm]:
        """Return the open alarms, oldest first."""
        ...

    def clear(self, code: str, subject: str, why: str, at: datetime.datetime) -> bool:
        """End an alarm, for a reason that is kept; False where none is open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """A checkpoint of somebody's log that this node has verified and remembers.

    Attributes:
        origin: Of the log.
        note: Signed by the log, and by us where we cosigned it.
    """

    origin: str
    size: int
    root: bytes
    note: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """A witness's signature line under a checkpoint of our own log.

    Attributes:
        size: Of the checkpoint.
        witness: DID of the witness.
        line: Verified, with its final newline.
        at: When the witness says that it signed.
    """

    size: int
    witness: str
    line: str
    at: datetime.datetime


class Witness(Protocol):
    """What this node has seen of others' logs, and what others have seen of ours."""

    def hold(self, origin: str) -> Witnessed | None:
        """Return the newest checkpoint that we cosigned of a log, or None.

        Holds it for this transaction, also where there is none yet, so that nobody
        cosigns another meanwhile.
        """
        ...

    def newest(self, origin: str) -> Witnessed | None:
        """Return the newest checkpoint that we cosigned of a log, or None."""
        ...

    def keep(self, witnessed: Witnessed) -> None:
        """Replace the newest checkpoint that we cosigned of a log."""
        ...

    def met(self, origin: str, size: int) -> Witnessed | None:
        """Return what is remembered of a log at a size, or None."""
        ...

    def meet(self, witnessed: Witnessed) -> None:
        """Remember a checkpoint; of one size the first that was met.

        Of each log the largest ones are remembered, a thousand of them.
        """
        ...

    def keep_cosignature(self, cosigned: Cosigned) -> None:
        """Keep a witness's line under a checkpoint of our own, replacing its last.

        Lines stay with checkpoints that were anchored, and with the newest few.
        """
        ...

    def cosignatures(self, size: int) -> Sequence[Cosigned]:
        """Return the lines under our checkpoint of a size, in order of witnesses."""
        ...

    def reach(self) -> Mapping[str, int]:
        """Return the size of the newest checkpoint that each witness has cosigned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A proof, for anybody, that a participant broke the rules.

    Attributes:
        id: Hash of what it proves, 64 hex digits; the same from every finder.
        kind: `equivocation` or `fork`.
        participant: DID of the one at fault.
        proof: The file to hand on; its `typ` says what it is.
    """

    id: str
    kind: str
    participant: str
    proof: Mapping[str, Any]
    at: datetime.datetime


class Faults(Protocol):
    """Proofs of others' faults. Kept for good."""

    def keep(self, fault: Fault) -> None:
        """Keep a proof, unless it is there or there are enough.

        A hundred of one participant and kind are enough.
        """
        ...

    def all(self) -> Sequence[Fault]:
        """Return every proof, newest first, a thousand at most."""
        ...

    def get(self, fault_id: str) -> Fault | None:
        """Return a proof, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEntry:
    """A receipt of a stream, as one side's copy has it.

    Attributes:
        signed: None where its content was erased, or cannot be read.
        request: The consumer's token that came with the call, if it is here.
        verified: Whether all checks of the answer held; True for what we signed.
        delivered: Whether its provider is known to have our countersignature.
        erased: When and why, in words; None where it is not erased.
    """

    sequence: int
    receipt_id: str
    signed: SignedReceipt | None
    request: str | None
    countersignature: Countersignature | None
    verified: bool
    delivered: bool
    erased: str | None


class StreamCopy(Protocol):
    """One side's copy of streams: what we signed, or what we received."""

    def numbers(self, stream: str) -> Sequence[int]:
        """Return the numbers of the receipts that are here, ascending, each once."""
        ...

    def twice(self, stream: str) -> Sequence[int]:
        """Return numbers of which more than one receipt is here; 16 at most."""
        ...

    def at(self, stream: str, first: int, most: int = 1) -> Sequence[StreamEntry]:
        """Return the receipts of `most` numbers, from `first` on, in order."""
        ...

    def unsigned(self, stream: str, most: int) -> Sequence[int]:
        """Return numbers of receipts that the consumer has not signed, ascending.

        Without those whose content was erased.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How the last comparison of a stream with its partner came out.

    Attributes:
        state: `same`, `different` or `unreachable`.
        report: As `node.services.reconcile` gives it, a JSON object.
    """

    stream: str
    at: datetime.datetime
    state: str
    report: Mapping[str, Any]


class Streams(Protocol):
    """Both sides' copies of streams, and how they were last compared."""

    def copy(self, role: Role) -> StreamCopy:
        """Return the copy that we keep in a role."""
        ...

    def unanswered(self, stream: str, before: datetime.datetime) -> int:
        """Count the calls that we made before a time and hold no receipt of."""
        ...

    def keep(self, reconciled: Reconciled) -> None:
        """Replace how a stream was last compared."""
        ...

    def reconciled(self) -> Mapping[str, Reconciled]:
        """Return how each stream was last compared, by stream."""
        ...
