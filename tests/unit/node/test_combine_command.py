"""`fieldpact job combine`: joint sums of several partners, put together."""

from typing import Any

import pytest

from node.cli.output import Management
from tests.unit.node.test_asking import Node, fieldpact

FIRST, SECOND, TABLE, FEW = ("ab" * 16, "cd" * 16, "ef" * 16, "01" * 16)


def done(job: str, **result: Any) -> dict[str, Any]:
    figures = {"count": 4, "asked": 8, "unit": "CNY", "scale": 2, **result}
    return {"id": job, "kind": "joint-sum", "state": "done", "result": figures}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node()
    jobs = (
        done(FIRST, sum=10_000, spread=100),
        done(SECOND, sum=6_000, spread=50),
        {"id": TABLE, "kind": "heat-map", "result": {"cells": [1]}},
        done(FEW, count=None, sum=None, spread=None),
    )
    for job in jobs:
        made.answers[f"/management/jobs/{job['id']}"] = job
    monkeypatch.setattr(Management, "of", lambda _: made)
    return made


def test_sums_over_providers_are_the_lifetime_value(node: Node) -> None:
    told = fieldpact("job", "combine", "lifetime-value", FIRST, SECOND)

    assert told.stdout == "lifetime-value  160.00 ± 1.50 CNY\n"


def test_means_of_stages_are_the_delivery_period(node: Node) -> None:
    told = fieldpact("job", "combine", "delivery-period", FIRST, SECOND)

    assert told.stdout == "delivery-period  40.00 ± 0.38 CNY\n"


@pytest.mark.parametrize("job", [TABLE, FEW])
def test_what_is_no_joint_sum_over_enough_customers_is_refused(
    node: Node, job: str
) -> None:
    told = fieldpact("job", "combine", "lifetime-value", FIRST, job)

    assert told.exit_code == 1
    assert "figures.none" in told.output


def test_sums_of_two_units_are_not_added_up(node: Node) -> None:
    other = done(SECOND, sum=1, spread=1, unit="USD")
    node.answers[f"/management/jobs/{SECOND}"] = other

    told = fieldpact("job", "combine", "lifetime-value", FIRST, SECOND)

    assert told.exit_code == 1
    assert "figures.units" in told.output
