"""Plans whose arithmetic a Dask cluster does: the same figures, and a worker may die."""

import functools
import os
import signal
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio

from node.adapters.compute.dask import Cluster
from tests.support import node
from tests.support.companies import COMMON, Companies, open_companies
from tests.support.compute import local_cluster
from tests.support.noise import within

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
NAMES = [f"VIN-{n:04}" for n in range(COMMON)]
OTHERS = [f"VIN-X-{n:05}" for n in range(6000)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Any]:
    async with local_cluster(2) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    cluster: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Companies]:
    address = cluster.scheduler_address
    with mock.patch.object(node, "ThreadCompute", functools.partial(Cluster, address)):
        async with open_companies(
            tmp_path_factory.mktemp("w"), agree={"allowance": ALLOWANCE}
        ) as made:
            yield made


ALLOWANCE = {
    "epsilon_micro": 100_000_000,
    "period": "year",
    "k_min": 5,
    "plans_per_day": 50,
    "matching": "count",
    "match_size": 8000,
}
JOINT = {
    "kind": "joint-sum",
    "customers": [*NAMES, *OTHERS],
    "measure": {"what": "sum", "field": "cost"},
    "epsilon_micro": 20_000_000,
}


def check(world: Companies, job: dict[str, Any]) -> None:
    assert job["state"] == "done", job["error"]
    exact = sum(row.cost for row in world.rows[0] if row.vin in NAMES)
    assert job["result"]["count"] == COMMON
    assert abs(job["result"]["sum"] - exact) <= within(job["result"]["spread"])


async def test_a_cluster_gives_the_figures_that_a_machine_gives(
    world: Companies,
) -> None:
    check(world, await world.ask(**JOINT))


async def test_a_worker_that_dies_in_the_middle_costs_time_and_nothing_else(
    world: Companies, cluster: Any
) -> None:
    begun = await world.asker.manage("/management/aggregates", world.draft(**JOINT))
    worker = next(iter(cluster.workers.values()))
    os.kill(worker.pid, signal.SIGKILL)

    job = await world.wait(begun["job"])
    check(world, job)
    receipts = [each.receipt for each in world.providers[0].receipts()]
    spent = [each.spent for each in receipts if each.plan == job["result"]["plan"]]
    assert spent == [0, 0, JOINT["epsilon_micro"]]


async def test_a_heat_map_is_made_on_a_cluster(world: Companies) -> None:
    job = await world.ask(
        kind="heat-map",
        mode="C",
        groups=[{"field": "region", "values": ["north", "south"]}],
        measure={"what": "count"},
        epsilon_micro=20_000_000,
    )

    assert job["state"] == "done", job["error"]
    exact = {region: set[str]() for region in ("north", "south")}
    for row in world.rows[0]:
        exact[row.region].add(row.vin)
    for cell, customers in zip(job["result"]["cells"], exact.values(), strict=True):
        # Each customer counts in one cell: those of both regions in either.
        assert cell is not None
        assert cell <= len(customers) + within(job["result"]["spread"])
