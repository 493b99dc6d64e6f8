"""Federate, as the asker: a sum over several companies, and nothing of any one.

The asker gathers a roster and masked rows (`federate_round`), adds the rows up under
encryption, decrypts the sum alone, and checks it: within the bound, and exactly what
the parties have committed to. A sum that does not check is not told. Who of several
is at fault for it nobody can prove, so nobody is named.

When a party does not answer, the round is given up: a mask of a party that is missing
is never asked for, by nobody. A new plan, with a fresh round and a fresh key, goes to
those that are left, once and only if there are three; it says which round it replaces
and who was missing, over the asker's signature. That is settled before the new plan
is sent, so that who goes on after a kill does not finish the old round as well.

Spec: `docs/protocols/fp-agg-1.md`.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from crypto.bbs.suite import ORDER
from crypto.encoding import b64u, canonical, parse_json, unb64u
from crypto.errors import CryptoError, Invalid
from crypto.kernels import bfv, rows
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from ledger.plans import Plan, Replaced, SignedPlan, parse_signed_plan
from ledger.rosters import FEWEST
from node.domain.agreement import render_instant
from node.domain.noised import Shares, Spread
from node.errors import BadRequest, Conflict
from node.ports import Clock, Identity, Randomness
from node.ports.aggregates import Compute
from node.services.aggregates.federate_round import (
    Gathered,
    Missing,
    Received,
    Round,
)
from node.services.aggregates.federate_rules import Shape
from node.services.aggregates.steps import CallStep, Run

_DONE, _REPLACED = b"done", b"replaced"
_BEYOND = 0.01
"""How likely it is that noise is larger anywhere than the spread that is told."""


async def prepare(compute: Compute, parameters: str) -> tuple[str, dict[str, Any]]:
    """Make the key for a plan that does not yet exist.

    Returns:
        Its digest, for `Plan.key`; and what `FederateAsker` needs of it, secret.
    """
    name = parameters.encode()
    pair = await compute(bfv.key_pair, name)
    digest = await compute(bfv.digest, name, unpack(pair)[1])
    return digest.hex(), {"key": b64u(pair)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FederateAsker:
    """The asker's side of FP-AGG-1: implements `Asking`.

    Attributes:
        resign: Signs another plan as we signed the first one.
        spread: How large noise is (`crypto.noise.spread`).
    """

    identity: Identity
    call: CallStep
    resign: Callable[[Plan], SignedPlan]
    clock: Clock
    randomness: Randomness
    spread: Spread

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        """Carry out a plan.

        Args:
            inputs: As `prepare` returns them.

        Raises:
            BadRequest: The inputs are another plan's.
            Conflict: A party's answer is wrong, or the sum is not what was committed
                to, which is nobody's provable fault.
            Unavailable: Parties did not answer, and too few are left.
            Refused: A party refused.
        """
        pair = await self._pair(signed.plan, inputs, run)

        async def settle() -> bytes:
            return await self._first(signed, pair, run)

        kind, settled = unpack(await run.once("first-round", settle))
        if kind == _DONE:
            found = Gathered.parse(settled)
            return await self._result(signed.plan, pair, found, run)
        again = await asyncio.to_thread(_parsed, settled)
        pair = await self._fresh(again.plan, run)
        found = await self._again(again, pair, run)
        return await self._result(again.plan, pair, found, run)

    async def _pair(self, plan: Plan, inputs: Mapping[str, Any], run: Run) -> bytes:
        name = plan.parameters.encode()
        with suppress(KeyError, TypeError, ValueError, CryptoError):
            _, public = unpack(pair := unb64u(inputs["key"]))
            digest = await run.compute(bfv.digest, name, public)
            if digest.hex() == plan.key:
                return pair
        raise BadRequest("plan.inputs", "This is not the key that the plan names.")

    async def _first(self, signed: SignedPlan, pair: bytes, run: Run) -> bytes:
        """Go through the first round, or settle by which plan it is replaced."""
        round_ = self._round_of(signed, pair, run, "")
        try:
            return pack(_DONE, (await round_()).octets)
        except Missing as missing:
            left = len(signed.plan.parties) - len(missing.dids)
            late = render_instant(self.clock.now()) >= signed.plan.expires
            if left < FEWEST or late:
                raise missing.why from None
            again = await self._replacement(signed.plan, missing.dids, run)
            return pack(_REPLACED, await asyncio.to_thread(_written, again))

    async def _replacement(
        self, plan: Plan, missing: tuple[str, ...], run: Run
    ) -> SignedPlan:
        """Sign a plan for those that are left: a fresh round, under a fresh key."""
        pair = await self._fresh(plan, run)
        name, public = plan.parameters.encode(), unpack(pair)[1]
        digest = await run.compute(bfv.digest, name, public)
        changes: dict[str, Any] = {
            "round": self.randomness(32).hex(),
            "parties": tuple(each for each in plan.parties if each.did not in missing),
            "key": digest.hex(),
            "replaces": Replaced(round=plan.round, missing=missing),
            "created": render_instant(self.clock.now()),
        }

        def again() -> SignedPlan:
            return self.resign(dataclasses.replace(plan, **changes))

        return await asyncio.to_thread(again)

    async def _fresh(self, plan: Plan, run: Run) -> bytes:
        async def make() -> bytes:
            return await run.compute(bfv.key_pair, plan.parameters.encode())

        return await run.once("again-key", make, secret=True)

    def _round_of(self, signed: SignedPlan, pair: bytes, run: Run, stage: str) -> Round:
        return Round(
            identity=self.identity,
            call=self.call,
            clock=self.clock,
            run=run,
            signed=signed,
            public=unpack(pair)[1],
            stage=stage,
        )

    async def _again(self, signed: SignedPlan, pair: bytes, run: Run) -> Gathered:
        try:
            return await self._round_of(signed, pair, run, "again-")()
        except Missing as missing:
            raise missing.why from None

    async def _result(
        self, plan: Plan, pair: bytes, found: Gathered, run: Run
    ) -> Mapping[str, Any]:
        cells = await self._opened(plan, unpack(pair)[0], found.given, run)
        told = plan.replaces
        return {
            "kind": plan.kind.value,
            "mode": plan.mode,
            "plan": plan.plan_hash,
            "measure": plan.measure.to_json(),
            "groups": [each.to_json() for each in plan.groups],
            "cells": cells,
            "unit": found.unit,
            "scale": found.scale,
            "spread": self._spread(plan),
            "parties": [party.did for party in plan.parties],
            "replaces": told and told.to_json(),
            "spent": {party.did: plan.epsilon_micro for party in plan.parties},
        }

    async def _opened(
        self, plan: Plan, secret: bytes, given: Sequence[Received], run: Run
    ) -> list[int]:
        """Add up, decrypt the sum, and check it: the only decryption there is."""
        table = Shape.of(plan)
        blinding = sum(int.from_bytes(each.blinding, "big") for each in given) % ORDER
        try:
            columns = zip(*(each.ciphertexts for each in given), strict=True)
            opened = [self._piece(table, secret, column, run) for column in columns]
            pieces = await asyncio.gather(*opened)
            cells, told = await asyncio.to_thread(_within, table, pieces)
            commitments = (each.commitment for each in given)
            await run.compute(rows.check_sum, rows.scalar(blinding), told, *commitments)
        except CryptoError as error:
            detail = (
                "What was sent is not the sum of what was committed to. Which of the "
                "parties is at fault nobody can tell. Nothing is to be learned from it."
            )
            raise Conflict("sum.mismatch", detail) from error
        return cells

    async def _piece(
        self, table: Shape, secret: bytes, column: Sequence[bytes], run: Run
    ) -> bytes:
        name, most = table.parameters.name.encode(), numbers([table.most])
        added = await run.compute(bfv.add, name, most, *column)
        return await run.compute(bfv.decrypt, name, secret, most, added)

    def _spread(self, plan: Plan) -> int:
        """How far the noises of all parties together have moved any cell, at most."""
        shares, reach, parties = Shares.of(plan), plan.contribution, len(plan.parties)
        share = shares.counts
        if plan.measure.what == "sum":
            reach, share = reach * plan.measure.bound, shares.sums
        beyond = _BEYOND / (plan.cell_count * parties)
        return parties * self.spread(reach, share, beyond)


def _within(table: Shape, pieces: Sequence[bytes]) -> tuple[list[int], bytes]:
    """Return the cells of a decrypted row, and their octets.

    Raises:
        Invalid: A cell is out of range, or a slot beyond the cells is not empty.
    """
    row = [cell for piece in pieces for cell in parse_numbers(piece)]
    cells, rest = row[: table.cells], row[table.cells :]
    if any(rest) or not 0 <= min(cells) <= max(cells) <= table.most:
        raise Invalid("a sum that is out of range")
    return cells, numbers(cells)


def _written(signed: SignedPlan) -> bytes:
    return canonical(signed.to_json())


def _parsed(octets: bytes) -> SignedPlan:
    return parse_signed_plan(parse_json(octets))
