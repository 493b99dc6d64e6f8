"""A tap: passes on what two nodes say to each other, and keeps every byte.

It stands where a company's reverse proxy would: partners connect to it, it
connects to the node. It serves two ends. What the demo claims about disclosed
values it counts in these bytes, and not in what a node says that it sent. And it
is what somebody on the line would have: tokens to steal, calls to send again.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from examples.listener import Listener


@dataclass(slots=True)
class Talk:
    """One connection: what the partner sent, and what the node answered."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it was on the line."""

    path: str
    authorization: str
    body: bytes


class Tap(Listener):
    """Listens on a loopback port, and relays to another, in a thread of its own."""

    def __init__(self, port: int, target: int) -> None:
        super().__init__(port)
        self._target = target
        self._talks: list[Talk] = []

    def asked(self) -> list[bytes]:
        """Return what partners sent, by connection."""
        return [bytes(talk.asked) for talk in self._talks]

    def answered(self) -> list[bytes]:
        """Return what partners received, by connection."""
        return [bytes(talk.answered) for talk in self._talks]

    def heard(self, path: str) -> Heard:
        """Return the last request to a path, as somebody on the line knows it."""
        return [each for each in self._requests() if each.path == path][-1]

    def _requests(self) -> Iterator[Heard]:
        for said in self.asked():
            left = said
            while left:
                head, _, left = left.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                named = (line.partition(": ") for line in lines)
                headers = {name.lower(): value for name, _, value in named}
                size = int(headers.get("content-length", 0))
                body, left = left[:size], left[size:]
                yield Heard(first.split()[1], headers.get("authorization", ""), body)

    async def _relay(
        self, partner: asyncio.StreamReader, to_partner: asyncio.StreamWriter
    ) -> None:
        talk = Talk()
        self._talks.append(talk)
        try:
            node, to_node = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            to_partner.close()
            return
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                _pump(partner, to_node, talk.asked),
                _pump(node, to_partner, talk.answered),
            )


async def _pump(
    source: asyncio.StreamReader, to: asyncio.StreamWriter, kept: bytearray
) -> None:
    """Pass on until one end closes, then close the other."""
    try:
        while said := await source.read(65536):
            kept += said
            to.write(said)
            await to.drain()
    except OSError:
        pass  # the other end is gone
    finally:
        to.close()
