"""Conditions on hidden fields, through two real nodes, held to plain arithmetic.

A dataset with values at every edge is asked about with bounds at every edge, and of
each record it must be proved exactly what can be computed from the CRM in the open.
Then what the agreement does not grant, what somebody on the line can try with the
proofs, and that a value which only something may be proved of is shown nowhere.
"""

import contextlib
import copy
import datetime
import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
import pytest_asyncio
import sqlalchemy as sa

from crypto.encoding import b64u, sha256, unb64u
from ledger.checkpoint import origin_of
from ledger.conditions import OPERATORS, Condition, ordered
from node.adapters.sql import tables as t
from node.ports import Reply
from tests.integration.test_leaks import everything_logged
from tests.support.node import (
    GRANTED,
    PURPOSE,
    SHARED,
    Answer,
    Node,
    World,
    open_world,
    spilled_in,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

Row = Mapping[str, Any]
Where = Sequence[Condition]

MOST: Final = "90071992547409.91"
"""The largest amount that a CRM can hold, as the wire has it."""
COLUMNS: Final = (
    *("key", "customer", "stage", "amount", "cost", "opened", "closed"),
    *("seats", "used", "tier", "was", "is_key"),
)
_TABLE: Final = f"""
k01 A Won   1000.00   1000.00  2026-03-01 2026-03-01    10   10 gold   gold   1
k02 A Won    999.99   1000.00  2026-02-28 2026-03-01     9   10 silver gold   0
k03 A Lost  1000.01   1000.00  2026-03-02 2026-03-01    11   10 Gold   gold   1
k04 B Open   -         -       -          -              -    - -      -      -
k05 B Open     0.00    -       2026-03-01 -              0    - gold   -      0
k06 B Open   -           0.01  -          2026-12-31     -   -1 -      gold   -
k07 C Won   {MOST}     {MOST}  9999-12-31 9999-12-31 {2**53 - 1} {2**53 - 1} 铂金 铂金 1
k08 C Won   -{MOST}    {MOST}  0001-01-01 9999-12-31 {1 - 2**53} {2**53 - 1} tier tiers 0
k09 D Lost -1000.00    999.99  2024-02-29 2024-02-28   -10    9 silver silver 0
k10 D Lost    -0.01      0.01  2025-12-31 2026-01-01    -1    1 bronze silver 1
x11 X Won   5000.00   5000.00  2026-03-01 2026-03-01    50   50 gold   gold   1
"""  # of X only the provider knows
ROWS: Final[list[Row]] = [
    {
        name: None
        if text == "-"
        else int(text)
        if name in {"seats", "used", "is_key"}
        else text
        for name, text in zip(COLUMNS, line.split(), strict=True)
    }
    for line in _TABLE.strip().splitlines()
]
CUSTOMERS: Final = ("A", "B", "C", "D")
KINDS: Final[dict[str, dict[str, Any]]] = {
    "amount": {"type": "money", "unit": "EUR", "scale": 2},
    "cost": {"type": "money", "unit": "EUR", "scale": 2},
    "opened": {"type": "date"},
    "closed": {"type": "date"},
    "seats": {"type": "integer", "unit": "pcs"},
    "used": {"type": "integer", "unit": "pcs"},
    "tier": {"type": "text"},
    "was": {"type": "text"},
    "is_key": {"type": "boolean"},
}
NUMBERS: Final = ("at_least", "at_most", "between", "equal", "no_more_than", "one_of")
FITTING: Final = {
    "money": (*NUMBERS, "sum_at_least"),
    "integer": (*NUMBERS, "sum_at_least"),
    "date": ("after", "before", "between", "equal", "no_more_than", "one_of"),
    "text": ("equal", "one_of"),
    "boolean": ("equal", "one_of"),
}


def granting(name: str, *operators: str, **more: Any) -> dict[str, Any]:
    return {"field": name, "operators": sorted(operators), "probes": 10_000, **more}


EVERYTHING: Final = [
    granting(name, *FITTING[kind["type"]]) for name, kind in KINDS.items()
]


def declaration(file: Path) -> dict[str, Any]:
    def field(column: str, **more: Any) -> dict[str, Any]:
        titles = {"en": column, "zh": column}
        common = {"column": column, "title": titles, "personal": False}
        return {"type": "text", "grade": "general", **common, **more}

    return {
        "dataset": "deals",
        "title": {"en": "Deals", "zh": "交易"},
        "source": {"url": f"sqlite:///{file}", "table": "deals", "record": "key"},
        "customer": {"column": "customer", "rule": "exact"},
        "fields": {"stage": field("stage", modes=["plain"])}
        | {
            name: field(name, grade="important", modes=["predicate"], **kind)
            for name, kind in KINDS.items()
        },
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        file = world.folder / "deals.sqlite"
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute(f"CREATE TABLE deals ({', '.join(COLUMNS)})")
            marks = ", ".join("?" * len(COLUMNS))
            connection.executemany(
                f"INSERT INTO deals VALUES ({marks})",  # noqa: S608
                [tuple(row.values()) for row in ROWS],
            )
            connection.commit()
        await world.maker.manage("/management/datasets", declaration(file))
        world.agreement = await deal(world, EVERYTHING)
        yield world


async def deal(
    world: World,
    predicates: Sequence[Mapping[str, Any]],
    *,
    consumer: Node | None = None,
    purposes: Sequence[str] = (PURPOSE,),
) -> str:
    """Agree about the deals, and have what both know committed to."""
    consumer = consumer or world.supplier
    hidden = {grant["field"]: "predicate" for grant in predicates}
    offer = world.offer(
        partner=consumer.did,
        dataset="deals",
        fields={"stage": "plain"} | hidden,
        predicates=predicates,
        purposes=list(purposes),
    )
    pid = (await world.maker.manage("/management/offers", offer))["consumerPid"]
    accepted = await consumer.manage(f"/management/negotiations/{pid}/accept", {})
    agreement: str = accepted["agreement"]["@id"]
    path = f"/management/agreements/{agreement}/customers"
    await consumer.manage(path, {"customers": [*CUSTOMERS, "nobody"]})
    await world.maker.settle()
    return agreement


async def ask(
    world: World,
    *where: Condition,
    fields: Sequence[str] = (),
    customers: Sequence[str] = CUSTOMERS,
    consumer: Node | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Ask as the consumer's people do; return what their node makes of the answer."""
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": list(fields),
        "customers": list(customers),
        "where": [each.to_json() for each in where],
        **more,
    }
    answer = await (consumer or world.supplier).manage("/management/ask", question)
    return dict(answer)


def refused(answer: Mapping[str, Any]) -> list[str]:
    """Check that a call was refused, and believed to be; return the codes."""
    assert answer["verified"], answer["checks"]
    assert not answer["allowed"]
    assert answer["customers"] == {}
    return [each["code"] for each in answer["denials"]]


def said(operator: str, fields: str, *values: Any) -> Condition:
    return Condition.of(operator, fields.split(), values)


def shortly(condition: Condition) -> str:
    words = (*condition.fields, condition.operator, *condition.values)
    return " ".join(map(str, words))


# --- what plain arithmetic says ----------------------------------------------


def plain(name: str, value: Any) -> Any:
    match KINDS[name]["type"]:
        case "money":
            return Decimal(value)
        case "date":
            return datetime.date.fromisoformat(value)
        case "boolean":
            return bool(value)
        case _:
            return value


MEANING: Final[dict[str, Callable[..., bool]]] = {
    "at_least": lambda a, bound: a >= bound,
    "at_most": lambda a, bound: a <= bound,
    "after": lambda a, day: a > day,
    "before": lambda a, day: a < day,
    "between": lambda a, lo, hi: lo <= a <= hi,
    "one_of": lambda a, *members: a in members,
    "no_more_than": lambda a, b: a <= b,
    "equal": lambda a, b: a == b,
    "sum_at_least": lambda a, b, bound: a + b >= bound,
}


def meets(row: Row, where: Where) -> bool:
    return all(_meets(row, each) for each in where)


def _meets(row: Row, condition: Condition) -> bool:
    held = [row[name] for name in condition.fields]
    if None in held:
        return False
    name = condition.fields[0]
    numbers = [plain(name, value) for value in (*held, *condition.values)]
    return MEANING[condition.operator](*numbers)


def computed(where: Where, fields: Sequence[str] = ()) -> dict[str, Any]:
    """Return what must be told of each customer's records, in their order."""
    return {
        customer: [
            {
                "fields": {name: row[name] for name in fields} if holds else {},
                "proved": holds,
            }
            for row in ROWS
            if row["customer"] == customer
            for holds in [meets(row, where)]
        ]
        for customer in CUSTOMERS
    }


AMOUNTS: Final = ("-1000.00", "-0.01", "0.00", "999.99", "1000.00", "1000.01", MOST)
DAYS: Final = ("0001-01-01", "2024-02-29", "2026-02-28", "2026-03-01", "9999-12-29")
COUNTS: Final = (-10, 0, 9, 10, 11, 2**53 - 1)
PAIRS: Final = ("amount cost", "opened closed", "seats used")
ASKED: Final[dict[str, list[Condition]]] = {
    "at_least": [
        *(said("at_least", "amount", bound) for bound in AMOUNTS),
        *(said("at_least", "seats", bound) for bound in COUNTS[:-1]),
    ],
    "at_most": [
        *(said("at_most", "amount", bound) for bound in AMOUNTS),
        *(said("at_most", "seats", bound) for bound in COUNTS),
    ],
    "after": [said("after", "opened", day) for day in DAYS],
    "before": [said("before", "closed", day) for day in DAYS[1:]],
    "between": [
        *(said("between", "amount", lo, hi) for lo, hi in (
            ("999.99", "1000.00"), ("1000.00", "1000.01"), ("-1000.00", "-0.01"),
            (f"-{MOST}", MOST), ("0.01", "999.98"),
        )),
        said("between", "opened", "2026-02-28", "2026-03-01"),
        said("between", "opened", "2024-02-29", "2025-12-31"),
        said("between", "seats", -1, 9),
        said("between", "seats", 1 - 2**53, 2**53 - 1),
    ],
    "one_of": [
        said("one_of", "tier", "gold", "silver"),
        said("one_of", "tier", "Gold", "铂金", "tier"),
        said("one_of", "tier", "nobody", "nothing"),
        said("one_of", "tier", "gold", *(f"tier {n}" for n in range(63))),
        said("one_of", "amount", "999.99", "1000.01", MOST),
        said("one_of", "opened", "2024-02-29", "9999-12-31"),
        said("one_of", "seats", -1, 0, 1),
        said("one_of", "is_key", False, True),
    ],
    "no_more_than": [
        said("no_more_than", order)
        for pair in PAIRS
        for order in (pair, " ".join(reversed(pair.split())))
    ],
    "equal": [said("equal", pair) for pair in (*PAIRS, "tier was")],
    "sum_at_least": [
        *(said("sum_at_least", "amount cost", bound)
          for bound in ("0.00", "0.01", "-0.01", "2000.00", "2000.01", MOST)),
        *(said("sum_at_least", "seats used", bound) for bound in (-1, 0, 20, 21)),
    ],
}  # fmt: skip


async def test_every_operator_is_asked_here() -> None:
    assert sorted(ASKED) == sorted(OPERATORS) == sorted(MEANING)
    for operator, conditions in ASKED.items():
        outcomes = {meets(row, [each]) for each in conditions for row in ROWS}
        assert outcomes == {True, False}, operator


@pytest.mark.parametrize("operator", OPERATORS)
async def test_what_is_proved_is_what_the_values_say(
    world: World, operator: str
) -> None:
    for condition in ASKED[operator]:
        answer = await ask(world, condition)
        assert answer["allowed"], (condition, answer["denials"])
        assert answer["verified"], (condition, answer["checks"])
        assert answer["customers"] == computed([condition]), condition
        assert answer["where"] == [condition.to_json()]


@pytest.mark.parametrize(
    "where",
    [
        [said("at_least", "amount", "1000.00"), said("at_most", "amount", "1000.00")],
        [said("at_least", "amount", "0.00"), said("equal", "tier was")],
        [said("no_more_than", "opened closed"), said("sum_at_least", "seats used", 0)],
        [said("between", "seats", 0, 10), said("one_of", "tier", "gold", "silver"),
         said("before", "opened", "2026-03-01"), said("no_more_than", "amount cost")],
        [said("at_least", "amount", "1.00"), said("at_most", "amount", "0.99")],
    ],
)  # fmt: skip
async def test_several_conditions_hold_together_or_the_record_is_withheld(
    world: World, where: list[Condition]
) -> None:
    """And then nothing of it is shown, not even what may be."""
    answer = await ask(world, *where, fields=["stage"])
    assert answer["verified"], answer
    assert answer["customers"] == computed(where, ["stage"])


async def test_who_is_not_shared_is_told_apart_from_who_meets_nothing(
    world: World,
) -> None:
    condition = said("at_least", "amount", "4999.99")
    answer = await ask(world, condition, customers=["X", "nobody", "D"])
    assert answer["verified"]
    assert answer["customers"] == {
        "X": None,
        "nobody": None,
        "D": computed([condition])["D"],
    }


async def test_an_answer_is_as_long_whatever_the_values_are(world: World) -> None:
    """A record that meets a condition by a cent looks like one that meets it by far;
    one that does not, like one that has no value."""
    for operator in ("at_least", "between", "one_of", "sum_at_least", "equal"):
        lengths: dict[bool, set[int]] = {True: set(), False: set()}
        for condition in ASKED[operator][:1]:
            answer = await query(world, condition)
            world.check(answer)
            for customer in answer.body["disclosures"]:
                for record in customer["records"]:
                    told = {k: v for k, v in record.items() if k != "version"}
                    lengths["fields" in record].add(len(json.dumps(told)))
        assert [len(each) for each in lengths.values()] == [1, 1], operator


async def query(world: World, *where: Condition, **changes: Any) -> Answer:
    """Ask the provider's node itself."""
    usual: dict[str, Any] = {
        "dataset": "deals",
        "fields": [],
        "where": [each.to_json() for each in ordered(where)],
        "customers": [world.customer(name) for name in CUSTOMERS],
    }
    return await world.query(**{**usual, **changes})


# --- what is granted ----------------------------------------------------------

STEPPED: Final = [
    granting("amount", "at_least", "at_most", "between", "no_more_than",
             "sum_at_least", step="100.00"),
    granting("cost", "no_more_than", "sum_at_least", step="250.00"),
    granting("opened", "after", "before", "between", step="month"),
    granting("closed", "before", step="quarter"),
    granting("seats", "at_least", "between", step="5"),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stepped(world: World) -> str:
    """An agreement under which bounds must lie on a grid."""
    return await deal(world, STEPPED)


ON_GRID: Final = [
    said("at_least", "amount", "1000.00"),
    said("at_least", "amount", "-1000.00"),
    said("at_most", "amount", "999.99"),
    said("between", "amount", "900.00", "999.99"),
    said("between", "amount", "-1000.00", "1099.99"),
    said("after", "opened", "2026-02-28"),
    said("before", "opened", "2026-03-01"),
    said("between", "opened", "2024-02-01", "2024-02-29"),
    said("before", "closed", "2026-04-01"),
    said("at_least", "seats", 10),
    said("between", "seats", 5, 9),
    said("sum_at_least", "amount cost", "500.00"),
    said("no_more_than", "amount cost"),
]
OFF_GRID: Final = [
    said("at_least", "amount", "1000.01"),
    said("at_least", "amount", "999.99"),
    said("at_most", "amount", "1000.00"),
    said("between", "amount", "900.00", "1000.00"),
    said("between", "amount", "900.00", "900.99"),
    said("between", "amount", "950.00", "1049.99"),
    said("after", "opened", "2026-03-01"),
    said("before", "opened", "2026-02-28"),
    said("between", "opened", "2026-02-01", "2026-02-27"),
    said("before", "closed", "2026-03-01"),
    said("at_least", "seats", 9),
    said("between", "seats", 5, 10),
    said("sum_at_least", "amount cost", "100.00"),  # of the one field, not the other
    said("sum_at_least", "amount cost", "250.00"),
    said("sum_at_least", "amount cost", "500.01"),
]


@pytest.mark.parametrize("condition", ON_GRID, ids=shortly)
async def test_a_bound_on_the_grid_is_answered(
    world: World, stepped: str, condition: Condition
) -> None:
    answer = await ask(world, condition, agreement=stepped)
    assert answer["allowed"], answer["denials"]
    assert answer["verified"]
    assert answer["customers"] == computed([condition])


@pytest.mark.parametrize("condition", OFF_GRID, ids=shortly)
async def test_a_bound_off_the_grid_is_refused(
    world: World, stepped: str, condition: Condition
) -> None:
    for where in ([condition], [condition, ON_GRID[0]]):
        answer = await ask(world, *where, agreement=stepped, fields=["stage"])
        assert refused(answer) == ["predicate.granularity"]


@pytest.mark.parametrize(
    "condition",
    [
        said("at_least", "cost", "1000.00"),  # another operator
        said("one_of", "seats", 5, 10),
        said("after", "closed", "2025-12-31"),
        said("at_least", "used", 10),  # another field
        said("one_of", "tier", "gold", "silver"),
        said("one_of", "stage", "Won", "Lost"),  # one that is shown
        said("no_more_than", "opened closed"),  # granted to neither
        said("no_more_than", "seats used"),  # granted of one of the two
        said("equal", "amount cost"),
        said("at_least", "no_such_field", 1),
    ],
    ids=shortly,
)
async def test_what_is_not_granted_is_refused(
    world: World, stepped: str, condition: Condition
) -> None:
    for where in ([condition], [condition, ON_GRID[0]]):
        answer = await ask(world, *where, agreement=stepped)
        assert refused(answer) == ["predicate.not_granted"]


@pytest.mark.parametrize(
    "condition",
    [
        said("at_least", "amount", "1000"),  # not as this scale is written
        said("at_least", "amount", 1000),
        said("at_least", "seats", "10"),
        said("before", "opened", "2026-02-30"),
        said("at_least", "tier", "gold"),
        said("between", "amount", "1000.00", "1000.00"),  # known, so not proved
        said("between", "amount", "1000.01", "1000.00"),
        said("equal", "amount seats"),
        said("sum_at_least", "opened closed", "2026-01-01"),
        said("before", "amount", "2026-01-01"),
    ],
    ids=shortly,
)
async def test_a_condition_that_means_nothing_is_refused(
    world: World, condition: Condition
) -> None:
    """Some cannot be granted at all, and bounds in another form are on no grid."""
    codes = refused(await ask(world, condition))
    assert codes in (
        ["request.malformed"],
        ["predicate.granularity"],
        ["predicate.not_granted"],
    )


async def test_a_grid_of_sets_cannot_be_offered(world: World) -> None:
    offer = world.offer(
        dataset="deals",
        fields={"amount": "predicate"},
        predicates=[granting("amount", "one_of", step="100.00")],
    )
    refusal = await world.maker.manage("/management/offers", offer, expect=400)
    assert refusal["code"] == "terms.predicates"


# --- how often ----------------------------------------------------------------


async def test_conditions_are_counted_for_each_field_and_customer(
    world: World,
) -> None:
    granted = [
        granting("amount", "at_least", "no_more_than", probes=3),
        granting("cost", "at_least", "no_more_than", probes=2),
    ]
    one = await deal(world, granted)

    async def codes(*where: Condition, customers: Sequence[str] = ("A",)) -> list[str]:
        answer = await ask(world, *where, agreement=one, customers=customers)
        return [] if answer["allowed"] else refused(answer)

    pair = said("no_more_than", "amount cost")
    amounts = [said("at_least", "amount", f"{n}000.00") for n in range(1, 6)]
    costs = [said("at_least", "cost", f"{n}.00") for n in range(5)]
    spent = ["predicate.exhausted"]
    assert await codes(pair) == []  # one of each
    assert await codes(amounts[0], costs[0]) == []  # two of amount, all of cost
    assert await codes(costs[1]) == spent
    assert await codes(pair, costs[0]) == []  # asked before
    assert await codes(amounts[1], costs[1]) == spent  # nothing of it is counted
    assert await codes(amounts[2]) == []
    assert await codes(amounts[3]) == spent
    assert await codes(costs[3], customers=["B"]) == []
    assert await codes(costs[4], customers=["B", "C", "A"]) == spent
    assert await codes(costs[4], customers=["B", "C"]) == []
    assert await codes(costs[1], customers=["B"]) == spent
    assert await codes(costs[1], customers=["C"]) == []
    await world.restart()
    assert await codes(costs[1], customers=["A"]) == spent
    assert await codes(costs[0], customers=["A"]) == []
    two = await deal(world, granted)  # another agreement counts by itself
    answer = await ask(world, costs[1], agreement=two)
    assert answer["allowed"]


# --- shown by no route ----------------------------------------------------------


@pytest.mark.parametrize("now", [["predicate"], ["plain", "predicate"]])
async def test_a_field_that_something_may_be_proved_of_is_never_shown(
    tmp_path: Path, now: list[str]
) -> None:
    """By no question, receipt, evidence, page, error or log line; not even when the
    company declares later that it may be shown: the agreement does not say so."""
    with everything_logged() as logged:
        async with open_world(tmp_path) as world:
            declared = world.crm.declaration()
            spend = declared["fields"]["annual_spend"]
            spend |= {"modes": now, "grade": "general"}
            await world.maker.manage("/management/datasets", declared)
            await provoke(world)
            await look_everywhere(world)
            values = {str(row["spend"]) for row in world.crm.rows}
            seen = [each.octets() for each in world.wire.exchanges]
            assert len(seen) > 50
            assert spilled_in(values, b"\n".join((*seen, logged.octets()))) == []
            # Keys of records that were spoilt: for the company itself.
            world.wire.exchanges = [
                each for each in world.wire.exchanges if not each.is_inside
            ]


async def provoke(world: World) -> None:
    """Ask about the spend in every way, right and wrong; spoil it; ask again."""
    bounds = ("7000000000.00", "8100000000.00", "7500000000.00", "7500000000.01")
    asked: list[dict[str, Any]] = [
        {"fields": [], "where": [said("at_least", "annual_spend", bound).to_json()]}
        for bound in bounds
    ]
    asked += [
        {"fields": ["annual_spend"]},
        {"fields": ["annual_spend", "units"]},
        {"fields": ["units"], "where": asked[0]["where"]},
        {"fields": ["annual_spend"], "where": asked[0]["where"]},
        {"fields": [], "where": [said("equal", "annual_spend units").to_json()]},
    ]
    spoiled = "UPDATE projects SET spend = 'not money' WHERE customer = ?"
    for spoil in (False, True):
        if spoil:
            world.crm.write(spoiled, SHARED[1])
        for each in asked:
            tokens = [world.customer(name) for name in SHARED]
            answer = await world.query(customers=tokens, **each)
            shown = "annual_spend" not in each["fields"]
            assert shown or answer.status in {400, 403}
            question = {
                "agreement": world.agreement,
                "purpose": PURPOSE,
                "customers": list(SHARED),
                **each,
            }
            headers = world.supplier.operator()
            await world.supplier.client.post(
                "/management/ask", json=question, headers=headers, timeout=120
            )
    world.crm.write("UPDATE projects SET spend = 'not money'")
    await world.maker.manage("/management/datasets", world.crm.declaration())
    for node in (world.maker, world.supplier):
        await node.services.keep_log.integrate()
    offer = world.offer(fields={**GRANTED, "annual_spend": "plain"}, predicates=[])
    await world.maker.client.post(
        "/management/offers", json=offer, headers=world.maker.operator()
    )


async def look_everywhere(world: World) -> None:
    """Get every address that there is to get, of every node, as everybody."""
    for node in (world.maker, world.supplier):
        ids = [signed.receipt.receipt_id for signed in world.maker.receipts()]
        [*snapshots] = world.maker.rows(sa.select(t.snapshots.c.snapshot_id))
        pids = node.rows(sa.select(t.negotiations.c.pid))
        named = {
            "dataset": ["projects"],
            "agreement": [world.agreement],
            "receipt_id": ids,
            "snapshot_id": [row.snapshot_id for row in snapshots],
            "pid": [row.pid for row in pids],
            "fault_id": ["0" * 64],
            "job": ["0" * 32],
            "origin_hash": [sha256(origin_of(world.maker.did).encode()).hex()],
        }
        for path, methods in node.app.openapi()["paths"].items():
            if "get" not in methods:
                continue
            names = [name for name in named if f"{{{name}}}" in path]
            assert path.count("{") == len(names) <= 1, path
            for value in named[names[0]] if names else [""]:
                for role in ("management", "audit"):
                    whole = path.replace(f"{{{names[0]}}}", value) if names else path
                    await node.client.get(whole, headers=node.operator(role))
        body = {"customers": [SHARED[0]]}
        for name in ids:
            path = f"/management/receipts/{name}/evidence"
            headers = node.operator()
            await node.client.post(path, json=body, headers=headers)


# --- what somebody on the line can try ------------------------------------------

Bend = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def bent(world: World, bend: Bend) -> Iterator[None]:
    """Have answers changed on their way to the consumer."""
    usual = world.wire.post

    async def post(*arguments: Any, token: str) -> Reply:
        reply = await usual(*arguments, token=token)
        if not arguments[1].startswith("/views/"):
            return reply
        body = copy.deepcopy(reply.body)
        bend(body)
        return Reply(status=reply.status, body=body)

    with mock.patch.object(world.wire, "post", post):
        yield


def caught(world: World, answer: Mapping[str, Any]) -> dict[str, str]:
    """Check that an answer was not believed; return which step failed, and why."""
    assert answer["allowed"]
    assert not answer["verified"]
    assert answer["customers"] == {}
    c = t.receipts.c
    mine = sa.select(c.countersignature).where(c.receipt_id == answer["receipt"])
    assert {row.countersignature for row in world.maker.rows(mine)} <= {None}
    return {
        each["name"]: each["detail"]
        for each in answer["checks"]
        if each["state"] == "failed"
    }


def records(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of an answer of which something is proved."""
    return [
        record
        for each in body["disclosures"]
        for record in each.get("records", ())
        if "fields" in record
    ]


PURPOSES: Final = (PURPOSE, "service-quality")
CONDITION: Final = said("at_least", "amount", "-0.01")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def overheard(world: World) -> dict[str, Any]:
    """An answer that was good, once; and agreements to use it under."""
    granted = [granting("amount", "at_least")]
    names = {
        "own": await deal(world, granted, purposes=PURPOSES),
        "other": await deal(world, granted, purposes=PURPOSES),
        "charger": await deal(
            world, granted, purposes=PURPOSES, consumer=world.charger
        ),
    }
    heard: dict[str, Any] = {}
    with bent(world, lambda body: heard.update(copy.deepcopy(body))):
        answer = await ask(world, CONDITION, agreement=names["own"])
    assert answer["verified"]
    assert len(records(heard)) > 3
    return {"answer": heard, **names}


@pytest.mark.parametrize("part", ["all of it", "its proofs"])
@pytest.mark.parametrize("to", ["nonce", "purpose", "agreement", "audience"])
async def test_a_proof_that_was_given_before_proves_nothing_elsewhere(
    world: World, overheard: dict[str, Any], to: str, part: str
) -> None:
    before = overheard["answer"]
    question: dict[str, Any] = {"agreement": overheard["own"]}
    if to == "purpose":
        question["purpose"] = PURPOSES[1]
    if to == "agreement":
        question["agreement"] = overheard["other"]
    if to == "audience":
        question |= {
            "agreement": overheard["charger"],
            "consumer": world.charger,
        }

    def replay(body: dict[str, Any]) -> None:
        if part == "all of it":
            body.clear()
            body.update(copy.deepcopy(before))
            return
        for new, old in zip(records(body), records(before), strict=True):
            new |= {name: old[name] for name in ("presentation", "moves")}

    assert (await ask(world, CONDITION, **question))["verified"]
    with bent(world, replay):
        answer = await ask(world, CONDITION, **question)
    if part == "its proofs":
        assert caught(world, answer).popitem()[1].startswith("customer 1, record 1: ")
        return
    assert not answer["verified"]
    assert answer["customers"] == {}
    failed = {each["name"] for each in answer["checks"] if each["state"] == "failed"}
    assert "request" in failed


def flip(text: str, place: float) -> str:
    octets = bytearray(unb64u(text))
    octets[min(len(octets) - 1, int(place * len(octets)))] ^= 1
    return b64u(bytes(octets))


SPOILS: Final[dict[str, Callable[[dict[str, Any], dict[str, Any]], None]]] = {
    "first bit": lambda one, _: one.update(presentation=flip(one["presentation"], 0)),
    "a bit within": lambda one, _: one.update(
        presentation=flip(one["presentation"], 0.5)
    ),
    "last bit": lambda one, _: one.update(presentation=flip(one["presentation"], 1)),
    "cut off": lambda one, _: one.update(
        presentation=b64u(unb64u(one["presentation"])[:-32])
    ),
    "longer": lambda one, _: one.update(
        presentation=b64u(unb64u(one["presentation"]) + bytes(32))
    ),
    "of another record": lambda one, other: one.update(
        presentation=other["presentation"], moves=other["moves"]
    ),
    "random": lambda one, _: one.update(presentation=b64u(secrets.token_bytes(2064))),
}


@pytest.mark.parametrize("spoil", SPOILS)
async def test_of_many_proofs_the_one_that_was_spoilt_is_named(
    world: World, spoil: str
) -> None:
    """Every record of four customers meets it, but for those without an amount."""
    condition = said("at_most", "amount", MOST)
    places = [
        (number, position)
        for number, name in enumerate(CUSTOMERS, 1)
        for position, row in enumerate(
            [row for row in ROWS if row["customer"] == name], 1
        )
        if row["amount"] is not None
    ]
    chosen = secrets.randbelow(len(places))

    def bend(body: dict[str, Any]) -> None:
        found = records(body)
        assert len(found) == len(places)
        other = copy.deepcopy(found[chosen - 1])
        SPOILS[spoil](found[chosen], other)

    with bent(world, bend):
        answer = await ask(world, condition, fields=["stage"])
    number, position = places[chosen]
    where = f"customer {number}, record {position}: "
    assert caught(world, answer)["disclosure"].startswith(where)


async def test_of_two_that_were_spoilt_the_first_is_named(world: World) -> None:
    def bend(body: dict[str, Any]) -> None:
        found = records(body)
        for place in (4, 2):
            SPOILS["a bit within"](found[place], found[0])

    with bent(world, bend):
        answer = await ask(world, said("at_most", "amount", MOST))
    # All records of A have an amount.
    assert caught(world, answer)["disclosure"].startswith("customer 1, record 3: ")


@pytest.mark.parametrize("moves", ["false", "of another", "none", "none of any"])
async def test_what_makes_many_proofs_quick_is_not_believed_and_not_needed(
    world: World, moves: str
) -> None:
    def bend(body: dict[str, Any]) -> None:
        found = records(body)
        match moves:
            case "false":
                found[2]["moves"] = flip(found[2]["moves"], 0.7)
            case "of another":
                found[2]["moves"] = found[3]["moves"]
            case "none":
                del found[2]["moves"]
            case _:
                for each in found:
                    del each["moves"]

    condition = said("at_most", "amount", MOST)
    with bent(world, bend):
        answer = await ask(world, condition)
    assert answer["verified"]
    assert answer["customers"] == computed([condition])


async def test_a_record_is_not_withheld_or_shown_by_somebody_else(
    world: World,
) -> None:
    """Who is on the line can neither hide that a condition holds, nor say that it does."""

    def hide(body: dict[str, Any]) -> None:
        [first, *_] = records(body)
        for name in ("fields", "presentation", "moves"):
            del first[name]

    def claim(body: dict[str, Any]) -> None:
        for each in body["disclosures"]:
            for record in each["records"]:
                record.setdefault("fields", {})

    condition = said("at_least", "amount", "1000.00")
    for bend in (hide, claim):
        with bent(world, bend):
            answer = await ask(world, condition)
        assert "disclosure" in caught(world, answer)
