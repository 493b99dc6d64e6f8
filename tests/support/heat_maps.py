"""A car maker's faults and a supplier who asks about them, without nodes.

    world = World(tmp_path, faults())
    result = await world.ask(world.plan("C"))

Rows are read from a real file; steps go through `DirectCalls`, where a test can change
what is sent. Without noise, unless a test asks for it, figures are exact.
"""

import csv
import datetime
import random
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from crypto.encoding import b64u, sha256
from crypto.kernels import bfv
from crypto.kernels.packing import unpack
from ledger.plans import Group, Kind, Measure, Party, Plan, SignedPlan
from ledger.snapshots import declaration_hash
from node.adapters.crm.opening import CrmSources
from node.domain.aggregates import AggregateGrant, Allowance
from node.domain.agreement import Agreement, Terms
from node.domain.dataset import (
    CustomerKey,
    Dataset,
    Field,
    FieldType,
    Grade,
    Mode,
    Source,
    Title,
)
from node.domain.masks import masks_hash, write_masks
from node.domain.noised import Laplace, Spread
from node.errors import Refused
from node.ports import Clock, Declaration, Publication, Store
from node.ports.aggregates import Spending
from node.services.aggregates.heat_map_asker import HeatMapAsker
from node.services.aggregates.heat_map_owner import HeatMapOwner
from node.services.aggregates.steps import Answer, Refusal
from node.services.aggregates.tally import Tally
from tests.support.runs import DirectCalls, MemoryRun

T = TypeVar("T")
OWNER, ASKER = "did:web:maker.example", "did:web:supplier.example"
NOW = datetime.datetime(2026, 11, 22, 18, 30, tzinfo=datetime.UTC)
FAULTS = ("BMS-01", "BMS-02", "CELL-7", "COOL-3")
REGIONS = ("North", "South", "华东")
WEEKS = ("2026-10-26", "2026-11-02", "2026-11-09")
SET = "bfv-8192-41"
Row = dict[str, str]
_TITLE = Title(en="A field", zh="字段")


def faults(vehicles: int = 300, seed: int = 5) -> list[Row]:
    """Reports of faults: some vehicles have none, some have several of one kind."""
    draw = random.Random(seed)  # noqa: S311  # reproducible, not secret
    rows = []
    for number in range(vehicles):
        for _ in range(draw.choice((1, 1, 2, 3))):
            day = datetime.date(2026, 10, 26) + datetime.timedelta(draw.randrange(21))
            cents = draw.randrange(100, 90_000)
            rows.append(
                {
                    "vin": f"VIN{number:06}",
                    "fault": draw.choice(FAULTS),
                    "region": draw.choice(REGIONS),
                    "reported": day.isoformat(),
                    "cost": f"{cents // 100}.{cents % 100:02}",
                    "mileage": str(draw.randrange(200_000)),
                }
            )
    for number, row in enumerate(rows):
        row["id"] = str(number)
    return rows


def dataset(file: Path) -> Dataset:
    """The car maker's dataset, over a CSV file."""
    types = {
        "fault": FieldType.TEXT,
        "region": FieldType.TEXT,
        "reported": FieldType.DATE,
        "cost": FieldType.MONEY,
        "mileage": FieldType.INTEGER,
    }
    return Dataset(
        id="faults",
        title=_TITLE,
        source=Source(url=str(file), relation="", record="id"),
        customer=CustomerKey(column="vin", rule="exact"),
        fields=tuple(
            Field(
                name=name,
                column=name,
                type=kind,
                title=_TITLE,
                grade=Grade.IMPORTANT,
                personal=False,
                modes=frozenset({Mode.AGGREGATE}),
                unit="CNY" if kind is FieldType.MONEY else None,
                scale=2 if kind is FieldType.MONEY else 0,
            )
            for name, kind in types.items()
        ),
    )


def agreement() -> Agreement:
    """What the two have agreed on."""
    grant = AggregateGrant(field="fault", type=FieldType.TEXT, uses=("filter", "group"))
    return Agreement(
        id="urn:uuid:heat",
        dataset="faults",
        assigner=OWNER,
        assignee=ASKER,
        terms=Terms(
            fields={"fault": Mode.AGGREGATE},
            purposes=("quality",),
            valid_from=NOW - datetime.timedelta(days=1),
            valid_to=NOW + datetime.timedelta(days=90),
            calls_per_hour=1000,
            rows_per_call=1,
            aggregates=(grant,),
            allowance=Allowance(
                epsilon_micro=100_000_000,
                period="quarter",
                k_min=5,
                plans_per_day=100,
            ),
        ),
        timestamp=NOW,
    )


