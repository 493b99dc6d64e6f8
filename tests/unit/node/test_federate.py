"""Federated sums: what comes out is the sum, exactly, with whose noise."""

import pytest

from crypto.encoding import b64u
from crypto.noise import spread
from crypto.parameters import parameter_set
from ledger.plans import Group, Measure
from node.errors import BadRequest, Conflict
from node.services.aggregates.steps import Refusal
from tests.support.federated import REGIONS, World, did
from tests.support.runs import MemoryRun

SET = parameter_set("bfv-4096-40")
T = SET.plain_modulus


async def test_without_noise_the_sum_is_exact() -> None:
    world = World(5)
    result = await world.ask()
    assert result["cells"] == world.sums
    assert result["parties"] == world.dids
    assert result["replaces"] is None


async def test_three_are_enough() -> None:
    world = World(3)
    assert (await world.ask())["cells"] == world.sums


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4096, 1), (17, 241), (90, 100)])
async def test_a_table_of_any_size_is_added_up(rows: int, columns: int) -> None:
    world = World(3)
    groups = tuple(
        Group(field=name, grain="value", values=tuple(f"v{n}" for n in range(count)))
        for name, count in (("region", rows), ("reason", columns))
    )
    for at, name in enumerate(world.dids):
        world.hold(name, [at + number for number in range(rows * columns)])
    assert (await world.ask(groups=groups))["cells"] == world.sums


async def test_cells_at_the_bound_add_up_and_beyond_it_are_refused() -> None:
    world, most = World(3), SET.most // 3
    for name in world.dids:
        world.hold(name, (most,) * len(REGIONS), bound=most)
    assert (await world.ask())["cells"] == [most * 3] * len(REGIONS)
    world.hold(did(1), (0,) * len(REGIONS), bound=most + 1)
    with pytest.raises(Refusal, match=r"aggregate\.bound"):
        await world.ask()


async def test_the_spread_is_that_of_the_noise_of_all_of_them() -> None:
    world = World(4)
    signed, inputs = await world.prepared()
    told = (await world.asker(spread=spread)(signed, inputs, MemoryRun()))["spread"]
    one = spread(1, 450_000, 0.01 / (4 * len(REGIONS)))
    assert told == 4 * one


async def test_a_run_that_goes_on_asks_nobody_again() -> None:
    world, run = World(3), MemoryRun()
    signed, inputs = await world.prepared()
    first = await world.asker()(signed, inputs, run)
    asked = dict(world.asked)
    assert await world.asker()(signed, inputs, run) == first
    assert dict(world.asked) == asked


async def test_the_inputs_of_another_plan_are_refused() -> None:
    world = World(3)
    signed, _ = await world.prepared()
    _, inputs = await world.prepared()
    for wrong in (inputs, {}, {"key": "?"}, {"key": 1}, {"key": b64u(b"x")}):
        with pytest.raises(BadRequest, match=r"plan\.inputs"):
            await world.asker()(signed, wrong, MemoryRun())
    assert not world.asked


async def test_what_is_summed_is_told_with_its_unit() -> None:
    world = World(3)
    world.hold_units(*world.dids, unit="EUR", scale=2)
    measure = Measure(what="sum", field="spend", bound=50_000)
    result = await world.ask(measure=measure)
    assert (result["unit"], result["scale"]) == ("EUR", 2)
    assert result["measure"] == measure.to_json()
    counted = await world.ask(k_min=11)
    assert (counted["unit"], counted["scale"]) == (None, 0)


async def test_companies_that_measure_in_different_units_contribute_nothing() -> None:
    world = World(3)
    world.hold_units(*world.dids, unit="EUR", scale=2)
    world.hold_units(world.dids[2], unit="USD", scale=2)
    with pytest.raises(Conflict, match=r"party\.units"):
        await world.ask(measure=Measure(what="sum", field="spend", bound=50_000))
    assert {call.step for call, _ in world.direct.sent} == {"accept"}
