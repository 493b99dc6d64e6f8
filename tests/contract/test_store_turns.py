"""What several processes on one store share out among themselves."""

import datetime

import pytest

from node.adapters.sql.store import SqlStore
from tests.contract.samples import NOW


class TestTurns:
    async def test_a_turn_is_one_process_at_a_time(
        self, store: SqlStore, kind: str
    ) -> None:
        if kind == "sqlite":
            pytest.skip("an SQLite file has one process")
        later = NOW + datetime.timedelta(seconds=31)

        async def take(holder: str, at: datetime.datetime = NOW) -> bool:
            return await store.write(lambda work: work.turns.take("x", holder, at, 30))

        assert await take("one")
        assert not await take("two")
        assert await take("one")
        assert await take("two", later)  # the first one has died, it seems
        assert not await take("one", later)
        await store.write(lambda work: work.turns.give_back("x", "one"))
        assert not await take("one", later)
        await store.write(lambda work: work.turns.give_back("x", "two"))
        assert await take("one", later)

    async def test_the_one_process_of_a_file_has_every_turn(
        self, store: SqlStore, kind: str
    ) -> None:
        if kind == "sqlite":
            for holder in ("one", "two"):
                assert await store.write(
                    lambda work, h=holder: work.turns.take("x", h, NOW, 30)  # type: ignore[misc]
                )

    async def test_a_wish_that_was_repeated_outlives_the_build_of_the_first(
        self, store: SqlStore
    ) -> None:
        await store.write(lambda work: work.turns.want("a"))
        seen = await store.read(lambda view: view.turns.wanted())
        assert seen == {"a": 1}
        await store.write(lambda work: work.turns.want("a"))
        await store.write(lambda work: work.turns.built("a", seen["a"]))
        assert await store.read(lambda view: view.turns.wanted()) == {"a": 2}
        await store.write(lambda work: work.turns.built("a", 2))
        assert await store.read(lambda view: view.turns.wanted()) == {}
