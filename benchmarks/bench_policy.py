"""How many decisions a second each policy engine makes, one after the other.

    pytest benchmarks/bench_policy.py --benchmark-only

The question asks for two fields. `small` tells the policies about eleven fields of the
dataset, `large` about forty more, all agreed on; `proof` is `small` with two predicates
over two more fields.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.engine import PolicyEngine
from node.adapters.policy.opa_server import OpaServer
from tests.policies import opa
from tests.policies.questions import allowed, label

BUNDLE = load_bundle(Path(__file__).parents[1] / "policies")
Decide = Callable[[dict[str, Any]], bool]


def _deciding(engine: PolicyEngine) -> Iterator[Decide]:
    with asyncio.Runner() as runner:
        runner.run(engine.__aenter__())
        runner.run(engine.ready())
        yield lambda question: runner.run(engine.decide(question)).allow
        runner.run(engine.__aexit__())


@pytest.fixture(params=["embedded", pytest.param("opa", marks=opa.needs_opa)])
def decide(request: pytest.FixtureRequest) -> Iterator[Decide]:
    if request.param == "embedded":
        yield from _deciding(EmbeddedEngine(BUNDLE))
    else:
        with opa.server() as url:
            yield from _deciding(OpaServer(BUNDLE, url=url))


@pytest.mark.parametrize("size", ["small", "large", "proof"])
def test_decision(benchmark: BenchmarkFixture, decide: Decide, size: str) -> None:
    question = allowed()
    if size != "proof":
        question["request"]["predicates"] = []
    if size == "large":
        names = [f"field_{number}" for number in range(40)]
        question["dataset"]["fields"] |= {name: label() for name in names}
        question["agreement"]["fields"] |= dict.fromkeys(names, "plain")
    assert benchmark(decide, question)
