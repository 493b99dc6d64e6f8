"""Companies that ask each other for figures: real nodes, real CRMs, no sockets.

    async with open_companies(tmp_path, providers=3) as world:
        job = await world.ask(kind="heat-map", mode="C", …)
        assert job["state"] == "done"

Each provider has a CRM of faults: who (`vin`), where (`region`), which (`code`), when
(`seen_on`) and what it cost. Customers `VIN-0…` are common to all; each has its own.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.memory_chain import MemoryChain
from node.domain.denials import DENIALS
from tests.support.node import FixedClock, Node, Wire, found, start

PURPOSE = "quality-analysis"
COMMON, OWN = 60, 30
"""Customers that all have, and that each has for itself."""
REGIONS, CODES = ("north", "south"), ("P0A80", "P0A1F", "U0100")
WEEKS = ("2026-10-05", "2026-10-12")
AGGREGATES = [
    {"field": "code", "uses": ["filter", "group"]},
    {"field": "cost", "uses": ["sum"], "bound": "500.00"},
    {"field": "region", "uses": ["filter", "group"]},
    {"field": "seen_on", "uses": ["filter", "group"], "grains": ["week"]},
]
ALLOWANCE = {
    "epsilon_micro": 100_000_000,
    "period": "year",
    "k_min": 5,
    "plans_per_day": 50,
    "matching": "list",
    "match_size": 1000,
}
HEAT_MAP: dict[str, Any] = {
    "kind": "heat-map",
    "mode": "C",
    "groups": [
        {"field": "region", "values": list(REGIONS)},
        {"field": "code", "values": list(CODES)},
    ],
    "measure": {"what": "count"},
    "contribution": 2,
    "epsilon_micro": 4_000_000,
}
"""A draft: whose agreements and purpose it is under is still to be said."""
_COLUMNS: dict[str, dict[str, Any]] = {
    "code": {"type": "text"},
    "cost": {"type": "money", "unit": "CNY", "scale": 2},
    "region": {"type": "text"},
    "seen_on": {"type": "date"},
}


OF_PLANS = frozenset(
    code
    for code in DENIALS
    if code.split(".")[0]
    in {
        *("plan", "aggregate", "matching", "cohort", "parties", "plans", "budget"),
        *("roster", "round", "ciphertext", "points", "result", "commitment"),
        "key",
    }
)
"""Denial codes that only steps of plans meet."""


@dataclass(frozen=True)
class Fault:
    """A row of a CRM; `cost` in cents."""

    vin: str
    region: str
    code: str
    seen_on: str
    cost: int


def faults(number: int) -> list[Fault]:
    """Return the rows of a provider: one or two of each customer, by a fixed rule."""
    names = [f"VIN-{n:04}" for n in range(COMMON)]
    names += [f"VIN-{number}-{n:04}" for n in range(OWN)]
    return [
        Fault(
            vin=name,
            region=REGIONS[(n + again) % 2],
            code=CODES[(n * number + again) % 3],
            seen_on=WEEKS[n % 2],
            cost=1000 + 37 * n + again,
        )
        for n, name in enumerate(names)
        for again in range(1 + n % 2)
    ]


def write_crm(file: Path, rows: Sequence[Fault]) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "CREATE TABLE faults (id TEXT PRIMARY KEY, vin, region, code, seen_on, cost,"
            " phone)"
        )
        connection.executemany(
            "INSERT INTO faults VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    f"F{n}",
                    row.vin,
                    row.region,
                    row.code,
                    row.seen_on,
                    f"{row.cost // 100}.{row.cost % 100:02}",
                    f"canary-phone-{n}",
                )
                for n, row in enumerate(rows)
            ],
        )
        connection.commit()


def declaration(file: Path) -> dict[str, Any]:
    common = {"grade": "general", "personal": False, "modes": ["aggregate"]}
    return {
        "dataset": "faults",
        "title": {"en": "Faults", "zh": "故障"},
        "source": {"url": f"sqlite:///{file}", "table": "faults", "record": "id"},
        "customer": {"column": "vin", "rule": "exact"},
        "fields": {
            name: {"column": name, "title": {"en": name, "zh": name}, **kind, **common}
            for name, kind in _COLUMNS.items()
        },
    }


@dataclass
class Companies:
    """An asker and its providers."""

    folder: Path
    clock: FixedClock
    wire: Wire
    asker: Node
    providers: list[Node]
    rows: list[list[Fault]]
    agreements: list[str]

    async def agree(self, provider: Node, **terms: Any) -> str:
        offer = {
            "partner": self.asker.did,
            "dataset": "faults",
            "fields": {each["field"]: "aggregate" for each in AGGREGATES},
            "predicates": [],
            "aggregates": AGGREGATES,
            "allowance": ALLOWANCE,
            "purposes": [PURPOSE],
            "valid_from": "2026-11-01T00:00:00Z",
            "valid_to": "2027-05-01T00:00:00Z",
            "calls_per_hour": 1000,
            "rows_per_call": 100,
            **terms,
        }
        made = await provider.manage("/management/offers", offer)
        path = f"/management/negotiations/{made['consumerPid']}/accept"
        agreed = await self.asker.manage(path, {})
        agreement: str = agreed["agreement"]["@id"]
        return agreement

    def draft(self, *numbers: int, **members: Any) -> dict[str, Any]:
        """Return a draft that asks providers by number; the first without any."""
        agreements = [self.agreements[n] for n in numbers or (0,)]
        return {"agreements": agreements, "purpose": PURPOSE, **members}

    async def ask(self, *numbers: int, **members: Any) -> dict[str, Any]:
        """Draw a plan up, wait, and return the job."""
        draft = self.draft(*numbers, **members)
        begun = await self.asker.manage("/management/aggregates", draft)
        return await self.wait(begun["job"])

    async def wait(self, job: str) -> dict[str, Any]:
        await self.asker.services.aggregates.jobs.wait(job)
        found: dict[str, Any] = await self.asker.manage(f"/management/jobs/{job}")
        return found


@contextlib.asynccontextmanager
async def open_companies(
    folder: Path, *, providers: int = 1, agree: Mapping[str, Any] | None = None
) -> AsyncIterator[Companies]:
    """Start an asker and providers that have agreed with it.

    Args:
        agree: Terms that differ from the usual ones.
    """
    clock, wire, registry = FixedClock(), Wire(), folder / "participants.json"
    names = ["asker", *(f"provider{n}" for n in range(1, providers + 1))]
    for number, name in enumerate(names):
        (folder / name).mkdir()
        found(folder / name, name, 8100 + number, registry)
        with (folder / name / "node.yaml").open("a") as settings:
            settings.write("company: {max_epsilon_micro: 1000000000}\n")
    async with contextlib.AsyncExitStack() as stack:
        nodes = []
        for name in names:
            chain = MemoryChain(member="0x" + "00" * 20)
            node = await start(folder / name, clock=clock, wire=wire, anchors=chain)
            stack.push_async_callback(node.stop)
            nodes.append(node)
        world = Companies(
            folder=folder,
            clock=clock,
            wire=wire,
            asker=nodes[0],
            providers=nodes[1:],
            rows=[faults(n) for n in range(1, providers + 1)],
            agreements=[],
        )
        for node, rows in zip(world.providers, world.rows, strict=True):
            file = node.folder / "crm.sqlite"
            write_crm(file, rows)
            await node.manage("/management/datasets", declaration(file))
            world.agreements.append(await world.agree(node, **(agree or {})))
        yield world
