"""Companies that add up a sum together, without nodes: handlers, an asker, no wire.

    world = World(parties=5)
    result = await world.ask()

What each company contributes is a table that the test says, without noise, so that
sums are exact. Steps go through `DirectCalls`; a test can change an answer on its way
(`World.tamper`), or have a company not answer (`World.silent`).
"""

import datetime
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from crypto.encoding import sha256
from crypto.keys import Ed25519Key, X25519Key
from ledger.participants import Participant
from ledger.plans import (
    Group,
    Kind,
    Measure,
    Party,
    Plan,
    SignedPlan,
    parse_signed_plan,
    sign_plan,
)
from node.domain.aggregates import AggregateGrant, Allowance
from node.domain.agreement import Agreement, Terms
from node.domain.dataset import FieldType, Mode
from node.domain.negotiation import Role
from node.errors import Unavailable
from node.ports import Publication, Store
from node.ports.aggregates import Kernel, Shared, Spending
from node.services.aggregates.federate_asker import FederateAsker, prepare
from node.services.aggregates.federate_provider import FederateProvider
from node.services.aggregates.steps import Answer, Handler, Run, StepCall
from tests.support.runs import DirectCalls, MemoryRun

T = TypeVar("T")
ASKER = "did:web:asker.example"
NOW = datetime.datetime(2026, 11, 22, 18, 30, tzinfo=datetime.UTC)
REGIONS = ("North", "South", "East", "West", "华东")


def did(number: int) -> str:
    """The name of a company."""
    return f"did:web:p{number:02}.example"


def participant(name: str) -> tuple[Participant, Ed25519Key]:
    """A company as it is pinned, and the key that it signs with."""
    key = Ed25519Key.from_bytes(sha256(name.encode()))
    keys: dict[Any, bytes] = {
        "ed25519": key.public_bytes,
        "x25519": X25519Key.from_bytes(sha256(b"x" + name.encode())).public_bytes,
        "bls12381g2": bytes(96),
        "secp256k1": bytes(33),
    }
    pinned = Participant(
        did=name,
        name={"en": name, "zh": name},
        url="http://127.0.0.1:1",
        keys=keys,
        chain_address="0x" + "0" * 40,
    )
    return pinned, key


def agreement(provider: str, consumer: str = ASKER, name: str = "a") -> Agreement:
    """An agreement by which regions may be counted."""
    grant = AggregateGrant(field="region", type=FieldType.TEXT, uses=("group",))
    terms = Terms(
        fields={"region": Mode.AGGREGATE},
        purposes=("service",),
        valid_from=NOW - datetime.timedelta(days=1),
        valid_to=NOW + datetime.timedelta(days=90),
        calls_per_hour=1000,
        rows_per_call=1,
        aggregates=(grant,),
        allowance=Allowance(
            epsilon_micro=10_000_000,
            period="quarter",
            k_min=5,
            plans_per_day=100,
            matching="none",
            match_size=0,
        ),
    )
    return Agreement(
        id=f"urn:{name}:{sha256(provider.encode()).hex()[:8]}",
        dataset="orders",
        assigner=provider,
        assignee=consumer,
        terms=terms,
        timestamp=NOW,
    )


def publication(unit: str | None = None, scale: int = 0) -> Publication:
    """A dataset whose fields have a unit."""
    field = SimpleNamespace(unit=unit, scale=scale)
    dataset = SimpleNamespace(field=lambda name: field if name else None)
    return cast("Publication", SimpleNamespace(dataset=dataset))


@dataclass
class Table:
    """What a company contributes: exactly this."""

    cells: tuple[int, ...]
    bound: int = 1 << 20
    spread: int = 0

    async def __call__(
        self, plan: Plan, party: Party, under: Any, of: Any, run: Run
    ) -> "Table":
        return self


