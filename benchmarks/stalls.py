"""How long the event loop stands still while a node is asked for figures.

    python -m benchmarks.stalls [--customers 20000]

Asker and provider run in one process and on one event loop, with two worker processes
for each: what the loop waits for here, neither of two nodes waits for longer. Two more
providers, for sums of three, have a thousand customers each, so that one of four reads
its CRM for long, as on machines of their own.
"""

import argparse
import asyncio
import functools
import gc
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from node.adapters.compute.processes import Processes
from node.background import SWITCH_S
from tests.support import companies, node
from tests.support.companies import REGIONS, Companies, Fault
from tests.support.compute import Ticking

PURPOSE = companies.PURPOSE
_CODES = [f"P{n:04}" for n in range(1000)]
_EPSILON = 4_000_000


def rows(customers: int) -> list[Fault]:
    """Return two faults of each customer."""
    return [
        Fault(
            vin=f"VIN-{n:07}",
            region=REGIONS[n % 2],
            code=_CODES[(n * 7 + again) % len(_CODES)],
            seen_on="2026-10-05",
            cost=1000 + n % 5000,
        )
        for n in range(customers)
        for again in range(2)
    ]


async def measured(customers: int) -> AsyncIterator[str]:
    """Return a line for each kind of plan."""
    made = {1: rows(customers)}
    ours = [replace(each, vin=f"VIN-{2 * int(each.vin[4:]):07}") for each in made[1]]
    allowance = {**companies.ALLOWANCE, "match_size": 2 * customers}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(companies, "faults", lambda n: made.get(n) or rows(1000)),
        mock.patch.object(node, "ThreadCompute", functools.partial(Processes, 2)),
    ):
        async with companies.open_companies(
            Path(folder), providers=3, agree={"allowance": allowance}
        ) as world:
            file = Path(folder) / "ours.sqlite"
            companies.write_crm(file, ours)
            declared = companies.declaration(file)
            await world.asker.manage("/management/datasets", declared)
            gc.freeze()  # as a node does when it has started, and the next
            sys.setswitchinterval(SWITCH_S)
            for numbers, draft in _drafts():
                yield await _asked(world, numbers, draft)
            gc.unfreeze()


def _drafts() -> list[tuple[tuple[int, ...], dict[str, Any]]]:
    groups = [
        {"field": "region", "values": list(REGIONS)},
        {"field": "code", "values": _CODES},
    ]
    table = {"groups": groups, "measure": {"what": "count"}, "contribution": 2}
    table |= {"epsilon_micro": _EPSILON}
    joint = {"measure": {"what": "sum", "field": "cost"}, "epsilon_micro": _EPSILON}
    return [
        ((0,), {"kind": "heat-map", "mode": "C", **table}),
        ((0,), {"kind": "heat-map", "mode": "flip", "totals": ["region"], **table}),
        ((0, 1, 2), {"kind": "federated-sum", **table}),
        ((0,), {"kind": "intersection", "mode": "count", "ours": "faults"}),
        ((0,), {"kind": "joint-sum", "ours": "faults", **joint}),
    ]


async def _asked(
    world: Companies, numbers: tuple[int, ...], draft: dict[str, Any]
) -> str:
    begun = time.perf_counter()
    async with Ticking() as ticking:
        job = await world.ask(*numbers, **draft)
    took = time.perf_counter() - begun
    name = f"{draft['kind']} {draft.get('mode', '')}".strip()
    state = job["state"] if job["state"] == "done" else job["error"]
    waited = f"{ticking.worst_ms:.1f} ms, {ticking.worked_ms:.1f} ms of them at work"
    return f"{name}: {state} in {took:.1f} s, loop waited {waited}"


async def _main(customers: int) -> int:
    print(f"{customers:,} customers on either side, half of them shared")  # noqa: T201
    async for line in measured(customers):
        print(line, flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=20_000)
    sys.exit(asyncio.run(_main(parser.parse_args().customers)))
