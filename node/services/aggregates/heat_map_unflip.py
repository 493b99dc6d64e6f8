"""A flipped heat map, at its asker: encrypt weights, and decrypt sums.

The key is ours, and so it is made before the plan, which names it. What comes back is
our weights times the owner's noised cells, hidden under numbers that cancel out only in
the sums that the plan asks for.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from crypto.encoding import unb64u
from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, parse_numbers, unpack
from crypto.parameters import parameter_set
from ledger.plans import Plan, SignedPlan
from node.domain.weights import Weights, totals_of
from node.errors import BadRequest, Conflict
from node.services.aggregates.blinding import centred
from node.services.aggregates.heat_map_told import (
    Told,
    answered,
    read_told,
    result_of,
)
from node.services.aggregates.heat_map_wire import (
    MOST_OPENS,
    blocks,
    cut,
    packed,
    parts_of,
    shared,
    turn,
)
from node.services.aggregates.steps import Answer, CallStep, Run, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Unflip:
    """Asks in mode flip."""

    call: CallStep

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], weights: Weights, run: Run
    ) -> Mapping[str, Any]:
        """Return the weighted sums of the plan's totals.

        Args:
            inputs: `key`: the secret and the public key that were made for the plan.
        """
        plan, (party,) = signed.plan, signed.plan.parties
        places, totals = totals_of(plan)
        most, cells = parameter_set(plan.parameters).most, len(places) // totals
        # 1. Even if no cell were larger than one, sums fit a slot.
        weights.check(1, most, cells)
        secret, public = await _pair(plan, inputs, run)
        number = await turn(run, numbers(weights.values), MOST_OPENS)
        if number is None:
            detail = f"A table is weighed {MOST_OPENS} times. Draw up a new plan."
            raise Conflict("plan.opened", detail)
        encrypted = await _encrypted(plan, weights, public, run, number)

        async def _ask() -> Answer:
            payload = await packed([public, *encrypted])
            arguments = {"bound": weights.bound}
            return await self.call(signed, party, "apply", arguments, payload)

        # 2. The owner multiplies, and shows nothing but sums.
        members, payload = await answered(run, f"applied-{number}", _ask)
        told = read_told(members, most=most, more=1)
        hidden = _hidden(members.get("hidden"), totals)
        weights.check(told.bound, most, cells)
        opened = await _opened(plan, payload, secret, run)
        limit = weights.bound * told.bound * cells
        sums = await asyncio.to_thread(_summed, plan, opened, limit)
        return result_of(
            plan,
            told,
            groups=[g.to_json() for g in plan.groups if g.field in plan.totals],
            cells=sums,
            spreads=_spreads(plan, weights, told),
        ) | {"hidden": hidden}


async def _pair(plan: Plan, inputs: Mapping[str, Any], run: Run) -> Sequence[bytes]:
    """Return secret and public key. Raises `BadRequest`: not those of the plan."""
    name = plan.parameters.encode()
    with suppress(KeyError, TypeError, ValueError, CryptoError):
        secret, public = unpack(unb64u(inputs["key"]))
        digest = await run.compute(bfv.digest, name, public)
        if digest.hex() == plan.key:
            return secret, public
    raise BadRequest("plan.inputs", "This is not the key that the plan names.")


async def _encrypted(
    plan: Plan, weights: Weights, public: bytes, run: Run, number: int
) -> list[bytes]:
    parameters = parameter_set(plan.parameters)
    return await run.map(
        f"weights-{number}",
        bfv.encrypt,
        [numbers(row) for row in cut(weights.values, parameters.slots)],
        plan.parameters.encode(),
        shared(public),
        numbers([weights.bound]),
        size=parameters.slots,
    )


async def _opened(plan: Plan, payload: bytes, secret: bytes, run: Run) -> list[int]:
    """Decrypt what the owner returned. Raises `Unavailable`."""
    parameters, name = parameter_set(plan.parameters), plan.parameters.encode()
    opened: list[int] = []
    try:
        for row in parts_of(payload, blocks(plan, plan.cell_count), parameters):
            most = numbers([parameters.most])
            found = await run.compute(bfv.decrypt, name, shared(secret), most, row)
            opened += parse_numbers(found)
    except CryptoError as error:
        raise wrong("holds nothing that can be decrypted") from error
    return opened


def _summed(plan: Plan, opened: Sequence[int], limit: int) -> list[int]:
    """Add up what is of one total: there the blinding is gone.

    Raises:
        Unavailable: It is not; or a sum is larger than it can be.
    """
    parameters, (places, totals) = parameter_set(plan.parameters), totals_of(plan)
    sums = [0] * totals
    for place, value in zip(places, opened, strict=False):
        sums[place] += value
    sums = [centred(each, parameters.plain_modulus) for each in sums]
    if any(opened[len(places) :]) or any(abs(each) > limit for each in sums):
        raise wrong("adds up to what cannot be")
    return sums


def _hidden(value: Any, totals: int) -> list[int]:
    if (
        not isinstance(value, list)
        or len(value) != totals
        or any(type(each) is not int or each < 0 for each in value)
    ):
        raise wrong("does not tell how many cells are suppressed")
    return value


def _spreads(plan: Plan, weights: Weights, told: Told) -> list[int]:
    """Return how far noise has moved each sum at most: its cells by their weights."""
    places, totals = totals_of(plan)
    sizes = [0] * totals
    for place, weight in zip(places, weights.values, strict=True):
        sizes[place] += abs(weight)
    return [told.spread * size for size in sizes]
