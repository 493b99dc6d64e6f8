"""Budgets: how much may still be told of the customers of a dataset.

Every noised figure tells a little of everybody in it, and what several figures tell
adds up. So what is told is counted, in millionths of epsilon, and there is an end to
it. A plan is charged to two *accounts* at once: that of the agreement, which begins
anew with each of its periods, and that of the dataset, which is the company's own cap
for a calendar year over all partners. A plan that does not fit both is refused.

A plan is charged once, before anything is computed for it, and never gets anything
back once something was: what has been computed may have been seen. Where it was
charged it stays charged, also when a period ends meanwhile. Periods are those of the
calendar, by UTC. What is left at the end of one is not carried over; but a plan in
its last minute and another in the next one's first are charged to two accounts.

All of this is plain functions of a transaction. A price is reserved in one of its own,
and final in that which keeps what was drawn, or the receipt of it.
"""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ledger.plans import Plan
from node.domain.aggregates import Allowance
from node.domain.agreement import Agreement
from node.domain.disclosure import Company
from node.ports import UnitOfWork
from node.ports.aggregates import Account, Spending
from node.services.aggregates.steps import Refusal
from node.services.situate import Outdated

_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
_DAY: Final = datetime.timedelta(days=1)
_ALWAYS: Final = "always"


def began(period: str, at: datetime.datetime) -> str:
    """Return the first day of the period that an instant is in, or `always`.

    Args:
        period: `day`, `month`, `quarter`, `year` or `always`.
    """
    first = first_day(period, at)
    return _ALWAYS if first is None else first.isoformat()


def renews(period: str, at: datetime.datetime) -> datetime.date | None:
    """Return the first day of the next period, or None where there is none."""
    first = first_day(period, at)
    if first is None:
        return None
    if period == "day":
        return first + _DAY
    months = first.month - 1 + _MONTHS[period]
    return first.replace(year=first.year + months // 12, month=months % 12 + 1)


def first_day(period: str, at: datetime.datetime) -> datetime.date | None:
    """Return the first day of the period that an instant is in; None for `always`."""
    day = at.astimezone(datetime.UTC).date()
    if period == _ALWAYS:
        return None
    if period == "day":
        return day
    months = _MONTHS[period]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def accounts_for(
    agreement: Agreement, at: datetime.datetime, company: Company
) -> tuple[Account, Account]:
    """Return what a plan is charged to: the agreement's account and the dataset's.

    Their caps are today's; what was spent is not looked up.

    Raises:
        ValueError: The agreement allows no aggregates.
    """
    allowance = allowance_of(agreement)
    return (
        Account(
            name=f"agreement:{agreement.id}",
            period=began(allowance.period, at),
            cap=allowance.epsilon_micro,
            spent=0,
        ),
        dataset_account(agreement.dataset, at, company),
    )


def dataset_account(dataset: str, at: datetime.datetime, company: Company) -> Account:
    """Return the account of a dataset: what all partners together may spend."""
    return Account(
        name=f"dataset:{dataset}",
        period=began("year", at),
        cap=company.max_epsilon_micro,
        spent=0,
    )


def allowance_of(agreement: Agreement) -> Allowance:
    """Return what an agreement allows.

    Raises:
        ValueError: It allows no aggregates.
    """
    if agreement.terms.allowance is None:
        message = "the agreement allows no aggregates"
        raise ValueError(message)
    return agreement.terms.allowance


def left(
    work: UnitOfWork,
    agreement: Agreement,
    at: datetime.datetime,
    company: Company,
    *,
    plan: str | None = None,
) -> int:
    """Return the most that a plan may cost now, in micro-epsilon.

    That is what is left in the account that has the least; 0 if the agreement allows
    no aggregates.

    Args:
        plan: Hash of the plan that is asked about. What it has paid already it need
            not pay again, so that counts as left.
    """
    if agreement.terms.allowance is None:
        return 0
    accounts = spent_from(work, accounts_for(agreement, at, company))
    paid = work.budgets.of(plan) if plan else None
    return min(each.left for each in accounts) + (paid.epsilon_micro if paid else 0)


def plans_today(
    work: UnitOfWork,
    agreement: Agreement,
    at: datetime.datetime,
    *,
    plan: str | None = None,
) -> int:
    """Return how many plans were charged under an agreement on this day, by UTC.

    Args:
        plan: Hash of the plan that is asked about; it does not count itself.
    """
    today = at.astimezone(datetime.UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    count = work.budgets.plans(agreement.id, today)
    itself = work.budgets.of(plan) if plan and count else None
    if itself is None or itself.agreement != agreement.id:
        return count
    return count - (itself.at is not None and itself.at >= today)


def reserve(
    work: UnitOfWork,
    plan: Plan,
    agreement: Agreement,
    at: datetime.datetime,
    company: Company,
) -> str:
    """Charge a plan, unless it was charged before; tell why not, or nothing.

    Two transactions at once never get the same rest. The count of plans is exact if
    this transaction holds the agreement (`Agreements.hold`).

    Returns:
        Empty, or the denial code: `plans.exceeded`, `budget.exhausted`.

    Raises:
        ValueError: The agreement allows no aggregates.
    """
    allowance, digest = allowance_of(agreement), plan.plan_hash
    if work.budgets.of(digest) is not None:
        return ""
    if plans_today(work, agreement, at) >= allowance.plans_per_day:
        return "plans.exceeded"
    spending = Spending(
        plan=digest,
        query=plan.query_hash,
        agreement=agreement.id,
        dataset=agreement.dataset,
        core=plan.canonical().decode(),
        epsilon_micro=plan.epsilon_micro,
        committed=False,
    )
    charged = work.budgets.reserve(spending, accounts_for(agreement, at, company), at)
    return "" if charged else "budget.exhausted"


def commit(work: UnitOfWork, plan: str, roster: Sequence[str] = ()) -> None:
    """Make what a plan was charged final: something was computed for it.

    Args:
        plan: Its hash.
        roster: DIDs of the parties whose contributions are in the same sum.

    Raises:
        Conflict: It was not charged, or for another roster.
    """
    work.budgets.commit(plan, roster)


def drawn(
    work: UnitOfWork, plan: str, reservation: int | None, *, price: int | None = None
) -> None:
    """Make a plan's price final, with what was drawn for it.

    It belongs into the transaction that keeps what was drawn. Then a price is given
    back only where nothing was drawn; and what was drawn under a price that was given
    back is never kept: meanwhile others were not compared with this plan.

    Args:
        plan: Its hash.
        reservation: Under which it was compared with earlier plans and drawn.
        price: What it costs to be refused, if it is.

    Raises:
        Outdated: That was given back.
        Refusal: `round.replayed`: it was drawn before, and is not kept any more.
    """
    kept = work.budgets.hold(plan)
    if kept is None or kept.reservation != reservation:
        raise Outdated
    if kept.committed:
        raise Refusal("round.replayed")
    if price is None:
        work.budgets.commit(plan)
    else:
        work.budgets.settle(plan, price)


def spent_from(work: UnitOfWork, accounts: Sequence[Account]) -> list[Account]:
    """Return accounts with what was spent from them; caps as they were given."""
    kept = work.budgets.accounts([(each.name, each.period) for each in accounts])
    return [
        replace(each, spent=found.spent)
        for each, found in zip(accounts, kept, strict=True)
    ]
