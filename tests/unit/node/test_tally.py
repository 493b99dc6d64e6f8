"""From rows of a CRM to figures that may be told: who is refused, and what it costs."""

import asyncio
import datetime
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crypto import noise
from ledger.conditions import Condition
from ledger.plans import Group, Kind, Measure, Plan
from node.domain.cells import Gathering
from node.domain.noised import Noised
from node.errors import Unavailable
from node.services.aggregates import tally as tally_module
from node.services.aggregates.earlier import began_at
from node.services.aggregates.scan import scan
from node.services.aggregates.steps import Refusal
from node.services.aggregates.tally import Tally
from tests.support.heat_maps import (
    FAULTS,
    NOW,
    REGIONS,
    World,
    agreement,
    dataset,
    faults,
    narrow,
    plainly,
    silent,
)
from tests.support.runs import MemoryRun


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, faults())


def above(miles: int) -> Condition:
    return Condition.of("at_least", ["mileage"], [miles])


async def cells(
    world: World, plan: Plan, run: MemoryRun | None = None, tally: Tally | None = None
) -> Noised:
    return await (tally or world.tally).cells(
        plan, plan.parties[0], agreement(), world.publication, run or MemoryRun()
    )


async def refused(world: World, plan: Plan, run: MemoryRun | None = None) -> Refusal:
    with pytest.raises(Refusal) as told:
        await cells(world, plan, run)
    return told.value


# --- drawn once -------------------------------------------------------------


async def test_a_table_is_drawn_once(tmp_path: Path) -> None:
    world = World(tmp_path, faults(), laplace=noise.laplace, spread=noise.spread)
    plan, run = world.plan(epsilon_micro=5_000_000).plan, MemoryRun()
    first = await cells(world, plan, run)
    assert await cells(world, plan, run) == first
    assert (await cells(world, plan)).cells != first.cells


async def test_a_refusal_is_drawn_once_and_costs_the_same_again(world: World) -> None:
    plan, run = world.plan(filters=(above(199_500),)).plan, MemoryRun()
    for _ in range(2):
        told = await refused(world, plan, run)
        assert (str(told), told.spent) == ("cohort.too_small", 100_000)


async def test_what_was_computed_is_kept_secret(world: World) -> None:
    seen: dict[str, bool] = {}

    class Watched(MemoryRun):
        async def once(
            self, stage: str, make: Any, *, secret: bool = False, within: Any = None
        ) -> bytes:
            seen[stage] = secret
            return await super().once(stage, make, secret=secret, within=within)

    run = Watched()
    await cells(world, world.plan().plan, run)
    assert seen == {"noised": True}


# --- who it is about --------------------------------------------------------


async def test_a_cohort_of_a_few_is_refused(world: World) -> None:
    told = await refused(world, world.plan(filters=(above(199_500),)).plan)
    assert str(told) == "cohort.too_small"


@pytest.mark.parametrize(("vehicles", "enough"), [(4, False), (5, True)])
async def test_a_cohort_is_of_the_least_number_and_no_fewer(
    tmp_path: Path, vehicles: int, *, enough: bool
) -> None:
    world = World(tmp_path, faults(vehicles))
    if enough:
        await cells(world, world.plan(k_min=5).plan)
    else:
        told = await refused(world, world.plan(k_min=5).plan)
        assert str(told) == "cohort.too_small"


async def test_the_cohort_is_tested_under_noise(tmp_path: Path) -> None:
    """At the edge some are let through and some not: nobody learns the number."""
    seen: list[tuple[list[int], int, int]] = []

    def _seen(
        values: Sequence[int], *, sensitivity: int, epsilon_micro: int
    ) -> list[int]:
        seen.append((list(values), sensitivity, epsilon_micro))
        return list(values)

    world = World(tmp_path, faults(), laplace=_seen)
    await cells(world, world.plan(epsilon_micro=2_000_000).plan)
    vehicles = len({row["vin"] for row in world.rows})
    assert seen[0] == ([vehicles], 1, 200_000)
    assert seen[1][1:] == (10, 1_800_000)


async def test_the_complement_of_a_few_is_refused_once_all_were_counted(
    world: World,
) -> None:
    world.shelf.charge(world.plan(groups=()).plan)
    told = await refused(world, world.plan(filters=(above(300),)).plan)
    assert (str(told), told.spent) == ("cohort.too_small", 100_000)


