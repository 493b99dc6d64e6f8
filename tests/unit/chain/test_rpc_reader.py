"""Reading anchors without an Ethereum library, from nodes that may lie or fail."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from crypto.errors import Malformed
from ledger.errors import ChainUnavailable
from ledger.evm.transactions import CHAIN_ID
from ledger.rpc_reader import RpcChainReader
from tests.support.chain import ZERO, Contract, Member, node, opened, serving

ONE = b"\x01" * 32
MEMBER = "0x" + Member(2).address.hex()


@pytest.fixture
def contract() -> Iterator[Contract]:
    with opened() as chain:
        contract = Contract(chain)
        contract.anchor(Member(2), 1, ONE, ZERO)
        yield contract


def test_web3_is_not_needed_to_read() -> None:
    script = "import sys, ledger.rpc_reader; assert 'web3' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_reader_reads_what_was_anchored(contract: Contract) -> None:
    address = "0x" + contract.address.hex()
    with (
        node(contract.chain) as url,
        closing(RpcChainReader(url, address.upper().replace("X", "x"))) as reader,
    ):
        assert reader.chain_id == CHAIN_ID
        assert reader.contract == address
        assert reader.commitment(MEMBER, 1) == ONE
        assert reader.commitment(MEMBER.upper().replace("X", "x"), 2) is None
        assert reader.latest_epoch(MEMBER) == 1
        assert reader.latest_epoch(address) == 0


def test_an_address_that_is_none_is_malformed(contract: Contract) -> None:
    for wrong in ("", "0x12", MEMBER[2:], MEMBER + "00", "0x" + "g" * 40):
        with pytest.raises(Malformed):
            RpcChainReader("http://127.0.0.1:1", wrong)


def test_the_chain_must_be_the_expected_one(contract: Contract) -> None:
    address = "0x" + contract.address.hex()
    with (
        node(contract.chain) as url,
        closing(RpcChainReader(url, address, chain_id=1)) as reader,
        pytest.raises(ChainUnavailable, match=f"chain {CHAIN_ID}, not 1"),
    ):
        reader.commitment(MEMBER, 1)


def test_another_contract_is_not_believed(contract: Contract) -> None:
    # Answers every call with a word of ones.
    code = bytes.fromhex("7f" + "01" * 32 + "60005260206000f3")
    init = bytes.fromhex(f"60{len(code):02x}80600b6000396000f3") + code
    liar = contract.mine(Member(3).sign(init))
    from ledger.evm.wire import receipt

    address = receipt(liar, [])["contractAddress"]
    for wrong in (address, MEMBER):
        with (
            node(contract.chain) as url,
            closing(RpcChainReader(url, wrong)) as reader,
            pytest.raises(ChainUnavailable, match="no anchor contract at"),
        ):
            reader.commitment(MEMBER, 1)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        [],
        {},
        {"error": {"code": -32000, "message": "no"}},
        {"result": None},
        {"result": 1},
        {"result": "0x"},
        {"result": "0xzz"},
        {"result": "1"},
    ],
)
def test_a_node_that_talks_nonsense_is_unavailable(said: object) -> None:
    with (
        serving(lambda _: said) as url,
        closing(RpcChainReader(url, MEMBER)) as reader,
        pytest.raises(ChainUnavailable),
    ):
        reader.latest_epoch(MEMBER)


@pytest.mark.parametrize("word", ["0x", "0x01", "0x" + "01" * 33])
def test_an_answer_that_is_no_word_is_unavailable(
    contract: Contract, word: str
) -> None:
    def tamper(method: str, said: Any) -> Any:
        return {"result": word} if method == "eth_call" else said

    with (
        node(contract.chain, tamper) as url,
        closing(RpcChainReader(url, "0x" + contract.address.hex())) as reader,
        pytest.raises(ChainUnavailable, match="bytes, not 32"),
    ):
        reader.commitment(MEMBER, 1)


def test_nobody_listening_is_unavailable_and_says_nothing_about_the_anchor() -> None:
    with (
        closing(RpcChainReader("http://127.0.0.1:9", MEMBER, timeout_s=1)) as reader,
        pytest.raises(ChainUnavailable, match="eth_chainId"),
    ):
        reader.commitment(MEMBER, 1)
