"""Founding a consortium, voting, registering and revoking keys, on two chains."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from crypto.errors import Malformed
from crypto.keyids import Suite
from ledger import consortium
from ledger.errors import ChainUnavailable, Refused
from ledger.evm.transactions import CHAIN_ID
from ledger.registry import Status, fingerprint
from ledger.rpc_registry import RpcRegistry, Rules
from ledger.sender import Sender
from tests.support.chain import anvil, member_key, node, opened
from tests.unit.chain.consortium import ANNE, BOB, CAROL, DAVE, NUMBERS

KEYS: dict[Suite, bytes] = {"ed25519": b"1" * 32, "x25519": b"2" * 32}
ANVIL_CHAIN = 31337
FRESH = "0x" + "77" * 20


class World:
    """A chain, and a sender for each company.

    Args:
        url: Of the chain's JSON-RPC.
        chain_id: Its own.
    """

    def __init__(self, stack: ExitStack, url: str, chain_id: int) -> None:
        self._stack, self.url, self.chain_id = stack, url, chain_id
        self.senders = {did: self.sender(number) for did, number in NUMBERS.items()}

    def sender(self, number: int, chain_id: int | None = None) -> Sender:
        expected = chain_id or self.chain_id
        sender = Sender(self.url, member_key(number), chain_id=expected)
        return self._stack.enter_context(closing(sender))

    def founders(self, *dids: str) -> list[tuple[str, str]]:
        return [(did, self.senders[did].account) for did in dids]

    def open(self, address: str, chain_id: int | None = None) -> RpcRegistry:
        expected = chain_id or self.chain_id
        registry = RpcRegistry(self.url, address, chain_id=expected)
        return self._stack.enter_context(closing(registry))

    def found(self, *dids: str) -> RpcRegistry:
        made = consortium.create(self.senders[DAVE], self.founders(*dids), majority=50)
        return self.open(made)


@pytest.fixture(params=["embedded", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The embedded chain; and a node that is not ours, where there is one."""
    with ExitStack() as stack:
        if request.param == "embedded":
            url = stack.enter_context(node(stack.enter_context(opened())))
            yield World(stack, url, CHAIN_ID)
            return
        program = os.environ.get("FIELDPACT_TEST_ANVIL")
        if not program:
            pytest.skip("FIELDPACT_TEST_ANVIL does not name an anvil program")
        yield World(stack, stack.enter_context(anvil(program, tmp_path)), ANVIL_CHAIN)


def test_founders_are_members_and_majority_is_settled(world: World) -> None:
    registry = world.found(ANNE, BOB, CAROL)
    assert registry.rules == Rules(operator=None, majority=50)
    assert registry.dids() == (ANNE, BOB, CAROL)
    assert registry.history(ANNE).now.account == world.senders[ANNE].account


def test_as_many_founders_as_the_contract_takes_fit_one_transaction(
    world: World,
) -> None:
    founders = [
        (f"did:web:company-with-a-longer-name-{n}.example", f"0x{n + 1:040x}")
        for n in range(consortium.MOST_FOUNDERS)
    ]
    made = consortium.create(world.senders[ANNE], founders, majority=66)
    assert len(world.open(made).dids()) == consortium.MOST_FOUNDERS
    with pytest.raises(Malformed, match="16 founders at most"):
        consortium.create(world.senders[ANNE], [*founders, (DAVE, FRESH)], majority=66)


def test_rules_that_the_contract_does_not_take_are_refused(world: World) -> None:
    with pytest.raises(Refused, match="nobody could vote"):
        consortium.create(world.senders[ANNE], [], majority=50)
    with pytest.raises(Refused, match="majority is not 50 to 99"):
        consortium.create(world.senders[ANNE], world.founders(ANNE), majority=49)


def test_a_vote_waits_for_the_majority(world: World) -> None:
    registry = world.found(ANNE, BOB, CAROL)
    account = world.senders[DAVE].account
    first, second = (
        consortium.vote(world.senders[did], registry, did=DAVE, account=account)
        for did in (ANNE, BOB)
    )
    assert (first.votes, first.needed, first.carried) == (1, 2, False)
    assert second.carried
    assert registry.status(DAVE) is Status.MEMBER


