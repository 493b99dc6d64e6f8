"""The anchor contract: what it accepts, what it refuses, what it costs."""

import json
from collections.abc import Iterator

import pytest

from ledger.chain import ANCHOR_GAS, DEPLOY_GAS
from ledger.contracts import HERE, anchors
from ledger.evm.store import LogFilter
from tests.support.chain import ZERO, Arguments, Contract, Member, opened

ONE, TWO, THREE = (bytes([n]) * 32 for n in (1, 2, 3))


@pytest.fixture
def contract() -> Iterator[Contract]:
    with opened() as chain:
        yield Contract(chain)


@pytest.fixture
def member(contract: Contract) -> Member:
    member = Member(2)
    contract.anchor(member, 1, ONE, ZERO)
    contract.anchor(member, 2, TWO, ONE)
    return member


def number(word: bytes) -> int:
    return int.from_bytes(word, "big")


def test_the_chain_then_holds_the_runtime_code_of_the_artefact(
    contract: Contract,
) -> None:
    assert contract.chain.state().get_code(contract.address) == anchors().runtime


def test_a_member_anchors_epoch_after_epoch(contract: Contract, member: Member) -> None:
    assert number(contract.view("epoch_of", member)) == 2
    assert contract.view("commitment_of", member, 1) == ONE
    assert contract.view("commitment_of", member, 2) == TWO
    assert contract.view("commitment_of", member, 3) == ZERO
    header = contract.chain.header()
    assert number(contract.view("anchored_at", member, 2)) == header.timestamp


def test_an_anchor_is_an_event_that_names_member_epoch_and_commitment(
    contract: Contract, member: Member
) -> None:
    _, log = contract.chain.logs(LogFilter(0, 10, [contract.address]))
    assert log.topics[1:] == (member.address.rjust(32, b"\0"), (2).to_bytes(32, "big"))
    assert log.data == TWO


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param((4, THREE, TWO), "epoch is not the next one", id="gap"),
        pytest.param((2, TWO, ONE), "epoch is not the next one", id="replay"),
        pytest.param((2, THREE, ONE), "epoch is not the next one", id="rewrite"),
        pytest.param((1, ONE, ZERO), "epoch is not the next one", id="first again"),
        pytest.param((0, THREE, TWO), "epoch is not the next one", id="epoch zero"),
        pytest.param((2**256 - 1, THREE, TWO), "epoch is not the next one", id="huge"),
        pytest.param((3, ZERO, TWO), "commitment is zero", id="zero"),
        pytest.param((3, THREE, ONE), "previous differs", id="older previous"),
        pytest.param((3, THREE, ZERO), "previous differs", id="no previous"),
        pytest.param((3, THREE, THREE), "previous differs", id="itself"),
    ],
)
def test_an_anchor_out_of_line_is_refused_and_changes_nothing(
    contract: Contract,
    member: Member,
    arguments: Arguments,
    reason: str,
) -> None:
    assert contract.refusal(member, *arguments) == reason
    refused = contract.anchor(member, *arguments)
    assert refused.receipt.state_root == b""
    assert not refused.receipt.logs
    assert number(contract.view("epoch_of", member)) == 2
    assert contract.view("commitment_of", member, 2) == TWO
    assert contract.view("commitment_of", member, 3) == ZERO


@pytest.mark.parametrize("first", [(0, ONE, ZERO), (2, ONE, ZERO), (1, ONE, TWO)])
def test_the_first_epoch_is_one_and_has_nothing_before_it(
    contract: Contract, first: Arguments
) -> None:
    member = Member(3)
    assert contract.anchor(member, *first).receipt.state_root == b""
    assert number(contract.view("epoch_of", member)) == 0


def test_members_do_not_touch_one_another(contract: Contract, member: Member) -> None:
    other = Member(3)
    contract.anchor(other, 1, THREE, ZERO)
    assert number(contract.view("epoch_of", other)) == 1
    assert number(contract.view("epoch_of", member)) == 2
    assert contract.view("commitment_of", other, 1) == THREE
    assert contract.view("commitment_of", member, 1) == ONE


def test_nothing_can_be_written_but_an_anchor_and_no_money_is_taken() -> None:
    functions = [entry for entry in anchors().abi if entry["type"] == "function"]
    writing = [f for f in functions if f["stateMutability"] != "view"]
    assert [(f["name"], f["stateMutability"]) for f in writing] == [
        ("anchor", "nonpayable")
    ]


def test_gas_is_what_the_snapshot_says_and_half_of_what_is_offered(
    contract: Contract,
) -> None:
    member = Member(2)
    used = {
        "deploy": contract.deployed.receipt.gas_used,
        "anchor_first": contract.anchor(member, 1, ONE, ZERO).receipt.gas_used,
        "anchor_later": contract.anchor(member, 2, TWO, ONE).receipt.gas_used,
    }
    assert used == json.loads((HERE / "gas.json").read_text("utf-8"))["Anchors"]
    assert 2 * used["deploy"] <= DEPLOY_GAS
    assert 2 * used["anchor_first"] <= ANCHOR_GAS
