"""Plans that are carried out while processes are killed, and what must be true of them.

A maker with a CRM of faults answers; an asker asks it for heat maps of all modes, for
intersections and for joint sums. `Ledger` looks at the maker's store again and again:

* an account holds the sum of what plans took from it, each once;
* what was told is charged: the price of a plan stands in one receipt;
* a step that is answered again is answered with the same octets;
* what a stage has made stays as it is: no noise is drawn twice.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from crypto.encoding import sha256
from ledger.receipts import parse_receipt
from node.adapters.sql import tables as t
from node.domain.negotiation import Role
from tests.support.companies import (
    AGGREGATES,
    CODES,
    COMMON,
    PURPOSE,
    REGIONS,
    WEEKS,
    Fault,
    declaration,
    faults,
    write_crm,
)
from tests.support.noise import within
from tests.support.several import Several

PRICE: Final = 5_000_000
"""Of a map. No cohort is taken for too small then: see `crm_of`."""
NAMES: Final = [f"VIN-{n:04}" for n in range(COMMON)]
ASKED: Final = [*NAMES, *(f"VIN-X-{n}" for n in range(15))]
ALLOWANCE: Final[Mapping[str, Any]] = {
    "epsilon_micro": 1_000_000_000,
    "period": "always",
    "k_min": 5,
    "plans_per_day": 10_000,
    "matching": "count",
    "match_size": 1000,
}
SETTINGS: Final = {"company": {"max_epsilon_micro": 1_000_000_000}}
_GROUPS: Final = [
    {"field": "region", "values": list(REGIONS)},
    {"field": "code", "values": list(CODES)},
]
_HEAT: Final = {
    "kind": "heat-map",
    "groups": _GROUPS,
    "measure": {"what": "count"},
    "contribution": 2,
    "epsilon_micro": PRICE,
}
_CHARGING: Final = {"table", "rows", "apply", "finish", "contribute"}
DRAFTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "C": {**_HEAT, "mode": "C"},
    "flip": {
        **_HEAT,
        "mode": "flip",
        "totals": ["region"],
        "weights": {"code": {"P0A80": 3, "P0A1F": 5, "U0100": 7}},
    },
    "R": {
        **_HEAT,
        "mode": "R",
        "groups": _GROUPS[1:],
        "cohort": "shared",
        "segments": {"even": NAMES[::2], "odd": NAMES[1::2]},
        # A half has thirty customers: with less, noise might find it too small.
        "epsilon_micro": 4 * PRICE,
    },
    "intersection": {
        "kind": "intersection",
        "mode": "count",
        "customers": ASKED,
        "measure": {"what": "count"},
    },
    "joint-sum": {
        "kind": "joint-sum",
        "customers": ASKED,
        "measure": {"what": "sum", "field": "cost"},
        "epsilon_micro": 4 * PRICE,
    },
}


def crm_of(number: int) -> list[Fault]:
    """Return a maker's faults: of many more customers than are shared.

    By so many its cohorts differ, shared customers and all of them. A tenth of `PRICE`
    tests that: noise takes 85 customers too many for too few once in 10^18 times.
    """
    others = [
        Fault(f"VIN-{number}-{n:04}", REGIONS[n % 2], CODES[n % 3], WEEKS[0], 1000 + n)
        for n in range(100, 160)
    ]
    return [*faults(number), *others]


def agreed(
    made: Several, maker: str = "maker", asker: str = "asker", **more: Any
) -> str:
    """Publish a maker's faults, agree with an asker; return the agreement."""
    desk = made.desk(maker)
    folder = made.folder(maker)
    if not (folder / "crm.sqlite").exists():
        number = [*made.federation.nodes].index(maker) + 1
        write_crm(folder / "crm.sqlite", crm_of(number))
        desk.post("/management/datasets", declaration(folder / "crm.sqlite"))
    offer = {
        "partner": made.desk(asker).did,
        "dataset": "faults",
        "fields": {each["field"]: "aggregate" for each in AGGREGATES},
        "predicates": [],
        "aggregates": AGGREGATES,
        "allowance": {**ALLOWANCE, **more},
        "purposes": [PURPOSE],
        "valid_from": "2020-01-01T00:00:00Z",
        "valid_to": "2100-01-01T00:00:00Z",
        "calls_per_hour": 1_000_000,
        "rows_per_call": 100,
    }
    offered = desk.post("/management/offers", offer)
    path = f"/management/negotiations/{offered['consumerPid']}/accept"
    agreement = str(made.desk(asker).post(path, {})["agreement"]["@id"])
    made.desk(asker).declare(agreement, ASKED)
    return agreement


