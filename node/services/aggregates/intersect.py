"""Intersect: how many customers, or which, do two companies share?

The provider's side. Its list is fixed by a commitment before it sees the asker's,
and the asker's by the plan; then the lists are exchanged, once. The asker learns how
many of its customers the provider has (mode `count`) or which (mode `list`), and the
provider that somebody asked, and how many at most.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from crypto.errors import CryptoError
from crypto.kernels.packing import pack
from crypto.psi import POINT, bucket
from ledger.plans import Plan
from node.ports import Randomness
from node.services.aggregates.intersect_lists import (
    Customers,
    Secrets,
    committed,
    in_order,
    multiplied,
    own_list,
    refusal,
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall

COMMIT: Final = "commit"
EXCHANGE: Final = "exchange"

CustomersOf: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the normalised keys of the customers of a dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnList:
    """Our side of a comparison.

    Attributes:
        points: Blinded, filled up, in random order.
    """

    secrets: Secrets
    points: bytes

    @property
    def size(self) -> int:
        """Points, dummies included."""
        return len(self.points) // POINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Intersect:
    """Implements `Handler` for plans of kind `intersection`.

    Attributes:
        customers: Of our datasets.
    """

    customers: CustomersOf
    randomness: Randomness

    @property
    def steps(self) -> Sequence[str]:
        """Names of its steps."""
        return (COMMIT, EXCHANGE)

    def reserves(self, plan: Plan, step: str) -> bool:
        """Tell whether the price is put aside: before any list is compared."""
        del plan, step
        return True

    def charges(self, plan: Plan, step: str) -> bool:
        """Tell whether a step spends: never, for nothing of it is noised."""
        del plan, step
        return False

    async def __call__(self, call: StepCall, run: Run) -> Answer:
        """Do a step.

        Raises:
            Refusal: The asker's list is longer than agreed, not what it committed
                to, or no list of points; or the step is out of order.
        """
        if call.step == COMMIT:
            return await self.commit(call, run)
        if call.step == EXCHANGE:
            own, theirs = await self.exchange(call, run)
            payload = await asyncio.to_thread(pack, theirs, own.points)
            return Answer(members={}, payload=payload)
        raise Refusal("round.order")

    async def commit(self, call: StepCall, run: Run) -> Answer:
        """Fix our list before we see the asker's."""
        check_bare(call)
        check_size(call)
        own = await self.own(call, run)
        fixed = await committed(session(call.plan), own.points)
        await in_order(run, COMMIT, bytes.fromhex(fixed), after="")
        return Answer(members={"commitment": fixed, "size": own.size})

    async def exchange(self, call: StepCall, run: Run) -> tuple[OwnList, bytes]:
        """Multiply the asker's list; return ours, and what became of it."""
        own = await self.begin_exchange(call, run)
        return own, await self.multiply(call, run, own)

    async def begin_exchange(self, call: StepCall, run: Run) -> OwnList:
        """Check that the lists may be exchanged now; return ours."""
        check_bare(call, payload=True)
        await check_committed(call.plan, call.payload)
        digest = bytes.fromhex(call.plan.plan_hash)
        await in_order(run, EXCHANGE, digest, after=COMMIT)
        return await self.own(call, run)

    async def multiply(self, call: StepCall, run: Run, own: OwnList) -> bytes:
        """Multiply the asker's list, and shuffle it unless the plan is for a list."""
        plan, secrets = call.plan, own.secrets
        seed = None if plan.mode == "list" else secrets.shuffle_of(plan.asker)
        try:
            return await multiplied(run, "multiply", secrets, call.payload, seed)
        except CryptoError as error:
            raise refusal(error) from error

    async def own(self, call: StepCall, run: Run) -> OwnList:
        """Return our list: made at the first step, and the same after."""
        secrets = await Secrets.drawn(run, self.randomness)

        async def _make() -> bytes:
            customers = await self.named(call, run)
            return await own_list(run, secrets, session(call.plan), customers)

        return OwnList(secrets=secrets, points=await run.once("own-list", _make))

    async def named(self, call: StepCall, run: Run) -> Customers:
        """Return the customers of our list: read at the first step."""

        async def _read() -> Sequence[str]:
            return await self.customers(call.party.dataset)

        return await Customers.kept(run, _read)


def session(plan: Plan) -> bytes:
    """Return what identifiers are hashed with: the plan's round, 32 bytes."""
    return bytes.fromhex(plan.round)


def check_bare(
    call: StepCall, *, payload: bool = False, arguments: Collection[str] = ()
) -> None:
    """Check that a step comes with nothing that it has no use for.

    Args:
        payload: Whether it has octets.
        arguments: Which members it may have.

    Raises:
        Refusal: `request.malformed`.
    """
    if not call.arguments.keys() <= set(arguments) or (call.payload and not payload):
        raise Refusal("request.malformed")


def check_size(call: StepCall) -> None:
    """Check that the asker's list is no longer than agreed.

    Raises:
        Refusal: `matching.size`.
    """
    allowance = call.agreement.terms.allowance
    if allowance is None or call.plan.size > bucket(allowance.match_size):
        raise Refusal("matching.size")


async def check_committed(plan: Plan, points: bytes) -> None:
    """Check that a list is the one that the asker committed to in its plan.

    Raises:
        Refusal: `points.malformed`, it has another length; `commitment.mismatch`.
    """
    if len(points) != plan.size * POINT:
        raise Refusal("points.malformed")
    if await committed(session(plan), points) != plan.commitment:
        raise Refusal("commitment.mismatch")
