"""Nodes in one process: real services and stores, no sockets, a clock that obeys.

Each node is built by the composition root itself (`node.bootstrap`), with a real
SQLite store, the real policies and a real CRM database. Only three things are put
in: the clock, the wire to the other nodes (their ASGI applications instead of
sockets) and the chain (`ledger.memory`). The background work is not started;
tests call it when they want it.

    async with open_world(tmp_path) as world:
        answer = await world.query(fields=["project_stage"])
        world.check(answer)

Every value that no partner may see is a *canary*: a string found nowhere else. So
are the names and units of fields that are granted to nobody, and what the provider
keeps secret of each record. `World.spilled` looks for them in every byte that left
a node.
"""

import asyncio
import base64
import contextlib
import datetime
import hashlib
import json
import logging
import os
import re
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from unittest import mock

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from crypto import merkle, typed
from crypto.encoding import b64u, canonical, unb64u
from crypto.notes import open_checkpoint
from crypto.tokens import customer_token
from ledger import log
from ledger.checkpoint import origin_of
from ledger.disclosure import (
    MEMBERS,
    Disclosure,
    parse_disclosure,
    verify_disclosure,
)
from ledger.memory_chain import MemoryChain
from ledger.participants import Participant
from ledger.receipts import (
    Receipt,
    SignedReceipt,
    check_successor,
    parse_signed_receipt,
    request_hash,
    verify_receipt,
)
from node import bootstrap, offline
from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.engine import PolicyEngine
from node.adapters.sql import tables as t
from node.adapters.sql.receipts import signed_receipt
from node.adapters.sql.snapshots import signed_snapshot
from node.adapters.sql.store import engine_for
from node.bootstrap import adapters
from node.config import POLICIES, load
from node.domain.agreement import Agreement
from node.errors import Unavailable
from node.migrations import upgrade
from node.ports import BytesReply, Reply, TextReply
from node.ports.aggregates import Kernel, Shared
from node.services import Services
from tests.support.searching import occurring

T = TypeVar("T")
_END: Final = 16
"""Octets of a secret that are looked for: its last."""
START = datetime.datetime(2026, 11, 22, 18, 20, tzinfo=datetime.UTC)
CHAIN = MemoryChain(member="0x" + "00" * 20)


class FixedClock:
    """Implements `node.ports.Clock`. Time passes when a test says so."""

    at: datetime.datetime

    def __init__(self, at: datetime.datetime = START) -> None:
        self.at = at

    def now(self) -> datetime.datetime:
        return self.at

    def elapsed_ms(self) -> float:
        return time.monotonic() * 1000

    def advance(self, **by: float) -> None:
        self.at += datetime.timedelta(**by)


class RealClock(FixedClock):
    """The clock on the wall, for nodes that talk with other processes."""

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


@dataclass
class Exchange:
    """One HTTP exchange as the node's partner sees it.

    Attributes:
        url: Of the node that answered.
    """

    url: str
    method: str
    path: str
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def is_inside(self) -> bool:
        """Tell whether a company's own people were answered, and no partner."""
        return self.path.startswith(("/management/", "/audit/"))

    def octets(self) -> bytes:
        head = b"\r\n".join(b": ".join(pair) for pair in self.headers)
        return head + b"\r\n\r\n" + self.body


