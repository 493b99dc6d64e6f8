"""Companies that compare their customers, without nodes: plans, parties and a play."""

import datetime
import secrets
from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from crypto.kernels import bfv as _bfv  # noqa: F401  # SEAL is loaded before any clock
from ledger.plans import Kind, Measure, Party, Plan, SignedPlan
from node.domain.aggregates import AggregateGrant, Allowance
from node.domain.agreement import Agreement, Terms
from node.domain.dataset import FieldType, Mode
from node.ports import Publication
from node.services.aggregates.intersect import Intersect
from node.services.aggregates.intersect_asking import AskIntersection, Matched
from node.services.aggregates.intersect_prepare import Prepared, prepare
from node.services.aggregates.joint_asking import AskJointSum
from node.services.aggregates.joint_sum import JointSum
from node.services.aggregates.ring import Ring
from node.services.aggregates.ring_asking import AskRing
from node.services.aggregates.steps import Asking, CallStep, Handler, Run, StepCall
from tests.support.federated import participant
from tests.support.runs import DirectCalls, MemoryRun

ASKER = "did:web:127.0.0.1%3A8100"
KEY_ID = ASKER + "#ed25519-0123456789abcdef"
ALLOWED = Allowance(
    epsilon_micro=5_000_000,
    period="year",
    k_min=5,
    plans_per_day=10,
    matching="list",
    match_size=2**20,
)
_AT = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


def did(number: int) -> str:
    """DID of a provider, from 1."""
    return f"did:web:127.0.0.1%3A81{number:02}"


def agreement(number: int, allowance: Allowance = ALLOWED) -> Agreement:
    """What a provider has agreed on with the asker."""
    grant = AggregateGrant(
        field="sales",
        type=FieldType.MONEY,
        unit="USD",
        scale=2,
        uses=("sum",),
        bound="1000000.00",
    )
    return Agreement(
        id=f"urn:uuid:00000000-0000-4000-8000-00000000000{number}",
        dataset="orders",
        assigner=did(number),
        assignee=ASKER,
        terms=Terms(
            fields={"sales": Mode.AGGREGATE},
            purposes=("joint-service",),
            valid_from=_AT,
            valid_to=_AT + datetime.timedelta(days=365),
            calls_per_hour=1000,
            rows_per_call=1000,
            aggregates=(grant,),
            allowance=allowance,
        ),
        timestamp=_AT,
    )


def party(number: int) -> Party:
    """A provider's entry in a plan."""
    agreed = agreement(number)
    return Party(
        did=did(number),
        agreement=agreed.id,
        agreement_hash=agreed.hash,
        dataset=agreed.dataset,
    )


def plan_of(kind: Kind, mine: Prepared, round_id: str, **changes: Any) -> SignedPlan:
    """A plan of a kind; its signature is not looked at here."""
    joint = kind is Kind.JOINT_SUM
    field, bound = ("sales", 1_000_000) if joint else (None, 1)
    plan: dict[str, Any] = {
        "kind": kind,
        "mode": "count" if kind is Kind.INTERSECTION else "",
        "round": round_id,
        "asker": ASKER,
        "parties": tuple(map(party, (1, 2) if kind is Kind.RING_COUNT else (1,))),
        "purpose": "joint-service",
        "groups": (),
        "measure": Measure(what="sum" if joint else "count", field=field, bound=bound),
        "filters": (),
        "cohort": "all",
        "contribution": 1,
        "epsilon_micro": 1_000_000 if joint else 0,
        "k_min": 5,
        "parameters": "bfv-8192-41" if joint else "",
        "key": None,
        "size": mine.size,
        "segments": None,
        "segment_labels": (),
        "totals": (),
        "commitment": mine.commitment,
        "replaces": None,
        "created": "2026-11-22T18:00:00Z",
        "expires": "2026-11-23T18:00:00Z",
        "key_id": KEY_ID,
    }
    return SignedPlan(plan=Plan(**(plan | changes)), signature=bytes(64))


def silent(values: Sequence[int], *, sensitivity: int, epsilon_micro: int) -> list[int]:
    """Noise of zero."""
    return list(values)


class Companies:
    """An asker and providers, each with its customers, and what these come to.

    Attributes:
        pins: Records of the providers, as they are pinned.
        calls: What went over the wire.
        run: The asker's.
    """

    def __init__(
        self,
        *held: Collection[str] | Mapping[str, int],
        noise: Any = silent,
        allowance: Allowance = ALLOWED,
    ) -> None:
        self.held = {did(number): each for number, each in enumerate(held, 1)}
        self.noise, self.run = noise, MemoryRun()
        self.places = {
            did(number): {
                "agreement": agreement(number, allowance),
                "publication": cast("Publication", SimpleNamespace()),
            }
            for number in range(1, len(held) + 1)
        }
        self.pins = {each: participant(each)[0] for each in self.held}
        self.handlers: dict[str, Handler] = {}
        self.calls = DirectCalls(self.handlers, self.places)

    async def prepared(
        self, customers: Sequence[str], run: Run | None = None
    ) -> tuple[str, Prepared]:
        """Return a fresh round and the asker's list for it."""
        round_id = secrets.token_hex(32)

        async def read() -> Sequence[str]:
            return customers

        made = await prepare(
            run or MemoryRun(), secrets.token_bytes, read, round_id=round_id
        )
        return round_id, made

    def handler(self, who: str, kind: Kind) -> Handler:
        """Return the provider's side of a kind."""

        async def customers(dataset: str) -> Sequence[str]:
            assert dataset == "orders"
            return list(self.held[who])

        async def values(call: StepCall, run: Run) -> Mapping[str, int]:
            return cast("Mapping[str, int]", self.held[who])

        lists = Intersect(customers=customers, randomness=secrets.token_bytes)
        if kind is Kind.JOINT_SUM:
            return JointSum(lists=lists, values=values, noise=self.noise)
        if kind is Kind.RING_COUNT:
            _, signer = participant(who)
            return Ring(lists=lists, signer=signer, pinned=self.pins.get)
        return lists

    def asking(
        self, kind: Kind, call: Any = None, matched: Matched | None = None
    ) -> Asking:
        """Return the asker's side of a kind."""

        wire: CallStep = call or self.calls
        match kind:
            case Kind.JOINT_SUM:
                return AskJointSum(
                    call=wire,
                    randomness=secrets.token_bytes,
                    noise=self.noise,
                )
            case Kind.RING_COUNT:
                return AskRing(call=wire)
            case _:
                return AskIntersection(call=wire, matched=matched)

    def serve(self, kind: Kind) -> None:
        """Let every provider answer plans of a kind."""
        for who in self.held:
            self.handlers[who] = self.handler(who, kind)

    async def ask(
        self,
        kind: Kind,
        customers: Sequence[str],
        *,
        matched: Matched | None = None,
        **changes: Any,
    ) -> Mapping[str, Any]:
        """Play one plan from its beginning to its result."""
        self.serve(kind)
        round_id, mine = await self.prepared(customers)
        signed = plan_of(kind, mine, round_id, **changes)
        asking = self.asking(kind, matched=matched)
        return await asking(signed, mine.inputs, self.run)
