"""What a plan is charged to, when that begins anew, and what is left."""

import asyncio
import datetime
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.plans import Kind, Plan
from node.adapters.sql.store import SqlStore, SqlUnitOfWork, engine_for
from node.domain.aggregates import PERIODS, AggregateGrant, Allowance
from node.domain.agreement import Agreement, Terms
from node.domain.dataset import FieldType, Mode
from node.domain.disclosure import Company
from node.errors import Conflict
from node.services.aggregates import budget
from node.services.aggregates.budget import began, renews
from tests.support.node import empty_store
from tests.unit.ledger import planned, samples

T = TypeVar("T")
COMPANY = Company(max_epsilon_micro=2_000_000)
SECOND = datetime.timedelta(seconds=1)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


NOW = at("2026-11-23T12:00:00")


def agreement(number: int = 1, dataset: str = "orders", **changes: Any) -> Agreement:
    allowance = Allowance(
        **{
            "epsilon_micro": 1_000_000,
            "period": "quarter",
            "k_min": 10,
            "plans_per_day": 4,
            **changes,
        }
    )
    grant = AggregateGrant(field="region", type=FieldType.TEXT, uses=("group",))
    return Agreement(
        id=f"urn:uuid:{number}",
        dataset=dataset,
        assigner=samples.PROVIDER,
        assignee=samples.CONSUMER,
        terms=Terms(
            fields={"region": Mode.AGGREGATE},
            purposes=(samples.PURPOSE,),
            valid_from=at("2020-01-01"),
            valid_to=at("2030-01-01"),
            calls_per_hour=10,
            rows_per_call=5,
            aggregates=(grant,),
            allowance=allowance,
        ),
        timestamp=at("2020-01-01"),
    )


WITHOUT = replace(
    agreement(), terms=replace(agreement().terms, aggregates=(), allowance=None)
)
_rounds = itertools.count()


def plan(cost: int = 500_000) -> Plan:
    """A plan of its own: no two have one hash."""
    kind = Kind.HEAT_MAP if cost else Kind.INTERSECTION
    return planned.plan(kind, epsilon_micro=cost, round=f"{next(_rounds):064x}")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    (tmp_path / "node.sqlite").write_bytes(empty_store())
    store = SqlStore(engine_for(f"sqlite:///{tmp_path / 'node.sqlite'}"))
    yield store
    await asyncio.to_thread(store.close)