class Served:
    """An application as uvicorn serves it: what it raises is logged, not passed on."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception:
            logging.getLogger("uvicorn.error").exception(
                "Exception in ASGI application"
            )
            raise


class Wire:
    """Implements `node.ports.Peers` between the nodes of one process.

    Attributes:
        exchanges: Everything that any node answered.
        lose: Addresses whose next reply is lost after the node has acted on it.
        cut: Addresses that cannot be reached at all.
        forge: Bodies to answer with instead, by address.
        say: Status and text to answer with instead, by address, where text is asked.
        change: What happens to octets on their way to an address.
        answer: What happens to octets on their way back from an address.
    """

    def __init__(self) -> None:
        self.clients: dict[str, httpx.AsyncClient] = {}
        self.exchanges: list[Exchange] = []
        self.lose: list[str] = []
        self.cut: set[str] = set()
        self.forge: dict[str, Reply] = {}
        self.say: dict[str, tuple[int, str]] = {}
        self.change: dict[str, Callable[[bytes], bytes]] = {}
        self.answer: dict[str, Callable[[bytes], bytes]] = {}

    def connect(self, url: str, app: FastAPI) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=Served(app), raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=url)
        client.event_hooks["response"].append(self._note)
        self.clients[url] = client
        return client

    async def _note(self, response: httpx.Response) -> None:
        await response.aread()
        self.exchanges.append(
            Exchange(
                url=str(response.request.url.copy_with(raw_path=b"/")).rstrip("/"),
                method=response.request.method,
                path=response.request.url.path,
                status=response.status_code,
                headers=list(response.headers.raw),
                body=response.content,
            )
        )

    async def post(
        self, participant: Participant, path: str, body: Any, *, token: str
    ) -> Reply:
        headers = {"Authorization": f"Bearer {token}"}
        return await self._send("POST", participant, path, headers=headers, json=body)

    async def get(self, participant: Participant, path: str) -> Reply:
        return await self._send("GET", participant, path)

    async def text(
        self, participant: Participant, path: str, content: str | None = None
    ) -> TextReply:
        self._check(participant, path)
        for part, (status, said) in self.say.items():
            if part in path:
                return TextReply(status=status, media="text/plain", text=said)
        method = "GET" if content is None else "POST"
        response = await self.clients[participant.url].request(
            method, path, content=content
        )
        self._lose(path)
        media = response.headers.get("content-type", "").partition(";")[0]
        return TextReply(status=response.status_code, media=media, text=response.text)

    def _lose(self, path: str) -> None:
        for part in self.lose:
            if part in path:
                self.lose.remove(part)
                raise Unavailable("partner.unavailable", "The reply was lost.")

    def _check(self, participant: Participant, path: str) -> None:
        if any(part in path for part in self.cut) or participant.url in self.cut:
            raise Unavailable("partner.unavailable", "The wire is cut.")

    async def _send(
        self, method: str, participant: Participant, path: str, **more: Any
    ) -> Reply:
        self._check(participant, path)
        for part, reply in self.forge.items():
            if part in path:
                return reply
        response = await self.clients[participant.url].request(method, path, **more)
        self._lose(path)
        return Reply(status=response.status_code, body=response.json())

    async def exchange(
        self,
        participant: Participant,
        path: str,
        content: bytes,
        *,
        token: str,
        timeout_s: float,
    ) -> BytesReply:
        self._check(participant, path)
        for part, change in self.change.items():
            if part in path:
                content = change(content)
        response = await self.clients[participant.url].post(
            path,
            content=content,
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/octet-stream",
            },
            timeout=timeout_s,
        )
        self._lose(path)
        octets = response.content
        for part, change in self.answer.items():
            if part in path:
                octets = change(octets)
        return BytesReply(status=response.status_code, content=octets)

    async def close(self) -> None:
        """Nodes close their peers when they stop; the wire outlives them."""


class ThreadCompute:
    """Implements `node.ports.aggregates.Compute` in threads of this process.

    A test does not wait for workers to start; that they compute the same is tested
    where they are.
    """

    width = 2

    async def __call__(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        given = (it.octets if isinstance(it, Shared) else it for it in arguments)
        return await asyncio.to_thread(kernel, *given)

    async def close(self) -> None:
        """There is nothing to close."""


async def _idle(*_: object) -> None:
    await asyncio.Event().wait()


@cache
def _engine() -> EmbeddedEngine:
    return EmbeddedEngine(load_bundle(POLICIES))


class SharedPolicy:
    """The embedded engine, compiled once for all nodes of this process."""

    async def __aenter__(self) -> PolicyEngine:
        engine = _engine()
        if engine._compiled is None:
            await engine.__aenter__()
        return engine

    async def __aexit__(self, *_: object) -> None:
        """Leave it open for the next node."""


@cache
def empty_store() -> bytes:
    """Return a SQLite store that is migrated and empty."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "empty.sqlite"
        upgrade(f"sqlite:///{file}")
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.close()
        return file.read_bytes()


