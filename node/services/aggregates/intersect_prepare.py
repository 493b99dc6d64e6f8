"""Prepare: the asker's list, which is made before there is a plan.

A plan holds the commitment to the list that its asker has blinded, so the list comes
first: round, secrets, points, commitment, and only then the plan that is signed. What
the asker needs later goes into its inputs, which are kept encrypted and never sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crypto.encoding import b64u, unb64u
from crypto.errors import CryptoError
from crypto.kernels.packing import parse_numbers
from crypto.psi import POINT
from ledger.plans import Plan
from node.errors import BadRequest
from node.ports import Randomness
from node.ports.aggregates import Compute, Kernel, Shared
from node.services.aggregates.intersect_lists import (
    Secrets,
    committed,
    own_list,
    own_order,
)
from node.services.aggregates.steps import Run, Within


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The asker's side of a comparison.

    Attributes:
        points: The list to be sent: blinded, filled up, in random order.
        customers: Sorted, each once. Only for mode `list`; others need no more
            than how many there are.
        asked: How many customers.
        commitment: Hash of the list, for the plan.
    """

    secrets: Secrets = field(repr=False)
    points: bytes = field(repr=False)
    customers: Sequence[str] = field(repr=False)
    asked: int
    commitment: str

    @property
    def size(self) -> int:
        """Points, dummies included, for the plan."""
        return len(self.points) // POINT

    @property
    def inputs(self) -> dict[str, Any]:
        """Return what `Asking` needs of it: a JSON object, secret."""
        return {
            "secrets": b64u(self.secrets.octets),
            "points": b64u(self.points),
            "customers": list(self.customers),
            "asked": self.asked,
        }

    async def named(self, run: Run, found: Sequence[int]) -> list[str]:
        """Return the customers that stand at places of the list, sorted.

        Raises:
            LookupError: A dummy stands there, or nothing.
        """
        order = await own_order(run, self.secrets, self.asked)
        return await asyncio.to_thread(self._named, parse_numbers(order), found)

    def _named(self, order: Sequence[int], found: Sequence[int]) -> list[str]:
        return sorted(self.customers[order[place]] for place in found)


async def prepare(
    compute: Compute,
    randomness: Randomness,
    customers: Sequence[str],
    *,
    round_id: str,
    listed: bool = False,
) -> Prepared:
    """Blind a list of customers for a plan that does not yet exist.

    Args:
        customers: Normalised keys, as the providers normalise them.
        round_id: The plan's round, 64 hex digits, fresh.
        listed: For an intersection of mode `list`, which tells names in the end.

    Raises:
        BadRequest: No customers.
    """
    wanted = await asyncio.to_thread(lambda: sorted(set(customers)))
    if not wanted:
        raise BadRequest("customers.malformed", "Name at least one customer.")
    session, run = bytes.fromhex(round_id), _Unkept(compute)
    secrets = await Secrets.drawn(run, randomness)
    points = await own_list(run, secrets, session, wanted)
    return Prepared(
        secrets=secrets,
        points=points,
        customers=wanted if listed else (),
        asked=len(wanted),
        commitment=await committed(session, points),
    )


async def prepared(inputs: Mapping[str, Any], plan: Plan) -> Prepared:
    """Read what `Prepared.inputs` writes, for the plan that it was made for.

    Raises:
        BadRequest: They are not the inputs of this plan.
    """
    try:
        points = await asyncio.to_thread(unb64u, inputs["points"])
        fixed = await committed(bytes.fromhex(plan.round), points)
        found = Prepared(
            secrets=Secrets.parse(unb64u(inputs["secrets"])),
            points=points,
            customers=tuple(inputs["customers"]),
            asked=inputs["asked"],
            commitment=fixed,
        )
    except (KeyError, TypeError, ValueError, CryptoError):
        found = None
    if found is None or (found.commitment, found.size) != (plan.commitment, plan.size):
        detail = "These are not the customers that the plan was made for."
        raise BadRequest("plan.inputs", detail)
    return found


class _Unkept:
    """A `Run` before there is a plan: nothing is kept and nothing shown."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    async def once(
        self,
        stage: str,
        make: Callable[[], Awaitable[bytes]],
        *,
        secret: bool = False,
        within: Within | None = None,
    ) -> bytes:
        del stage, secret, within
        return await make()

    async def map(
        self,
        stage: str,
        kernel: Kernel,
        parts: Sequence[bytes],
        *common: bytes | Shared,
        size: int = 1,
    ) -> list[bytes]:
        del stage, size
        calls = (self._compute(kernel, *common, part) for part in parts)
        return await asyncio.gather(*calls)

    async def compute(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        return await self._compute(kernel, *arguments)

    async def tell(self, stage: str, done: int = 0, total: int = 0) -> None:
        del stage, done, total
