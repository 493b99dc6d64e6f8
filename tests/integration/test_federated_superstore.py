"""Orders of a real shop, split by category into three companies: sums by region and year.

What the three add up without showing it is what one who sees all orders adds up: to the
cent before noise, and within the spread that is told after.
"""

import csv
from collections import defaultdict
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from crypto import noise
from ledger.plans import Group, Measure, Plan
from node.domain.cells import Gathering
from node.domain.dataset import (
    CustomerKey,
    Dataset,
    Field,
    FieldType,
    Grade,
    Mode,
    Source,
    Title,
)
from node.domain.noised import noised
from tests.support import shared
from tests.support.federated import World
from tests.support.noise import within
from tests.support.runs import MemoryRun

CATEGORIES = ("Furniture", "Office Supplies", "Technology")
REGIONS = ("Central", "East", "South", "West")
MOST = 10_000_000
"""Cents: nobody has ordered for more in one region and category."""
GROUPS = (Group(field="region", grain="value", values=REGIONS),)
MEASURE = Measure(what="sum", field="sales", bound=MOST)


@cache
def orders() -> list[dict[str, str]]:
    path = shared("data/superstore/superstore.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cents(row: dict[str, str]) -> int:
    return round(Decimal(row["Sales"]) * 100)


@cache
def plaintext() -> list[int]:
    """What somebody who sees all orders adds up."""
    found: dict[str, int] = defaultdict(int)
    for row in orders():
        found[row["Region"]] += cents(row)
    return [found[region] for region in REGIONS]


def dataset() -> Dataset:
    named = Title(en="Sales", zh="销售")
    kinds: dict[str, dict[str, Any]] = {
        "region": {"type": FieldType.TEXT},
        "sales": {"type": FieldType.MONEY, "unit": "USD", "scale": 2},
    }
    common: dict[str, Any] = {
        "title": named,
        "grade": Grade.GENERAL,
        "personal": False,
        "modes": frozenset({Mode.AGGREGATE}),
    }
    return Dataset(
        id="orders",
        title=named,
        source=Source(url="sqlite:///nowhere", relation="orders", record="id"),
        customer=CustomerKey(column="who", rule="exact"),
        fields=tuple(
            Field(name=name, column=name, **kind, **common)
            for name, kind in kinds.items()
        ),
    )


def tallied(plan: Plan, category: str) -> tuple[list[int], list[int]]:
    """What a company counts and sums of its own orders, clipped and limited."""
    gathering = Gathering(plan, dataset())
    for row in orders():
        if row["Category"] == category:
            whole, rest = divmod(cents(row), 100)
            values = {"region": row["Region"], "sales": f"{whole}.{rest:02}"}
            gathering.take(row["Customer ID"], values)
    found = gathering.amounts(b"s" * 32)
    return found.customers(plan.cell_count), found.sums(plan.cell_count)


def asked() -> World:
    world = World(3)
    world.hold_units(*world.dids, unit="USD", scale=2)
    return world


FACTS: dict[str, Any] = {
    "groups": GROUPS,
    "measure": MEASURE,
    "contribution": 4,
    "epsilon_micro": 20_000_000,
}


async def test_the_sum_is_exact_to_the_cent_before_noise() -> None:
    world = asked()
    plan = world.plan(**FACTS)
    for name, category in zip(world.dids, CATEGORIES, strict=True):
        world.hold(name, tallied(plan, category)[1], bound=1 << 34)
    result = await world.ask(**FACTS)
    assert result["cells"] == plaintext()
    assert (result["unit"], result["scale"]) == ("USD", 2)


async def test_the_sum_is_within_the_spread_that_is_told_after_noise() -> None:
    world = asked()
    plan = world.plan(**FACTS)
    for name, category in zip(world.dids, CATEGORIES, strict=True):
        customers, sums = tallied(plan, category)
        table = noised(
            plan,
            customers=customers,
            sums=sums,
            laplace=noise.laplace,
            spread=noise.spread,
        )
        assert table.shown == len(REGIONS)
        world.hold(name, table.cells, bound=table.bound)
    signed, inputs = await world.prepared(**FACTS)
    asker = world.asker(spread=noise.spread)
    result = await asker(signed, inputs, MemoryRun())
    for cell, exact in zip(result["cells"], plaintext(), strict=True):
        assert abs(cell - exact) <= within(result["spread"], noises=len(CATEGORIES))
    assert result["cells"] != plaintext()


@pytest.mark.parametrize("category", CATEGORIES)
def test_nobody_is_clipped(category: str) -> None:
    plan = asked().plan(**FACTS)
    rows = [row for row in orders() if row["Category"] == category]
    assert sum(tallied(plan, category)[1]) == sum(map(cents, rows))
