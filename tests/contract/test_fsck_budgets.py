"""Charges, accounts and receipts are compared alike on every database."""

import datetime
import secrets
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.plans import Party
from ledger.receipts import sign_receipt, stream_id
from node.adapters.sql import tables as t
from node.adapters.sql.fsck import Basis
from node.adapters.sql.fsck.budgets import check_budgets
from node.adapters.sql.store import SqlStore
from node.domain.agreement import Status
from node.domain.disclosure import Company
from node.domain.negotiation import Role
from node.ports import KeptAgreement, UnitOfWork
from node.services.aggregates import budget
from tests.unit.ledger import planned, samples
from tests.unit.node.test_budget import agreement

AGREED = agreement()
PLAN = planned.plan(
    parties=(
        Party(
            did=samples.PROVIDER,
            agreement=AGREED.id,
            agreement_hash=AGREED.hash,
            dataset=AGREED.dataset,
        ),
    )
)
AT = datetime.datetime(2026, 11, 22, 18, 20, tzinfo=datetime.UTC)
CHARGE, RECEIPT = "spendings.told spendings 1:", "receipts.core receipts 1:"
ACCOUNT = f"budgets.spent budgets agreement:{AGREED.id} 2026-10-01:"
PRICE = PLAN.epsilon_micro
_ACCOUNT = t.budgets.c.account
STREAM = stream_id(
    provider=samples.PROVIDER, consumer=samples.CONSUMER, agreement=AGREED.id
)


def found(engine: sa.Engine) -> list[str]:
    basis = Basis(me=samples.PROVIDER_RECORD, pins=samples.PINS)
    with engine.connect() as connection:
        return [f"{each.code} {each}" for each in check_budgets(connection, basis)]


def charge(work: UnitOfWork) -> str:
    kept = KeptAgreement(
        agreement=AGREED, role=Role.PROVIDER, status=Status.ACTIVE, signatures={}
    )
    work.agreements.add(kept)
    return budget.reserve(work, PLAN, AGREED, AT, Company())


def tell(work: UnitOfWork) -> None:
    spent = work.budgets.tell(PLAN.plan_hash)
    sequence, previous = work.receipts.head(STREAM)
    receipt = planned.step_receipt(
        planned.signed(PLAN),
        agreement=AGREED.id,
        stream=STREAM,
        spent=spent,
        sequence=sequence,
        previous=previous,
        at="2026-11-22T18:20:00Z",
    )
    work.receipts.append(
        sign_receipt(receipt, samples.PROVIDER_KEY),
        salt=secrets.token_bytes(32),
        token=None,
        question="{}",
        took_ms=1,
    )


async def test_a_charge_is_sound_at_each_moment_of_its_life(
    store: SqlStore, engine: sa.Engine
) -> None:
    assert found(engine) == []
    assert not await store.write(charge)
    assert found(engine) == []
    await store.write(lambda work: work.budgets.commit(PLAN.plan_hash))
    assert found(engine) == []
    await store.write(tell)
    assert found(engine) == []
    await store.write(tell)  # the step was repeated
    assert found(engine) == []


CHANGES: dict[str, tuple[Any, str]] = {
    "account": (
        sa.update(t.budgets).where(_ACCOUNT.like("agreement:%")).values(spent=1),
        f"{ACCOUNT} spent: 1, though its charges come to {PRICE}",
    ),
    "charge": (
        sa.update(t.spendings).values(told=False),
        f"{CHARGE} told: no receipt is said to tell it, and a receipt says {PRICE}",
    ),
    "receipt": (
        sa.delete(t.receipts),
        f"{CHARGE} told: no receipt says that anything was spent",
    ),
}


@pytest.mark.parametrize("side", CHANGES)
async def test_a_change_on_each_side_is_found(
    store: SqlStore, engine: sa.Engine, side: str
) -> None:
    change, wrong = CHANGES[side]
    await store.write(charge)
    await store.write(lambda work: work.budgets.commit(PLAN.plan_hash))
    await store.write(tell)
    with engine.begin() as connection:
        connection.execute(change)
    assert found(engine) == [wrong]


async def test_a_receipt_without_its_charge_is_found(
    store: SqlStore, engine: sa.Engine
) -> None:
    await store.write(charge)
    await store.write(lambda work: work.budgets.commit(PLAN.plan_hash))
    await store.write(tell)
    with engine.begin() as connection:
        connection.execute(sa.delete(t.spendings))
        connection.execute(sa.delete(t.budgets))
    assert found(engine) == [
        f"{RECEIPT} core: says that {PRICE} was spent, and there is no such charge"
    ]
