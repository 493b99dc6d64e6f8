"""Companies on one machine: nodes behind taps, on one chain or on none.

    node ◄── tap ◄── partners
      └────► chain

Each is a process of its own, with its command from `examples.processes`. A node
listens behind its tap (`examples.tap`), which has the company's address.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
from ruamel.yaml import YAML

from examples import processes
from examples.desk import Desk
from examples.supervisor import NotStarted, Supervisor
from examples.tap import Tap
from ledger import consortium
from ledger.participants import Pins
from ledger.rpc_reader import RpcChainReader
from ledger.rpc_registry import RpcRegistry
from node import offline
from node.config import Settings, load

START_S: Final = 300.0
TIMES: Final = {"epoch_s": 2.0, "integrate_every_s": 0.2}
COMPARED: Final = {"registry_every_s": 2.0}
"""Far more often than a company would: nobody wants to wait here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A company's node, its people's desk, and what partners say to it.

    Attributes:
        environment: Variables of its process, for what its datasets name.
    """

    key: str
    folder: Path
    desk: Desk
    tap: Tap
    environment: Mapping[str, str]

    @property
    def settings(self) -> Path:
        """Return its settings file."""
        return self.folder / "node.yaml"


class Federation:
    """Nodes that pin each other.

    Args:
        folder: Holds everything that they keep.
    """

    def __init__(self, folder: Path, supervisor: Supervisor, stack: ExitStack) -> None:
        self.folder, self.supervisor, self._stack = folder, supervisor, stack
        self.registry = folder / "registry.json"
        self.nodes: dict[str, Node] = {}
        self.chain_url, self.contract, self.consortium = "", "", ""

    def start_chain(self, port: int) -> None:
        """Start a chain, without waiting for it. Before `pin`, if at all."""
        self.chain_url = f"http://127.0.0.1:{port}"
        command = processes.chain(path=self.folder / "chain", port=port)
        self.supervisor.start("chain", command)

    def add(
        self,
        key: str,
        name: Mapping[str, str],
        *,
        address: int,
        port: int,
        environment: Mapping[str, str],
    ) -> Node:
        """Make a node: keys, tokens, settings.

        Args:
            key: Short name, also of its folder.
            name: By language, `en` and `zh`.
            address: Port under which partners reach it.
            port: Where it listens.
            environment: See `Node`.
        """
        folder = self.folder / key
        url, listen = f"http://127.0.0.1:{address}", f"127.0.0.1:{port}"
        offline.new_node(folder, name=name, url=url, listen=listen)
        (folder / "participants.json").unlink()
        settings = configure(folder, participants="../registry.json", **TIMES)
        desk = Desk(settings)
        self._stack.callback(desk.close)
        self.nodes[key] = Node(
            key=key,
            folder=folder,
            desk=desk,
            tap=self._stack.enter_context(Tap(address, port)),
            environment=environment,
        )
        return self.nodes[key]

    def pin(self) -> None:
        """Have all pin each other, and found a consortium if there is a chain.

        It has both contracts: for anchors, and the registry in which every node's
        keys are.

        Raises:
            NotStarted: The chain did not come up.
        """
        settings = [node.desk.settings for node in self.nodes.values()]
        pin(self.registry, settings)
        if not self.chain_url:
            return
        self.wait("chain", self._chain_answers)
        self.contract = offline.deploy_contract(settings[0], self.chain_url)
        self.consortium = found(settings, self.chain_url)
        for node in self.nodes.values():
            chain = {
                "url": self.chain_url,
                "contract": self.contract,
                "registry": self.consortium,
                **COMPARED,
            }
            join(configure(node.folder, chain=chain))

    def start(self, *keys: str) -> None:
        """Start nodes, without waiting for them."""
        for key in keys:
            node = self.nodes[key]
            command = processes.node(settings=node.settings)
            self.supervisor.start(key, command, node.environment)

    def await_ready(self, *keys: str) -> None:
        """Wait until nodes are ready. Raises `NotStarted`."""
        for key in keys:
            self.wait(key, self.nodes[key].desk.is_ready)

    def await_snapshot(self, key: str, dataset: str, agreement: str) -> int:
        """Wait until a provider has committed to what it shares under an agreement.

        Until then it answers no question about it.

        Args:
            key: Of the provider.

        Returns:
            How many records it has committed to.

        Raises:
            NotStarted: It took longer than `START_S` seconds.
        """

        def mine() -> dict[str, Any]:
            found = self.nodes[key].desk.progress(dataset)
            return next(each for each in found if each["agreement"] == agreement)

        self.wait(key, lambda: mine()["state"] == "ready")
        return int(mine()["total"])

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until a process says that it is ready.

        Raises:
            NotStarted: It ended, or took longer than `START_S` seconds.
        """
        until = time.monotonic() + START_S
        while not ready():
            self.supervisor.check(name)
            if time.monotonic() > until:
                raise NotStarted(f"{name} was not ready in {START_S:.0f} s")
            time.sleep(0.05)

    @property
    def pins(self) -> Pins:
        """Return the participants as every node pins them."""
        return {each.did: each for each in offline.read_registry(self.registry)}

    @cached_property
    def chain(self) -> RpcChainReader:
        """Return the anchor contract, read with nothing but HTTP."""
        reader = RpcChainReader(self.chain_url, self.contract)
        self._stack.callback(reader.close)
        return reader

    @cached_property
    def keys(self) -> RpcRegistry:
        """Return the registry contract, read with nothing but HTTP."""
        reader = RpcRegistry(self.chain_url, self.consortium)
        self._stack.callback(reader.close)
        return reader

    def _chain_answers(self) -> bool:
        ask = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        try:
            return httpx.post(self.chain_url, json=ask, trust_env=False).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def federation(folder: Path) -> Iterator[Federation]:
    """Give a federation that has no node yet; end its processes with the block."""
    with Supervisor(folder) as supervisor, ExitStack() as stack:
        yield Federation(folder, supervisor, stack)


def free_ports(*wanted: int) -> list[int]:
    """Return a loopback port for each wanted one: itself, or any that is free.

    They are free now; nothing keeps them so. 0 wants any.
    """
    with contextlib.ExitStack() as stack:
        return [_bound(stack, port) for port in wanted]


def _bound(stack: contextlib.ExitStack, port: int) -> int:
    probe = stack.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
        probe.listen()
    except OSError:
        return _bound(stack, 0)
    found: int = probe.getsockname()[1]
    return found


def configure(folder: Path, **more: Any) -> Settings:
    """Change settings of a node that is not running; return them all."""
    file, yaml = folder / "node.yaml", YAML()
    values = yaml.load(file)
    values.update(more)
    yaml.dump(values, file)
    return load(file)


def found(founders: Sequence[Settings], url: str) -> str:
    """Create the registry of a consortium; return its address.

    Args:
        founders: The first members; the first one's account sends.
        url: Of the chain's JSON-RPC.
    """
    records = map(offline.own_record, founders)
    accounts = [(each.did, each.chain_address) for each in records]
    with offline.account(founders[0], url) as sender:
        return consortium.create(sender, accounts, majority=50)


def join(member: Settings) -> None:
    """Register a member's keys in the registry that its settings name."""
    own = offline.own_record(member)
    with offline.account(member) as sender, offline.registry(member) as registry:
        consortium.register(sender, registry, did=own.did, keys=own.keys)


def pin(registry: Path, members: Iterable[Settings]) -> None:
    """Write the registry that every member trusts."""
    offline.write_registry(registry, map(offline.own_record, members))
