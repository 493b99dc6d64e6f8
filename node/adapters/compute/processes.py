"""Worker processes of this node.

They are started when the first call comes, by *spawning*: a process that has threads
and connections is not copied. Whatever takes time on the way (starting a process,
opening pipes) is done in a thread, so that the event loop does not wait for it.

A worker that dies takes the whole pool with it (that is `ProcessPoolExecutor`'s way):
a new one is opened, and calls are made again.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final

from crypto.kernels.worker import Argument, Outcome, run
from node.adapters.compute.calls import Calls, WorkerLost
from node.adapters.compute.child import begin
from node.errors import Unavailable

_AHEAD: Final = 1
"""Calls that wait for each worker beside its present one: it has its next at hand."""


class Processes(Calls):
    """Implements `node.ports.aggregates.Compute`."""

    def __init__(self, workers: int) -> None:
        """Open nothing yet.

        Args:
            workers: Processes to have at most.
        """
        super().__init__()
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False
        self._owner = os.getpid()
        # One thread, so that what it does needs no locks.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")

    @property
    def width(self) -> int:
        """How many calls are worth having under way at once."""
        return self._workers * (1 + _AHEAD)

    async def close(self) -> None:
        """End the workers, each after the call it is doing."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._end)
        self._thread.shutdown()

    async def _send(self, name: str, arguments: Sequence[Argument]) -> Outcome:
        if os.getpid() != self._owner:
            message = "workers belong to the process that opened them"
            raise RuntimeError(message)
        if self._closed:
            raise _closing()
        loop = asyncio.get_running_loop()
        try:
            future = await loop.run_in_executor(
                self._thread, self._submit, name, arguments
            )
            return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            raise WorkerLost("a worker process died") from error

    def _submit(self, name: str, arguments: Sequence[Argument]) -> "Future[Outcome]":
        if self._closed:
            raise _closing()
        if self._pool is None:
            self._pool = self._opened()
        try:
            return self._pool.submit(run, name, arguments)
        except BrokenProcessPool:
            # It broke under an earlier call: nothing of it is left to shut down.
            self._pool = self._opened()
            return self._pool.submit(run, name, arguments)

    def _opened(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=begin,
        )

    def _end(self) -> None:
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _closing() -> Unavailable:
    return Unavailable("compute.unavailable", "The node is closing.")
