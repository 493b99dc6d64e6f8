"""`fieldpact chain adopt`, from the operator to the store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.errors import Inconsistent
from node.ports import UnitOfWork
from tests.support.node import World, open_world

PATH = "/management/chain/adopt"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


def alarms(view: UnitOfWork) -> list[str]:
    return [alarm.code for alarm in view.alarms.open()]


async def test_an_operator_has_the_node_go_on_after_a_restore(world: World) -> None:
    services = world.maker.services
    await services.keep_log.integrate()
    world.chain.anchor(epoch=1, commitment=b"t" * 32)  # written before the restore
    with pytest.raises(Inconsistent):
        await services.anchoring()
    assert await services.store.read(alarms) == ["log.chain_ahead"]
    summary = await world.maker.manage("/audit/summary")
    assert summary["anchor"] is None

    said = await world.maker.manage(PATH, {"why": "restored from a backup"})
    assert said == {"epoch": 1, "adopted": 1}
    assert await services.store.read(alarms) == []
    summary = await world.maker.manage("/audit/summary")
    assert summary["anchor"]["state"] == "adopted"

    anchor = await services.anchoring()
    assert anchor is not None
    assert (anchor.epoch, anchor.state) == (2, "final")
    summary = await world.maker.manage("/audit/summary")
    assert (summary["anchor"]["epoch"], summary["anchor"]["state"]) == (2, "final")
    assert summary["anchor"]["transaction"] == anchor.transaction


async def test_without_an_alarm_there_is_nothing_to_adopt(world: World) -> None:
    said = await world.maker.manage(PATH, {"why": "just so"}, expect=409)
    assert said["code"] == "chain.nothing_to_adopt"


async def test_an_auditor_adopts_nothing_and_neither_does_nobody(world: World) -> None:
    for headers in ({}, world.maker.operator("audit")):
        reply = await world.maker.client.post(
            PATH, json={"why": "mine"}, headers=headers
        )
        assert reply.status_code == 401


@pytest.mark.parametrize(
    "body", [{}, {"why": ""}, {"why": "x\0"}, {"why": "x", "a": 1}]
)
async def test_a_reason_is_asked_for(world: World, body: dict[str, object]) -> None:
    await world.maker.manage(PATH, body, expect=400)
