"""The first block of a Besu chain. The encoder was compared with Besu's own example."""

import json

import pytest
import rlp  # type: ignore[import-untyped]

from crypto.errors import Malformed
from ledger.genesis import extra_data, genesis
from tests.support import REPOSITORY

FOUR = ["0x" + f"{number:02x}" * 20 for number in (0x0A, 0x1B, 0x2C, 0x3D)]


def test_extra_data_of_four_validators_is_laid_out_as_besu_lays_it() -> None:
    addresses = b"".join(b"\x94" + bytes.fromhex(each[2:]) for each in FOUR)
    lists = b"\xf8\x54" + addresses + b"\xc0" + b"\x80" + b"\xc0"
    assert extra_data(FOUR) == b"\xf8\x7a" + b"\xa0" + bytes(32) + lists


def test_validators_keep_their_order() -> None:
    read = rlp.decode(extra_data(FOUR[::-1]))
    assert ["0x" + each.hex() for each in read[1]] == FOUR[::-1]


def test_gas_is_free_and_nothing_beyond_london_is_active() -> None:
    made = genesis(FOUR, chain_id=4242, block_period_s=5)
    config = made["config"]
    assert config["zeroBaseFee"] is True
    assert config["chainId"] == 4242
    assert config["londonBlock"] == 0
    assert not [name for name in config if name.endswith("Time")]
    assert config["qbft"]["blockperiodseconds"] == 5
    assert made["alloc"] == {}


@pytest.mark.parametrize(
    ("validators", "why"),
    [
        (FOUR[:3], "4 validators"),
        ([*FOUR, FOUR[0].upper().replace("0X", "0x")], "twice"),
        ([*FOUR, "0x12"], "address"),
        ([*FOUR, "0x" + "00" * 20], "nobody"),
    ],
)
def test_wrong_validators_are_refused(validators: list[str], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        genesis(validators, chain_id=1)


@pytest.mark.parametrize("numbers", [{"chain_id": 0}, {"block_period_s": 0}])
def test_numbers_below_one_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(Malformed, match="1 at least"):
        genesis(FOUR, **{"chain_id": 7} | numbers)


def test_the_documented_genesis_file_is_the_one_that_is_made() -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    _, _, shown = text.partition("<!-- genesis:")
    _, _, block = shown.partition("```json\n")
    told, _, _ = block.partition("```")
    assert json.loads(told) == genesis(FOUR, chain_id=20261123)
