"""A node whose partners could not verify it does not serve."""

import json
from pathlib import Path

import pytest

from node.errors import Unavailable
from tests.support.node import FixedClock, Wire, found, start


@pytest.mark.parametrize("suite", ["ed25519", "x25519", "bls12381g2", "secp256k1"])
async def test_a_node_whose_registry_pins_another_key_does_not_start(
    tmp_path: Path, suite: str
) -> None:
    registry = tmp_path / "participants.json"
    for number, name in enumerate(("maker", "supplier")):
        found(tmp_path / name, name, 8101 + number, registry)
    records = json.loads(registry.read_text())
    records[0]["keys"][suite] = records[1]["keys"][suite]
    registry.write_text(json.dumps(records))
    with pytest.raises(Unavailable, match=r"registry\.self"):
        await start(tmp_path / "maker", clock=FixedClock(), wire=Wire())


async def test_a_node_whose_registry_pins_another_account_does_not_start(
    tmp_path: Path,
) -> None:
    registry = tmp_path / "participants.json"
    found(tmp_path / "maker", "maker", 8101, registry)
    [record] = json.loads(registry.read_text())
    for address, starts in (
        (record["chain_address"].upper().replace("0X", "0x"), True),
        ("0x" + "00" * 20, False),
    ):
        registry.write_text(json.dumps([record | {"chain_address": address}]))
        if starts:
            node = await start(tmp_path / "maker", clock=FixedClock(), wire=Wire())
            await node.stop()
            continue
        with pytest.raises(Unavailable, match="chain_address"):
            await start(tmp_path / "maker", clock=FixedClock(), wire=Wire())
