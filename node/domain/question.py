"""What a decision is asked: everything that it depends on, and nothing else.

A query and a step of a plan are asked about in the same words. Of agreement and
dataset only what the call is about is told; of conditions, groups and filters no
value is. What those values mean against the grants is worked out here, so that a
policy needs no arithmetic, and no secret stands in a receipt's input.

The form is that of `policies/schemas/question.json`; `policies/README.md` explains it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ledger.conditions import Condition
from ledger.plans import SignedPlan
from node.domain.dataset import Dataset
from node.domain.disclosure import Caller, Company, Request, Situation
from node.domain.granted import allowance_facts, plan_facts
from node.domain.predicates import on_grid, schema_of


class PlannedStep(Protocol):
    """A step of a plan, as far as a decision depends on it."""

    @property
    def dataset(self) -> str:
        """Return the dataset's id, from the address."""
        ...

    @property
    def agreement(self) -> str:
        """Return the id of the agreement under which it is called."""
        ...

    @property
    def purpose(self) -> str:
        """Return the id of the purpose."""
        ...

    @property
    def plan(self) -> SignedPlan:
        """Return the plan, whose signature nobody has looked at."""
        ...

    @property
    def step(self) -> str:
        """Return the step's name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What the node found out about a plan, besides what the plan says itself.

    Attributes:
        signed: Whether the caller signed it, with a key that is good now.
        current: Whether it holds now: from `created` on, and before `expires`.
        bound: Whether it names this agreement, its hash and its dataset
            (`node.domain.granted.names_agreement`).
        budget_left: Micro-epsilon that this plan may take, the least over all
            accounts that it is charged to. What it has taken already is in it: a plan
            is charged once.
        plans_today: Other plans that were answered today under the agreement.
    """

    signed: bool
    current: bool
    bound: bool
    budget_left: int
    plans_today: int


_NOTHING_FOUND: Final = StepFacts(
    signed=False, current=False, bound=False, budget_left=0, plans_today=0
)


def question(
    *,
    request: Request | PlannedStep,
    caller: Caller,
    situation: Situation,
    dataset: Dataset | None,
    company: Company,
    node: str,
    now: int,
    step_facts: StepFacts | None = None,
) -> dict[str, Any]:
    """Return the policy's input: everything the decision depends on.

    Of agreement and dataset only the fields that the request names are told: the
    others cannot change the answer, and a wide dataset would slow it. Of conditions
    the values are not told: whether they lie on the granted grid is computed here,
    and the rest of a policy needs no values.

    Args:
        node: DID of the deciding node.
        now: Epoch seconds, UTC. Rego reads no clock, so decisions replay.
        step_facts: Of a step; without them, no step is allowed.
    """
    found = step_facts or _NOTHING_FOUND
    if isinstance(request, Request):
        named, hidden = (*request.fields, *request.hidden), request.hidden
    else:
        named, hidden = request.plan.plan.fields, ()
    planned = not isinstance(request, Request)
    return {
        "now": now,
        "caller": {"did": caller.did or "", "problem": caller.problem},
        "request": {
            "agreement": request.agreement,
            "dataset": request.dataset,
            "purpose": request.purpose,
            **_asked(request, found, situation, dataset),
        },
        "agreement": _agreement_facts(situation, named, planned=planned),
        "dataset": _dataset_facts(dataset, named),
        "node": {"did": node},
        "usage": _usage(situation, found, hidden),
        "company": {
            "denied_fields": list(company.denied_fields),
            "denied_partners": list(company.denied_partners),
            "max_rows": company.max_rows,
            "max_unacknowledged": company.max_unacknowledged,
        },
    }


def _asked(
    request: Request | PlannedStep,
    found: StepFacts,
    situation: Situation,
    dataset: Dataset | None,
) -> dict[str, Any]:
    if not isinstance(request, Request):
        step = _step_facts(request, found, situation, dataset)
        return {"fields": [], "customers": 0, "predicates": [], "plan": step}
    return {
        "fields": list(request.fields),
        "customers": len(request.customers),
        "predicates": [
            {
                "fields": list(condition.fields),
                "operator": str(condition.operator),
                "on_grid": _on_grid(condition, situation, dataset),
            }
            for condition in request.where
        ],
        "plan": None,
    }


def _step_facts(
    request: PlannedStep,
    found: StepFacts,
    situation: Situation,
    dataset: Dataset | None,
) -> Mapping[str, Any]:
    """Return what is told of a plan."""
    plan = request.plan.plan
    terms = None if situation.agreement is None else situation.agreement.terms
    return {
        **plan_facts(plan, terms, dataset),
        "step": request.step,
        "signed": found.signed,
        "current": found.current,
        "bound": found.bound and plan.purpose == request.purpose,
    }


def _on_grid(
    condition: Condition, situation: Situation, dataset: Dataset | None
) -> bool:
    if situation.agreement is None or dataset is None:
        return True  # refused for that, and there is no grid
    grants = situation.agreement.terms.predicates
    return on_grid(condition, grants, schema_of(dataset))


def _agreement_facts(
    situation: Situation, asked: Sequence[str], *, planned: bool
) -> Mapping[str, Any]:
    agreement = situation.agreement
    if agreement is None:
        return {}
    terms = agreement.terms
    return {
        "id": agreement.id,
        "status": situation.status.value,
        "provider": agreement.assigner,
        "consumer": agreement.assignee,
        "dataset": agreement.dataset,
        "valid_from": int(terms.valid_from.timestamp()),
        "valid_to": int(terms.valid_to.timestamp()),
        "purposes": sorted(terms.purposes),
        "fields": {
            name: terms.fields[name].value for name in asked if name in terms.fields
        },
        "predicates": {
            grant.field: {"operators": list(grant.operators), "probes": grant.probes}
            for grant in terms.predicates
            if grant.field in asked
        },
        "allowance": allowance_facts(terms) if planned else {},
        "calls_per_hour": terms.calls_per_hour,
        "rows_per_call": terms.rows_per_call,
    }


def _dataset_facts(dataset: Dataset | None, asked: Sequence[str]) -> Mapping[str, Any]:
    if dataset is None:
        return {}
    return {
        "id": dataset.id,
        "fields": {
            field.name: {
                "grade": field.grade.value,
                "personal": field.personal,
                "modes": sorted(mode.value for mode in field.modes),
            }
            for field in dataset.fields
            if field.name in asked
        },
    }


def _usage(
    situation: Situation, found: StepFacts, hidden: Sequence[str]
) -> Mapping[str, Any]:
    counted = situation.probes
    return {
        "calls_this_hour": situation.calls_this_hour,
        "nonce_seen": situation.nonce_seen,
        "stream": {
            "known": situation.known,
            "signed": situation.signed,
            "unacknowledged": situation.unacknowledged,
        },
        # What nobody counted is not told, and so not allowed.
        "probes": {name: counted[name] for name in hidden if name in counted},
        "budget_left": found.budget_left,
        "plans_today": found.plans_today,
    }
