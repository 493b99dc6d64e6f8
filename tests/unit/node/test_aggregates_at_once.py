"""Plans and steps that overtake each other: what is told was tested and is charged."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio

from node.errors import NodeError, Refused, Unavailable
from node.services.aggregates import tally
from node.services.aggregates.steps import Answer
from tests.support.companies import Companies, open_companies
from tests.unit.node.test_aggregate_refusals import HEAT, NARROW, Liar

pytestmark = pytest.mark.asyncio(loop_scope="module")
MALFORMED = {"what": "a table takes no arguments"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Companies]:
    async with open_companies(tmp_path_factory.mktemp("w")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def liar(world: Companies) -> Liar:
    """Under an agreement of its own: plans are compared under one."""
    world.agreements[0] = await world.agree(world.providers[0])
    return Liar(world)


class Held:
    """A reading of rows that does not go on until it is let."""

    def __init__(self) -> None:
        self.reading, self.go_on = threading.Event(), threading.Event()

    async def began(self) -> None:
        assert await asyncio.to_thread(self.reading.wait, 120)


@contextlib.contextmanager
def first_reading_held() -> Iterator[Held]:
    held, scan = Held(), vars(tally)["scan"]

    def slow(*arguments: Any) -> None:
        if not held.reading.is_set():
            held.reading.set()
            assert held.go_on.wait(600)
        scan(*arguments)

    with mock.patch.object(tally, "scan", slow):
        try:
            yield held
        finally:
            held.go_on.set()


async def budget_of(world: Companies) -> dict[str, Any]:
    report = await world.providers[0].manage("/audit/budget")
    [found] = [
        each for each in report["items"] if each["agreement"] == world.agreements[0]
    ]
    return dict(found)


async def spent(world: Companies) -> int:
    return int((await budget_of(world))["spent"])


async def test_a_price_that_is_given_back_takes_what_was_being_computed_along(
    world: Companies, liar: Liar
) -> None:
    """Else the plan in between is told without being compared with this one."""
    wide, narrow = await liar.plan(HEAT), await liar.plan(HEAT | {"filters": [NARROW]})
    with first_reading_held() as held:
        early = asyncio.create_task(liar.send(wide, "table"))
        await held.began()
        await liar.refused("request.malformed", wide, "table", b"", MALFORMED)
        assert isinstance(await liar.send(narrow, "table"), Answer)
        held.go_on.set()
        with pytest.raises(Refused) as refused:
            await early
    assert refused.value.code == "plan.narrowing"
    assert await spent(world) == HEAT["epsilon_micro"]


async def test_what_was_drawn_is_charged_though_it_cannot_be_told(
    world: Companies, liar: Liar
) -> None:
    wide, narrow = await liar.plan(HEAT), await liar.plan(HEAT | {"filters": [NARROW]})
    fault = mock.Mock(side_effect=NodeError("compute.unavailable", "No worker."))
    with (
        mock.patch("node.services.aggregates.heat_map_table.Keys.of", fault),
        pytest.raises(NodeError) as failed,
    ):
        await liar.send(wide, "table")
    assert failed.value.code == "aggregate.unavailable"
    assert await spent(world) == HEAT["epsilon_micro"]

    await liar.refused("plan.narrowing", narrow, "table")
    assert isinstance(await liar.send(wide, "table"), Answer)
    receipts = [each.receipt for each in world.providers[0].receipts()]
    told = [each.spent for each in receipts if each.plan == wide.plan.plan_hash]
    assert told == [HEAT["epsilon_micro"], 0]
    assert await spent(world) == HEAT["epsilon_micro"]


async def test_a_step_that_is_sent_twice_at_once_is_answered_alike_and_paid_once(
    world: Companies, liar: Liar
) -> None:
    plan = await liar.plan(HEAT)
    first, second = await asyncio.gather(
        liar.send(plan, "table"), liar.send(plan, "table")
    )
    assert (first.members, first.payload) == (second.members, second.payload)
    receipts = [each.receipt for each in world.providers[0].receipts()]
    told = [each.spent for each in receipts if each.plan == plan.plan.plan_hash]
    assert sorted(told) == [0, HEAT["epsilon_micro"]]
    assert await spent(world) == HEAT["epsilon_micro"]


async def test_a_job_goes_on_when_what_its_partner_lacked_for_a_moment_is_back(
    world: Companies,
) -> None:
    world.agreements[0] = await world.agree(world.providers[0])
    scan, faults = vars(tally)["scan"], [Unavailable("source.unavailable", "Not now.")]

    def unsteady(*arguments: Any) -> None:
        if faults:
            raise faults.pop()
        scan(*arguments)

    with mock.patch.object(tally, "scan", unsteady):
        job = await world.ask(**HEAT)
    assert job["state"] == "done", job["error"]
    plan = job["result"]["plan"]
    receipts = [each.receipt for each in world.providers[0].receipts()]
    told = [(each.step, each.denials) for each in receipts if each.plan == plan]
    refused = ("table", ("source.unavailable",))
    assert told == [refused, ("table", ()), ("open", ())]
    assert await spent(world) == HEAT["epsilon_micro"]
