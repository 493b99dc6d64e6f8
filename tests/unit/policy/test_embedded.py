import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.adapters.policy.bundle import Bundle, load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.question import UNHASHED, input_hash
from node.errors import Unavailable
from tests.policies.questions import allowed, changed

ROOT = Path(__file__).parents[3]
BUNDLE = load_bundle(ROOT / "policies")


def engine(result: str) -> EmbeddedEngine:
    """An engine whose whole policy is this one rule."""
    text = f"package fieldpact.decision\n\n{result}\n"
    return EmbeddedEngine(Bundle(modules={"d.rego": text}, revision="0", corpus=()))


async def denials(result: str) -> tuple[str, ...]:
    async with engine(result) as pdp:
        decision = await pdp.decide(allowed())
    assert not decision.allow
    return decision.denials


async def test_an_allowed_call_says_what_decided_and_on_what() -> None:
    async with EmbeddedEngine(BUNDLE) as pdp:
        decision = await pdp.decide(allowed())
    assert decision.allow
    assert decision.fields == ("acceptance_date", "project_stage")
    assert decision.predicate_fields == ("annual_spend", "planned_spend")
    assert decision.revision == BUNDLE.revision
    assert decision.input_hash == input_hash(allowed())
    assert decision.engine == "regopy/1.5.2"


async def test_a_malformed_question_never_reaches_the_engine() -> None:
    pdp = engine("")  # not even compiled
    for value in (None, 0.5, "now"):
        decision = await pdp.decide(changed(allowed(), {"now": value}))
        assert decision.denials == ("request.malformed",)
    assert (await pdp.decide({"now": 0.5})).input_hash == UNHASHED


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ('result := {"allow": true} if input.now == 0', "policy.undefined"),
        ("other := 1", "policy.undefined"),
        ("result := true", "policy.malformed"),
        ("result := false", "policy.malformed"),
        ('result := {"allow": true}', "policy.malformed"),
        ('result := {"allow": to_number("x")}', "policy.builtin_error"),
        ("result := 1\n\nresult := 2", "policy.builtin_error"),
    ],
)
async def test_each_fault_of_the_policies_is_a_denial(result: str, code: str) -> None:
    assert await denials(result) == (code,)


async def test_an_engine_that_was_not_entered_or_was_left_denies() -> None:
    pdp = EmbeddedEngine(BUNDLE)
    assert (await pdp.decide(allowed())).denials == ("policy.unavailable",)
    async with pdp:
        assert (await pdp.decide(allowed())).allow
    assert (await pdp.decide(allowed())).denials == ("policy.unavailable",)


async def test_a_decision_that_takes_too_long_is_a_denial() -> None:
    async with EmbeddedEngine(BUNDLE, timeout_s=0) as pdp:
        assert (await pdp.decide(allowed())).denials == ("policy.timeout",)


async def test_policies_that_do_not_compile_are_refused_at_the_start() -> None:
    with pytest.raises(Unavailable, match=r"policy\.compile"):
        async with engine("result :="):
            pass


async def test_an_engine_that_decides_otherwise_than_pinned_does_not_serve() -> None:
    loose = BUNDLE.modules["consortium/consortium.rego"].replace(
        "input.now < input.agreement.valid_to", "true"
    )
    modules = dict(BUNDLE.modules) | {"consortium/consortium.rego": loose}
    async with EmbeddedEngine(dataclasses.replace(BUNDLE, modules=modules)) as pdp:
        with pytest.raises(Unavailable, match=r"policy\.selftest.*a second late"):
            await pdp.ready()


async def test_one_question_never_answers_for_the_one_before() -> None:
    async with EmbeddedEngine(BUNDLE) as pdp:
        assert (await pdp.evaluate(allowed())).allow
        nothing: dict[str, Any] = {}
        assert not (await pdp.evaluate(nothing)).allow


LOOK = """
import asyncio
{first}
import psutil
from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.config import POLICIES

def memory():
    return psutil.Process().memory_info().rss / 2**20

async def main():
    bundle = load_bundle(POLICIES)
    question = bundle.corpus[0]["question"]
    async with EmbeddedEngine(bundle, timeout_s=60) as pdp:
        for count in (20, 100):
            before = memory()
            for _ in range(count):
                assert (await pdp.decide(question)).allow
        print(memory() - before)

asyncio.run(main())
"""


@pytest.mark.parametrize("first", ["", "import numpy", "import tenseal, duckdb"])
def test_what_a_decision_took_is_given_back(first: str) -> None:
    # A library in C++ that is loaded before the engine's used to cost 0.8 MiB of
    # memory for each decision.
    command = [sys.executable, "-c", LOOK.format(first=first)]
    looked = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert float(looked.stdout) < 10
