"""Sends transactions to a chain through web3, signed with a key handle.

A transaction is made in three steps that can be taken one by one. `sign` returns its
bytes and its hash, which is known before anything is sent and can be written down.
`send` hands it to the node, and does no harm when the node knows it already. `look`
asks what became of it. `transact` does all three and waits, for whoever stands by.

An account numbers its transactions without a gap (*nonces*). A node that anchors and
a command that somebody runs beside it may use one account, and then one key: `nonce`
counts what waits at the chain's node too, so that the second comes after the first
and does not replace it. Should both take the same number after all, the chain's node
takes one of the two and refuses the other, which `transact` signs again with the next.

Before it is sent, a call is tried (`eth_call`): a contract then tells why it would
refuse, which a transaction that failed in a block does not.

The key never leaves its handle: web3 builds the transaction, the handle signs its
digest. web3's own retrying is off; it would send a transaction twice and report the
second refusal.

This module alone imports web3, which takes a second and a half: whoever needs it
rarely imports it where it is needed.

Sources: EIP-155, EIP-1559, EIP-2718; Ethereum execution API.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import requests
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

_LIMIT: Final = sys.getrecursionlimit()

from web3 import HTTPProvider, Web3  # noqa: E402
from web3.exceptions import (  # noqa: E402
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.middleware import ExtraDataToPOAMiddleware  # noqa: E402
from web3.types import RPCEndpoint, TxReceipt, Wei  # noqa: E402

from crypto.keys import Secp256k1Key  # noqa: E402
from ledger.errors import ChainUnavailable, Refused  # noqa: E402
from ledger.jsonrpc import reason  # noqa: E402
from ledger.ports import Signed  # noqa: E402

# web3 raises it a hundredfold. A deeply nested JSON body would then overflow the stack
# instead of being refused.
sys.setrecursionlimit(_LIMIT)

_PAUSE_S: Final = 0.05
_MOST_TIMES: Final = 10

# The last four are how an answer of the wrong shape shows.
_FOREIGN: Final = (
    Web3Exception,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A transaction that is in a block.

    Attributes:
        block: The block's number.
        block_hash: And its hash, `0x` and 64 hex digits.
        ok: Whether it was carried out; if not, it changed nothing but the nonce.
        created: Address of the contract that it created, in lower case, or None.
    """

    transaction: str
    block: int
    block_hash: str
    ok: bool
    created: str | None


