"""What a node tells its auditors of itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.node import World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


async def _receipts(world: World) -> dict[str, int]:
    summary = await world.maker.manage("/audit/summary")
    names = ("total", "integrated", "anchored")
    return {name: summary["receipts"][name] for name in names}


async def test_snapshots_in_the_log_are_not_counted_as_receipts(world: World) -> None:
    keeper = world.maker.services.keep_log
    anchoring = world.maker.services.anchoring
    await world.query()
    assert await _receipts(world) == {"total": 1, "integrated": 0, "anchored": 0}

    assert await keeper.integrate() > 1  # the snapshot as well
    assert await _receipts(world) == {"total": 1, "integrated": 1, "anchored": 0}

    await anchoring()
    assert await _receipts(world) == {"total": 1, "integrated": 1, "anchored": 1}

    await world.query()
    assert await _receipts(world) == {"total": 2, "integrated": 1, "anchored": 1}
