"""Orders of a real shop, split by category into three companies that share customers.

617 of 793 customers have ordered from all three. What the companies work out together
must be what one who sees all orders works out, to the customer and to the cent.
"""

import csv
from collections import defaultdict
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from crypto.noise import laplace
from ledger.plans import Kind, Measure
from node.domain.joint import Figure, lifetime_value
from tests.support import shared
from tests.support.matching import Companies

FURNITURE, SUPPLIES, TECHNOLOGY = CATEGORIES = (
    "Furniture",
    "Office Supplies",
    "Technology",
)
MOST = 10_000_000
"""Cents: no customer has ordered for more of one category."""


@cache
def sales() -> dict[str, dict[str, int]]:
    """Sales to each customer by category, in cents; each order line is rounded."""
    found: dict[str, dict[str, int]] = {name: defaultdict(int) for name in CATEGORIES}
    path = shared("data/superstore/superstore.csv")
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cents = round(Decimal(row["Sales"]) * 100)
            found[row["Category"]][row["Customer ID"]] += cents
    return {name: dict(held) for name, held in found.items()}


def both(*names: str) -> set[str]:
    return set.intersection(*(set(sales()[name]) for name in names))


def test_the_data_are_those_that_are_talked_about() -> None:
    assert len(set().union(*sales().values())) == 793
    assert len(both(*CATEGORIES)) == 617
    assert max(max(held.values()) for held in sales().values()) < MOST


PAIRS = [(one, two) for one in CATEGORIES for two in CATEGORIES if one != two]


@pytest.mark.parametrize(("asker", "provider"), PAIRS)
async def test_two_companies_count_the_customers_they_share(
    asker: str, provider: str
) -> None:
    told = await Companies(sales()[provider]).ask(
        Kind.INTERSECTION, list(sales()[asker])
    )
    assert told["count"] == len(both(asker, provider))
    assert told["asked"] == len(sales()[asker])


async def test_two_companies_list_the_customers_they_share() -> None:
    found: list[Any] = []

    async def use(party: Any, customers: Any) -> dict[str, Any]:
        found.extend(customers)
        return {}

    await Companies(sales()[SUPPLIES]).ask(
        Kind.INTERSECTION, list(sales()[FURNITURE]), mode="list", matched=use
    )
    assert found == sorted(both(FURNITURE, SUPPLIES))


async def test_three_companies_count_the_customers_they_all_share() -> None:
    told = await Companies(sales()[SUPPLIES], sales()[TECHNOLOGY]).ask(
        Kind.RING_COUNT, list(sales()[FURNITURE])
    )
    assert told["count"] == 617
    assert [each["count"] for each in told["pairs"]] == [
        len(both(FURNITURE, SUPPLIES)),
        len(both(FURNITURE, TECHNOLOGY)),
        len(both(SUPPLIES, TECHNOLOGY)),
    ]


async def joint(asker: str, provider: str, **facts: Any) -> Any:
    measure = Measure(what="sum", field="sales", bound=MOST)
    return await Companies(sales()[provider], **facts).ask(
        Kind.JOINT_SUM, list(sales()[asker]), measure=measure
    )


@pytest.mark.parametrize(("asker", "provider"), PAIRS)
async def test_a_joint_sum_is_exact_to_the_cent_before_noise(
    asker: str, provider: str
) -> None:
    told = await joint(asker, provider)
    exact = sum(sales()[provider][each] for each in both(asker, provider))
    assert (told["sum"], told["count"]) == (exact, len(both(asker, provider)))


async def test_a_joint_sum_is_within_its_spread_after_noise() -> None:
    exact = sum(sales()[SUPPLIES][each] for each in both(FURNITURE, SUPPLIES))
    beyond = 0
    for _ in range(10):
        told = await joint(FURNITURE, SUPPLIES, noise=laplace)
        beyond += abs(told["sum"] - exact) > told["spread"]
    assert beyond <= 5  # six of 10, each 1 in 100: once in 10^9.7


async def test_what_customers_are_worth_to_two_providers_adds_up() -> None:
    figures = []
    for provider in (SUPPLIES, TECHNOLOGY):
        told = await joint(FURNITURE, provider)
        members = ("sum", "count", "asked", "spread", "scale")
        figures.append(Figure(**{name: told[name] for name in members}))
    exact = sum(
        sales()[provider].get(each, 0)
        for provider in (SUPPLIES, TECHNOLOGY)
        for each in sales()[FURNITURE]
    )
    assert lifetime_value(figures).value * 100 == exact
