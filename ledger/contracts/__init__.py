"""The anchor contract, compiled.

`Anchors.vy` is the source and `Anchors.json` what the compiler made of it: the
ABI, the code that creates the contract, the code that then lies on the chain,
and the four-byte selectors of its functions. Running needs the JSON alone. The
compiler is a development tool; `python -m ledger.contracts.build` writes the
JSON anew, and a test fails while the two disagree.

`runtime` is there to be compared: a contract at some address is this contract
only if the chain holds these very bytes for it.
"""

import json
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
        selectors: First four bytes of a call, by function name.
        compiler: Name, version and EVM version that made all this.
    """

    abi: list[dict[str, Any]]
    bytecode: bytes
    runtime: bytes
    selectors: dict[str, bytes]
    compiler: dict[str, str]


@cache
def anchors() -> Artefact:
    """Return the anchor contract, read once from `Anchors.json`."""
    raw = json.loads((HERE / "Anchors.json").read_text("utf-8"))
    return Artefact(
        abi=raw["abi"],
        bytecode=bytes.fromhex(raw["bytecode"]),
        runtime=bytes.fromhex(raw["runtime"]),
        selectors={name: bytes.fromhex(s) for name, s in raw["selectors"].items()},
        compiler=raw["compiler"],
    )