def signed_plan(mode: str = "C", **changes: Any) -> SignedPlan:
    """A plan by fault and region; its signature is not looked at here."""
    agreed = agreement()
    party = Party(
        did=OWNER,
        agreement=agreed.id,
        agreement_hash=agreed.hash,
        dataset=agreed.dataset,
    )
    plan: dict[str, Any] = {
        "kind": Kind.HEAT_MAP,
        "mode": mode,
        "round": secrets.token_hex(32),
        "asker": ASKER,
        "parties": (party,),
        "purpose": "quality",
        "groups": (
            Group(field="fault", grain="value", values=FAULTS),
            Group(field="region", grain="value", values=REGIONS),
        ),
        "measure": Measure(what="count", field=None, bound=1),
        "filters": (),
        "cohort": "all",
        "contribution": 10,
        "epsilon_micro": 1_000_000,
        "k_min": 5,
        "parameters": SET,
        "key": None,
        "size": 0,
        "segments": None,
        "segment_labels": (),
        "totals": (),
        "commitment": None,
        "replaces": None,
        "created": "2026-11-22T18:00:00Z",
        "expires": "2026-11-23T18:00:00Z",
        "key_id": ASKER + "#ed25519-0123456789abcdef",
    }
    return SignedPlan(plan=Plan(**(plan | changes)), signature=bytes(64))


def silent(values: Sequence[int], *, sensitivity: int, epsilon_micro: int) -> list[int]:
    """Noise of zero."""
    return list(values)


def narrow(sensitivity: int, epsilon_micro: int, beta: float) -> int:
    """The spread of noise of zero."""
    return 0


@dataclass
class Shelf:
    """What the owner's store has, as far as a tally asks for it."""

    spendings: list[tuple[Spending, datetime.datetime]] = field(default_factory=list)
    declared: tuple[bytes, ...] = ()
    customers: Mapping[bytes, str] = field(default_factory=dict)

    async def read(self, question: Callable[[Any], T]) -> T:
        return question(SimpleNamespace(budgets=self, agreements=self))

    def spent(self, under: str, since: datetime.datetime) -> list[Spending]:
        return [each for each, at in self.spendings if at >= since]

    def of(self, plan: str) -> Spending | None:
        found = [
            replace(each, at=at) for each, at in self.spendings if each.plan == plan
        ]
        return found[0] if found else None

    def charge(
        self, plan: Plan, at: datetime.datetime = NOW, part: int | None = None
    ) -> None:
        """Keep that a plan was charged, or a part of it."""
        spending = Spending(
            plan=plan.plan_hash,
            query=plan.query_hash,
            agreement=plan.parties[0].agreement,
            dataset="faults",
            core=plan.canonical().decode(),
            epsilon_micro=plan.epsilon_micro if part is None else part,
            committed=True,
        )
        self.spendings.append((spending, at))

    def declaration(self, _agreement: str) -> Declaration | None:
        if not self.declared:
            return None
        tokens = list(self.declared)
        return Declaration(hash=declaration_hash(tokens), tokens=b"".join(tokens))

    def aligned(
        self, _agreement: str, tokens: Sequence[bytes]
    ) -> dict[bytes, tuple[int, str]]:
        return {
            token: (self.declared.index(token), self.customers[token])
            for token in tokens
            if token in self.customers
        }


