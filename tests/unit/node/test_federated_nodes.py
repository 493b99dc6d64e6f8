"""Federated sums between real nodes: with noise, receipts and budgets, and a silent one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ledger.receipts import Receipt
from tests.support.companies import REGIONS, Companies, open_companies
from tests.support.noise import within

EPSILON = 10_000_000
"""With less, noise would find a cohort of ninety too small now and then."""
ASKED: dict[str, Any] = {
    "kind": "federated-sum",
    "groups": [{"field": "region", "grain": "value", "values": list(REGIONS)}],
    "measure": {"what": "count"},
    "contribution": 2,
    "epsilon_micro": EPSILON,
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Companies]:
    async with open_companies(tmp_path, providers=4) as companies:
        yield companies


def exact(world: Companies, *numbers: int) -> list[int]:
    """What the rows of some providers say."""
    return [
        sum(
            len({row.vin for row in world.rows[number] if row.region == region})
            for number in numbers
        )
        for region in REGIONS
    ]


def of_plans(world: Companies, number: int) -> list[Receipt]:
    every = (each.receipt for each in world.providers[number].receipts())
    return [receipt for receipt in every if receipt.plan is not None]


def url(world: Companies, number: int) -> str:
    return world.providers[number].url


async def test_a_sum_is_that_of_the_rows_within_the_spread_that_is_told(
    world: Companies,
) -> None:
    job = await world.ask(0, 1, 2, 3, **ASKED)
    assert job["state"] == "done", job["error"]
    found = job["result"]
    pairs = zip(found["cells"], exact(world, 0, 1, 2, 3), strict=True)
    near = within(found["spread"], noises=4)
    assert all(abs(cell - true) <= near for cell, true in pairs)
    assert 0 < found["spread"] < 100
    for number in range(4):
        told = [(each.step, each.spent) for each in of_plans(world, number)]
        assert told == [("accept", 0), ("contribute", EPSILON)]


async def test_without_a_node_that_is_down_the_others_add_up(world: Companies) -> None:
    world.wire.cut.add(url(world, 1))
    job = await world.ask(0, 1, 2, 3, **ASKED)
    assert job["state"] == "done", job["error"]
    found = job["result"]
    assert found["replaces"]["missing"] == [world.providers[1].did]
    assert found["parties"] == sorted(world.providers[n].did for n in (0, 2, 3))
    pairs = zip(found["cells"], exact(world, 0, 2, 3), strict=True)
    near = within(found["spread"], noises=3)
    assert all(abs(cell - true) <= near for cell, true in pairs)


async def test_a_contribution_that_is_lost_costs_everybody_a_round(
    world: Companies,
) -> None:
    """The node that was called missing holds a receipt that says otherwise."""

    world.wire.lose.append("/aggregates/faults/contribute")  # of whoever is first
    job = await world.ask(0, 1, 2, 3, **ASKED)
    assert job["state"] == "done", job["error"]
    (missing,) = job["result"]["replaces"]["missing"]
    for number, node in enumerate(world.providers):
        told = [(each.step, each.spent) for each in of_plans(world, number)]
        once = [("accept", 0), ("contribute", EPSILON)]
        assert told == (once if node.did == missing else once * 2)


async def test_a_roster_that_differs_by_one_is_refused_with_a_receipt(
    world: Companies,
) -> None:
    first = await world.ask(0, 1, 2, 3, **ASKED)
    assert first["state"] == "done", first["error"]
    second = await world.ask(0, 1, 2, **ASKED)
    assert second["state"] == "failed"
    assert second["error"]["code"] == "roster.differencing"
    for number in range(3):
        refused = of_plans(world, number)[-1]
        assert refused.denials == ("roster.differencing",)
        assert (refused.step, refused.spent) == ("contribute", 0)
    again = await world.ask(0, 1, 2, 3, **ASKED)
    assert again["state"] == "done", again["error"]
    assert again["result"]["plan"] != first["result"]["plan"]
    for number in range(4):
        spent = [each.spent for each in of_plans(world, number)]
        assert spent.count(EPSILON) == 2  # noise is drawn anew, and paid for