async def test_a_cohort_that_differs_in_a_few_from_an_earlier_one_is_refused(
    world: World,
) -> None:
    world.shelf.charge(world.plan(filters=(above(100_000),)).plan)
    told = await refused(world, world.plan(filters=(above(100_400),)).plan)
    assert str(told) == "cohort.too_small"
    await cells(world, world.plan(filters=(above(150_000),)).plan)


async def test_shared_customers_and_all_of_them_are_two_cohorts(world: World) -> None:
    names = sorted({row["vin"] for row in world.rows})
    world.declare(names[:-2])
    world.shelf.charge(world.plan(cohort="shared").plan)
    told = await refused(world, world.plan().plan)
    assert str(told) == "cohort.too_small"


async def test_shared_customers_are_those_whom_both_sides_know(world: World) -> None:
    world.declare([f"VIN{number:06}" for number in range(200, 450)])
    plan = world.plan(
        cohort="shared", groups=(Group(field="fault", grain="value", values=FAULTS),)
    )
    table = await cells(world, plan.plan)
    known = [row for row in world.rows if int(row["vin"][3:]) >= 200]
    figures, _ = plainly(known, ("fault",), [(each,) for each in FAULTS])
    assert list(table.cells) == figures


async def test_without_a_declaration_nobody_is_shared(world: World) -> None:
    assert str(await refused(world, world.plan(cohort="shared").plan)) == (
        "cohort.too_small"
    )


# --- narrowing --------------------------------------------------------------


@pytest.mark.parametrize("more", [True, False])
async def test_one_condition_more_or_less_narrows(world: World, *, more: bool) -> None:
    bare, with_one = world.plan().plan, world.plan(filters=(above(90_000),)).plan
    earlier, later = (bare, with_one) if more else (with_one, bare)
    world.shelf.charge(earlier)
    told = await refused(world, later)
    assert (str(told), told.spent) == ("plan.narrowing", 0)


@pytest.mark.parametrize("more", [True, False])
async def test_to_count_only_what_has_a_value_is_a_condition(
    world: World, *, more: bool
) -> None:
    """Taken off each other, two counts would tell of the few who have none."""
    bare = world.plan().plan
    with_one = world.plan(measure=Measure(what="count", field="cost", bound=1)).plan
    earlier, later = (bare, with_one) if more else (with_one, bare)
    world.shelf.charge(earlier)
    told = await refused(world, later)
    assert (str(told), told.spent) == ("plan.narrowing", 0)


async def test_other_labels_or_another_bound_do_not_hide_that_a_plan_narrows(
    world: World,
) -> None:
    measure = Measure(what="sum", field="cost", bound=100)
    world.shelf.charge(world.plan(measure=measure).plan)
    groups = (
        Group(field="region", grain="value", values=REGIONS[::-1]),
        Group(field="fault", grain="value", values=FAULTS[1:]),
    )
    later = world.plan(
        groups=groups,
        filters=(above(90_000),),
        measure=replace(measure, bound=101),
    )
    assert str(await refused(world, later.plan)) == "plan.narrowing"


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": ()},
        {"filters": (above(90_000), Condition.of("one_of", ["region"], REGIONS))},
        {"groups": (Group(field="fault", grain="value", values=FAULTS),)},
        {"measure": Measure(what="sum", field="cost", bound=1)},
    ],
    ids=["the same", "two conditions", "other groups", "another measure"],
)
async def test_what_differs_in_more_does_not_narrow(
    world: World, changes: dict[str, Any]
) -> None:
    world.shelf.charge(world.plan().plan)
    asked = world.plan(**{"filters": (above(90_000),), **changes})
    await cells(world, asked.plan)


async def test_another_kind_of_cohort_or_another_grain_does_not_narrow(
    world: World,
) -> None:
    """They are compared in the rows, and not by their conditions."""
    world.declare([f"VIN{number:06}" for number in range(150)])
    world.shelf.charge(world.plan(cohort="shared").plan)
    await cells(world, world.plan(filters=(above(90_000),)).plan)
    days = ("2026-10-26", "2026-11-02")
    by_week, by_day = (
        (Group(field="reported", grain=grain, values=days),)
        for grain in ("week", "day")
    )
    world.shelf.charge(world.plan(groups=by_week).plan)
    await cells(world, world.plan(groups=by_day, filters=(above(90_000),)).plan)


