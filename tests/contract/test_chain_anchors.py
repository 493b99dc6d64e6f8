"""Every `ledger.ports.Anchors` keeps the port's promises."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from ledger.chain import RpcAnchors, deploy
from ledger.errors import ChainUnavailable, Refused
from ledger.finality import IMMEDIATE, Finality
from ledger.memory_chain import MemoryChain
from ledger.ports import Anchored, Anchors, ChainReader, Mined, Signed
from ledger.rpc_reader import RpcChainReader
from tests.support.chain import anvil, member_key, node, opened

T = TypeVar("T")
ZERO, ONE, TWO, THREE = (bytes([n]) * 32 for n in range(4))


class Member(Protocol):
    """Gives a consortium's member by number, on a chain with some rule."""

    def __call__(self, number: int, finality: Finality = IMMEDIATE) -> Anchors: ...


def memory(stack: ExitStack, path: Path) -> Member:
    chain = MemoryChain(member=member_key(1).address.lower())

    def member(number: int, finality: Finality = IMMEDIATE) -> Anchors:
        member = chain.as_member(member_key(number).address.lower())
        member.finality = finality
        return member

    return member


def over(url: str, stack: ExitStack) -> Member:
    contract = deploy(url, key=member_key(1))

    def member(number: int, finality: Finality = IMMEDIATE) -> Anchors:
        key = member_key(number)
        anchors = RpcAnchors(url, key=key, contract=contract, finality=finality)
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


@pytest.fixture
def deep(member: Member) -> Callable[[Finality], Anchors]:
    """Member 2, on a chain with some rule."""
    return lambda finality: member(2, finality)


@pytest.fixture(params=["itself", "plain JSON-RPC"])
def reader(request: pytest.FixtureRequest, anchors: Anchors) -> Iterator[ChainReader]:
    """Whoever reads: the writer itself, or a verifier without web3."""
    if request.param == "itself" or not isinstance(anchors, RpcAnchors):
        yield anchors
        return
    with closing(RpcChainReader(anchors.url, anchors.contract)) as reader:
        yield reader


def send(
    anchors: Anchors, epoch: int, commitment: bytes, previous: bytes = bytes(32)
) -> Signed:
    """Anchor, as a node does without an outbox; return once it is in a block."""
    signed = anchors.sign(
        epoch=epoch, commitment=commitment, previous=previous, nonce=anchors.nonce()
    )
    anchors.send(signed)
    block(anchors, signed)
    return signed


def found(anchors: Anchors, epoch: int) -> Anchored:
    return _soon(lambda: anchors.find(epoch))


def block(anchors: Anchors, signed: Signed) -> Mined:
    return _soon(lambda: anchors.look(signed.transaction))


def _soon(ask: Callable[[], T | None]) -> T:
    """Return an answer, as soon as there is one: a real node takes a moment."""
    until = time.monotonic() + 120
    while (answer := ask()) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    return answer


