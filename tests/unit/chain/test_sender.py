"""Transactions: signed, sent, looked for; and what a chain's node may answer."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from eth_account import Account

from ledger.contracts import calls
from ledger.errors import ChainUnavailable, Refused
from ledger.evm.rpc import answer
from ledger.evm.transactions import CHAIN_ID
from ledger.sender import Sender
from tests.support.chain import Tamper, member_key, node, opened, secret, serving
from tests.unit.chain.consortium import ANNE, BOB, NUMBERS, Consortium

GAS = 400_000
VOTE = calls.vote(did=BOB, account="0x" + "ab" * 20)


@pytest.fixture
def consortium() -> Iterator[Consortium]:
    with opened() as chain:
        yield Consortium(chain, ANNE)


@contextmanager
def sender_of(
    consortium: Consortium,
    tamper: Tamper | None = None,
    did: str = ANNE,
    chain_id: int | None = CHAIN_ID,
) -> Iterator[Sender]:
    """A member's sender, over a node that may do as it likes."""
    key = member_key(NUMBERS[did])
    with node(consortium.chain, tamper) as url:
        made = Sender(url, key, chain_id=chain_id, timeout_s=120, wait_s=0.2)
        with closing(made) as sender:
            yield sender


def instead(method: str, say: Callable[[Any], Any]) -> Tamper:
    return lambda asked, said: say(said) if asked == method else said


def refuse(message: str, data: object = None) -> Callable[[Any], Any]:
    error = {"code": -32000, "message": message, "data": data}
    return lambda _: {"jsonrpc": "2.0", "id": 1, "error": error}


def result(value: object) -> Callable[[Any], Any]:
    return lambda _: {"jsonrpc": "2.0", "id": 1, "result": value}


def test_what_is_signed_is_what_another_library_signs(consortium: Consortium) -> None:
    with sender_of(consortium) as sender:
        signed = sender.sign(VOTE, to=consortium.contract, gas=GAS, nonce=7)
    fields = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": 7,
        "gas": GAS,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
        "to": bytes.fromhex(consortium.contract[2:]),
        "value": 0,
        "data": VOTE,
    }
    theirs = Account.from_key(secret(NUMBERS[ANNE])).sign_transaction(fields)
    assert signed.raw == bytes(theirs.raw_transaction)
    assert signed.transaction == theirs.hash.to_0x_hex()


def test_a_transaction_is_seen_into_a_block(consortium: Consortium) -> None:
    with sender_of(consortium) as sender:
        found = sender.transact(VOTE, to=consortium.contract, gas=GAS)
        assert found.ok
        assert found.block == 2
        assert sender.look(found.transaction) == found
        assert sender.nonce() == 1


class Beside:
    """Another sender of the same account: sends when ours has asked for its number."""

    def __init__(self, consortium: Consortium, times: int) -> None:
        self.consortium, self.left, self.sent = consortium, times, 0

    def __call__(self, asked: str, said: Any) -> Any:
        if asked == "eth_getBlockByNumber" and self.left:
            self.left -= 1
            self.sent += 1
            account = "0x" + f"{self.sent:040x}"
            with sender_of(self.consortium) as other:
                vote = calls.vote(did=BOB, account=account)
                other.transact(vote, to=self.consortium.contract, gas=GAS)
        return said


def test_a_number_that_another_took_meanwhile_is_not_used(
    consortium: Consortium,
) -> None:
    with sender_of(consortium, Beside(consortium, 4)) as sender:
        found = sender.transact(VOTE, to=consortium.contract, gas=GAS)
        assert found.ok
        assert sender.nonce() == 5


def test_who_never_gets_a_number_is_told(consortium: Consortium) -> None:
    with (
        sender_of(consortium, Beside(consortium, 99)) as sender,
        pytest.raises(Refused, match="nonce too low"),
    ):
        sender.transact(VOTE, to=consortium.contract, gas=GAS)


def test_a_contract_is_created_and_its_address_told(consortium: Consortium) -> None:
    code = calls.create_participants([(ANNE, "0x" + "ab" * 20)], majority=50)
    with sender_of(consortium) as sender:
        made = sender.transact(code, to=None, gas=3_000_000).created
    assert made is not None
    assert made != consortium.contract


def test_the_contracts_reason_is_told_and_nothing_sent(consortium: Consortium) -> None:
    with sender_of(consortium, did=BOB) as sender:
        with pytest.raises(Refused, match="sender has no vote"):
            sender.transact(VOTE, to=consortium.contract, gas=GAS)
        assert sender.nonce() == 0


