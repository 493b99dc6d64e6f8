"""Earlier plans under the same agreement, and the customers whom both sides know.

Two tables over nearly the same customers tell more than either: taken off each other
they are a table about the few in whom they differ. So a plan is compared with those
that were charged before it in the running period. What can be seen in the plans alone
is seen here (`plan.narrowing`); in how many customers cohorts differ is counted in the
rows (`node.domain.cells`).
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.conditions import Condition
from ledger.plans import Plan, parse_plan
from node.domain.agreement import Agreement
from node.domain.cells import Cohort
from node.ports import UnitOfWork
from node.services.aggregates.budget import began
from node.services.aggregates.steps import Refusal

_ALWAYS: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store knows that bears on a plan.

    Attributes:
        others: Cohorts of earlier plans that are not the plan's own.
        positions: Of the customers whom both sides know, among those declared.
        size: How many were declared, padding included.
        declaration: Hash of what was declared, or None.
        reservation: Of the plan itself, while this was looked up.
    """

    others: Sequence[Cohort]
    positions: Mapping[str, int] = field(repr=False)
    size: int
    declaration: str | None
    reservation: int | None


def began_at(agreement: Agreement, at: datetime.datetime) -> datetime.datetime:
    """Return when the period of an agreement's allowance began that an instant is in.

    Plans that were charged since then are those that one of this instant is compared
    with.
    """
    allowance = agreement.terms.allowance
    first = began(allowance.period if allowance else "always", at)
    if first == "always":
        return _ALWAYS
    return datetime.datetime.fromisoformat(first).replace(tzinfo=datetime.UTC)


def look(
    plan: Plan, agreement: Agreement, now: datetime.datetime, view: UnitOfWork
) -> Known:
    """Look up what bears on a plan. Raises `Refusal` where it narrows an earlier.

    Earlier plans are those of the period to which it is charged, and of later ones.
    """
    own, charged = Cohort.of(plan), view.budgets.of(plan.plan_hash)
    since = began_at(agreement, (charged and charged.at) or now)
    earlier = [
        kept
        for each in view.budgets.spent(agreement.id, since)
        if each.plan != plan.plan_hash
        and (kept := parse_plan(json.loads(each.core))).epsilon_micro > 0
        and each.epsilon_micro >= kept.epsilon_micro  # else refused: see `Refusal`
    ]
    if any(_narrows(plan, each) for each in earlier):
        raise Refusal("plan.narrowing")
    others = {Cohort.of(each): None for each in earlier}
    others.pop(own, None)
    declared = view.agreements.declaration(agreement.id)
    positions: dict[str, int] = {}
    if declared and (own.shared or any(each.shared for each in others)):
        tokens = declared.tokens
        split = [tokens[at : at + 32] for at in range(0, len(tokens), 32)]
        known = view.agreements.aligned(agreement.id, split)
        positions = {customer: position for position, customer in known.values()}
    return Known(
        others=tuple(others),
        positions=positions,
        size=declared.size if declared else 0,
        declaration=declared.hash if declared else None,
        reservation=charged.reservation if charged else None,
    )


def _narrows(plan: Plan, earlier: Plan) -> bool:
    """Tell whether two plans tell apart by one condition what they ask alike."""
    return (
        _asked(plan) == _asked(earlier)
        and len(_conditions(plan) ^ _conditions(earlier)) == 1
    )


def _asked(plan: Plan) -> tuple[object, ...]:
    measure = plan.measure
    groups = frozenset((each.field, each.grain) for each in plan.groups)
    return plan.cohort, measure.what, measure.what == "sum" and measure.field, groups


def _conditions(plan: Plan) -> set[Condition | str]:
    """Return what a record must meet to count; that a field has a value is one, too."""
    measure = plan.measure
    if measure.what == "sum" or measure.field is None:
        return {*plan.filters}
    return {*plan.filters, measure.field}
