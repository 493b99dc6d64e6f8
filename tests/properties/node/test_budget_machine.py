"""Laws of budgets, whatever is reserved, settled, committed and given up.

Hypothesis makes up a history of plans and of caps that people change. After every
step each account has spent what its plans have taken, what is final is as it was, and
no plan was let through that did not fit.
"""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from node.adapters.sql import tables as t
from node.adapters.sql.budgets import SqlBudgets
from node.ports.aggregates import Account, Spending

NOW = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
PERIODS = ("2026-10-01", "2027-01-01")
KEYS = [(name, period) for name in ("a", "b", "all") for period in PERIODS]
AMOUNTS = st.integers(0, 60)


class Machine(RuleBasedStateMachine):
    """One history, beside books that are kept by hand."""

    plans = Bundle("plans")

    @initialize()
    def begin(self) -> None:
        self.engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        t.metadata.create_all(self.engine, tables=[t.budgets, t.spendings])
        self.connection = self.engine.connect()
        self.budgets = SqlBudgets(self.connection)
        self.spent = dict.fromkeys(KEYS, 0)
        self.charged: dict[str, tuple[int, list[tuple[str, str]]]] = {}
        self.final: dict[str, int] = {}
        self.told: dict[str, int] = {}
        self.count = 0

    def teardown(self) -> None:
        self.connection.close()
        self.engine.dispose()

    @rule(
        target=plans,
        cost=AMOUNTS,
        name=st.sampled_from(["a", "b"]),
        period=st.sampled_from(PERIODS),
        caps=st.tuples(st.integers(0, 120), st.integers(0, 200)),
    )
    def reserve(self, cost: int, name: str, period: str, caps: Sequence[int]) -> str:
        self.count += 1
        plan = f"plan {self.count}"
        self._reserve(plan, cost, [(name, period), ("all", period)], caps)
        return plan

    @rule(plan=plans, period=st.sampled_from(PERIODS), cost=AMOUNTS)
    def reserve_again(self, plan: str, period: str, cost: int) -> None:
        """It is charged where it was, and what it was; unless it was let go."""
        self._reserve(plan, cost, [("a", period), ("all", period)], (100, 150))

    def _reserve(
        self, plan: str, cost: int, keys: list[tuple[str, str]], caps: Sequence[int]
    ) -> None:
        accounts = [
            Account(name=name, period=period, cap=cap, spent=0)
            for (name, period), cap in zip(keys, caps, strict=True)
        ]
        wanted = Spending(
            plan=plan,
            query="q",
            agreement="a",
            dataset="d",
            core="{}",
            epsilon_micro=cost,
            committed=False,
        )
        fits = not cost or all(
            self.spent[key] + cost <= cap for key, cap in zip(keys, caps, strict=True)
        )
        known = plan in self.charged
        assert self.budgets.reserve(wanted, accounts, NOW) == (known or fits)
        if fits and not known:
            self.charged[plan] = cost, keys
            self._take(plan, cost)

    def _take(self, plan: str, amount: int) -> None:
        for key in self.charged[plan][1]:
            self.spent[key] += amount

    @rule(plan=plans)
    def commit(self, plan: str) -> None:
        if plan in self.charged:
            self.budgets.commit(plan)
            self.final.setdefault(plan, self.charged[plan][0])

    @rule(plan=plans, price=AMOUNTS)
    def settle(self, plan: str, price: int) -> None:
        self.budgets.settle(plan, price)
        if plan in self.charged and plan not in self.final:
            reserved, keys = self.charged[plan]
            self.final[plan] = min(price, reserved)
            self._take(plan, self.final[plan] - reserved)
            self.charged[plan] = self.final[plan], keys

    @rule(plan=consumes(plans))
    def give_up(self, plan: str) -> None:
        self.budgets.give_up(plan)
        if plan in self.charged and plan not in self.final:
            self._take(plan, -self.charged[plan][0])
            del self.charged[plan]

    @rule(plan=plans)
    def tell(self, plan: str) -> None:
        told = self.budgets.tell(plan)
        self.told[plan] = self.told.get(plan, 0) + told
        assert self.told[plan] == self.final.get(plan, 0)

    @invariant()
    def the_books_agree(self) -> None:
        if not self.count:
            return
        found = self.budgets.accounts(KEYS)
        assert {(e.name, e.period): e.spent for e in found} == self.spent
        kept = self.budgets.spent("a", NOW)
        assert {each.plan: each.epsilon_micro for each in kept} == {
            plan: cost for plan, (cost, _) in self.charged.items()
        }
        assert {each.plan for each in kept if each.committed} == {*self.final}


TestBudgets = Machine.TestCase
TestBudgets.settings = settings(max_examples=60, stateful_step_count=25)
