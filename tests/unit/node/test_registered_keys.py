"""A node believes pinned keys while the consortium's registry holds them, too."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ledger.errors import ChainUnavailable
from ledger.memory_registry import MemoryRegistry
from ledger.participants import Participant, pins_of
from ledger.registry import fingerprint
from node.adapters.registry import KeptRegistry
from node.bootstrap import adapters
from node.config import Settings
from node.errors import Unavailable
from node.ports import Alarm
from tests.support.node import (
    SHARED,
    START,
    FixedClock,
    Node,
    Wire,
    World,
    found,
    open_world,
    start,
)

OPERATOR = "0x" + "0f" * 20
STALE_S = 3600


class Consortium:
    """A registry in memory, read by every node of a world through its own cache."""

    def __init__(self, clock: FixedClock) -> None:
        self.contract = MemoryRegistry(
            clock=lambda: int(clock.at.timestamp()), operator=OPERATOR, majority=0
        )
        self.clock = clock

    def admit(self, record: Participant) -> None:
        account = record.chain_address.lower()
        self.contract.vote(OPERATOR, did=record.did, account=account)
        for suite, public in record.keys.items():
            self.set_key(record, suite, public)

    def expel(self, record: Participant) -> None:
        self.contract.vote(OPERATOR, did=record.did, account=None)

    def set_key(self, record: Participant, suite: str, public: bytes) -> None:
        name = fingerprint(suite, public)
        account = record.chain_address.lower()
        self.contract.set_key(account, suite=suite, fingerprint=name)

    def revoke(self, record: Participant, suite: Any) -> None:
        name = fingerprint(suite, record.keys[suite])
        account = record.chain_address.lower()
        self.contract.revoke_key(account, suite=suite, fingerprint=name)

    def for_node(self, _settings: Settings, *_: object) -> KeptRegistry:
        return KeptRegistry(self.contract, self.clock, stale_s=STALE_S)

    @contextlib.contextmanager
    def opened(self) -> Any:
        with mock.patch.object(adapters, "registry_of", self.for_node):
            yield self


class Joined(World):
    consortium: Consortium


def records(registry: Path) -> dict[str, Participant]:
    return dict(pins_of(json.loads(registry.read_text())))


@contextlib.contextmanager
def admitted(folder: Path, consortium: Consortium) -> Any:
    """Admit each company as soon as its node looks at the registry."""

    def for_node(settings: Settings, *_: object) -> KeptRegistry:
        for record in records(settings.participants).values():
            if record.did not in consortium.contract.accounts:
                consortium.admit(record)
        return consortium.for_node(settings)

    with mock.patch.object(adapters, "registry_of", for_node):
        yield


@pytest.fixture
async def joined(
    tmp_path: Path,
) -> AsyncIterator[tuple[World, Consortium]]:
    clock = FixedClock()
    consortium = Consortium(clock)
    with admitted(tmp_path, consortium):
        async with open_world(tmp_path, clock=clock) as world:
            yield world, consortium


async def alarms(node: Node) -> list[Alarm]:
    return list(await node.services.store.read(lambda view: view.alarms.open()))


async def ask(world: World) -> tuple[int, str | None]:
    answer = await world.query(fields=["project_stage"])
    return answer.status, answer.body.get("code")


async def test_while_keys_hold_calls_are_answered(
    joined: tuple[World, Consortium],
) -> None:
    world, _ = joined
    assert await ask(world) == (200, None)
    await world.maker.services.compare_keys()
    assert await alarms(world.maker) == []


@pytest.mark.parametrize("suite", ["ed25519", "bls12381g2"])
async def test_the_calls_of_a_partner_whose_key_was_revoked_are_refused(
    joined: tuple[World, Consortium], suite: str
) -> None:
    world, consortium = joined
    partner = world.supplier.me
    consortium.revoke(partner, suite)
    assert await ask(world) == (200, None)  # nobody has asked the chain yet
    await world.maker.services.compare_keys()
    answer = await world.query(fields=["project_stage"])
    assert answer.status == 401
    assert answer.body["code"] == "token.key_revoked"
    assert answer.body["receipt"]["consumer"] is None  # whoever it was
    [alarm] = await alarms(world.maker)
    assert (alarm.code, alarm.subject) == ("registry.keys", partner.did)
    assert alarm.detail == f"no {suite} key holds"


async def test_a_partner_whose_key_was_revoked_is_not_asked(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    question = {
        "agreement": world.agreement,
        "purpose": "joint-delivery",
        "fields": ["project_stage"],
        "customers": [SHARED[0]],
        "where": [],
    }
    assert (await world.supplier.manage("/management/ask", question))["allowed"]
    consortium.revoke(world.maker.me, "ed25519")
    await world.supplier.services.compare_keys()
    before = len(world.maker.receipts())
    refused = await world.supplier.manage("/management/ask", question, expect=503)
    assert refused["code"] == "partner.keys"
    assert len(world.maker.receipts()) == before


async def test_a_replaced_key_is_named_by_its_new_fingerprint(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    consortium.set_key(world.supplier.me, "ed25519", b"n" * 32)
    await world.maker.services.compare_keys()
    assert (await ask(world))[1] == "token.key_revoked"
    [alarm] = await alarms(world.maker)
    new = fingerprint("ed25519", b"n" * 32).hex()[:16]
    assert alarm.detail == f"another ed25519 key holds ({new})"


async def test_the_calls_of_an_expelled_partner_are_refused(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    consortium.expel(world.supplier.me)
    await world.maker.services.compare_keys()
    assert (await ask(world))[1] == "token.key_revoked"
    [alarm] = await alarms(world.maker)
    assert alarm.detail == "it was expelled"


async def test_a_partner_for_which_another_account_speaks_is_refused(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    partner = world.supplier.me
    consortium.contract.vote(OPERATOR, did=partner.did, account="0x" + "77" * 20)
    await world.maker.services.compare_keys()
    assert (await ask(world))[1] == "token.key_revoked"
    [alarm] = await alarms(world.maker)
    assert alarm.detail.startswith("0x7777")


async def test_an_alarm_ends_when_pin_and_registry_agree_again(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    compare = world.maker.services.compare_keys
    partner = world.supplier.me
    consortium.set_key(partner, "x25519", b"n" * 32)
    await compare()
    await compare()
    assert len(await alarms(world.maker)) == 1
    consortium.set_key(partner, "x25519", partner.keys["x25519"])
    await compare()
    assert await alarms(world.maker) == []
    assert await ask(world) == (200, None)


async def test_while_the_chain_is_silent_the_last_answer_counts_for_a_time(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    maker = world.maker
    consortium.contract.answers = False
    with pytest.raises(ChainUnavailable):
        await maker.services.compare_keys()
    world.clock.advance(seconds=STALE_S)
    assert await ask(world) == (200, None)
    before = len(maker.receipts())
    world.clock.advance(seconds=1)
    assert await ask(world) == (503, "registry.stale")
    assert len(maker.receipts()) == before
    with pytest.raises(Unavailable, match=r"registry\.stale"):
        maker.services.compare_keys.own()
    consortium.contract.answers = True
    await maker.services.compare_keys()
    assert await ask(world) == (200, None)


async def test_a_revoked_key_stays_revoked_while_the_chain_is_silent(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    consortium.revoke(world.supplier.me, "ed25519")
    await world.maker.services.compare_keys()
    consortium.contract.answers = False
    assert (await ask(world))[1] == "token.key_revoked"


async def test_a_node_whose_own_key_was_revoked_answers_nobody_and_is_not_ready(
    joined: tuple[World, Consortium],
) -> None:
    world, consortium = joined
    consortium.revoke(world.maker.me, "ed25519")
    await world.maker.services.compare_keys()
    assert await ask(world) == (503, "registry.own_keys")
    ready = await world.maker.client.get("/health/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "registry.own_keys")
    assert "ed25519" not in ready.text
    [alarm] = await alarms(world.maker)
    assert alarm.subject == world.maker.did


async def test_a_node_whose_own_keys_are_not_registered_does_not_start(
    tmp_path: Path,
) -> None:
    registry = tmp_path / "participants.json"
    found(tmp_path / "maker", "maker", 8101, registry)
    clock = FixedClock()
    consortium = Consortium(clock)
    [own] = records(registry).values()
    with consortium.opened():
        with pytest.raises(Unavailable, match="it is no member"):
            await start(tmp_path / "maker", clock=clock, wire=Wire())
        account = own.chain_address.lower()
        consortium.contract.vote(OPERATOR, did=own.did, account=account)
        with pytest.raises(Unavailable, match="no x25519 key holds"):
            await start(tmp_path / "maker", clock=clock, wire=Wire())
        for suite, public in own.keys.items():
            consortium.set_key(own, suite, public)
        node = await start(tmp_path / "maker", clock=clock, wire=Wire())
        await node.stop()


async def test_a_node_starts_without_the_chain_and_is_not_ready_until_it_answers(
    tmp_path: Path,
) -> None:
    registry = tmp_path / "participants.json"
    found(tmp_path / "maker", "maker", 8101, registry)
    consortium = Consortium(FixedClock())
    [own] = records(registry).values()
    consortium.admit(own)
    consortium.contract.answers = False
    with consortium.opened():
        node = await start(tmp_path / "maker", clock=FixedClock(), wire=Wire())
    ready = await node.client.get("/health/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "registry.stale")
    consortium.contract.answers = True
    await node.services.compare_keys()
    node.services.compare_keys.own()
    await node.stop()


async def test_an_older_answer_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    clock = FixedClock()
    consortium = Consortium(clock)
    found(tmp_path / "maker", "maker", 8101, tmp_path / "participants.json")
    [own] = records(tmp_path / "participants.json").values()
    consortium.admit(own)
    kept = KeptRegistry(consortium.contract, clock, stale_s=STALE_S)
    old = kept.history(own.did)
    consortium.revoke(own, "ed25519")
    kept.history(own.did)
    with mock.patch.object(consortium.contract, "history", return_value=old):
        kept.history(own.did)
    read = kept.last(own.did)
    assert read is not None
    assert "ed25519" not in read.history.now.keys
    assert kept.keys_at(own.did, int(START.timestamp())).account