async def test_with_a_count_of_shared_customers_cohorts_are_not_compared(
    world: World,
) -> None:
    """It is over lists; of a record it says nothing."""
    asked = world.plan(groups=(), contribution=1).plan
    matched = replace(
        asked,
        kind=Kind.INTERSECTION,
        mode="count",
        size=64,
        commitment="0" * 64,
        parameters="",
        epsilon_micro=0,
    )
    world.shelf.charge(matched)
    await cells(world, world.plan(filters=(above(300),)).plan)


async def test_plans_of_earlier_periods_are_not_compared(world: World) -> None:
    world.shelf.charge(
        world.plan().plan, datetime.datetime(2026, 9, 30, tzinfo=NOW.tzinfo)
    )
    await cells(world, world.plan(filters=(above(90_000),)).plan)
    world.shelf.charge(
        world.plan().plan, datetime.datetime(2026, 10, 1, tzinfo=NOW.tzinfo)
    )
    told = await refused(world, world.plan(filters=(above(90_000),)).plan)
    assert str(told) == "plan.narrowing"


async def test_a_plan_is_compared_in_the_period_to_which_it_is_charged(
    world: World,
) -> None:
    """Rows may be read after a period has ended in which the price was reserved."""
    last = datetime.datetime(2026, 9, 30, 23, 59, 59, tzinfo=NOW.tzinfo)
    world.shelf.charge(world.plan().plan, last - datetime.timedelta(hours=1))
    narrower = world.plan(filters=(above(90_000),)).plan
    world.shelf.charge(narrower, last)
    assert str(await refused(world, narrower)) == "plan.narrowing"


async def test_an_allowance_for_always_compares_with_all_plans(world: World) -> None:
    allowance = agreement().terms.allowance
    assert allowance is not None
    terms = replace(agreement().terms, allowance=replace(allowance, period="always"))
    under = replace(agreement(), terms=terms)
    assert began_at(under, NOW) == datetime.datetime(1970, 1, 1, tzinfo=NOW.tzinfo)
    assert began_at(agreement(), NOW) == datetime.datetime(
        2026, 10, 1, tzinfo=NOW.tzinfo
    )


async def test_a_plan_that_was_refused_was_not_answered(world: World) -> None:
    world.shelf.charge(world.plan().plan, part=100_000)
    await cells(world, world.plan(filters=(above(90_000),)).plan)


async def test_a_plan_is_not_compared_with_itself(world: World) -> None:
    plan = world.plan(filters=(above(90_000),)).plan
    world.shelf.charge(plan)
    await cells(world, plan)


# --- what is computed -------------------------------------------------------


async def test_rows_that_do_not_fit_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = faults(40)
    rows[0]["vin"], rows[1]["cost"], rows[2]["cost"] = "", "much", "1.005"
    world = World(tmp_path, rows)
    measure = Measure(what="sum", field="cost", bound=100_000)
    with caplog.at_level("INFO"):
        table = await cells(world, world.plan(groups=(), measure=measure).plan)
    figures, _ = plainly(rows[3:], (), [()], cost="cost", bound=100_000)
    assert list(table.cells) == figures
    assert f"{len(rows)} rows read, 3 left out" in caplog.text
    assert "much" not in caplog.text


async def test_a_value_that_an_earlier_plan_cannot_read_leaves_no_row_out(
    tmp_path: Path,
) -> None:
    """Else the same question would be answered otherwise for what was asked before."""
    rows = faults(80)
    for row in rows[::2]:
        row["mileage"] = "far"
    world = World(tmp_path, rows)
    world.shelf.charge(world.plan(groups=(), filters=(above(100_000),)).plan)
    table = await cells(world, world.plan().plan)
    labels = [(fault, region) for fault in FAULTS for region in REGIONS]
    figures, customers = plainly(rows, ("fault", "region"), labels)
    assert list(table.cells) == [
        figure if count >= 5 else 0
        for figure, count in zip(figures, customers, strict=True)
    ]
    told = await refused(world, world.plan(filters=(above(199_999),)).plan)
    assert str(told) == "cohort.too_small"


