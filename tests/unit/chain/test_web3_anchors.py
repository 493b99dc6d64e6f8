"""Anchoring through web3: what goes wrong between a member and its node."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from ledger.chain import Web3Anchors, deploy
from ledger.errors import ChainUnavailable, Inconsistent
from ledger.evm.rpc import answer
from tests.support.chain import (
    ZERO,
    Contract,
    Member,
    Tamper,
    member_key,
    node,
    opened,
    serving,
)

ONE, TWO = (bytes([n]) * 32 for n in (1, 2))


@pytest.fixture
def contract() -> Iterator[Contract]:
    with opened() as chain:
        yield Contract(chain)


@contextmanager
def anchors_of(
    contract: Contract, tamper: Tamper | None = None
) -> Iterator[Web3Anchors]:
    """Member 2 anchoring through a node that may do as it likes."""
    with (
        node(contract.chain, tamper) as url,
        closing(
            Web3Anchors(
                url,
                key=member_key(2),
                contract="0x" + contract.address.hex(),
                timeout_s=2,
                wait_s=0.3,
            )
        ) as anchors,
    ):
        yield anchors


def once(method: str, instead: Callable[[Any], Any]) -> Tamper:
    """Tamper with the first answer to a method alone."""
    done: list[str] = []

    def tamper(asked: str, said: Any) -> Any:
        if asked != method or done:
            return said
        done.append(asked)
        return instead(said)

    return tamper


def commitment(epoch: int) -> bytes:
    return epoch.to_bytes(32, "big")


def held(contract: Contract) -> int:
    return int.from_bytes(contract.view("epoch_of", Member(2)), "big")


def test_the_hash_and_the_block_are_those_of_the_chain(contract: Contract) -> None:
    with anchors_of(contract) as anchors:
        anchored = anchors.anchor(epoch=1, commitment=ONE, previous=ZERO)
    mined = contract.chain.mined(bytes.fromhex(anchored.transaction[2:]))
    assert mined is not None
    assert mined.header.block_number == anchored.block == 2


def test_the_contract_can_be_deployed_by_anybody(contract: Contract) -> None:
    with node(contract.chain) as url:
        address = deploy(url, key=member_key(3))
        with closing(Web3Anchors(url, key=member_key(2), contract=address)) as anchors:
            anchors.anchor(epoch=1, commitment=ONE)
            assert anchors.commitment(anchors.member, 1) == ONE
    assert held(contract) == 0


def test_a_lost_answer_is_mended_by_calling_again(contract: Contract) -> None:
    lost = once("eth_sendRawTransaction", lambda _: b"")
    with anchors_of(contract, lost) as anchors:
        with pytest.raises(ChainUnavailable):
            anchors.anchor(epoch=1, commitment=ONE)
        assert held(contract) == 1
        assert anchors.anchor(epoch=1, commitment=ONE).block == 2


def test_a_transaction_the_node_already_knows_is_waited_for(
    contract: Contract,
) -> None:
    refusal = {"code": -32000, "message": "already known"}
    known = once(
        "eth_sendRawTransaction",
        lambda said: {"jsonrpc": "2.0", "id": said["id"], "error": refusal},
    )
    with anchors_of(contract, known) as anchors:
        assert anchors.anchor(epoch=1, commitment=ONE).epoch == 1


def test_a_transaction_the_node_refuses_is_not_waited_for(contract: Contract) -> None:
    def say(body: bytes) -> Any:
        if json.loads(body)["method"] == "eth_sendRawTransaction":
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no"}}
        return answer(contract.chain, body)

    address = "0x" + contract.address.hex()
    with (
        serving(say) as url,
        closing(Web3Anchors(url, key=member_key(2), contract=address)) as anchors,
        pytest.raises(ChainUnavailable, match=r"the node refused: .*no"),
    ):
        anchors.anchor(epoch=1, commitment=ONE)
    assert held(contract) == 0


def test_a_transaction_that_gets_into_no_block_is_given_up_in_time(
    contract: Contract,
) -> None:
    def tamper(method: str, said: Any) -> Any:
        if method == "eth_getTransactionReceipt":
            return {**said, "result": None}
        return said

    with (
        anchors_of(contract, tamper) as anchors,
        pytest.raises(ChainUnavailable, match="TimeExhausted"),
    ):
        anchors.anchor(epoch=1, commitment=ONE)


def test_validators_signatures_in_the_header_do_no_harm(contract: Contract) -> None:
    def tamper(method: str, said: Any) -> Any:
        if method == "eth_getBlockByNumber":
            said["result"]["extraData"] = "0x" + "00" * 300
        return said

    with anchors_of(contract, tamper) as anchors:
        assert anchors.anchor(epoch=1, commitment=ONE).epoch == 1


@pytest.mark.parametrize("theirs", [ONE, TWO])
def test_somebody_else_with_the_same_key_is_noticed(
    contract: Contract, theirs: bytes
) -> None:
    """Between looking and writing, the same epoch is anchored by another process."""
    other = Member(2)

    def race(said: Any) -> Any:
        contract.anchor(other, 1, theirs, ZERO)
        return said

    # After the nonce was read, and again before the transaction is sent.
    racing = once("eth_getTransactionCount", race)
    with anchors_of(contract, racing) as anchors:
        with pytest.raises(ChainUnavailable, match="nonce too low"):
            anchors.anchor(epoch=1, commitment=ONE)
        if theirs == ONE:
            assert anchors.anchor(epoch=1, commitment=ONE).block == 2
        else:
            with pytest.raises(Inconsistent, match="another commitment"):
                anchors.anchor(epoch=1, commitment=ONE)


def test_a_refusal_by_the_contract_is_inconsistent(contract: Contract) -> None:
    """As when another process anchors before the nonce is read."""
    other = Member(2)

    def race(said: Any) -> Any:
        contract.anchor(other, 1, TWO, ZERO)
        return said

    with (
        anchors_of(contract, once("eth_getBlockByNumber", race)) as anchors,
        pytest.raises(Inconsistent, match="another commitment for epoch 1"),
    ):
        anchors.anchor(epoch=1, commitment=ONE)


def test_a_zero_commitment_is_refused_by_the_contract(contract: Contract) -> None:
    with (
        anchors_of(contract) as anchors,
        pytest.raises(Inconsistent, match="the contract refused epoch 1"),
    ):
        anchors.anchor(epoch=1, commitment=ZERO)


def test_the_chain_must_agree_with_what_the_member_remembers(
    contract: Contract,
) -> None:
    with anchors_of(contract) as anchors:
        anchors.anchor(epoch=1, commitment=ONE, previous=ZERO)
        with pytest.raises(Inconsistent, match="another commitment for epoch 1"):
            anchors.anchor(epoch=2, commitment=TWO, previous=TWO)
        assert anchors.anchor(epoch=2, commitment=TWO, previous=ONE).epoch == 2


def test_a_node_that_forgot_the_event_is_unavailable(contract: Contract) -> None:
    def tamper(method: str, said: Any) -> Any:
        return {**said, "result": []} if method == "eth_getLogs" else said

    with anchors_of(contract, tamper) as anchors:
        anchors.anchor(epoch=1, commitment=ONE)
        with pytest.raises(ChainUnavailable, match="no longer knows the event"):
            anchors.anchor(epoch=1, commitment=ONE)


OK = {"jsonrpc": "2.0", "id": 1}
RESULTS: list[object] = [None, 1, "", "0xzz", [], [1], [{}], {}]
NONSENSE: list[object] = [b"", b"<html>", [], {}, OK, {**OK, "error": "no"}]
NONSENSE += [{**OK, "result": result} for result in RESULTS]


@pytest.mark.parametrize(
    "method",
    [
        "eth_getBlockByNumber",
        "eth_getTransactionCount",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
        "eth_getLogs",
    ],
)
def test_nonsense_from_the_node_is_never_a_foreign_error(
    contract: Contract, method: str
) -> None:
    lie: list[object] = [None]

    def tamper(asked: str, honest: Any) -> Any:
        return lie[0] if asked == method else honest

    with anchors_of(contract, tamper) as anchors:
        for lie[0] in NONSENSE:
            epoch = held(contract)
            with suppress(ChainUnavailable):
                anchors.anchor(epoch=epoch + 1, commitment=commitment(epoch + 1))
            if epoch:  # it is there, and its event is looked up
                with suppress(ChainUnavailable):
                    anchors.anchor(epoch=epoch, commitment=commitment(epoch))


def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(ChainUnavailable):
        deploy("http://127.0.0.1:9", key=member_key(2), timeout_s=1)
