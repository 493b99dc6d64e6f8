"""Budgets are never overspent, whoever spends at once and whoever is killed."""

import asyncio
import datetime
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from ledger.receipts import sign_receipt
from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore, SqlUnitOfWork
from node.domain.agreement import Status
from node.domain.disclosure import Company
from node.domain.negotiation import Role
from node.errors import Conflict
from node.ports import KeptAgreement, Received
from node.ports.aggregates import Account
from node.services.aggregates import budget
from node.services.aggregates.steps import Refusal
from node.services.situate import Outdated
from tests.contract.samples import KEY, NOW, Undo, receipt
from tests.contract.spender import ACCOUNTS, CAP, OWN_CAP, many, spending
from tests.unit.node import test_budget as allowed

ROOT = Path(__file__).parents[2]
WANTED = [(each.name, each.period) for each in ACCOUNTS]
DAY = datetime.timedelta(days=1)
T = TypeVar("T")


async def reserve(
    store: SqlStore,
    plan: str,
    cost: int,
    accounts: tuple[Account, ...] = ACCOUNTS,
    at: datetime.datetime = NOW,
) -> bool:
    return await store.write(
        lambda work: work.budgets.reserve(spending(plan, cost), accounts, at)
    )


async def spent(store: SqlStore) -> list[int]:
    found = await store.read(lambda view: view.budgets.accounts(WANTED))
    return [each.spent for each in found]


async def write(store: SqlStore, action: Callable[[SqlUnitOfWork], T]) -> T:
    return await store.write(action)


# --- one account and several


async def test_an_account_never_spent_from_has_no_cap_and_nothing_spent(
    store: SqlStore,
) -> None:
    found = await store.read(lambda view: view.budgets.accounts(WANTED))
    assert found == [replace(each, cap=0) for each in ACCOUNTS]
    assert await store.read(lambda view: view.budgets.accounts([])) == []


async def test_a_plan_is_charged_to_every_account(store: SqlStore) -> None:
    assert await reserve(store, "p", 100)
    assert await reserve(store, "q", 50)
    found = await store.read(lambda view: view.budgets.accounts(WANTED))
    assert found == [replace(each, spent=150) for each in ACCOUNTS]
    assert [each.left for each in found] == [CAP - 150, OWN_CAP - 150]


@pytest.mark.parametrize("short", [0, 1])
async def test_a_plan_that_does_not_fit_one_account_is_charged_to_none(
    store: SqlStore, engine: sa.Engine, short: int
) -> None:
    assert await reserve(store, "p", 100)
    accounts = tuple(
        replace(each, cap=149) if at == short else each
        for at, each in enumerate(ACCOUNTS)
    )
    assert not await reserve(store, "q", 50, accounts)
    assert await spent(store) == [100, 100]
    assert await store.read(lambda view: view.budgets.of("q")) is None
    assert await reserve(store, "q", 49, accounts)


async def test_the_last_of_a_budget_can_be_spent_and_no_more(store: SqlStore) -> None:
    assert await reserve(store, "p", OWN_CAP)
    assert not await reserve(store, "q", 1)
    assert await reserve(store, "r", 0)


async def test_what_costs_nothing_is_let_through_an_account_that_is_overspent(
    store: SqlStore,
) -> None:
    """A cap can be lowered below what was spent."""
    assert await reserve(store, "p", 100)
    lowered = tuple(replace(each, cap=10) for each in ACCOUNTS)
    assert await reserve(store, "q", 0, lowered)
    assert not await reserve(store, "r", 1, lowered)
    assert await spent(store) == [100, 100]


async def test_a_raised_cap_counts_at_once(store: SqlStore) -> None:
    assert await reserve(store, "p", OWN_CAP)
    raised = tuple(replace(each, cap=1000) for each in ACCOUNTS)
    assert await reserve(store, "q", 100, raised)


