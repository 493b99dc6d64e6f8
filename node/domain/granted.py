"""A plan held against what an agreement grants: which codes stand in its way.

The policy decides on a plan as it does on a query: on facts, which are worked out
here. It is told how each field is used, and whether that use is granted, but not the
values of groups and filters: whether those fit the fields' types is for this module
to say. Who asks can look beforehand what the partner will object to (`unmet`).

What can be said of a plan and an agreement alone is said here. Whether the plan is
signed, in time and for this agreement, and what is left of the budget, is added by
the node (`node.domain.question.StepFacts`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from crypto.errors import Malformed
from crypto.psi import bucket
from ledger.plans import Group, Kind, Party, Plan
from node.domain.aggregates import AggregateGrant
from node.domain.agreement import Agreement, Terms
from node.domain.dataset import Dataset, FieldType
from node.domain.values import BadValue, Typed, to_wire

FEWEST: Final[Mapping[Kind, int]] = {
    Kind.HEAT_MAP: 1,
    Kind.INTERSECTION: 1,
    Kind.JOINT_SUM: 1,
    Kind.RING_COUNT: 2,
    Kind.FEDERATED_SUM: 3,
}
"""The providers that must take part: in a sum over two, each finds the other's."""

_MATCHING: Final = (Kind.INTERSECTION, Kind.JOINT_SUM, Kind.RING_COUNT)
"""The kinds that tell how many customers are shared."""


def plan_facts(
    plan: Plan, terms: Terms | None, dataset: Dataset | None
) -> dict[str, Any]:
    """Return what a policy is told of a plan, as far as agreement and dataset go.

    Args:
        terms: Of the agreement; None where there is none, which grants nothing.
        dataset: As it is declared today; None where nobody here knows, and then the
            grants are taken at their word.
    """
    granted = () if terms is None else terms.aggregates
    grants = {grant.field: grant for grant in granted}
    return {
        "kind": plan.kind.value,
        "mode": plan.mode,
        "fields": [
            {
                "field": name,
                "use": use,
                "granted": _is_granted(plan, use, grants.get(name), dataset),
                "in_bound": _is_in_bound(plan, use, grants.get(name)),
            }
            for name, use in uses(plan)
        ],
        "well_formed": _fits(plan, grants),
        "epsilon_micro": plan.epsilon_micro,
        "k_min": plan.k_min,
        "cells": plan.cell_count * max(len(plan.segment_labels), 1),
        "parties": len(plan.parties),
        "matching": matching_of(plan),
        "size": plan.size,
    }


def allowance_facts(terms: Terms) -> dict[str, Any]:
    """Return what a policy is told of an allowance; of none, nothing.

    A list is filled up to a round length before it is sent, so as long a list as
    that is what was agreed.
    """
    if (allowance := terms.allowance) is None:
        return {}
    return {
        "counts": bool(terms.aggregates),
        "epsilon_micro": allowance.epsilon_micro,
        "k_min": allowance.k_min,
        "plans_per_day": allowance.plans_per_day,
        "matching": allowance.matching,
        "match_size": bucket(allowance.match_size) if allowance.matches else 0,
    }


def unmet(plan: Plan, terms: Terms, dataset: Dataset | None) -> tuple[str, ...]:
    """Return the denial codes that terms put in a plan's way, whatever was spent.

    What grades and the provider's own rules forbid is for its policy to say.

    Args:
        dataset: As `plan_facts` takes it.
    """
    asked = plan_facts(plan, terms, dataset)
    allowed = allowance_facts(terms)
    used, matching = asked["fields"], asked["matching"]
    allowance = terms.allowance
    counting = matching != "none" or allowed.get("counts", False)
    matched = allowance is not None and allowance.lets_match(matching)
    least = allowed.get("k_min", plan.k_min)
    met = {
        "plan.malformed": asked["well_formed"],
        "aggregate.not_granted": counting and all(each["granted"] for each in used),
        "aggregate.bound": all(each["in_bound"] for each in used),
        "matching.not_granted": matching == "none" or matched,
        "matching.size": plan.size <= allowed.get("match_size", plan.size),
        "cohort.minimum": plan.k_min >= least,
        "parties.too_few": len(plan.parties) >= FEWEST[plan.kind],
        "budget.exhausted": plan.epsilon_micro
        <= allowed.get("epsilon_micro", plan.epsilon_micro),
    }
    return tuple(code for code, holds in met.items() if not holds)


def uses(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return each field of a plan with what it is used for, sorted, each pair once.

    To count only records that have a value is to filter by that.
    """
    found = {(group.field, "group") for group in plan.groups}
    found |= {(name, "filter") for each in plan.filters for name in each.fields}
    if (measured := plan.measure.field) is not None:
        found.add((measured, "sum" if plan.measure.what == "sum" else "filter"))
    return tuple(sorted(found))


def matching_of(plan: Plan) -> str:
    """Return what a plan tells of shared customers: one of `aggregates.MATCHING`."""
    if plan.kind not in _MATCHING:
        return "none"
    return "list" if plan.mode == "list" else "count"


def names_agreement(plan: Plan, agreement: Agreement, node: str) -> bool:
    """Tell whether a plan is for an agreement, as that was signed by both.

    Args:
        agreement: Under which it is asked.
        node: DID of the provider that is asked.
    """
    wanted = Party(
        did=agreement.assigner,
        agreement=agreement.id,
        agreement_hash=agreement.hash,
        dataset=agreement.dataset,
    )
    return (
        plan.asker == agreement.assignee
        and plan.party(node) == wanted
        and plan.purpose in agreement.terms.purposes
    )


def _is_granted(
    plan: Plan, use: str, grant: AggregateGrant | None, dataset: Dataset | None
) -> bool:
    if grant is None or use not in grant.uses:
        return False
    if dataset is not None and not grant.means(dataset.field(grant.field)):
        return False
    return use != "group" or all(
        grant.groups_by(group.grain)
        for group in plan.groups
        if group.field == grant.field
    )


def _is_in_bound(plan: Plan, use: str, grant: AggregateGrant | None) -> bool:
    """Tell whether a sum is cut off low enough; of what is not granted, nothing."""
    if grant is None or use != "sum" or use not in grant.uses:
        return True
    return plan.measure.bound <= grant.most


def _fits(plan: Plan, grants: Mapping[str, AggregateGrant]) -> bool:
    """Tell whether values have the types of the granted fields."""
    for condition in plan.filters:
        known = [grants[name] for name in condition.fields if name in grants]
        try:
            if len(known) == len(condition.fields):
                condition.predicate(tuple(grant.typed for grant in known))
        except Malformed:
            return False
    return all(_labels_fit(plan, grants))


def _labels_fit(plan: Plan, grants: Mapping[str, AggregateGrant]) -> Iterator[bool]:
    for group in plan.groups:
        if (grant := grants.get(group.field)) is not None:
            yield _is_dated(grant, group) or all(
                _is_label(grant, value) for value in group.values
            )


def _is_dated(grant: AggregateGrant, group: Group) -> bool:
    """Tell whether dates are grouped: that their labels fit is a law of plans."""
    return grant.type is FieldType.DATE and group.grain != "value"


def _is_label(field: Typed, label: str) -> bool:
    """Tell whether a label is one under which a value of the field can count."""
    try:
        value = to_wire(field, label)
    except BadValue:
        return False
    if isinstance(value, bool):
        return label in {"true", "false"}
    return str(value) == label
