"""Calls: those answered, those made, and what is kept of each."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.receipts import Countersignature, Receipt, SignedReceipt
from node.domain.disclosure import Caller, Request, Situation
from node.domain.negotiation import Role
from node.domain.steps import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCall:
    """A call that this node made, kept before it was sent.

    Attributes:
        token: Signed by us: that we asked. Without a receipt, all there is to show.
        receipt_id: Of the answer; None while, or if, there is none.
    """

    nonce: str
    stream: str
    provider: str
    agreement: str
    request_hash: str
    token: str
    at: datetime.datetime
    receipt_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What this node read from a partner, and how its checks came out.

    Attributes:
        countersignature: Ours, over a receipt that we have checked.
        delivered: Whether the provider is known to have it.
    """

    signed: SignedReceipt
    at: datetime.datetime
    verified: bool
    checks: Sequence[Mapping[str, str]]
    disclosure: Mapping[str, Any] | None
    countersignature: Countersignature | None = None
    delivered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A receipt that we signed back, and whose provider may not know."""

    signed: SignedReceipt
    countersignature: Countersignature


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A receipt in the log's order, and where it stands in the tree.

    Attributes:
        token: The caller's, as it came with the call; None where there was none.
    """

    sequence: int
    signed: SignedReceipt
    salt: bytes
    index: int | None
    countersignature: Countersignature | None
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReceipt:
    """A receipt of a step of a plan, in short.

    Attributes:
        at: When the step was decided, as the receipt has it.
        party: DID of the provider.
        step: Its name.
        spent: Micro-epsilon.
        state: How far it is. Of ours `sequenced`, `integrated` or `anchored`; of
            those that we received `verified` or `unverified`.
    """

    receipt_id: str
    at: str
    party: str
    step: str
    decision: str
    denials: tuple[str, ...]
    spent: int
    state: str


class Receipts(Protocol):
    """Receipts, their streams, nonces and usage, and the log built over them."""

    def situation(self, request: Call, caller: Caller, hour: int) -> Situation:
        """Return what a decision about this request depends on."""
        ...

    def claim(self, caller: Caller, until: datetime.datetime) -> bool:
        """Use up the caller's nonce; False when it was used before."""
        ...

    def probe(self, request: Request, cap: Mapping[str, int]) -> bool:
        """Count what a call asks about hidden fields; False beyond the caps."""
        ...

    def forget_nonces(self, before: datetime.datetime) -> None:
        """Drop nonces that no acceptable token can carry any more."""
        ...

    def count_call(self, agreement: str, hour: int, cap: int) -> bool:
        """Count one answered call; False when that would exceed the cap."""
        ...

    def head(self, stream: str) -> tuple[int, str]:
        """Return the next sequence number of a stream and its newest receipt id.

        Holds the stream for this transaction, so that no two receipts follow
        the same one.
        """
        ...

    def append(
        self,
        signed: SignedReceipt,
        *,
        salt: bytes,
        token: str | None,
        question: str,
        took_ms: int,
    ) -> int:
        """Append a receipt to its stream and to the log's order.

        Args:
            token: The caller's token, which shows that it asked.
            question: The policy's input, canonical JSON, so that the decision can
                be made again.
        """
        ...

    def of_plan(
        self, plan: str, asker: str, role: Role, most: int
    ) -> Sequence[StepReceipt]:
        """Return the newest receipts of the steps of a plan, oldest first.

        Those that are erased say no longer which plan they are of.

        Args:
            plan: Its hash.
            asker: DID of whoever signed it. Others may have sent it, too.
            role: Provider for receipts that we wrote, consumer for those received.
            most: How many at most.
        """
        ...

    def question(self, receipt_id: str) -> str | None:
        """Return the policy's input behind a receipt, or None."""
        ...

    def countersign(self, receipt_id: str, countersignature: Countersignature) -> None:
        """Keep the consumer's signature beside a receipt."""
        ...

    def at(self, stream: str, sequence: int) -> str | None:
        """Return the id of the receipt of ours at a place of a stream, or None."""
        ...

    def unacknowledged(self, stream: str, but: Collection[str], most: int) -> int:
        """Count receipts of a stream that its consumer has not signed back.

        Args:
            but: Ids of receipts that are not counted.
            most: Where counting ends.
        """
        ...

    def send(self, call: SentCall) -> None:
        """Keep a call that we are about to make."""
        ...

    def sent(self, nonce: str) -> SentCall | None:
        """Return a call that we made, or None."""
        ...

    def newest(self, stream: str) -> tuple[int, str] | None:
        """Return number and id of the newest verified receipt that we received."""
        ...

    def neighbours(self, receipt: Receipt) -> Sequence[SignedReceipt]:
        """Return what we received verified of a stream at a place and beside it."""
        ...

    def owing(self) -> Sequence[str]:
        """Return the streams of which `owed` has some."""
        ...

    def owed(self, stream: str, before: datetime.datetime) -> Sequence[Owed]:
        """Return received receipts that we signed and whose provider may not know.

        Args:
            before: Received no later.

        Returns:
            128 at most, oldest first.
        """
        ...

    def delivered(self, receipts: Collection[str]) -> None:
        """Note that providers have our signatures over these receipts."""
        ...

    def entry(self, receipt_id: str) -> LogEntry | None:
        """Return a receipt's log entry, or None."""
        ...

    def entries(self, receipts: Collection[str]) -> Mapping[str, LogEntry]:
        """Return the log entries of receipts by id, of those that are not erased."""
        ...

    def receive(self, received: Received) -> None:
        """Keep what a partner's node answered us."""
        ...

    def received(self, receipt_id: str) -> Received | None:
        """Return what we received with a receipt, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasable:
    """A receipt as it concerns whoever wants to erase what it says.

    Attributes:
        at: When it was written, or received.
        waiting: Whether it is ours and not in the tree yet.
        erased: When and why it was erased, or None.
    """

    receipt_id: str
    at: datetime.datetime
    waiting: bool
    erased: tuple[datetime.datetime, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that a receipt of ours says and that opens it: what erasure takes away.

    Attributes:
        token: The caller's token, or None.
        question: The policy's input, canonical JSON.
    """

    signed: SignedReceipt
    salt: bytes
    index: int
    token: str | None
    question: str | None
    countersignature: Countersignature | None
    took_ms: int


class Erasure(Protocol):
    """Takes away what receipts say, and leaves that they were.

    Id, place in stream and log, and time stay, so that streams have no gap and the
    log verifies. This holds for receipts that we wrote, and for those we received.
    """

    def look(self, receipt_id: str) -> Erasable | None:
        """Return what erasure has to know about a receipt, or None."""
        ...

    def due(self, before: datetime.datetime, most: int) -> Sequence[str]:
        """Return ids of receipts that can be erased: integrated, and from before."""
        ...

    def erase(self, receipts: Collection[str], at: datetime.datetime, why: str) -> int:
        """Erase what receipts say; return how many said something."""
        ...

    def forget_calls(self, before: datetime.datetime) -> int:
        """Forget calls of ours from before that time, which were answered or not."""
        ...

    def restore(self, content: Content) -> bool:
        """Put back what was erased; False where it was not.

        Raises:
            Conflict: No such receipt was erased here, or the log holds another leaf
                at its place; nothing was put back.
        """
        ...
