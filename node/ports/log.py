"""The log over receipts and snapshots: its tree, checkpoints and anchors."""

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from ledger.ports import Account
from ledger.receipts import SignedReceipt
from ledger.snapshots import SignedSnapshot

AnchorState: TypeAlias = Literal[
    "queued", "signed", "sent", "mined", "final", "adopted"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A receipt or a snapshot that is not in the tree yet.

    Attributes:
        row: By which the store finds it again.
    """

    row: tuple[str, int]
    signed: SignedReceipt | SignedSnapshot
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoint:
    """A published checkpoint: its signed note, and the size it speaks of."""

    size: int
    root: bytes
    note: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnchor:
    """One epoch's anchor, and how far it has come.

    Attributes:
        member: The address that anchors.
        size: Of the tree that is anchored; 0 where the chain's word was adopted.
        at: When it was begun.
        nonce: Of the transaction that was signed last.
        raw: That transaction, kept before it is sent.
        transaction: Its hash; once the chain holds the anchor, of the one that did it.
        signed_at: When it was signed, or was seen to be gone.
        block: Number of the block that holds it.
        block_hash: And its hash, `0x` and 64 hex digits.
    """

    chain_id: int
    contract: str
    member: str
    epoch: int
    size: int
    note: str
    salt: bytes
    commitment: bytes
    at: datetime.datetime
    state: AnchorState = "queued"
    nonce: int | None = None
    raw: bytes | None = field(default=None, repr=False)
    transaction: str | None = None
    signed_at: datetime.datetime | None = None
    block: int | None = None
    block_hash: str | None = None

    @property
    def account(self) -> Account:
        """Return whose epochs these are, at which contract of which chain."""
        return Account(self.chain_id, self.contract, self.member)


class Turns(Protocol):
    """What several processes on one store share out among themselves."""

    def take(
        self, name: str, holder: str, now: datetime.datetime, seconds: int
    ) -> bool:
        """Take, or keep, a turn; False while another process has it.

        Whoever dies loses it when its time is over. That two have one, because their
        clocks differ, costs work and nothing else.

        Args:
            name: What one process does alone.
            holder: Names this process.
            seconds: How long it is the holder's, if it is not taken again.
        """
        ...

    def give_back(self, name: str, holder: str) -> None:
        """End a turn that this process has."""
        ...

    def want(self, agreement: str) -> None:
        """Have the snapshot of an agreement looked at as a whole, by some process."""
        ...

    def wanted(self) -> Mapping[str, int]:
        """Return the agreements that are wanted, and how often since their build."""
        ...

    def built(self, agreement: str, wish: int) -> None:
        """End a wish, unless it was repeated meanwhile."""
        ...


class Log(Protocol):
    """The tree over the receipts, its checkpoints and their anchors."""

    def lead(self) -> bool:
        """Tell whether this transaction may keep the log: grow it, or anchor it.

        Of several processes on one store one at a time may, until its transaction
        ends. The others do nothing and come back; nobody waits.
        """
        ...

    def waiting(self, most: int) -> Sequence[Waiting]:
        """Return entries not yet in the tree, in the log's order."""
        ...

    def size(self) -> int:
        """Return the number of entries in the tree."""
        ...

    def nodes(
        self, wanted: Iterable[tuple[int, int]]
    ) -> Mapping[tuple[int, int], bytes]:
        """Return stored hashes by (level, index)."""
        ...

    def integrate(
        self,
        first: int,
        entries: Sequence[Waiting],
        nodes: Iterable[tuple[int, int, bytes]],
    ) -> None:
        """Give entries their indexes, from `first` on, and store new nodes."""
        ...

    def publish(self, checkpoint: StoredCheckpoint) -> None:
        """Keep a signed checkpoint."""
        ...

    def checkpoint(self, size: int | None = None) -> StoredCheckpoint | None:
        """Return the checkpoint of a size, or the newest."""
        ...

    def keep_anchor(self, anchor: StoredAnchor) -> None:
        """Insert or replace an epoch's anchor."""
        ...

    def anchor(
        self, account: Account | None = None, epoch: int | None = None
    ) -> StoredAnchor | None:
        """Return the newest anchor, whatever its state; or the one of an epoch.

        Args:
            account: Of this one; without it, of the one that was begun with last.
            epoch: Of an account.
        """
        ...

    def anchors(
        self,
        account: Account,
        *,
        states: Collection[AnchorState] = (),
        after: int = 0,
        most: int = 1000,
    ) -> Sequence[StoredAnchor]:
        """Return an account's anchors by epoch, at most so many.

        Args:
            states: In one of these; in any, if none is named.
            after: Only of later epochs.
        """
        ...

    def unanchor(self, account: Account, after: int, at: datetime.datetime) -> None:
        """Have the anchors beyond an epoch sent again: the chain holds them no more."""
        ...

    def anchor_covering(self, index: int) -> StoredAnchor | None:
        """Return the first final anchor whose tree holds this index.

        One of the account that anchors now, where there is one.
        """
        ...
