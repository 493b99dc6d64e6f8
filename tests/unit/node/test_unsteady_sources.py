"""A column that is another each time it is read: refused, and not run after."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from node.errors import Unavailable
from node.services import rows
from tests.support.node import open_world
from tests.support.snapshots import check_snapshots
from tests.unit.node.sealing import version


async def test_what_never_reads_the_same_is_not_committed_to_for_ever(
    tmp_path: Path,
) -> None:
    usual, reads = rows._values, 0

    def unsteady(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        values = usual(*arguments)
        return values and {**values, "annual_spend": f"{reads}.00"}

    async with open_world(tmp_path) as world:
        before = await version(world)
        build = world.maker.services.snapshots.build
        with mock.patch.object(rows, "_values", unsteady):
            answer = await world.query()
            world.check_refused(answer, "source.unavailable", status=503)
            with pytest.raises(Unavailable, match=r"source\.unsteady"):
                await build(world.agreement)
        assert await version(world) - before < 100
        await build(world.agreement)
        world.check(await world.query())
        check_snapshots(world.maker.database, world.maker.me)
