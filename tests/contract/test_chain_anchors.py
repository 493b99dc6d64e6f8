"""Every `ledger.ports.Anchors` keeps the port's promises."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import pytest

from ledger.chain import Web3Anchors, deploy
from ledger.errors import ChainUnavailable, Inconsistent
from ledger.memory_chain import MemoryChain
from ledger.ports import Anchors, ChainReader
from ledger.rpc_reader import RpcChainReader
from tests.support.chain import anvil, member_key, node, opened

ONE, TWO, THREE = (bytes([n]) * 32 for n in (1, 2, 3))

Member: TypeAlias = Callable[[int], Anchors]
"""Gives a consortium's member by number."""


def memory(stack: ExitStack, path: Path) -> Member:
    chain = MemoryChain(member=member_key(1).address.lower())
    return lambda number: chain.as_member(member_key(number).address.lower())


def over(url: str, stack: ExitStack) -> Member:
    contract = deploy(url, key=member_key(1))

    def member(number: int) -> Anchors:
        anchors = Web3Anchors(url, key=member_key(number), contract=contract)
        return stack.enter_context(closing(anchors))

    return member


def embedded(stack: ExitStack, path: Path) -> Member:
    chain = stack.enter_context(opened())
    return over(stack.enter_context(node(chain)), stack)


def real_node(stack: ExitStack, path: Path) -> Member:
    program = os.environ.get("FIELDPACT_TEST_ANVIL")
    if not program:
        pytest.skip("FIELDPACT_TEST_ANVIL does not name an anvil program")
    return over(stack.enter_context(anvil(program, path)), stack)


@pytest.fixture(params=[memory, embedded, real_node])
def member(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Member]:
    with ExitStack() as stack:
        yield request.param(stack, tmp_path)


@pytest.fixture
def anchors(member: Member) -> Anchors:
    return member(2)


@pytest.fixture(params=["itself", "plain JSON-RPC"])
def reader(request: pytest.FixtureRequest, anchors: Anchors) -> Iterator[ChainReader]:
    """Whoever reads: the writer itself, or a verifier without web3."""
    if request.param == "itself" or not isinstance(anchors, Web3Anchors):
        yield anchors
        return
    with closing(RpcChainReader(anchors.url, anchors.contract)) as reader:
        yield reader


class TestAnchors:
    def test_nothing_is_there_before_the_first_anchor(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        assert reader.latest_epoch(anchors.member) == 0
        assert reader.commitment(anchors.member, 1) is None

    def test_an_anchor_is_there_when_anchor_returns(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        for epoch, commitment in ((1, ONE), (2, TWO)):
            anchored = anchors.anchor(epoch=epoch, commitment=commitment)
            assert (anchored.epoch, anchored.commitment) == (epoch, commitment)
            assert reader.commitment(anchors.member, epoch) == commitment
            assert reader.latest_epoch(anchors.member) == epoch

    def test_the_chain_says_when_it_was_anchored(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        anchors.anchor(epoch=1, commitment=ONE)
        anchors.anchor(epoch=2, commitment=TWO)
        first, second = (reader.anchored_at(anchors.member, each) for each in (1, 2))
        assert first is not None
        assert second is not None
        assert 1_700_000_000 < first <= second
        assert reader.anchored_at(anchors.member, 3) is None

    def test_an_anchor_says_where_it_is(self, anchors: Anchors) -> None:
        first = anchors.anchor(epoch=1, commitment=ONE)
        second = anchors.anchor(epoch=2, commitment=TWO)
        assert first.transaction != second.transaction
        assert len(bytes.fromhex(first.transaction.removeprefix("0x"))) == 32
        assert 0 < first.block < second.block

    def test_anchoring_again_is_harmless_and_gives_the_same(
        self, member: Member, anchors: Anchors
    ) -> None:
        first = anchors.anchor(epoch=1, commitment=ONE)
        anchors.anchor(epoch=2, commitment=TWO)
        assert anchors.anchor(epoch=1, commitment=ONE) == first
        assert member(2).anchor(epoch=1, commitment=ONE) == first

    def test_another_commitment_for_an_epoch_is_inconsistent(
        self, anchors: Anchors
    ) -> None:
        anchors.anchor(epoch=1, commitment=ONE)
        with pytest.raises(Inconsistent):
            anchors.anchor(epoch=1, commitment=TWO)
        assert anchors.commitment(anchors.member, 1) == ONE

    @pytest.mark.parametrize("epoch", [0, 2, 9])
    def test_an_epoch_that_is_not_the_next_is_inconsistent(
        self, anchors: Anchors, epoch: int
    ) -> None:
        with pytest.raises(Inconsistent):
            anchors.anchor(epoch=epoch, commitment=ONE)
        assert anchors.latest_epoch(anchors.member) == 0

    def test_members_share_a_contract_and_nothing_else(self, member: Member) -> None:
        anne, bob = member(2), member(3)
        assert anne.member != bob.member
        assert (anne.contract, anne.chain_id) == (bob.contract, bob.chain_id)
        anne.anchor(epoch=1, commitment=ONE)
        assert bob.latest_epoch(bob.member) == 0
        bob.anchor(epoch=1, commitment=THREE)
        assert anne.commitment(bob.member, 1) == THREE
        assert bob.commitment(anne.member, 1) == ONE

    def test_addresses_go_out_in_lower_case_and_come_in_in_any(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        anchors.anchor(epoch=1, commitment=ONE)
        for address in (anchors.member, anchors.contract):
            assert address == address.lower()
        loud = "0x" + anchors.member[2:].upper()
        assert reader.commitment(loud, 1) == ONE
        assert reader.anchored_at(loud, 1) == reader.anchored_at(anchors.member, 1)
        assert reader.latest_epoch(loud) == 1


def test_no_answer_is_not_an_answer() -> None:
    silent = MemoryChain(member=member_key(2).address.lower(), answers=False)
    gone = Web3Anchors(
        "http://127.0.0.1:9", key=member_key(2), contract=silent.contract, timeout_s=1
    )
    for anchors in (silent, gone):
        with pytest.raises(ChainUnavailable):
            anchors.commitment(anchors.member, 1)
        with pytest.raises(ChainUnavailable):
            anchors.latest_epoch(anchors.member)
        with pytest.raises(ChainUnavailable):
            anchors.anchored_at(anchors.member, 1)
        with pytest.raises(ChainUnavailable):
            anchors.anchor(epoch=1, commitment=ONE)
    gone.close()
