"""Places to compute in, and kernels that take long, die or refuse on purpose."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Self

import distributed

from node.adapters.compute.dask import Cluster
from node.adapters.compute.processes import Processes

_USUAL_MS = 10.0
"""Processor time that `slowness` takes on a usual machine."""


@contextlib.asynccontextmanager
async def processes(workers: int = 2) -> AsyncIterator[Processes]:
    """Give worker processes of this machine."""
    pool = Processes(workers)
    try:
        yield pool
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def local_cluster(workers: int = 2, **given: Any) -> AsyncIterator[Any]:
    """Give a scheduler, here, and workers in processes of their own."""
    untyped: Any = distributed
    async with untyped.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",  # it is opened whatever is said here
        asynchronous=True,
        host="127.0.0.1",
        **given,
    ) as cluster:
        yield cluster


@contextlib.asynccontextmanager
async def dask(cluster: Any) -> AsyncIterator[Cluster]:
    """Give the node's side of a cluster."""
    compute = Cluster(cluster.scheduler_address)
    try:
        yield compute
    finally:
        await compute.close()


def slowness() -> float:
    """Return how many times longer this machine takes than a usual one; at least 1.

    A bound on processor time is to be multiplied with it.
    """
    took_ms = []
    for _ in range(5):
        began = time.thread_time()
        sum(map(hash, map(str, range(100_000))))
        took_ms.append((time.thread_time() - began) * 1000)
    return max(1.0, max(took_ms) / _USUAL_MS)


class Ticking:
    """A task that should come round every few milliseconds: how late it was at most.

    Attributes:
        worst_ms: How long the event loop stood still, for whatever reason.
        worked_ms: Processor time that was spent on it meanwhile, at most: how long our
            own code held it up, however many other programs are running.
    """

    def __init__(self, every_s: float = 0.002) -> None:
        self._every_s = every_s
        self.worst_ms = self.worked_ms = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _tick(self) -> None:
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(self._every_s)
            self.worked_ms = max(self.worked_ms, (time.thread_time() - worked) * 1000)
            late = time.perf_counter() - before - self._every_s
            self.worst_ms = max(self.worst_ms, late * 1000)