def draft(kind: str, *agreements: str, **more: Any) -> dict[str, Any]:
    """Return what the asker's people ask for."""
    return {"agreements": list(agreements), "purpose": PURPOSE, **DRAFTS[kind], **more}


def check_result(kind: str, result: Mapping[str, Any]) -> None:
    """Check a result against the maker's rows: exact where it must be, else near."""
    rows = crm_of(1)
    if kind in {"intersection", "joint-sum"}:
        assert result["count"] == COMMON, result
    if kind == "joint-sum":
        exact = sum(row.cost for row in rows if row.vin in NAMES)
        assert abs(result["sum"] - exact) <= within(result["spread"]), result
    if kind == "C":
        seen = defaultdict(set)
        for row in rows:
            seen[row.region, row.code].add(row.vin)
        cells = itertools.product(REGIONS, CODES)
        for cell, told in zip(cells, result["cells"], strict=True):
            if told is not None:
                # Cells of few are raised to below the least cohort.
                exact = max(len(seen[cell]), ALLOWANCE["k_min"] - 1)
                assert abs(told - exact) <= within(result["spread"]), result
    if kind == "R":
        assert len(result["cells"]) == 2 * len(CODES), result
    if kind == "flip":
        assert len(result["cells"]) == len(REGIONS), result


@dataclass
class Ledger:
    """What the maker's store held when it was looked at last.

    Attributes:
        plans: What each plan has taken, by its hash: price, committed, told.
        spent: By plan, what its receipts say.
    """

    plans: dict[str, sa.Row[Any]] = field(default_factory=dict)
    spent: dict[str, list[int]] = field(default_factory=dict)
    receipts: int = 0
    _parts: dict[tuple[str, str, int], bytes] = field(default_factory=dict)

    def look(self, engine: sa.Engine) -> None:
        """Check everything that must be true of the store."""
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
                connection.exec_driver_sql(level)
            rows = connection.execute(sa.select(t.spendings)).all()
            before, self.plans = self.plans, {row.plan: row for row in rows}
            for plan, row in before.items():
                if row.committed:  # and stays so, at this price
                    kept = self.plans[plan]
                    assert (kept.committed, kept.epsilon_micro) == (
                        True,
                        row.epsilon_micro,
                    )
            self._look_at_accounts(connection)
            self._look_at_receipts(connection)
            self._look_at_parts(connection)

    def _look_at_accounts(self, connection: sa.Connection) -> None:
        taken: dict[tuple[str, str], int] = defaultdict(int)
        for row in self.plans.values():
            for name, period in json.loads(row.accounts):
                taken[name, period] += row.epsilon_micro
        kept = {
            (row.account, row.period): row.spent
            for row in connection.execute(sa.select(t.budgets))
        }
        assert {each: n for each, n in kept.items() if n} == {
            each: n for each, n in taken.items() if n
        }

    def _look_at_receipts(self, connection: sa.Connection) -> None:
        c = t.receipts.c
        told: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.spent = defaultdict(list)
        rows = connection.execute(sa.select(c.core).order_by(c.sequence)).all()
        self.receipts = len(rows)
        for (core,) in rows:
            receipt = parse_receipt(json.loads(core))
            if receipt.plan is None:
                continue
            if receipt.spent:
                self.spent[receipt.plan].append(receipt.spent)
            if receipt.decision == "allow":
                told[receipt.plan, receipt.step or ""].add(receipt.response_hash or "")
                if receipt.step in _CHARGING:
                    assert self.plans[receipt.plan].told, receipt.plan
        assert all(len(hashes) == 1 for hashes in told.values()), told
        for plan, row in self.plans.items():
            price = [row.epsilon_micro] if row.told and row.epsilon_micro else []
            assert self.spent.get(plan, []) == price, plan
        assert self.spent.keys() <= self.plans.keys()

    def _look_at_parts(self, connection: sa.Connection) -> None:
        c = t.job_parts.c
        query = sa.select(c.job, c.stage, c.part, c.octets)
        made = {
            (row.job, row.stage, row.part): sha256(bytes(row.octets))
            for row in connection.execute(query)
        }
        for key, digest in self._parts.items():
            assert made[key] == digest, key
        self._parts = made


def jobs(engine: sa.Engine, role: Role = Role.CONSUMER) -> list[sa.Row[Any]]:
    """Return all jobs of a store in a role, oldest first."""
    with engine.connect() as connection:
        query = sa.select(t.jobs).where(t.jobs.c.role == role.value)
        return list(connection.execute(query.order_by(t.jobs.c.row)).all())
