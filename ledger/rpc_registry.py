"""Reads the registry of participants with nothing but HTTP and JSON.

All of a history is read as of one block, which is named in it: the node is asked
for its newest block first, and for everything else as it was then. A node that
changes its mind in between is noticed by whoever compares two histories, for one must
begin with the other.

A node that lies about its chain is not noticed here. Ask one's own, or that of a
party other than the one whose keys are looked up.

Source: Ethereum execution API; contract ABI; `docs/protocols/registry.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from crypto.encoding import sha256
from crypto.errors import Malformed
from ledger.contracts import participants
from ledger.contracts.calls import ZERO, account_word, did_word, is_did, suite_word
from ledger.errors import ChainUnavailable
from ledger.jsonrpc import Deployed, data, quantity
from ledger.registry import (
    MAX_CHANGES,
    Change,
    Held,
    History,
    KeyChange,
    MembershipChange,
    Status,
)

PAGE: Final = 32
"""Rows that the contract returns in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who decides about membership; settled when the registry was created.

    Attributes:
        operator: Who alone decides; None where members vote.
        majority: The share of members that a vote must exceed, in percent.
    """

    operator: str | None
    majority: int


class RpcRegistry:
    """A `ledger.registry.Registry` over a node's JSON-RPC. May be shared by threads."""

    def __init__(
        self,
        url: str,
        contract: str,
        *,
        chain_id: int | None = None,
        timeout_s: float = 5.0,
        newest: Literal["latest", "safe", "finalized"] = "latest",
    ) -> None:
        """Name the node and the registry; nothing is asked yet.

        Args:
            url: The node's JSON-RPC endpoint, `http://` or `https://`.
            contract: The registry's address.
            chain_id: Id of the chain that the node must serve; None takes its word.
            timeout_s: For each question.
            newest: What counts as the newest block: `latest` where blocks are final
                when made.

        Raises:
            Malformed: The registry's address is not one.
        """
        self._chain = Deployed(
            url,
            contract,
            participants(),
            name="participants",
            chain_id=chain_id,
            timeout_s=timeout_s,
        )
        self._newest = newest

    def close(self) -> None:
        """Close the connections."""
        self._chain.close()

    @property
    def chain_id(self) -> int:
        """The id of the chain, once it and the contract proved to be the right ones.

        Raises:
            ChainUnavailable: No answer; another chain than expected; or another
                contract, or none, at the address.
        """
        return self._chain.chain_id

    @property
    def contract(self) -> str:
        """The address of the registry, in lower case."""
        return self._chain.address

    @property
    def rules(self) -> Rules:
        """Who decides about membership.

        Raises:
            ChainUnavailable: As for `chain_id`.
        """
        settled = self._chain.settled
        return Rules(
            operator=_account(settled["OPERATOR"]),
            majority=int.from_bytes(settled["MAJORITY"], "big"),
        )

    def history(self, did: str) -> History:
        """Return all that changed for a participant. See `registry.Registry`."""
        word = did_word(did)
        chain_id = self.chain_id
        block, seen = self._head()
        changes: list[Change] = []
        while page := self._page(word, len(changes), hex(block)):
            changes += page
            if len(changes) > MAX_CHANGES:
                raise ChainUnavailable(f"more than {MAX_CHANGES} changes of {did}")
            if len(page) < PAGE:
                break
        try:
            return History(
                chain_id=chain_id,
                contract=self.contract,
                did=did,
                block=block,
                seen=seen,
                changes=tuple(changes),
            )
        except Malformed as error:
            raise ChainUnavailable(f"the node contradicts itself: {error}") from error

    def keys_at(self, did: str, seconds: int) -> Held:
        """Return which keys held at a moment. See `registry.Registry`."""
        return self.history(did).at(seconds)

    def status(self, did: str) -> Status:
        """Return what a DID is to the consortium by now. Raises as `history` does."""
        return self.history(did).status

    def votes(self, did: str, account: str | None) -> int:
        """Return how many want an account for a DID, in the present round.

        Raises:
            Malformed: Not a DID, or not an address.
            ChainUnavailable: As for `chain_id`.
        """
        words = did_word(did), account_word(account)
        present = self._chain.word("round")
        return int.from_bytes(self._chain.word("tally", present, *words), "big")

    def votes_needed(self) -> int:
        """Return how many votes change the membership as it is now.

        Raises:
            ChainUnavailable: As for `chain_id`.
        """
        return int.from_bytes(self._chain.word("votes_needed"), "big")

    def dids(self) -> tuple[str, ...]:
        """Return every DID that was ever admitted, in the order of first admission.

        Text that members admitted and that is no DID is left out.

        Raises:
            ChainUnavailable: As for `chain_id`.
        """
        _ = self.chain_id
        wanted = {
            "address": self.contract,
            "fromBlock": "0x0",
            "toBlock": self._newest,
            "topics": ["0x" + participants().topics["Admitted"].hex()],
        }
        logs = self._chain.ask("eth_getLogs", wanted)
        if not isinstance(logs, list):
            raise ChainUnavailable("the node's answer does not parse")
        found = dict.fromkeys(_admitted(log) for log in logs)
        return tuple(did for did in found if did is not None)

    def _head(self) -> tuple[int, int]:
        match self._chain.ask("eth_getBlockByNumber", self._newest, False):
            case {"number": number, "timestamp": timestamp}:
                return quantity(number), quantity(timestamp)
            case _:
                raise ChainUnavailable("the node's answer does not parse")

    def _page(self, did: bytes, start: int, block: str) -> list[Change]:
        words = did, start.to_bytes(32, "big")
        answer = self._chain.view("history", *words, block=block)
        distance, count, *rows = _words(answer)
        if (distance, len(rows)) != (_word(32), 3 * int.from_bytes(count, "big")):
            raise ChainUnavailable("the node's answer does not parse")
        return [_change(*rows[at : at + 3]) for at in range(0, len(rows), 3)]


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _words(answer: bytes) -> Iterator[bytes]:
    if len(answer) % 32 or len(answer) < 64:
        raise ChainUnavailable("the node's answer does not parse")
    return (answer[at : at + 32] for at in range(0, len(answer), 32))


def _change(at: bytes, subject: bytes, value: bytes) -> Change:
    seconds = int.from_bytes(at, "big")
    if subject == ZERO:
        return MembershipChange(at=seconds, account=_account(value))
    held = value if value != ZERO else None
    return KeyChange(at=seconds, suite=_suite(subject), fingerprint=held)


def _suite(subject: bytes) -> str:
    """Read a suite's name. Who sets a key under what is none harms itself only."""
    try:
        name = subject.rstrip(b"\0").decode("ascii")
        if suite_word(name) == subject:
            return name
    except (UnicodeDecodeError, Malformed):
        pass
    return "0x" + subject.hex()


def _account(word: bytes) -> str | None:
    return "0x" + word[12:].hex() if word != ZERO else None


def _admitted(log: Any) -> str | None:
    """Read the DID out of an event, where its hash stands beside it."""
    match log:
        case {"topics": [_, name, *_], "data": said}:
            raw = data(said)
            text = raw[64 : 64 + int.from_bytes(raw[32:64], "big")]
        case _:
            raise ChainUnavailable("the node's answer does not parse")
    if sha256(text) != data(name):
        raise ChainUnavailable("the node's answer does not parse")
    did = text.decode("ascii", "replace")
    return did if is_did(did) else None
