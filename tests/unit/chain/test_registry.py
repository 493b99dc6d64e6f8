"""Which keys held when: read from a registry, folded, carried in a file."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.encoding import sha256, tagged
from crypto.errors import Invalid, Malformed
from crypto.keys import Ed25519Key
from ledger.contracts import calls, participants
from ledger.errors import ChainUnavailable
from ledger.evm.transactions import CHAIN_ID
from ledger.evm.wire import receipt
from ledger.memory_registry import MemoryRegistry
from ledger.registry import (
    Held,
    History,
    KeyChange,
    MembershipChange,
    Registry,
    Status,
    fingerprint,
    parse_history,
)
from ledger.rpc_registry import PAGE, RpcRegistry, Rules
from tests.support.chain import Member, Tamper, anvil, node, opened, serving, ticking
from tests.unit.chain.consortium import (
    ANNE,
    BOB,
    CAROL,
    DAVE,
    NUMBERS,
    Consortium,
    text,
)

ONE, TWO, THREE = (bytes([n]) * 32 for n in (1, 2, 3))
NEW = Member(20)
ANVIL_CHAIN = 31337


class Written(Protocol):
    """A registry of three members, written and read in one way."""

    registry: Registry

    def admit(self, did: str, account: str | None) -> None: ...
    def set_key(self, did: str, suite: str, fingerprint: bytes) -> None: ...
    def revoke_key(self, did: str, suite: str, fingerprint: bytes) -> None: ...


class InMemory:
    def __init__(self, _stack: ExitStack, _path: Path) -> None:
        self.registry = MemoryRegistry(clock=ticking())
        self._accounts = {did: text(Member(n)) for did, n in NUMBERS.items()}
        self.registry.found([(did, self._accounts[did]) for did in (ANNE, BOB, CAROL)])

    def admit(self, did: str, account: str | None) -> None:
        for voter in (BOB, CAROL):
            self.registry.vote(self._accounts[voter], did=did, account=account)

    def set_key(self, did: str, suite: str, fingerprint: bytes) -> None:
        account = self._accounts[did]
        self.registry.set_key(account, suite=suite, fingerprint=fingerprint)

    def revoke_key(self, did: str, suite: str, fingerprint: bytes) -> None:
        account = self._accounts[did]
        self.registry.revoke_key(account, suite=suite, fingerprint=fingerprint)


class OnChain:
    def __init__(self, stack: ExitStack, _path: Path) -> None:
        self._consortium = Consortium(stack.enter_context(opened()), ANNE, BOB, CAROL)
        url = stack.enter_context(node(self._consortium.chain))
        registry = RpcRegistry(url, self._consortium.contract, chain_id=CHAIN_ID)
        self.registry = stack.enter_context(closing(registry))
        self.set_key = self._consortium.set_key
        self.revoke_key = self._consortium.revoke_key

    def admit(self, did: str, account: str | None) -> None:
        for voter in (BOB, CAROL):
            vote = calls.vote(did=did, account=account)
            self._consortium.send(self._consortium.members[voter], vote)


class OnRealNode:
    """The same bytes, sent to a node that is not ours."""

    def __init__(self, stack: ExitStack, path: Path) -> None:
        program = os.environ.get("FIELDPACT_TEST_ANVIL")
        if not program:
            pytest.skip("FIELDPACT_TEST_ANVIL does not name an anvil program")
        url = stack.enter_context(anvil(program, path))
        self._http = stack.enter_context(httpx.Client(base_url=url, trust_env=False))
        self._members = {did: Member(n, ANVIL_CHAIN) for did, n in NUMBERS.items()}
        founders = [(did, text(self._members[did])) for did in (ANNE, BOB, CAROL)]
        code = calls.create_participants(founders, majority=50)
        made = self._send(Member(1, ANVIL_CHAIN).sign(code, gas=5_000_000))
        registry = RpcRegistry(url, made["contractAddress"], chain_id=ANVIL_CHAIN)
        self.registry = stack.enter_context(closing(registry))
        self._to = bytes.fromhex(made["contractAddress"][2:])

    def admit(self, did: str, account: str | None) -> None:
        for voter in (BOB, CAROL):
            self._call(voter, calls.vote(did=did, account=account))

    def set_key(self, did: str, suite: str, fingerprint: bytes) -> None:
        self._call(did, calls.set_key(suite=suite, fingerprint=fingerprint))

    def revoke_key(self, did: str, suite: str, fingerprint: bytes) -> None:
        self._call(did, calls.revoke_key(suite=suite, fingerprint=fingerprint))

    def _call(self, did: str, data: bytes) -> None:
        assert self._send(self._members[did].sign(data, self._to))["status"] == "0x1"

    def _send(self, raw: bytes) -> Any:
        # The next block is to be later by more than a second, as those of a consortium.
        self._ask("evm_increaseTime", 2)
        sent = self._ask("eth_sendRawTransaction", "0x" + raw.hex())
        for _ in range(12_000):
            if (mined := self._ask("eth_getTransactionReceipt", sent)) is not None:
                return mined
            time.sleep(0.01)
        raise AssertionError("the transaction is in no block")

    def _ask(self, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        said = self._http.post("", json=body).json()
        assert "error" not in said, said
        return said["result"]


@pytest.fixture(params=[InMemory, OnChain, OnRealNode])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    with ExitStack() as stack:
        yield request.param(stack, tmp_path)


class TestRegistry:
    def test_nobody_knows_a_did_that_was_never_admitted(self, written: Written) -> None:
        history = written.registry.history(DAVE)
        assert history.status is Status.UNKNOWN
        assert history.changes == ()
        assert history.now == Held(did=DAVE, at=history.seen)

    def test_a_founder_is_a_member_and_holds_no_key_yet(self, written: Written) -> None:
        history = written.registry.history(ANNE)
        assert history.status is Status.MEMBER
        assert history.now.account == text(Member(NUMBERS[ANNE]))
        assert history.now.keys == {}

    def test_each_key_holds_from_its_block_to_the_next_ones(
        self, written: Written
    ) -> None:
        written.set_key(ANNE, "ed25519", ONE)
        written.set_key(ANNE, "sm2", THREE)
        written.set_key(ANNE, "ed25519", TWO)
        written.revoke_key(ANNE, "ed25519", TWO)
        history = written.registry.history(ANNE)
        founded, first, other, second, end = (change.at for change in history.changes)
        for seconds, keys in (
            (founded - 1, {}),
            (founded, {}),
            (first - 1, {}),
            (first, {"ed25519": ONE}),
            (other, {"ed25519": ONE, "sm2": THREE}),
            (second - 1, {"ed25519": ONE, "sm2": THREE}),
            (second, {"ed25519": TWO, "sm2": THREE}),
            (end - 1, {"ed25519": TWO, "sm2": THREE}),
            (end, {"sm2": THREE}),
        ):
            held = written.registry.keys_at(ANNE, seconds)
            assert held == history.at(seconds)
            assert held.keys == keys
            assert bool(held.account) == (seconds >= founded)

    def test_whoever_is_expelled_keeps_a_past_and_has_no_present(
        self, written: Written
    ) -> None:
        written.set_key(ANNE, "ed25519", ONE)
        written.admit(ANNE, None)
        history = written.registry.history(ANNE)
        assert history.status is Status.EXPELLED
        assert history.now == Held(did=ANNE, at=history.seen)
        last = history.changes[-1]
        assert last == MembershipChange(at=last.at, account=None)
        assert history.at(last.at - 1).keys == {"ed25519": ONE}

    def test_a_new_account_begins_without_keys(self, written: Written) -> None:
        written.set_key(ANNE, "ed25519", ONE)
        written.admit(ANNE, text(NEW))
        history = written.registry.history(ANNE)
        assert history.status is Status.MEMBER
        assert (history.now.account, history.now.keys) == (text(NEW), {})

    def test_what_was_read_once_is_how_every_later_reading_begins(
        self, written: Written
    ) -> None:
        told = [written.registry.history(ANNE)]
        for n in range(PAGE + 1):
            written.set_key(ANNE, "ed25519", (ONE, TWO)[n % 2])
            if n % 8 == 0:
                told.append(written.registry.history(ANNE))
        told.append(written.registry.history(ANNE))
        assert len(told[-1].changes) == PAGE + 2
        for early, late in pairwise(told):
            assert late.changes[: len(early.changes)] == early.changes
            assert (early.block, early.seen) <= (late.block, late.seen)

    def test_of_what_is_yet_to_come_nothing_is_known(self, written: Written) -> None:
        with pytest.raises(ChainUnavailable, match="no later"):
            written.registry.keys_at(ANNE, 2**40)


# -- plain JSON-RPC ------------------------------------------------------------


@pytest.fixture
def three() -> Iterator[Consortium]:
    with opened() as chain:
        yield Consortium(chain, ANNE, BOB, CAROL, majority=66)


@pytest.fixture
def reading(three: Consortium) -> Iterator[Callable[..., RpcRegistry]]:
    """Reads through a node that may do as it likes."""
    with ExitStack() as stack:

        def read(
            tamper: Tamper | None = None, contract: str = "", **options: Any
        ) -> RpcRegistry:
            url = stack.enter_context(node(three.chain, tamper))
            registry = RpcRegistry(url, contract or three.contract, **options)
            return stack.enter_context(closing(registry))

        yield read


def test_no_ethereum_library_is_needed_to_read() -> None:
    script = (
        "import sys, ledger.rpc_registry;"
        "assert not {'web3', 'eth', 'eth_abi', 'vyper'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_rules_are_read_out_of_the_code(
    three: Consortium, reading: Callable[..., RpcRegistry]
) -> None:
    assert reading().rules == Rules(operator=None, majority=66)
    operated = Consortium(three.chain, operator=NEW)
    rules = reading(contract=operated.contract).rules
    assert rules == Rules(operator=text(NEW), majority=0)


def test_everybody_who_was_ever_admitted_is_found(
    three: Consortium, reading: Callable[..., RpcRegistry]
) -> None:
    three.admit(DAVE, three.members[DAVE], ANNE, BOB)
    three.admit(ANNE, None, BOB, CAROL, DAVE)
    three.admit(ANNE, NEW, BOB, CAROL)
    registry = reading()
    assert registry.dids() == (ANNE, BOB, CAROL, DAVE)
    assert [registry.status(did) for did in (ANNE, DAVE)] == [Status.MEMBER] * 2
    history = registry.history(ANNE)
    assert (history.chain_id, history.contract) == (CHAIN_ID, three.contract)
    assert history.block == three.chain.header().block_number


def test_text_that_is_no_did_is_not_passed_on(
    three: Consortium, reading: Callable[..., RpcRegistry]
) -> None:
    raw = b"\x1b[2Jdid:web:x"
    word = (3 * 32).to_bytes(32, "big") + NEW.address.rjust(32, b"\0")
    word += (
        (1).to_bytes(32, "big") + len(raw).to_bytes(32, "big") + raw.ljust(32, b"\0")
    )
    for voter in (ANNE, BOB):
        three.send(three.members[voter], participants().selectors["vote"] + word)
    assert reading().dids() == (ANNE, BOB, CAROL)


def test_a_suite_that_is_no_name_harms_only_who_set_it(
    three: Consortium, reading: Callable[..., RpcRegistry]
) -> None:
    for suite in (b"\xff" * 32, b"SM2".ljust(32, b"\0"), b"\0sm2".ljust(32, b"\0")):
        data = participants().selectors["set_key"] + suite + ONE
        three.send(three.members[ANNE], data)
        assert reading().history(ANNE).now.keys["0x" + suite.hex()] == ONE


@pytest.mark.parametrize("wrong", ["", "did:web:", "anne.example", "did:web:a b"])
def test_what_is_no_did_is_malformed(
    reading: Callable[..., RpcRegistry], wrong: str
) -> None:
    with pytest.raises(Malformed):
        reading().history(wrong)


def test_the_chain_must_be_the_expected_one(
    reading: Callable[..., RpcRegistry],
) -> None:
    with pytest.raises(ChainUnavailable, match=f"chain {CHAIN_ID}, not 1"):
        reading(chain_id=1).history(ANNE)


def test_another_contract_is_not_believed(
    three: Consortium, reading: Callable[..., RpcRegistry]
) -> None:
    longer = participants().runtime + bytes(96)
    size = len(longer).to_bytes(2, "big")
    init = b"\x61" + size + b"\x80\x60\x0c\x60\x00\x39\x60\x00\xf3" + longer
    sent = three._mine(NEW_CREATOR.sign(init, gas=2_000_000))
    for wrong in (receipt(sent, [])["contractAddress"], text(NEW)):
        with pytest.raises(ChainUnavailable, match="no participants contract at"):
            reading(contract=wrong).history(ANNE)


NEW_CREATOR = Member(21)


def words(*numbers: int) -> str:
    return "0x" + b"".join(n.to_bytes(32, "big") for n in numbers).hex()


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("eth_getBlockByNumber", None),
        ("eth_getBlockByNumber", {}),
        ("eth_getBlockByNumber", {"number": 1, "timestamp": "0x1"}),
        ("eth_call", "0x"),
        ("eth_call", "0x01"),
        ("eth_call", words(32)),
        ("eth_call", words(64, 0)),
        ("eth_call", words(32, 1)),
        ("eth_call", words(32, 1, 1, 0)),
        ("eth_call", words(32, 1, 1, 0, 0, 0)),
        ("eth_call", words(32, 2**255)),
        ("eth_call", words(32, 2, 9, 0, 1, 8, 0, 0)),
        ("eth_call", words(32, 1, 2**60, 0, 1)),
        ("eth_getLogs", None),
        ("eth_getLogs", [1]),
        ("eth_getLogs", [{"topics": ["0x"], "data": "0x"}]),
        ("eth_getLogs", [{"topics": ["0x", "0x01"], "data": "0x"}]),
    ],
)
def test_an_answer_that_cannot_be_is_unavailable(
    reading: Callable[..., RpcRegistry], method: str, result: object
) -> None:
    def tamper(asked: str, said: Any) -> Any:
        return {"result": result} if asked == method else said

    registry = reading(tamper)
    with pytest.raises(ChainUnavailable):
        registry.dids() if method == "eth_getLogs" else registry.history(ANNE)


def test_a_history_without_an_end_is_given_up(
    reading: Callable[..., RpcRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.rpc_registry.MAX_CHANGES", 100)
    full = words(32, PAGE, *[1, 0, 1] * PAGE)

    def tamper(asked: str, said: Any) -> Any:
        return {"result": full} if asked == "eth_call" else said

    with pytest.raises(ChainUnavailable, match="more than 100"):
        reading(tamper).history(ANNE)


def test_a_node_that_talks_nonsense_or_not_at_all_is_unavailable() -> None:
    account = text(NEW)
    with (
        serving(lambda _: b"<html>") as url,
        closing(RpcRegistry(url, account)) as lying,
        closing(RpcRegistry("http://127.0.0.1:9", account, timeout_s=1)) as gone,
    ):
        for registry in (lying, gone):
            with pytest.raises(ChainUnavailable):
                registry.keys_at(ANNE, 1)
    silent = MemoryRegistry(clock=ticking(), answers=False)
    with pytest.raises(ChainUnavailable):
        silent.keys_at(ANNE, 1)


# -- values ----------------------------------------------------------------------


def test_a_fingerprint_names_suite_and_key() -> None:
    public = Ed25519Key.from_bytes(ONE).public_bytes
    assert fingerprint("ed25519", public) == sha256(
        tagged("key-fingerprint", b"ed25519\0" + public)
    )
    assert fingerprint("x25519", public) != fingerprint("ed25519", public)
    with pytest.raises(Malformed):
        fingerprint("Ed25519", public)


def test_a_key_is_checked_against_what_held() -> None:
    held = Held(
        did=ANNE, at=1, account=text(NEW), keys={"sm2": fingerprint("sm2", ONE)}
    )
    held.check("sm2", ONE)
    for suite, public in (("sm2", TWO), ("ed25519", ONE)):
        with pytest.raises(Invalid, match="another"):
            held.check(suite, public)


CHANGE = st.one_of(
    st.builds(
        MembershipChange,
        at=st.integers(0, 50),
        account=st.sampled_from([None, text(NEW)]),
    ),
    st.builds(
        KeyChange,
        at=st.integers(0, 50),
        suite=st.sampled_from(["sm2", "ed25519", "0x" + "ff" * 32]),
        fingerprint=st.sampled_from([None, ONE, TWO]),
    ),
)


def history(changes: list[MembershipChange | KeyChange], seen: int = 50) -> History:
    return History(
        chain_id=1,
        contract=text(NEW),
        did=ANNE,
        block=9,
        seen=seen,
        changes=tuple(sorted(changes, key=lambda change: change.at)),
    )


@given(st.lists(CHANGE, max_size=12))
@settings(max_examples=50)
def test_a_history_is_read_from_a_file_as_it_was_written(
    changes: list[MembershipChange | KeyChange],
) -> None:
    told = history(changes)
    assert parse_history(told.to_json()) == told


@given(st.lists(CHANGE, max_size=12), st.integers(0, 50), st.integers(0, 50))
@settings(max_examples=50)
def test_what_comes_later_changes_nothing_of_what_held(
    changes: list[MembershipChange | KeyChange], seconds: int, end: int
) -> None:
    end = max(seconds, end)
    early = history([change for change in changes if change.at <= end], seen=end)
    assert early.at(seconds) == history(changes).at(seconds)


def test_a_history_out_of_order_or_of_the_future_is_malformed() -> None:
    first, second = (MembershipChange(at=at, account=None) for at in (1, 2))
    with pytest.raises(Malformed, match="order"):
        History(
            chain_id=1, contract=text(NEW), did=ANNE, block=1, seen=9,
            changes=(second, first),
        )  # fmt: skip
    with pytest.raises(Malformed, match="order"):
        history([first, second], seen=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"typ": "fieldpact/registry-history/2"},
        {"chain_id": -1},
        {"contract": text(NEW).upper()},
        {"did": "anne"},
        {"block": "1"},
        {"seen": 1.5},
        {"changes": {}},
        {"changes": [1]},
        {"changes": [{"at": 1}]},
        {"changes": [{"at": 1, "account": "0x12"}]},
        {"changes": [{"at": 1, "account": None, "more": 1}]},
        {"changes": [{"at": 1, "suite": "sm2"}]},
        {"changes": [{"at": 1, "suite": "sm2", "fingerprint": "00"}]},
        {"changes": [{"at": 1, "suite": "", "fingerprint": None}]},
        {"changes": [{"at": 60, "account": None}]},
    ],
)
def test_a_history_that_is_not_well_formed_is_malformed(wrong: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_history(history([]).to_json() | wrong)