async def test_columns_that_the_plan_does_not_name_are_not_read(
    tmp_path: Path,
) -> None:
    rows = faults(40)
    for row in rows:
        row["cost"] = "no amount"
    await cells(world := World(tmp_path, rows), world.plan().plan)


async def test_what_is_larger_than_a_slot_is_refused_and_not_told_wrong(
    world: World,
) -> None:
    for row in world.rows:
        row["cost"] = "10000000000.00"
    measure = Measure(what="sum", field="cost", bound=2**40)
    big = World(Path(world.dataset.source.url or "").parent, world.rows)
    told = await refused(big, big.plan(groups=(), measure=measure).plan)
    assert (str(told), told.spent) == ("aggregate.bound", 1_000_000)


async def test_what_is_larger_than_json_holds_is_paid_for_like_everything(
    tmp_path: Path,
) -> None:
    """It was drawn: what is not kept would be drawn again, and told for nothing."""

    def _huge(
        values: Sequence[int], *, sensitivity: int, epsilon_micro: int
    ) -> list[int]:
        return [each + 2**60 * (sensitivity > 10) for each in values]

    world, run = World(tmp_path, faults(), laplace=_huge), MemoryRun()
    plan = world.plan(measure=Measure(what="sum", field="cost", bound=1000)).plan
    told = await refused(world, plan, run)
    assert (str(told), told.spent) == ("aggregate.bound", 1_000_000)
    assert run.kept


async def test_noise_that_is_told_as_no_number_is_refused_before_it_is_drawn(
    tmp_path: Path,
) -> None:
    drawn: list[int] = []

    def _seen(
        values: Sequence[int], *, sensitivity: int, epsilon_micro: int
    ) -> list[int]:
        drawn.append(epsilon_micro)
        return list(values)

    world = World(tmp_path, faults(), laplace=_seen, spread=noise.spread)
    measure = Measure(what="sum", field="cost", bound=2**40)
    plan = world.plan(measure=measure, contribution=50, epsilon_micro=50_000).plan
    told = await refused(world, plan)
    assert (str(told), told.spent, drawn) == ("plan.malformed", 0, [])


