"""Tables over the rows of a CRM: what reading, clipping and noise take.

A synthetic CRM in SQLite, one row for each thing that went wrong with a vehicle. The
table counts customers by reason and region: 50 by 40, 2,000 cells, each customer in
three at most. `Tally` does what it does in a node, with the store left out.
"""

import asyncio
import datetime
import secrets
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from benchmarks.federated import Took
from crypto import noise
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from crypto.parameters import parameter_set
from ledger.plans import Group, Kind, Measure, Party, Plan
from node.adapters.crm.opening import CrmSources
from node.domain.dataset import (
    CustomerKey,
    Dataset,
    Field,
    FieldType,
    Grade,
    Mode,
    Source,
    Title,
)
from node.domain.noised import Noised, noised
from node.services.aggregates.earlier import Known
from node.services.aggregates.tally import Tally
from tests.support.runs import MemoryRun

REASONS: Final = tuple(f"reason {number}" for number in range(50))
REGIONS: Final = tuple(f"region {number}" for number in range(40))
HEAT: Final = parameter_set("bfv-8192-41")
ASKER, OWNER = "did:web:asker.example", "did:web:owner.example"


def filled(file: Path, rows: int) -> None:
    """Make a CRM with so many rows, of a third as many customers."""
    with closing(sqlite3.connect(file)) as crm:
        crm.execute("CREATE TABLE faults (id INTEGER PRIMARY KEY, who, why, place)")
        made = (
            (
                number,
                f"C-{number * 7919 % (rows // 3 + 1):08}",
                REASONS[number * 31 % 50],
                REGIONS[number * 17 % 40],
            )
            for number in range(rows)
        )
        crm.executemany("INSERT INTO faults VALUES (?, ?, ?, ?)", made)
        crm.commit()


def dataset(file: Path) -> Dataset:
    """Declare that CRM."""
    named = Title(en="Faults", zh="故障")
    fields = tuple(
        Field(
            name=name,
            column=column,
            type=FieldType.TEXT,
            title=named,
            grade=Grade.GENERAL,
            personal=False,
            modes=frozenset({Mode.AGGREGATE}),
        )
        for name, column in (("reason", "why"), ("region", "place"))
    )
    source = Source(
        url=f"sqlite:///{file}", relation="faults", record="id", timeout_s=60
    )
    return Dataset(
        id="faults",
        title=named,
        source=source,
        customer=CustomerKey(column="who", rule="exact"),
        fields=fields,
    )


def plan() -> Plan:
    """Ask for the table: 2,000 cells."""
    return Plan(
        kind=Kind.HEAT_MAP,
        mode="C",
        round="ab" * 32,
        asker=ASKER,
        parties=(
            Party(did=OWNER, agreement="a", agreement_hash="ab" * 32, dataset="faults"),
        ),
        purpose="service",
        groups=(
            Group(field="reason", grain="value", values=REASONS),
            Group(field="region", grain="value", values=REGIONS),
        ),
        measure=Measure(what="count", field=None, bound=1),
        filters=(),
        cohort="all",
        contribution=3,
        epsilon_micro=1_000_000,
        k_min=10,
        parameters=HEAT.name,
        key=None,
        size=0,
        segments=None,
        segment_labels=(),
        totals=(),
        commitment=None,
        replaces=None,
        created="2026-11-23T00:00:00Z",
        expires="2026-11-23T12:00:00Z",
        key_id=f"{ASKER}#ed25519-x",
    )


class _NoStore:
    """A store in which no plan was asked before."""

    async def read(self, _: Any) -> Known:
        return Known(
            others=(), positions={}, size=0, declaration=None, reservation=None
        )


class _Clock:
    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)

    def elapsed_ms(self) -> float:
        return time.perf_counter() * 1000


def tallied(file: Path) -> float:
    """Count the table of a CRM; return milliseconds, from plan to noised cells."""
    asked, sources = plan(), CrmSources({})
    tally = Tally(
        sources=cast("Any", sources),
        store=cast("Any", _NoStore()),
        clock=_Clock(),
        randomness=secrets.token_bytes,
    )
    under = SimpleNamespace(
        id="a", dataset="faults", terms=SimpleNamespace(allowance=None)
    )
    of = SimpleNamespace(dataset=dataset(file), report={})
    begun = time.perf_counter()
    (party,) = asked.parties
    counted = tally.cells(
        asked, party, cast("Any", under), cast("Any", of), MemoryRun()
    )
    try:
        found = asyncio.run(counted)
    finally:
        sources.close()
    assert len(found.cells) == asked.cell_count
    return (time.perf_counter() - begun) * 1000


def heat_table() -> Noised:
    """Return a noised table of 2,000 cells."""
    asked = plan()
    exact = [cell % 97 for cell in range(asked.cell_count)]
    return noised(
        asked,
        customers=exact,
        sums=exact,
        laplace=noise.laplace,
        spread=noise.spread,
    )


def heat_map() -> Took:
    """Send a table through mode C."""
    name, took, asked = HEAT.name.encode(), Took(), plan()
    weights = [1 + cell % 100 for cell in range(asked.cell_count)]
    owner, asker = "owner", "asker"
    table = took.timed(owner, "noise and suppression", heat_table)
    bound, most = numbers([table.bound]), numbers([HEAT.most])
    pair = took.timed(owner, "make a key", lambda: bfv.key_pair(name))
    secret, public = unpack(pair)
    cells = numbers(table.cells)
    row = took.timed(owner, "encrypt", lambda: bfv.encrypt(name, public, bound, cells))
    blinding = [secrets.randbelow(HEAT.plain_modulus) for _ in range(HEAT.slots)]
    term = bfv.term(row, numbers(weights), 100)
    part = pack(numbers(blinding), secrets.token_bytes(32), term)
    sent = took.timed(
        asker,
        "weigh, blind, drown in noise",
        lambda: bfv.combine_part(name, public, bound, part),
    )
    opened = took.timed(owner, "decrypt", lambda: bfv.decrypt(name, secret, most, sent))
    found = [
        (value - hidden) % HEAT.plain_modulus
        for value, hidden in zip(parse_numbers(opened), blinding, strict=True)
    ]
    weighed = [cell * weight for cell, weight in zip(table.cells, weights, strict=True)]
    assert found[: len(weighed)] == weighed
    took.sent = {"key": len(public), "table": len(row)}
    took.sent |= {"result": len(sent), "opened": len(opened)}
    return took
