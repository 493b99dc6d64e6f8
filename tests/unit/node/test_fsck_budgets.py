"""What was charged, what accounts hold and what receipts say agree, or fsck says so.

One provider's store is made: with a figure, a figure over a list, a count without noise,
a refusal that has cost a tenth of its price, and a charge that is only reserved. Then one
side after the other is changed behind the node's back.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.participants import Pins
from ledger.plans import parse_plan
from node.adapters.sql import tables as t
from node.adapters.sql.erasure import SqlErasure
from node.adapters.sql.fsck import Basis, Finding, check
from node.domain.disclosure import Company
from node.services.aggregates import budget
from tests.support.companies import COMMON, HEAT_MAP, Companies, open_companies
from tests.support.node import START
from tests.unit.node.test_fsck import other

_S, _B, _R = t.spendings.c, t.budgets.c, t.receipts.c
FEW: dict[str, Any] = {
    # Noise of this epsilon makes twenty of none once in 10^17.
    "epsilon_micro": 20_000_000,
    "k_min": 20,
    "groups": [{"field": "seen_on", "grain": "week", "values": ["2026-10-05"]}],
    "filters": [
        {"fields": ["code"], "is": "one_of", "values": ["P0A80", "none"]},
        {"fields": ["region"], "is": "one_of", "values": ["east", "west"]},
    ],
}
LISTED = {
    "customers": [f"VIN-{number:04}" for number in range(COMMON)],
    "measure": {"what": "sum", "field": "cost", "bound": "500.00"},
}
MADE = {"heat-map": 4_000_000, "refused": 2_000_000, "joint-sum": 4_000_000}


@dataclass
class Made:
    """A provider's store, whose it is, and the hashes of its plans by name."""

    octets: bytes
    me: Any
    pins: Pins
    plans: dict[str, str]

    def row(self, name: str) -> sa.ColumnElement[bool]:
        return _S.plan == self.plans[name]


async def fill(world: Companies) -> dict[str, str]:
    provider = world.providers[0]
    plans = {}
    listed = {"kind": "joint-sum", "epsilon_micro": 4_000_000, **LISTED}
    counted = {
        "kind": "intersection",
        "mode": "count",
        "customers": LISTED["customers"],
    }
    asked = {"heat-map": HEAT_MAP, "refused": HEAT_MAP | FEW, "joint-sum": listed}
    for name, draft in (asked | {"intersection": counted}).items():
        job = await world.ask(**draft)
        assert (job["state"] == "failed") is (name == "refused"), job["error"]
        plans[name] = provider.receipts()[-1].receipt.plan or ""
    core = provider.rows(sa.select(_S.core).where(_S.plan == plans["heat-map"]))[0].core
    waiting = replace(parse_plan(json.loads(core)), round="ab" * 32)
    kept = await provider.services.store.read(
        lambda view: view.agreements.get(world.agreements[0])
    )
    assert kept is not None
    company = Company(max_epsilon_micro=1_000_000_000)
    assert not await provider.services.store.write(
        lambda work: budget.reserve(work, waiting, kept.agreement, START, company)
    )
    await provider.services.keep_log.integrate()
    return plans | {"reserved": waiting.plan_hash}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("budgets")

    async def make() -> Made:
        async with open_companies(folder) as world:
            plans = await fill(world)
            nodes = (world.asker, *world.providers)
            pins = {node.did: node.me for node in nodes}
            me = world.providers[0]
            return Made(octets=b"", me=me.me, pins=pins, plans=plans)

    found = asyncio.run(make())
    file = folder / "provider1" / "node.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return replace(found, octets=file.read_bytes())


Look = Callable[..., list[Finding]]


@pytest.fixture
def look(made: Made, tmp_path: Path) -> Look:
    """Changes the store and returns what is found then."""
    file = tmp_path / "node.sqlite"
    file.write_bytes(made.octets)

    def _look(*changes: Any) -> list[Finding]:
        engine = sa.create_engine(f"sqlite:///{file}")
        with engine.begin() as connection:
            for change in changes:
                if callable(change):
                    change(connection)
                else:
                    connection.execute(change)
        with engine.connect() as connection:
            found = list(check(connection, Basis(me=made.me, pins=made.pins)))
        engine.dispose()
        return found

    return _look


def wrongs(found: list[Finding]) -> set[tuple[str, str]]:
    return {(each.code, each.wrong.partition(": ")[2] or each.wrong) for each in found}


def put(where: sa.ColumnElement[bool], **values: Any) -> sa.Update:
    return sa.update(t.spendings).where(where).values(**values)


