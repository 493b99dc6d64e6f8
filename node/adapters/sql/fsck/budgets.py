"""Budgets of privacy: what was charged, what accounts hold, and what receipts say.

Three places tell what a plan has cost. A row of `spendings` is its charge, with the
plan and the accounts that it was taken from: its agreement's and its dataset's, once
each. A row of `budgets` is an account, which holds the sum of its charges. And one
receipt of the plan's steps says the price, signed: the first that was written after the
price was final.

So these have to agree. A charge that no receipt is said to tell is sound: a node may
have been killed before it wrote one, and then nothing has left. A charge that is said
to be told needs its receipt, unless receipts of that stream and time are erased, for it
may be among them. And a receipt that says a price needs its charge.
"""

import datetime
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from crypto.encoding import parse_json
from crypto.errors import CryptoError
from ledger.plans import Plan, parse_plan
from ledger.receipts import stream_id
from node.adapters.sql import tables as t
from node.adapters.sql.agreements import SqlAgreements
from node.adapters.sql.fsck.findings import Basis, Finding, Row, pages
from node.domain.agreement import instant
from node.services.aggregates.budget import began

_Account: TypeAlias = tuple[str, str]
"""Name and period."""
_R: Final = t.receipts.c


def check_budgets(connection: Connection, basis: Basis) -> Iterator[Finding]:
    """Compare charges with plans, accounts and receipts, and these with charges."""
    charges = _Charges(connection, basis)
    for rows in pages(connection, t.spendings, t.spendings.c.row):
        for row in rows:
            for wrong in charges.wrongs(row):
                yield Finding("spendings", str(row.row), wrong)
    yield from _check_accounts(connection, charges.taken)
    yield from _check_uncharged(connection)


@dataclass
class _Charges:
    """Checks charges one by one, and adds up what they took from accounts."""

    connection: Connection
    basis: Basis
    taken: Counter[_Account] = field(default_factory=Counter)

    def wrongs(self, row: Row) -> Iterator[str]:
        accounts = _accounts(row)
        self.taken.update(dict.fromkeys(accounts or (), row.epsilon_micro))
        try:
            plan = _plan(row)
        except (CryptoError, ValueError, AttributeError) as error:
            yield f"core: {error}"
            return
        yield from self._planned(row, plan)
        if accounts is None:
            yield "accounts: no list of accounts"
        elif accounts != self._expected(row):
            yield "accounts: not that of the agreement and that of the dataset, of then"
        yield from self._told(row, plan)

    def _planned(self, row: Row, plan: Plan) -> Iterator[str]:
        """Compare a charge with the plan that it is for."""
        party = plan.party(self.basis.me.did)
        if party is None:
            yield "core: the plan does not ask this node"
            return
        expected = {
            "plan": plan.plan_hash,
            "query": plan.query_hash,
            "agreement": party.agreement,
            "dataset": party.dataset,
        }
        for column, mine in expected.items():
            if getattr(row, column) != mine:
                yield f"{column}: not what the plan says"
        if not 0 <= row.epsilon_micro <= plan.epsilon_micro:
            yield "epsilon_micro: more than the plan may cost"
        elif not row.committed and row.epsilon_micro != plan.epsilon_micro:
            yield "epsilon_micro: reserved, and not the whole price of the plan"
        if not instant(plan.created) <= _instant(row.at) < instant(plan.expires):
            yield "at: not while the plan held"
        parties = [each.did for each in plan.parties]
        if row.roster not in {"[]", json.dumps(parties)}:
            yield "roster: not the parties of the plan"

    def _expected(self, row: Row) -> Sequence[_Account]:
        """Return what a charge is taken from: each account once, in this order."""
        at = _instant(row.at)
        kept = SqlAgreements(self.connection).get(row.agreement)
        allowance = kept.agreement.terms.allowance if kept else None
        period = began(allowance.period, at) if allowance else ""
        return [
            (f"agreement:{row.agreement}", period),
            (f"dataset:{row.dataset}", began("year", at)),
        ]

    def _told(self, row: Row, plan: Plan) -> Iterator[str]:
        """Compare a charge with what the receipts of its plan say that was spent."""
        said = [spent for spent in self._said(plan.plan_hash) if spent]
        if not row.told:
            if said:
                yield f"told: no receipt is said to tell it, and {_many(said)}"
            return
        if not row.committed:
            yield "committed: only reserved, though a receipt is said to tell it"
        if not said and row.epsilon_micro and not self._erased(plan, row.agreement):
            yield "told: no receipt says that anything was spent"
        elif said and said != [row.epsilon_micro]:
            yield f"epsilon_micro: {row.epsilon_micro} was charged, and {_many(said)}"

    def _said(self, plan: str) -> Iterator[int]:
        rows = self.connection.execute(sa.select(_R.core).where(_R.plan == plan))
        for row in rows:
            yield _spent(row)

    def _erased(self, plan: Plan, agreement: str) -> bool:
        """Tell whether the receipt that told a charge may be one that is erased.

        Steps are answered while their plan holds, and in the stream of its asker.
        """
        stream = stream_id(
            provider=self.basis.me.did, consumer=plan.asker, agreement=agreement
        )
        first, last = (
            int(instant(each).timestamp()) for each in (plan.created, plan.expires)
        )
        erased = sa.select(sa.literal(1)).where(
            _R.stream == stream,
            _R.erased_at.is_not(None),
            _R.at.between(first, last),
        )
        return self.connection.scalar(erased.limit(1)) is not None