class Wire(DirectCalls):
    """Hands steps over; a refusal arrives as the other side sees it.

    Attributes:
        tamper: Changes a payload on its way, by step.
        lies: Changes an answer on its way, by step.
        refusals: Every refusal, as the owner made it.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.tamper: dict[str, Callable[[bytes], bytes]] = {}
        self.lies: dict[str, Callable[[Answer], Answer]] = {}
        self.refusals: list[Refusal] = []

    async def __call__(
        self,
        signed: SignedPlan,
        party: Party,
        step: str,
        arguments: Mapping[str, Any],
        payload: bytes = b"",
    ) -> Answer:
        change = self.tamper.get(step, bytes)
        try:
            answer = await super().__call__(
                signed, party, step, arguments, change(payload)
            )
        except Refusal as refusal:
            self.refusals.append(refusal)
            raise Refused(str(refusal), "The provider refused.") from refusal
        return self.lies[step](answer) if step in self.lies else answer


class World:
    """A car maker with rows, and a supplier.

    Attributes:
        calls: The wire between them.
        shelf: The maker's store.
        run: The supplier's.
    """

    def __init__(
        self,
        place: Path,
        rows: Sequence[Row],
        *,
        laplace: Laplace = silent,
        spread: Spread = narrow,
        about: Callable[[Path], Dataset] = dataset,
    ) -> None:
        self.rows, self.shelf, self.run = rows, Shelf(), MemoryRun()
        file = place / f"{secrets.token_hex(4)}.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        self.dataset = about(file)
        self.publication = cast(
            "Publication",
            SimpleNamespace(dataset=self.dataset, report={"rows": len(rows)}),
        )
        ticks = iter(range(10**9))
        clock = SimpleNamespace(
            now=lambda: NOW, elapsed_ms=lambda: 1000.0 * next(ticks)
        )
        self.tally = Tally(
            sources=CrmSources({}),
            store=cast("Store", self.shelf),
            clock=cast("Clock", clock),
            randomness=secrets.token_bytes,
            laplace=laplace,
            spread=spread,
        )
        self.owner = HeatMapOwner(tally=self.tally, randomness=secrets.token_bytes)
        place_of = {"agreement": agreement(), "publication": self.publication}
        self.calls = Wire({OWNER: self.owner}, {OWNER: place_of})
        self.asker = HeatMapAsker(call=self.calls, randomness=secrets.token_bytes)

    def plan(self, mode: str = "C", **changes: Any) -> SignedPlan:
        """A plan by fault and region."""
        return signed_plan(mode, **changes)

    def flipped(self, **changes: Any) -> tuple[SignedPlan, dict[str, Any]]:
        """A flipped plan, and the asker's key for it."""
        pair = bfv.key_pair(SET.encode())
        digest = bfv.digest(SET.encode(), unpack(pair)[1]).hex()
        wanted = {"totals": ("region",), "key": digest} | changes
        return self.plan("flip", **wanted), {"key": b64u(pair)}

    def declare(self, customers: Sequence[str], size: int = 512) -> list[str]:
        """Declare customers, padded; return what stands at each position."""
        named = {sha256(b"token " + name.encode()): name for name in customers}
        padding = {secrets.token_bytes(32): "" for _ in range(size - len(named))}
        tokens = sorted({**named, **padding})
        known = {row[self.dataset.customer.column] for row in self.rows}
        self.shelf.declared = tuple(tokens)
        self.shelf.customers = {t: name for t, name in named.items() if name in known}
        return [named.get(token, "") for token in tokens]

    def segmented(
        self,
        segments: Mapping[str, Sequence[int]] | bytes,
        labels: Sequence[str] = (),
        **changes: Any,
    ) -> tuple[SignedPlan, dict[str, Any]]:
        """A plan over rows, and its segments: positions by label, or masks."""
        size = len(self.shelf.declared)
        if isinstance(segments, bytes):
            masks = segments
        else:
            masks = write_masks(size, list(segments.values()))
            labels = tuple(segments)
        declared = self.shelf.declaration("")
        wanted = {
            "segments": masks_hash(masks),
            "segment_labels": tuple(labels),
            "cohort": "shared",
            "groups": (Group(field="fault", grain="value", values=FAULTS),),
        }
        inputs = {
            "masks": b64u(masks),
            "size": size,
            "declaration": declared.hash if declared else "",
        }
        return self.plan("R", **(wanted | changes)), inputs

    async def ask(
        self, signed: SignedPlan, inputs: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Carry out a plan."""
        return await self.asker(signed, inputs or {}, self.run)

    def step(self, signed: SignedPlan) -> MemoryRun:
        """Return the owner's run of a plan."""
        return self.calls.runs[OWNER, signed.plan.plan_hash]


def plainly(
    rows: Sequence[Row],
    names: Sequence[str],
    labels: Sequence[Sequence[str]],
    *,
    customer: str = "vin",
    cost: str | None = None,
    bound: int = 1,
) -> tuple[list[int], list[int]]:
    """Compute a table without any of the code under test.

    Args:
        names: Columns by which cells are told apart.
        labels: The cells, in order.
        cost: Column to sum, an amount of two decimals; None to count customers.

    Returns:
        Of each cell the figure, clipped per customer, and how many customers.
    """
    of: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        cents = round(float(row[cost]) * 100) if cost else 1
        of[tuple(row[name] for name in names)][row[customer]] += cents
    found = [of.get(tuple(each), {}) for each in labels]
    figures = [sum(min(v, bound) for v in each.values()) for each in found]
    return figures, [len(each) for each in found]
