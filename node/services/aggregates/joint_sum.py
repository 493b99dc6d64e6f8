"""Joint sums: what do the customers come to that two companies share?

The provider's side. It sends its values encrypted, in the order of its list. The
asker, who knows at which places of that list the shared customers stand and not who
they are, adds up the ciphertexts of those, hides everything in them but the sum, and
sends them back. The provider decrypts the sum and nothing else; it adds noise for its
customers, which its budget is charged for, and tells.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from crypto import noise
from crypto.encoding import canonical, parse_json, sha256
from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from ledger.plans import Plan
from node.domain.agreement import Terms
from node.domain.joint import Limbs
from node.domain.noised import Laplace
from node.ports.aggregates import Shared
from node.services.aggregates.intersect import (
    COMMIT,
    EXCHANGE,
    Intersect,
    OwnList,
    check_bare,
)
from node.services.aggregates.intersect_lists import (
    in_order,
    own_order,
    refusal,
)
from node.services.aggregates.joint_rules import (
    FINISH,
    cut,
    noised,
    parameters,
    ranges,
    spread,
    total,
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall

ValuesOf: TypeAlias = Callable[[StepCall, Run], Awaitable[Mapping[str, int]]]
"""Returns the measure of each customer, clipped, in smallest units; 0 if missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSum:
    """Implements `Handler` for plans of kind `joint-sum`.

    The list is of *all* customers of the dataset, whatever the plan's filters: these
    say whose value counts. So the exact count says nothing about values.

    Attributes:
        lists: Compares the lists.
        noise: Draws the noise that hides our customers.
    """

    lists: Intersect
    values: ValuesOf
    noise: Laplace = noise.laplace

    @property
    def steps(self) -> Sequence[str]:
        """Names of its steps."""
        return (COMMIT, EXCHANGE, FINISH)

    def reserves(self, plan: Plan, step: str) -> bool:
        """Tell whether the price is put aside: before any list is compared."""
        del plan, step
        return True

    def charges(self, plan: Plan, step: str) -> bool:
        """Tell whether a step spends: the one that tells the sum."""
        del plan
        return step == FINISH

    async def __call__(self, call: StepCall, run: Run) -> Answer:
        """Do a step.

        Raises:
            Refusal: As `Intersect`; or what should be a sum is no ciphertext of the
                plan's parameters, has too much noise, or is out of range; or it was
                asked for before, with other octets.
            Unavailable: The values cannot be read.
        """
        if call.step == COMMIT:
            answer = await self.lists.commit(call, run)
            self._cut(call.plan, answer.members["size"])
            _, public = await self._keys(call.plan, run)
            return replace(answer, payload=public)
        if call.step == EXCHANGE:
            own = await self.lists.begin_exchange(call, run)
            # Values are read while points are multiplied.
            theirs, rows = await asyncio.gather(
                self.lists.multiply(call, run, own), self._rows(call, run, own)
            )
            blocks = await self._blocks(call.plan, rows, own.size, run)
            payload = await asyncio.to_thread(pack, theirs, own.points, *blocks)
            return Answer(members={}, payload=payload)
        if call.step == FINISH:
            return await self._finish(call, run)
        raise Refusal("round.order")

    async def _rows(
        self, call: StepCall, run: Run, own: OwnList
    ) -> Sequence[Sequence[bytes]]:
        """Return our values, as our list is ordered: of each limb rows of slots."""
        plan = call.plan

        async def read() -> bytes:
            found, bound = await self.values(call, run), plan.measure.bound
            listed = await self.lists.named(call, run)
            return await asyncio.to_thread(_clipped, listed.names, found, bound)

        kept, order = await asyncio.gather(
            run.once("listed-values", read, secret=True),
            own_order(run, own.secrets, own.size),
        )
        cut_into, slots = self._cut(plan, own.size), parameters(plan).slots
        return await asyncio.to_thread(_rows, kept, order, cut_into, slots)

    async def _blocks(
        self, plan: Plan, rows: Sequence[Sequence[bytes]], size: int, run: Run
    ) -> list[bytes]:
        """Encrypt our values: block after block, of each block limb after limb."""
        cut_into, slots = self._cut(plan, size), parameters(plan).slots
        _, public = await self._keys(plan, run)
        key = Shared(digest=sha256(public), octets=public)
        name, made = plan.parameters.encode(), []
        for limb, bound in enumerate(cut_into.bounds):
            stage, common = f"encrypt-{limb}", (name, key, numbers([bound]))
            made.append(
                await run.map(stage, bfv.encrypt, rows[limb], *common, size=slots)
            )
        return [limb[block] for block in range(len(made[0])) for limb in made]

    async def _finish(self, call: StepCall, run: Run) -> Answer:
        """Decrypt the sum of each limb, put them together, and add noise, once."""
        check_bare(call, payload=True, arguments={"count"})
        plan, count = call.plan, call.arguments.get("count")
        if type(count) is not int or count < plan.k_min:
            raise Refusal("cohort.too_small")
        what = sha256(call.payload, count.to_bytes(8, "big"))
        await in_order(run, FINISH, what, after=EXCHANGE)

        async def tell() -> bytes:
            found = await self._decrypted(call, run)
            bound, epsilon = plan.measure.bound, plan.epsilon_micro
            [with_noise] = await noised(self.noise, [found], bound, epsilon)
            told = {"sum": str(with_noise), "spread": spread(plan)}
            return canonical(told | _meaning(plan, call.agreement.terms))

        members = parse_json(await run.once("told", tell))
        return Answer(members=members if isinstance(members, dict) else {})

    async def _decrypted(self, call: StepCall, run: Run) -> int:
        size = (await self.lists.own(call, run)).size
        cut_into = self._cut(call.plan, size)
        secret, _ = await self._keys(call.plan, run)
        known = parameters(call.plan)
        name, most = call.plan.parameters.encode(), numbers([known.most])
        try:
            ciphertexts = unpack(call.payload)
            rows = [
                await run.compute(bfv.decrypt, name, secret, most, each)
                for each in ciphertexts[: cut_into.count]
            ]
        except CryptoError as error:
            raise refusal(error, "ciphertext.malformed") from error
        found = [total(row, known.plain_modulus) for row in rows]
        allowed = ranges(call.plan, size, cut_into)
        if len(ciphertexts) != cut_into.count or any(
            abs(each) > most for each, most in zip(found, allowed, strict=True)
        ):
            raise Refusal("ciphertext.malformed")
        return cut_into.join(found)

    async def _keys(self, plan: Plan, run: Run) -> tuple[bytes, bytes]:
        """Return our secret and public key for this plan."""

        async def make() -> bytes:
            return await run.compute(bfv.key_pair, plan.parameters.encode())

        secret, public = unpack(await run.once("bfv-key", make, secret=True))
        return secret, public

    @staticmethod
    def _cut(plan: Plan, size: int) -> Limbs:
        try:
            return cut(plan, size)
        except CryptoError as error:
            raise refusal(error, "aggregate.bound") from error


