"""A power cut while lists are compared: the job goes on, and nothing is paid twice."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from examples.desk import Terms
from examples.federation import Federation
from tests.support.companies import AGGREGATES, Fault, declaration, write_crm
from tests.support.federation import running

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


def until(look: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


def job_of(made: Federation, node: str, job: str) -> dict[str, Any]:
    found: dict[str, Any] = made.nodes[node].desk.get(f"/management/jobs/{job}")
    return found


def ended(made: Federation, job: str) -> dict[str, Any] | None:
    found = job_of(made, "asker", job)
    return None if found["state"] == "running" else found


def check(made: Federation, agreement: str, job: dict[str, Any], plans: int) -> None:
    assert job["state"] == "done", job["error"]
    result = job["result"]
    assert result["count"] == CUSTOMERS // 2
    exact = sum(range(0, CUSTOMERS, 2))
    assert abs(result["sum"] - exact) <= result["spread"]
    [item] = made.nodes["maker"].desk.get("/audit/budget")["items"]
    assert (item["agreement"], item["spent"]) == (agreement, plans * EPSILON)


def cut(made: Federation, node: str) -> None:
    made.supervisor.kill(node)
    made.start(node)
    made.await_ready(node)


@pytest.mark.parametrize(("node", "plans"), [("asker", 1), ("maker", 2)])
def test_a_joint_sum_goes_on_after_a_power_cut(
    two: tuple[Federation, str], node: str, plans: int
) -> None:
    made, agreement = two
    job = begin(made, agreement)
    if node == "asker":
        until(lambda: job_of(made, "asker", job)["stage"])
    else:
        desk = made.nodes["maker"].desk
        until(lambda: desk.get("/management/jobs")["items"][:plans][-1:])

    cut(made, node)
    found = until(lambda: ended(made, job))

    check(made, agreement, found, plans)
    receipts = made.nodes["maker"].desk.get("/audit/calls?limit=100")["items"]
    assert receipts
