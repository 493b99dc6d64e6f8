"""Sends transactions to a chain, signed with a key handle; no Ethereum client needed.

A transaction is made in three steps that can be taken one by one. `sign` returns its
bytes and its hash, which is known before anything is sent and can be written down.
`send` hands it to the node, and does no harm when the node knows it already. `look`
asks what became of it. `transact` does all three and waits, for whoever stands by.

An account numbers its transactions without a gap (*nonces*). A node that anchors and
a command that somebody runs beside it may use one account, and then one key: `nonce`
counts what waits at the chain's node too, so that the second comes after the first
and does not replace it. Should both take the same number after all, the chain
carries out one of the two, and says so of the other.

Before it is sent, a call is tried (`eth_call`): a contract then tells why it would
refuse, which a transaction that failed in a block does not.

Sources: EIP-155, EIP-1559, EIP-2718; Ethereum execution API.
"""

import time
from dataclasses import dataclass
from typing import Any, Final, Literal

import rlp  # type: ignore[import-untyped]
from eth_utils.crypto import keccak

from crypto.keys import Secp256k1Key
from ledger.errors import ChainUnavailable, Refused
from ledger.jsonrpc import Rpc, data, quantity
from ledger.ports import Signed

_PAUSE_S: Final = 0.05
_MOST_TIMES: Final = 10
_DYNAMIC: Final = b"\x02"
"""The type of EIP-1559 transactions, their first byte."""


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
        self._rpc = Rpc(url, timeout_s=timeout_s)
        self._key = key
        self._expected = chain_id
        self._wait_s = wait_s

    def close(self) -> None:
        """Close the connections."""
        self._rpc.close()

    def chain_id(self) -> int:
        """Ask which chain the node serves.

        Raises:
            ChainUnavailable: No answer, or another chain than expected.
        """
        found = quantity(self._rpc.ask("eth_chainId"))
        if self._expected not in (None, found):
            raise ChainUnavailable(f"a node of chain {found}, not {self._expected}")
        return found

    def nonce(self, as_of: Literal["pending", "latest"] = "pending") -> int:
        """Ask for the account's next number, after all that waits or is in blocks.

        Raises:
            ChainUnavailable: No answer.
        """
        return quantity(self._rpc.ask("eth_getTransactionCount", self.account, as_of))

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
        account = bytes.fromhex(to[2:]) if to else b""
        head = [self.chain_id(), nonce, tip, most, gas, account, 0, call, []]
        signature = self._key.sign_digest(keccak(_DYNAMIC + rlp.encode(head)))
        r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
        raw = _DYNAMIC + rlp.encode([*head, signature[64], r, s])
        return Signed(raw=raw, transaction="0x" + keccak(raw).hex(), nonce=nonce)

    def send(self, signed: Signed) -> None:
        """Hand a transaction to the node; one that it knows already is no fault.

        Raises:
            Refused: The node does not take it: its nonce is used, say.
            ChainUnavailable: No answer. It may or may not have arrived: send it again.
        """
        try:
            self._rpc.ask("eth_sendRawTransaction", "0x" + signed.raw.hex())
        except Refused:
            # Each node words "already known" differently. Does it know it?
            known = self._rpc.ask("eth_getTransactionByHash", signed.transaction)
            if known is None:
                raise

    def look(self, transaction: str) -> Found | None:
        """Ask what became of a transaction; None while it is in no block.

        Raises:
            ChainUnavailable: No answer, or one that does not parse.
        """
        receipt = self._rpc.ask("eth_getTransactionReceipt", transaction)
        if receipt is None:
            return None
        match receipt:
            case {"blockNumber": block, "blockHash": hashed, "status": status, **more}:
                made = more.get("contractAddress")
                return Found(
                    transaction=transaction,
                    block=quantity(block),
                    block_hash="0x" + data(hashed).hex(),
                    ok=quantity(status) == 1,
                    created="0x" + data(made).hex() if made else None,
                )
            case _:
                raise ChainUnavailable("the node's answer does not parse")

    def transact(self, call: bytes, *, to: str | None, gas: int) -> Found:
        """Try a call, send it, and return when it is in a block.

        Args: as for `sign`.

        Raises:
            Refused: The contract or the node refuses; the text says why. Nothing
                changed.
            ChainUnavailable: No answer in time. It may still be carried out.
        """
        self.try_out(call, to=to, gas=gas)
        signed = self.sign(call, to=to, gas=gas, nonce=self.nonce())
        self.send(signed)
        until = time.monotonic() + self._wait_s
        while (found := self.look(signed.transaction)) is None:
            if time.monotonic() > until:
                detail = f"{signed.transaction} is in no block after {self._wait_s} s"
                raise ChainUnavailable(detail)
            time.sleep(_PAUSE_S)
        if not found.ok:
            raise Refused(f"{signed.transaction} failed in block {found.block}")
        return found

    def try_out(self, call: bytes, *, to: str | None, gas: int) -> None:
        """Have the node try a call without sending it. Args as for `sign`.

        Raises:
            Refused: The contract would refuse; the text is its reason.
            ChainUnavailable: No answer, or another chain than expected.
        """
        self.chain_id()
        asked = {"from": self.account, "data": "0x" + call.hex(), "gas": hex(gas)}
        self._rpc.ask("eth_call", asked | ({"to": to} if to else {}), "latest")

    def _fees(self) -> tuple[int, int]:
        """Return the tip and the most to pay for a unit of gas."""
        block: Any = self._rpc.ask("eth_getBlockByNumber", "latest", False)
        if not isinstance(block, dict):
            raise ChainUnavailable("the node's answer does not parse")
        # A chain whose base fee is zero has free gas, whatever tip it suggests.
        base = quantity(block.get("baseFeePerGas", "0x0"))
        tip = quantity(self._rpc.ask("eth_maxPriorityFeePerGas")) if base else 0
        return tip, tip + 2 * base


def _offered(raw: bytes) -> tuple[int, int]:
    """Return the tip and the most that a transaction offers for a unit of gas."""
    fields = rlp.decode(raw.removeprefix(_DYNAMIC))
    tip, most = (int.from_bytes(fields[at], "big") for at in (2, 3))
    return tip, most


def _outbid(offered: tuple[int, int], asked: tuple[int, int]) -> tuple[int, int]:
    """Return fees to offer instead; the same as before where they are enough."""
    tip, most = (
        max(-(-old * 5 // 4), new) for old, new in zip(offered, asked, strict=True)
    )
    enough = tip > _MOST_TIMES * asked[0] or most > _MOST_TIMES * asked[1]
    return offered if enough else (tip, most)
