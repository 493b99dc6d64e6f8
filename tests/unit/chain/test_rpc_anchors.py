"""Anchoring over JSON-RPC: what goes wrong between a member and its node."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
import rlp  # type: ignore[import-untyped]

from crypto.errors import Malformed
from ledger.chain import RpcAnchors, deploy
from ledger.errors import ChainUnavailable, Refused
from ledger.finality import IMMEDIATE, Finality, parse_finality
from ledger.ports import Mined, Signed
from tests.support.chain import (
    ZERO,
    Contract,
    Member,
    Tamper,
    member_key,
    node,
    opened,
)

ONE, TWO = (bytes([n]) * 32 for n in (1, 2))
GONE = Mined(block=2, block_hash="0x" + "11" * 32)


@pytest.fixture
def contract() -> Iterator[Contract]:
    with opened() as chain:
        yield Contract(chain)


@contextmanager
def anchors_of(
    contract: Contract, tamper: Tamper | None = None, finality: Finality = IMMEDIATE
) -> Iterator[RpcAnchors]:
    """Member 2 anchoring through a node that may do as it likes."""
    with (
        node(contract.chain, tamper) as url,
        closing(
            RpcAnchors(
                url,
                key=member_key(2),
                contract="0x" + contract.address.hex(),
                finality=finality,
                timeout_s=120,
            )
        ) as anchors,
    ):
        yield anchors


def instead(method: str, say: Callable[[Any], Any]) -> Tamper:
    return lambda asked, said: say(said) if asked == method else said


def signed(anchors: RpcAnchors, **changes: Any) -> Signed:
    values: dict[str, Any] = {"epoch": 1, "commitment": ONE}
    return anchors.sign(**values | {"previous": ZERO, "nonce": 0} | changes)


def test_the_hash_and_the_block_are_those_of_the_chain(contract: Contract) -> None:
    with anchors_of(contract) as anchors:
        sent = signed(anchors)
        anchors.send(sent)
        found = anchors.find(1)
    mined = contract.chain.mined(bytes.fromhex(sent.transaction[2:]))
    assert mined is not None
    assert found is not None
    assert found.transaction == sent.transaction
    assert found.block == mined.header.block_number == 2
    assert found.block_hash == "0x" + mined.header.hash.hex()


def test_the_contract_can_be_deployed_by_anybody(contract: Contract) -> None:
    with node(contract.chain) as url:
        address = deploy(url, key=member_key(3))
        with closing(RpcAnchors(url, key=member_key(2), contract=address)) as anchors:
            anchors.send(signed(anchors))
            assert anchors.commitment(anchors.member, 1) == ONE
    assert contract.view("epoch_of", Member(2)) == ZERO


def test_a_lost_answer_leaves_the_anchor_where_it_is(contract: Contract) -> None:
    with anchors_of(contract, instead("eth_sendRawTransaction", lambda _: b"")) as it:
        sent = signed(it)
        with pytest.raises(ChainUnavailable):
            it.send(sent)
        found = it.look(sent.transaction)
        assert found is not None
        assert found.ok


def test_an_anchor_is_found_whoever_sent_it(contract: Contract) -> None:
    with anchors_of(contract) as anchors:
        mined = contract.anchor(Member(2), 1, TWO, ZERO)
        found = anchors.find(1)
        assert found is not None
        assert found.commitment == TWO
        assert found.transaction == "0x" + mined.transaction.hash.hex()


def test_events_of_another_member_or_epoch_are_not_ours(contract: Contract) -> None:
    contract.anchor(Member(3), 1, ONE, ZERO)
    contract.anchor(Member(2), 1, ONE, ZERO)
    with anchors_of(contract) as anchors:
        found = anchors.find(1)
        assert found is not None
        assert found.block == 3
        assert anchors.find(2) is None


def _fees(base: int, tip: int) -> Tamper:
    def tamper(method: str, said: Any) -> Any:
        if method == "eth_getBlockByNumber":
            said["result"]["baseFeePerGas"] = hex(base)
        if method == "eth_maxPriorityFeePerGas":
            said["result"] = hex(tip)
        return said

    return tamper


def _offered(sent: Signed) -> tuple[int, int]:
    fields = rlp.decode(sent.raw[1:])
    tip, most = (int.from_bytes(fields[at], "big") for at in (2, 3))
    return tip, most


def test_what_is_outbid_offers_a_quarter_more_and_ten_times_at_most(
    contract: Contract,
) -> None:
    with anchors_of(contract, _fees(100, 7)) as anchors:
        bids = [signed(anchors)]
        while True:
            bid = signed(anchors, instead_of=bids[-1].raw)
            if bid == bids[-1]:
                break
            bids.append(bid)
        assert {each.nonce for each in bids} == {0}
        assert len({each.transaction for each in bids}) == len(bids)
        fees = [_offered(each) for each in bids]
    assert fees[0] == (7, 207)
    assert all(8 * new >= 9 * old for old, new in zip(fees[0], fees[1], strict=True))
    for before, after in itertools.pairwise(fees):
        assert after == tuple(-(-each * 5 // 4) for each in before)
    assert fees[-1][0] <= 70 < -(-fees[-1][0] * 5 // 4)


def test_where_gas_is_free_nothing_is_outbid(contract: Contract) -> None:
    with anchors_of(contract) as anchors:
        sent = signed(anchors)
        assert _offered(sent) == (0, 0)
        assert signed(anchors, instead_of=sent.raw) == sent


def test_where_gas_became_dear_the_new_price_is_offered(contract: Contract) -> None:
    with anchors_of(contract) as anchors:
        free = signed(anchors)
    with anchors_of(contract, _fees(100, 7)) as anchors:
        assert _offered(signed(anchors, instead_of=free.raw)) == (7, 207)


@pytest.mark.parametrize("tag", ["safe", "finalized"])
def test_the_chain_itself_says_what_is_final(contract: Contract, tag: str) -> None:
    with anchors_of(contract, finality=Finality(tag=tag)) as anchors:
        sent = signed(anchors)
        anchors.send(sent)
        mined = anchors.look(sent.transaction)
        assert mined is not None
        assert anchors.is_final(mined)
        assert not anchors.is_final(GONE)


def test_a_chain_that_knows_no_finalized_block_makes_nothing_final(
    contract: Contract,
) -> None:
    refusal = {"jsonrpc": "2.0", "id": 1, "error": {"code": -39001, "message": "no"}}
    for said in (refusal, {"jsonrpc": "2.0", "id": 1, "result": None}):
        tamper = instead("eth_getBlockByNumber", lambda _, it=said: it)  # type: ignore[misc]
        with (
            anchors_of(contract, tamper, Finality(tag="finalized")) as anchors,
            pytest.raises(ChainUnavailable),
        ):
            anchors.is_final(GONE)


def test_finality_is_read_from_words() -> None:
    assert parse_finality("immediate") == Finality(depth=0)
    assert parse_finality("depth:12") == Finality(depth=12)
    assert parse_finality("depth:0") == IMMEDIATE
    assert parse_finality("safe") == Finality(tag="safe")
    assert parse_finality("finalized") == Finality(tag="finalized")
    for wrong in ("", "latest", "depth", "depth:", "depth:-1", "depth:01", "depth:1 "):
        with pytest.raises(Malformed):
            parse_finality(wrong)


OK = {"jsonrpc": "2.0", "id": 1}
RESULTS: list[object] = [None, 1, "", "0xzz", [], [1], [{}], {}]
NONSENSE: list[object] = [b"", b"<html>", [], {}, OK, {**OK, "error": "no"}]
NONSENSE += [{**OK, "result": result} for result in RESULTS]
ASKED: dict[str, Callable[[RpcAnchors], object]] = {
    "eth_getBlockByNumber": lambda it: (signed(it), it.is_final(GONE)),
    "eth_blockNumber": lambda it: it.is_final(GONE),
    "eth_getTransactionCount": lambda it: it.nonce(),
    "eth_sendRawTransaction": lambda it: it.send(signed(it)),
    "eth_getTransactionReceipt": lambda it: it.look("0x" + "11" * 32),
    "eth_getLogs": lambda it: it.find(1),
}


@pytest.mark.parametrize("method", ASKED)
def test_nonsense_from_the_node_is_never_a_foreign_error(
    contract: Contract, method: str
) -> None:
    lie: list[object] = [None]

    def tamper(asked: str, honest: Any) -> Any:
        return lie[0] if asked == method else honest

    with anchors_of(contract, tamper) as anchors:
        for lie[0] in NONSENSE:
            with suppress(ChainUnavailable, Refused):
                ASKED[method](anchors)


def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(ChainUnavailable):
        deploy("http://127.0.0.1:9", key=member_key(2), timeout_s=1)
