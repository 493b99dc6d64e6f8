"""Starts everything: one chain, and for each company a node and a dashboard.

    dashboard ──► node ◄── tap ◄── partners
                    └────► chain

Each is a process of its own, with its command from `examples.processes`. A node
listens behind its tap (`examples.demo.tap`), which has the company's address.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from examples import processes
from examples.demo.companies import COMPANIES, Company
from examples.demo.tap import Tap
from examples.federation import (
    Desk,
    configure,
    free_ports,
    new_node,
    pin,
    wait_ready,
)
from examples.supervisor import Supervisor
from ledger.participants import Pins
from ledger.rpc_reader import RpcChainReader
from node import bootstrap

CHAIN_PORT: Final = 8545
TIMES: Final = {"epoch_s": 2.0, "integrate_every_s": 0.2}
"""Far more often than a company would: nobody wants to wait in a demo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Where a company's compliance officer looks, and with which key."""

    url: str
    access_key: str

    def receipts(self) -> set[str]:
        """Sign in, and return the ids of the receipts that the call log shows."""
        with self._client() as client:
            client.post("/sign-in", data={"key": self.access_key})
            page = client.get("/calls").raise_for_status().text
        return set(re.findall("/receipts/([0-9a-f]{64})", page))

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with self._client() as client:
                return client.get("/health/live").status_code == 200
        except httpx.HTTPError:
            return False

    def _client(self) -> httpx.Client:
        headers = {"Origin": self.url}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A company of the story, its node, and what was said to it."""

    company: Company
    desk: Desk
    tap: Tap
    folder: Path
    crm: str
    dashboard: Dashboard

    @property
    def name(self) -> str:
        """Return its name in both languages."""
        return f"{self.company.name['en']} · {self.company.name['zh']}"


class Consortium:
    """Three companies and a chain.

    Args:
        folder: An empty folder for everything that they keep.
    """

    def __init__(self, folder: Path, supervisor: Supervisor, stack: ExitStack) -> None:
        self.folder = folder
        self._supervisor = supervisor
        self._stack = stack
        self.registry = folder / "registry.json"
        chain, *self._ports = free_ports(
            CHAIN_PORT,
            *(company.port for company in COMPANIES),
            *(company.port + 100 for company in COMPANIES),
            *(0 for _ in COMPANIES),
        )
        self.chain_url = f"http://127.0.0.1:{chain}"
        supervisor.start("chain", processes.chain(path=folder / "chain", port=chain))
        self.maker, self.supplier, self.operator = map(self._found, COMPANIES)
        self.members = (self.maker, self.supplier, self.operator)
        pin(self.registry, (member.desk.settings for member in self.members))
        wait_ready(supervisor, "chain", self._chain_answers)
        self.contract = bootstrap.deploy_contract(
            self.maker.desk.settings, self.chain_url
        )

    @property
    def pins(self) -> Pins:
        """Return the participants as every company pins them."""
        return {each.did: each for each in bootstrap.read_registry(self.registry)}

    @property
    def chain(self) -> RpcChainReader:
        """Return the anchor contract, read by nothing but HTTP."""
        return RpcChainReader(self.chain_url, self.contract)

    def start(self, *members: Member) -> None:
        """Start nodes, without waiting for them."""
        chain = {"url": self.chain_url, "contract": self.contract}
        for member in members:
            configure(member.folder, chain=chain, **TIMES)
            self._supervisor.start(
                member.company.key,
                processes.node(settings=member.folder / "node.yaml"),
                {"CRM": member.crm},
            )

    def await_nodes(self, *members: Member) -> None:
        """Wait until nodes are ready. Raises `NotStarted`."""
        for member in members:
            wait_ready(self._supervisor, member.company.key, member.desk.is_ready)

    def start_dashboards(self) -> None:
        """Start every company's dashboard, without waiting for it."""
        for member in self.members:
            settings = member.folder / "dashboard.toml"
            settings.write_text(self._dashboard_settings(member), encoding="utf-8")
            self._supervisor.start(
                f"{member.company.key}-dashboard",
                processes.dashboard(settings=settings),
            )

    def await_dashboards(self) -> None:
        """Wait until every dashboard answers. Raises `NotStarted`."""
        for member in self.members:
            name = f"{member.company.key}-dashboard"
            wait_ready(self._supervisor, name, member.dashboard.is_ready)

    def check(self) -> None:
        """See that everything still runs. Raises `NotStarted`."""
        self._supervisor.check_all()

    def _found(self, company: Company) -> Member:
        address, dashboard, port = self._ports[COMPANIES.index(company) :: 3]
        folder = self.folder / company.key
        new_node(folder, name=company.name, port=port, address=address)
        settings = configure(folder, participants="../registry.json")
        (folder / "participants.json").unlink()
        return Member(
            company=company,
            desk=Desk(settings),
            tap=self._stack.enter_context(Tap(address, port)),
            folder=folder,
            crm=company.write_crm(folder.resolve()),
            dashboard=Dashboard(
                url=f"http://127.0.0.1:{dashboard}",
                access_key=secrets.token_urlsafe(32),
            ),
        )

    def _chain_answers(self) -> bool:
        ask = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        try:
            return httpx.post(self.chain_url, json=ask, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _dashboard_settings(self, member: Member) -> str:
        settings, dashboard = member.desk.settings, member.dashboard
        key = hashlib.sha256(dashboard.access_key.encode()).hexdigest()
        return _TOML.format(
            participant=json.dumps(settings.did),
            key=key,
            node=f"http://{settings.listen}",
            port=dashboard.url.rpartition(":")[2],
            chain=self.chain_url,
            contract=self.contract,
        )


@contextmanager
def consortium(folder: Path) -> Iterator[Consortium]:
    """Run a consortium while the block lasts; only the chain is started yet."""
    with Supervisor(folder) as supervisor, ExitStack() as stack:
        yield Consortium(folder, supervisor, stack)


_TOML: Final = """\
participant = {participant}
registry = "../registry.json"
access_key_sha256 = "{key}"
language = "zh"
time_zone = "Asia/Shanghai"

[node]
url = "{node}"
token_file = "audit.token"

[listen]
port = {port}

[chain]
rpc_url = "{chain}"
contract = "{contract}"
"""