def _meaning(plan: Plan, terms: Terms) -> dict[str, Any]:
    """Return unit and scale of what is summed, as agreed; a count has none."""
    for grant in terms.aggregates:
        if plan.measure.what == "sum" and grant.field == plan.measure.field:
            return {"unit": grant.unit, "scale": grant.scale}
    return {"unit": None, "scale": 0}


def _clipped(
    names: Callable[[], Sequence[str]], values: Mapping[str, int], bound: int
) -> bytes:
    """Return the value of each customer, within the bound, in their order."""
    listed = (values.get(each, 0) for each in names())
    return numbers(
        each if -bound <= each <= bound else max(-bound, min(bound, each))
        for each in listed
    )


def _rows(
    values: bytes, order: bytes, cut_into: Limbs, slots: int
) -> list[list[bytes]]:
    """Return the rows to be encrypted: of each limb those of all blocks."""
    known, places = parse_numbers(values), parse_numbers(order)
    known += [0] * (len(places) - len(known))
    placed = [known[at] for at in places]
    one = cut_into.count == 1  # a number is its own and only limb
    cut_up = [placed] if one else zip(*map(cut_into.split, placed), strict=True)
    starts = range(0, len(placed), slots)
    return [[numbers(limb[at : at + slots]) for at in starts] for limb in cut_up]
