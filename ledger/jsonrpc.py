"""Asks a chain's node about one contract, with nothing but HTTP and JSON.

Reading a contract takes three questions: which chain is this (`eth_chainId`), what
code lies at this address (`eth_getCode`), and what does it answer (`eth_call`). None
of them needs an Ethereum library, so that a verifier and the dashboard start at once.

Before the first answer is believed, the code at the contract's address is compared
with the code that we compiled. A contract that somebody else wrote can say anything.
The node itself is trusted to tell the truth about its chain.

Source: Ethereum execution API, "Data value encodings".
"""

import re
from functools import cached_property
from typing import Final

import httpx

from ledger.contracts import Artefact
from ledger.contracts.calls import account_word
from ledger.errors import ChainUnavailable, Refused

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_ERROR: Final = bytes.fromhex("08c379a0")
"""Selector of `Error(string)`."""


class Rpc:
    """A chain's node, asked by JSON-RPC. May be shared by threads."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Name the node; nothing is asked yet."""
        self._http = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, *params: object) -> object:
        """Ask the node; return the result as it came.

        Raises:
            Refused: It answered with an error; the text is a contract's reason where
                it told one, else its own.
            ChainUnavailable: No answer in time, or one that does not parse.
        """
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            response = self._http.post("", json=body)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ChainUnavailable(f"{method}: {error}") from error
        match answer:
            case {"error": {"message": str(said), **more}}:
                raise Refused(reason(more.get("data")) or said)
            case {"result": result} if response.is_success:
                return result
        raise ChainUnavailable(f"{method}: status {response.status_code}, no answer")


def reason(given: object) -> str:
    """Read why a contract refused, as Solidity's `Error(string)`; "" if it is none."""
    if isinstance(given, dict):  # some nodes lay it a level deeper
        given = given.get("data")
    if not isinstance(given, str) or not _DATA.fullmatch(given):
        return ""
    raw = bytes.fromhex(given[2:])
    if raw[:4] != _ERROR or len(raw) < 68:
        return ""
    size = int.from_bytes(raw[36:68], "big")
    return raw[68 : 68 + size].decode("utf-8", "replace")


class Deployed:
    """A contract at an address of a chain. May be shared by threads."""

    def __init__(
        self,
        url: str,
        contract: str,
        artefact: Artefact,
        *,
        name: str,
        chain_id: int | None,
        timeout_s: float,
    ) -> None:
        """Name the node and the contract; nothing is asked yet.

        Args:
            url: The node's JSON-RPC endpoint, `http://` or `https://`.
            contract: The contract's address.
            artefact: What must lie there.
            name: What it is called in errors.
            chain_id: Id of the chain that the node must serve; None takes its word.
            timeout_s: For each question.

        Raises:
            Malformed: The contract's address is not one.
        """
        self.url = url
        self.address = "0x" + account_word(contract)[12:].hex()
        self._artefact = artefact
        self._name = name
        self._expected = chain_id
        self._rpc = Rpc(url, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._rpc.close()

    @property
    def chain_id(self) -> int:
        """The id of the chain that the node serves, once it proved to be the right one.

        Raises:
            ChainUnavailable: No answer; another chain than expected; or another
                contract, or none, at the address.
        """
        return self._proved[0]

    @property
    def settled(self) -> dict[str, bytes]:
        """The values that were settled when the contract was created, 32 bytes each.

        Raises:
            ChainUnavailable: As for `chain_id`.
        """
        return self._proved[1]

    @cached_property
    def _proved(self) -> tuple[int, dict[str, bytes]]:
        found = quantity(self.ask("eth_chainId"))
        if self._expected not in (None, found):
            raise ChainUnavailable(f"a node of chain {found}, not {self._expected}")
        code = data(self.ask("eth_getCode", self.address, "latest"))
        size, places = len(self._artefact.runtime), self._artefact.immutables
        if code[:size] != self._artefact.runtime or len(code) != size + 32 * len(
            places
        ):
            raise ChainUnavailable(
                f"no {self._name} contract at {self.address} on chain {found}"
            )
        return found, {
            name: code[size + at : size + at + 32] for name, at in places.items()
        }

    def view(self, function: str, *words: bytes, block: str = "latest") -> bytes:
        """Call a view function with words of 32 bytes; return what it answers.

        Args:
            function: Its name.
            words: Its arguments.
            block: Number, as a quantity, or tag of the block to look at.

        Raises:
            ChainUnavailable: As for `chain_id`, or the call failed.
        """
        _ = self._proved
        call = self._artefact.selectors[function] + b"".join(words)
        asked = {"to": self.address, "data": "0x" + call.hex()}
        return data(self.ask("eth_call", asked, block))

    def word(self, function: str, *words: bytes, block: str = "latest") -> bytes:
        """Call a view function that answers one word of 32 bytes. As `view`."""
        answer = self.view(function, *words, block=block)
        if len(answer) != 32:
            raise ChainUnavailable(f"{function} answered {len(answer)} bytes, not 32")
        return answer

    def ask(self, method: str, *params: object) -> object:
        """Ask the node; return the result as it came.

        Raises:
            ChainUnavailable: No answer in time, or an error.
        """
        try:
            return self._rpc.ask(method, *params)
        except Refused as refusal:
            raise ChainUnavailable(f"{method}: the node refused: {refusal}") from None


def data(value: object) -> bytes:
    """Read bytes out of an answer.

    Raises:
        ChainUnavailable: It does not parse.
    """
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise ChainUnavailable("the node's answer does not parse")
    return bytes.fromhex(value[2:])


def quantity(value: object) -> int:
    """Read a number out of an answer.

    Raises:
        ChainUnavailable: It does not parse.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ChainUnavailable("the node's answer does not parse")
    return int(value, 16)
