"""Writes anchors to a chain, through web3. The only module that imports it.

A member has at most one anchor under way: the contract takes the next epoch only
after the last, and `anchor` returns only when its transaction is in a block. So
there is no queue of nonces to keep. The next nonce is what the chain says it is,
and an attempt whose answer got lost is mended by trying again: either the epoch is
already there, or the very same transaction (signing is deterministic) is already
known to the node.

The key never leaves its handle. web3 builds the transaction, the handle signs its
digest, and the transaction's hash is known before anything is sent.

web3's own retrying is off: it would send a transaction twice and report the second
refusal. Blocks are final when made (QBFT, and the embedded chain); on a chain that
can be reorganised an anchor may vanish after `anchor` returned it.

Sources: EIP-155, EIP-1559, EIP-2718; `docs/protocols/anchoring.md`.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import requests
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.exceptions import TransactionNotFound, Web3Exception, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import EventData, TxReceipt, Wei

from crypto.keys import Secp256k1Key
from ledger.contracts import anchors
from ledger.errors import ChainUnavailable, Inconsistent
from ledger.ports import Anchored
from ledger.rpc_reader import RpcChainReader

DEPLOY_GAS: Final = 500_000
ANCHOR_GAS: Final = 200_000
"""About twice what is used (`ledger/contracts/gas.json`); unused gas is free."""

_ZERO: Final = bytes(32)

# The last four are how an answer of the wrong shape shows.
_FOREIGN: Final = (
    Web3Exception,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)


class Web3Anchors(RpcChainReader):
    """A `ledger.ports.Anchors` over a node's JSON-RPC. For one thread at a time."""

    def __init__(
        self,
        url: str,
        *,
        key: Secp256k1Key,
        contract: str,
        chain_id: int | None = None,
        timeout_s: float = 5.0,
        wait_s: float = 60.0,
    ) -> None:
        """Name the node, the contract and the key; nothing is asked yet.

        Args:
            url: The node's JSON-RPC endpoint.
            key: The member's; its address is the member on chain.
            contract: The anchor contract's address (`deploy` makes one).
            chain_id: Id of the chain that the node must serve; None takes its word.
            timeout_s: For each question.
            wait_s: For a transaction to get into a block.
        """
        super().__init__(url, contract, chain_id=chain_id, timeout_s=timeout_s)
        self._sender = _Sender(url, key, timeout_s=timeout_s, wait_s=wait_s)
        self._web3_contract = self._sender.web3.eth.contract(
            Web3.to_checksum_address(contract), abi=anchors().abi
        )
        self._member = key.address.lower()

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._sender.close()

    @property
    def member(self) -> str:
        """The address under which this member anchors, in lower case."""
        return self._member

    def anchor(
        self, *, epoch: int, commitment: bytes, previous: bytes | None = None
    ) -> Anchored:
        """Anchor 32 bytes for an epoch; return once they are in a block.

        Args:
            epoch: The member's last epoch plus one; or one that is already
                anchored with the same commitment, which changes nothing.
            commitment: 32 bytes, not all zero.
            previous: The commitment of the epoch before as the member remembers it
                (zeros before the first); None takes the chain's word for it.

        Raises:
            Inconsistent: The chain holds another commitment for this epoch or for
                the one before, or this epoch is not the next.
            ChainUnavailable: No answer in time. It may or may not be written;
                call again with the same values.
        """
        # 1. Is it there already?
        if (found := self._find(epoch, commitment)) is not None:
            return found
        # 2. Does it follow what is there?
        last = self.latest_epoch(self.member)
        before = self.commitment(self.member, last) or _ZERO
        if epoch != last + 1:
            raise Inconsistent(f"the chain is at epoch {last}, {epoch} is not the next")
        if previous not in (None, before):
            raise Inconsistent(f"the chain holds another commitment for epoch {last}")
        # 3. Write it, and see what the contract made of it.
        call = self._web3_contract.encode_abi("anchor", [epoch, commitment, before])
        data = bytes.fromhex(call.removeprefix("0x"))
        with _translated():
            sent = self._sender.send(data, to=self.contract, gas=ANCHOR_GAS)
            if sent["status"] == 1:
                return _anchored(epoch, commitment, sent)
        # 4. Refused: somebody else writes with this key.
        if (found := self._find(epoch, commitment)) is None:
            raise Inconsistent(f"the contract refused epoch {epoch}")
        return found

    def _find(self, epoch: int, commitment: bytes) -> Anchored | None:
        held = self.commitment(self.member, epoch)
        if held is None:
            return None
        if held != commitment:
            raise Inconsistent(f"the chain holds another commitment for epoch {epoch}")
        with _translated():
            events = self._web3_contract.events.CheckpointAnchored().get_logs(
                from_block=0,
                argument_filters={
                    "member": Web3.to_checksum_address(self.member),
                    "epoch": epoch,
                },
            )
            for event in events:
                return _anchored(epoch, commitment, event)
        raise ChainUnavailable(f"the node no longer knows the event of epoch {epoch}")