@pytest.mark.parametrize("deep", [False, True])
def test_a_reason_in_the_answers_data_is_read(
    consortium: Consortium, deep: bool
) -> None:
    words = (
        (32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"why!".ljust(32, b"\0")
    )
    data = "0x08c379a0" + words.hex()
    said = refuse("Execution reverted", {"data": data} if deep else data)
    with (
        sender_of(consortium, instead("eth_call", said)) as sender,
        pytest.raises(Refused, match=r"^why!$"),
    ):
        sender.transact(VOTE, to=consortium.contract, gas=GAS)


@pytest.mark.parametrize("data", ["0x08c379a0", "0x1234", "zz", 7, {"data": None}])
def test_without_a_reason_the_nodes_own_words_are_told(
    consortium: Consortium, data: object
) -> None:
    with (
        sender_of(consortium, instead("eth_call", refuse("no!", data))) as sender,
        pytest.raises(Refused, match=r"^no!$"),
    ):
        sender.transact(VOTE, to=consortium.contract, gas=GAS)


def test_a_node_of_another_chain_is_not_used(consortium: Consortium) -> None:
    with (
        sender_of(consortium, chain_id=1) as sender,
        pytest.raises(ChainUnavailable, match=f"a node of chain {CHAIN_ID}, not 1"),
    ):
        sender.transact(VOTE, to=consortium.contract, gas=GAS)


def test_a_transaction_the_node_already_knows_is_no_fault(
    consortium: Consortium,
) -> None:
    with sender_of(consortium) as sender:
        signed = sender.sign(VOTE, to=consortium.contract, gas=GAS, nonce=0)
        sender.send(signed)
        sender.send(signed)
        found = sender.look(signed.transaction)
    assert found is not None
    assert found.ok


def test_a_number_that_is_used_is_refused(consortium: Consortium) -> None:
    with sender_of(consortium) as sender:
        sender.transact(VOTE, to=consortium.contract, gas=GAS)
        other = sender.sign(b"", to=consortium.contract, gas=GAS, nonce=0)
        with pytest.raises(Refused, match="nonce"):
            sender.send(other)


def test_a_call_that_fails_in_its_block_is_refused(consortium: Consortium) -> None:
    with (
        sender_of(consortium, instead("eth_call", result("0x")), did=BOB) as sender,
        pytest.raises(Refused, match=r"0x[0-9a-f]{64} failed in block 2"),
    ):
        sender.transact(VOTE, to=consortium.contract, gas=GAS)


def test_a_transaction_in_no_block_is_given_up_in_time(consortium: Consortium) -> None:
    never = instead("eth_getTransactionReceipt", result(None))
    with (
        sender_of(consortium, never) as sender,
        pytest.raises(ChainUnavailable, match="in no block"),
    ):
        sender.transact(VOTE, to=consortium.contract, gas=GAS)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("eth_chainId", "one"),
        ("eth_getTransactionCount", None),
        ("eth_getBlockByNumber", "0x0"),
        ("eth_getTransactionReceipt", {}),
        ("eth_getTransactionReceipt", "0x0"),
    ],
)
def test_an_answer_that_does_not_parse_tells_nothing(
    consortium: Consortium, method: str, said: object
) -> None:
    with (
        sender_of(consortium, instead(method, result(said))) as sender,
        pytest.raises(ChainUnavailable),
    ):
        sender.transact(VOTE, to=consortium.contract, gas=GAS)


@pytest.mark.parametrize("said", [b"", b"[]", b"{}", b'{"error": 1}'])
def test_no_answer_tells_nothing(said: bytes) -> None:
    with (
        serving(lambda _: said) as url,
        closing(Sender(url, member_key(1))) as sender,
        pytest.raises(ChainUnavailable),
    ):
        sender.chain_id()


def test_where_gas_has_a_price_it_is_paid_with_a_tip() -> None:
    with opened() as chain:

        def say(body: bytes) -> Any:
            said = answer(chain, body)
            if json.loads(body)["method"] == "eth_getBlockByNumber":
                said["result"]["baseFeePerGas"] = "0x7"
            if json.loads(body)["method"] == "eth_maxPriorityFeePerGas":
                said["result"] = "0x2"
            return said

        with serving(say) as url, closing(Sender(url, member_key(1))) as sender:
            signed = sender.sign(b"", to="0x" + "00" * 20, gas=GAS, nonce=0)
    fields = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": 0,
        "gas": GAS,
        "maxPriorityFeePerGas": 2,
        "maxFeePerGas": 16,
        "to": bytes(20),
        "value": 0,
        "data": b"",
    }
    theirs = Account.from_key(secret(1)).sign_transaction(fields)
    assert signed.raw == bytes(theirs.raw_transaction)
