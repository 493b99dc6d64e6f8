"""Prepare: the asker's list, which is made before its plan is signed.

A plan holds the commitment to the list that its asker has blinded, so the list comes
first: customers, secrets, points, commitment, and only then the plan that is signed. Of
a million customers that is a minute's work, so it is the first stage of the plan's job:
it shows how far it is, and goes on where it was. What a job is begun with is a plan
that commits to nothing (`UNKNOWN`), and is not sent to anybody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from crypto.kernels.packing import parse_numbers
from crypto.psi import POINT
from ledger.plans import Plan
from node.errors import BadRequest, Conflict
from node.ports import Randomness
from node.services.aggregates.intersect import CustomersOf
from node.services.aggregates.intersect_lists import (
    Customers,
    Secrets,
    committed,
    own_list,
    own_order,
)
from node.services.aggregates.steps import Run

UNKNOWN: Final = "0" * 64
"""In place of the commitment to a list that is not yet blinded."""
Read: TypeAlias = Callable[[], Awaitable[Iterable[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The asker's side of a comparison.

    Attributes:
        points: The list to be sent: blinded, filled up, in random order.
        asked: How many customers.
        commitment: Hash of the list, for the plan.
    """

    secrets: Secrets = field(repr=False)
    points: bytes = field(repr=False)
    customers: Customers = field(repr=False)
    asked: int
    commitment: str

    @property
    def size(self) -> int:
        """Points, dummies included, for the plan."""
        return len(self.points) // POINT

    @property
    def inputs(self) -> dict[str, Any]:
        """Return what `Asking` is given of it."""
        return {"list": self}

    async def named(self, run: Run, found: Sequence[int]) -> list[str]:
        """Return the customers that stand at places of the list, sorted.

        Raises:
            LookupError: A dummy stands there, or nothing.
        """
        order = await own_order(run, self.secrets, self.asked)
        return await asyncio.to_thread(self._named, parse_numbers(order), found)

    def _named(self, order: Sequence[int], found: Sequence[int]) -> list[str]:
        names = self.customers.names()
        return sorted(names[order[place]] for place in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareList:
    """Implements `Preparing` for plans that compare lists.

    Attributes:
        customers: Of our datasets.
    """

    customers: CustomersOf
    randomness: Randomness

    async def __call__(
        self, plan: Plan, inputs: Mapping[str, Any], run: Run
    ) -> tuple[Plan, Mapping[str, Any]]:
        """Blind our list, once; return the plan that commits to it.

        Args:
            inputs: `ours`, the dataset whose customers are meant; None where customers
                were named, which the run has kept (`keep_named`).
        """

        async def read() -> Iterable[str]:
            if (ours := inputs.get("ours")) is None:
                raise Conflict("job.unreadable", "The customers are not kept.")
            return await self.customers(ours)

        mine = await prepare(run, self.randomness, read, round_id=plan.round)
        fixed = replace(plan, size=mine.size, commitment=mine.commitment)
        return fixed, mine.inputs


async def keep_named(run: Run, customers: Sequence[str]) -> None:
    """Keep customers that a person has named with the run that compares them."""

    async def _read() -> Sequence[str]:
        return customers

    await Customers.kept(run, _read)


async def prepare(
    run: Run, randomness: Randomness, customers: Read, *, round_id: str
) -> Prepared:
    """Blind a list of customers for a plan that does not yet exist.

    Args:
        customers: Returns normalised keys, as the providers normalise them; asked
            once for a run.
        round_id: The plan's round, 64 hex digits, fresh.

    Raises:
        BadRequest: No customers.
    """
    wanted = await Customers.kept(run, customers)
    if not wanted.parts:
        raise BadRequest("customers.malformed", "Name at least one customer.")
    secrets, session = await Secrets.drawn(run, randomness), bytes.fromhex(round_id)

    async def _make() -> bytes:
        return await own_list(run, secrets, session, wanted)

    points = await run.once("own-list", _make)
    return Prepared(
        secrets=secrets,
        points=points,
        customers=wanted,
        asked=wanted.count,
        commitment=await committed(session, points),
    )


def prepared(inputs: Mapping[str, Any], plan: Plan) -> Prepared:
    """Return what `Prepared.inputs` holds, for the plan that it was made for.

    Raises:
        BadRequest: They are not the inputs of this plan.
    """
    found = inputs.get("list")
    if not isinstance(found, Prepared) or (found.commitment, found.size) != (
        plan.commitment,
        plan.size,
    ):
        detail = "These are not the customers that the plan was made for."
        raise BadRequest("plan.inputs", detail)
    return found
