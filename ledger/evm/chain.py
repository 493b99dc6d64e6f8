"""The embedded chain: one transaction, one block, on disk before it is answered.

There is nothing to agree on in one process, so a transaction that is valid now is
executed now, in a block of its own. What would be a pool of waiting transactions
elsewhere is a refusal here: a nonce that skips one is an error, not a promise.

Gas is counted and costs nothing: the base fee starts at zero, and stays there
because no transaction may use more than half of a block (EIP-1559 raises the fee
only above half). Members need no funds, and there are none.

Rules are those of the Paris fork, the last one before blocks carry withdrawals and
beacon roots, which a chain without a beacon has no use for. Timestamps grow by at
least one second per block, so a burst of blocks runs ahead of the clock and waits
for it afterwards.

Sources: EIP-155, EIP-1559, EIP-2718, EIP-3675.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from eth.abc import (
    BlockAPI,
    BlockHeaderAPI,
    ReceiptAPI,
    SignedTransactionAPI,
    StateAPI,
)
from eth.chains.base import MiningChain
from eth.constants import GENESIS_BLOCK_NUMBER
from eth.estimators.gas import binary_gas_search_1000_tolerance
from eth.exceptions import HeaderNotFound, Revert, TransactionNotFound, VMError
from eth.typing import HeaderParams
from eth.vm.forks.paris import ParisVM
from eth_typing import BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from ledger.evm.store import Log, LogFilter, Store
from ledger.evm.transactions import (
    BLOCK_GAS,
    CHAIN_ID,
    Message,
    Rejected,
    decode,
    unsigned,
)

MAX_LOGS: Final = 10_000
_ERROR: Final = bytes.fromhex("08c379a0")


class UnknownBlock(Rejected):
    """There is no block of this number or hash."""


class Reverted(Rejected):
    """A contract refused, with the bytes that it gave as its reason."""

    def __init__(self, output: bytes) -> None:
        super().__init__("execution reverted" + _reason(output))
        self.output = output


class Mined(NamedTuple):
    """A transaction, the block it is alone in, and what came of it."""

    transaction: SignedTransactionAPI
    header: BlockHeaderAPI
    receipt: ReceiptAPI


class _Chain(MiningChain):
    vm_configuration = ((GENESIS_BLOCK_NUMBER, ParisVM),)
    chain_id = CHAIN_ID


class EmbeddedChain:
    """A chain in one file. Not for two threads at once."""

    def __init__(self, path: Path, *, clock: Callable[[], int]) -> None:
        """Open the chain in a file, or begin one.

        Args:
            path: The SQLite file; its folder exists.
            clock: Seconds since 1970, UTC.

        Raises:
            sqlite3.OperationalError: Another process has the file open.
        """
        self._clock = clock
        self._store = Store(path)
        if self._store.is_empty():
            genesis: dict[str, HeaderParams] = {
                "timestamp": clock(),
                "gas_limit": BLOCK_GAS,
                "base_fee_per_gas": 0,
            }
            with self._store.transaction():
                _Chain.from_genesis(self._store.entries, genesis)
        self._chain = _Chain(self._store.entries)

    def close(self) -> None:
        """Release the file."""
        self._store.close()

    # -- writing ------------------------------------------------------------

    def send(self, raw: bytes) -> bytes:
        """Execute a signed transaction in a block of its own; return its hash.

        When this returns, the block is on disk.

        Raises:
            Rejected: It does not parse, is not signed for this chain, has another
                nonce than the sender's next, offers money that is not there, or
                was carried out before ("already known"). Nothing was written.
        """
        transaction = decode(raw)
        self._check_nonce(transaction)
        head = self.header()
        header = self._chain.create_header_from_parent(
            head,
            timestamp=max(head.timestamp + 1, self._clock()),
            gas_limit=head.gas_limit,
        )
        try:
            with self._store.transaction():
                self._chain.header = header
                result, (receipt,), _ = self._chain.mine_all([transaction])
                self._index(result.imported_block, transaction, receipt)
        except ValidationError as error:
            raise Rejected(str(error)) from error
        return bytes(transaction.hash)

    def _check_nonce(self, transaction: SignedTransactionAPI) -> None:
        nonce = self.state().get_nonce(transaction.sender)
        if transaction.nonce > nonce:
            raise Rejected(f"nonce too high: the next is {nonce}")
        if transaction.nonce < nonce:
            known = self.mined(transaction.hash) is not None
            raise Rejected("already known" if known else "nonce too low")

    def _index(
        self, block: BlockAPI, transaction: SignedTransactionAPI, receipt: ReceiptAPI
    ) -> None:
        for position, log in enumerate(receipt.logs):
            topics = tuple(topic.to_bytes(32, "big") for topic in log.topics)
            row = (block.number, position, log.address, topics, log.data)
            self._store.add_log(Log(*row, block.hash, transaction.hash))

    # -- reading ------------------------------------------------------------

    def header(self, block: int | bytes | None = None) -> BlockHeaderAPI:
        """Return a block's header by number or hash, or the newest.

        Raises:
            UnknownBlock: There is no such block.
        """
        try:
            if block is None:
                return self._chain.get_canonical_head()
            if isinstance(block, bytes):
                return self._chain.get_block_header_by_hash(Hash32(block))
            number = BlockNumber(block)
            return self._chain.get_canonical_block_header_by_number(number)
        except HeaderNotFound as error:
            raise UnknownBlock("no such block") from error

    def block(self, header: BlockHeaderAPI) -> BlockAPI:
        """Return the block under a header."""
        return self._chain.get_block_by_header(header)

    def state(self, header: BlockHeaderAPI | None = None) -> StateAPI:
        """Return the accounts as they were after a block, or after the newest."""
        return self._chain.get_vm(header or self.header()).state

    def mined(self, transaction_hash: bytes) -> Mined | None:
        """Return a transaction that is in a block, by its hash, or None."""
        try:
            wanted = Hash32(transaction_hash)
            number, _ = self._chain.get_canonical_transaction_index(wanted)
        except TransactionNotFound:
            return None
        header = self.header(number)
        return Mined(
            self._chain.get_canonical_transaction_by_index(number, 0),
            header,
            self._chain.get_transaction_receipt_by_index(number, 0),
        )

    def logs(self, wanted: LogFilter) -> list[Log]:
        """Return the events that a filter accepts, oldest first.

        Raises:
            Rejected: There are more than `MAX_LOGS`.
        """
        found = self._store.logs(wanted, limit=MAX_LOGS + 1)
        if len(found) > MAX_LOGS:
            raise Rejected(f"more than {MAX_LOGS} events; ask for fewer blocks")
        return found

    # -- trying -------------------------------------------------------------

    def call(self, message: Message, header: BlockHeaderAPI) -> bytes:
        """Run a call on the accounts after a block, and forget what it changed.

        Raises:
            Reverted: The contract refused.
            Rejected: The call failed otherwise, as for want of gas.
        """
        with self._trial(header) as state:
            computation = state.apply_transaction(unsigned(message, state))
            computation.raise_if_error()
        return bytes(computation.output)

    def estimate(self, message: Message) -> int:
        """Return enough gas for a call, at most 1000 more than it needs.

        Raises:
            Reverted: The contract refuses it with any amount of gas.
            Rejected: It fails otherwise.
        """
        with self._trial(self.header()) as state:
            transaction = unsigned(message, state)
            return int(binary_gas_search_1000_tolerance(state, transaction))

    @contextmanager
    def _trial(self, header: BlockHeaderAPI) -> Iterator[StateAPI]:
        """Lend the accounts after a block, and put into our words what fails."""
        try:
            with self._chain.get_vm(header).in_costless_state() as state:
                yield state
        except Revert as error:
            raise Reverted(error.args[0]) from error
        except (VMError, ValidationError) as error:
            raise Rejected(f"{type(error).__name__}: {error}") from error


def _reason(output: bytes) -> str:
    """Read the text out of `Error(string)`, the ABI's form for a reason."""
    if output[:4] != _ERROR:
        return ""
    length = int.from_bytes(output[36:68], "big")
    return ": " + output[68 : 68 + length].decode("utf-8", "replace")
