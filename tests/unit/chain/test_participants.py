"""The registry of participants on a chain: who decides what, and what it costs."""

import json
from collections.abc import Iterator

import pytest

from crypto.encoding import sha256
from ledger.contracts import HERE, calls, participants
from ledger.evm.chain import EmbeddedChain
from ledger.evm.store import LogFilter
from tests.support.chain import Member, opened
from tests.unit.chain.consortium import ANNE, BOB, CAROL, DAVE, Consortium, text

ONE, TWO = (bytes([n]) * 32 for n in (1, 2))


@pytest.fixture
def chain() -> Iterator[EmbeddedChain]:
    with opened() as chain:
        yield chain


@pytest.fixture
def three(chain: EmbeddedChain) -> Consortium:
    return Consortium(chain, ANNE, BOB, CAROL)


def test_the_chain_holds_the_runtime_code_and_who_decides_after_it(
    chain: EmbeddedChain,
) -> None:
    operator = Member(2)
    for given, word, majority in (
        (None, bytes(32), 66),
        (operator, operator.address.rjust(32, b"\0"), 0),
    ):
        made = Consortium(chain, ANNE, operator=given, majority=66)
        code = chain.state().get_code(made._address)
        settled = word + majority.to_bytes(32, "big")
        assert code == participants().runtime + settled


@pytest.mark.parametrize(
    ("members", "majority", "needed"),
    [(1, 50, 1), (2, 50, 2), (3, 50, 2), (4, 50, 3), (3, 66, 2), (3, 67, 3), (4, 66, 3), (4, 99, 4)],
)  # fmt: skip
def test_a_vote_is_won_by_more_than_its_share_of_all_members(
    chain: EmbeddedChain, members: int, majority: int, needed: int
) -> None:
    founders = (ANNE, BOB, CAROL, DAVE)[:members]
    consortium = Consortium(chain, *founders, majority=majority)
    newcomer = Member(20)
    for voter in founders[: needed - 1]:
        consortium.admit("did:web:new.example", newcomer, voter)
        assert consortium.refusal(newcomer, KEY) == "sender is no member"
    consortium.admit("did:web:new.example", newcomer, founders[needed - 1])
    assert consortium.refusal(newcomer, KEY) == ""


KEY = calls.set_key(suite="ed25519", fingerprint=ONE)


def test_two_members_cannot_expel_one_another(chain: EmbeddedChain) -> None:
    two = Consortium(chain, ANNE, BOB)
    two.admit(BOB, None, ANNE)
    assert two.refusal(two.members[BOB], KEY) == ""


def test_an_operator_decides_about_members_and_about_nothing_else(
    chain: EmbeddedChain,
) -> None:
    operator = Member(2)
    consortium = Consortium(chain, ANNE, operator=operator)
    admit = calls.vote(did=BOB, account=text(consortium.members[BOB]))
    assert consortium.refusal(consortium.members[ANNE], admit) == "sender has no vote"
    consortium.send(operator, admit)
    assert consortium.refusal(consortium.members[BOB], KEY) == ""
    assert consortium.refusal(operator, KEY) == "sender is no member"
    consortium.send(operator, calls.vote(did=BOB, account=None))
    assert consortium.refusal(consortium.members[BOB], KEY) == "sender is no member"


def test_votes_of_before_a_change_of_members_count_no_more(three: Consortium) -> None:
    new, other = Member(20), Member(21)
    three.admit("did:web:new.example", new, ANNE)
    three.admit("did:web:other.example", other, BOB, CAROL)
    three.admit("did:web:new.example", new, BOB, CAROL)
    assert three.refusal(new, KEY) == "sender is no member"
    three.admit("did:web:new.example", new, ANNE)
    assert three.refusal(new, KEY) == ""


def test_a_vote_that_was_taken_back_does_not_count(three: Consortium) -> None:
    new = Member(20)
    wanted = calls.vote(did=DAVE, account=text(new))
    back = calls.vote(did=DAVE, account=text(new), in_favour=False)
    three.send(three.members[ANNE], wanted)
    three.send(three.members[ANNE], back)
    three.send(three.members[BOB], wanted)
    assert three.refusal(new, KEY) == "sender is no member"
    assert three.refusal(three.members[ANNE], back) == "vote changes nothing"
    assert three.refusal(three.members[BOB], wanted) == "vote changes nothing"


def test_who_is_no_member_writes_nothing(three: Consortium) -> None:
    stranger = Member(20)
    end = calls.revoke_key(suite="ed25519", fingerprint=ONE)
    three.set_key(ANNE, "ed25519", ONE)
    three.admit(ANNE, None, BOB, CAROL)
    for outsider in (stranger, three.members[ANNE]):
        assert three.refusal(outsider, KEY) == "sender is no member"
        assert three.refusal(outsider, end) == "sender is no member"
        vote = calls.vote(did=DAVE, account=text(stranger))
        assert three.refusal(outsider, vote) == "sender has no vote"


