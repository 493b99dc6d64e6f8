"""Receipts of a plan's steps are found by the plan, on both sides, and by an index."""

from typing import Any

import pytest
import sqlalchemy as sa

from ledger.receipts import FIRST, SignedReceipt, sign_receipt
from node.adapters.sql import tables as t
from node.adapters.sql.audit import SqlAudit
from node.adapters.sql.store import SqlStore
from node.domain.negotiation import Role
from node.ports import Received, StepReceipt, UnitOfWork
from tests.contract.samples import KEY, NOW, YOU, append, receipt

PLAN, OTHER = "ab" * 32, "cd" * 32
STEPS = ("table", "open")


def of(plan: str | None, step: str, **changes: Any) -> dict[str, Any]:
    """What makes a receipt one of a step; of a query without a plan."""
    if plan is None:
        return changes
    silent = {"customers": 0, "fields": ("code",)}
    return {"plan": plan, "step": step, **silent, **changes}


async def write(store: SqlStore, *made: dict[str, Any]) -> list[SignedReceipt]:
    return await store.write(lambda work: [append(work, **each) for each in made])


async def receive(store: SqlStore, *made: dict[str, Any]) -> list[str]:
    def _keep(work: UnitOfWork) -> list[str]:
        previous, ids = FIRST, []
        for number, changes in enumerate(made):
            signed = sign_receipt(receipt(number, previous, **changes), KEY)
            previous = signed.receipt.receipt_id
            ids.append(previous)
            work.receipts.receive(
                Received(
                    signed=signed,
                    at=NOW,
                    verified=number != 1,
                    checks=[],
                    disclosure=None,
                )
            )
        return ids

    return await store.write(_keep)


async def found(
    store: SqlStore, role: Role, *, most: int = 9, asker: str = YOU
) -> list[StepReceipt]:
    return list(
        await store.read(lambda view: view.receipts.of_plan(PLAN, asker, role, most))
    )