async def test_each_period_has_a_budget_of_its_own(store: SqlStore) -> None:
    following = tuple(replace(each, period="2027-01-01") for each in ACCOUNTS)
    assert await reserve(store, "p", OWN_CAP)
    assert await reserve(store, "q", OWN_CAP, following)
    assert await spent(store) == [OWN_CAP, OWN_CAP]


async def test_who_refuses_leaves_the_rest_of_the_transaction_alone(
    store: SqlStore,
) -> None:
    def act(work: SqlUnitOfWork) -> list[bool]:
        costs = (400, 100, 50)
        return [
            work.budgets.reserve(spending(f"p{cost}", cost), ACCOUNTS, NOW)
            for cost in costs
        ]

    assert await store.write(act) == [True, False, True]
    assert await spent(store) == [450, 450]


async def test_a_reservation_is_undone_with_its_transaction(store: SqlStore) -> None:
    def act(work: SqlUnitOfWork) -> None:
        assert work.budgets.reserve(spending("p", 100), ACCOUNTS, NOW)
        raise Undo

    with pytest.raises(Undo):
        await write(store, act)
    assert await spent(store) == [0, 0]
    assert await reserve(store, "p", 100)


# --- one plan


async def test_a_plan_is_charged_once(store: SqlStore) -> None:
    assert await reserve(store, "p", 400)
    assert await reserve(store, "p", 400)
    assert await spent(store) == [400, 400]


async def test_a_plan_that_has_paid_goes_on_when_nothing_is_left(
    store: SqlStore,
) -> None:
    assert await reserve(store, "p", OWN_CAP)
    assert not await reserve(store, "q", 1)
    assert await reserve(store, "p", OWN_CAP)


async def test_what_a_plan_has_reserved_is_kept_whole(store: SqlStore) -> None:
    wanted = spending("p", 7, query="q" * 64, core='{"国":1}')
    await store.write(lambda work: work.budgets.reserve(wanted, ACCOUNTS, NOW))
    kept = await store.read(lambda view: view.budgets.of("p"))
    assert kept == replace(wanted, at=NOW)


# --- commit


async def test_what_is_committed_is_never_given_back(store: SqlStore) -> None:
    await reserve(store, "p", 100)
    await write(store, lambda work: work.budgets.commit("p"))
    await write(store, lambda work: work.budgets.give_up("p"))
    await write(store, lambda work: work.budgets.commit("p"))
    assert await spent(store) == [100, 100]
    kept = await store.read(lambda view: view.budgets.of("p"))
    assert kept is not None
    assert kept.committed


async def test_nothing_is_committed_that_was_not_reserved(store: SqlStore) -> None:
    with pytest.raises(Conflict) as caught:
        await write(store, lambda work: work.budgets.commit("p"))
    assert caught.value.code == "budget.unreserved"


async def test_a_roster_is_told_once(store: SqlStore) -> None:
    async def commit(*roster: str) -> None:
        await write(store, lambda work: work.budgets.commit("p", roster))

    async def roster() -> tuple[str, ...]:
        kept = await store.read(lambda view: view.budgets.of("p"))
        assert kept is not None
        return kept.roster

    await reserve(store, "p", 1)
    await commit()
    assert await roster() == ()
    for told in (("did:b", "did:a"), ("did:a", "did:b"), ()):
        await commit(*told)
        assert await roster() == ("did:a", "did:b")
    with pytest.raises(Conflict) as caught:
        await commit("did:a")
    assert caught.value.code == "budget.roster"
    assert await roster() == ("did:a", "did:b")


async def test_what_a_plan_has_cost_is_told_once_and_when_it_is_final(
    store: SqlStore,
) -> None:
    async def tell(plan: str) -> int:
        return await write(store, lambda work: work.budgets.tell(plan))

    assert await tell("p") == 0
    await reserve(store, "p", 100)
    assert await tell("p") == 0
    await write(store, lambda work: work.budgets.commit("p"))
    assert [await tell("p") for _ in range(2)] == [100, 0]
    await write(store, lambda work: work.budgets.commit("p"))
    assert await tell("p") == 0


