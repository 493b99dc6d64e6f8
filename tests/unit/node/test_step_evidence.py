"""Receipts of steps, wherever receipts are shown, compared or checked."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.evidence import Evidence, evidence_of
from ledger.participants import Pins
from ledger.steps import State
from ledger.verify import verify_evidence
from node.adapters.sql import tables as t
from node.adapters.sql.fsck import Basis, check
from node.config import load
from node.keeping import pinned
from tests.support.companies import HEAT_MAP, Companies, open_companies
from tests.support.node import Node


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Companies]:
    async with open_companies(tmp_path) as world:
        job = await world.ask(**HEAT_MAP)
        assert job["state"] == "done", job["error"]
        yield world


def pins(world: Companies) -> Pins:
    """Everybody, as pinned."""
    return {node.did: node.me for node in (world.asker, *world.providers)}


async def evidence(node: Node, receipt_id: str) -> Evidence:
    """What a node gives out for a receipt."""
    told = await node.manage(f"/audit/receipts/{receipt_id}")
    beside = ("canonical", "committed")
    return evidence_of({k: v for k, v in told.items() if k not in beside})


def states(told: Evidence, known: Pins) -> dict[str, str]:
    """How each step came out."""
    return {step.name: step.outcome for step in verify_evidence(told, known)}


async def test_both_sides_show_the_plan_and_the_asker_the_answer(
    world: Companies,
) -> None:
    provider, known = world.providers[0], pins(world)
    for each in provider.receipts():
        mine = await evidence(world.asker, each.receipt.receipt_id)
        theirs = await evidence(provider, each.receipt.receipt_id)
        assert mine.plan == theirs.plan
        assert mine.plan
        assert mine.plan.plan.plan_hash == each.receipt.plan
        assert states(mine, known)["plan"] == states(theirs, known)["plan"] == "checked"
        assert states(mine, known)["answer"] == "checked"
        assert states(theirs, known)["answer"] == "sealed"
        assert "failed" not in {*states(mine, known).values()}


async def test_a_refused_step_is_shown_with_its_plan_and_accuses_nobody(
    world: Companies,
) -> None:
    measure = {"what": "sum", "field": "cost", "bound": "501.00"}
    job = await world.ask(**{**HEAT_MAP, "measure": measure})
    assert job["state"] == "failed"
    provider, known = world.providers[0], pins(world)
    refusal = provider.receipts()[-1].receipt
    assert (refusal.decision, refusal.step) == ("deny", "table")
    for node in (world.asker, provider):
        told = await evidence(node, refusal.receipt_id)
        assert told.answer is None
        steps = verify_evidence(told, known)
        assert State.FAILED not in {step.state for step in steps}
        assert "answer" not in {step.name for step in steps}
    asked = await evidence(world.asker, refusal.receipt_id)
    assert asked.plan
    assert states(asked, known)["plan"] == "checked"


async def test_the_list_of_calls_tells_the_steps_of_a_plan(world: Companies) -> None:
    provider = world.providers[0]
    plan = provider.receipts()[0].receipt.plan
    for node, path in ((provider, "calls"), (world.asker, "received")):
        items = (await node.manage(f"/audit/{path}"))["items"]
        told = [(each["step"], each["plan"], each["spent"]) for each in items]
        assert told == [("open", plan, 0), ("table", plan, 4_000_000)]


async def job_of(node: Node, plan: str | None) -> dict[str, Any]:
    """The job of a plan, as it is shown alone."""
    [listed] = (await node.manage(f"/audit/jobs?plan={plan}"))["items"]
    found: dict[str, Any] = await node.manage(f"/audit/jobs/{listed['id']}")
    return found


async def test_a_job_names_the_receipts_of_its_steps_on_both_sides(
    world: Companies,
) -> None:
    provider = world.providers[0]
    written = [each.receipt for each in provider.receipts()]
    await provider.services.keep_log.integrate()
    for node, state in ((provider, "integrated"), (world.asker, "verified")):
        job = await job_of(node, written[0].plan)
        assert job["more_receipts"] is False
        assert job["receipts"] == [
            {
                "id": each.receipt_id,
                "at": each.at,
                "party": provider.did,
                "step": each.step,
                "decision": "allow",
                "denials": [],
                "spent": each.spent,
                "state": state,
            }
            for each in written
        ]
        for each in job["receipts"]:
            assert (await evidence(node, each["id"])).plan


async def test_a_job_names_refused_steps_and_not_those_of_other_plans(
    world: Companies,
) -> None:
    measure = {"what": "sum", "field": "cost", "bound": "501.00"}
    await world.ask(**{**HEAT_MAP, "measure": measure})
    provider = world.providers[0]
    refused = provider.receipts()[-1].receipt
    job = await job_of(world.asker, refused.plan)
    told = [(each["id"], each["decision"]) for each in job["receipts"]]
    assert told == [(refused.receipt_id, "deny")]
    assert job["receipts"][0]["denials"] == list(refused.denials)
    for path in ("calls", "received"):
        node = provider if path == "calls" else world.asker
        page = await node.manage(f"/audit/{path}?plan={refused.plan}")
        assert [it["receipt_id"] for it in page["items"]] == [refused.receipt_id]


async def test_of_an_unknown_plan_there_is_no_job_and_a_plan_is_a_hash(
    world: Companies,
) -> None:
    for path in ("jobs", "calls", "received"):
        found = await world.asker.manage(f"/audit/{path}?plan={'0' * 64}")
        assert found["items"] == []
        await world.asker.manage(f"/audit/{path}?plan=x", expect=400)


@contextlib.contextmanager
def store(node: Node) -> Iterator[sa.Connection]:
    """The node's database, in a transaction that is not kept."""
    engine = sa.create_engine(f"sqlite:///{node.folder / 'node.sqlite'}")
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


def wrong(node: Node, connection: sa.Connection) -> list[str]:
    """Everything that fsck finds."""
    me, known = pinned(load(node.folder / "node.yaml"))
    found = check(connection, Basis(me=me, pins=known))
    return [f"{each.table} {each.wrong}" for each in found]


async def test_a_store_with_steps_in_it_is_sound(world: Companies) -> None:
    for node in (world.asker, *world.providers):
        with store(node) as connection:
            assert wrong(node, connection) == []


@pytest.mark.parametrize("member", ["members", "payload"])
async def test_a_changed_answer_to_a_step_is_found(
    world: Companies, member: str
) -> None:
    with store(world.asker) as connection:
        rows = connection.execute(sa.select(t.received)).all()
        kept = json.loads(rows[0].disclosure)
        kept[member] = {"cells": 1} if member == "members" else "ab" * 32
        this = t.received.c.sequence == rows[0].sequence
        other = sa.update(t.received).where(this)
        connection.execute(other.values(disclosure=json.dumps(kept)))
        assert wrong(world.asker, connection) == [
            "received disclosure: not what the receipt says was sent"
        ]
