"""Aggregates between real nodes: asked, decided, charged, receipted, countersigned."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from ledger.plans import parse_signed_plan
from ledger.receipts import Receipt
from node.adapters.sql import tables as t
from node.services.aggregates.intersect_prepare import UNKNOWN
from tests.support.companies import (
    CODES,
    COMMON,
    REGIONS,
    Companies,
    open_companies,
)
from tests.support.noise import within

pytestmark = pytest.mark.asyncio(loop_scope="module")
GROUPS = [
    {"field": "region", "values": list(REGIONS)},
    {"field": "code", "values": list(CODES)},
]
HEAT = {
    "kind": "heat-map",
    "groups": GROUPS,
    "measure": {"what": "count"},
    "contribution": 2,
    "epsilon_micro": 4_000_000,
}
COMMON_NAMES = [f"VIN-{n:04}" for n in range(COMMON)]
ASKED = [*COMMON_NAMES, *(f"VIN-X-{n}" for n in range(15))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Companies]:
    async with open_companies(tmp_path_factory.mktemp("w"), providers=3) as made:
        yield made


def receipts(world: Companies, job: dict[str, Any], number: int = 0) -> list[Receipt]:
    """Return a provider's receipts of a job's plan."""
    provider = world.providers[number]
    found = [
        each
        for each in provider.receipts()
        if each.receipt.plan == job["result"]["plan"]
    ]
    return [each.receipt for each in found]


async def test_a_heat_map_leaves_a_receipt_of_each_step(world: Companies) -> None:
    job = await world.ask(mode="C", **HEAT)

    assert job["state"] == "done", job["error"]
    made = receipts(world, job)
    assert [each.step for each in made] == ["table", "open"]
    assert [each.spent for each in made] == [4_000_000, 0]
    assert {each.fields for each in made} == {("code", "region")}
    assert job["spent"] == 4_000_000


async def test_the_asker_signs_back_what_it_was_answered(world: Companies) -> None:
    await world.ask(mode="C", **HEAT)
    await world.asker.services.countersign.deliver(waited_s=-1)

    c = t.receipts.c
    rows = world.providers[0].rows(sa.select(c.receipt_id, c.countersignature))
    assert rows
    assert all(row.countersignature is not None for row in rows)


async def test_cells_are_within_the_spread_of_what_is_counted(world: Companies) -> None:
    job = await world.ask(mode="C", **HEAT)

    customers: dict[tuple[str, str], set[str]] = {}
    for row in world.rows[0]:
        customers.setdefault((row.region, row.code), set()).add(row.vin)
    result = job["result"]
    labels = [(region, code) for region in REGIONS for code in CODES]
    pairs = zip(labels, result["cells"], strict=True)
    shown = [(label, cell) for label, cell in pairs if cell is not None]
    assert shown
    for label, cell in shown:
        # Fewer than five count as four.
        exact = max(len(customers.get(label, ())), 4)
        assert abs(cell - exact) <= within(result["spread"])


async def test_the_supplier_weighs_cells_that_it_never_sees(world: Companies) -> None:
    weights = {"code": {"P0A80": 3, "P0A1F": 5, "U0100": 7}}
    job = await world.ask(mode="flip", totals=["region"], weights=weights, **HEAT)

    assert job["state"] == "done", job["error"]
    assert len(job["result"]["cells"]) == len(REGIONS)
    assert [each.step for each in receipts(world, job)] == ["apply"]


async def test_weights_of_other_cells_are_refused_before_anything_is_sent(
    world: Companies,
) -> None:
    draft = world.draft(mode="C", weights={"code": {"P9999": 3}}, **HEAT)

    answer = await world.asker.manage("/management/aggregates", draft, expect=400)

    assert answer["code"] == "weights.malformed"


async def test_two_companies_count_whom_they_share(world: Companies) -> None:
    job = await world.ask(
        kind="intersection", mode="count", customers=ASKED, measure={"what": "count"}
    )

    assert job["state"] == "done", job["error"]
    assert job["result"]["count"] == COMMON
    assert [each.step for each in receipts(world, job)] == ["commit", "exchange"]


async def test_a_plan_over_lists_is_a_job_before_its_list_is_blinded(
    world: Companies,
) -> None:
    draft = world.draft(kind="intersection", mode="count", customers=ASKED)
    looked = await world.asker.manage("/management/aggregates/look", draft)
    begun = await world.asker.manage("/management/aggregates", draft)
    job = await world.wait(begun["job"])

    assert looked["plan"]["plan"]["commitment"] == UNKNOWN
    assert looked["plan"]["plan"]["size"] == job["plan"]["plan"]["size"]
    assert begun["plan"] is None
    assert job["plan"]["plan"]["commitment"] != UNKNOWN
    assert job["result"]["plan"] == parse_signed_plan(job["plan"]).plan.plan_hash
    assert [each.step for each in receipts(world, job)] == ["commit", "exchange"]


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        ({"customers": []}, "customers.malformed"),
        ({"ours": "nothing-of-ours"}, "customers.malformed"),
        ({"customers": ASKED, "mode": "some"}, "plan.draft"),
        ({"customers": ASKED, "totals": ["region"]}, "plan.draft"),
    ],
)
async def test_what_is_no_draft_of_a_comparison_is_told_at_once(
    world: Companies, draft: dict[str, Any], code: str
) -> None:
    wanted = world.draft(**{"kind": "intersection", "mode": "count", **draft})
    before = await world.asker.manage("/management/jobs")
    with pytest.raises(AssertionError, match=code):
        await world.asker.manage("/management/aggregates", wanted)
    assert await world.asker.manage("/management/jobs") == before


async def test_a_plan_is_drawn_up_under_agreements_of_which_we_are_the_consumer(
    world: Companies,
) -> None:
    draft = world.draft(mode="C", **HEAT)
    asked = "/management/aggregates/look"
    told = await world.providers[0].manage(asked, draft, expect=404)
    assert told["code"] == "agreement.unknown"
    both = draft | {"agreements": [*draft["agreements"], "urn:uuid:none"]}
    told = await world.asker.manage(asked, both, expect=404)
    assert told["code"] == "agreement.unknown"


async def test_what_an_agreement_does_not_grant_is_told_before_anything_is_sent(
    world: Companies,
) -> None:
    asked, provider = "/management/aggregates/look", world.providers[0].did
    granted = await world.asker.manage(asked, world.draft(mode="C", **HEAT))
    assert granted["unmet"] == {provider: []}
    costly = {"fields": ["cost"], "is": "at_least", "values": ["1.00"]}
    draft = world.draft(mode="C", **HEAT, filters=[costly])
    refused = await world.asker.manage(asked, draft)
    assert refused["unmet"] == {provider: ["aggregate.not_granted"]}
    rounds = {each["plan"]["plan"]["round"] for each in (granted, refused)}
    assert len(rounds - {"0" * 64}) == 2


async def test_a_customer_that_is_named_twice_is_one(world: Companies) -> None:
    names = {"kind": "intersection", "mode": "count", "customers": ASKED[:40] * 2}
    told = await world.asker.manage("/management/aggregates/look", world.draft(**names))
    assert told["plan"]["plan"]["size"] == 64


async def test_a_joint_sum_is_within_its_spread(world: Companies) -> None:
    job = await world.ask(
        kind="joint-sum",
        customers=ASKED,
        measure={"what": "sum", "field": "cost"},
        epsilon_micro=4_000_000,
    )

    assert job["state"] == "done", job["error"]
    exact = sum(row.cost for row in world.rows[0] if row.vin in COMMON_NAMES)
    result = job["result"]
    assert result["count"] == COMMON
    assert abs(result["sum"] - exact) <= within(result["spread"])
    steps = [(each.step, each.spent) for each in receipts(world, job)]
    assert steps == [("commit", 0), ("exchange", 0), ("finish", 4_000_000)]


async def test_three_companies_count_whom_all_share(world: Companies) -> None:
    job = await world.ask(
        0, 1, kind="ring-count", customers=ASKED, measure={"what": "count"}
    )

    assert job["state"] == "done", job["error"]
    assert job["result"]["count"] == COMMON


async def test_a_sum_over_three_companies_is_within_its_spread(
    world: Companies,
) -> None:
    job = await world.ask(
        0,
        1,
        2,
        kind="federated-sum",
        groups=GROUPS,
        measure={"what": "count"},
        contribution=2,
        epsilon_micro=4_000_000,
    )

    assert job["state"] == "done", job["error"]
    for number in range(3):
        steps = [each.step for each in receipts(world, job, number)]
        assert steps == ["accept", "contribute"]
    assert len(job["result"]["cells"]) == 6


async def test_a_list_of_shared_customers_is_declared_and_no_other(
    world: Companies,
) -> None:
    agreement = await world.agree(world.providers[2])
    draft = world.draft(
        kind="intersection", mode="list", customers=ASKED, measure={"what": "count"}
    )
    begun = await world.asker.manage(
        "/management/aggregates", draft | {"agreements": [agreement]}
    )
    job = await world.wait(begun["job"])

    assert job["state"] == "done", job["error"]
    assert job["result"]["declared"] == COMMON
    c = t.declared.c
    known = world.providers[2].rows(
        sa.select(c.customer).where(c.agreement == agreement, c.customer.is_not(None))
    )
    assert sorted(row.customer for row in known) == COMMON_NAMES


async def test_segments_of_shared_customers_are_counted(world: Companies) -> None:
    agreement = await world.agree(world.providers[0])
    path = f"/management/agreements/{agreement}/customers"
    await world.asker.manage(path, {"customers": ASKED})
    halves = {"even": COMMON_NAMES[::2], "odd": COMMON_NAMES[1::2]}
    draft = world.draft(
        **{
            **HEAT,
            "mode": "R",
            "groups": GROUPS[1:],
            "segments": halves,
            "cohort": "shared",
            # A half has thirty: with less, noise would find it too small now and then.
            "epsilon_micro": 20_000_000,
        }
    )
    begun = await world.asker.manage(
        "/management/aggregates", draft | {"agreements": [agreement]}
    )
    job = await world.wait(begun["job"])

    assert job["state"] == "done", job["error"]
    assert [each.step for each in receipts(world, job)] == ["rows", "open"]