class TestAnchors:
    def test_nothing_is_there_before_the_first_anchor(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        assert reader.latest_epoch(anchors.member) == 0
        assert reader.commitment(anchors.member, 1) is None
        assert anchors.find(1) is None
        assert anchors.nonce() == 0

    def test_nothing_happens_when_an_anchor_is_only_signed(
        self, anchors: Anchors
    ) -> None:
        signed = anchors.sign(epoch=1, commitment=ONE, previous=ZERO, nonce=0)
        again = anchors.sign(epoch=1, commitment=ONE, previous=ZERO, nonce=0)
        assert signed == again
        assert signed.nonce == 0
        assert anchors.look(signed.transaction) is None
        assert anchors.latest_epoch(anchors.member) == 0

    def test_an_anchor_is_there_when_its_transaction_is_in_a_block(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        for epoch, commitment, previous in ((1, ONE, ZERO), (2, TWO, ONE)):
            signed = send(anchors, epoch, commitment, previous)
            mined = block(anchors, signed)
            assert mined.ok
            assert reader.commitment(anchors.member, epoch) == commitment
            assert reader.latest_epoch(anchors.member) == epoch
            assert anchors.nonce() == epoch
            assert found(anchors, epoch) == Anchored(
                epoch=epoch,
                commitment=commitment,
                transaction=signed.transaction,
                block=mined.block,
                block_hash=mined.block_hash,
            )

    def test_the_chain_says_when_it_was_anchored(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        send(anchors, 1, ONE)
        send(anchors, 2, TWO, ONE)
        first, second = (reader.anchored_at(anchors.member, each) for each in (1, 2))
        assert first is not None
        assert second is not None
        assert 1_700_000_000 < first <= second
        assert reader.anchored_at(anchors.member, 3) is None

    def test_sending_again_is_harmless(self, anchors: Anchors) -> None:
        signed = send(anchors, 1, ONE)
        before = found(anchors, 1)
        anchors.send(signed)
        anchors.send(signed)
        assert found(anchors, 1) == before
        assert anchors.nonce() == 1

    def test_a_number_that_was_used_is_refused(self, anchors: Anchors) -> None:
        send(anchors, 1, ONE)
        late = anchors.sign(epoch=2, commitment=TWO, previous=ONE, nonce=0)
        with pytest.raises(Refused):
            anchors.send(late)
        assert anchors.look(late.transaction) is None

    @pytest.mark.parametrize(
        ("epoch", "commitment", "previous"),
        [
            (1, TWO, ZERO),
            (1, ONE, ZERO),
            (2, TWO, THREE),
            (3, TWO, ONE),
            (0, TWO, ZERO),
            (2, ZERO, ONE),
        ],
    )
    def test_the_contract_takes_the_next_epoch_only(
        self, anchors: Anchors, epoch: int, commitment: bytes, previous: bytes
    ) -> None:
        send(anchors, 1, ONE)
        before = found(anchors, 1)
        refused = block(anchors, send(anchors, epoch, commitment, previous))
        assert not refused.ok
        assert anchors.latest_epoch(anchors.member) == 1
        assert found(anchors, 1) == before
        assert anchors.nonce() == 2

    def test_members_share_a_contract_and_nothing_else(self, member: Member) -> None:
        anne, bob = member(2), member(3)
        assert anne.member != bob.member
        assert (anne.contract, anne.chain_id) == (bob.contract, bob.chain_id)
        send(anne, 1, ONE)
        assert bob.latest_epoch(bob.member) == bob.nonce() == 0
        send(bob, 1, THREE)
        assert anne.commitment(bob.member, 1) == THREE
        assert bob.commitment(anne.member, 1) == ONE
        assert found(bob, 1).commitment == THREE

    def test_addresses_go_out_in_lower_case_and_come_in_in_any(
        self, anchors: Anchors, reader: ChainReader
    ) -> None:
        send(anchors, 1, ONE)
        for address in (anchors.member, anchors.contract):
            assert address == address.lower()
        loud = "0x" + anchors.member[2:].upper()
        assert reader.commitment(loud, 1) == ONE
        assert reader.anchored_at(loud, 1) == reader.anchored_at(anchors.member, 1)
        assert reader.latest_epoch(loud) == 1

    def test_a_block_is_final_while_it_is_there(self, anchors: Anchors) -> None:
        mined = block(anchors, send(anchors, 1, ONE))
        assert anchors.is_final(mined)
        elsewhere = dataclasses.replace(mined, block_hash="0x" + "11" * 32)
        assert not anchors.is_final(elsewhere)
        later = dataclasses.replace(mined, block=mined.block + 1)
        assert not anchors.is_final(later)

    def test_a_block_becomes_final_with_those_on_top_of_it(
        self, deep: Callable[[Finality], Anchors]
    ) -> None:
        anchors = deep(Finality(depth=2))
        mined = block(anchors, send(anchors, 1, ONE))
        for on_top in range(4):
            assert anchors.is_final(mined) == (on_top >= 2)
            send(anchors, 9, ONE)  # refused, and a block all the same


def test_no_answer_is_not_an_answer() -> None:
    silent = MemoryChain(member=member_key(2).address.lower(), answers=False)
    gone = RpcAnchors(
        "http://127.0.0.1:9", key=member_key(2), contract=silent.contract, timeout_s=1
    )
    signed = Signed(raw=b"{}", transaction="0x" + "11" * 32, nonce=0)
    asked: list[Callable[[Anchors], object]] = [
        lambda it: it.commitment(it.member, 1),
        lambda it: it.latest_epoch(it.member),
        lambda it: it.anchored_at(it.member, 1),
        lambda it: it.nonce(),
        lambda it: it.sign(epoch=1, commitment=ONE, previous=ZERO, nonce=0),
        lambda it: it.send(signed),
        lambda it: it.look(signed.transaction),
        lambda it: it.find(1),
        lambda it: it.is_final(Mined(block=1, block_hash="0x")),
    ]
    for anchors in (silent, gone):
        for ask in asked:
            with pytest.raises(ChainUnavailable):
                ask(anchors)
    gone.close()
