"""The embedded chain as a process: its door, its clients, and its sudden deaths."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from eth_account import Account
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionNotFound,
    Web3RPCError,
)
from web3.types import Nonce, TxParams

from ledger.chain import RpcAnchors
from ledger.contracts import anchors
from ledger.evm.server import MAX_BODY_BYTES
from ledger.evm.transactions import CHAIN_ID
from ledger.rpc_reader import RpcChainReader
from tests.support.chain import (
    ZERO,
    Contract,
    Member,
    anchor_call,
    member_key,
    opened,
    process,
    secret,
)

ASK = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
JSON = {"content-type": "application/json"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 -- listened on for a moment, and refused


def commitment(epoch: int) -> bytes:
    return epoch.to_bytes(32, "big") if epoch else ZERO


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with process(tmp_path_factory.mktemp("chain")) as (url, _):
        yield url


# -- the door ----------------------------------------------------------------


def started(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ledger.evm", "--port", "0", *options]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.1", "localhost.example"])
def test_a_host_that_others_can_reach_must_be_meant(tmp_path: Path, host: str) -> None:
    refused = started("--path", str(tmp_path), "--host", host)
    assert refused.returncode == 2
    assert "--allow-remote" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_a_host_that_is_meant_is_taken(tmp_path: Path) -> None:
    with process(tmp_path, "--host", EVERYWHERE, "--allow-remote") as (url, _):
        port = url.rpartition(":")[2]
        said = httpx.post(
            f"http://127.0.0.1:{port}", content=ASK, headers=JSON, timeout=120
        )
        assert said.json()["result"] == hex(CHAIN_ID)


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with process(tmp_path):
        refused = started("--path", str(tmp_path))
    assert refused.returncode == 1
    assert "another process" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_sigterm_ends_it_quietly_and_leaves_one_file(tmp_path: Path) -> None:
    with process(tmp_path) as (url, running):
        httpx.post(url, content=ASK, headers=JSON, timeout=120)
        running.terminate()
        assert running.wait(120) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["chain.sqlite"]
    with process(tmp_path) as (url, _):
        assert (
            httpx.post(url, content=ASK, headers=JSON, timeout=120).status_code == 200
        )


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        (JSON, ASK, 200),
        ({"content-type": "Application/JSON; charset=utf-8"}, ASK, 200),
        ({"content-type": "text/plain"}, ASK, 415),
        ({}, ASK, 415),
        ({**JSON, "host": "evil.example"}, ASK, 400),
        (JSON, b" " * (MAX_BODY_BYTES + 1), 413),
        (JSON, b"nonsense", 200),
        (JSON, b"[" * 500_000, 200),
        (JSON, b'{"jsonrpc":"2.0","method":"eth_chainId"}', 204),
    ],
)
def test_only_json_to_a_loopback_name_is_read(
    url: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    said = httpx.post(url, content=content, headers=headers, timeout=120)
    assert said.status_code == status
    assert httpx.post(url, content=ASK, headers=JSON, timeout=120).status_code == 200


def test_there_is_one_path_and_one_verb(url: str) -> None:
    assert httpx.get(url, timeout=120).status_code == 405
    assert (
        httpx.post(url + "/x", content=ASK, headers=JSON, timeout=120).status_code
        == 404
    )


def test_an_idle_connection_keeps_nobody_waiting(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as idle:  # and it never ends
        idle.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n")
        assert (
            httpx.post(url, content=ASK, headers=JSON, timeout=120).status_code == 200
        )


# -- web3, an independent client ----------------------------------------------


@contextmanager
def client(url: str) -> Iterator[Web3]:
    with requests.Session() as session:
        yield Web3(
            HTTPProvider(url, session=session, exception_retry_configuration=None)
        )


@pytest.fixture(scope="module")
def web3(url: str) -> Iterator[Web3]:
    with client(url) as web3:
        yield web3


@pytest.fixture(scope="module")
def deployed(web3: Web3) -> Any:
    """The contract's receipt, deployed with all that web3 fills in by itself."""
    account = Account.from_key(secret(1))
    contract = web3.eth.contract(abi=anchors().abi, bytecode=anchors().bytecode)
    filled = contract.constructor().build_transaction(
        {
            "from": account.address,
            "nonce": web3.eth.get_transaction_count(account.address),
        }
    )
    signed = account.sign_transaction(filled)
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    assert sent == signed.hash
    return web3.eth.wait_for_transaction_receipt(sent)


def test_web3_knows_the_chain(web3: Web3) -> None:
    assert web3.is_connected()
    assert web3.client_version.startswith("fieldpact-evm/")
    assert web3.net.version == str(web3.eth.chain_id) == str(CHAIN_ID)
    assert web3.eth.syncing is False
    assert not web3.eth.accounts


def test_web3_finds_that_gas_is_free(web3: Web3) -> None:
    assert web3.eth.gas_price == web3.eth.max_priority_fee == 0
    assert set(web3.eth.fee_history(4, "latest", [50])["baseFeePerGas"]) == {0}
    assert web3.eth.get_balance(Account.from_key(secret(1)).address) == 0


def test_web3_reads_blocks_transactions_and_receipts(web3: Web3, deployed: Any) -> None:
    block = web3.eth.get_block(deployed["blockNumber"], full_transactions=True)
    assert block == web3.eth.get_block(block["hash"], full_transactions=True)
    assert block["parentHash"] == web3.eth.get_block(block["number"] - 1)["hash"]
    (transaction,) = block["transactions"]
    assert transaction == web3.eth.get_transaction(deployed["transactionHash"])
    assert deployed["status"] == 1
    assert deployed["gasUsed"] == deployed["cumulativeGasUsed"] == block["gasUsed"]
    assert web3.eth.get_code(deployed["contractAddress"]) == anchors().runtime
    assert web3.eth.get_transaction_count(deployed["from"]) == transaction["nonce"] + 1
    earlier = block["number"] - 1
    assert web3.eth.get_transaction_count(deployed["from"], earlier) == 0


