"""Before the node serves: does the engine decide as pinned?

Two engines, or two versions of one, can read the same policy differently, and
then the difference tends to fail open. So `policies/corpus.json` pins a small
corpus of questions with the decision that each must get: every denial code the
policies give, and questions that are malformed. At start-up the configured engine
answers them all, malformed ones too, without the node's own checks before it.
One difference, and the node refuses to serve.
"""

from collections.abc import Mapping
from typing import Any

from node.adapters.policy.engine import PolicyEngine
from node.domain.decision import Decision
from node.errors import Unavailable


async def selftest(engine: PolicyEngine) -> None:
    """Let an engine decide the pinned corpus.

    Raises:
        Unavailable: `policy.selftest`, naming the first case that differs.
    """
    for case in engine.bundle.corpus:
        found = outcome(await engine.evaluate(case["question"]))
        if found != case["expect"]:
            detail = (
                f"{engine.name} decides {case['comment']!r} differently than pinned: "
                f"{found} instead of {case['expect']}."
            )
            raise Unavailable("policy.selftest", detail)


def outcome(decision: Decision) -> Mapping[str, Any]:
    """Return what was decided, without who decided it."""
    return {
        "allow": decision.allow,
        "fields": list(decision.fields),
        "predicate_fields": list(decision.predicate_fields),
        "aggregate_fields": list(decision.aggregate_fields),
        "denials": list(decision.denials),
        "denied_fields": list(decision.denied_fields),
        "obligations": list(decision.obligations),
    }
