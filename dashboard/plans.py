"""The plan behind a job, checked: who signed it, and what it says.

A result is the node's word. What was asked is not: the plan is signed by whoever
asked, and the receipts of its steps hold its hash. So the page reads question, limits
and price from the plan, once its signature was checked with the key that this
dashboard pins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from crypto.errors import InvalidSignature, Malformed
from dashboard.errors import NodeNonsense
from dashboard.registry import Registry
from ledger.plans import Plan, parse_signed_plan, verify_plan

State = Literal["checked", "stated", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPlan:
    """A plan, and what is known of its signature.

    Attributes:
        state: `checked` where the asker's pinned key has signed it, `stated` where
            none is pinned, `failed` where the signature is not the asker's.
    """

    plan: Plan
    state: State

    @property
    def plan_hash(self) -> str:
        """Return the hash that receipts hold, 64 hex digits."""
        return self.plan.plan_hash


def check_plan(value: Mapping[str, Any], registry: Registry) -> CheckedPlan:
    """Read a signed plan and check its signature.

    Args:
        value: As the node told it.
        registry: Whose keys are pinned.

    Raises:
        NodeNonsense: It is no signed plan.
    """
    try:
        signed = parse_signed_plan(value)
    except Malformed as error:
        raise NodeNonsense(f"plan: {error}") from error
    asker = registry.find(signed.plan.asker)
    if asker is None:
        return CheckedPlan(plan=signed.plan, state="stated")
    try:
        verify_plan(signed, asker)
    except InvalidSignature:
        return CheckedPlan(plan=signed.plan, state="failed")
    return CheckedPlan(plan=signed.plan, state="checked")
