"""A power cut while lists are compared: the job goes on, and nothing is paid twice."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from examples.desk import Terms
from examples.federation import Federation
from node.adapters.sql import tables as t
from node.config import load
from tests.faults.left import at_rest
from tests.support.companies import AGGREGATES, Fault, declaration, write_crm
from tests.support.federation import running
from tests.support.noise import within

CUSTOMERS, EPSILON = 12_000, 2_000_000
NAMES = [f"VIN-{n:06}" for n in range(CUSTOMERS)]
ALLOWANCE = {
    "epsilon_micro": 10_000_000,
    "period": "year",
    "k_min": 10,
    "plans_per_day": 20,
    "matching": "count",
    "match_size": CUSTOMERS,
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Federation, str]]:
    folder = tmp_path_factory.mktemp("cut")
    with running(folder, "maker", "asker") as made:
        rows = [
            Fault(vin=name, region="north", code="P0A80", seen_on="2026-10-05", cost=n)
            for n, name in enumerate(NAMES)
        ]
        write_crm(folder / "crm.sqlite", rows)
        maker, asker = made.nodes["maker"].desk, made.nodes["asker"].desk
        maker.post("/management/datasets", declaration(folder / "crm.sqlite"))
        terms = Terms(
            dataset="faults",
            aggregates=AGGREGATES,
            allowance=ALLOWANCE,
            purposes=("quality-analysis",),
        )
        yield made, maker.agree(asker, terms)


def begin(made: Federation, agreement: str) -> str:
    """Ask for the costs of half of the customers; return the job."""
    draft = {
        "kind": "joint-sum",
        "agreements": [agreement],
        "purpose": "quality-analysis",
        "measure": {"what": "sum", "field": "cost"},
        "customers": NAMES[::2],
        "epsilon_micro": EPSILON,
    }
    begun = made.nodes["asker"].desk.post("/management/aggregates", draft)
    return str(begun["job"])


def until(look: Callable[[], Any], seconds: float = 240) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


def at_work(made: Federation, node: str) -> str | None:
    """Return the job that a node is at, once something is done for it."""
    items = made.nodes[node].desk.get("/management/jobs")["items"]
    busy = (it["id"] for it in items if it["state"] == "running" and it["stage"])
    return next(busy, None)


def ended(made: Federation, job: str) -> dict[str, Any] | None:
    found: dict[str, Any] = made.nodes["asker"].desk.get(f"/management/jobs/{job}")
    return None if found["state"] == "running" else found


def spent(made: Federation, agreement: str) -> int:
    [item] = made.nodes["maker"].desk.get("/audit/budget")["items"]
    assert item["agreement"] == agreement
    return int(item["spent"])


def check(job: dict[str, Any]) -> None:
    assert job["state"] == "done", job["error"]
    result = job["result"]
    assert result["count"] == CUSTOMERS // 2
    exact = sum(range(0, CUSTOMERS, 2))
    assert abs(result["sum"] - exact) <= within(result["spread"])


def cut(made: Federation, node: str, job: str) -> None:
    """Kill a node in the middle of a job, and start it again."""
    made.supervisor.kill(node)
    with at_rest(load(made.nodes[node].settings).database) as engine:
        state = sa.select(t.jobs.c.state).where(t.jobs.c.id == job)
        with engine.connect() as connection:
            assert connection.scalar(state) == "running"
    made.start(node)
    made.await_ready(node)


@pytest.mark.parametrize("node", ["asker", "maker"])
def test_a_joint_sum_goes_on_after_a_power_cut(
    two: tuple[Federation, str], node: str
) -> None:
    made, agreement = two
    before = spent(made, agreement)
    begun = begin(made, agreement)

    cut(made, node, until(lambda: at_work(made, node)))
    job = until(lambda: ended(made, begun))

    check(job)
    assert spent(made, agreement) - before == EPSILON
    of_plan = f"/audit/received?plan={job['result']['plan']}"
    received = made.nodes["asker"].desk.get(of_plan)["items"]
    assert [each["step"] for each in received] == ["finish", "exchange", "commit"]
    assert all(each["verified"] for each in received)
