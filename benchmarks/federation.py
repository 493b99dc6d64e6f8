"""Two nodes for measuring: a provider with synthetic records, and its consumer."""

import contextlib
import datetime
import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from crypto.encoding import b64u
from crypto.tokens import customer_token
from node import bootstrap
from node.adapters.identity import RegistryIdentity
from node.adapters.keyring import load_keys
from node.adapters.system import SystemClock, system_randomness
from node.config import Settings, load
from node.domain.disclosure import Request

CUSTOMERS = 2000
_DECLARATION = {
    "dataset": "projects",
    "title": {"en": "Projects", "zh": "项目"},
    "customer": {"column": "uscc", "rule": "exact"},
}
_FIELDS = {
    "project_stage": ("stage", "text"),
    "expected_acceptance_date": ("accepted", "date"),
    **{f"note_{number}": (f"note_{number}", "text") for number in range(6)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """A provider, its CRM, and a consumer that holds an agreement with it."""

    provider: Settings
    consumer: Settings
    crm: Path
    agreement: str
    process: subprocess.Popen[bytes]

    def calls(self, count: int) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Return address, body and token of valid calls, each for one customer."""
        keys = load_keys(self.consumer.keys, {})
        identity = RegistryIdentity(
            self.consumer.participants,
            did=self.consumer.did,
            signer=keys.ed25519,
            clock=SystemClock(),
        )
        provider = identity.participant(self.provider.did)
        assert provider is not None
        secret = keys.x25519.customer_token_key(
            provider.keys["x25519"], self.agreement, provider.did
        )
        for number in range(count):
            request = Request(
                dataset="projects",
                agreement=self.agreement,
                purpose="joint-delivery",
                fields=("expected_acceptance_date", "project_stage"),
                customers=(customer_token(secret, f"C{number % CUSTOMERS}"),),
            )
            token = identity.issue(
                audience=provider.did,
                bound_to=request.hash,
                agreement=self.agreement,
                nonce=b64u(system_randomness(32)),
            )
            yield f"{provider.url}/views/projects/query", request.body(), token


@contextlib.contextmanager
def federation(folder: Path, **provider: str) -> Iterator[Federation]:
    """Start both nodes, publish, agree and align; stop them at the end.

    Args:
        folder: An empty folder.
        provider: More settings of the provider, for example `policy`.
    """
    made = {name: new_node(folder / name) for name in ("provider", "consumer")}
    records = [bootstrap.own_record(settings) for settings in made.values()]
    for settings in made.values():
        bootstrap.write_registry(settings.participants, records)
    crm = folder / "crm.sqlite"
    _fill(crm)
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(served(folder / "provider", provider))
        stack.enter_context(served(folder / "consumer", {}))
        agreement = _agree(made["provider"], made["consumer"], crm)
        yield Federation(
            provider=made["provider"],
            consumer=made["consumer"],
            crm=crm,
            agreement=agreement,
            process=process,
        )


@contextlib.contextmanager
def served(folder: Path, more: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the node of a folder until the block ends."""
    settings = folder / "node.yaml"
    for name, value in more.items():
        with settings.open("a") as file:
            file.write(f"{name}: {value}\n")
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "node", "serve", "--settings", str(settings)]
        process = subprocess.Popen(command, stderr=log, stdout=log)  # noqa: S603
    try:
        wait(f"{load(settings).url}/health/ready")
        yield process
    finally:
        process.terminate()
        process.wait(20)


def wait(url: str, most_s: float = 30.0) -> None:
    """Wait until an address answers 200."""
    until = time.monotonic() + most_s
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        if time.monotonic() > until:
            message = f"{url} does not answer"
            raise TimeoutError(message)
        time.sleep(0.05)


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def new_node(folder: Path) -> Settings:
    """Make a node of its own on a free port."""
    address = f"127.0.0.1:{free_port()}"
    name = {"en": folder.name, "zh": folder.name}
    url = f"http://{address}"
    return load(bootstrap.new_node(folder, name=name, url=url, listen=address))


def _fill(crm: Path) -> None:
    columns = [column for column, _ in _FIELDS.values()]
    with contextlib.closing(sqlite3.connect(crm)) as connection, connection:
        connection.execute(
            "CREATE TABLE projects "
            f"(id TEXT PRIMARY KEY, uscc TEXT UNIQUE, {', '.join(columns)})"
        )
        marks = ", ".join("?" * (len(columns) + 2))
        connection.executemany(
            f"INSERT INTO projects VALUES ({marks})",  # noqa: S608
            [
                (
                    *(f"P{n}", f"C{n}", f"stage {n % 5}", f"2026-12-{n % 28 + 1:02d}"),
                    *(f"note {n} {column}" for column in columns[2:]),
                )
                for n in range(CUSTOMERS)
            ],
        )


def _agree(provider: Settings, consumer: Settings, crm: Path) -> str:
    fields = {
        name: {
            "column": column,
            "type": kind,
            "title": {"en": name, "zh": name},
            "grade": "general",
            "personal": False,
            "modes": ["plain"],
        }
        for name, (column, kind) in _FIELDS.items()
    }
    source = {"url": f"sqlite:///{crm}", "table": "projects", "record": "id"}
    _post(provider, "datasets", {**_DECLARATION, "source": source, "fields": fields})
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    offer = {
        "partner": consumer.did,
        "dataset": "projects",
        "fields": dict.fromkeys(_FIELDS, "plain"),
        "purposes": ["joint-delivery"],
        "valid_from": f"{now - day:%Y-%m-%dT%H:%M:%SZ}",
        "valid_to": f"{now + day:%Y-%m-%dT%H:%M:%SZ}",
        "calls_per_hour": 1_000_000,
        "rows_per_call": 1000,
    }
    pid = _post(provider, "offers", offer)["consumerPid"]
    agreement = _post(consumer, f"negotiations/{pid}/accept", {})["agreement"]["@id"]
    customers = {"customers": [f"C{number}" for number in range(CUSTOMERS)]}
    _post(consumer, f"agreements/{agreement}/customers", customers)
    return str(agreement)


def _post(settings: Settings, path: str, body: Any) -> Any:
    token = settings.operators[0].token.read_text().strip()
    answer = httpx.post(
        f"{settings.url}/management/{path}",
        content=json.dumps(body),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        },
        timeout=120,
        trust_env=False,
    )
    answer.raise_for_status()
    return answer.json()
