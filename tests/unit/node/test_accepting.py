"""`fieldpact accept`: the one open offer, or the one that is named."""

from typing import Any

import pytest

from tests.unit.node.test_asking import AGREEMENT, Node, fieldpact, node

__all__ = ["node"]
MAKER, TRUCKS = "did:web:maker.test", "did:web:trucks.test"


def negotiation(number: int, **changes: str) -> dict[str, Any]:
    told = {"role": "consumer", "state": "OFFERED", "partner": MAKER} | changes
    return told | {"pid": f"urn:uuid:{number}", "offer": {"target": "projects"}}


def accept(node: Node, *words: str) -> Any:
    for number in range(9):
        path = f"/management/negotiations/urn:uuid:{number}/accept"
        node.answers[path] = {"agreement": {"@id": AGREEMENT}}
    return fieldpact("accept", *words)


def test_the_only_open_offer_need_not_be_named(node: Node) -> None:
    node.answers["/management/negotiations"] = {
        "items": [
            negotiation(1, role="provider"),
            negotiation(2, state="FINALIZED"),
            negotiation(3),
            negotiation(4, state="TERMINATED"),
        ]
    }

    result = accept(node)

    assert result.exit_code == 0
    assert node.sent == [("/management/negotiations/urn:uuid:3/accept", {})]
    assert result.stdout == f"{AGREEMENT}\n"
    assert result.stderr == f"accepting projects of {MAKER}\n"


@pytest.mark.parametrize("state", ["ACCEPTED", "AGREED"])
def test_an_offer_whose_acceptance_was_cut_short_is_open(
    node: Node, state: str
) -> None:
    node.answers["/management/negotiations"] = {"items": [negotiation(5, state=state)]}

    assert accept(node).exit_code == 0
    assert node.sent == [("/management/negotiations/urn:uuid:5/accept", {})]


def test_of_several_open_offers_none_is_accepted_and_all_are_told(node: Node) -> None:
    items = [negotiation(1), negotiation(2, partner=TRUCKS)]
    node.answers["/management/negotiations"] = {"items": items}

    result = accept(node)

    assert result.exit_code == 1
    assert node.sent == []
    assert "offer.several" in result.stderr
    assert f"urn:uuid:1  projects of {MAKER}\n" in result.stderr
    assert f"urn:uuid:2  projects of {TRUCKS}\n" in result.stderr


def test_where_no_offer_is_open_it_is_said_who_makes_one(node: Node) -> None:
    node.answers["/management/negotiations"] = {
        "items": [negotiation(1, role="provider")]
    }

    result = accept(node)

    assert result.exit_code == 1
    assert node.sent == []
    assert "No offer is open: the partner makes one" in " ".join(result.stderr.split())


def test_a_named_offer_is_accepted_without_looking_at_others(node: Node) -> None:
    assert accept(node, "urn:uuid:7").exit_code == 0
    assert node.sent == [("/management/negotiations/urn:uuid:7/accept", {})]