class Books:
    """The functions of a transaction, each in one of its own."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store

    async def do(self, action: Callable[[SqlUnitOfWork], T]) -> T:
        return await self.store.write(action)

    async def reserve(
        self,
        plan: Plan,
        agreement: Agreement,
        at: datetime.datetime = NOW,
        company: Company = COMPANY,
    ) -> str:
        return await self.do(
            lambda work: budget.reserve(work, plan, agreement, at, company)
        )

    async def left(
        self,
        agreement: Agreement,
        at: datetime.datetime = NOW,
        *,
        plan: Plan | None = None,
    ) -> int:
        digest = plan.plan_hash if plan else None
        return await self.do(
            lambda work: budget.left(work, agreement, at, COMPANY, plan=digest)
        )

    async def plans(
        self,
        agreement: Agreement,
        at: datetime.datetime = NOW,
        *,
        plan: Plan | None = None,
    ) -> int:
        digest = plan.plan_hash if plan else None
        return await self.do(
            lambda work: budget.plans_today(work, agreement, at, plan=digest)
        )


@pytest.fixture
def books(store: SqlStore) -> Books:
    return Books(store)


# --- periods


@pytest.mark.parametrize(
    ("period", "instant", "first", "following"),
    [
        ("day", "2026-12-31T23:59:59", "2026-12-31", "2027-01-01"),
        ("day", "2027-01-01T00:00:00", "2027-01-01", "2027-01-02"),
        ("day", "2028-02-28T12:00:00", "2028-02-28", "2028-02-29"),
        ("day", "2028-02-29T12:00:00", "2028-02-29", "2028-03-01"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T23:59:59", "2028-02-01", "2028-03-01"),
        ("month", "2026-01-31T00:00:00", "2026-01-01", "2026-02-01"),
        ("quarter", "2026-03-31T23:59:59", "2026-01-01", "2026-04-01"),
        ("quarter", "2026-04-01T00:00:00", "2026-04-01", "2026-07-01"),
        ("quarter", "2026-09-30T23:59:59", "2026-07-01", "2026-10-01"),
        ("quarter", "2026-12-31T23:59:59", "2026-10-01", "2027-01-01"),
        ("year", "2026-12-31T23:59:59", "2026-01-01", "2027-01-01"),
        ("year", "2028-02-29T00:00:00", "2028-01-01", "2029-01-01"),
        ("always", "2028-02-29T00:00:00", "always", None),
    ],
)
def test_periods_are_those_of_the_calendar(
    period: str, instant: str, first: str, following: str | None
) -> None:
    assert began(period, at(instant)) == first
    found = renews(period, at(instant))
    assert (found and found.isoformat()) == following


def test_periods_are_by_utc_wherever_the_clock_is() -> None:
    east = datetime.timezone(datetime.timedelta(hours=8))
    instant = datetime.datetime(2027, 1, 1, 7, 59, 59, tzinfo=east)
    assert began("year", instant) == "2026-01-01"
    assert began("year", instant + SECOND) == "2027-01-01"


@given(
    st.sampled_from([each for each in PERIODS if each != "always"]),
    st.dates(datetime.date(1970, 1, 1), datetime.date(2999, 1, 1)),
    st.times(),
)
def test_periods_follow_each_other_without_a_gap(
    period: str, day: datetime.date, time: datetime.time
) -> None:
    instant = datetime.datetime.combine(day, time, datetime.UTC)
    following = renews(period, instant)
    assert following is not None
    edge = datetime.datetime.combine(following, datetime.time(), datetime.UTC)
    assert began(period, instant) <= instant.date().isoformat() < following.isoformat()
    assert began(period, edge - SECOND) == began(period, instant)
    assert began(period, edge) == following.isoformat()


# --- what a plan is charged to


def test_a_plan_is_charged_to_its_agreement_and_to_its_dataset() -> None:
    ours, dataset = budget.accounts_for(agreement(), NOW, COMPANY)
    assert (ours.name, ours.period) == ("agreement:urn:uuid:1", "2026-10-01")
    assert (dataset.name, dataset.period) == ("dataset:orders", "2026-01-01")
    assert (ours.cap, dataset.cap) == (1_000_000, 2_000_000)


def test_an_agreement_without_aggregates_has_no_account() -> None:
    with pytest.raises(ValueError, match="allows no aggregates"):
        budget.accounts_for(WITHOUT, NOW, COMPANY)


async def test_nothing_is_left_where_no_aggregates_are_allowed(books: Books) -> None:
    assert await books.left(WITHOUT) == 0
    with pytest.raises(ValueError, match="allows no aggregates"):
        await books.reserve(plan(), WITHOUT)


async def test_what_is_left_is_what_the_least_account_has(books: Books) -> None:
    assert await books.left(agreement()) == 1_000_000
    assert await books.reserve(plan(), agreement()) == ""
    assert await books.left(agreement()) == 500_000
    assert await books.reserve(plan(900_000), agreement(2)) == ""
    # The dataset has 600,000 left; the second agreement 100,000.
    assert await books.left(agreement(2)) == 100_000
    assert await books.left(agreement(3)) == 600_000
    assert await books.left(agreement(4, dataset="visits")) == 1_000_000


async def test_what_other_partners_took_counts_against_the_dataset(
    books: Books,
) -> None:
    for number in (1, 2):
        assert await books.reserve(plan(950_000), agreement(number)) == ""
    assert await books.reserve(plan(100_001), agreement(3)) == "budget.exhausted"
    assert await books.reserve(plan(100_000), agreement(3)) == ""
    assert await books.reserve(plan(1), agreement(1)) == "budget.exhausted"
    assert await books.reserve(plan(1), agreement(4, dataset="visits")) == ""


async def test_a_cap_that_was_lowered_leaves_nothing(books: Books) -> None:
    assert await books.reserve(plan(900_000), agreement()) == ""
    lowered = Company(max_epsilon_micro=100_000)
    refused = await books.reserve(plan(1), agreement(), company=lowered)
    assert refused == "budget.exhausted"
    left = await books.do(lambda work: budget.left(work, agreement(), NOW, lowered))
    assert left == 0


async def test_a_refused_plan_has_taken_nothing(books: Books) -> None:
    wanted = plan(1_000_001)
    assert await books.reserve(wanted, agreement()) == "budget.exhausted"
    assert await books.left(agreement()) == 1_000_000
    assert await books.plans(agreement()) == 0
    found = await books.do(lambda work: work.budgets.of(wanted.plan_hash))
    assert found is None


async def test_what_is_kept_of_a_plan_tells_what_it_asked(books: Books) -> None:
    wanted = plan()
    await books.reserve(wanted, agreement())
    kept = await books.do(lambda work: work.budgets.of(wanted.plan_hash))
    assert kept is not None
    assert kept.query == wanted.query_hash
    assert kept.core == wanted.canonical().decode()
    assert (kept.agreement, kept.dataset) == ("urn:uuid:1", "orders")
    assert (kept.epsilon_micro, kept.committed) == (500_000, False)


# --- once


async def test_a_plan_that_has_paid_goes_on_for_nothing(books: Books) -> None:
    wanted = plan(1_000_000)
    for _ in range(2):
        assert await books.reserve(wanted, agreement()) == ""
    assert await books.left(agreement()) == 0
    # Of a later step the policy asks again whether the plan fits: it does.
    assert await books.left(agreement(), plan=wanted) == 1_000_000
    assert await books.left(agreement(), plan=plan()) == 0


async def test_a_plan_that_has_paid_goes_on_in_the_next_period(books: Books) -> None:
    """It was charged where it was reserved, and is not charged anew."""
    wanted, edge = plan(1_000_000), at("2027-01-01T00:00:00")
    assert await books.reserve(wanted, agreement(), edge - SECOND) == ""
    assert await books.reserve(wanted, agreement(), edge) == ""
    assert await books.left(agreement(), edge) == 1_000_000
    assert await books.left(agreement(), edge - SECOND) == 0
    await books.do(lambda work: work.budgets.give_up(wanted.plan_hash))
    assert await books.left(agreement(), edge - SECOND) == 1_000_000
    assert await books.left(agreement(), edge) == 1_000_000


async def test_what_was_left_is_not_carried_over(books: Books) -> None:
    assert await books.reserve(plan(1), agreement(), at("2026-12-31")) == ""
    assert await books.left(agreement(), at("2027-01-01")) == 1_000_000


async def test_what_never_renews_stays_spent(books: Books) -> None:
    ever = agreement(period="always")
    assert await books.reserve(plan(1_000_000), ever) == ""
    assert await books.left(ever, at("2029-12-31")) == 0


async def test_a_dataset_begins_anew_with_the_year_only(books: Books) -> None:
    daily = agreement(period="day")
    for day in ("2026-11-21", "2026-11-22"):
        assert await books.reserve(plan(1_000_000), daily, at(day)) == ""
    assert await books.left(daily, at("2026-12-31T23:59:59")) == 0
    assert await books.left(daily, at("2027-01-01")) == 1_000_000


async def test_what_was_committed_is_not_given_back(books: Books) -> None:
    wanted = plan()
    await books.reserve(wanted, agreement())
    await books.do(lambda work: budget.commit(work, wanted.plan_hash))
    await books.do(lambda work: work.budgets.give_up(wanted.plan_hash))
    assert await books.left(agreement()) == 500_000
    with pytest.raises(Conflict):
        await books.do(lambda work: budget.commit(work, plan().plan_hash))


# --- plans of a day


async def test_plans_are_counted_by_the_day_and_not_more_than_agreed(
    books: Books,
) -> None:
    midnight = at("2026-11-23T00:00:00")
    wanted = [plan(1) for _ in range(4)]
    for each in wanted:
        assert await books.reserve(each, agreement(), midnight) == ""
    assert await books.plans(agreement(), NOW) == 4
    assert await books.reserve(plan(1), agreement(), NOW) == "plans.exceeded"
    assert await books.reserve(plan(1), agreement(2), NOW) == ""
    assert await books.reserve(wanted[0], agreement(), NOW) == ""
    last = at("2026-11-23T23:59:59")
    assert await books.reserve(plan(1), agreement(), last) == "plans.exceeded"
    assert await books.plans(agreement(), last + SECOND) == 0
    assert await books.reserve(plan(1), agreement(), last + SECOND) == ""


async def test_a_plan_does_not_count_itself(books: Books) -> None:
    one, other = plan(1), plan(1)
    for each in (one, other):
        await books.reserve(each, agreement())
    assert await books.plans(agreement(), plan=one) == 1
    assert await books.plans(agreement(), plan=plan()) == 2
    assert await books.plans(agreement(2), plan=one) == 0
    tomorrow = NOW + datetime.timedelta(days=1)
    await books.reserve(plan(1), agreement(), tomorrow)
    assert await books.plans(agreement(), tomorrow, plan=one) == 1


async def test_plans_that_cost_nothing_are_counted_too(books: Books) -> None:
    """How many customers are shared is exact: there the number of plans is the cap."""
    exact = agreement(epsilon_micro=0, plans_per_day=1, matching="count", match_size=9)
    assert await books.reserve(plan(0), exact) == ""
    assert await books.reserve(plan(0), exact) == "plans.exceeded"
    assert await books.left(exact) == 0
