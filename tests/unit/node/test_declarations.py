"""Declarations of customers: under agreements in force, and beside other calls."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.compute import Ticking
from tests.support.node import PURPOSE, SHARED, World, open_world
from tests.unit.node.sealing import insert


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


async def _declare(world: World, agreement: str, expect: int = 503) -> str:
    path = f"/management/agreements/{agreement}/customers"
    body = {"customers": list(SHARED)}
    answer = await world.supplier.manage(path, body, expect=expect)
    return str(answer.get("detail"))


@pytest.mark.parametrize("status", ["suspended", "revoked"])
async def test_nothing_is_declared_under_an_agreement_that_is_withdrawn(
    world: World, status: str
) -> None:
    agreement = await world.agree(align=False)
    path = f"/management/agreements/{agreement}/status"
    await world.maker.manage(path, {"status": status})
    assert "409" in await _declare(world, agreement)


async def test_nothing_is_declared_under_an_agreement_that_is_over(
    world: World,
) -> None:
    agreement = await world.agree(align=False, valid_to="2026-11-23T00:00:00Z")
    world.clock.advance(days=1)
    assert "409" in await _declare(world, agreement)


async def test_customers_can_be_declared_before_the_agreement_begins(
    world: World,
) -> None:
    agreement = await world.agree(align=False, valid_from="2026-12-01T00:00:00Z")
    await _declare(world, agreement, expect=200)


@pytest.mark.usefixtures("set_apart")
async def test_checking_a_long_answer_leaves_time_for_other_calls(world: World) -> None:
    names = [f"customer-{number}" for number in range(150)]
    for name in names:
        insert(world, f"of {name}", like=0, customer=name)
    await world.maker.manage("/management/datasets", world.crm.declaration())
    agreement = await world.agree(align=False, rows_per_call=200)
    await world.align(agreement, names)
    question = {
        "agreement": agreement,
        "purpose": PURPOSE,
        "fields": ["project_stage"],
        "customers": names,
    }
    async with Ticking() as ticking:
        answer = await world.supplier.manage("/management/ask", question)
    assert answer["verified"]
    assert ticking.worked_ms < 200  # it was 2 ms for each record
