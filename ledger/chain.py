"""Writes anchors to a chain: signs, sends, looks, and knows what is final.

Every step is a call of its own and can be repeated. A caller writes down what `sign`
returned before it sends it; after that neither a lost answer nor a lost process can
make two anchors out of one. The contract takes the next epoch only, so that whatever
is sent again, or sent late, changes nothing.

Transactions are made by `ledger.sender`, through web3; the key never leaves its handle.

Sources: Ethereum execution API; `docs/protocols/anchoring.md`.
"""

from contextlib import closing
from typing import Any, Final

from crypto.keys import Secp256k1Key
from ledger.contracts import anchors, calls
from ledger.errors import ChainUnavailable
from ledger.finality import IMMEDIATE, Finality
from ledger.jsonrpc import data, quantity
from ledger.ports import Anchored, Mined, Signed
from ledger.rpc_reader import RpcChainReader
from ledger.sender import Sender

DEPLOY_GAS: Final = 500_000
ANCHOR_GAS: Final = 200_000
"""About twice what is used (`ledger/contracts/gas.json`); unused gas is free."""


class RpcAnchors(RpcChainReader):
    """A `ledger.ports.Anchors` over a node's JSON-RPC. May be shared by threads."""

    def __init__(
        self,
        url: str,
        *,
        key: Secp256k1Key,
        contract: str,
        chain_id: int | None = None,
        finality: Finality = IMMEDIATE,
        timeout_s: float = 5.0,
    ) -> None:
        """Name the node, the contract and the key; nothing is asked yet.

        Args:
            url: The node's JSON-RPC endpoint.
            key: The member's; its address is the member on chain.
            contract: The anchor contract's address (`deploy` makes one).
            chain_id: Id of the chain that the node must serve; None takes its word.
            finality: The chain's rule.
            timeout_s: For each question.
        """
        super().__init__(url, contract, chain_id=chain_id, timeout_s=timeout_s)
        self._sender = Sender(url, key, chain_id=chain_id, timeout_s=timeout_s)
        self._finality = finality
        self._member = key.address.lower()

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._sender.close()

    @property
    def member(self) -> str:
        """The address under which this member anchors, in lower case."""
        return self._member

    def nonce(self) -> int:
        """Return how many transactions of this member are in blocks."""
        return self._sender.nonce("latest")

    def sign(
        self,
        *,
        epoch: int,
        commitment: bytes,
        previous: bytes,
        nonce: int,
        instead_of: bytes | None = None,
    ) -> Signed:
        """Sign a transaction that anchors. See `ports.Anchors`."""
        return self._sender.sign(
            calls.anchor(epoch=epoch, commitment=commitment, previous=previous),
            to=self.contract,
            gas=ANCHOR_GAS,
            nonce=nonce,
            instead_of=instead_of,
        )

    def send(self, signed: Signed) -> None:
        """Hand a transaction to the node. See `ports.Anchors`."""
        self._sender.send(signed)

    def look(self, transaction: str) -> Mined | None:
        """Return where a transaction is. See `ports.Anchors`."""
        found = self._sender.look(transaction)
        if found is None:
            return None
        return Mined(block=found.block, block_hash=found.block_hash, ok=found.ok)

    def find(self, epoch: int) -> Anchored | None:
        """Return this member's anchor of an epoch, by the contract's event."""
        wanted = {
            "fromBlock": "0x0",
            "toBlock": "latest",
            "address": self.contract,
            "topics": [
                "0x" + anchors().topics["CheckpointAnchored"].hex(),
                "0x" + bytes.fromhex(self.member[2:]).rjust(32, b"\0").hex(),
                "0x" + epoch.to_bytes(32, "big").hex(),
            ],
        }
        match self._chain.ask("eth_getLogs", wanted):
            case []:
                return None
            case [*_, {"transactionHash": made, "data": held, **more}]:
                return Anchored(
                    epoch=epoch,
                    commitment=data(held),
                    transaction="0x" + data(made).hex(),
                    block=quantity(more.get("blockNumber")),
                    block_hash="0x" + data(more.get("blockHash")).hex(),
                )
            case _:
                raise ChainUnavailable("the node's answer does not parse")

    def is_final(self, mined: Mined) -> bool:
        """Tell whether a block is still there, and stays. See `ports.Anchors`."""
        # First how far it goes, then what lies there: a block that is gone by then
        # was not deep enough, and a later one of its number has another hash.
        if mined.block > self._final_up_to():
            return False
        return self._block(hex(mined.block)).get("hash") == mined.block_hash

    def _final_up_to(self) -> int:
        if self._finality.tag is not None:
            return quantity(self._block(self._finality.tag).get("number"))
        return quantity(self._chain.ask("eth_blockNumber")) - (
            self._finality.depth or 0
        )

    def _block(self, which: str) -> dict[str, Any]:
        block = self._chain.ask("eth_getBlockByNumber", which, False)
        if not isinstance(block, dict):
            raise ChainUnavailable(f"the node tells of no block {which}")
        return block


def deploy(
    url: str, *, key: Secp256k1Key, timeout_s: float = 5.0, wait_s: float = 60.0
) -> str:
    """Create the anchor contract; return its address, in lower case.

    Once for a consortium, by anybody: the contract has no owner.

    Raises:
        ChainUnavailable: No answer in time.
        Refused: The chain refused.
    """
    with closing(Sender(url, key, timeout_s=timeout_s, wait_s=wait_s)) as sender:
        made = sender.transact(anchors().bytecode, to=None, gas=DEPLOY_GAS).created
    if made is None:
        raise ChainUnavailable("the node does not tell where the contract is")
    return made