async def test_a_price_that_was_not_told_is_told_later(store: SqlStore) -> None:
    """A receipt that was not kept has told nobody."""

    def act(work: SqlUnitOfWork) -> None:
        work.budgets.commit("p")
        assert work.budgets.tell("p") == 100
        raise Undo

    await reserve(store, "p", 100)
    with pytest.raises(Undo):
        await write(store, act)
    await write(store, lambda work: work.budgets.commit("p"))
    assert await write(store, lambda work: work.budgets.tell("p")) == 100


@pytest.mark.parametrize(("price", "paid"), [(10, 10), (0, 0), (100, 100), (101, 100)])
async def test_a_refused_plan_pays_what_its_test_cost_and_no_more(
    store: SqlStore, price: int, paid: int
) -> None:
    await reserve(store, "p", 100)
    await reserve(store, "q", 7)
    await write(store, lambda work: work.budgets.settle("p", price))
    assert await spent(store) == [paid + 7, paid + 7]
    kept = await store.read(lambda view: view.budgets.of("p"))
    assert kept is not None
    assert (kept.committed, kept.epsilon_micro) == (True, paid)
    # That is final: neither less nor more is taken for it.
    await write(store, lambda work: work.budgets.settle("p", 1))
    await write(store, lambda work: work.budgets.give_up("p"))
    assert await reserve(store, "p", 100)
    assert await spent(store) == [paid + 7, paid + 7]
    assert await write(store, lambda work: work.budgets.tell("p")) == paid


async def test_what_is_final_or_was_never_reserved_is_not_settled(
    store: SqlStore,
) -> None:
    await reserve(store, "p", 100)
    await write(store, lambda work: work.budgets.commit("p"))
    for plan in ("p", "q"):
        await write(store, lambda work, p=plan: work.budgets.settle(p, 1))  # type: ignore[misc]
    assert await spent(store) == [100, 100]


async def test_a_price_is_settled_in_the_period_that_it_was_taken_from(
    store: SqlStore,
) -> None:
    await reserve(store, "p", 100)
    following = tuple(replace(each, period="2027-01-01") for each in ACCOUNTS)
    await reserve(store, "q", 50, following, NOW + 60 * DAY)
    await write(store, lambda work: work.budgets.settle("p", 10))
    later = [(each.name, each.period) for each in following]
    found = await store.read(lambda view: view.budgets.accounts([*WANTED, *later]))
    assert [each.spent for each in found] == [10, 10, 50, 50]


async def test_what_nothing_was_computed_from_is_given_back_once(
    store: SqlStore,
) -> None:
    await reserve(store, "p", 100)
    await reserve(store, "q", 10)
    for _ in range(2):
        await write(store, lambda work: work.budgets.give_up("p"))
    assert await spent(store) == [10, 10]
    assert await store.read(lambda view: view.budgets.of("p")) is None
    assert await reserve(store, "p", 200)
    assert await spent(store) == [210, 210]


async def test_who_reserves_again_after_it_was_given_back_has_another_reservation(
    store: SqlStore,
) -> None:
    seen = []
    for _ in range(3):
        await reserve(store, "p", 100)
        kept = await store.read(lambda view: view.budgets.of("p"))
        held = await write(store, lambda work: work.budgets.hold("p"))
        assert kept is not None
        assert held is not None
        assert kept.reservation == held.reservation
        seen.append(kept.reservation)
        await write(store, lambda work: work.budgets.give_up("p"))
    assert len(set(seen)) == 3
    assert await write(store, lambda work: work.budgets.hold("p")) is None


