"""Federated sums: parties that do not answer, and the round without them."""

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from crypto.parameters import parameter_set
from node.errors import Refused, Unavailable
from node.services.aggregates.steps import Answer
from tests.support.federated import NOW, World, did
from tests.support.runs import MemoryRun

SET = parameter_set("bfv-4096-40")
T = SET.plain_modulus


async def test_without_a_party_that_is_silent_the_others_go_on() -> None:
    world, run = World(5), MemoryRun()
    world.silent[did(2), "contribute"] = 99
    signed, inputs = await world.prepared()
    result = await world.asker()(signed, inputs, run)
    left = [name for name in world.dids if name != did(2)]
    assert result["parties"] == left
    assert result["replaces"] == {"round": signed.plan.round, "missing": [did(2)]}
    rows = [world.tables[name].cells for name in left]
    assert result["cells"] == [sum(cells) for cells in zip(*rows, strict=True)]
    assert result["plan"] != signed.plan.plan_hash
    for name in left:  # charged anew: nothing comes back
        spendings = world.stores[name].budgets.spendings.values()
        assert [each.committed for each in spendings] == [True, True]
        assert sum(each.epsilon_micro for each in spendings) == 1_000_000


async def test_a_party_that_does_not_even_accept_is_left_out_likewise() -> None:
    world = World(4)
    world.silent[did(4), "accept"] = 99
    result = await world.ask()
    assert result["parties"] == world.dids[:3]
    for name in world.dids[:3]:  # nobody had contributed to the round that ended
        assert len(world.stores[name].budgets.spendings) == 1


async def test_the_round_that_replaces_another_is_drawn_for_it() -> None:
    world = World(4)
    world.silent[did(4), "accept"] = 99
    signed, inputs = await world.prepared()
    drawn = iter([bytes([number]) * 32 for number in range(1, 9)])
    asker = world.asker(randomness=lambda _: next(drawn))
    await asker(signed, inputs, MemoryRun())
    rounds = {call.plan.round for call, _ in world.direct.sent}
    assert rounds == {signed.plan.round, "01" * 32}


async def test_with_fewer_than_three_left_there_is_no_sum() -> None:
    world = World(4)
    world.silent[did(1), "contribute"] = world.silent[did(2), "contribute"] = 99
    with pytest.raises(Unavailable, match=r"partner\.unavailable"):
        await world.ask()


async def test_a_plan_that_ended_meanwhile_is_not_replaced() -> None:
    world = World(4)
    signed, inputs = await world.prepared()
    world.silent[did(1), "contribute"] = 99
    times = [NOW, NOW + datetime.timedelta(hours=2)]
    clock = SimpleNamespace(now=lambda: times.pop(0))
    with pytest.raises(Unavailable):
        await world.asker(clock=clock)(signed, inputs, MemoryRun())
    assert len(world.direct.runs) == 4  # of the first plan, and of no other


async def test_a_silence_of_our_own_store_is_blamed_on_nobody() -> None:
    world = World(4)
    signed, inputs = await world.prepared()
    usual = world.call

    async def call(signed: Any, party: Any, step: str, *rest: Any) -> Answer:
        if party.did == did(1) and step == "contribute":
            raise Unavailable("store.unavailable", "The database does not answer.")
        return await usual(signed, party, step, *rest)

    run = MemoryRun()
    with pytest.raises(Unavailable, match=r"store\.unavailable"):
        await world.asker(call=call)(signed, inputs, run)
    assert ("first-round", 0) not in run.kept


async def test_a_second_silence_ends_it() -> None:
    world = World(5)
    signed, inputs = await world.prepared()
    world.silent[did(1), "contribute"] = 1
    usual = world.call

    async def call(signed: Any, party: Any, step: str, *rest: Any) -> Answer:
        if signed.plan.replaces and party.did == did(3):
            raise Unavailable("partner.unavailable", "The partner does not answer.")
        return await usual(signed, party, step, *rest)

    with pytest.raises(Unavailable):
        await world.asker(call=call)(signed, inputs, MemoryRun())


async def test_a_refusal_ends_the_round_for_all() -> None:
    world = World(4)
    usual = world.call

    async def call(signed: Any, party: Any, step: str, *rest: Any) -> Answer:
        if party.did == did(2) and step == "contribute":
            raise Refused("budget.exhausted", "Nothing is left.")
        return await usual(signed, party, step, *rest)

    signed, inputs = await world.prepared()
    with pytest.raises(Refused, match=r"budget\.exhausted"):
        await world.asker(call=call)(signed, inputs, MemoryRun())


async def test_which_round_counts_is_settled_before_the_second_one_begins() -> None:
    world, run = World(4), MemoryRun()
    signed, inputs = await world.prepared()
    world.silent[did(1), "contribute"] = 1
    usual, broken = world.call, True

    async def call(signed: Any, party: Any, step: str, *rest: Any) -> Answer:
        if signed.plan.replaces and broken:
            raise RuntimeError("killed")
        return await usual(signed, party, step, *rest)

    with pytest.raises(RuntimeError):
        await world.asker(call=call)(signed, inputs, run)
    broken = (
        False  # who was silent would answer now; the round is given up all the same
    )
    result = await world.asker(call=call)(signed, inputs, run)
    assert result["parties"] == world.dids[1:]
    (replaced,) = {
        each.plan
        for name in world.dids[1:]
        for each in world.stores[name].budgets.spendings.values()
    } - {signed.plan.plan_hash}
    assert result["plan"] == replaced