@contextlib.contextmanager
def postgres_database() -> Iterator[str]:
    """An empty database of the test server, or skip."""
    server = os.environ.get("FIELDPACT_TEST_POSTGRES")
    if not server:
        pytest.skip("needs a server: set FIELDPACT_TEST_POSTGRES to its URL")
    name = f"node_{secrets.token_hex(6)}"
    admin = sa.create_engine(
        sa.make_url(server).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(False)
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def emptied(url: str) -> str:
    """Empty every table of a store, as if it had just been made."""
    engine = engine_for(url)
    names = ", ".join(table.name for table in t.metadata.sorted_tables)
    with engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
    engine.dispose()
    return url


@dataclass
class Node:
    """A running node, its HTTP surface, and the keys to it."""

    folder: Path
    url: str
    did: str
    clock: FixedClock
    wire: Wire
    app: FastAPI
    client: httpx.AsyncClient
    _stack: contextlib.AsyncExitStack = field(repr=False)
    stopped: bool = False

    @property
    def services(self) -> Services:
        found: Services = self.app.state.services
        return found

    @property
    def me(self) -> Participant:
        return self.services.identity.me

    @property
    def database(self) -> sa.Engine:
        """The node's own engine: what happens there can be watched."""
        engine: sa.Engine = self.services.store._engine  # type: ignore[attr-defined]
        return engine

    def operator(self, role: str = "management") -> dict[str, str]:
        token = (self.folder / f"{role}.token").read_text().strip()
        return {"Authorization": f"Bearer {token}"}

    async def manage(self, path: str, body: Any = None, *, expect: int = 0) -> Any:
        """Use the management or audit API; POST when there is a body."""
        response = await self.client.request(
            "GET" if body is None else "POST",
            path,
            json=body,
            headers=self.operator(),
            timeout=120,
        )
        wanted = {expect} if expect else {200, 201}
        assert response.status_code in wanted, response.text
        await self.settle()
        return response.json()

    async def settle(self) -> None:
        """Do what the builder of snapshots would do in the background."""
        snapshots = self.services.snapshots
        while snapshots.wanted:
            await snapshots.build(snapshots.wanted.pop())

    def token(
        self,
        audience: str,
        path_or_dataset: str,
        body: Mapping[str, Any],
        *,
        agreement: str | None,
        nonce: str | None = None,
    ) -> str:
        """Return a right token of this node for one call."""
        return self.services.identity.issue(
            audience=audience,
            bound_to=request_hash(path_or_dataset, body),
            agreement=agreement,
            nonce=nonce or b64u(secrets.token_bytes(32)),
        )

    def rows(self, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
        with self.database.connect() as connection:
            return list(connection.execute(statement))

    def receipts(self) -> list[SignedReceipt]:
        """Return every receipt of the store, in the log's order."""
        rows = self.rows(sa.select(t.receipts).order_by(t.receipts.c.sequence))
        return [signed_receipt(row) for row in rows]

    def secrets(self) -> dict[str, bytes]:
        """Return what it keeps of records and shows to nobody, also when stopped."""
        found = secrets_of(self.database)
        if self.stopped:
            self.database.dispose()
        return found

    async def stop(self) -> None:
        await self._stack.aclose()
        self.stopped = True


async def start(
    folder: Path,
    *,
    clock: FixedClock,
    wire: Wire,
    policy: Any = None,
    anchors: Any = None,
) -> Node:
    """Start the node of a folder that `found` has made."""
    settings = load(folder / "node.yaml")
    stack = contextlib.AsyncExitStack()
    with contextlib.ExitStack() as patches:
        for where, name, value in (
            (bootstrap, "policy_of", lambda _: policy or SharedPolicy()),
            (bootstrap, "background", _idle),
            (adapters, "SystemClock", lambda: clock),
            (adapters, "HttpPeers", lambda *_, **__: wire),
            (adapters, "anchors_of", lambda *_: anchors),
            (adapters, "compute_for", lambda _: ThreadCompute()),
        ):
            patches.enter_context(mock.patch.object(where, name, value))
        app = bootstrap.application(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
    client = wire.connect(settings.url, app)
    stack.push_async_callback(client.aclose)
    return Node(
        folder=folder,
        url=settings.url,
        did=settings.did,
        clock=clock,
        wire=wire,
        app=app,
        client=client,
        _stack=stack,
    )


def found(
    folder: Path,
    name: str,
    port: int,
    registry: Path,
    *,
    database: str | None = None,
    suite: Any = "ed25519",
) -> None:
    """Make a node's folder and add its record to the registry."""
    url = f"http://127.0.0.1:{port}"
    settings = offline.new_node(
        folder,
        name={"en": name, "zh": name},
        url=url,
        listen=f"127.0.0.1:{port}",
        suite=suite,
    )
    text = settings.read_text().replace(
        "participants: participants.json", f"participants: {registry}"
    )
    if database:
        text = text.replace("sqlite:///node.sqlite", database)
    settings.write_text(text)
    (folder / "node.sqlite").write_bytes(empty_store())
    own = json.loads((folder / "participants.json").read_text())
    known = json.loads(registry.read_text()) if registry.exists() else []
    registry.write_text(json.dumps(known + own))


# --- the data ---------------------------------------------------------------

PURPOSE = "joint-delivery"
SHARED = ("91330100MA-SHARED-1", "91330100MA-SHARED-2", "91330100MA-SHARED-3")
GRANTED = {
    "project_stage": "plain",
    "expected_acceptance_date": "plain",
    "units": "plain",
    "delivered": "plain",
    "annual_spend": "predicate",
}
PREDICATES = [
    {
        "field": "annual_spend",
        "operators": ["at_least", "at_most", "between"],
        "step": "100000.00",
        "probes": 8,
    }
]
_PLAIN = ("project_stage", "expected_acceptance_date", "units", "delivered")


def canary(what: str) -> str:
    """Return a string that is found nowhere else."""
    return f"canary-{what}-{secrets.token_hex(8)}"


@dataclass
class Crm:
    """The provider's CRM: an SQLite file, and which of its values are canaries.

    Attributes:
        unshared: Customers that the provider alone has.
        canaries: Every value that no partner may ever see.
        names: Of a field that no partner knows of: its own name, and its unit's.
    """

    file: Path
    rows: list[dict[str, Any]]
    unshared: tuple[str, ...]
    canaries: frozenset[str]
    names: tuple[str, str]

    def write(self, statement: str, *values: Any) -> None:
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            connection.execute(statement, values)
            connection.commit()

    def scalars(self) -> dict[str, bytes]:
        """Return hidden values as they stand under a signature, by what they are."""
        kinds = {
            "rating": typed.Field(name="rating", kind=typed.Kind.TEXT),
            "secret": typed.Field(name="secret", kind=typed.Kind.INTEGER),
            "spend": typed.Field(name="spend", kind=typed.Kind.MONEY, scale=2),
        }
        return {
            f"{name} of {row['project_id']}": kind.scalar(row[name], 0).to_bytes(32)
            for row in self.rows
            for name, kind in kinds.items()
        }

    def declaration(self, dataset: str = "projects") -> dict[str, Any]:
        return {
            "dataset": dataset,
            "title": {"en": "Projects", "zh": "项目"},
            "source": {
                "url": f"sqlite:///{self.file}",
                "table": "projects",
                "record": "project_id",
                "timeout_s": 60,
            },
            "customer": {"column": "customer", "rule": "exact"},
            "fields": {
                "project_stage": _declared("stage"),
                "expected_acceptance_date": _declared(
                    "acceptance", type="date", modes=["plain", "predicate"]
                ),
                "units": _declared("units", type="integer", unit="pcs"),
                "delivered": _declared("delivered", type="boolean"),
                "annual_spend": _declared(
                    "spend",
                    type="money",
                    unit="CNY",
                    scale=2,
                    grade="important",
                    modes=["predicate", "aggregate"],
                ),
                "rating": _declared("rating"),
                self.names[0]: _declared(
                    "secret",
                    type="integer",
                    unit=self.names[1],
                    modes=["plain", "predicate"],
                ),
                "contact_phone": _declared("phone", personal=True, modes=["never"]),
            },
        }


def _declared(column: str, **more: Any) -> dict[str, Any]:
    return {
        "column": column,
        "type": "text",
        "title": {"en": column, "zh": column},
        "grade": "general",
        "personal": False,
        "modes": ["plain"],
        **more,
    }


def _amount() -> str:
    return f"{7_000_000_000 + secrets.randbelow(10**9)}.{secrets.randbelow(90) + 10}"


def crm(file: Path) -> Crm:
    """Write a CRM: three shared customers with four projects, three unshared ones.

    Granted fields of shared customers hold ordinary values. Everything else is a
    canary: other fields, record keys, undeclared columns, unshared customers.
    """
    unshared = tuple(canary("customer") for _ in range(3))
    owners = (SHARED[0], SHARED[0], *SHARED[1:], *unshared)
    rows, canaries = [], set(unshared)
    for number, owner in enumerate(owners):
        mine = owner in unshared
        row = {
            "project_id": canary("record"),
            "customer": owner,
            "stage": canary("stage") if mine else f"Stage {number}",
            "acceptance": f"2027-0{number + 1}-15",
            "units": 10**12 + secrets.randbelow(10**12) if mine else 100 + number,
            "delivered": number % 2,
            "spend": _amount(),
            "rating": canary("rating"),
            "secret": 10**15 + secrets.randbelow(10**15),
            "phone": canary("phone"),
            "note": canary("note"),
        }
        rows.append(row)
        hidden = ["project_id", "spend", "rating", "secret", "phone", "note"]
        hidden += ["stage", "units"] if mine else []
        canaries |= {str(row[name]) for name in hidden}
    with contextlib.closing(sqlite3.connect(file)) as connection:
        columns = ", ".join(rows[0])
        connection.execute(f"CREATE TABLE projects ({columns})")
        for row in rows:
            marks = ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO projects VALUES ({marks})",  # noqa: S608
                tuple(row.values()),
            )
        connection.commit()
    return Crm(
        file=file,
        rows=rows,
        unshared=unshared,
        canaries=frozenset(canaries),
        names=(f"canary_{secrets.token_hex(8)}", f"canary-{secrets.token_hex(8)}"),
    )


def shapes(value: str) -> Iterator[bytes]:
    """Return every form in which a value could leave unnoticed."""
    raw = value.encode()
    digest = hashlib.sha256(raw).digest()
    for octets in (raw, digest, hashlib.sha256(canonical(value)).digest()):
        yield octets
        yield octets.hex().encode()
        yield octets.hex().upper().encode()
        yield json.dumps(octets.decode("latin-1"))[1:-1].encode()
        for shift in range(3):  # wherever it stands in a longer base64 text
            encoded = base64.b64encode(bytes(shift) + octets)
            start = (0, 2, 3)[shift]
            inner = encoded[start : len(encoded) - 4]
            yield inner
            yield inner.replace(b"+", b"-").replace(b"/", b"_")


# --- the world --------------------------------------------------------------


@dataclass
class Answer:
    """What a node answered to a query, and what was asked."""

    status: int
    body: dict[str, Any]
    octets: bytes
    asked: dict[str, Any]
    token: str | None

    @property
    def code(self) -> str | None:
        return self.body.get("code")

    @property
    def codes(self) -> list[str]:
        return [each["code"] for each in self.body.get("denials", ())]

    @property
    def receipt(self) -> Receipt:
        return parse_signed_receipt(self.body).receipt

    @property
    def values(self) -> list[list[dict[str, Any] | None] | None]:
        """Return for each customer the fields of its records, or None.

        Of a record that is withheld there is None as well.
        """
        return [
            [record.get("fields") for record in each["records"]]
            if each["status"] == "disclosed"
            else None
            for each in self.body["disclosures"]
        ]

    @property
    def shown(self) -> dict[str, Any]:
        """Return the fields of the one record there is."""
        [records] = self.values
        assert records is not None
        [fields] = records
        assert fields is not None
        return fields


@dataclass
class World:
    """A provider and a consumer that share customers, and a third company.

    Attributes:
        maker: Provides the dataset `projects`.
        supplier: Its consumer, under `agreement`.
        charger: A participant that is party to nothing.
    """

    folder: Path
    clock: FixedClock
    wire: Wire
    crm: Crm
    maker: Node
    supplier: Node
    charger: Node
    chain: MemoryChain
    agreement: str = ""

    async def ask(self, customer: str = SHARED[0]) -> str:
        """Ask once, as the supplier's own node asks; return the receipt's id."""
        question = {
            "agreement": self.agreement,
            "purpose": PURPOSE,
            "fields": ["units"],
            "customers": [customer],
        }
        answer = await self.supplier.manage("/management/ask", question)
        receipt: str = answer["receipt"]
        return receipt

    async def agree(self, *, align: bool = True, **terms: Any) -> str:
        """Offer, accept and align; return the agreement's id."""
        pid = (await self.maker.manage("/management/offers", self.offer(**terms)))[
            "consumerPid"
        ]
        path = f"/management/negotiations/{pid}/accept"
        agreed = await self.supplier.manage(path, {})
        agreement: str = agreed["agreement"]["@id"]
        if align:
            await self.align(agreement)
        return agreement

    async def align(self, agreement: str, customers: Sequence[str] = SHARED) -> None:
        path = f"/management/agreements/{agreement}/customers"
        await self.supplier.manage(path, {"customers": list(customers)})
        await self.maker.settle()

    def offer(self, **terms: Any) -> dict[str, Any]:
        return {
            "partner": self.supplier.did,
            "dataset": "projects",
            "fields": GRANTED,
            "predicates": PREDICATES,
            "purposes": [PURPOSE],
            "valid_from": "2026-11-01T00:00:00Z",
            "valid_to": "2027-05-01T00:00:00Z",
            "calls_per_hour": 1000,
            "rows_per_call": 100,
            **terms,
        }

    def customer(self, name: str, agreement: str | None = None) -> str:
        """Return the token that names a customer under an agreement."""
        return b64u(customer_token(self._key(agreement or self.agreement), name))

    def _key(self, agreement: str) -> bytes:
        key = self.supplier.services.align.agreeing
        public = self.maker.me.keys["x25519"]
        return key.customer_token_key(public, agreement, self.maker.did)

    def body(self, **changes: Any) -> dict[str, Any]:
        """Return a right query, with changes."""
        agreement = changes.get("agreement", self.agreement)
        if "customers" not in changes:
            changes["customers"] = [self.customer(SHARED[0], agreement)]
        return {
            "agreement": agreement,
            "purpose": PURPOSE,
            "fields": ["expected_acceptance_date", "project_stage"],
            "where": [],
            "stream": {"last": None, "countersignatures": []},
            **changes,
        }

    async def query(
        self,
        *,
        token: str | None = "right",  # noqa: S107
        dataset: str = "projects",
        caller: Node | None = None,
        nonce: str | None = None,
        **changes: Any,
    ) -> Answer:
        """Ask the provider, as the consumer does unless told."""
        body = self.body(**changes)
        if token == "right":
            token = (caller or self.supplier).token(
                self.maker.did, dataset, body, agreement=body["agreement"], nonce=nonce
            )
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        response = await self.maker.client.post(
            f"/views/{dataset}/query", json=body, headers=headers, timeout=120
        )
        return Answer(
            status=response.status_code,
            body=response.json(),
            octets=response.content,
            asked=body,
            token=token,
        )

    def check(self, answer: Answer) -> Receipt:
        """Check everything that must be true of an allowed answer."""
        assert answer.status == 200, answer.body
        signed = parse_signed_receipt(answer.body)
        disclosure = parse_disclosure({name: answer.body[name] for name in MEMBERS})
        tokens = self._declared(disclosure.snapshot.snapshot.declaration)
        verify_disclosure(
            disclosure,
            signed.receipt,
            self.maker.me,
            rank=tokens.index,
            random_bytes=secrets.token_bytes,
        )
        self._check_kept(answer, signed)
        receipt = signed.receipt
        assert receipt.decision == "allow"
        assert list(receipt.fields) == answer.asked["fields"]
        assert [each.to_json() for each in receipt.where] == answer.asked["where"]
        self._check_told(answer, disclosure)
        return receipt

    def _check_told(self, answer: Answer, disclosure: Disclosure) -> None:
        """Check that of no field more is told than was asked for."""
        shown = set(answer.asked["fields"])
        named = shown.union(*(each["fields"] for each in answer.asked["where"]))
        told = {
            each.name for each in disclosure.schema if isinstance(each, typed.Field)
        }
        assert told == named
        for _, _, record in disclosure.each():
            assert record.fields is None or record.fields.keys() == shown
            assert record.fields is not None or not record.presentation

    def _declared(self, digest: str) -> list[bytes]:
        """Return what the consumer itself remembers of what it declared."""
        c = t.declarations.c
        row, *_ = self.supplier.rows(sa.select(c.tokens).where(c.hash == digest))
        return [row.tokens[at : at + 32] for at in range(0, len(row.tokens), 32)]

    def check_refused(
        self,
        answer: Answer,
        *codes: str,
        status: int = 403,
        consumer: str | None = "supplier",
    ) -> Receipt:
        """Check that a call was refused with these codes, and left its receipt."""
        assert answer.status == status, answer.body
        assert answer.codes == sorted(codes)
        assert answer.code == answer.codes[0]
        assert "disclosures" not in answer.body
        signed = parse_signed_receipt(answer.body)
        self._check_kept(answer, signed)
        receipt = signed.receipt
        assert receipt.decision == "deny"
        assert receipt.denials == tuple(sorted(codes))
        assert (receipt.records, receipt.response_hash) == (0, None)
        caller = self.supplier.did if consumer == "supplier" else consumer
        assert receipt.consumer == caller
        return receipt

    def _check_kept(self, answer: Answer, signed: SignedReceipt) -> None:
        """Check signature, place in the stream, and that the store has the same."""
        verify_receipt(signed, self.maker.me)
        receipt = signed.receipt
        agreement = answer.asked["agreement"]
        assert receipt.agreement == agreement
        assert receipt.customers == len(answer.asked["customers"])
        assert receipt.at == self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        kept = [each for each in self.maker.receipts() if each == signed]
        assert kept == [signed]
        stream = [
            each.receipt
            for each in self.maker.receipts()
            if each.receipt.stream == receipt.stream
        ]
        before = stream[receipt.sequence - 1] if receipt.sequence else None
        check_successor(before, receipt)

    def spilled(self, *more: bytes, since: int = 0) -> list[str]:
        """Return every canary that occurs, in any form, in what left a node.

        Args:
            more: Other bytes to look at.
            since: How many exchanges have been looked at before.
        """
        exchanges = self.wire.exchanges[since:]
        seen = b"\n".join((*(each.octets() for each in exchanges), *more))
        outside = b"\n".join(
            each.octets()
            for each in exchanges
            if not (each.is_inside and each.url == self.maker.url)
        )
        hidden = self.maker.secrets() | self.crm.scalars()
        return [
            *spilled_in(self.crm.canaries, seen),
            *spilled_in(self.crm.names, outside),
            *sorted(uncovered(hidden, outside)),
        ]

    async def stop(self) -> None:
        for node in (self.maker, self.supplier, self.charger):
            await node.stop()

    async def restart(self, **changes: Any) -> Self:
        """Stop the provider and start it again from what is on the disk."""
        await self.maker.stop()
        self.maker = await start(
            self.maker.folder,
            clock=self.clock,
            wire=self.wire,
            **{"anchors": self.chain, **changes},
        )
        return self


def spilled_in(canaries: Iterable[str], octets: bytes) -> list[str]:
    forms = {form: value for value in canaries for form in _forms(value)}
    return sorted({forms[form] for form in occurring(forms, octets)})


def secrets_of(engine: sa.Engine) -> dict[str, bytes]:
    """Return what a provider keeps of its records and shows to nobody, by its name.

    With it a guess of a record could be tested, or its commitments be linked. The
    salts of fields that are granted are told with them, those of others never.
    """
    found: dict[str, bytes] = {}
    granted: set[tuple[str, str]] = set()
    with engine.connect() as connection:
        for row in connection.execute(sa.select(t.agreements)):
            agreement = Agreement.from_odrl(json.loads(row.odrl))
            granted |= {(row.dataset, name) for name in agreement.terms.fields}
        for row in connection.execute(sa.select(t.records)):
            found |= {f"link of {row.key}": row.link}
            found |= {f"digest of {row.key}": row.digest}
        for row in connection.execute(sa.select(t.seals)):
            named = f"{row.key} under {row.agreement}"
            found |= {f"blinder of {named}": row.blinder}
            found |= {f"signature of {named}": row.signature}
        for row in connection.execute(sa.select(t.datasets)):
            for field_ in json.loads(row.schema):
                if (row.id, field_["name"]) not in granted:
                    found |= {f"salt of {field_['name']}": unb64u(field_["salt"])}
    return found


def uncovered(kept: Mapping[str, bytes], octets: bytes) -> set[str]:
    """Return the names of secrets that occur: as octets, in hex or in base64url."""
    ends = {value[-_END:]: name for name, value in kept.items() if len(value) >= _END}
    told = b"\n".join((octets, *_decoded(octets)))
    return {ends[end] for end in occurring(ends, told)}


def _decoded(octets: bytes) -> Iterator[bytes]:
    for match in re.finditer(rb"[A-Za-z0-9_-]{32,}", octets):
        run = match[0]
        whole = run[:-1] if len(run) % 4 == 1 else run
        yield base64.urlsafe_b64decode(whole + b"==")
        with contextlib.suppress(ValueError):
            yield bytes.fromhex(run[: len(run) // 2 * 2].decode())


@cache
def _forms(value: str) -> tuple[bytes, ...]:
    return tuple(shapes(value))


@contextlib.asynccontextmanager
async def open_world(
    folder: Path,
    *,
    policy: Any = None,
    settings: str = "",
    database: str | None = None,
    clock: FixedClock | None = None,
    ports: Sequence[int] = (8101, 8102, 8103),
    suites: Mapping[str, str] | None = None,
    **terms: Any,
) -> AsyncIterator[World]:
    """Start three companies; publish, agree and align.

    Args:
        folder: Where everything is kept.
        policy: Another policy engine for the provider.
        settings: YAML to add to the provider's settings.
        database: Address of the provider's store; an SQLite file without it.
        clock: Another clock than one that stands still.
        ports: In the companies' addresses; nobody listens there.
        suites: What a company signs receipts with, by its short name; else Ed25519.
        terms: Changes to the usual terms of the agreement.
    """
    clock, wire = clock or FixedClock(), Wire()
    registry = folder / "participants.json"
    names = ("maker", "supplier", "charger")
    for name, port in zip(names, ports, strict=True):
        place = database if name == "maker" else None
        suite = (suites or {}).get(name, "ed25519")
        found(
            folder / name,
            name.capitalize(),
            port,
            registry,
            database=place,
            suite=suite,
        )
    if "company:" not in settings:
        # Whoever asks through `World.query` signs no receipt back.
        settings += "company: {max_unacknowledged: 1000000}\n"
    with (folder / "maker" / "node.yaml").open("a") as file:
        file.write(settings)
    own = {each["url"]: each for each in json.loads(registry.read_text())}
    address = own[f"http://127.0.0.1:{ports[0]}"]["chain_address"].lower()
    chain = MemoryChain(member=address)
    maker = await start(
        folder / "maker", clock=clock, wire=wire, policy=policy, anchors=chain
    )
    reading = chain.as_member(
        own[f"http://127.0.0.1:{ports[1]}"]["chain_address"].lower()
    )
    supplier = await start(folder / "supplier", clock=clock, wire=wire, anchors=reading)
    charger = await start(folder / "charger", clock=clock, wire=wire)
    world = World(
        folder=folder,
        clock=clock,
        wire=wire,
        crm=crm(folder / "crm.sqlite"),
        maker=maker,
        supplier=supplier,
        charger=charger,
        chain=chain,
    )
    try:
        await maker.manage("/management/datasets", world.crm.declaration())
        world.agreement = await world.agree(**terms)
        world.wire.exchanges.clear()
        yield world
        assert world.spilled() == []
    finally:
        await world.stop()


# --- looking at what is left ------------------------------------------------


def check_streams(receipts: Sequence[SignedReceipt], provider: Participant) -> None:
    """Check that every receipt is signed and every stream without a gap."""
    newest: dict[str, Receipt] = {}
    ordered = sorted(receipts, key=lambda each: each.receipt.sequence)
    for signed in ordered:
        verify_receipt(signed, provider)
        receipt = signed.receipt
        check_successor(newest.get(receipt.stream), receipt)
        newest[receipt.stream] = receipt


def check_log(engine: sa.Engine, provider: Participant) -> int:
    """Recompute the tree from receipts and snapshots; return how many receipts it has.

    The newest checkpoint must be signed for this log and have that size and
    root, and every older one the root of its own size.
    """
    hashing = provider.hashing
    with engine.connect() as connection:
        entries = [
            (row.log_index, log.leaf(signed(row), row.salt, hashing=hashing))
            for table, signed in (
                (t.receipts, signed_receipt),
                (t.snapshots, signed_snapshot),
            )
            for row in connection.execute(
                sa.select(table).where(table.c.log_index.is_not(None))
            )
        ]
        receipts = connection.scalar(sa.select(sa.func.count(t.receipts.c.log_index)))
        notes = list(
            connection.execute(sa.select(t.checkpoints).order_by(t.checkpoints.c.size))
        )
    assert sorted(index for index, _ in entries) == list(range(len(entries)))
    leaves = [leaf for _, leaf in sorted(entries)]
    for row in notes:
        checkpoint = open_checkpoint(
            row.note,
            origin=origin_of(provider.did),
            keys=provider.verifiers,
        )
        assert (checkpoint.size, checkpoint.root) == (row.size, row.root)
        assert merkle.root(leaves[: row.size], hashing=hashing) == checkpoint.root
    assert not leaves or (notes and notes[-1].size == len(leaves))
    return receipts or 0


class Loop:
    """An event loop in a thread of its own, for tests that are not async."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
