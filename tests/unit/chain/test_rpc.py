"""JSON-RPC: every question gets a result or one of its own kinds of error."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ledger.contracts import anchors
from ledger.evm import rpc
from ledger.evm.chain import EmbeddedChain
from ledger.evm.rpc import MAX_BATCH, answer
from ledger.evm.transactions import CHAIN_ID
from tests.support.chain import ZERO, Contract, Member, anchor_call, opened

ONE, TWO = (bytes([n]) * 32 for n in (1, 2))


@pytest.fixture(scope="module")
def contract() -> Iterator[Contract]:
    """A chain whose block 1 made the contract and whose block 2 anchored."""
    with opened() as chain:
        contract = Contract(chain)
        contract.anchor(Member(2), 1, ONE, ZERO)
        yield contract


@pytest.fixture(scope="module")
def chain(contract: Contract) -> EmbeddedChain:
    return contract.chain


def say(chain: EmbeddedChain, method: str, *params: object) -> Any:
    request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    said = answer(chain, json.dumps(request).encode())
    assert said["jsonrpc"] == "2.0"
    assert said["id"] == 7
    return said["error"] if "error" in said else said["result"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b"1", -32600),
        (b"{}", -32600),
        (b"[]", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_sign"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"__class__"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getCode"}', -32602),
    ],
)
def test_what_is_not_a_request_is_told_so(
    chain: EmbeddedChain, body: bytes, code: int
) -> None:
    assert answer(chain, body)["error"]["code"] == code


def test_a_batch_is_answered_in_order_and_notifications_are_not(
    chain: EmbeddedChain,
) -> None:
    ask = {"jsonrpc": "2.0", "method": "eth_chainId"}
    batch = [{**ask, "id": 1}, ask, {**ask, "id": "b"}, 3]
    ids = [said["id"] for said in answer(chain, json.dumps(batch).encode())]
    assert ids == [1, "b", None]
    assert answer(chain, json.dumps([ask]).encode()) is None
    assert answer(chain, json.dumps(ask).encode()) is None


def test_a_batch_has_a_limit(chain: EmbeddedChain) -> None:
    ask = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
    body = json.dumps([ask] * (MAX_BATCH + 1)).encode()
    assert answer(chain, body)["error"]["code"] == -32600


ADDRESS, HASH = "0x" + "11" * 20, "0x" + "11" * 32


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["0xg", False]),
        ("eth_getBlockByNumber", [1, False]),
        ("eth_getBlockByNumber", ["0x", False]),
        ("eth_getBlockByNumber", [{"blockHash": HASH}, False]),
        ("eth_getBlockByHash", ["0x11", False]),
        ("eth_getTransactionReceipt", [None]),
        ("eth_getTransactionCount", [HASH, "latest"]),
        ("eth_getBalance", [ADDRESS, "newest"]),
        ("eth_sendRawTransaction", ["02"]),
        ("eth_sendRawTransaction", ["0x0"]),
        ("eth_call", ["0x", "latest"]),
        ("eth_call", [{"to": "0x1"}, "latest"]),
        ("eth_call", [{"to": ADDRESS, "data": 5}, "latest"]),
        ("eth_call", [{"to": ADDRESS, "value": "0x1"}, "latest"]),
        ("eth_getLogs", [[]]),
        ("eth_getLogs", [{"topics": [HASH] * 5}]),
        ("eth_getLogs", [{"topics": HASH}]),
        ("eth_getLogs", [{"topics": [[HASH] * 65]}]),
        ("eth_getLogs", [{"address": HASH}]),
        ("eth_feeHistory", [4, "latest"]),
    ],
)
def test_parameters_that_make_no_sense_are_invalid(
    chain: EmbeddedChain, method: str, params: list[object]
) -> None:
    assert say(chain, method, *params)["code"] == -32602


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**70)
    | st.sampled_from(
        ["0x", "0x0", "0x1", hex(2**256 - 1), ADDRESS, HASH, "latest", "earliest"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "from",
                    "to",
                    "data",
                    "input",
                    "gas",
                    "value",
                    "fromBlock",
                    "toBlock",
                    "address",
                    "topics",
                    "blockHash",
                ]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.sampled_from(sorted(rpc._METHODS)), st.lists(ANY_JSON, max_size=3))
@example("eth_getLogs", [{"fromBlock": hex(2**256 - 1), "toBlock": hex(2**256 - 1)}])
@example("eth_feeHistory", [hex(2**256 - 1), "latest", [1, 2]])
@example("eth_call", [{"to": ADDRESS, "gas": "0x0"}])
@example("eth_estimateGas", [{"gas": "0x0"}])
def test_no_parameters_make_an_internal_error(
    chain: EmbeddedChain, method: str, params: list[object]
) -> None:
    said = say(chain, method, *params)
    assert not isinstance(said, dict) or said.get("code") != -32603
    json.dumps(said)


def test_a_fault_of_ours_is_an_internal_error_and_logged(
    chain: EmbeddedChain,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(chain, "header", lambda: 1 / 0)
    assert say(chain, "eth_blockNumber") == {
        "code": -32603,
        "message": "internal error",
    }
    assert "ZeroDivisionError" in caplog.text


def test_a_transaction_that_is_refused_is_a_server_error(chain: EmbeddedChain) -> None:
    error = say(chain, "eth_sendRawTransaction", "0x02")
    assert error["code"] == -32000


def test_a_contract_that_refuses_gives_its_reason(
    contract: Contract, chain: EmbeddedChain
) -> None:
    call = {
        "from": "0x" + Member(2).address.hex(),
        "to": "0x" + contract.address.hex(),
        "input": "0x" + anchor_call(1, ONE, ZERO).hex(),
    }
    for method in ("eth_call", "eth_estimateGas"):
        error = say(chain, method, call)
        assert error["code"] == 3
        assert error["message"] == "execution reverted: epoch is not the next one"
        assert b"epoch is not the next one" in bytes.fromhex(error["data"][2:])


def test_what_is_not_there_is_null_and_a_state_that_is_not_there_an_error(
    chain: EmbeddedChain,
) -> None:
    assert say(chain, "eth_getBlockByNumber", "0x99", False) is None
    assert say(chain, "eth_getBlockByHash", HASH, False) is None
    assert say(chain, "eth_getTransactionByHash", HASH) is None
    assert say(chain, "eth_getTransactionReceipt", HASH) is None
    assert say(chain, "eth_getBalance", ADDRESS, "0x99")["code"] == -32000


def test_blocks_are_named_by_number_and_by_tag(chain: EmbeddedChain) -> None:
    def number(name: str) -> str:
        return str(say(chain, "eth_getBlockByNumber", name, False)["number"])

    assert number("earliest") == "0x0"
    assert number("0x1") == "0x1"
    for tag in ("latest", "pending", "safe", "finalized"):
        assert number(tag) == "0x2"


def test_events_are_asked_by_range_by_block_and_by_topic(
    contract: Contract, chain: EmbeddedChain
) -> None:
    here = {"address": "0x" + contract.address.hex()}
    member = "0x" + Member(2).address.rjust(32, b"\0").hex()
    block = say(chain, "eth_getBlockByNumber", "latest", False)["hash"]
    for wanted, found in [
        (here, 1),  # the newest block alone, when no range is given
        ({**here, "fromBlock": "0x0"}, 1),
        ({**here, "fromBlock": "0x0", "toBlock": "0x1"}, 0),
        ({**here, "fromBlock": "0x3", "toBlock": "0x9"}, 0),
        ({**here, "blockHash": block}, 1),
        ({**here, "topics": [None, member]}, 1),
        ({**here, "topics": [None, [member, HASH]]}, 1),
        ({**here, "topics": [None, HASH]}, 0),
        ({"address": ADDRESS, "fromBlock": "0x0"}, 0),
    ]:
        assert len(say(chain, "eth_getLogs", wanted)) == found


def test_gas_is_free_however_one_asks(chain: EmbeddedChain) -> None:
    assert say(chain, "eth_gasPrice") == "0x0"
    assert say(chain, "eth_maxPriorityFeePerGas") == "0x0"
    history = say(chain, "eth_feeHistory", "0x2", "latest", [25, 75])
    assert history["oldestBlock"] == "0x1"
    assert history["baseFeePerGas"] == ["0x0"] * 3
    assert history["reward"] == [["0x0"] * 2] * 2
    assert all(0 < share < 0.5 for share in history["gasUsedRatio"])


def test_the_chain_says_who_it_is(chain: EmbeddedChain, contract: Contract) -> None:
    address = "0x" + contract.address.hex()
    assert say(chain, "eth_chainId") == hex(CHAIN_ID)
    assert say(chain, "net_version") == str(CHAIN_ID)
    assert say(chain, "eth_getCode", address) == "0x" + anchors().runtime.hex()
    assert say(chain, "eth_getCode", address, "0x0") == "0x"