class Sender:
    """One account's transactions, over a node's JSON-RPC. For one thread at a time."""

    def __init__(
        self,
        url: str,
        key: Secp256k1Key,
        *,
        chain_id: int | None = None,
        timeout_s: float = 5.0,
        wait_s: float = 60.0,
    ) -> None:
        """Name the node and the key; nothing is asked yet.

        Args:
            url: The node's JSON-RPC endpoint.
            key: Of the account that sends.
            chain_id: Id of the chain that the node must serve; None takes its word.
            timeout_s: For each question.
            wait_s: For a transaction to get into a block (`transact`).
        """
        self.account = key.address.lower()
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy stands between us and the chain
        self._web3 = Web3(
            HTTPProvider(
                url,
                session=self._http,
                request_kwargs={"timeout": timeout_s},
                exception_retry_configuration=None,
            )
        )
        # Validators sign blocks in a field where web3 expects 32 bytes at most.
        self._web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self._key = key
        self._expected = chain_id
        self._wait_s = wait_s

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def chain_id(self) -> int:
        """Ask which chain the node serves.

        Raises:
            ChainUnavailable: No answer, or another chain than expected.
        """
        with _translated():
            found = int(self._web3.eth.chain_id)
        if self._expected not in (None, found):
            raise ChainUnavailable(f"a node of chain {found}, not {self._expected}")
        return found

    def nonce(self, as_of: Literal["pending", "latest"] = "pending") -> int:
        """Ask for the account's next number, after all that waits or is in blocks.

        Raises:
            ChainUnavailable: No answer.
        """
        with _translated():
            return int(self._web3.eth.get_transaction_count(self._address, as_of))

    def sign(
        self,
        call: bytes,
        *,
        to: str | None,
        gas: int,
        nonce: int,
        instead_of: bytes | None = None,
    ) -> Signed:
        """Sign a transaction for the chain that the node serves; send nothing.

        Signing is deterministic: the same values give the same bytes while the
        chain's fees are the same, and on a chain with free gas always.

        Args:
            call: Selector and arguments; or the code that creates a contract.
            to: The contract's address; None creates one.
            gas: Most that it may use; unused gas costs nothing.
            nonce: See `nonce`.
            instead_of: A transaction of ours with this nonce that waits. A quarter
                more is offered, so that nodes take it in its place, but never more
                than ten times what the chain asks now: then the same comes out again.

        Raises:
            ChainUnavailable: No answer, or another chain than expected.
        """
        tip, most = fees = self._fees()
        if instead_of is not None:
            tip, most = _outbid(_offered(instead_of), fees)
        fields = {
            "type": 2,
            "chainId": self.chain_id(),
            "nonce": nonce,
            "gas": gas,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": most,
            "to": bytes.fromhex(to[2:]) if to else b"",
            "value": 0,
            "data": call,
        }
        signature = self._key.sign_digest(TypedTransaction.from_dict(fields).hash())
        fields["r"] = int.from_bytes(signature[:32], "big")
        fields["s"] = int.from_bytes(signature[32:64], "big")
        fields["v"] = signature[64]
        raw = TypedTransaction.from_dict(fields).encode()
        return Signed(raw=raw, transaction=Web3.keccak(raw).to_0x_hex(), nonce=nonce)

    def send(self, signed: Signed) -> None:
        """Hand a transaction to the node; one that it knows already is no fault.

        Raises:
            Refused: The node does not take it: its nonce is used, say.
            ChainUnavailable: No answer. It may or may not have arrived: send it again.
        """
        try:
            with _translated():
                self._web3.eth.send_raw_transaction(signed.raw)
        except Refused:
            # Each node words "already known" differently. Does it know it?
            if not self._is_known(signed.transaction):
                raise

    def _is_known(self, transaction: str) -> bool:
        with _translated():
            try:
                self._web3.eth.get_transaction(HexBytes(transaction))
            except TransactionNotFound:
                return False
        return True

    def look(self, transaction: str) -> Found | None:
        """Ask what became of a transaction; None while it is in no block.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        with _translated():
            try:
                found = self._web3.eth.get_transaction_receipt(HexBytes(transaction))
            except TransactionNotFound:
                return None
            return _found(transaction, found)

    def transact(self, call: bytes, *, to: str | None, gas: int) -> Found:
        """Try a call, send it, and return when it is in a block.

        Args: as for `sign`.

        Raises:
            Refused: The contract or the node refuses; the text says why. Nothing
                changed.
            ChainUnavailable: No answer in time. It may still be carried out.
        """
        self.try_out(call, to=to, gas=gas)
        signed = self._sent(call, to=to, gas=gas)
        until = time.monotonic() + self._wait_s
        while (found := self.look(signed.transaction)) is None:
            if time.monotonic() > until:
                detail = f"{signed.transaction} is in no block after {self._wait_s} s"
                raise ChainUnavailable(detail)
            time.sleep(_PAUSE_S)
        if not found.ok:
            raise Refused(f"{signed.transaction} failed in block {found.block}")
        return found

    def _sent(self, call: bytes, *, to: str | None, gas: int, tries: int = 5) -> Signed:
        """Sign a call and send it, with a number that nobody else took meanwhile."""
        signed = self.sign(call, to=to, gas=gas, nonce=self.nonce())
        try:
            self.send(signed)
        except Refused:
            # What the node refuses and does not know is never carried out.
            if tries == 1 or self.nonce() == signed.nonce:
                raise
            return self._sent(call, to=to, gas=gas, tries=tries - 1)
        return signed

    def try_out(self, call: bytes, *, to: str | None, gas: int) -> None:
        """Have the node try a call without sending it. Args as for `sign`.

        Raises:
            Refused: The contract would refuse; the text is its reason.
            ChainUnavailable: No answer, or another chain than expected.
        """
        self.chain_id()
        asked = {"from": self.account, "data": "0x" + call.hex(), "gas": hex(gas)}
        if to:
            asked["to"] = to
        with _translated():
            # Not through `eth.call`: nodes tell a contract's reason in many ways, and
            # of some of them web3 makes another error than a refusal.
            said = self._web3.provider.make_request(
                RPCEndpoint("eth_call"), [asked, "latest"]
            )
            if (refusal := said.get("error")) is not None:
                raise Refused(reason(refusal.get("data")) or str(refusal["message"]))
            _ = said["result"]

    @property
    def _address(self) -> Any:
        return Web3.to_checksum_address(self.account)

    def _fees(self) -> tuple[int, int]:
        """Return the tip and the most to pay for a unit of gas."""
        with _translated():
            # A chain whose base fee is zero has free gas, whatever tip it suggests.
            base = self._web3.eth.get_block("latest").get("baseFeePerGas", Wei(0))
            tip = self._web3.eth.max_priority_fee if base else Wei(0)
            return tip, tip + 2 * base


def _found(transaction: str, receipt: TxReceipt) -> Found:
    made = receipt["contractAddress"]
    return Found(
        transaction=transaction,
        block=receipt["blockNumber"],
        block_hash=receipt["blockHash"].to_0x_hex(),
        ok=receipt["status"] == 1,
        created=made.lower() if made else None,
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Say in our words what web3 and its HTTP client raise."""
    try:
        yield
    except Web3RPCError as error:
        said: Any = (error.rpc_response or {}).get("error")
        told = said if isinstance(said, dict) else {}
        why = reason(told.get("data")) or str(told.get("message") or error)
        raise Refused(why) from error
    except _FOREIGN as error:
        raise ChainUnavailable(f"{type(error).__name__}: {error}") from error


def _offered(raw: bytes) -> tuple[int, int]:
    """Return the tip and the most that a transaction offers for a unit of gas."""
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    return fields["maxPriorityFeePerGas"], fields["maxFeePerGas"]


def _outbid(offered: tuple[int, int], asked: tuple[int, int]) -> tuple[int, int]:
    """Return fees to offer instead; the same as before where they are enough."""
    tip, most = (
        max(-(-old * 5 // 4), new) for old, new in zip(offered, asked, strict=True)
    )
    enough = tip > _MOST_TIMES * asked[0] or most > _MOST_TIMES * asked[1]
    return offered if enough else (tip, most)
