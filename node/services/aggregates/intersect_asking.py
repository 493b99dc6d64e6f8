"""Ask for an intersection: the asker's side, up to what it may know.

The asker multiplies the provider's list with its own scalar; points that both have
multiplied are the same for one customer and different for two. What is fewer than the
plan's `k_min` is told as such, and nothing else of it is kept.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from crypto.encoding import canonical, parse_json
from crypto.errors import CryptoError
from crypto.kernels.packing import pack, unpack
from crypto.psi import POINT, bucket
from ledger.plan_laws import MOST_SIZE
from ledger.plans import Party, Plan, SignedPlan
from node.domain.joint import written
from node.services.aggregates.intersect import COMMIT, EXCHANGE, session
from node.services.aggregates.intersect_lists import (
    committed,
    multiplied,
    places,
)
from node.services.aggregates.intersect_prepare import Prepared, prepared
from node.services.aggregates.steps import Answer, CallStep, Run, wrong

Matched: TypeAlias = Callable[[Party, Sequence[str]], Awaitable[Mapping[str, Any]]]
"""Is given the shared customers, does something with them, and returns what to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two lists, each blinded by both.

    Attributes:
        ours: The asker's list.
        theirs: The provider's, in the order in which it was sent.
        rest: What came with the exchange beside the lists.
        fixed: What the provider answered to the first step.
    """

    ours: bytes
    theirs: bytes
    rest: Sequence[bytes]
    fixed: Answer

    @property
    def size(self) -> int:
        """Points of the provider's list, dummies included."""
        return len(self.theirs) // POINT


@dataclass(frozen=True, slots=True, kw_only=True)
class AskIntersection:
    """Implements `Asking` for plans of kind `intersection`.

    Attributes:
        matched: For mode `list`: what becomes of the shared customers.
    """

    call: CallStep
    matched: Matched | None = None

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        """Compare the lists; return how many customers are shared.

        Raises:
            BadRequest: The inputs are another plan's.
            Refused: The provider refused.
            Unavailable: It did not answer, or not what the protocol says.
        """
        plan, party = signed.plan, signed.plan.parties[0]
        mine = prepared(inputs, plan)
        compared = await compare(self.call, signed, party, mine, run)
        found = await shared(run, compared.ours, compared.theirs)
        told = counted(plan, mine, len(found))
        if plan.mode == "list" and self.matched and told["count"] is not None:
            told |= await self._used(self.matched, party, mine, found, run)
        return told

    @staticmethod
    async def _used(
        matched: Matched, party: Party, mine: Prepared, found: Sequence[int], run: Run
    ) -> dict[str, Any]:
        async def use() -> bytes:
            customers = await mine.named(run, found)
            return canonical(dict(await matched(party, customers)))

        try:
            told = parse_json(await run.once("matched", use))
        except LookupError as error:
            raise wrong("matches what is no customer") from error
        return told if isinstance(told, dict) else {}


async def compare(
    call: CallStep, signed: SignedPlan, party: Party, mine: Prepared, run: Run
) -> Compared:
    """Have the provider fix its list, exchange the lists, and blind them both.

    Raises:
        Refused: The provider refused.
        Unavailable: It did not answer, or not what the protocol says.
    """
    plan = signed.plan
    fixed = await asked(run, call, signed, party, COMMIT)
    commitment, size = _fixed(fixed)
    answer = await asked(run, call, signed, party, EXCHANGE, payload=mine.points)
    try:
        ours, theirs, *rest = await asyncio.to_thread(unpack, answer.payload)
    except (CryptoError, ValueError) as error:
        raise wrong("holds no lists") from error
    if (len(ours), len(theirs)) != (plan.size * POINT, size * POINT):
        raise wrong("holds lists of another length")
    if await committed(session(plan), theirs) != commitment:
        raise wrong("holds another list than it had committed to")
    try:
        both = await multiplied(run, "multiply", mine.secrets, theirs, matched=True)
    except CryptoError as error:
        raise wrong("holds what is no list of points") from error
    return Compared(ours=ours, theirs=both, rest=rest, fixed=fixed)


async def shared(run: Run, ours: bytes, theirs: bytes) -> list[int]:
    """Return the places in `ours` of what is in `theirs`, too.

    Raises:
        Unavailable: A list holds a point twice.
    """
    try:
        return await places(run, ours, theirs)
    except CryptoError as error:
        raise wrong("holds a customer twice") from error


async def asked(
    run: Run,
    call: CallStep,
    signed: SignedPlan,
    party: Party,
    step: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    payload: bytes = b"",
    name: str = "",
) -> Answer:
    """Call a step once: who goes on after a kill has its answer.

    Args:
        name: Tells apart what is asked of several parties, or more than once.
    """

    async def _make() -> bytes:
        answer = await call(signed, party, step, arguments or {}, payload)
        members = canonical(dict(answer.members))
        return await asyncio.to_thread(pack, members, answer.payload)

    octets = await run.once(f"answer-{step}{name}", _make)
    kept = await asyncio.to_thread(unpack, octets)
    members = parse_json(kept[0])
    return Answer(members=members if isinstance(members, dict) else {}, payload=kept[1])


def counted(plan: Plan, mine: Prepared, count: int) -> dict[str, Any]:
    """Return what is told of a count: nothing but that it is too small, if it is."""
    enough = count >= plan.k_min
    told = about(plan) | {"asked": mine.asked, "count": count if enough else None}
    if not enough:
        return told | {"rate": None, "fewer_than": plan.k_min}
    return told | {"rate": written(Fraction(count, mine.asked), 4)}


def about(plan: Plan) -> dict[str, Any]:
    """Return what every result says of its plan."""
    return {"kind": plan.kind.value, "mode": plan.mode, "plan": plan.plan_hash}


def _fixed(answer: Answer) -> tuple[str, int]:
    commitment, size = answer.members.get("commitment"), answer.members.get("size")
    if not isinstance(commitment, str) or type(size) is not int:
        raise wrong("fixes no list")
    if not 0 < size <= MOST_SIZE or bucket(size) != size:
        raise wrong("fixes a list of a length that lists do not have")
    return commitment, size


__all__ = [
    "AskIntersection",
    "Compared",
    "Matched",
    "about",
    "asked",
    "compare",
    "counted",
    "shared",
]
