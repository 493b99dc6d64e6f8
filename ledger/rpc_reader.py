"""Reads the anchor contract with nothing but HTTP and JSON.

A verifier asks a chain three things: what a member anchored for an epoch, when, and
how far it has come. All are view functions that take and return 32-byte words, so no
Ethereum library is needed to ask: the dashboard and `fieldpact verify --rpc` use
this module and start at once.

Before the first answer is believed, the code at the contract's address is
compared with the code we compiled. A contract that somebody else wrote can say
anything.

This trusts the node behind the URL to tell the truth about its chain. Ask a node
of one's own, or of a party other than the one whose anchors are checked.

Source: Ethereum execution API (`eth_call`, `eth_getCode`, `eth_chainId`), ABI.
"""

import re
from functools import cached_property
from typing import Final

import httpx

from crypto.errors import Malformed
from ledger.contracts import anchors
from ledger.errors import ChainUnavailable

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


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
        self._contract = "0x" + _address(contract).hex()
        self._expected = chain_id
        self._http = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @cached_property
    def chain_id(self) -> int:
        """The id of the chain that the node serves, once it proved to be the right one.

        Raises:
            ChainUnavailable: No answer; another chain than expected; or another
                contract, or none, at the address.
        """
        found = _quantity(self._ask("eth_chainId"))
        if self._expected not in (None, found):
            raise ChainUnavailable(f"a node of chain {found}, not {self._expected}")
        if (
            _data(self._ask("eth_getCode", self._contract, "latest"))
            != anchors().runtime
        ):
            raise ChainUnavailable(
                f"no anchor contract at {self._contract} on chain {found}"
            )
        return found

    @property
    def contract(self) -> str:
        """The address of the contract, in lower case."""
        return self._contract

    def commitment(self, member: str, epoch: int) -> bytes | None:
        """Return the 32 bytes anchored by a member for an epoch, or None.

        Raises:
            Malformed: The member is not an address.
            ChainUnavailable: As for `chain_id`.
        """
        word = self._view("commitment_of", _address(member), epoch.to_bytes(32, "big"))
        return word if any(word) else None

    def anchored_at(self, member: str, epoch: int) -> int | None:
        """Return when a member anchored for an epoch, seconds since 1970, or None.

        Raises:
            Malformed: The member is not an address.
            ChainUnavailable: As for `chain_id`.
        """
        word = self._view("anchored_at", _address(member), epoch.to_bytes(32, "big"))
        return int.from_bytes(word, "big") or None

    def latest_epoch(self, member: str) -> int:
        """Return the member's newest epoch, 0 when it never anchored.

        Raises:
            Malformed: The member is not an address.
            ChainUnavailable: As for `chain_id`.
        """
        return int.from_bytes(self._view("epoch_of", _address(member)), "big")

    def _view(self, function: str, *arguments: bytes) -> bytes:
        """Call a view function; its arguments and its answer are 32-byte words."""
        _ = self.chain_id
        words = b"".join(argument.rjust(32, b"\0") for argument in arguments)
        call = anchors().selectors[function] + words
        asked = {"to": self._contract, "data": "0x" + call.hex()}
        answer = _data(self._ask("eth_call", asked, "latest"))
        if len(answer) != 32:
            raise ChainUnavailable(f"{function} answered {len(answer)} bytes, not 32")
        return answer

    def _ask(self, method: str, *params: object) -> object:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            response = self._http.post("", json=body)
            response.raise_for_status()
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ChainUnavailable(f"{method}: {error}") from error
        if not isinstance(answer, dict) or "result" not in answer:
            raise ChainUnavailable(f"{method}: the node refused")
        return answer["result"]


def _address(text: str) -> bytes:
    if not _ADDRESS.fullmatch(text):
        raise Malformed("an address is 0x and 40 hex digits")
    return bytes.fromhex(text[2:])


def _data(value: object) -> bytes:
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise ChainUnavailable("the node's answer does not parse")
    return bytes.fromhex(value[2:])


def _quantity(value: object) -> int:
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ChainUnavailable("the node's answer does not parse")
    return int(value, 16)