def test_a_store_with_all_kinds_of_charges_is_sound(made: Made, look: Look) -> None:
    assert look() == []
    assert len(set(made.plans.values())) == 5


UNSEEN = {"row", "committed", "told"}
"""What is told by what receipts say alone; below."""


@pytest.mark.parametrize("name", ["heat-map", "refused", "reserved"])
@pytest.mark.parametrize(
    "column", [each.name for each in t.spendings.c if each.name not in UNSEEN]
)
def test_a_changed_column_of_a_charge_is_found(
    made: Made, look: Look, name: str, column: str
) -> None:
    there = sa.select(_S[column]).where(made.row(name))

    def change(connection: sa.Connection) -> None:
        value: Any = connection.scalar(there)
        changed = '["did:web:other"]' if column == "roster" else other(value)
        if column == "at":
            changed = value + 10**7  # in the same year: periods do not tell
        connection.execute(put(made.row(name), **{column: changed}))

    found = look(change)
    codes = {each.code for each in found}
    assert f"spendings.{column}" in codes, found


@pytest.mark.parametrize("column", ["account", "period", "spent", "cap"])
@pytest.mark.parametrize("kind", ["agreement", "dataset"])
def test_a_changed_account_is_found(look: Look, column: str, kind: str) -> None:
    this = _B.account.like(f"{kind}:%")
    values = {"account": f"{kind}:x", "period": "2025-01-01", "spent": 3, "cap": 5}
    found = look(
        sa.update(t.budgets).where(this).values({column: values[column]}),
    )
    assert {each.table for each in found} == {"budgets"}
    wrong = "missing" if column in {"account", "period"} else column
    assert any(each.wrong.startswith(wrong) for each in found)


def test_an_account_that_holds_less_than_its_charges_is_named(look: Look) -> None:
    lower = sa.update(t.budgets).where(_B.account == "dataset:faults")
    total = sum(MADE.values()) + 4_000_000
    assert wrongs(look(lower.values(spent=total - 1))) == {
        ("budgets.spent", f"{total - 1}, though its charges come to {total}")
    }
    assert wrongs(look(sa.delete(t.budgets).where(_B.account == "dataset:faults"))) == {
        ("budgets", f"missing, though {total} was charged to it")
    }


def test_a_charge_that_vanished_is_missed_by_its_receipt_and_accounts(
    made: Made, look: Look
) -> None:
    found = wrongs(look(sa.delete(t.spendings).where(made.row("heat-map"))))
    assert (
        "receipts.core",
        "says that 4000000 was spent, and there is no such charge",
    ) in found
    assert {code for code, _ in found} == {"receipts.core", "budgets.spent"}


@pytest.mark.parametrize(("name", "spent"), MADE.items())
def test_a_charge_lowered_with_its_accounts_is_found_by_its_receipt(
    made: Made, look: Look, name: str, spent: int
) -> None:
    """Whoever gives itself budget back has to change a signed receipt, too."""
    lowered = sa.update(t.budgets).values(spent=_B.spent - 1_000_000)
    found = look(lowered, put(made.row(name), epsilon_micro=spent - 1_000_000))
    assert wrongs(found) == {
        (
            "spendings.epsilon_micro",
            f"{spent - 1_000_000} was charged, and a receipt says {spent}",
        )
    }


def test_a_charge_of_more_than_the_plan_is_found(made: Made, look: Look) -> None:
    raised = sa.update(t.budgets).values(spent=_B.spent + 1)
    found = wrongs(look(raised, put(made.row("reserved"), epsilon_micro=4_000_001)))
    assert found == {("spendings.epsilon_micro", "more than the plan may cost")}
    lower = sa.update(t.budgets).values(spent=_B.spent - 2)
    found = wrongs(look(lower, put(made.row("reserved"), epsilon_micro=3_999_999)))
    assert found == {
        ("spendings.epsilon_micro", "reserved, and not the whole price of the plan")
    }


def test_a_charge_whose_receipt_is_hidden_is_found(made: Made, look: Look) -> None:
    hidden = sa.update(t.receipts).where(_R.plan == made.plans["heat-map"])
    found = wrongs(look(hidden.values(plan=None)))
    assert ("spendings.told", "no receipt says that anything was spent") in found
    assert ("receipts.plan", "not what the receipt says") in found


