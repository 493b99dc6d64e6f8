"""Compiles each contract's source to its JSON. Needs Vyper, a development tool.

    python -m ledger.contracts.build

The same source and compiler give the same bytes on every machine. Which EVM the
code is for stands in the source, and is the same for all: London, the oldest from
which genesis files of Besu consortia still start. Code for a newer one may hold
instructions, PUSH0 first, that such a chain does not know.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

from vyper import (  # type: ignore[import-untyped]
    __long_version__,
    compile_code,
)
from vyper.utils import keccak256  # type: ignore[import-untyped]

HERE: Final = Path(__file__).parent
NAMES: Final = ("Anchors", "Participants")
EVM: Final = "london"
FORMATS: Final = ("abi", "bytecode", "bytecode_runtime", "method_identifiers", "layout")

_PRAGMA: Final = re.compile(r"^# pragma evm-version (\w+)$", re.MULTILINE)


def render(name: str) -> str:
    """Compile a contract and return the text that belongs in its JSON.

    Raises:
        ValueError: The source is written for another EVM than `EVM`.
    """
    source = (HERE / f"{name}.vy").read_text("utf-8")
    if _PRAGMA.findall(source) != [EVM]:
        raise ValueError(f"{name}.vy does not say `# pragma evm-version {EVM}`")
    made = compile_code(source, output_formats=FORMATS)
    artefact = {
        "compiler": {"name": "vyper", "version": __long_version__, "evm": EVM},
        "selectors": _selectors(made["method_identifiers"]),
        "topics": _topics(made["abi"]),
        "immutables": _immutables(made["layout"]),
        "abi": made["abi"],
        "bytecode": made["bytecode"].removeprefix("0x"),
        "runtime": made["bytecode_runtime"].removeprefix("0x"),
    }
    return json.dumps(artefact, indent=1) + "\n"


def _selectors(identifiers: dict[str, str]) -> dict[str, str]:
    found = {
        signature.partition("(")[0]: selector.removeprefix("0x").zfill(8)
        for signature, selector in identifiers.items()
    }
    return dict(sorted(found.items()))


def _topics(abi: list[dict[str, Any]]) -> dict[str, str]:
    found = {}
    for event in (entry for entry in abi if entry["type"] == "event"):
        types = ",".join(given["type"] for given in event["inputs"])
        found[event["name"]] = keccak256(f"{event['name']}({types})".encode()).hex()
    return dict(sorted(found.items()))


def _immutables(layout: dict[str, Any]) -> dict[str, int]:
    settled = layout.get("code_layout", {})
    return {name: at["offset"] for name, at in settled.items()}


if __name__ == "__main__":
    for contract in NAMES:
        (HERE / f"{contract}.json").write_text(render(contract), "utf-8")
