"""Two engines, one policy: thousands of questions get the same decision from both.

The engines are asked without the node's own check of the question, so that what
is malformed reaches them too. See ADR 0004.
"""

import asyncio
import json
from pathlib import Path

import pytest

from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.opa_server import OpaServer
from node.adapters.policy.selftest import outcome
from node.domain.decision import Decision
from tests.policies import model, opa
from tests.policies.questions import Question, generated

pytestmark = [pytest.mark.opa, pytest.mark.slow, opa.needs_opa]
BUNDLE = load_bundle(Path(__file__).parents[2] / "policies")
WELL_FORMED, MALFORMED, BATCH = 2000, 3500, 50


async def _both(questions: list[Question]) -> tuple[int, list[str]]:
    """Return how many calls were allowed, and where the engines differ."""
    allowed, differences = 0, []
    with opa.server() as url:
        async with (
            EmbeddedEngine(BUNDLE, timeout_s=60) as embedded,
            OpaServer(BUNDLE, url=url, timeout_s=60) as server,
        ):
            await server.ready()
            for start in range(0, len(questions), BATCH):
                batch = questions[start : start + BATCH]
                ours = asyncio.gather(*map(embedded.evaluate, batch))
                theirs = asyncio.gather(*map(server.evaluate, batch))
                for question, one, other in zip(
                    batch, await ours, await theirs, strict=True
                ):
                    allowed += one.allow
                    if _told(one) != _told(other):
                        differences.append(f"{question}: {one} but {other}")
    return allowed, differences


def _told(decision: Decision) -> str:
    """Return an outcome as text that can be sent: half a character cannot."""
    text = json.dumps(outcome(decision), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode().replace("\ufffd", "?")


async def test_both_engines_decide_well_formed_questions_alike() -> None:
    questions = list(generated(1, WELL_FORMED, malformed=False))
    allowed, differences = await _both(questions)
    assert not differences, differences[0]
    assert allowed == sum(model.decided(question)["allow"] for question in questions)
    assert allowed > WELL_FORMED // 10


async def test_both_engines_decide_malformed_questions_alike() -> None:
    questions = list(generated(2, MALFORMED, malformed=True))
    allowed, differences = await _both(questions)
    assert not differences, differences[0]
    assert 0 < allowed < MALFORMED // 10  # some spoil nothing that matters