def _check_accounts(
    connection: Connection, taken: Counter[_Account]
) -> Iterator[Finding]:
    """Compare what accounts hold with the sums of their charges."""
    left, c = dict(taken), t.budgets.c
    for rows in pages(connection, t.budgets, c.account, c.period):
        for row in rows:
            charged = left.pop((row.account, row.period), 0)
            name = f"{row.account} {row.period}"
            if row.spent != charged:
                wrong = f"spent: {row.spent}, though its charges come to {charged}"
                yield Finding("budgets", name, wrong)
            if row.spent > row.cap:
                yield Finding("budgets", name, f"cap: {row.cap}, and more is spent")
    for (account, period), charged in left.items():
        if charged:
            wrong = f"missing, though {charged} was charged to it"
            yield Finding("budgets", f"{account} {period}", wrong)


def _check_uncharged(connection: Connection) -> Iterator[Finding]:
    """Name receipts that say that something was spent which nobody was charged."""
    charge = sa.select(sa.literal(1)).where(t.spendings.c.plan == _R.plan)
    alone = sa.and_(_R.plan.is_not(None), ~charge.exists())
    for rows in pages(connection, t.receipts, _R.sequence, where=alone):
        for row in rows:
            if spent := _spent(row):
                wrong = (
                    f"core: says that {spent} was spent, and there is no such charge"
                )
                yield Finding("receipts", str(row.sequence), wrong)


def _plan(row: Row) -> Plan:
    plan = parse_plan(parse_json(row.core.encode()))
    if plan.canonical().decode() != row.core:
        message = "not in canonical form"
        raise ValueError(message)
    return plan


def _accounts(row: Row) -> list[_Account] | None:
    """Return the accounts that a charge was taken from; None where they say nothing."""
    try:
        return [(str(name), str(period)) for name, period in json.loads(row.accounts)]
    except (TypeError, ValueError):
        return None


def _spent(row: Row) -> int:
    """Return what a receipt says that was spent; what is none was named before."""
    try:
        return int(json.loads(row.core)["spent"])
    except (TypeError, ValueError, KeyError):
        return 0


def _many(said: Sequence[int]) -> str:
    if len(said) == 1:
        return f"a receipt says {said[0]}"
    return f"{len(said)} receipts say that something was spent"


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
