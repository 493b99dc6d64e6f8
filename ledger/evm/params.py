"""What comes in over JSON-RPC, checked before anything is done with it.

Each function takes one JSON value of a request and returns what the chain
understands, or raises `RpcError` -32602 with words for whoever wrote the request.

Source: Ethereum execution API, "Data value encodings"; EIP-1898 is not spoken.
"""

import re
from typing import Any, Final

from eth.constants import CREATE_CONTRACT_ADDRESS, ZERO_ADDRESS
from eth_typing import Address

from ledger.evm.chain import EmbeddedChain
from ledger.evm.store import LogFilter
from ledger.evm.transactions import TRANSACTION_GAS, Message

_MAX_ALTERNATIVES: Final = 64
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_NEWEST: Final = ("latest", "pending", "safe", "finalized")


class RpcError(Exception):
    """An answer that is an error, with its JSON-RPC code."""

    def __init__(self, code: int, message: str, details: str | None = None) -> None:
        super().__init__(message)
        self.body: dict[str, Any] = {"code": code, "message": message}
        if details is not None:
            self.body["data"] = details


def _invalid(what: str) -> RpcError:
    return RpcError(-32602, f"invalid parameter: {what}")


def quantity(value: object) -> int:
    """Read a number of at most 256 bits."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise _invalid("a quantity is 0x and up to 64 hex digits")
    return int(value, 16)


def data(value: object, *, size: int | None = None) -> bytes:
    """Read bytes, of one size where one is asked."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise _invalid("data is 0x and two hex digits a byte")
    read = bytes.fromhex(value[2:])
    if size not in (None, len(read)):
        raise _invalid(f"{size} bytes are expected here, not {len(read)}")
    return read


def address(value: object) -> Address:
    """Read an address."""
    return Address(data(value, size=20))


def block(value: object) -> int | None:
    """Read a block's number or tag; None is the newest block.

    A block is final when it is made, so `safe` and `finalized` are the newest too.
    """
    if value is None or value in _NEWEST:
        return None
    return 0 if value == "earliest" else quantity(value)


def message(value: object) -> Message:
    """Read a call: `from`, `to`, `data` or `input`, `gas`; no money is here to send."""
    if not isinstance(value, dict):
        raise _invalid("a call is an object")
    if value.get("value") is not None and quantity(value["value"]):
        raise _invalid("nobody has money on this chain")
    sender, to, gas = value.get("from"), value.get("to"), value.get("gas")
    sent = value.get("input") or value.get("data")
    return Message(
        sender=ZERO_ADDRESS if sender is None else address(sender),
        to=CREATE_CONTRACT_ADDRESS if to is None else address(to),
        data=b"" if sent is None else data(sent),
        gas=TRANSACTION_GAS if gas is None else min(quantity(gas), TRANSACTION_GAS),
    )


def log_filter(chain: EmbeddedChain, value: object) -> LogFilter:
    """Read which events are wanted: by block or range, contract, and topics."""
    if not isinstance(value, dict):
        raise _invalid("a filter is an object")
    head = chain.header().block_number
    if value.get("blockHash") is not None:
        one = chain.header(data(value["blockHash"], size=32))
        first = last = int(one.block_number)
    else:
        first, last = (
            head if (number := block(value.get(edge))) is None else number
            for edge in ("fromBlock", "toBlock")
        )
    topics = value.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4:
        raise _invalid("topics are a list of at most four")
    return LogFilter(
        min(first, head + 1),
        min(last, head),
        _alternatives(value.get("address"), size=20),
        [_alternatives(topic, size=32) for topic in topics],
    )


def _alternatives(value: object, *, size: int) -> list[bytes]:
    """Read one value, a list of accepted ones, or null for any."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [data(value, size=size)]
    if len(value) > _MAX_ALTERNATIVES:
        raise _invalid(f"more than {_MAX_ALTERNATIVES} alternatives")
    return [data(one, size=size) for one in value]
