"""Two nodes for measuring: a provider with synthetic records, and its consumer."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.encoding import b64u
from crypto.tokens import customer_token
from examples.desk import Terms
from examples.federation import Federation, Node, federation, free_ports
from node import offline
from node.adapters.identity import RegistryIdentity
from node.adapters.keyring import load_keys
from node.adapters.system import SystemClock, system_randomness
from node.domain.disclosure import Request

CUSTOMERS = 2000
SHOWN = ("expected_acceptance_date", "project_stage")
_COLUMNS = {
    "project_stage": ("stage", "text"),
    "expected_acceptance_date": ("accepted", "date"),
}
_NOTES = 6
"""Fields of a record besides those that are shown."""
_FIELD = """\
  {name}: {{column: {column}, type: {type}, grade: general, personal: false,
    modes: [plain], title: {{en: {name}, zh: {name}}}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A provider, its CRM, and a consumer that holds an agreement with it.

    Attributes:
        customers: How many there are; each has one record.
    """

    federation: Federation
    provider: Node
    consumer: Node
    crm: Path
    agreement: str
    customers: int

    def calls(self, count: int) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Return address, body and token of valid calls, each for one customer.

        The address is the node's own: the tap in front of it is not measured.
        """
        settings = self.consumer.desk.settings
        keys = load_keys(settings.keys, {})
        identity = RegistryIdentity(
            settings.participants,
            did=settings.did,
            signer=keys.ed25519,
            clock=SystemClock(),
        )
        provider = self.federation.pins[self.provider.desk.did]
        secret = keys.x25519.customer_token_key(
            provider.keys["x25519"], self.agreement, provider.did
        )
        address = f"http://{self.provider.desk.settings.listen}/views/projects/query"
        for number in range(count):
            request = Request(
                dataset="projects",
                agreement=self.agreement,
                purpose="joint-delivery",
                fields=SHOWN,
                customers=(customer_token(secret, f"C{number % self.customers}"),),
            )
            token = identity.issue(
                audience=provider.did,
                bound_to=request.hash,
                agreement=self.agreement,
                nonce=b64u(system_randomness(32)),
            )
            yield address, request.body(), token


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """Start both nodes, publish, agree and align; stop them at the end."""
    crm = folder / "crm.sqlite"
    declaration = fill(crm, CUSTOMERS)
    with two_nodes(folder) as (made, provider, consumer):
        provider.desk.publish(declaration)
        agreement = agree(provider, consumer)
        consumer.desk.declare(agreement, names(CUSTOMERS))
        ready(provider, agreement)
        yield World(
            federation=made,
            provider=provider,
            consumer=consumer,
            crm=crm,
            agreement=agreement,
            customers=CUSTOMERS,
        )


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[Federation, Node, Node]]:
    """Start a provider's node and a consumer's; stop them at the end."""
    with federation(folder) as made:
        ports = iter(free_ports(0, 0, 0, 0))
        provider, consumer = (
            made.add(
                key,
                {"en": key, "zh": key},
                address=next(ports),
                port=next(ports),
                # Whoever only measures answers signs no receipt back.
                environment={"FIELDPACT_COMPANY__MAX_UNACKNOWLEDGED": "1000000"},
            )
            for key in ("provider", "consumer")
        )
        made.pin()
        made.start("provider", "consumer")
        made.await_ready("provider", "consumer")
        yield made, provider, consumer


def agree(provider: Node, consumer: Node) -> str:
    """Agree on the two fields that are shown; return the agreement's id."""
    terms = Terms(dataset="projects", fields=SHOWN, calls_per_hour=1_000_000)
    return provider.desk.agree(consumer.desk, terms)


def names(count: int) -> list[str]:
    """Name the first customers of the CRM."""
    return [f"C{number}" for number in range(count)]


def progress(provider: Node, agreement: str) -> dict[str, Any]:
    """Return how far the snapshot of an agreement is."""
    found = provider.desk.progress("projects")
    return next(each for each in found if each["agreement"] == agreement)


def ready(provider: Node, agreement: str) -> None:
    """Wait until the snapshot of an agreement is there."""
    while progress(provider, agreement)["state"] != "ready":
        time.sleep(0.05)


def alone(folder: Path) -> Path:
    """Make a node that knows nobody; return its settings file."""
    port = free_ports(0)[0]
    listen = f"127.0.0.1:{port}"
    name = {"en": "Alone", "zh": "独"}
    return offline.new_node(folder, name=name, url=f"http://{listen}", listen=listen)


def fill(crm: Path, customers: int, notes: int = _NOTES) -> Path:
    """Make a synthetic CRM with one record for each customer.

    Args:
        crm: The file to make, in SQLite.
        notes: Fields of a record besides the two that are shown.

    Returns:
        The file that declares it, beside it.
    """
    more = [f"note_{number}" for number in range(notes)]
    columns = ["id", "uscc", "stage", "accepted", *more]
    marks = ", ".join("?" * len(columns))
    with contextlib.closing(sqlite3.connect(crm)) as connection, connection:
        connection.execute(f"CREATE TABLE projects ({', '.join(columns)})")
        for key in ("id", "uscc"):
            connection.execute(f"CREATE UNIQUE INDEX by_{key} ON projects ({key})")
        connection.executemany(
            f"INSERT INTO projects VALUES ({marks})",  # noqa: S608
            (
                (
                    *(f"P{n}", f"C{n}", f"stage {n % 5}", f"2026-12-{n % 28 + 1:02d}"),
                    *(f"{note} of {n}" for note in more),
                )
                for n in range(customers)
            ),
        )
    declaration = crm.with_suffix(".yaml")
    declaration.write_text(_declaration(crm, more), encoding="utf-8")
    return declaration


def _declaration(crm: Path, more: list[str]) -> str:
    columns = _COLUMNS | {name: (name, "text") for name in more}
    fields = "".join(
        _FIELD.format(name=name, column=column, type=kind)
        for name, (column, kind) in columns.items()
    )
    return (
        "dataset: projects\n"
        "title: {en: Projects, zh: 项目}\n"
        f"source: {{url: 'sqlite:///{crm}', table: projects, record: id,\n"
        "  timeout_s: 60}\n"
        "customer: {column: uscc, rule: exact}\n"
        f"fields:\n{fields}"
    )
