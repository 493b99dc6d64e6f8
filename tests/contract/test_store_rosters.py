"""Of rosters that differ by one company a provider enters one, on either database."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from ledger.plans import Plan
from node.adapters.sql.store import SqlStore
from node.domain.agreement import Status
from node.domain.disclosure import Company
from node.domain.negotiation import Role
from node.ports import KeptAgreement
from node.services.aggregates import budget
from node.services.aggregates.federate_provider import FederateProvider
from node.services.aggregates.steps import Refusal
from tests.support.federated import ASKER, NOW, World, agreement, did

ME = did(1)


async def provider(store: SqlStore, world: World, *more: str) -> FederateProvider:
    """A company with an agreement, and others of the same partner by name."""
    named = [world.under[ME], *(agreement(ME, name=name) for name in more)]

    def act(work: object) -> None:
        for each in named:
            kept = KeptAgreement(
                agreement=each, role=Role.PROVIDER, status=Status.ACTIVE, signatures={}
            )
            work.agreements.add(kept)  # type: ignore[attr-defined]

    await store.write(act)
    return world.provider(ME, store=store)


async def charged(store: SqlStore, world: World, *numbers: int, name: str = "") -> Plan:
    """A plan over some companies, paid for under one of the agreements."""
    under = agreement(ME, name=name) if name else world.under[ME]
    parties = [world.party(did(number)) for number in numbers]
    parties[0] = replace(parties[0], agreement=under.id, agreement_hash=under.hash)
    plan = world.plan(parties=tuple(parties))
    code = await store.write(
        lambda work: budget.reserve(work, plan, under, NOW, Company())
    )
    assert code == ""
    return plan


async def entered(
    store: SqlStore, company: FederateProvider, *plans: Plan
) -> list[str]:
    """Have a company enter rounds at once; return what became of each."""
    entering = (store.write(partial(company._enter, plan=plan)) for plan in plans)
    found = await asyncio.gather(*entering, return_exceptions=True)
    return ["entered" if each is None else str(each) for each in found]


async def test_a_roster_that_was_entered_is_remembered(store: SqlStore) -> None:
    world = World(4)
    company = await provider(store, world)
    first = await charged(store, world, 1, 2, 3, 4)
    assert await entered(store, company, first) == ["entered"]
    kept = await store.read(lambda view: view.budgets.of(first.plan_hash))
    assert kept is not None
    assert kept.roster == tuple(world.dids)
    assert kept.committed
    second = await charged(store, world, 1, 2, 3)
    assert await entered(store, company, second) == ["roster.differencing"]
    kept = await store.read(lambda view: view.budgets.of(second.plan_hash))
    assert kept is not None
    assert not kept.roster
    assert not kept.committed


@pytest.mark.parametrize("name", ["", "b"], ids=["one agreement", "two agreements"])
async def test_of_two_at_once_one_is_entered(store: SqlStore, name: str) -> None:
    for _ in range(10):
        world = World(6)
        world.under[ME] = agreement(ME, name=f"n{_}")
        other = f"o{_}" if name else ""
        company = await provider(store, world, *filter(None, [other]))
        # A question of its own in every turn.
        world.values = (f"region {_}", "elsewhere")
        plans = [
            await charged(store, world, 1, 2, 3, 4),
            await charged(store, world, 1, 2, 3, name=other),
        ]
        found = await entered(store, company, *plans)
        assert sorted(found) == ["entered", "roster.differencing"]


async def test_a_roster_is_not_entered_unless_it_was_paid_for(store: SqlStore) -> None:
    world = World(3)
    company = await provider(store, world)
    (found,) = await entered(store, company, world.plan())
    assert found.startswith("budget.unreserved")


async def test_another_partners_rosters_do_not_matter(store: SqlStore) -> None:
    world = World(4)
    company = await provider(store, world)
    first = await charged(store, world, 1, 2, 3, 4)
    assert first.asker == ASKER
    assert await entered(store, company, first) == ["entered"]
    other = replace(
        world.plan(), asker="did:web:other.example", key_id="did:web:other.example#k"
    )
    parties = tuple(other.parties[:3])
    with pytest.raises(Refusal):
        await store.read(
            lambda view: company._may_contribute(view, replace(first, parties=parties))
        )
    await store.read(
        lambda view: company._may_contribute(view, replace(other, parties=parties))
    )
