"""How long heavy arithmetic takes in workers, and how little the event loop sees of it.

python -m benchmarks.compute
"""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psutil

from crypto.encoding import sha256
from crypto.kernels import bfv, psi, selftest
from crypto.kernels.packing import numbers, pack, unpack
from node.adapters.compute.calls import Calls
from node.ports.aggregates import Shared
from tests.support.compute import Ticking, dask, local_cluster, processes

NAME = b"bfv-8192-41"
WORKERS, RELEASES, LISTS, CALLS = 2, 12, 4, 200
SESSION = bytes(range(32))


@asynccontextmanager
async def places() -> AsyncIterator[dict[str, Calls]]:
    """Give two worker processes, and a cluster of two workers."""
    async with (
        processes(WORKERS) as pool,
        local_cluster(WORKERS) as cluster,
        dask(cluster) as far,
    ):
        yield {"processes": pool, "cluster": far}


async def measured() -> list[str]:
    """Return the figures, line by line."""
    async with Ticking() as ticking:
        await asyncio.sleep(3)
    found = [f"with nothing to do, the event loop waited {ticking.worst_ms:.1f} ms"]
    found.append(await _first())
    async with places() as there:
        for name, compute in there.items():
            found += [f"{name}: {line}" for line in await _used(compute)]
    return found


async def _first() -> str:
    """Start one worker; see how long its first call takes, and how large it is."""
    me = psutil.Process()
    before = {child.pid for child in me.children()}
    async with processes(1) as compute:
        begun = time.perf_counter()
        async with Ticking() as ticking:
            await compute(psi.key, bytes(range(64)))
        first = time.perf_counter() - begun
        sizes = [_size(before, me)]
        begun = time.perf_counter()
        await compute(selftest.check)
        check = time.perf_counter() - begun
        sizes.append(_size(before, me))
    return (
        f"a worker: first answer after {first:.2f} s, {sizes[0]:.0f} MiB then, "
        f"{sizes[1]:.0f} MiB after the known answers ({check:.2f} s); the event loop "
        f"waited {ticking.worst_ms:.1f} ms at most meanwhile"
    )


def _size(before: set[int], me: psutil.Process) -> float:
    new = [child for child in me.children() if child.pid not in before]
    return max(child.memory_info().rss for child in new) / 2**20


async def _used(compute: Calls) -> list[str]:
    _, public = unpack(bfv.key_pair(NAME))
    key, bound = Shared(digest=sha256(public), octets=public), numbers([1000])
    row = bfv.encrypt(NAME, public, bound, numbers([7] * 8192))
    term = bfv.term(row, numbers([3] * 8192), 3)
    points = psi.dummies(numbers([10_000]), SESSION)
    scalar = psi.key(bytes(range(64)))

    async def release(number: int) -> None:
        seed = number.to_bytes(32, "big")
        await compute(bfv.combine, NAME, key, bound, b"", seed, term)

    await asyncio.gather(*map(release, range(compute.width)))
    begun = time.perf_counter()
    async with Ticking() as ticking:
        await asyncio.gather(
            *map(release, range(RELEASES)),
            *(compute(psi.multiply, scalar, points) for _ in range(LISTS)),
        )
    took = time.perf_counter() - begun
    return [
        (
            f"{RELEASES} releases of 8,192 slots and {LISTS} lists of 10,000 points: "
            f"{took:.2f} s; the event loop waited {ticking.worst_ms:.1f} ms at most, "
            f"{ticking.worked_ms:.1f} ms for what it did itself"
        ),
        f"one call, there and back: {await _round_trip(compute):.2f} ms",
    ]


async def _round_trip(compute: Calls) -> float:
    took = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        await compute(psi.matches, b"", pack())
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def lines() -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    yield f"{os.cpu_count()} processors, {WORKERS} workers"
    yield from asyncio.run(measured())


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
