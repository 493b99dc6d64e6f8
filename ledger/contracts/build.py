"""Compiles `Anchors.vy` to `Anchors.json`. Needs Vyper, a development tool.

    python -m ledger.contracts.build

The same source and compiler give the same bytes on every machine.
"""

import json
from pathlib import Path
from typing import Final

from vyper import (  # type: ignore[import-untyped]
    __long_version__,
    compile_code,
)

HERE: Final = Path(__file__).parent
FORMATS: Final = ("abi", "bytecode", "bytecode_runtime", "method_identifiers")


def render() -> str:
    """Compile the contract and return the text that belongs in `Anchors.json`."""
    source = (HERE / "Anchors.vy").read_text("utf-8")
    made = compile_code(source, output_formats=FORMATS)
    selectors = {
        signature.partition("(")[0]: selector.removeprefix("0x")
        for signature, selector in made["method_identifiers"].items()
    }
    artefact = {
        "compiler": {"name": "vyper", "version": __long_version__, "evm": "london"},
        "selectors": {k: v.zfill(8) for k, v in sorted(selectors.items())},
        "abi": made["abi"],
        "bytecode": made["bytecode"].removeprefix("0x"),
        "runtime": made["bytecode_runtime"].removeprefix("0x"),
    }
    return json.dumps(artefact, indent=1) + "\n"


if __name__ == "__main__":
    (HERE / "Anchors.json").write_text(render(), "utf-8")
