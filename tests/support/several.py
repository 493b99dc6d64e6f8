"""Nodes of several processes each, behind what shares calls out among them.

    with several(tmp_path, {"maker": Place(2, url), "asker": Place(2, other)}) as made:
        made.kill("maker", 0)

`examples.federation` gives every company a tap, which leads to the one port that its
node listens on. Here a `Front` listens there, as a reverse proxy would, and hands each
request to the next of the processes. So partners and the company's people alike meet
another process with each call; `desk` meets a certain one.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

from examples import processes
from examples.desk import Desk
from examples.federation import Federation, configure, federation
from examples.listener import Listener
from tests.support.servers import free_port

START_S = 240.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection: [^\r]*", re.IGNORECASE)


class Front(Listener):
    """Hands one request after the other to the next of some ports that answers.

    Whoever was handed a request and dies has it: it is not sent to a second one.

    Attributes:
        served: How many requests each port was handed.
    """

    def __init__(self, port: int, targets: list[int]) -> None:
        super().__init__(port, limit=1 << 20)
        self._targets = targets
        self.served = dict.fromkeys(targets, 0)
        self._turn = count()

    async def _relay(
        self, caller: asyncio.StreamReader, to_caller: asyncio.StreamWriter
    ) -> None:
        """Answer one request, and end the connection: the next is another's."""
        try:
            head = await caller.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await caller.readexactly(int(length[1]) if length else 0)
            head = _CONNECTION.sub(b"", head)
            head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            node, to_node = await self._reached()
            try:
                to_node.write(head + body)
                await to_node.drain()
                while said := await node.read(65536):
                    to_caller.write(said)
                    await to_caller.drain()
            finally:
                to_node.close()
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # somebody is gone: the caller sees that
        finally:
            to_caller.close()

    async def _reached(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = next(self._turn)
        for number in range(len(self._targets)):
            port = self._targets[(first + number) % len(self._targets)]
            with contextlib.suppress(OSError):
                reached = await asyncio.open_connection("127.0.0.1", port)
                self.served[port] += 1
                return reached
        raise ConnectionRefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a company's node runs.

    Attributes:
        processes: How many.
        database: URL of the store; an SQLite file in the node's folder without it.
    """

    processes: int = 1
    database: str | None = None


@dataclass
class Several:
    """Companies, and the processes of their nodes.

    Attributes:
        ports: Of each company's processes.
    """

    federation: Federation
    ports: dict[str, list[int]] = field(default_factory=dict)
    fronts: dict[str, Front] = field(default_factory=dict)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _desks: dict[tuple[str, int], Desk] = field(default_factory=dict)

    def desk(self, key: str, number: int | None = None) -> Desk:
        """Return where a company's people talk to one of its processes, or to any."""
        whole = self.federation.nodes[key].desk
        if number is None:
            return whole
        if (key, number) not in self._desks:
            listen = f"127.0.0.1:{self.ports[key][number]}"
            desk = Desk(whole.settings.model_copy(update={"listen": listen}))
            self._stack.callback(desk.close)
            self._desks[key, number] = desk
        return self._desks[key, number]

    def folder(self, key: str) -> Path:
        return self.federation.nodes[key].folder

    def start(self, key: str, number: int) -> None:
        """Start a process, without waiting for it."""
        node = self.federation.nodes[key]
        listen = {"FIELDPACT_LISTEN": f"127.0.0.1:{self.ports[key][number]}"}
        self.federation.supervisor.start(
            f"{key}-{number}", processes.node(settings=node.settings), listen
        )

    def await_ready(self, key: str, number: int) -> None:
        until = time.monotonic() + START_S
        while not self.desk(key, number).is_ready():
            self.federation.supervisor.check(f"{key}-{number}")
            assert time.monotonic() < until, f"{key}-{number} was not ready"
            time.sleep(0.05)

    def kill(self, key: str, number: int) -> None:
        """End a process at once, as a power cut would."""
        self.federation.supervisor.kill(f"{key}-{number}")

    def is_up(self, key: str, number: int) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.desk(key, number).is_ready()
        return False

    def begin(self) -> None:
        """Start every process, and wait for them."""
        every = [
            (key, n) for key, ports in self.ports.items() for n in range(len(ports))
        ]
        for key, number in every:
            self.start(key, number)
        for key, number in every:
            self.await_ready(key, number)


@contextlib.contextmanager
def several(
    folder: Path,
    places: Mapping[str, Place],
    *,
    chain: bool = False,
    settings: Mapping[str, object] | None = None,
) -> Iterator[Several]:
    """Run companies that know each other.

    Args:
        folder: An empty folder.
        places: Of each company.
        chain: Whether they anchor on a chain.
        settings: More settings of all of them.
    """
    with federation(folder) as made, contextlib.ExitStack() as stack:
        if chain:
            made.start_chain(free_port())
        found = Several(made, _stack=stack)
        for key, place in places.items():
            address, port, *ports = (free_port() for _ in range(2 + place.processes))
            made.add(
                key, {"en": key, "zh": key}, address=address, port=port, environment={}
            )
            found.fronts[key] = stack.enter_context(Front(port, ports))
            found.ports[key] = ports
            more = dict(settings or {}) | {"compute_workers": 1}
            if place.database:
                more["database"] = place.database
            configure(made.nodes[key].folder, **more)
        made.pin()
        found.begin()
        yield found
