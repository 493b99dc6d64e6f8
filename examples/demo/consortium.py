"""The three companies of the story, each with its node and its dashboard."""

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from examples import processes
from examples.demo.companies import COMPANIES, Company
from examples.desk import Desk
from examples.federation import Federation, Node, federation, free_ports
from examples.tap import Tap
from ledger.registry import Held

CHAIN_PORT: Final = 8545


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Where a company's compliance officer looks, and with which key."""

    url: str
    access_key: str

    def receipts(self) -> set[str]:
        """Sign in, and return the ids of the receipts that the call log shows."""
        (page,) = self._pages("/calls")
        return set(re.findall("/receipts/([0-9a-f]{64})", page))

    def figures(self) -> list[str]:
        """Sign in, and return the pages of the budget and of each job."""
        budget, jobs = self._pages("/budget", "/jobs")
        each = sorted(set(re.findall("/jobs/[0-9a-f]{32}", jobs)))
        return [budget, *self._pages(*each)]

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with self._client() as client:
                return client.get("/health/live").status_code == 200
        except httpx.HTTPError:
            return False

    def _pages(self, *paths: str) -> list[str]:
        with self._client() as client:
            client.post("/sign-in", data={"key": self.access_key})
            return [client.get(path).raise_for_status().text for path in paths]

    def _client(self) -> httpx.Client:
        headers = {"Origin": self.url}
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=120, trust_env=False
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A company of the story, its node and its dashboard."""

    company: Company
    node: Node
    dashboard: Dashboard

    @property
    def key(self) -> str:
        """Return its short name."""
        return self.company.key

    @property
    def name(self) -> str:
        """Return its name in both languages."""
        return f"{self.company.name['en']} · {self.company.name['zh']}"

    @property
    def desk(self) -> Desk:
        """Return where its people talk to its node."""
        return self.node.desk

    @property
    def tap(self) -> Tap:
        """Return what partners say to its node."""
        return self.node.tap


class Consortium:
    """Three companies and a chain. The chain runs, the nodes do not yet.

    Raises:
        NotStarted: The chain did not come up.
    """

    def __init__(self, made: Federation) -> None:
        self.federation = made
        addresses = [company.port for company in COMPANIES]
        ports = free_ports(
            *addresses,
            *(port + 100 for port in addresses),
            *(0 for _ in addresses),
            CHAIN_PORT,
        )
        made.start_chain(ports[-1])
        self.maker, self.supplier, self.operator = (
            self._member(company, *ports[number:-1:3])
            for number, company in enumerate(COMPANIES)
        )
        self.members = (self.maker, self.supplier, self.operator)
        made.pin()

    def held(self) -> dict[str, Held]:
        """Return which keys each member holds now, as the registry says."""
        keys = self.federation.keys
        return {did: keys.history(did).now for did in keys.dids()}

    def start_dashboards(self) -> None:
        """Start every company's dashboard, without waiting for it."""
        for member in self.members:
            settings = member.node.folder / "dashboard.toml"
            settings.write_text(self._dashboard_settings(member), encoding="utf-8")
            self.federation.supervisor.start(
                f"{member.key}-dashboard", processes.dashboard(settings=settings)
            )

    def await_dashboards(self) -> None:
        """Wait until every dashboard answers. Raises `NotStarted`."""
        for member in self.members:
            name = f"{member.key}-dashboard"
            self.federation.wait(name, member.dashboard.is_ready)

    def _member(
        self, company: Company, address: int, dashboard: int, port: int
    ) -> Member:
        crm = self.federation.folder.resolve() / "crm"
        crm.mkdir(exist_ok=True)
        return Member(
            company=company,
            node=self.federation.add(
                company.key,
                company.name,
                address=address,
                port=port,
                environment={"CRM": company.write_crm(crm)},
            ),
            dashboard=Dashboard(
                url=f"http://127.0.0.1:{dashboard}",
                access_key=secrets.token_urlsafe(32),
            ),
        )

    def _dashboard_settings(self, member: Member) -> str:
        settings, dashboard = member.desk.settings, member.dashboard
        return _TOML.format(
            participant=json.dumps(settings.did),
            key=hashlib.sha256(dashboard.access_key.encode()).hexdigest(),
            node=f"http://{settings.listen}",
            port=dashboard.url.rpartition(":")[2],
            chain=self.federation.chain_url,
            contract=self.federation.contract,
            consortium=self.federation.consortium,
        )


@contextmanager
def consortium(folder: Path) -> Iterator[Consortium]:
    """Run a consortium while the block lasts."""
    with federation(folder) as made:
        yield Consortium(made)


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
registry = "{consortium}"
"""
