"""Figures on the command line: what is offered, and how agreements say it."""

import json
from typing import Any

import pytest

from node.api.models import NewAggregate, NewAllowance
from node.cli import granting
from tests.unit.node.test_aggregate_grants import allowance, due, spend
from tests.unit.node.test_asking import AGREEMENT, Node, fieldpact, listed, node, offer

__all__ = ["node"]


def test_figures_are_offered_with_their_fields_and_an_allowance(node: Node) -> None:
    result = offer(
        node,
        *("--field", "stage:plain", "--aggregate", "region:group"),
        *("--aggregate", "amount:sum,filter:5000"),
        *("--aggregate", "due:filter,group:week,month"),
        *("--epsilon", "0.5", "--period", "month", "--k-min", "20"),
        *("--matching", "count", "--match-size", "1000"),
    )

    assert result.exit_code == 0, result.output
    ((_, body),) = node.sent
    counted = dict.fromkeys(("region", "amount", "due"), "aggregate")
    assert body["fields"] == {"stage": "plain"} | counted
    assert body["aggregates"] == [
        {"field": "region", "uses": ["group"], "bound": None, "grains": []},
        {"field": "amount", "uses": ["filter", "sum"], "bound": "5000", "grains": []},
        {
            "field": "due",
            "uses": ["filter", "group"],
            "bound": None,
            "grains": ["week", "month"],
        },
    ]
    assert body["allowance"] == {
        "epsilon_micro": 500_000,
        "period": "month",
        "k_min": 20,
        "plans_per_day": 20,
        "matching": "count",
        "match_size": 1000,
    }
    for each in body["aggregates"]:
        NewAggregate.model_validate(each)
    NewAllowance.model_validate(body["allowance"])


def test_an_offer_without_figures_has_no_allowance(node: Node) -> None:
    assert offer(node, "--field", "stage:plain").exit_code == 0
    ((_, body),) = node.sent
    assert (body["aggregates"], body["allowance"]) == ([], None)


def test_matching_alone_is_offered_too(node: Node) -> None:
    words = ("--field", "stage:plain", "--matching", "list", "--match-size", "500")
    assert offer(node, *words).exit_code == 0
    ((_, body),) = node.sent
    assert body["allowance"]["matching"] == "list"


@pytest.mark.parametrize(
    "words",
    [
        ("--aggregate", "amount"),
        ("--aggregate", ":sum:5"),
        ("--aggregate", "amount:"),
        ("--aggregate", "amount:sum,:5"),
        ("--aggregate", "amount:sum:"),
        ("--aggregate", "amount:sum:5:EUR"),
        ("--aggregate", "region:group", "--epsilon", "much"),
        ("--aggregate", "region:group", "--epsilon", "-1"),
        ("--aggregate", "region:group", "--epsilon", "0.0000001"),
        ("--aggregate", "region:group", "--epsilon", "Infinity"),
        ("--aggregate", "region:group", "--epsilon", "1e99999"),
    ],
)
def test_figures_in_another_form_are_not_offered(
    node: Node, words: tuple[str, ...]
) -> None:
    assert offer(node, *words).exit_code == 2
    assert node.sent == []


def test_the_list_of_agreements_tells_what_may_be_counted(node: Node) -> None:
    figures: dict[str, Any] = {
        "aggregates": [due().to_json(), spend().to_json()],
        "allowance": allowance(matching="count", match_size=1000).to_json(),
    }
    item = json.loads(json.dumps(listed() | figures))
    node.answers["/audit/agreements"] = {"items": [item]}

    result = fieldpact("agreement", "list")

    for line in granting.in_words(item):
        assert f"{AGREEMENT} · {line}" in result.stdout
    assert granting.in_words(item) == [
        "due: filter · group by week, month",
        "spend: filter · sum, at most 5000.00 EUR for each customer and cell",
        (
            "epsilon 1.5 a quarter · at least 10 customers · 20 plans a day · "
            "shared customers: count of at most 1,000"
        ),
    ]


def test_what_may_be_spent_for_good_is_said_so() -> None:
    item: dict[str, Any] = {
        "aggregates": [],
        "allowance": allowance(
            period="always", matching="list", match_size=1
        ).to_json(),
    }
    (line,) = granting.in_words(item)
    assert line.startswith("epsilon 1.5 in all · ")