@dataclass
class MemoryBudgets:
    """Spendings, and in which order the agreements were held."""

    spendings: dict[str, Spending] = field(default_factory=dict)

    def spend(self, plan: Plan, under: Agreement) -> None:
        """Reserve, as a node does before a step that is charged."""
        self.spendings.setdefault(
            plan.plan_hash,
            Spending(
                plan=plan.plan_hash,
                query=plan.query_hash,
                agreement=under.id,
                dataset=under.dataset,
                core=plan.canonical().decode(),
                epsilon_micro=plan.epsilon_micro,
                committed=False,
            ),
        )

    def commit(self, plan: str, roster: Sequence[str] = ()) -> None:
        changed = replace(self.spendings[plan], committed=True, roster=tuple(roster))
        self.spendings[plan] = changed

    def of(self, plan: str) -> Spending | None:
        return self.spendings.get(plan)

    def spent(self, under: str, since: datetime.datetime) -> list[Spending]:
        return [each for each in self.spendings.values() if each.agreement == under]


@dataclass
class MemoryStore:
    """A store of budgets and agreements, of which one transaction is whole or not."""

    agreements: list[Agreement]
    budgets: MemoryBudgets = field(default_factory=MemoryBudgets)

    async def read(self, question: Callable[[Any], T]) -> T:
        return await self.write(question)

    async def write(self, action: Callable[[Any], T]) -> T:
        kept = [
            SimpleNamespace(agreement=each, role=Role.PROVIDER)
            for each in self.agreements
        ]
        names = SimpleNamespace(all=lambda: kept, hold=lambda _: None)
        before = dict(self.budgets.spendings)
        try:
            return action(SimpleNamespace(budgets=self.budgets, agreements=names))
        except BaseException:
            self.budgets.spendings = before
            raise