@pytest.mark.parametrize(("price", "paid"), [(None, 100), (10, 10)])
async def test_a_price_is_final_with_what_was_drawn(
    store: SqlStore, price: int | None, paid: int
) -> None:
    async def draw(reservation: int | None) -> None:
        await write(
            store, lambda work: budget.drawn(work, "p", reservation, price=price)
        )

    await reserve(store, "p", 100)
    before = await store.read(lambda view: view.budgets.of("p"))
    assert before is not None
    await write(store, lambda work: work.budgets.give_up("p"))
    for reservation in (before.reservation, None):
        with pytest.raises(Outdated):
            await draw(reservation)
    await reserve(store, "p", 100)
    with pytest.raises(Outdated):
        await draw(before.reservation)
    after = await store.read(lambda view: view.budgets.of("p"))
    assert after is not None
    await draw(after.reservation)
    await write(store, lambda work: work.budgets.give_up("p"))
    assert await spent(store) == [paid, paid]
    with pytest.raises(Refusal, match=r"round\.replayed"):
        await draw(after.reservation)


async def test_a_reservation_is_given_back_to_the_period_that_it_was_taken_from(
    store: SqlStore,
) -> None:
    """Whenever that is: the period may have changed meanwhile."""
    await reserve(store, "p", 100)
    following = tuple(replace(each, period="2027-01-01") for each in ACCOUNTS)
    assert await reserve(store, "p", 100, following, NOW + 60 * DAY)
    await reserve(store, "q", 5, following, NOW + 60 * DAY)
    await write(store, lambda work: work.budgets.give_up("p"))
    assert await spent(store) == [0, 0]
    later = [(each.name, each.period) for each in following]
    found = await store.read(lambda view: view.budgets.accounts(later))
    assert [each.spent for each in found] == [5, 5]


# --- what was spent


async def test_what_was_spent_is_told_by_agreement_newest_first(
    store: SqlStore,
) -> None:
    def act(work: SqlUnitOfWork) -> None:
        for day, (plan, agreement) in enumerate(
            [("p", "a"), ("q", "b"), ("r", "a"), ("s", "a")]
        ):
            each = spending(plan, 1, agreement=agreement)
            assert work.budgets.reserve(each, ACCOUNTS, NOW + day * DAY)

    async def told(since: datetime.datetime) -> list[str]:
        found = await store.read(lambda view: view.budgets.spent("a", since))
        count = await store.read(lambda view: view.budgets.plans("a", since))
        assert count == len(found)
        return [each.plan for each in found]

    await store.write(act)
    assert await told(NOW) == ["s", "r", "p"]
    assert await told(NOW + 2 * DAY) == ["s", "r"]
    assert await told(NOW + 2 * DAY + datetime.timedelta(seconds=1)) == ["s"]
    assert await told(NOW + 4 * DAY) == []


async def test_what_a_provider_has_told_us_adds_up_by_stream_and_time(
    store: SqlStore,
) -> None:
    previous, stream = "0" * 64, receipt(0, "0" * 64).stream

    def keep(work: SqlUnitOfWork) -> None:
        nonlocal previous
        for number, (amount, verified) in enumerate(
            [(500_000, True), (0, True), (250_000, True), (7, False)]
        ):
            made = receipt(
                number,
                previous,
                at=f"2026-11-{22 + number}T18:20:00Z",
                plan="a" * 64,
                step="cells",
                spent=amount,
                customers=0,
            )
            signed = sign_receipt(made, KEY)
            previous = made.receipt_id
            work.receipts.receive(
                Received(
                    signed=signed,
                    at=NOW + number * DAY,
                    verified=verified,
                    checks=(),
                    disclosure=None,
                )
            )

    await store.write(keep)

    async def told(stream: str, days: int) -> int:
        since = NOW + days * DAY
        return await store.read(lambda view: view.budgets.told(stream, since))

    assert await told(stream, 0) == 750_000
    assert await told(stream, 1) == 250_000
    assert await told(stream, 3) == 0
    assert await told("f" * 64, 0) == 0


# --- many at once