@pytest.mark.parametrize("segments", [False, True])
async def test_a_refusal_takes_as_much_work_as_a_table(
    tmp_path: Path, *, segments: bool
) -> None:
    """Else time would tell, also where the price is given back by another call."""
    drawn: list[list[int]] = []

    def _seen(
        values: Sequence[int], *, sensitivity: int, epsilon_micro: int
    ) -> list[int]:
        drawn[-1].append(len(values))
        return list(values)

    world = World(tmp_path, faults(), laplace=_seen)
    names = sorted({row["vin"] for row in world.rows})
    world.declare(names)
    known = world.shelf.declaration("")
    assert known is not None
    kept: list[int] = []
    for filters in ((), (above(199_500),)):
        run = MemoryRun()
        drawn.append([])
        plan = world.plan(cohort="shared", filters=filters).plan
        if segments:
            size = len(known.tokens) // 32
            rows = world.tally.rows(
                plan,
                plan.parties[0],
                agreement(),
                world.publication,
                run,
                masks=[(2**size - 1) // 3],  # every other position
                size=size,
                declaration=known.hash,
            )
            await asyncio.gather(rows, return_exceptions=True)
        else:
            await asyncio.gather(cells(world, plan, run), return_exceptions=True)
        kept.append(*map(len, run.kept.values()))
    assert drawn[0] == drawn[1]
    assert abs(kept[0] - kept[1]) < 100


@pytest.mark.parametrize(
    "changes",
    [
        {"measure": Measure(what="sum", field="region", bound=1)},
        {"measure": Measure(what="sum", field="colour", bound=1)},
        {"filters": (Condition.of("at_least", ["region"], [3]),)},
        {"epsilon_micro": 1},
        {
            "measure": Measure(what="sum", field="cost", bound=2**40),
            "contribution": 50,
            "epsilon_micro": 20,
        },
    ],
    ids=["text", "no field", "no order", "no epsilon", "noise of over 64 bits"],
)
async def test_plans_that_cannot_be_computed_are_refused_and_cost_nothing(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    world = World(tmp_path, faults(20), spread=noise.spread, laplace=noise.laplace)
    told = await refused(world, world.plan(**changes).plan)
    assert (str(told), told.spent) == ("plan.malformed", 0)


async def test_a_plan_under_another_agreement_is_refused(world: World) -> None:
    plan = world.plan().plan
    (party,) = plan.parties
    for changed in ({"agreement": "urn:uuid:other"}, {"dataset": "others"}):
        other = replace(plan, parties=(replace(party, **changed),))
        assert str(await refused(world, other)) == "plan.mismatch"


async def test_a_source_that_does_not_answer_costs_nothing(world: World) -> None:
    await asyncio.to_thread(Path(world.dataset.source.url or "").unlink)
    run = MemoryRun()
    with pytest.raises(Unavailable):
        await cells(world, world.plan().plan, run)
    assert not run.kept


async def test_progress_is_told(tmp_path: Path) -> None:
    world, run = World(tmp_path, faults(6000)), MemoryRun()
    await cells(world, world.plan().plan, run)
    assert run.told[0] == ("rows", 0, len(world.rows))
    assert run.told[-1] == ("rows", len(world.rows), len(world.rows))
    assert len(run.told) > 5


async def test_nothing_that_takes_long_is_done_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[str, bool]] = set()

    def _elsewhere(name: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def _seen(*arguments: Any, **named: Any) -> Any:
            seen.add((name, threading.current_thread() is threading.main_thread()))
            return does(*arguments, **named)

        return _seen

    world = World(tmp_path, faults(60), laplace=_elsewhere("noise", silent))
    monkeypatch.setattr(tally_module, "scan", _elsewhere("scan", scan))
    limited = _elsewhere("amounts", Gathering.amounts)
    monkeypatch.setattr(Gathering, "amounts", limited)
    await cells(world, world.plan().plan)
    assert seen == {("noise", False), ("scan", False), ("amounts", False)}


# --- values by customer -----------------------------------------------------


async def test_values_by_customer_are_clipped_sums(world: World) -> None:
    measure = Measure(what="sum", field="cost", bound=40_000)
    plan = world.plan(groups=(), measure=measure, filters=(above(50_000),)).plan
    run = MemoryRun()
    found = await world.tally.customer_values(
        plan, plan.parties[0], agreement(), world.publication, run
    )
    wanted: dict[str, int] = {}
    for row in world.rows:
        if int(row["mileage"]) >= 50_000:
            cents = round(float(row["cost"]) * 100)
            wanted[row["vin"]] = wanted.get(row["vin"], 0) + cents
    assert found == {name: min(value, 40_000) for name, value in wanted.items()}
    assert set(run.kept) == {("values", 0)}


async def test_values_by_customer_below_zero_are_kept_down_to_the_bound(
    tmp_path: Path,
) -> None:
    """Refunds count in a joint sum, whose limbs have a sign; cells have none."""
    rows = faults(3)
    for row, cost in zip(rows, ("-5.00", "-9000.00", "7.00"), strict=False):
        row["cost"] = cost
    rows = [{**row, "vin": f"VIN{at}"} for at, row in enumerate(rows[:3])]
    world, measure = World(tmp_path, rows), Measure(what="sum", field="cost", bound=900)
    plan = world.plan(groups=(), measure=measure).plan
    found = await world.tally.customer_values(
        plan, plan.parties[0], agreement(), world.publication, MemoryRun()
    )
    assert found == {"VIN0": -500, "VIN1": -900, "VIN2": 700}


async def test_values_by_customer_are_not_given_to_a_plan_that_narrows(
    world: World,
) -> None:
    world.shelf.charge(world.plan(groups=()).plan)
    plan = world.plan(groups=(), filters=(above(50_000),)).plan
    with pytest.raises(Refusal, match=r"plan\.narrowing"):
        await world.tally.customer_values(
            plan, plan.parties[0], agreement(), world.publication, MemoryRun()
        )


def test_noise_is_the_real_one_unless_a_test_says_so(world: World) -> None:
    tally = Tally(
        sources=world.tally.sources,
        store=world.tally.store,
        clock=world.tally.clock,
        randomness=world.tally.randomness,
    )
    assert (tally.laplace, tally.spread) == (noise.laplace, noise.spread)
    assert (world.tally.laplace, world.tally.spread) == (silent, narrow)
    assert Kind.HEAT_MAP is world.plan().plan.kind
    assert dataset(Path("x.csv")).customer == world.dataset.customer