def test_two_receipts_that_say_one_price_are_found(made: Made, look: Look) -> None:
    def again(connection: sa.Connection) -> None:
        of_plan = sa.select(t.receipts).where(_R.plan == made.plans["heat-map"])
        row = dict(connection.execute(of_plan.order_by(_R.sequence)).first()._mapping)  # type: ignore[union-attr]
        row |= {"sequence": 99, "receipt_id": "f" * 64, "log_index": None}
        connection.execute(sa.insert(t.receipts).values(row | {"stream_sequence": 99}))

    assert (
        "spendings.epsilon_micro",
        "4000000 was charged, and 2 receipts say that something was spent",
    ) in wrongs(look(again))


def test_a_charge_that_is_said_not_to_be_told_or_final_is_found(
    made: Made, look: Look
) -> None:
    assert wrongs(look(put(made.row("heat-map"), told=False))) == {
        ("spendings.told", "no receipt is said to tell it, and a receipt says 4000000")
    }
    back = put(made.row("heat-map"), told=True, committed=False)
    assert wrongs(look(back)) == {
        ("spendings.committed", "only reserved, though a receipt is said to tell it")
    }


def test_a_final_charge_that_no_receipt_tells_yet_is_sound(
    made: Made, look: Look
) -> None:
    """A node may be killed after the price is final, before the receipt is written."""
    assert look(put(made.row("reserved"), committed=True)) == []
    assert wrongs(look(put(made.row("reserved"), told=True))) == {
        ("spendings.told", "no receipt says that anything was spent")
    }


def test_a_count_without_noise_needs_no_receipt_that_says_a_price(
    made: Made, look: Look
) -> None:
    assert look(put(made.row("intersection"), told=False)) == []


def erase(*plans: str) -> Callable[[sa.Connection], None]:
    def _erase(connection: sa.Connection) -> None:
        some = sa.select(_R.receipt_id).where(_R.plan.in_(plans))
        found = list(connection.scalars(some))
        assert SqlErasure(connection).erase(found, START, "asked to") == len(found) > 0

    return _erase


def test_receipts_that_are_erased_are_not_missed(made: Made, look: Look) -> None:
    assert look(erase(*made.plans.values())) == []


def test_after_an_erasure_what_receipts_still_say_counts(
    made: Made, look: Look
) -> None:
    lowered = put(made.row("joint-sum"), epsilon_micro=1)
    changed = sa.update(t.budgets).values(spent=_B.spent - 3_999_999)
    found = look(erase(made.plans["heat-map"]), lowered, changed)
    assert wrongs(found) == {
        ("spendings.epsilon_micro", "1 was charged, and a receipt says 4000000")
    }


@pytest.mark.parametrize(
    "moved", [{"stream": "0" * 64}, {"at": _R.at + 10**6}], ids=["stream", "time"]
)
def test_what_is_erased_elsewhere_cannot_have_told_a_charge(
    made: Made, look: Look, moved: dict[str, Any]
) -> None:
    there = sa.update(t.receipts).values(**moved)
    found = wrongs(look(erase(*made.plans.values()), there))
    assert ("spendings.told", "no receipt says that anything was spent") in found


@pytest.mark.parametrize(
    "accounts",
    [
        '[["agreement:x", "2026-01-01"], ["dataset:faults", "2026-01-01"]]',
        '[["dataset:faults", "2026-01-01"], ["dataset:faults", "2026-01-01"]]',
        '[["dataset:faults", "2026-01-01"]]',
        "[]",
        "nothing",
        "[1]",
    ],
)
def test_a_charge_is_taken_once_from_its_agreement_and_once_from_its_dataset(
    made: Made, look: Look, accounts: str
) -> None:
    found = look(put(made.row("heat-map"), accounts=accounts))
    assert "spendings.accounts" in {each.code for each in found}


def test_a_plan_of_others_is_no_charge_of_ours(made: Made, look: Look) -> None:
    def change(connection: sa.Connection) -> None:
        there = sa.select(_S.core).where(made.row("heat-map"))
        core = json.loads(str(connection.scalar(there)))
        core["parties"][0]["did"] = "did:web:somebody.test"
        plan = parse_plan(core)
        values = {"core": plan.canonical().decode(), "plan": plan.plan_hash}
        connection.execute(put(made.row("heat-map"), **values))

    assert ("spendings.core", "the plan does not ask this node") in wrongs(look(change))


def test_a_core_that_is_no_plan_is_named_and_nothing_else_of_it(
    made: Made, look: Look
) -> None:
    for core in ("", "{}", "[", '{"typ":"fieldpact/plan/1"}'):
        found = look(put(made.row("heat-map"), core=core))
        assert [each.code for each in found] == ["spendings.core"]
