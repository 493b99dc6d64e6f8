"""Anybody may ask whether a node is ready; it costs and tells them little."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from node.bootstrap.readiness import Readiness
from node.errors import Unavailable
from tests.support.node import FixedClock, World, open_world


class Engine:
    """A policy engine that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.well = True

    async def ready(self) -> None:
        self.asked += 1
        if not self.well:
            detail = "OPA at http://10.1.2.3:8181 does not answer."
            raise Unavailable("policy.unavailable", detail)

    async def decide(self, question: object) -> None:
        raise NotImplementedError


class Ticking(FixedClock):
    """A clock whose durations move as well."""

    elapsed = 0.0

    def elapsed_ms(self) -> float:
        return self.elapsed


@pytest.fixture
async def world(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


async def test_strangers_cannot_make_the_node_ask_its_engine_more_than_once_a_second(
    world: World,
) -> None:
    engine, clock = Engine(), Ticking()
    services = world.maker.services
    ready = Readiness(
        services.store,
        engine,  # type: ignore[arg-type]
        services.identity,
        clock,
        services.compare_keys,
    )
    await asyncio.gather(*(ready() for _ in range(20)))
    assert engine.asked == 1
    engine.well = False
    await ready()
    clock.elapsed += 1001
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            await ready()
        assert refused.value.code == "policy.unavailable"
        assert "10.1.2.3" not in refused.value.detail
    assert engine.asked == 2
