"""A company's node, set up and used as the company's own people would.

The functions here do what the command line does (`fieldpact init`, `partner
add`, `dataset publish`, `offer`, `accept`, `align`, `ask`), for programs.
"""

import contextlib
import datetime
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from examples.supervisor import NotStarted, Supervisor
from node import bootstrap
from node.config import Settings, load
from node.domain.agreement import render_instant

START_S = 60.0


class Refused(Exception):
    """A node answered its own people with a problem document."""


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


def new_node(
    folder: Path, *, name: Mapping[str, str], port: int, address: int | None = None
) -> Settings:
    """Make a node on loopback: keys, tokens, settings.

    Args:
        folder: A new folder.
        name: By language, `en` and `zh`.
        port: Where the node listens.
        address: Port under which partners reach it, if that is another one.
    """
    url, listen = f"http://127.0.0.1:{address or port}", f"127.0.0.1:{port}"
    return load(bootstrap.new_node(folder, name=name, url=url, listen=listen))


def configure(folder: Path, **more: Any) -> Settings:
    """Change settings of a node that is not running."""
    file, yaml = folder / "node.yaml", YAML()
    values = yaml.load(file)
    values.update(more)
    yaml.dump(values, file)
    return load(file)


def pin(registry: Path, members: Iterable[Settings]) -> None:
    """Write the registry that every member trusts."""
    bootstrap.write_registry(registry, map(bootstrap.own_record, members))


def instant(seconds: float = 0.0) -> str:
    """Return the instant that lies so many seconds from now, as agreements say it."""
    ahead = datetime.timedelta(seconds=seconds)
    return render_instant(datetime.datetime.now(datetime.UTC) + ahead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one company offers another."""

    dataset: str
    fields: Sequence[str]
    purposes: Sequence[str] = ("joint-delivery",)
    valid_to: str = ""
    calls_per_hour: int = 600
    rows_per_call: int = 1000

    def to_json(self, partner: str) -> dict[str, Any]:
        """Return the offer as the management API takes it; half a year if not told."""
        return {
            "partner": partner,
            "dataset": self.dataset,
            "fields": dict.fromkeys(self.fields, "plain"),
            "purposes": list(self.purposes),
            "valid_from": instant(-60),
            "valid_to": self.valid_to or instant(180 * 86400),
            "calls_per_hour": self.calls_per_hour,
            "rows_per_call": self.rows_per_call,
        }


class Desk:
    """Where a company's own people talk to their node."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        token = settings.operators[0].token.read_text().strip()
        self._client = httpx.Client(
            base_url=f"http://{settings.listen}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=120,
            trust_env=False,
        )

    @property
    def did(self) -> str:
        """Return the company's DID."""
        return self.settings.did

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str) -> Any:
        """Get JSON. Raises `Refused`."""
        return _answer(self._client.get(path))

    def post(self, path: str, body: Any) -> Any:
        """Post JSON. Raises `Refused`."""
        return _answer(self._client.post(path, json=body))

    def is_ready(self) -> bool:
        """Tell whether the node answers that it is."""
        try:
            return self._client.get("/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def publish(self, file: Path) -> dict[str, Any]:
        """Publish a declared dataset; return the report."""
        declaration = bootstrap.read_declaration(file)
        answer = self.post("/management/datasets", declaration)
        report: dict[str, Any] = answer["report"]
        return report

    def agree(self, consumer: "Desk", terms: Terms) -> str:
        """Offer terms to a partner, which accepts; return the agreement's id."""
        offered = self.post("/management/offers", terms.to_json(consumer.did))
        path = f"/management/negotiations/{offered['consumerPid']}/accept"
        return str(consumer.post(path, {})["agreement"]["@id"])

    def declare(self, agreement: str, customers: Iterable[str]) -> int:
        """Declare our customers under an agreement; return how many tokens went."""
        path = f"/management/agreements/{agreement}/customers"
        return int(self.post(path, {"customers": sorted(customers)})["sent"])

    def ask(
        self,
        agreement: str,
        customers: Sequence[str],
        fields: Sequence[str],
        purpose: str = "joint-delivery",
    ) -> dict[str, Any]:
        """Ask a partner for fields of customers; return what our node made of it."""
        question = {
            "agreement": agreement,
            "purpose": purpose,
            "fields": sorted(fields),
            "customers": list(customers),
        }
        answer: dict[str, Any] = self.post("/management/ask", question)
        return answer


def _answer(response: httpx.Response) -> Any:
    body = response.json()
    if response.status_code >= 400:
        raise Refused(f"{body.get('code')}: {body.get('detail')}")
    return body


def wait_ready(supervisor: Supervisor, name: str, ready: Any) -> None:
    """Wait until a process says that it is ready.

    Raises:
        NotStarted: It ended, or took longer than `START_S` seconds.
    """
    until = time.monotonic() + START_S
    while not ready():
        supervisor.check(name)
        if time.monotonic() > until:
            raise NotStarted(f"{name} was not ready in {START_S:.0f} s")
        time.sleep(0.05)