async def test_of_many_at_once_only_as_many_are_let_through_as_fit(
    store: SqlStore,
) -> None:
    taken = await many(store, "p", 80, 9)
    assert taken == OWN_CAP // 9
    assert await spent(store) == [OWN_CAP, OWN_CAP]


async def test_one_plan_that_comes_many_times_at_once_is_charged_once(
    store: SqlStore,
) -> None:
    assert all(await asyncio.gather(*(reserve(store, "p", 100) for _ in range(24))))
    assert await spent(store) == [100, 100]


async def test_accounts_in_another_order_do_not_lock_each_other_out(
    store: SqlStore,
) -> None:
    taken = await asyncio.gather(
        *(
            reserve(store, f"p{number}", 1, ACCOUNTS[:: 1 if number % 2 else -1])
            for number in range(40)
        )
    )
    assert all(taken)
    assert await spent(store) == [40, 40]


async def test_plans_of_a_day_are_counted_exactly_where_the_agreement_is_held(
    store: SqlStore,
) -> None:
    """Also where plans cost nothing, so that no account makes them wait."""
    exact = allowed.agreement(
        epsilon_micro=0, plans_per_day=3, matching="count", match_size=9
    )
    kept = KeptAgreement(
        agreement=exact, role=Role.PROVIDER, status=Status.ACTIVE, signatures={}
    )
    await write(store, lambda work: work.agreements.add(kept))

    def act(work: SqlUnitOfWork) -> str:
        work.agreements.hold(exact.id)
        return budget.reserve(work, allowed.plan(0), exact, NOW, Company())

    found = await asyncio.gather(*(store.write(act) for _ in range(12)))
    assert sorted(found) == [""] * 3 + ["plans.exceeded"] * 9


async def test_two_processes_at_once_never_overspend(store: SqlStore, url: str) -> None:
    words = "many", "70", "9"
    with spender(url, "p", *words) as one, spender(url, "q", *words) as other:
        for each in (one, other):
            assert read(each) == "ready"
        for each in (one, other):
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()
        taken = [await asyncio.to_thread(read, each) for each in (one, other)]
    assert sum(map(int, taken)) == OWN_CAP // 9
    assert await spent(store) == [OWN_CAP, OWN_CAP]


# --- killed


async def test_who_is_killed_after_reserving_has_reserved(
    store: SqlStore, url: str
) -> None:
    with spender(url, "p", "hold", "100") as process:
        assert await asyncio.to_thread(read, process) == "True"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert await spent(store) == [100, 100]
    kept = await store.read(lambda view: view.budgets.of("p"))
    assert kept is not None
    assert not kept.committed
    # Whoever goes on with the plan pays nothing more, and then nothing comes back.
    assert await reserve(store, "p", 100)
    await write(store, lambda work: work.budgets.commit("p"))
    await write(store, lambda work: work.budgets.give_up("p"))
    assert await spent(store) == [100, 100]


async def test_who_is_killed_while_reserving_has_taken_nothing(
    store: SqlStore, url: str
) -> None:
    with spender(url, "p", "begin", "100") as process:
        assert await asyncio.to_thread(read, process) == "True"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert await spent(store) == [0, 0]
    assert await reserve(store, "q", OWN_CAP)


async def test_the_books_agree_after_everything(
    store: SqlStore, engine: sa.Engine
) -> None:
    """An account has spent what its plans have taken, and nothing else."""
    await many(store, "p", 30, 11)
    for plan in ("p1", "p2", "p3"):
        await write(store, lambda work, p=plan: work.budgets.give_up(p))  # type: ignore[misc]
    await write(store, lambda work: work.budgets.commit("p4"))
    with engine.connect() as connection:
        c = t.spendings.c
        total = connection.scalar(sa.select(sa.func.sum(c.epsilon_micro)))
    assert await spent(store) == [total, total] == [27 * 11, 27 * 11]


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@contextmanager
def spender(url: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.contract.spender", url, *words]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            if "many" not in words:
                process.kill()
