"""A loopback port that is listened on in a thread, with an event loop of its own.

So that what stands between two companies (a tap, a reverse proxy) can run in the
process that plays the story, whose code does not wait for it.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Listener(ABC):
    """Listens while it is entered; `_relay` says what becomes of a connection."""

    def __init__(self, port: int, *, limit: int = 1 << 16) -> None:
        """Take a port, without listening yet.

        Args:
            limit: Octets that are read ahead of each connection.
        """
        self._port, self._limit = port, limit
        self._relaying: set[asyncio.Task[None] | None] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening. Open connections are dropped."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @abstractmethod
    async def _relay(
        self, caller: asyncio.StreamReader, to_caller: asyncio.StreamWriter
    ) -> None:
        """Serve one connection, and close it."""

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._hold, "127.0.0.1", self._port, limit=self._limit
        )

    async def _hold(
        self, caller: asyncio.StreamReader, to_caller: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        self._relaying.add(task)  # nobody else holds it
        try:
            await self._relay(caller, to_caller)
        finally:
            self._relaying.discard(task)

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
