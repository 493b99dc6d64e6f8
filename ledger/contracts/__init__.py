"""The contracts of a consortium's chain, compiled.

`Anchors` keeps one row of checkpoint commitments for each member, `Participants`
which companies belong to the consortium and which keys each of them held when. Both
are written in Vyper (`*.vy`); beside each lies what the compiler made of it
(`*.json`): the ABI, the code that creates the contract, the code that then lies on
the chain, and how its functions and events are called there. Running needs the JSON
alone. The compiler is a development tool; `python -m ledger.contracts.build` writes
the JSON anew, and a test fails while the two disagree.

`runtime` is there to be compared: a contract at some address is this contract
only if the chain holds these very bytes for it, and after them the values that were
settled when it was created.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """What the compiler made of a contract.

    Attributes:
        abi: The interface, as Solidity's ABI JSON.
        bytecode: Code that creates the contract when sent to nobody.
        runtime: Code that the chain then holds at the contract's address.
        immutables: Where each value that was settled at creation lies, by name: bytes
            after the end of `runtime`, 32 bytes each.
        selectors: First four bytes of a call, by function name.
        topics: First topic of an event, 32 bytes, by its name.
        compiler: Name, version and EVM version that made all this.
    """

    abi: list[dict[str, Any]]
    bytecode: bytes
    runtime: bytes
    immutables: Mapping[str, int]
    selectors: Mapping[str, bytes]
    topics: Mapping[str, bytes]
    compiler: Mapping[str, str]


def anchors() -> Artefact:
    """Return the contract of anchors, read once from `Anchors.json`."""
    return _read("Anchors")


def participants() -> Artefact:
    """Return the registry of participants, read once from `Participants.json`."""
    return _read("Participants")


@cache
def _read(name: str) -> Artefact:
    raw = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    return Artefact(
        abi=raw["abi"],
        bytecode=bytes.fromhex(raw["bytecode"]),
        runtime=bytes.fromhex(raw["runtime"]),
        immutables=raw["immutables"],
        selectors={name: bytes.fromhex(s) for name, s in raw["selectors"].items()},
        topics={name: bytes.fromhex(t) for name, t in raw["topics"].items()},
        compiler=raw["compiler"],
    )
