"""A store that was put back to an older state, as from a backup.

It would number new receipts as it numbered lost ones. A consumer names the newest
receipt that it holds in every call, so the first call already is refused.
"""

import shutil
from pathlib import Path
from typing import Any

from tests.support.node import PURPOSE, SHARED, World, open_world, start


async def ask(world: World) -> dict[str, Any]:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [SHARED[0]],
    }
    answer: dict[str, Any] = await world.supplier.manage("/management/ask", question)
    return answer


async def test_a_store_put_back_is_seen_by_the_next_call_of_a_partner(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        assert (await ask(world))["verified"]
        store = world.maker.folder / "node.sqlite"
        await world.maker.stop()
        older = shutil.copy(store, tmp_path / "older")
        await world.restart()
        lost = await ask(world)
        assert lost["verified"]
        await world.maker.stop()
        shutil.copy(older, store)
        world.maker = await start(
            world.maker.folder, clock=world.clock, wire=world.wire, anchors=world.chain
        )
        answer = await ask(world)
        assert not answer["allowed"]
        assert "stream.diverged" in {each["code"] for each in answer["denials"]}
        assert answer["customers"] == {}
