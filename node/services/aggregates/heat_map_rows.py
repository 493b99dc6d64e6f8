"""A heat map in mode R, at its owner: encrypted rows, and one result that is opened.

Here the numbers under encryption are those of single customers, so nothing is decrypted
for its own sake. The masks by which the asker chooses customers are public and fixed by
the plan, so we know what the only right result is: we compute it in the clear, decrypt
what came back, and compare *all* slots. Only if they are equal, noised sums are told,
which were computed from our own rows. Whatever is wrong with a result, the answer is
one and the same; and only so many results are compared.

Equal or not is a bit, and nobody has noised it: an asker that adds a customer's row to
the right result would find out whether that is zero. So what is encrypted is not the
rows alone: to each number one is added that is uniform, and known to us only. Then what
the asker has is independent of the rows, and so is the bit, whatever it sends.

What homomorphic encryption does here is to hide rows from whoever computes on them.
That nothing else is told is due to the comparison, and to the blinding.
"""

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, parse_numbers
from crypto.parameters import ParameterSet, parameter_set
from node.domain.masks import masks_hash, parse_masks, selection, united
from node.ports import Randomness
from node.services.aggregates.blinding import centred, uniform
from node.services.aggregates.heat_map_wire import (
    MOST_BLOCKS,
    MOST_COLUMNS,
    MOST_TRIES,
    Keys,
    blocks,
    ciphertexts,
    cut,
    described,
    owners_turn,
    packed,
    sent_parts,
    shared,
    told_hidden,
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall
from node.services.aggregates.tally import Rows as Counted
from node.services.aggregates.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Steps `rows` and `open` of mode R."""

    tally: Tally
    randomness: Randomness

    async def rows(self, call: StepCall, run: Run) -> Answer:
        """Encrypt what each declared customer adds to each cell."""
        plan, parameters = call.plan, parameter_set(call.plan.parameters)
        if plan.measure.bound > parameters.most:
            raise Refusal("aggregate.bound")
        masks, size, declaration = await asyncio.to_thread(_segments, call)
        found = await self.tally.rows(
            plan,
            call.party,
            call.agreement,
            call.publication,
            run,
            masks=masks,
            size=size,
            declaration=declaration,
        )

        async def _masks() -> bytes:
            return call.payload

        await run.once("masks", _masks)
        keys = await Keys.of(plan, run, make=True)
        blinded = await self._blinded(found, parameters, run)
        encrypted = await run.map(
            "columns",
            bfv.encrypt,
            cut(blinded, 8 * parameters.slots),
            plan.parameters.encode(),
            shared(keys.public),
            numbers([parameters.most]),
            size=parameters.slots,
        )
        members = {"key": keys.digest}
        return Answer(members=members, payload=await packed([keys.public, *encrypted]))

    async def open(self, call: StepCall, run: Run) -> Answer:
        """Compare a result with the right one; tell noised sums if it is that."""
        plan = call.plan
        found, masks = await self._kept(call, run)
        keys = await Keys.of(plan, run)
        # 1. It is of our key for this plan.
        keys.check(call.arguments)
        # 2. As many ciphertexts as there are rows, each of the plan's set and form.
        count = blocks(plan, found.size * plan.cell_count)
        parameters = parameter_set(plan.parameters)
        parts = await sent_parts(call.payload, count, parameters)
        await ciphertexts(plan, parts, run)
        # 3. One of so many.
        await owners_turn(run, call.payload, MOST_TRIES)
        # 4. Every slot of every ciphertext is what the plan gives; else one refusal.
        blinded = await self._blinded(found, parameters, run)
        right = await asyncio.to_thread(_right, blinded, found.size, masks, parameters)
        opened = [await _opened(keys, part, plan.parameters, run) for part in parts]
        same = await asyncio.to_thread(hmac.compare_digest, b"".join(opened), right)
        if not same:
            raise Refusal("result.mismatch")
        # 5. What is told is ours, noised, and the same every time.
        members = described(plan, call.publication, found.noised)
        members |= told_hidden(found.noised)
        return Answer(members=members, payload=numbers(found.noised.cells))

    async def _blinded(
        self, found: Counted, parameters: ParameterSet, run: Run
    ) -> bytes:
        """Return what is encrypted: to each number one that hides it, modulo T."""

        async def _draw() -> bytes:
            return self.randomness(32)

        seed = await run.once("blinding", _draw, secret=True)
        count, prime = len(found.matrix) // 8, parameters.plain_modulus
        hidden = await uniform(lambda _: seed, count, prime)
        return await asyncio.to_thread(_sums, found.matrix, hidden, prime)

    async def _kept(self, call: StepCall, run: Run) -> tuple[Counted, list[int]]:
        """Return what step `rows` has kept. Raises `Refusal` if it was not done."""

        async def _missing() -> bytes:
            raise Refusal("round.order")

        octets = await run.once("masks", _missing)
        plan = call.plan
        size = 8 * len(octets) // len(plan.segment_labels)
        count = len(plan.segment_labels)
        masks = await asyncio.to_thread(parse_masks, octets, size, count)
        found = await self.tally.rows(
            plan,
            call.party,
            call.agreement,
            call.publication,
            run,
            masks=masks,
            size=size,
            declaration="",
        )
        return found, masks


def _segments(call: StepCall) -> tuple[list[int], int, str]:
    """Return masks, size and hash of the declaration. Raises `Refusal`."""
    plan, arguments = call.plan, call.arguments
    if set(arguments) != {"declaration", "size"}:
        raise Refusal("request.malformed")
    # 1. They are the masks that the asker signed.
    if masks_hash(call.payload) != plan.segments:
        raise Refusal("plan.mismatch")
    size: Any = arguments["size"]
    # 2. One for each segment, and nobody is in two.
    try:
        masks = parse_masks(call.payload, size, len(plan.segment_labels))
    except CryptoError as error:
        raise Refusal("plan.malformed") from error
    # 3. None is of a few customers, whoever they are.
    if any(mask.bit_count() < plan.k_min for mask in masks):
        raise Refusal("cohort.too_small")
    # 4. Not more rows than a message holds.
    slots = parameter_set(plan.parameters).slots
    if plan.cell_count > MOST_COLUMNS or plan.cell_count * size > MOST_BLOCKS * slots:
        raise Refusal("plan.malformed")
    return masks, size, str(arguments["declaration"])


def _sums(one: bytes, other: bytes, prime: int) -> bytes:
    """Add two rows modulo T, as they are encrypted."""
    pairs = zip(parse_numbers(one), parse_numbers(other), strict=True)
    return numbers([centred(value + each, prime) for value, each in pairs])


def _right(
    blinded: bytes, size: int, masks: Sequence[int], parameters: ParameterSet
) -> bytes:
    """Return the slots of the only right result, as they are decrypted."""
    values = parse_numbers(blinded)
    chosen = selection(united(masks), size) * (len(values) // size)
    result = [value * bit for value, bit in zip(values, chosen, strict=True)]
    result += [0] * (-len(result) % parameters.slots)
    return numbers(result)


async def _opened(keys: Keys, part: bytes, name: str, run: Run) -> bytes:
    """Return the slots of a ciphertext, or nothing where it cannot be decrypted."""
    most = numbers([parameter_set(name).most])
    secret = shared(keys.secret)
    try:
        return await run.compute(bfv.decrypt, name.encode(), secret, most, part)
    except CryptoError:
        return b""