def _anchored(epoch: int, commitment: bytes, at: TxReceipt | EventData) -> Anchored:
    return Anchored(
        epoch=epoch,
        commitment=commitment,
        transaction=at["transactionHash"].to_0x_hex(),
        block=at["blockNumber"],
    )


def deploy(
    url: str, *, key: Secp256k1Key, timeout_s: float = 5.0, wait_s: float = 60.0
) -> str:
    """Create the anchor contract; return its address, in lower case.

    Once for a consortium, by anybody: the contract has no owner.

    Raises:
        ChainUnavailable: No answer in time, or the chain refused.
    """
    sender = _Sender(url, key, timeout_s=timeout_s, wait_s=wait_s)
    with closing(sender), _translated():
        made = sender.send(anchors().bytecode, to=None, gas=DEPLOY_GAS)
        if made["status"] == 1 and made["contractAddress"]:
            return made["contractAddress"].lower()
    raise ChainUnavailable("the chain refused the contract")


class _Sender:
    """Signs transactions with a key handle and sees them into a block."""

    def __init__(
        self, url: str, key: Secp256k1Key, *, timeout_s: float, wait_s: float
    ) -> None:
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy stands between us and the chain
        self.web3 = Web3(
            HTTPProvider(
                url,
                session=self._http,
                request_kwargs={"timeout": timeout_s},
                exception_retry_configuration=None,
            )
        )
        # Validators sign blocks in a field where web3 expects 32 bytes at most.
        self.web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self._key = key
        self._wait_s = wait_s

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, data: bytes, *, to: str | None, gas: int) -> TxReceipt:
        """Send one transaction and wait for its receipt. Raises what web3 does."""
        raw = self._sign(data, to=to, gas=gas)
        own = Web3.keccak(raw)
        try:
            self.web3.eth.send_raw_transaction(raw)
        except Web3RPCError as refusal:
            # Each node words "already known" differently. Does it know it?
            if not self._is_known(own):
                raise ChainUnavailable(f"the node refused: {refusal}") from refusal
        return self.web3.eth.wait_for_transaction_receipt(own, self._wait_s)

    def _is_known(self, transaction: HexBytes) -> bool:
        try:
            self.web3.eth.get_transaction(transaction)
        except TransactionNotFound:
            return False
        return True

    def _sign(self, data: bytes, *, to: str | None, gas: int) -> bytes:
        eth = self.web3.eth
        # A chain whose base fee is zero has free gas, whatever tip it suggests.
        base = eth.get_block("latest").get("baseFeePerGas", Wei(0))
        tip = eth.max_priority_fee if base else Wei(0)
        member = Web3.to_checksum_address(self._key.address)
        fields = {
            "type": 2,
            "chainId": eth.chain_id,
            "nonce": eth.get_transaction_count(member, "latest"),
            "gas": gas,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": tip + 2 * base,
            "to": bytes.fromhex(to[2:]) if to else b"",
            "value": 0,
            "data": data,
        }
        signature = self._key.sign_digest(TypedTransaction.from_dict(fields).hash())
        fields["r"] = int.from_bytes(signature[:32], "big")
        fields["s"] = int.from_bytes(signature[32:64], "big")
        fields["v"] = signature[64]
        return TypedTransaction.from_dict(fields).encode()


@contextmanager
def _translated() -> Iterator[None]:
    """Say in our words what web3 and its HTTP client raise."""
    try:
        yield
    except _FOREIGN as error:
        raise ChainUnavailable(f"{type(error).__name__}: {error}") from error