def test_an_account_that_was_expelled_does_not_come_back(three: Consortium) -> None:
    three.admit(ANNE, None, BOB, CAROL)
    again = calls.vote(did=ANNE, account=text(three.members[ANNE]))
    assert three.refusal(three.members[BOB], again) == "account was admitted before"
    other = calls.vote(did=DAVE, account=text(three.members[CAROL]))
    assert three.refusal(three.members[BOB], other) == "account was admitted before"
    three.admit(ANNE, Member(20), BOB, CAROL)
    assert three.refusal(Member(20), KEY) == ""


def test_a_lost_account_is_replaced_and_the_old_one_is_out(three: Consortium) -> None:
    three.set_key(ANNE, "ed25519", ONE)
    three.admit(ANNE, Member(20), BOB, CAROL)
    assert three.refusal(three.members[ANNE], KEY) == "sender is no member"
    assert three.refusal(Member(20), KEY) == ""


def test_a_key_that_was_revoked_holds_never_again_nor_under_a_new_account(
    three: Consortium,
) -> None:
    three.set_key(ANNE, "ed25519", ONE)
    three.revoke_key(ANNE, "ed25519", ONE)
    assert three.refusal(three.members[ANNE], KEY) == "key was revoked"
    three.admit(ANNE, Member(20), BOB, CAROL)
    assert three.refusal(Member(20), KEY) == "key was revoked"
    three.set_key(BOB, "ed25519", ONE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (calls.set_key(suite="ed25519", fingerprint=ONE), "key holds already"),
        (calls.set_key(suite="sm2", fingerprint=bytes(32)), "fingerprint is zero"),
        (participants().selectors["set_key"] + bytes(32) + ONE, "suite is empty"),
        (calls.revoke_key(suite="sm2", fingerprint=ONE), "key does not hold"),
        (calls.revoke_key(suite="ed25519", fingerprint=TWO), "key does not hold"),
        (calls.revoke_key(suite="sm2", fingerprint=bytes(32)), "fingerprint is zero"),
    ],
)
def test_a_change_of_keys_that_says_nothing_is_refused(
    three: Consortium, data: bytes, reason: str
) -> None:
    three.set_key(ANNE, "ed25519", ONE)
    assert three.refusal(three.members[ANNE], data) == reason


def test_the_event_of_an_admission_names_the_did(three: Consortium) -> None:
    *_, admitted = three.admit(DAVE, three.members[DAVE], ANNE, BOB)
    number = admitted.header.block_number
    _, log = three.chain.logs(LogFilter(number, number))
    account = three.members[DAVE].address.rjust(32, b"\0")
    topics = (participants().topics["Admitted"], sha256(DAVE.encode()), account)
    assert log.topics == topics
    assert log.data[32:64] == len(DAVE).to_bytes(32, "big")
    assert log.data[64:].rstrip(b"\0") == DAVE.encode()


def test_nothing_can_be_written_but_votes_and_ones_own_keys() -> None:
    writing = [
        entry["name"]
        for entry in participants().abi
        if entry["type"] == "function" and entry["stateMutability"] != "view"
    ]
    assert writing == ["vote", "set_key", "revoke_key"]


def test_gas_is_what_the_snapshot_says(chain: EmbeddedChain) -> None:
    three = Consortium(chain, ANNE, BOB, CAROL)
    operated = Consortium(chain, operator=Member(2))
    anne, dave = three.members[ANNE], three.members[DAVE]
    first, deciding = three.admit(DAVE, dave, ANNE, BOB)
    renewed = calls.set_key(suite="ed25519", fingerprint=TWO)
    ended = calls.revoke_key(suite="ed25519", fingerprint=TWO)
    back = calls.vote(did=DAVE, account=None, in_favour=False)
    used = {
        "deploy_operated": operated.deployed,
        "deploy_three_members": three.deployed,
        "vote": first,
        "vote_that_admits": deciding,
        "set_key_first": three.send(anne, KEY),
        "set_key_later": three.send(anne, renewed),
        "revoke_key": three.send(anne, ended),
        "vote_to_expel": three.admit(DAVE, None, ANNE)[0],
        "vote_taken_back": three.send(anne, back),
        "vote_that_expels": three.admit(DAVE, None, ANNE, BOB, CAROL)[-1],
    }
    gas = {name: mined.receipt.gas_used for name, mined in used.items()}
    assert gas == json.loads((HERE / "gas.json").read_text("utf-8"))["Participants"]
