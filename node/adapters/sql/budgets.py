"""Budgets of privacy, in SQL: what plans have taken, and from what.

A reservation is one savepoint. It makes the plan's row first, and that row is unique:
whoever comes second with one plan waits for the first on PostgreSQL, and takes
nothing. Then each account is charged by one statement that also says that there is
enough (``spent + x <= cap``), so no two transactions can both be let through by one
balance. Accounts are charged in the order of their names: nobody waits in a circle.
"""

import datetime
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from node.adapters.sql import tables as t
from node.errors import Conflict
from node.ports.aggregates import Account, Spending

_b, _s, _r = t.budgets.c, t.spendings.c, t.received.c


class SqlBudgets:
    """Implements `node.ports.aggregates.Budgets`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        alone = connection.dialect.name == "sqlite"
        self._upsert = sqlite.insert if alone else postgresql.insert

    def accounts(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Account]:
        """Return accounts by name and period; with cap 0 those never spent from."""
        named = sa.select(t.budgets).where(
            sa.tuple_(_b.account, _b.period).in_([*wanted])
        )
        rows = {
            (row.account, row.period): row for row in self._connection.execute(named)
        }
        return [
            Account(
                name=name,
                period=period,
                cap=row.cap if (row := rows.get((name, period))) else 0,
                spent=row.spent if row else 0,
            )
            for name, period in wanted
        ]

    def reserve(
        self,
        spending: Spending,
        accounts: Sequence[Account],
        at: datetime.datetime,
    ) -> bool:
        """Take a plan's cost from every account, or from none."""
        ordered = sorted(accounts, key=lambda account: (account.name, account.period))
        cost = spending.epsilon_micro
        with self._connection.begin_nested() as savepoint:
            if not self._opened(spending, ordered, at):
                return True  # it has paid before
            if all(self._charged(account, cost) for account in ordered):
                return True
            savepoint.rollback()
            return False

    def _opened(
        self, spending: Spending, accounts: Sequence[Account], at: datetime.datetime
    ) -> bool:
        """Make a plan's row; False where there is one."""
        put = self._upsert(t.spendings).values(
            plan=spending.plan,
            query=spending.query,
            agreement=spending.agreement,
            dataset=spending.dataset,
            core=spending.core,
            epsilon_micro=spending.epsilon_micro,
            accounts=json.dumps([[each.name, each.period] for each in accounts]),
            roster=json.dumps(spending.roster),
            committed=spending.committed,
            told=False,
            at=int(at.timestamp()),
        )
        made = put.on_conflict_do_nothing(index_elements=["plan"]).returning(_s.plan)
        return self._connection.execute(made).one_or_none() is not None

    def _charged(self, account: Account, epsilon_micro: int) -> bool:
        """Charge an account; False where it has less left."""
        if not epsilon_micro:
            return True
        self._connection.execute(
            self._upsert(t.budgets)
            .values(account=account.name, period=account.period, cap=0, spent=0)
            .on_conflict_do_nothing(index_elements=["account", "period"])
        )
        spent = _b.spent + epsilon_micro
        charged = (
            sa.update(t.budgets)
            .where(_one(account.name, account.period), spent <= account.cap)
            .values(spent=spent, cap=account.cap)
            .returning(_b.account)
        )
        return self._connection.execute(charged).one_or_none() is not None

    def commit(self, plan: str, roster: Sequence[str] = ()) -> None:
        """Make a reservation final: its result may leave."""
        told, untold = json.dumps(sorted(roster)), json.dumps([])
        final = sa.update(t.spendings).where(_s.plan == plan).values(committed=True)
        if roster:
            final = final.where(_s.roster.in_([told, untold])).values(roster=told)
        if self._connection.execute(final.returning(_s.plan)).one_or_none() is None:
            raise _unkept(self.of(plan))

    def settle(self, plan: str, epsilon_micro: int) -> None:
        """Make a reservation final at a lower price; the rest is given back."""
        before = self._connection.execute(
            sa.select(_s.accounts, _s.epsilon_micro)
            .where(_s.plan == plan, _s.committed.is_(False))
            .with_for_update()
        ).one_or_none()
        if before is None:
            return
        cost = min(epsilon_micro, before.epsilon_micro)
        final = sa.update(t.spendings).where(_s.plan == plan)
        self._connection.execute(final.values(committed=True, epsilon_micro=cost))
        self._give_back(before.accounts, before.epsilon_micro - cost)

    def tell(self, plan: str) -> int:
        """Return what a committed plan has cost, the first time that it is told."""
        first = sa.and_(_s.plan == plan, _s.committed, _s.told.is_(False))
        told = sa.update(t.spendings).where(first).values(told=True)
        return self._connection.scalar(told.returning(_s.epsilon_micro)) or 0

    def give_up(self, plan: str) -> None:
        """Give back a reservation from which nothing was computed. Not a commit."""
        dropped = (
            sa.delete(t.spendings)
            .where(_s.plan == plan, _s.committed.is_(False))
            .returning(_s.accounts, _s.epsilon_micro)
        )
        row = self._connection.execute(dropped).one_or_none()
        if row is not None:
            self._give_back(row.accounts, row.epsilon_micro)

    def _give_back(self, accounts: str, epsilon_micro: int) -> None:
        for name, period in json.loads(accounts):
            self._connection.execute(
                sa.update(t.budgets)
                .where(_one(name, period))
                .values(spent=_b.spent - epsilon_micro)
            )

    def spent(self, agreement: str, since: datetime.datetime) -> Sequence[Spending]:
        """Return what was reserved or committed under an agreement, newest first."""
        rows = self._connection.execute(
            sa.select(t.spendings)
            .where(_since(agreement, since))
            .order_by(_s.row.desc())
        )
        return [_spending(row) for row in rows]

    def plans(self, agreement: str, since: datetime.datetime) -> int:
        """Return how many plans `spent` would return."""
        count = sa.select(sa.func.count()).select_from(t.spendings)
        return self._connection.scalar(count.where(_since(agreement, since))) or 0

    def of(self, plan: str) -> Spending | None:
        """Return what a plan reserved, or None."""
        return self._found(sa.select(t.spendings).where(_s.plan == plan))

    def hold(self, plan: str) -> Spending | None:
        """Return the same; on PostgreSQL its row stays locked until the commit."""
        one = sa.select(t.spendings).where(_s.plan == plan)
        return self._found(one.with_for_update())

    def _found(self, one: sa.Select[Any]) -> Spending | None:
        row = self._connection.execute(one).one_or_none()
        return _spending(row) if row else None

    def told(self, stream: str, since: datetime.datetime) -> int:
        """Return what a provider's receipts say was spent, micro-epsilon."""
        core: sa.ColumnElement[str] = _r.core
        if self._connection.dialect.name == "sqlite":
            spent: sa.ColumnElement[int] = sa.func.json_extract(core, "$.spent")
        else:
            told = sa.cast(core, postgresql.JSONB)["spent"].astext
            spent = sa.cast(told, sa.BigInteger)
        ours = sa.select(sa.func.sum(spent)).where(
            _r.stream == stream,
            _r.at >= int(since.timestamp()),
            _r.verified,
            core.is_not(None),
        )
        return int(self._connection.scalar(ours) or 0)


def _one(name: str, period: str) -> sa.ColumnElement[bool]:
    return sa.and_(_b.account == name, _b.period == period)


def _since(agreement: str, since: datetime.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(_s.agreement == agreement, _s.at >= int(since.timestamp()))


def _unkept(spending: Spending | None) -> Conflict:
    if spending is None:
        detail = "Nothing was reserved for this plan: nothing may be released."
        return Conflict("budget.unreserved", detail)
    detail = "This plan was committed for other parties."
    return Conflict("budget.roster", detail)


def _spending(row: sa.Row[Any]) -> Spending:
    return Spending(
        plan=row.plan,
        query=row.query,
        agreement=row.agreement,
        dataset=row.dataset,
        core=row.core,
        epsilon_micro=row.epsilon_micro,
        committed=row.committed,
        roster=tuple(json.loads(row.roster)),
        at=datetime.datetime.fromtimestamp(row.at, datetime.UTC),
        reservation=row.row,
    )
