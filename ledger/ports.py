"""What the ledger asks of the world: a chain to read, and to anchor on.

The docstrings state the duty of the implementer; `ledger.memory` keeps them
without a disk or a network. Both are synchronous: a caller inside an event loop
runs them in a thread. (What a log needs of a store is one callable,
`crypto.merkle.Reader`.)
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """An anchor that the chain holds, as final as the chain's rule makes it.

    Attributes:
        epoch: The member's epoch, counted from 1.
        commitment: What the chain holds for it, 32 bytes.
        transaction: Transaction hash, `0x` and 64 lower-case hex digits.
        block: Number of the block that holds the transaction.
    """

    epoch: int
    commitment: bytes
    transaction: str
    block: int


class ChainReader(Protocol):
    """Reads the anchor contract. All that a verifier needs of a chain.

    A member is the address that anchors. Addresses are `0x` and 40 lower-case
    hex digits going out, of any case coming in. The contract keeps exactly one
    commitment per member and epoch, epochs grow by one from 1, and nothing
    written is ever changed.
    """

    @property
    def chain_id(self) -> int:
        """Return the id of the chain that is asked (EIP-155)."""
        ...

    @property
    def contract(self) -> str:
        """Return the address of the contract that is asked."""
        ...

    def commitment(self, member: str, epoch: int) -> bytes | None:
        """Return the 32 bytes anchored by a member for an epoch, or None.

        None means: the chain answered, and holds nothing there.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        ...

    def anchored_at(self, member: str, epoch: int) -> int | None:
        """Return when a member anchored for an epoch, or None where it did not.

        Seconds since 1970, by the clock of the block that holds the anchor.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        ...

    def latest_epoch(self, member: str) -> int:
        """Return the member's newest epoch, 0 when it never anchored.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        ...


class Anchors(ChainReader, Protocol):
    """Writes this member's anchors, and reads everybody's."""

    @property
    def member(self) -> str:
        """Return the address under which this member anchors."""
        ...

    def anchor(self, *, epoch: int, commitment: bytes) -> Anchored:
        """Anchor 32 bytes for an epoch; return once the chain holds them for good.

        Calling again with the same two values is harmless and returns the same
        anchor, so that a crash between writing and remembering mends itself.

        Raises:
            Inconsistent: The chain holds something else for this epoch, or the
                epoch is not the next one.
            ChainUnavailable: No answer in time. It may or may not be written;
                call again.
        """
        ...