class World:
    """An asker, and companies that hold tables."""

    def __init__(self, parties: int = 4, cells: Sequence[str] = REGIONS) -> None:
        """Make companies whose cells are 100 and up, a thousand for each."""
        self.dids = [did(number) for number in range(1, parties + 1)]
        self.pins: dict[str, Participant] = {}
        self.keys: dict[str, Ed25519Key] = {}
        for name in (ASKER, *self.dids, "did:web:stranger.example"):
            self.pins[name], self.keys[name] = participant(name)
        self.now = NOW
        self.values = tuple(cells)
        self.tables = {
            name: Table(
                tuple(1000 * (at + 1) + 100 + cell for cell in range(len(cells)))
            )
            for at, name in enumerate(self.dids)
        }
        self.under = {name: agreement(name) for name in self.dids}
        self.of = {name: publication() for name in self.dids}
        self.stores = {name: MemoryStore([self.under[name]]) for name in self.dids}
        self.handlers: dict[str, Handler] = {
            name: self.provider(name) for name in self.dids
        }
        self.places: dict[str, dict[str, Any]] = {
            name: {"agreement": self.under[name], "publication": self.of[name]}
            for name in self.dids
        }
        self.direct = DirectCalls(self.handlers, self.places)
        self.silent: dict[tuple[str, str], int] = {}
        self.tampered: dict[tuple[str, str], Callable[[Answer], Answer]] = {}
        self.asked: dict[str, int] = defaultdict(int)

    def hold(self, name: str, cells: Sequence[int], **facts: int) -> None:
        """Give a company another table."""
        self.tables[name] = Table(tuple(cells), **facts)
        self.handlers[name] = self.provider(name)

    def hold_units(self, *names: str, unit: str, scale: int) -> None:
        """Have companies measure in a unit."""
        for name in names:
            self.of[name] = publication(unit, scale)
            self.places[name]["publication"] = self.of[name]

    def provider(self, name: str, **changes: Any) -> FederateProvider:
        """A company's handler."""
        facts: dict[str, Any] = {
            "store": cast("Store", self.stores[name]),
            "identity": Known(self.pins, name),
            "signer": self.keys[name],
            "cells": self.tables[name],
            "clock": SimpleNamespace(now=lambda: self.now),
            "randomness": secrets.token_bytes,
        }
        return FederateProvider(**(facts | changes))

    def asker(self, **changes: Any) -> FederateAsker:
        """The asker's side."""
        facts: dict[str, Any] = {
            "identity": Known(self.pins, ASKER),
            "call": self.call,
            "resign": lambda plan: sign_plan(plan, self.keys[ASKER]),
            "clock": SimpleNamespace(now=lambda: self.now),
            "randomness": secrets.token_bytes,
            "spread": lambda reach, share, beyond: reach,
        }
        return FederateAsker(**(facts | changes))

    def party(self, name: str) -> Party:
        """A company in a plan."""
        under = self.under[name]
        return Party(
            did=name,
            agreement=under.id,
            agreement_hash=under.hash,
            dataset=under.dataset,
        )

    def plan(self, **changes: Any) -> Plan:
        """A plan over every company, changed as said."""
        group = Group(field="region", grain="value", values=self.values)
        facts: dict[str, Any] = {
            "kind": Kind.FEDERATED_SUM,
            "mode": "",
            "round": secrets.token_hex(32),
            "asker": ASKER,
            "parties": tuple(self.party(name) for name in self.dids),
            "purpose": "service",
            "groups": (group,),
            "measure": Measure(what="count", field=None, bound=1),
            "filters": (),
            "cohort": "all",
            "contribution": 1,
            "epsilon_micro": 500_000,
            "k_min": 10,
            "parameters": "bfv-4096-40",
            "key": "0" * 64,
            "size": 0,
            "segments": None,
            "segment_labels": (),
            "totals": (),
            "commitment": None,
            "replaces": None,
            "created": "2026-11-22T18:00:00Z",
            "expires": "2026-11-22T20:00:00Z",
            "key_id": self.keys[ASKER].key_id(ASKER),
        }
        return Plan(**(facts | changes))

    def signed(self, plan: Plan) -> SignedPlan:
        """A plan, signed by the asker."""
        return sign_plan(plan, self.keys[ASKER])

    async def prepared(self, **changes: Any) -> tuple[SignedPlan, dict[str, Any]]:
        """A signed plan with a key of its own, and the asker's inputs."""
        digest, inputs = await prepare(Here(), "bfv-4096-40")
        return self.signed(self.plan(key=digest, **changes)), inputs

    async def ask(self, **changes: Any) -> Mapping[str, Any]:
        """Carry out a plan."""
        signed, inputs = await self.prepared(**changes)
        return await self.asker()(signed, inputs, MemoryRun())

    async def call(
        self,
        signed: SignedPlan,
        party: Party,
        step: str,
        arguments: Mapping[str, Any],
        payload: bytes = b"",
    ) -> Answer:
        """Call a step, as nodes do: charged before; silence and lies as said."""
        assert parse_signed_plan(signed.to_json()) == signed
        self.asked[party.did] += 1
        if self.silent.get((party.did, step)):
            self.silent[party.did, step] -= 1
            raise Unavailable("partner.unavailable", "The partner does not answer.")
        self.charge(signed.plan, party, step)
        answer = await self.direct(signed, party, step, arguments, payload)
        change = self.tampered.get((party.did, step))
        return change(answer) if change else answer

    def charge(self, plan: Plan, party: Party, step: str) -> None:
        if self.handlers[party.did].charges(plan, step):
            store = self.stores[party.did]
            store.budgets.spend(plan, self.under[party.did])

    def step(
        self,
        name: str,
        signed: SignedPlan,
        step: str,
        arguments: Mapping[str, Any] | None = None,
        payload: bytes = b"",
    ) -> StepCall:
        """A step as a handler is given it."""
        self.charge(signed.plan, self.party(name), step)
        return StepCall(
            signed=signed,
            party=self.party(name),
            step=step,
            arguments=arguments or {},
            payload=payload,
            agreement=self.under[name],
            publication=self.of[name],
        )

    @property
    def sums(self) -> list[int]:
        """What all tables add up to."""
        rows = (self.tables[name].cells for name in self.dids)
        return [sum(cells) for cells in zip(*rows, strict=True)]


@dataclass
class Known:
    """Who is pinned."""

    pins: Mapping[str, Participant]
    name: str

    @property
    def me(self) -> Participant:
        return self.pins[self.name]

    def participant(self, name: str) -> Participant | None:
        return self.pins.get(name)


class Here:
    """Implements `Compute`: in this process."""

    width = 1

    async def __call__(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        return await MemoryRun().compute(kernel, *arguments)