class TestOurs:
    async def test_steps_of_a_plan_are_found_oldest_first(
        self, store: SqlStore
    ) -> None:
        made = await write(
            store,
            of(None, ""),
            of(PLAN, "table"),
            of(OTHER, "table"),
            of(PLAN, "open", agreement="b"),
        )
        assert await found(store, Role.PROVIDER) == [
            StepReceipt(
                receipt_id=each.receipt.receipt_id,
                at="2026-11-22T18:20:00Z",
                party=each.receipt.provider,
                step=str(each.receipt.step),
                decision="deny",
                denials=("field.not_granted", "purpose.mismatch"),
                spent=0,
                state="sequenced",
            )
            for each in (made[1], made[3])
        ]

    async def test_whoever_sends_another_s_plan_is_left_out(
        self, store: SqlStore
    ) -> None:
        await write(
            store,
            of(PLAN, "table", consumer="did:web:third.test"),
            of(PLAN, "table", consumer=None),
        )
        assert await found(store, Role.PROVIDER) == []

    async def test_of_many_the_newest_are_found(self, store: SqlStore) -> None:
        made = await write(store, *(of(PLAN, "open") for _ in range(5)))
        newest = [each.receipt.receipt_id for each in made[-3:]]
        told = await found(store, Role.PROVIDER, most=3)
        assert [each.receipt_id for each in told] == newest

    async def test_how_far_each_is_follows_log_and_chain(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await write(store, *(of(PLAN, "open") for _ in range(3)))
        anchor: dict[str, Any] = dict.fromkeys(("note", "contract", "member"), "")
        anchor |= dict.fromkeys(("salt", "commitment"), b"")
        anchor |= {"chain_id": 1, "epoch": 1, "size": 1, "at": 0, "state": "final"}
        with engine.begin() as connection:
            for number in range(2):
                placed = sa.update(t.receipts).where(
                    t.receipts.c.sequence == number + 1
                )
                connection.execute(placed.values(log_index=number))
            connection.execute(sa.insert(t.anchors).values(**anchor))
        told = await found(store, Role.PROVIDER)
        assert [each.state for each in told] == ["anchored", "integrated", "sequenced"]

    async def test_an_erased_receipt_says_no_longer_of_which_plan_it_was(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        first, second = await write(store, *(of(PLAN, step) for step in STEPS))
        await store.write(
            lambda work: work.erasure.erase([first.receipt.receipt_id], NOW, "asked to")
        )
        told = await found(store, Role.PROVIDER)
        assert [each.receipt_id for each in told] == [second.receipt.receipt_id]
        with engine.connect() as connection:
            plans = list(connection.scalars(sa.select(t.receipts.c.plan)))
        assert sorted(plans, key=str) == sorted([None, PLAN], key=str)


class TestReceived:
    async def test_steps_of_a_plan_are_found_with_how_they_were_checked(
        self, store: SqlStore
    ) -> None:
        ids = await receive(
            store, of(PLAN, "table"), of(PLAN, "open"), of(OTHER, "table"), of(None, "")
        )
        told = await found(store, Role.CONSUMER)
        assert [(each.receipt_id, each.step, each.state) for each in told] == [
            (ids[0], "table", "verified"),
            (ids[1], "open", "unverified"),
        ]

    async def test_what_is_erased_is_not_found(self, store: SqlStore) -> None:
        ids = await receive(store, of(PLAN, "table"))
        await store.write(lambda work: work.erasure.erase(ids, NOW, "asked to"))
        assert await found(store, Role.CONSUMER) == []


class TestPages:
    @pytest.fixture
    def audit(self, engine: sa.Engine) -> SqlAudit:
        return SqlAudit(engine, identity=None, purposes=())  # type: ignore[arg-type]

    async def test_calls_are_filtered_by_plan(
        self, store: SqlStore, audit: SqlAudit
    ) -> None:
        made = await write(
            store, of(PLAN, "table"), of(None, ""), of(OTHER, "open"), of(PLAN, "open")
        )
        page = await audit.calls(
            since=NOW.replace(year=2025),
            until=NOW.replace(year=2027),
            filters={"plan": PLAN},
            before=None,
            after=None,
            most=1,
        )
        assert [each["receipt_id"] for each in page["items"]] == [
            made[3].receipt.receipt_id
        ]
        assert (page["total"], page["newer"], page["older"]) == (2, None, 4)
        assert page["facets"]["decision"] == [{"value": "deny", "count": 2}]

    async def test_what_was_received_is_filtered_by_plan(
        self, store: SqlStore, audit: SqlAudit
    ) -> None:
        ids = await receive(
            store, of(PLAN, "table"), of(None, ""), of(OTHER, "open"), of(PLAN, "open")
        )
        page = await audit.received(PLAN, None, 1)
        assert [each["receipt_id"] for each in page["items"]] == [ids[3]]
        assert page["older"] == 4
        rest = await audit.received(PLAN, page["older"], 1)
        assert [each["receipt_id"] for each in rest["items"]] == [ids[0]]
        assert rest["older"] is None
        everything = await audit.received(None, None, 9)
        assert len(everything["items"]) == 4


@pytest.mark.parametrize(
    ("table", "index"),
    [(t.receipts, "receipts_by_plan"), (t.received, "received_by_plan")],
)
async def test_a_plan_is_looked_up_in_an_index(
    engine: sa.Engine, table: sa.Table, index: str
) -> None:
    there = {each["name"]: each for each in sa.inspect(engine).get_indexes(table.name)}
    assert there[index]["column_names"] == ["plan", "sequence"]
    if engine.dialect.name != "sqlite":
        return  # its planner goes by what is in the table
    c = table.c
    wanted = sa.select(c.sequence).where(c.plan == PLAN).order_by(c.sequence.desc())
    text = str(wanted.compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        told = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        assert index in str(told.all())
