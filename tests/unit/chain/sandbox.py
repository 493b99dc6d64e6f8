"""Contracts under titanoboa: any source, planted faults included, without a chain.

What is called and what comes back are plain bytes, encoded and decoded here by
`eth_abi` and `eth_utils`, so that a mistake in `ledger.contracts.calls` or in the
readers cannot hide one in a contract.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import boa  # type: ignore[import-untyped]
from eth.exceptions import Revert
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from vyper import compile_code  # type: ignore[import-untyped]

ZERO: Final = bytes(32)
NOBODY: Final = bytes(20)

RELAY: Final = b"\x0e" * 20
"""A contract that calls on behalf of whoever calls it."""

ORIGIN: Final = b"\x0a" * 20
"""Who calls the relay, and so is `tx.origin` behind it."""

_FORWARD: Final = bytes.fromhex(
    "60203603"  # the call to pass on: all but the first word, which says to whom
    "8060206000376000600082600060006000355af1"
    "3d600060003e602557"  # its answer, whether it is one or a refusal
    "3d6000fd5b3d6000f3"
)

Event = tuple[tuple[bytes, ...], bytes]
"""Topics and data."""


class Outcome(NamedTuple):
    """What came of a call: the reason it was refused for, or what it returned."""

    refusal: str | None
    output: bytes
    events: list[Event]


class CompileFailed(Exception):
    """The compiler refuses the source."""


@cache
def compiled(source: str) -> bytes:
    """Compile a source to the code that creates its contract, and no more than that."""
    formats = ("bytecode",)
    try:
        made = compile_code(source, output_formats=formats, no_bytecode_metadata=True)
    except Exception as error:
        raise CompileFailed(str(error)) from error
    return bytes.fromhex(made["bytecode"].removeprefix("0x"))


def word(value: int | bytes) -> bytes:
    """Return a number or an address as a word."""
    raw = value.to_bytes(32, "big") if isinstance(value, int) else value
    return raw.rjust(32, b"\0")


def event(signature: str, *indexed: bytes, data: bytes = b"") -> Event:
    """Return what an event leaves in a block."""
    return (keccak(signature.encode()), *map(word, indexed)), data


class Sandbox:
    """One contract, alone with whoever calls it."""

    def __init__(self, source: str) -> None:
        self._code = compiled(source)
        self.address = b""
        boa.env.set_code("0x" + RELAY.hex(), _FORWARD)

    def create(self, types: Sequence[str] = (), values: Sequence[Any] = ()) -> Outcome:
        """Create the contract with its arguments."""
        made, computation = boa.env.deploy(bytecode=self._code + encode(types, values))
        outcome = _outcome(computation)
        if outcome.refusal is None:
            self.address = made.canonical_address
        return outcome

    def call(self, sender: bytes, signature: str, *values: Any) -> Outcome:
        """Call a function as an account, or through the relay."""
        name, _, types = signature.partition("(")
        listed = [given for given in types.rstrip(")").split(",") if given]
        data = keccak(f"{name}({types}".encode())[:4] + encode(listed, values)
        to = self.address
        if sender == RELAY:
            to, sender, data = RELAY, ORIGIN, word(to) + data
        return _outcome(boa.env.execute_code(to_address=to, sender=sender, data=data))

    def view(self, signature: str, *values: Any) -> bytes:
        """Call a view function; return its bytes."""
        outcome = self.call(NOBODY, signature, *values)
        assert outcome.refusal is None, f"{signature} fails: {outcome.refusal}"
        return outcome.output

    def number(self, signature: str, *values: Any) -> int:
        """Call a view function that returns a number."""
        return int.from_bytes(self.view(signature, *values), "big")


def now() -> int:
    """Return the time of the block that is being made."""
    return int(boa.env.timestamp)


def wait(seconds: int) -> None:
    """Let time pass; blocks go on as they like, at another pace."""
    boa.env.evm.patch.timestamp = now() + seconds
    boa.env.evm.patch.block_number += 1


def _outcome(done: Any) -> Outcome:
    refusal = _reason(done.error) if done.is_error else None
    logs = [] if done.is_error else done.get_log_entries()
    events = [(tuple(map(word, topics)), data) for _, topics, data in logs]
    return Outcome(refusal, bytes(done.output), events)


def _reason(error: Exception) -> str:
    if isinstance(error, Revert) and error.args[0][:4] == keccak(b"Error(string)")[:4]:
        return str(decode(["string"], error.args[0][4:])[0])
    return "failed without a reason"
