"""A decision can be made again from what the node kept of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.config import POLICIES
from node.domain.decision import AFTER_POLICY, Decision
from tests.support.node import Answer, World, open_world


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


@pytest.mark.parametrize(
    "changes",
    [{}, {"purpose": "marketing"}, {"fields": ["contact_phone"]}, {"token": None}],
    ids=["allowed", "off purpose", "not granted", "no token"],
)
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
