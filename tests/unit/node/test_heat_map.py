"""Heat maps from end to end, over real files: exact before noise, near after it."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from crypto import noise
from crypto.encoding import unb64u
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from crypto.parameters import parameter_set
from ledger.conditions import Condition
from ledger.plans import Group, Measure, SignedPlan
from node.domain.noised import Shares
from node.errors import BadRequest, Conflict, Refused, Unavailable
from node.services.aggregates.steps import Answer, Refusal
from tests.support.heat_maps import (
    FAULTS,
    OWNER,
    REGIONS,
    WEEKS,
    World,
    faults,
    plainly,
)
from tests.support.noise import NEVER
from tests.support.runs import MemoryRun

CELLS = list(product(FAULTS, REGIONS))
SUM = Measure(what="sum", field="cost", bound=50_000)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, faults())


def shown(figures: list[int], customers: list[int], least: int = 5) -> list[int | None]:
    return [
        figure if count >= least else None
        for figure, count in zip(figures, customers, strict=True)
    ]


# --- mode C -----------------------------------------------------------------


async def test_counts_come_back_as_they_are_in_the_file(world: World) -> None:
    result = await world.ask(world.plan())
    figures, customers = plainly(world.rows, ("fault", "region"), CELLS)
    assert result["cells"] == shown(figures, customers)
    assert result["groups"] == [
        {"field": "fault", "grain": "value", "values": list(FAULTS)},
        {"field": "region", "grain": "value", "values": list(REGIONS)},
    ]
    assert result["spent"] == {OWNER: 1_000_000}
    assert (result["kind"], result["mode"]) == ("heat-map", "C")


async def test_sums_are_clipped_for_each_customer_and_told_in_cents(
    world: World,
) -> None:
    result = await world.ask(world.plan(measure=SUM))
    figures, customers = plainly(
        world.rows, ("fault", "region"), CELLS, cost="cost", bound=50_000
    )
    assert result["cells"] == shown(figures, customers)
    assert (result["unit"], result["scale"]) == ("CNY", 2)


async def test_weeks_begin_on_monday(world: World) -> None:
    groups = (Group(field="reported", grain="week", values=WEEKS),)
    result = await world.ask(world.plan(groups=groups))
    for row in world.rows:
        row["week"] = max(week for week in WEEKS if week <= row["reported"])
    figures, _ = plainly(world.rows, ("week",), [(week,) for week in WEEKS])
    assert result["cells"] == figures


async def test_filters_choose_rows(world: World) -> None:
    filters = (
        Condition.of("at_least", ["mileage"], [100_000]),
        Condition.of("one_of", ["region"], ["North", "华东"]),
    )
    plan = world.plan(filters=tuple(sorted(filters, key=Condition.canonical)))
    result = await world.ask(plan)
    chosen = [
        row
        for row in world.rows
        if int(row["mileage"]) >= 100_000 and row["region"] != "South"
    ]
    figures, customers = plainly(chosen, ("fault", "region"), CELLS)
    assert result["cells"] == shown(figures, customers)


async def test_weights_are_applied_to_what_is_encrypted(world: World) -> None:
    weights = {
        "fault": {"BMS-01": 7, "CELL-7": -3},
        "region": dict.fromkeys(REGIONS, 2),
    }
    result = await world.ask(world.plan(), {"weights": weights})
    figures, customers = plainly(world.rows, ("fault", "region"), CELLS)
    factors = {"BMS-01": 14, "CELL-7": -6}
    weighed = [
        figure * factors.get(fault, 0)
        for figure, (fault, _) in zip(figures, CELLS, strict=True)
    ]
    assert result["cells"] == shown(weighed, customers)


async def test_weighted_cells_have_each_its_spread(tmp_path: Path) -> None:
    world = World(tmp_path, faults(2000), laplace=noise.laplace, spread=noise.spread)
    plan, weights = world.plan(epsilon_micro=8_000_000), [*range(-5, 7)]
    plain = await world.ask(plan)
    assert "spreads" not in plain
    result = await world.ask(plan, {"weights": weights})
    assert result["spreads"] == [plain["spread"] * abs(each) for each in weights]
    assert result["spread"] == max(result["spreads"])


async def test_a_table_of_more_cells_than_slots_is_several_ciphertexts(
    tmp_path: Path,
) -> None:
    rows = faults(200)
    for number, row in enumerate(rows):
        row["fault"] = f"F{number % 3:04}"
    world = World(tmp_path, rows)
    many = tuple(f"F{number:04}" for number in range(3000))
    groups = (
        Group(field="fault", grain="value", values=many),
        Group(field="region", grain="value", values=REGIONS),
    )
    result = await world.ask(world.plan(groups=groups))
    figures, customers = plainly(
        rows, ("fault", "region"), list(product(many, REGIONS))
    )
    assert len(result["cells"]) == 9000
    assert result["cells"] == shown(figures, customers)
    assert len(unpack(world.calls.sent[0][1].payload)) == 1 + 2


async def test_with_noise_cells_are_within_their_spread(tmp_path: Path) -> None:
    world = World(tmp_path, faults(2000), laplace=noise.laplace, spread=noise.spread)
    plan = world.plan(epsilon_micro=2_000_000)
    result = await world.ask(plan)
    figures, _ = plainly(world.rows, ("fault", "region"), CELLS)
    spread = noise.spread(10, Shares.of(plan.plan).counts, NEVER / len(CELLS))
    assert 0 < result["spread"] <= spread
    # One noise in eleven is zero: all twelve are once in 10^12.
    assert None not in result["cells"]
    assert result["cells"] != figures
    assert all(
        abs(a - b) <= spread for a, b in zip(result["cells"], figures, strict=True)
    )


async def test_asked_again_the_answer_is_the_same(tmp_path: Path) -> None:
    world = World(tmp_path, faults(), laplace=noise.laplace, spread=noise.spread)
    plan = world.plan(epsilon_micro=5_000_000)
    first = await world.ask(plan)
    assert await world.ask(plan) == first
    assert len(world.calls.sent) == 2
    world.run = MemoryRun()
    assert await world.ask(plan) == first
    tables = [answer for call, answer in world.calls.sent if call.step == "table"]
    assert tables[0] == tables[1]


async def test_after_a_lost_key_the_table_is_fetched_anew(tmp_path: Path) -> None:
    world = World(tmp_path, faults(), laplace=noise.laplace, spread=noise.spread)
    plan = world.plan(epsilon_micro=5_000_000)
    first = await world.ask(plan)
    run = world.step(plan)
    for stage in ("key", "table", "opened-0"):
        del run.kept[stage, 0]
    run.kept["key", 0] = bfv.key_pair(b"bfv-8192-41")
    for stage in ("opened-0", "weighed-0"):
        world.run.kept.pop((stage, 0))
    assert await world.ask(plan) == first
    assert [str(each) for each in world.calls.refusals] == ["key.mismatch"]
    tables = [answer for call, answer in world.calls.sent if call.step == "table"]
    assert len(tables) == 2
    assert tables[0].members["key"] != tables[1].members["key"]


async def test_weights_that_could_overflow_are_refused_before_anything_is_sent(
    world: World,
) -> None:
    plan = world.plan()
    with pytest.raises(BadRequest, match="weights may be"):
        await world.ask(plan, {"weights": [2**40] + [1] * 11})
    assert [call.step for call, _ in world.calls.sent] == ["table"]
    result = await world.ask(plan, {"weights": [2**30] + [1] * 11})
    figures, _ = plainly(world.rows, ("fault", "region"), CELLS)
    assert result["cells"][0] == figures[0] * 2**30


@pytest.mark.parametrize(
    "weights",
    [
        [1],
        "1",
        [1.5] * 12,
        [True] * 12,
        [2**41] * 12,
        {"colour": {"red": 1}},
        {"fault": {"NONE": 1}},
        {"fault": {"BMS-01": "1"}},
        {"fault": 3},
    ],
)
async def test_weights_fit_the_plan_or_nothing_is_sent(
    world: World, weights: Any
) -> None:
    with pytest.raises(BadRequest):
        await world.ask(world.plan(), {"weights": weights})
    assert not world.calls.sent


async def test_only_so_many_results_are_opened(world: World) -> None:
    plan = world.plan()
    for number in range(16):
        await world.ask(plan, {"weights": [number] * 12})
    with pytest.raises(Conflict, match="opened 16 times"):
        await world.ask(plan, {"weights": [99] * 12})
    world.run = MemoryRun()
    with pytest.raises(Refused, match=r"round\.replayed"):
        await world.ask(plan, {"weights": [99] * 12})


@pytest.mark.parametrize(
    "wrong",
    [
        {"spread": -1},
        {"bound": 0},
        {"bound": 2**41},
        {"suppressed": "AA"},
        {"suppressed": 7},
        {"key": "00" * 32},
        {"scale": "2"},
        {"unit": 5},
        {"more": 1},
    ],
)
async def test_what_an_owner_tells_is_checked(
    world: World, wrong: dict[str, Any]
) -> None:
    world.calls.lies["table"] = lambda told: replace(
        told, members={**told.members, **wrong}
    )
    with pytest.raises(Unavailable, match=r"partner\.malformed"):
        await world.ask(world.plan())
    assert [call.step for call, _ in world.calls.sent] == ["table"]


@pytest.mark.parametrize(("slot", "more"), [(3, 2**30), (8000, 1)])
async def test_an_owner_that_opens_something_else_is_found_out(
    world: World, *, slot: int, more: int
) -> None:
    def _other(told: Answer) -> Answer:
        (row,) = unpack(told.payload)
        opened = parse_numbers(row)
        opened[slot] += more
        return replace(told, payload=pack(numbers(opened)))

    world.calls.lies["open"] = _other
    with pytest.raises(Unavailable, match="something else"):
        await world.ask(world.plan())


@pytest.mark.parametrize("step", ["table", "open"])
@pytest.mark.parametrize("lie", [b"", b"none", pack(b"", b"")])
async def test_an_owner_that_sends_no_table_is_found_out(
    world: World, step: str, lie: bytes
) -> None:
    world.calls.lies[step] = lambda told: replace(told, payload=lie)
    with pytest.raises(Unavailable, match=r"partner\.malformed"):
        await world.ask(world.plan())


async def test_inputs_that_no_mode_has_are_refused(world: World) -> None:
    with pytest.raises(BadRequest, match="Give weights only"):
        await world.ask(world.plan(), {"customers": ["VIN000001"]})
    assert not world.calls.sent


def test_the_first_step_of_each_mode_is_paid_for(world: World) -> None:
    steps, plan = world.owner.steps, world.plan().plan
    assert [step for step in steps if world.owner.charges(plan, step)] == [
        "table",
        "rows",
        "apply",
    ]
    assert steps[-1] == "open"


# --- flip -------------------------------------------------------------------


async def test_flipped_weighted_sums_are_exact(world: World) -> None:
    plan, key = world.flipped()
    weights = {"fault": {"BMS-01": 3, "COOL-3": -1}}
    result = await world.ask(plan, key | {"weights": weights})
    figures, customers = plainly(world.rows, ("fault", "region"), CELLS)
    factors = {"BMS-01": 3, "COOL-3": -1}
    wanted = [0, 0, 0]
    for figure, count, (fault, region) in zip(figures, customers, CELLS, strict=True):
        if count >= 5:
            wanted[REGIONS.index(region)] += figure * factors.get(fault, 0)
    assert result["cells"] == wanted
    assert result["groups"] == [
        {"field": "region", "grain": "value", "values": list(REGIONS)}
    ]
    assert [call.step for call, _ in world.calls.sent] == ["apply"]


async def test_flipped_each_total_has_its_spread(tmp_path: Path) -> None:
    world = World(tmp_path, faults(), laplace=noise.laplace, spread=noise.spread)
    plan, key = world.flipped()
    one = {"weights": {"fault": {"BMS-01": 1}}}
    spread = (await world.ask(plan, key | one))["spread"]
    weights = {"fault": {"BMS-01": 3, "COOL-3": -1}, "region": {REGIONS[1]: 2}}
    result = await world.ask(plan, key | {"weights": weights})
    assert result["spreads"] == [0, 8 * spread, 0]
    assert result["spread"] == 8 * spread


async def test_flipped_without_totals_there_is_one_sum(world: World) -> None:
    plan, key = world.flipped(totals=())
    result = await world.ask(plan, key)
    figures, customers = plainly(world.rows, ("fault", "region"), CELLS)
    assert result["cells"] == [
        sum(f for f, c in zip(figures, customers, strict=True) if c >= 5)
    ]


async def test_flipped_the_asker_decrypts_sums_and_no_cell(world: World) -> None:
    plan, key = world.flipped()
    await world.ask(plan, key)
    secret = unpack(unb64u(key["key"]))[0]
    most = numbers([(2199023190017 - 1) // 2])
    (sent,) = unpack(world.calls.sent[0][1].payload)
    slots = parse_numbers(bfv.decrypt(b"bfv-8192-41", secret, most, sent))
    figures, _ = plainly(world.rows, ("fault", "region"), CELLS)
    assert not set(slots[:12]) & set(figures)
    # Of slots that are uniform below 2^41 one in 2^20 is this small.
    assert sum(abs(slot) <= 2**20 for slot in slots[:12]) <= 1
    assert not any(slots[12:])


async def test_flipped_under_another_key_than_the_plans_is_refused(
    world: World,
) -> None:
    plan, _ = world.flipped()
    _, other = world.flipped()
    with pytest.raises(BadRequest, match="not the key that the plan names"):
        await world.ask(plan, other)


async def test_flipped_sums_that_could_overflow_are_refused(world: World) -> None:
    plan, key = world.flipped()
    with pytest.raises(BadRequest, match="weights may be"):
        await world.ask(plan, key | {"weights": [2**40] * 12})
    assert not world.calls.sent
    with pytest.raises(Refused, match=r"aggregate\.bound"):
        await world.ask(plan, key | {"weights": [2**36] * 12})
    result = await world.ask(plan, key | {"weights": [2**20] * 12})
    assert max(result["cells"]) > 2**20


async def test_flipped_a_sum_of_cells_that_each_would_fit_is_refused_and_paid_for(
    world: World,
) -> None:
    """The owner counts for itself: the asker need not."""
    plan, key = world.flipped()
    await world.ask(plan, key)
    ((sent, told),), (party,) = world.calls.sent, plan.plan.parties
    most = parameter_set(plan.plan.parameters).most
    bound = {"bound": most // told.members["bound"]}
    with pytest.raises(Refused, match=r"aggregate\.bound"):
        await world.calls(plan, party, "apply", bound, sent.payload)
    assert world.calls.refusals[-1].spent == plan.plan.epsilon_micro


async def test_flipped_only_so_many_weights_are_applied(world: World) -> None:
    plan, key = world.flipped()
    for number in range(16):
        await world.ask(plan, key | {"weights": [number] * 12})
    with pytest.raises(Conflict, match="weighed 16 times"):
        await world.ask(plan, key | {"weights": [99] * 12})


# --- mode R -----------------------------------------------------------------


def _rows_plan(
    world: World, **changes: Any
) -> tuple[SignedPlan, dict[str, Any], list[list[dict[str, str]]]]:
    """Old and young vehicles, of those that the supplier has batteries in."""
    names = world.declare([f"VIN{number:06}" for number in range(50, 400)])
    halves = [
        [at for at, name in enumerate(names) if name and int(name[3:]) % 3 == part]
        for part in (0, 1)
    ]
    plan, inputs = world.segmented(dict(zip("旧新", halves, strict=True)), **changes)
    chosen = [{names[at] for at in half} for half in halves]
    rows = [[row for row in world.rows if row["vin"] in each] for each in chosen]
    return plan, inputs, rows


async def test_segments_are_counted_by_fault(world: World) -> None:
    plan, inputs, rows = _rows_plan(world)
    result = await world.ask(plan, inputs)
    wanted: list[int | None] = []
    for part in rows:
        figures, customers = plainly(part, ("fault",), [(each,) for each in FAULTS])
        wanted += shown(figures, customers)
    assert result["cells"] == wanted
    assert result["groups"][0] == {
        "field": "segment",
        "grain": "segment",
        "values": ["旧", "新"],
    }
    assert [call.step for call, _ in world.calls.sent] == ["rows", "open"]


async def test_segments_are_summed_by_fault(world: World) -> None:
    plan, inputs, rows = _rows_plan(world, measure=SUM)
    result = await world.ask(plan, inputs)
    wanted: list[int | None] = []
    for part in rows:
        found = plainly(
            part, ("fault",), [(each,) for each in FAULTS], cost="cost", bound=50_000
        )
        wanted += shown(*found)
    assert result["cells"] == wanted


async def test_rows_that_fill_several_ciphertexts_are_compared_in_all_of_them(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, faults(300))
    names = world.declare([f"VIN{number:06}" for number in range(300)], size=4096)
    half = [at for at, name in enumerate(names) if name and int(name[3:]) % 2]
    plan, inputs = world.segmented({"odd": half})
    result = await world.ask(plan, inputs)
    odd = [row for row in world.rows if int(row["vin"][3:]) % 2]
    figures, customers = plainly(odd, ("fault",), [(each,) for each in FAULTS])
    assert result["cells"] == shown(figures, customers)
    assert len(unpack(world.calls.sent[1][0].payload)) == 2


async def test_rows_are_noised_once(tmp_path: Path) -> None:
    world = World(tmp_path, faults(), laplace=noise.laplace, spread=noise.spread)
    plan, inputs, _ = _rows_plan(world, epsilon_micro=5_000_000)
    first = await world.ask(plan, inputs)
    world.run = MemoryRun()  # other ciphertexts of the same result
    assert await world.ask(plan, inputs) == first
    opened = [call.payload for call, _ in world.calls.sent if call.step == "open"]
    assert opened[0] != opened[1]


async def test_steps_that_are_not_of_the_mode_are_out_of_order(world: World) -> None:
    plan, key = world.plan(), "00" * 32
    (party,) = plan.plan.parties
    for step, arguments in (("open", {"key": key}), ("rows", {}), ("apply", {})):
        with pytest.raises(Refused, match=r"round\.order"):
            await world.calls(plan, party, step, arguments)
    refused = world.calls.refusals[0]
    assert isinstance(refused, Refusal)
    assert refused.spent == 0
