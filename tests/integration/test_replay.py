"""A decision can be made again from what the node kept of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.config import POLICIES
from node.domain.decision import Decision
from node.domain.denials import AFTER_POLICY
from tests.support.node import PREDICATES, Answer, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def _again(world: World, answer: Answer) -> Decision:
    path = f"/audit/receipts/{answer.receipt.receipt_id}/question"
    headers = world.maker.operator("audit")
    question = (await world.maker.client.get(path, headers=headers)).json()
    async with EmbeddedEngine(load_bundle(POLICIES)) as engine:
        return await engine.decide(question)


def spend(operator: str, *values: str) -> list[dict[str, Any]]:
    return [{"fields": ["annual_spend"], "is": operator, "values": list(values)}]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"purpose": "marketing"},
        {"fields": ["contact_phone"]},
        {"token": None},
        {"fields": [], "where": spend("at_least", "7000000000.00")},
        {"where": spend("at_least", "7000000000.01")},
        {"where": spend("one_of", "7000000000.00", "8000000000.00")},
    ],
    ids=[
        "allowed", "off purpose", "not granted", "no token",
        "proved", "finer than agreed", "another operator",
    ],
)  # fmt: skip
async def test_the_policies_decide_a_kept_question_as_before(
    world: World, changes: dict[str, Any]
) -> None:
    answer = await world.query(**changes)
    decision = await _again(world, answer)
    receipt = answer.receipt
    assert decision.input_hash == receipt.policy.input_hash
    assert decision.revision == receipt.policy.revision
    assert decision.allow == (receipt.decision == "allow")
    assert decision.denials == receipt.denials


async def test_a_question_tells_how_much_was_asked_and_not_with_which_bound(
    world: World,
) -> None:
    """The policies decide about operators, grids and counts; no bound, no value."""
    [grant] = PREDICATES
    world.agreement = await world.agree(predicates=[{**grant, "probes": 1}])
    bounds = ("7000000000.00", "7100000000.00")
    answers = [
        await world.query(fields=[], where=spend("at_least", bound)) for bound in bounds
    ]
    assert [answer.codes for answer in answers[1:]] == [["predicate.exhausted"]]
    for answer, probes in zip(answers, (1, 2), strict=True):
        assert (await _again(world, answer)).denials == answer.receipt.denials
        path = f"/audit/receipts/{answer.receipt.receipt_id}/question"
        headers = world.maker.operator("audit")
        reply = await world.maker.client.get(path, headers=headers)
        assert reply.json()["usage"]["probes"] == {"annual_spend": probes}
        assert not any(bound.encode() in reply.content for bound in bounds)


async def test_what_the_node_checks_after_the_policies_is_told_apart(
    world: World,
) -> None:
    answer = await world.query(customers=[world.customer("nobody")])
    assert answer.codes == ["customer.not_shared"]
    decision = await _again(world, answer)
    assert decision.allow
    assert AFTER_POLICY.issuperset(answer.receipt.denials)


async def test_a_question_is_kept_for_every_receipt_and_only_auditors_read_it(
    world: World,
) -> None:
    answer = await world.query()
    path = f"/audit/receipts/{answer.receipt.receipt_id}/question"
    assert (await world.maker.client.get(path)).status_code == 401
    unknown = f"/audit/receipts/{'0' * 64}/question"
    headers = world.maker.operator("audit")
    assert (await world.maker.client.get(unknown, headers=headers)).status_code == 404
