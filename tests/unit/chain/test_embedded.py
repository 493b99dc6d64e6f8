"""The embedded chain itself: what it mines, refuses, tries and remembers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import rlp  # type: ignore[import-untyped]
from eth.constants import SECPK1_N
from eth_typing import Address
from hypothesis import given
from hypothesis import strategies as st

from ledger.contracts import anchors
from ledger.evm.chain import EmbeddedChain, Reverted, UnknownBlock
from ledger.evm.store import LogFilter
from ledger.evm.transactions import TRANSACTION_GAS, Message, Rejected, decode
from tests.support.chain import (
    ZERO,
    Contract,
    Member,
    anchor_call,
    opened,
)

ONE, TWO = (bytes([n]) * 32 for n in (1, 2))


@pytest.fixture
def chain() -> Iterator[EmbeddedChain]:
    with opened() as chain:
        yield chain


@pytest.fixture
def contract(chain: EmbeddedChain) -> Contract:
    return Contract(chain)


def test_a_transaction_is_alone_in_the_block_it_made(chain: EmbeddedChain) -> None:
    raw = Member(1).sign(b"", b"\x11" * 20)
    mined = chain.mined(chain.send(raw))
    assert mined is not None
    assert mined.transaction.encode() == raw
    assert mined.header == chain.header() == chain.header(1)
    assert mined.header == chain.header(bytes(mined.header.hash))
    assert chain.block(mined.header).transactions == (mined.transaction,)


def test_a_chain_opens_again_where_it_was(tmp_path: Path) -> None:
    with opened(tmp_path / "chain") as chain:
        contract, member = Contract(chain), Member(2)
        contract.anchor(member, 1, ONE, ZERO)
        before = chain.header()
    with opened(tmp_path / "chain") as chain:
        contract.chain = chain
        assert chain.header() == before
        assert contract.view("commitment_of", member, 1) == ONE
        assert len(chain.logs(LogFilter(0, 9))) == 1
        contract.anchor(member, 2, TWO, ONE)


def test_gas_is_free_and_stays_free(contract: Contract) -> None:
    member = Member(2)
    loop = bytes.fromhex("5b600056")  # JUMPDEST PUSH1 0 JUMP: burns all it is given
    mined = contract.mine(member.sign(loop, gas=TRANSACTION_GAS))
    assert mined.receipt.gas_used == TRANSACTION_GAS
    assert contract.anchor(member, 1, ONE, ZERO).header.base_fee_per_gas == 0


def test_time_grows_with_every_block_even_when_the_clock_stands_still() -> None:
    with opened(clock=lambda: 1_800_000_000) as chain:
        member = Member(1)
        times = [chain.header().timestamp]
        for _ in range(3):
            chain.send(member.sign(b"", b"\x11" * 20))
            times.append(chain.header().timestamp)
    assert times == [1_800_000_000 + n for n in range(4)]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"chainId": 1}, "signed for chain 1"),
        ({"nonce": 5}, "nonce too high: the next is 1"),
        ({"nonce": 0}, "nonce too low"),
        ({"gas": TRANSACTION_GAS + 1}, "gas limit not between 21000"),
        ({"gas": 20_999}, "gas limit not between 21000"),
        ({"value": 1}, "balance"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "cannot afford"),
    ],
)
def test_a_transaction_that_cannot_be_is_refused_and_nothing_is_written(
    chain: EmbeddedChain, changed: dict[str, int], why: str
) -> None:
    member = Member(1)
    chain.send(member.sign(b"", b"\x11" * 20))
    before = chain.header()
    with pytest.raises(Rejected, match=why):
        chain.send(member.sign(b"", b"\x22" * 20, **changed))
    assert chain.header() == before
    member.nonce = 1
    chain.send(member.sign(b"", b"\x22" * 20))


def test_a_transaction_that_was_carried_out_is_already_known(
    chain: EmbeddedChain,
) -> None:
    raw = Member(1).sign(b"", b"\x11" * 20)
    chain.send(raw)
    with pytest.raises(Rejected, match="already known"):
        chain.send(raw)


def test_older_kinds_of_transactions_are_not_taken(chain: EmbeddedChain) -> None:
    with pytest.raises(Rejected, match="EIP-1559"):
        chain.send(bytes.fromhex("c0"))


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_be_refused(tail: bytes) -> None:
    with pytest.raises(Rejected, match="not a signed transaction"):
        decode(b"\x02" + tail)


@given(
    st.lists(
        st.binary(max_size=33) | st.integers(0, 2**257) | st.just([]),
        min_size=12,
        max_size=12,
    )
)
def test_no_fields_do_anything_but_be_refused(fields: list[object]) -> None:
    with pytest.raises(Rejected, match=r"not a signed transaction|signed for chain"):
        decode(b"\x02" + rlp.encode(fields))


def test_no_flipped_bit_of_a_transaction_leaves_it_its_senders() -> None:
    member = Member(1)
    raw = member.sign(b"", b"\x11" * 20, nonce=0)
    signature = 8 * (len(raw) - 66)
    for bit in (*range(signature), *range(signature, 8 * len(raw), 16)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert decode(bytes(flipped)).sender != member.address
        except Rejected:
            continue


def test_a_signature_has_one_form_only(chain: EmbeddedChain) -> None:
    *fields, parity, r, s = rlp.decode(Member(1).sign(b"", b"\x11" * 20)[1:])
    mirrored = SECPK1_N - int.from_bytes(s, "big")
    twin = [*fields, 1 - int.from_bytes(parity, "big"), r, mirrored]
    with pytest.raises(Rejected, match="Invalid signature S value"):
        chain.send(b"\x02" + rlp.encode(twin))


def test_a_failed_block_leaves_the_chain_usable(
    chain: EmbeddedChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, member = Contract(chain), Member(2)
    before = chain.header()

    def full(*_: object) -> None:
        raise OSError("disk full")

    raw = member.sign(anchor_call(1, ONE, ZERO), contract.address)
    with monkeypatch.context() as broken:
        broken.setattr(chain._store, "add_log", full)
        with pytest.raises(OSError, match="disk full"):
            chain.send(raw)
    assert chain.header() == before
    assert contract.mine(raw).receipt.state_root


def test_a_call_changes_nothing(contract: Contract) -> None:
    member = Member(2)
    before = contract.chain.header()
    assert contract.refusal(member, 1, ONE, ZERO) == ""
    assert contract.view("commitment_of", member, 1) == ZERO
    assert contract.chain.header() == before


def test_a_call_can_look_at_an_older_block(contract: Contract) -> None:
    member, chain = Member(2), contract.chain
    contract.anchor(member, 1, ONE, ZERO)
    data = anchors().selectors["epoch_of"] + member.address.rjust(32, b"\0")
    call = Message(Address(bytes(20)), contract.address, data, 100_000)
    assert chain.call(call, chain.header(1))[-1] == 0
    assert chain.call(call, chain.header(2))[-1] == 1


def test_a_call_that_runs_out_of_gas_says_so(contract: Contract) -> None:
    loop = Message(Address(bytes(20)), Address(b""), bytes.fromhex("5b600056"), 60_000)
    with pytest.raises(Rejected, match="OutOfGas"):
        contract.chain.call(loop, contract.chain.header())
    too_little = loop._replace(gas=100)
    with pytest.raises(Rejected):
        contract.chain.call(too_little, contract.chain.header())


def test_an_estimate_is_enough_and_not_much_more(contract: Contract) -> None:
    member = Member(2)
    data = anchor_call(1, ONE, ZERO)
    message = Message(Address(member.address), contract.address, data, TRANSACTION_GAS)
    gas = contract.chain.estimate(message)
    mined = contract.mine(member.sign(data, contract.address, gas=gas))
    assert mined.receipt.state_root
    assert gas - mined.receipt.gas_used <= 1000
    with pytest.raises(Reverted):
        contract.chain.estimate(message)


def test_what_is_not_there_is_not_found(chain: EmbeddedChain) -> None:
    for block in (1, 2**300, ONE):
        with pytest.raises(UnknownBlock):
            chain.header(block)
    assert chain.mined(ONE) is None


def test_too_many_events_are_an_error_and_not_a_cut(
    contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.evm.chain.MAX_LOGS", 1)
    member = Member(2)
    contract.anchor(member, 1, ONE, ZERO)
    assert len(contract.chain.logs(LogFilter(0, 9))) == 1
    contract.anchor(member, 2, TWO, ONE)
    with pytest.raises(Rejected, match="more than 1 event"):
        contract.chain.logs(LogFilter(0, 9))
