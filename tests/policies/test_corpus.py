"""What is committed beside the policies is current, complete and decided as pinned."""

from pathlib import Path

import pytest

from node.adapters.policy.bundle import Bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.question import check_question
from node.adapters.policy.selftest import outcome
from node.domain.denials import AFTER_POLICY, DENIALS
from tests.policies import generate, model
from tests.policies.questions import generated


@pytest.mark.parametrize("path", list(generate.files()), ids=lambda path: path.name)
def test_the_committed_file_is_what_the_generator_writes(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.files()[path], (
        "run python -m tests.policies.generate"
    )


def test_every_code_the_policies_give_is_pinned_alone(bundle: Bundle) -> None:
    alone = {case["expect"]["denials"][0] for case in bundle.corpus if _single(case)}
    engine_faults = {code for code in DENIALS if code.startswith("policy.")}
    assert alone == set(DENIALS) - (AFTER_POLICY - {"rows.exceeded"}) - engine_faults


def _single(case: object) -> bool:
    return isinstance(case, dict) and len(case["expect"]["denials"]) == 1


async def test_the_embedded_engine_decides_as_pinned(embedded: EmbeddedEngine) -> None:
    await embedded.ready()


async def test_checking_the_question_first_changes_no_pinned_decision(
    embedded: EmbeddedEngine,
) -> None:
    for case in embedded.bundle.corpus:
        decision = await embedded.decide(case["question"])
        assert outcome(decision) == case["expect"], case["comment"]


async def test_the_policies_decide_as_a_person_would(embedded: EmbeddedEngine) -> None:
    for question in generated(20261122, 800, malformed=False):
        check_question(question)
        assert outcome(await embedded.decide(question)) == model.decided(question)
