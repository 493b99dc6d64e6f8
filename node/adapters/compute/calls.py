"""How a call reaches a worker, whatever carries it.

Shared octets travel by their digest once a worker has had them. A worker that lacks
them says so; the call then comes again with them.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from crypto.kernels.worker import Argument, Named, Outcome, name_of, result_of
from node.errors import Unavailable
from node.ports.aggregates import Kernel, Shared

AGAIN: Final = 3
"""How often a call is made again whose worker died."""
_REMEMBERED: Final = 1024
"""Digests of octets that were sent; those that are forgotten are sent again."""
_log = logging.getLogger("fieldpact")


class WorkerLost(Exception):
    """A worker died, or the way to it; what it was doing is done again."""


class Calls(ABC):
    """Implements `node.ports.aggregates.Compute` over something that carries calls."""

    def __init__(self) -> None:
        self._sent: set[bytes] = set()

    async def __call__(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        """Run a kernel in another process; return what it returns.

        Raises:
            CryptoError: What the kernel raised.
            Unavailable: No worker could do it (`compute.unavailable`).
            ValueError: Not a kernel.
        """
        name = name_of(kernel)
        outcome = await self._tried(name, [self._lean(each) for each in arguments])
        if outcome.lacking:
            outcome = await self._tried(name, [_whole(each) for each in arguments])
        return result_of(outcome)

    @property
    @abstractmethod
    def width(self) -> int:
        """How many calls are worth having under way at once."""

    @abstractmethod
    async def _send(self, name: str, arguments: Sequence[Argument]) -> Outcome:
        """Have a worker run a kernel.

        Raises:
            WorkerLost: A worker died.
        """

    async def _tried(self, name: str, arguments: Sequence[Argument]) -> Outcome:
        for left in range(AGAIN, -1, -1):
            try:
                return await self._send(name, arguments)
            except WorkerLost as error:
                _log.warning("%s: %s; %d more tries", name, error, left)
                self._sent.clear()
        detail = f"Workers died {AGAIN + 1} times, or did not answer, over one call."
        raise Unavailable("compute.unavailable", detail)

    def _lean(self, argument: bytes | Shared) -> Argument:
        """Return what is sent first: shared octets only if no worker has had them."""
        if isinstance(argument, bytes):
            return argument
        if argument.digest in self._sent:
            return Named(argument.digest, None)
        if len(self._sent) >= _REMEMBERED:
            self._sent.clear()
        self._sent.add(argument.digest)
        return _whole(argument)


def _whole(argument: bytes | Shared) -> Argument:
    if isinstance(argument, bytes):
        return argument
    return Named(argument.digest, argument.octets)
