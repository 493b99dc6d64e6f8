"""What people are told of budgets: what was spent, what is left, what would fit.

Amounts are micro-epsilon. Of agreements under which others ask us, our own ledger
knows; of those under which we ask, only what the provider's receipts say was spent,
and nothing of what its dataset has left over all of its partners.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger.plans import Plan
from ledger.receipts import stream_id
from node.domain.agreement import render_instant
from node.domain.disclosure import Company
from node.domain.negotiation import Role
from node.ports import Clock, KeptAgreement, Store, UnitOfWork
from node.ports.aggregates import Account
from node.services.aggregates.budget import (
    accounts_for,
    allowance_of,
    dataset_account,
    first_day,
    left,
    plans_today,
    renews,
    spent_from,
)

_BEGINNING: Final = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TellBudget:
    """Tells people what was spent, what is left, and what a plan would cost."""

    store: Store
    clock: Clock
    company: Company

    async def __call__(self, partner: str | None = None) -> Mapping[str, Any]:
        """Return the budgets of agreements and of datasets, JSON.

        Args:
            partner: DID; of all partners if left out.

        Returns:
            `items`: agreements under which others ask us; `asked`: those under which
            we ask, without how many plans were charged; `datasets`: ours among those.
        """
        return await self.store.read(lambda view: self._report(view, partner))

    def _report(self, view: UnitOfWork, partner: str | None) -> Mapping[str, Any]:
        at = self.clock.now()
        wanted = [
            kept
            for kept in view.agreements.all()
            if kept.agreement.terms.allowance and partner in {None, _partner(kept)}
        ]
        ours = [kept for kept in wanted if kept.role is Role.PROVIDER]
        theirs = [kept for kept in wanted if kept.role is Role.CONSUMER]
        datasets = sorted({kept.agreement.dataset for kept in ours})
        return {
            "at": render_instant(at),
            "items": [
                self._item(view, kept, at)
                | {"plans_today": plans_today(view, kept.agreement, at)}
                for kept in ours
            ],
            "asked": [self._item(view, kept, at) for kept in theirs],
            "datasets": [self._dataset(view, each, at) for each in datasets],
        }

    def _item(
        self, view: UnitOfWork, kept: KeptAgreement, at: datetime.datetime
    ) -> dict[str, Any]:
        agreement, allowance = kept.agreement, allowance_of(kept.agreement)
        over = at >= agreement.terms.valid_to
        return {
            "agreement": agreement.id,
            "partner": _partner(kept),
            "dataset": agreement.dataset,
            "status": "expired" if over else kept.status.value,
            **_told(self._account(view, kept, at), allowance.period, at),
            "plans_per_day": allowance.plans_per_day,
        }

    def _account(
        self, view: UnitOfWork, kept: KeptAgreement, at: datetime.datetime
    ) -> Account:
        agreement = kept.agreement
        account, _ = accounts_for(agreement, at, self.company)
        if kept.role is Role.PROVIDER:
            return spent_from(view, [account])[0]
        first = first_day(allowance_of(agreement).period, at) or _BEGINNING
        since = datetime.datetime.combine(first, datetime.time(), datetime.UTC)
        stream = stream_id(
            provider=agreement.assigner,
            consumer=agreement.assignee,
            agreement=agreement.id,
        )
        return replace(account, spent=view.budgets.told(stream, since))

    def _dataset(
        self, view: UnitOfWork, dataset: str, at: datetime.datetime
    ) -> dict[str, Any]:
        account, *_ = spent_from(view, [dataset_account(dataset, at, self.company)])
        return {"dataset": dataset, **_told(account, "year", at)}

    async def cost(self, plan: Plan) -> Mapping[str, Any]:
        """Return what a plan would cost, by party, and whether that fits; JSON.

        Of parties that are not us and whose agreement is not ours, nothing is known.
        What a partner's dataset has left over all of its partners it does not tell.
        """
        return await self.store.read(lambda view: self._cost(view, plan))

    def _cost(self, view: UnitOfWork, plan: Plan) -> Mapping[str, Any]:
        kept = [(each, view.agreements.get(each.agreement)) for each in plan.parties]
        return {
            "plan": plan.plan_hash,
            "epsilon_micro": plan.epsilon_micro,
            "parties": [
                {"did": party.did, **self._cost_under(view, plan, agreement)}
                for party, agreement in kept
                if agreement and agreement.agreement.terms.allowance
            ],
        }

    def _cost_under(
        self, view: UnitOfWork, plan: Plan, kept: KeptAgreement
    ) -> dict[str, Any]:
        """Return what a plan costs under one agreement, and what keeps it from that."""
        at, agreement, asked = self.clock.now(), kept.agreement, 0
        rest = self._account(view, kept, at).left
        cost = 0 if view.budgets.of(plan.plan_hash) else plan.epsilon_micro
        if kept.role is Role.PROVIDER:
            rest = left(view, agreement, at, self.company)
            asked = plans_today(view, agreement, at, plan=plan.plan_hash)
        denials = {
            "budget.exhausted": cost > rest,
            "plans.exceeded": asked >= allowance_of(agreement).plans_per_day,
        }
        found = [code for code, holds in denials.items() if holds]
        return {
            "agreement": agreement.id,
            "role": kept.role.value,
            "cost": cost,
            "left": rest,
            "fits": not found,
            "denials": found,
        }


def _partner(kept: KeptAgreement) -> str:
    agreement = kept.agreement
    return agreement.assignee if kept.role is Role.PROVIDER else agreement.assigner


def _told(account: Account, period: str, at: datetime.datetime) -> dict[str, Any]:
    """Return an account as people are told of it; amounts in micro-epsilon."""
    first, following = first_day(period, at), renews(period, at)
    return {
        "period": period,
        "from": first.isoformat() if first else None,
        "until": following.isoformat() if following else None,
        "cap": account.cap,
        "spent": account.spent,
        "left": account.left,
    }