def test_web3_anchors_reads_and_finds_the_event(web3: Web3, deployed: Any) -> None:
    account = Account.from_key(secret(2))
    address = Web3.to_checksum_address(deployed["contractAddress"])
    contract = web3.eth.contract(address, abi=anchors().abi)
    sender: TxParams = {"from": account.address, "nonce": Nonce(0)}
    call = contract.functions.anchor(1, commitment(1), ZERO)
    filled = call.build_transaction(sender)
    sent = web3.eth.send_raw_transaction(
        account.sign_transaction(filled).raw_transaction
    )
    receipt = web3.eth.wait_for_transaction_receipt(sent)
    assert receipt["gasUsed"] <= filled["gas"]
    assert contract.functions.epoch_of(account.address).call() == 1
    assert contract.functions.commitment_of(account.address, 1).call() == commitment(1)
    (from_receipt,) = contract.events.CheckpointAnchored().process_receipt(receipt)
    (from_index,) = contract.events.CheckpointAnchored().get_logs(
        from_block=0, argument_filters={"member": account.address}
    )
    assert from_receipt == from_index
    assert from_index["args"]["commitment"] == commitment(1)
    with pytest.raises(ContractLogicError, match="epoch is not the next one"):
        contract.functions.anchor(1, commitment(1), ZERO).call(
            {"from": account.address}
        )


def test_web3_is_told_what_is_not_there_and_what_is_refused(web3: Web3) -> None:
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction_receipt(HexBytes("11" * 32))
    with pytest.raises(BlockNotFound):
        web3.eth.get_block(10**6)
    with pytest.raises(Web3RPCError, match="nonce too high"):
        web3.eth.send_raw_transaction(Member(9).sign(b"", b"\x11" * 20, nonce=3))


# -- history and sudden deaths -------------------------------------------------


@pytest.mark.slow
def test_a_history_of_600_anchors_is_read_from_the_index(tmp_path: Path) -> None:
    with opened(tmp_path / "chain.sqlite") as chain:
        contract, member = Contract(chain), Member(2)
        for epoch in range(1, 601):
            contract.anchor(member, epoch, commitment(epoch), commitment(epoch - 1))
    address = "0x" + contract.address.hex()
    with (
        process(tmp_path) as (url, _),
        closing(RpcAnchors(url, key=member_key(2), contract=address)) as anchored,
        client(url) as web3,
    ):
        events = web3.eth.contract(
            Web3.to_checksum_address(address), abi=anchors().abi
        ).events.CheckpointAnchored()
        began = time.monotonic()
        history = events.get_logs(from_block=0)
        oldest = anchored.find(1)
        took = time.monotonic() - began
    assert [e["args"]["epoch"] for e in history] == list(range(1, 601))
    assert oldest is not None
    assert oldest.block == 2
    assert took < 25  # some 0.1 s when idle; a client that walks blocks took 52 s


class Anchoring(threading.Thread):
    """Anchors without pause and remembers what was acknowledged, until it cannot."""

    def __init__(self, url: str, contract: bytes, member: Member, epoch: int) -> None:
        super().__init__()
        self.acknowledged: dict[int, str] = {}
        self.began = threading.Event()
        self._url, self._contract = url, contract
        self._member, self._epoch = member, epoch

    def run(self) -> None:
        with httpx.Client(timeout=120) as http:
            for epoch in range(self._epoch + 1, 10**6):
                data = anchor_call(epoch, commitment(epoch), commitment(epoch - 1))
                raw = "0x" + self._member.sign(data, self._contract).hex()
                ask = {"method": "eth_sendRawTransaction", "params": [raw]}
                try:
                    said = http.post(self._url, json={"jsonrpc": "2.0", "id": 1, **ask})
                    self.acknowledged[epoch] = said.json()["result"]
                    self.began.set()
                except httpx.HTTPError:
                    return


@pytest.mark.slow
def test_no_acknowledged_anchor_is_lost_when_the_process_is_killed(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "chain.sqlite", clock=lambda: int(time.time())) as chain:
        address = Contract(chain).address
    member, epoch, acknowledged = Member(2), 0, dict[int, str]()
    contract, who = "0x" + address.hex(), "0x" + member.address.hex()
    for death in range(11):
        with process(tmp_path) as (url, running):
            with closing(RpcChainReader(url, contract)) as reader:
                found = reader.latest_epoch(who)
                # One more than acknowledged may have been written, and no less.
                assert epoch <= found <= epoch + 1
                for past in range(1, found + 1):
                    assert reader.commitment(who, past) == commitment(past)
            with client(url) as web3:
                assert web3.eth.block_number == 1 + found
                for past, sent in acknowledged.items():
                    receipt = web3.eth.get_transaction_receipt(HexBytes(sent))
                    assert receipt["blockNumber"] == 1 + past
                wanted = Web3.to_checksum_address(contract)
                logs = web3.eth.get_logs({"fromBlock": 0, "address": wanted})
                assert len(logs) == found
            member.nonce = found
            anchoring = Anchoring(url, address, member, found)
            anchoring.start()
            assert anchoring.began.wait(120)
            time.sleep(0.0237 * death)
            running.kill()
            anchoring.join()
        acknowledged |= anchoring.acknowledged
        epoch = max(acknowledged)
