"""Workers of a Dask cluster: more machines than this one.

The cluster is the company's own, and its workers have this product installed, the
same version as the node; what they are given are names of kernels and octets. Dask
sends a task that a worker died over to another; where it gives up, or is not there
for a moment, the call is made again.

Dask's client writes and reads messages on its event loop, some milliseconds for each
megabyte. So it has a loop of its own, in a thread, beside the one that answers calls.

Keys travel to workers. So the way is encrypted (`tls://`), with certificates of both
sides that Dask's own settings name (`distributed.comm.tls`); `tcp://` is for workers
on this machine (`node.config`).

Source: docs of distributed 2026.7, "Resilience" and "TLS".
"""

import asyncio
from collections.abc import Coroutine, Sequence
from threading import Thread
from typing import Any, Final, TypeVar

from crypto.kernels.worker import Argument, Outcome, run
from node.adapters.compute.calls import Calls, WorkerLost

_CONNECT_S: Final = 10.0
_LOOK_EVERY_S: Final = 10.0
"""How often it is looked whether there still is a worker."""
_RETRIES: Final = 2
"""Times that Dask itself tries a task again that failed for no fault of the kernel."""
_AHEAD: Final = 2
"""Calls under way for each thread of the cluster, for the way takes time."""
T = TypeVar("T")


class Cluster(Calls):
    """Implements `node.ports.aggregates.Compute`."""

    def __init__(self, address: str) -> None:
        """Connect to nothing yet.

        Args:
            address: URL of the scheduler.
        """
        super().__init__()
        self._address = address
        self._client: Any = None
        self._connecting = asyncio.Lock()
        self._threads = 1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beside: Thread | None = None

    @property
    def width(self) -> int:
        """How many calls are worth having under way at once."""
        return self._threads * _AHEAD

    async def close(self) -> None:
        """Leave the cluster as it is, and close the way to it."""
        if self._loop is None or self._beside is None:
            return
        await self._there(self._leave(self._client))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._beside.join)
        self._loop.close()
        self._loop = self._beside = None

    async def _send(self, name: str, arguments: Sequence[Argument]) -> Outcome:
        return await self._there(self._sent_there(name, arguments))

    async def _there(self, doing: Coroutine[Any, Any, T]) -> T:
        """Do something on the client's own loop."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._beside = Thread(
                target=self._loop.run_forever, name="dask", daemon=True
            )
            self._beside.start()
        future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        return await asyncio.wrap_future(future)

    async def _sent_there(self, name: str, arguments: Sequence[Argument]) -> Outcome:
        client = await self._connected()
        try:
            future = client.submit(run, name, arguments, pure=False, retries=_RETRIES)
        except Exception as error:
            # A client that lost its scheduler raises what it happens to run into.
            await self._leave(client)
            raise WorkerLost("the cluster took no call") from error
        waiting = asyncio.ensure_future(_settled(future))
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=_LOOK_EVERY_S)
                if not (waiting.done() or await self._look(client)):
                    raise WorkerLost("the cluster has no worker")
            return waiting.result()
        finally:
            waiting.cancel()
            future.release()

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._client is not None and self._client.status == "running":
                return self._client
            await self._leave(self._client)
            client = await _connect(self._address)
            if not await self._look(client):
                await self._leave(client)
                raise WorkerLost("the cluster has no worker")
            self._client = client
            return client

    async def _look(self, client: Any) -> bool:
        """See how many threads the cluster has; False where it has none."""
        try:
            threads = await asyncio.wait_for(client.nthreads(), _CONNECT_S)
        except (OSError, TimeoutError):
            return False
        self._threads = max(sum(threads.values()), 1)
        return bool(threads)

    async def _leave(self, client: Any) -> None:
        if client is self._client:
            self._client = None
        if client is not None:
            await client.close()


async def _connect(address: str) -> Any:
    # It takes a quarter of a second to load, which most nodes need not.
    import dask  # noqa: PLC0415
    import distributed  # noqa: PLC0415

    untyped: Any = distributed
    # Where it warns of large calls, it would have us hand them over in another way.
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
    encrypted = address.startswith("tls://")
    security = untyped.Security(require_encryption=True) if encrypted else None
    client = untyped.Client(
        address,
        asynchronous=True,
        set_as_default=False,
        security=security,
        timeout=_CONNECT_S,
        name="fieldpact",
    )
    try:
        return await client
    except Exception as error:
        # Without a certificate of ours that is a TypeError, deep within.
        await client.close()
        reason = f"the scheduler cannot be reached ({type(error).__name__})"
        raise WorkerLost(reason) from error


async def _settled(future: Any) -> Outcome:
    """Return what a task returned, whatever became of it being told as one error."""
    fault = await future.exception()
    if fault is not None or future.cancelled():
        raise WorkerLost(f"the cluster gave up ({type(fault).__name__})")
    try:
        outcome: Outcome = await future
    except Exception as error:
        # Its result went with the worker that had it.
        raise WorkerLost("the result was lost") from error
    return outcome
