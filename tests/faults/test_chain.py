"""A chain that is gone for an hour of epochs: what waits, and what comes after it.

Nothing of a call waits for the chain. One epoch waits at a time; when the chain is
back it takes that one, and the next holds all that came meanwhile. Epochs have no
gap in their numbers, only in their times.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ledger.checkpoint import anchor_commitment
from ledger.errors import ChainUnavailable
from ledger.ports import Account
from tests.support.node import World, check_log, open_world

EPOCH_S, ROUND_S, HOUR_S = 300, 30, 3600


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, settings=f"epoch_s: {EPOCH_S}\n") as world:
        yield world


async def passes(world: World, seconds: float) -> int:
    """Let time pass, with calls in it; return how often the chain did not answer."""
    unanswered = 0
    for number in range(int(seconds / ROUND_S)):
        world.clock.advance(seconds=ROUND_S)
        if number % 10 == 0:
            world.check(await world.query())
        await world.maker.services.keep_log.integrate()
        try:
            await world.maker.services.anchoring.keep()
        except ChainUnavailable:
            unanswered += 1
    return unanswered


async def check_epochs(world: World) -> int:
    """Check every epoch on the chain against the store; return how many there are."""
    chain, store = world.chain, world.maker.services.store
    account = Account(chain.chain_id, chain.contract, chain.member)
    newest = chain.latest_epoch(chain.member)
    for epoch in range(1, newest + 1):
        anchor = await store.read(
            lambda view, epoch=epoch: view.log.anchor(account, epoch)  # type: ignore[misc]
        )
        assert anchor is not None
        held = chain.commitment(chain.member, epoch)
        assert held == anchor.commitment
        assert held == anchor_commitment(anchor.note, anchor.salt)
    return newest


def gone(world: World) -> None:
    world.chain.answers = False


def stuck(world: World) -> None:
    """It takes transactions, and makes no block."""
    world.chain.mines = False


def back(world: World) -> None:
    world.chain.answers = world.chain.mines = True


@pytest.mark.parametrize("fault", [gone, stuck])
async def test_after_an_hour_without_the_chain_every_receipt_is_anchored(
    world: World, fault: Callable[[World], None]
) -> None:
    assert await passes(world, 2 * EPOCH_S) == 0
    before = await check_epochs(world)
    assert before >= 2
    fault(world)
    unanswered = await passes(world, HOUR_S)
    assert unanswered == (HOUR_S / ROUND_S if fault is gone else 0)
    answered = len(world.maker.receipts())
    back(world)
    assert await passes(world, EPOCH_S + 2 * ROUND_S) == 0
    after = await check_epochs(world)
    # The one that waited, if one did, and those since; none is made up for.
    assert before + 1 <= after <= before + 3
    newest = await world.maker.services.store.read(lambda view: view.log.anchor())
    assert newest is not None
    assert newest.state == "final"
    assert newest.size >= answered
    assert check_log(world.maker.database, world.maker.me) == len(
        world.maker.receipts()
    )
    alarms = await world.maker.manage("/audit/alarms")
    assert alarms["items"] == []


async def test_a_reply_lost_before_the_outage_anchors_nothing_twice(
    world: World,
) -> None:
    await passes(world, EPOCH_S)
    before = await check_epochs(world)
    world.chain.loses = True
    await passes(world, EPOCH_S)
    world.chain.loses = False
    gone(world)
    await passes(world, HOUR_S / 4)
    back(world)
    await passes(world, EPOCH_S)
    assert await check_epochs(world) > before