def test_a_vote_can_be_taken_back(world: World) -> None:
    registry = world.found(ANNE, BOB, CAROL)
    anne = world.senders[ANNE]
    consortium.vote(anne, registry, did=DAVE, account=FRESH)
    back = consortium.vote(anne, registry, did=DAVE, account=FRESH, in_favour=False)
    assert (back.votes, back.carried) == (0, False)


def test_a_member_is_expelled_by_vote_and_holds_no_key(world: World) -> None:
    registry = world.found(ANNE, BOB, CAROL)
    consortium.register(world.senders[CAROL], registry, did=CAROL, keys=KEYS)
    consortium.vote(world.senders[ANNE], registry, did=CAROL, account=None)
    motion = consortium.vote(world.senders[BOB], registry, did=CAROL, account=None)
    assert motion.carried
    assert registry.status(CAROL) is Status.EXPELLED
    with pytest.raises(Refused, match=r"does not speak for .*; nobody does"):
        consortium.register(world.senders[CAROL], registry, did=CAROL, keys=KEYS)


def test_who_has_no_vote_is_refused(world: World) -> None:
    registry = world.found(ANNE)
    with pytest.raises(Refused, match="sender has no vote"):
        consortium.vote(world.senders[BOB], registry, did=BOB, account=FRESH)


def test_an_operator_decides_alone_and_members_do_not(world: World) -> None:
    operator = world.senders[DAVE]
    made = consortium.create(operator, world.founders(ANNE), operator=operator.account)
    registry = world.open(made)
    with pytest.raises(Refused, match="sender has no vote"):
        consortium.vote(world.senders[ANNE], registry, did=BOB, account=FRESH)
    assert consortium.vote(operator, registry, did=BOB, account=FRESH).carried


def test_keys_are_registered_once_and_what_differs_is_set(world: World) -> None:
    registry = world.found(ANNE)
    anne = world.senders[ANNE]
    assert consortium.register(anne, registry, did=ANNE, keys=KEYS) == (*KEYS,)
    assert consortium.register(anne, registry, did=ANNE, keys=KEYS) == ()
    changed: dict[Suite, bytes] = KEYS | {"x25519": b"3" * 32}
    assert consortium.register(anne, registry, did=ANNE, keys=changed) == ("x25519",)
    held = registry.history(ANNE).now.keys
    assert held == {suite: fingerprint(suite, key) for suite, key in changed.items()}


def test_who_speaks_for_nobody_registers_nothing(world: World) -> None:
    registry = world.found(ANNE)
    for did in (ANNE, BOB):
        with pytest.raises(Refused, match="does not speak for"):
            consortium.register(world.senders[BOB], registry, did=did, keys=KEYS)


def test_a_revoked_key_never_holds_again(world: World) -> None:
    registry = world.found(ANNE)
    anne = world.senders[ANNE]
    consortium.register(anne, registry, did=ANNE, keys=KEYS)
    name = fingerprint("ed25519", KEYS["ed25519"])
    consortium.revoke(anne, registry, suite="ed25519", name=name)
    assert "ed25519" not in registry.history(ANNE).now.keys
    with pytest.raises(Refused, match="key was revoked"):
        consortium.register(anne, registry, did=ANNE, keys=KEYS)
    with pytest.raises(Refused, match="key does not hold"):
        consortium.revoke(anne, registry, suite="ed25519", name=name)


def test_nothing_is_sent_on_another_chain(world: World) -> None:
    registry = world.found(ANNE)
    stray = world.sender(NUMBERS[ANNE], chain_id=1)
    with pytest.raises(ChainUnavailable, match="not 1"):
        consortium.register(stray, registry, did=ANNE, keys=KEYS)
    with pytest.raises(ChainUnavailable, match="not 1"):
        consortium.vote(
            world.senders[ANNE],
            world.open(registry.contract, 1),
            did=BOB,
            account=FRESH,
        )
    assert world.senders[ANNE].nonce() == 0


def test_nothing_is_sent_to_another_contract(world: World) -> None:
    other = world.open("0x" + "ab" * 20)
    anne = world.senders[ANNE]
    with pytest.raises(ChainUnavailable, match="no participants contract"):
        consortium.vote(anne, other, did=BOB, account=FRESH)
    with pytest.raises(ChainUnavailable, match="no participants contract"):
        consortium.revoke(anne, other, suite="ed25519", name=bytes(32))
    assert anne.nonce() == 0
