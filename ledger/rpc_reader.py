"""Reads the anchor contract with nothing but HTTP and JSON.

A verifier asks a chain three things: what a member anchored for an epoch, when, and
how far it has come. All are view functions that take and return 32-byte words, so no
Ethereum library is needed to ask: the dashboard and `fieldpact verify --rpc` use
this module and start at once. `ledger.jsonrpc` does the asking, and believes no
contract but the one that we compiled.

This trusts the node behind the URL to tell the truth about its chain. Ask a node
of one's own, or of a party other than the one whose anchors are checked.

Source: Ethereum execution API, ABI; `docs/protocols/anchoring.md`.
"""

from ledger.contracts import anchors
from ledger.contracts.calls import account_word
from ledger.jsonrpc import Deployed


class RpcChainReader:
    """A `ledger.ports.ChainReader` over a node's JSON-RPC. May be shared by threads."""

    def __init__(
        self,
        url: str,
        contract: str,
        *,
        chain_id: int | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        """Name the node and the contract; nothing is asked yet.

        Args:
            url: The node's JSON-RPC endpoint, `http://` or `https://`.
            contract: The contract's address.
            chain_id: Id of the chain that the node must serve; None takes its word.
            timeout_s: For each question.

        Raises:
            Malformed: The contract's address is not one.
        """
        self.url = url
        self._chain = Deployed(
            url,
            contract,
            anchors(),
            name="anchor",
            chain_id=chain_id,
            timeout_s=timeout_s,
        )

    def close(self) -> None:
        """Close the connections."""
        self._chain.close()

    @property
    def chain_id(self) -> int:
        """The id of the chain that the node serves, once it proved to be the right one.

        Raises:
            ChainUnavailable: No answer; another chain than expected; or another
                contract, or none, at the address.
        """
        return self._chain.chain_id

    @property
    def contract(self) -> str:
        """The address of the contract, in lower case."""
        return self._chain.address

    def commitment(self, member: str, epoch: int) -> bytes | None:
        """Return the 32 bytes anchored by a member for an epoch, or None.

        Raises:
            Malformed: The member is not an address.
            ChainUnavailable: As for `chain_id`.
        """
        word = self._held("commitment_of", member, epoch)
        return word if any(word) else None

    def anchored_at(self, member: str, epoch: int) -> int | None:
        """Return when a member anchored for an epoch, seconds since 1970, or None.

        Raises:
            Malformed: The member is not an address.
            ChainUnavailable: As for `chain_id`.
        """
        word = self._held("anchored_at", member, epoch)
        return int.from_bytes(word, "big") or None

    def latest_epoch(self, member: str) -> int:
        """Return the member's newest epoch, 0 when it never anchored.

        Raises:
            Malformed: The member is not an address.
            ChainUnavailable: As for `chain_id`.
        """
        return int.from_bytes(self._chain.word("epoch_of", account_word(member)), "big")

    def _held(self, function: str, member: str, epoch: int) -> bytes:
        words = account_word(member), epoch.to_bytes(32, "big")
        return self._chain.word(function, *words)
