"""An intersection-sum beside a plain intersection count, of the same sets.

    python -m benchmarks.intersection [--sizes 1000,10000,100000] [--workers 2]

Both sides of FP-PSI-SUM-1 run in this process, as nodes run them, with everything but
the transport, the policy and the store: blinding, padding, commitments, encrypted
values, masks, flood, noise. Their arithmetic is done by worker processes, as many as
the machine has cores, which both sides share. Half of each set is shared.

Beside it openmined_psi counts the intersection of the same sets (raw server set, no
false positives, client and server after each other). It is one thread: it holds
Python's lock, and neither pads nor sums. Seconds of processors are told, too: those
depend less on what else the machine does.
"""

import argparse
import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import private_set_intersection.python as openmined
import psutil

from crypto.kernels import psi as kernels
from crypto.noise import laplace
from ledger.plans import Kind
from node.adapters.compute.processes import Processes
from node.ports.aggregates import Kernel, Shared
from tests.support.matching import Companies, did, plan_of
from tests.support.runs import MemoryRun

WORKERS = 2


class PooledRun(MemoryRun):
    """A run in memory whose arithmetic is done by worker processes."""

    def __init__(self, compute: Processes) -> None:
        super().__init__()
        self.pool = compute

    async def map(
        self,
        stage: str,
        kernel: Kernel,
        parts: Sequence[bytes],
        *common: bytes | Shared,
        size: int = 1,  # noqa: ARG002  # nobody is shown how far it is
    ) -> list[bytes]:
        made: dict[int, bytes] = {}
        waiting = iter(range(len(parts)))

        async def work() -> None:
            for number in waiting:
                made[number] = await self.pool(kernel, *common, parts[number])

        if (stage, 0) not in self.kept:
            await asyncio.gather(*(work() for _ in range(self.pool.width)))
            self.kept.update({(stage, number): made[number] for number in made})
        return [self.kept[stage, number] for number in range(len(parts))]

    async def compute(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        return await self.pool(kernel, *arguments)


@dataclass(frozen=True)
class Sets:
    """What the two sides hold: as many customers each, half of them shared."""

    ours: Sequence[str]
    theirs: Mapping[str, int]

    @classmethod
    def of(cls, size: int) -> "Sets":
        """Return sets of a size."""
        names = [f"VIN{number:014}" for number in range(size * 3 // 2)]
        held = {name: place % 10_000 for place, name in enumerate(names[size // 2 :])}
        return cls(ours=names[:size], theirs=held)

    @property
    def both(self) -> list[str]:
        """The customers that are shared."""
        return [each for each in self.ours if each in self.theirs]


@dataclass(frozen=True)
class Took:
    """Seconds on the clock, and of processors: this process and its workers."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Took":
        """Return what has passed so far."""
        me = psutil.Process()
        spent = [each.cpu_times() for each in (me, *me.children(recursive=True))]
        cpu = sum(each.user + each.system for each in spent)
        return cls(wall=time.perf_counter(), cpu=cpu)

    def __sub__(self, begun: "Took") -> "Took":
        return Took(wall=self.wall - begun.wall, cpu=self.cpu - begun.cpu)

    def __str__(self) -> str:
        return f"{self.wall:.2f} s (processors {self.cpu:.2f} s)"


async def summed(sets: Sets, compute: Processes) -> tuple[Took, dict[str, int]]:
    """Play an intersection-sum; return what it took, and octets sent by each side."""
    companies = Companies(sets.theirs, noise=laplace)
    companies.serve(Kind.JOINT_SUM)
    begun = Took.now()
    round_id, mine = await companies.prepared(sets.ours, PooledRun(compute))
    signed = plan_of(Kind.JOINT_SUM, mine, round_id)
    companies.calls.runs[did(1), signed.plan.plan_hash] = PooledRun(compute)
    asking = companies.asking(Kind.JOINT_SUM)
    told = await asking(signed, mine.inputs, PooledRun(compute))
    took = Took.now() - begun
    exact = sum(sets.theirs[each] for each in sets.both)
    assert told["count"] == len(sets.both)
    assert abs(told["sum"] - exact) <= 10 * told["spread"]
    sent = {
        "asker": sum(len(call.payload) for call, _ in companies.calls.sent),
        "provider": sum(len(answer.payload) for _, answer in companies.calls.sent),
    }
    return took, sent


def counted(sets: Sets) -> tuple[Took, int]:
    """Count the intersection with openmined_psi; return what it took, and octets."""
    begun = Took.now()
    client = openmined.client.CreateWithNewKey(False)
    server = openmined.server.CreateWithNewKey(False)
    raw, held = openmined.DataStructure.RAW, list(sets.theirs)
    setup = server.CreateSetupMessage(0.001, len(sets.ours), held, raw)
    request = client.CreateRequest(list(sets.ours))
    response = server.ProcessRequest(request)
    found = client.GetIntersectionSize(setup, response)
    took = Took.now() - begun
    assert found == len(sets.both)
    messages = (setup, request, response)
    return took, sum(len(each.SerializeToString()) for each in messages)


async def _measured(sizes: Sequence[int], workers: int) -> list[str]:
    compute, found = Processes(workers), []
    try:
        # Workers start, and load what they compute with, before anything is timed.
        started = (compute(kernels.key, secrets.token_bytes(64)) for _ in range(8))
        await asyncio.gather(*started)
        for _ in range(workers * 2):
            await summed(Sets.of(100), compute)
        for size in sizes:
            sets = Sets.of(size)
            took, sent = await summed(sets, compute)
            plain, octets = await asyncio.to_thread(counted, sets)
            found.append(_line(size, workers, took, sent, plain, octets))
    finally:
        await compute.close()
    return found


def _line(
    size: int, workers: int, took: Took, sent: Mapping[str, int], *plain: Any
) -> str:
    other, octets = plain
    return (
        f"{size} x {size}: intersection-sum {took} on {workers} workers,"
        f" {sent['asker'] / 1e6:.1f} MB to and {sent['provider'] / 1e6:.1f} MB from"
        f" the provider; openmined_psi, count alone {other},"
        f" {octets / 1e6:.1f} MB; ratio {took.wall / other.wall:.2f}"
    )


def lines(sizes: Sequence[int] = (100_000,), workers: int = WORKERS) -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    yield from asyncio.run(_measured(sizes, workers))


def main() -> None:
    """Measure the sizes that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="100000")
    parser.add_argument("--workers", type=int, default=WORKERS)
    wanted = parser.parse_args()
    for line in lines([int(each) for each in wanted.sizes.split(",")], wanted.workers):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
