"""What the ledger asks of the world: a chain to read, and to anchor on.

The docstrings state the duty of the implementer; `ledger.memory` keeps them
without a disk or a network. Both are synchronous: a caller inside an event loop
runs them in a thread. (What a log needs of a store is one callable,
`crypto.merkle.Reader`.)
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Account(NamedTuple):
    """Who anchors where. Every account has epochs of its own.

    Attributes:
        chain_id: EIP-155.
        contract: Address of the anchor contract, in lower case.
        member: Address that signs, in lower case.
    """

    chain_id: int
    contract: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A transaction that is signed, sent or not.

    Attributes:
        raw: What a node is given.
        transaction: Its hash, `0x` and 64 hex digits.
        nonce: Its number among those of its account, from 0.
    """

    raw: bytes
    transaction: str
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """A transaction that is in a block, for now.

    Attributes:
        block: The block's number.
        block_hash: And its hash, `0x` and 64 hex digits.
        ok: Whether it was carried out; if not, it changed nothing but the nonce.
    """

    block: int
    block_hash: str
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """An anchor that the chain holds, as final as the chain's rule makes it.

    Attributes:
        epoch: The member's epoch, counted from 1.
        commitment: What the chain holds for it, 32 bytes.
        transaction: Transaction hash, `0x` and 64 lower-case hex digits.
        block: Number of the block that holds the transaction.
        block_hash: And its hash, `0x` and 64 hex digits.
    """

    epoch: int
    commitment: bytes
    transaction: str
    block: int
    block_hash: str


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
    """Writes this member's anchors, and reads everybody's.

    A transaction is signed, sent and looked for in calls of its own, so that it can
    be written down before anybody else can know of it. All of them can be repeated.
    """

    @property
    def member(self) -> str:
        """Return the address under which this member anchors."""
        ...

    def nonce(self) -> int:
        """Return how many transactions of this member are in blocks.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        ...

    def sign(
        self,
        *,
        epoch: int,
        commitment: bytes,
        previous: bytes,
        nonce: int,
        instead_of: bytes | None = None,
    ) -> Signed:
        """Sign a transaction that anchors; nothing is sent.

        Args:
            epoch: The member's last epoch plus one.
            commitment: 32 bytes, not all zero.
            previous: The commitment of the epoch before; zeros before the first.
            nonce: The transaction's number.
            instead_of: One of the same number that is to be outbid. Where gas is free,
                or its fees are enough, the same transaction comes out again.

        Raises:
            ChainUnavailable: The chain was asked for its fees, and did not answer.
        """
        ...

    def send(self, signed: Signed) -> None:
        """Hand a transaction to the chain; one that it knows already is no fault.

        Raises:
            Refused: The chain does not take it: its nonce is used, say.
            ChainUnavailable: No answer. It may or may not have arrived: send it again.
        """
        ...

    def look(self, transaction: str) -> Mined | None:
        """Return where a transaction is; None while it is in no block.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        ...

    def find(self, epoch: int) -> Anchored | None:
        """Return this member's anchor of an epoch, whichever transaction made it.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        ...

    def is_final(self, mined: Mined) -> bool:
        """Tell whether a block is still there, and stays by the chain's rule.

        Raises:
            ChainUnavailable: No answer, or one that does not parse; or the chain
                knows no such rule.
        """
        ...
