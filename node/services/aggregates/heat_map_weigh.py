"""A heat map in mode C, at its asker: multiply an encrypted table, have it opened.

The owner learns nothing of the weights. What it opens is the product plus a number for
each slot that is uniform and that only we know; and the ciphertext is re-randomised and
drowned in noise, so that it does not show, to the holder of its key either, how it was
computed.

If the owner has lost its key, the table is fetched anew: the same numbers under another
key, and nothing is charged for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack, parse_numbers
from crypto.parameters import parameter_set
from ledger.plans import Plan, SignedPlan
from node.domain.noised import shown
from node.domain.weights import Weights
from node.errors import Conflict, Refused
from node.ports import Randomness
from node.services.aggregates.blinding import centred, uniform
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

_FETCHES: Final = 3
"""Times that a table is fetched: a key is lost seldom, and not twice in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """An owner's table.

    Attributes:
        key: Digest of its key.
    """

    told: Told
    key: str
    public: bytes
    rows: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weigh:
    """Asks in mode C."""

    call: CallStep
    randomness: Randomness

    async def __call__(
        self, signed: SignedPlan, weights: Weights, run: Run
    ) -> Mapping[str, Any]:
        """Return the table, each cell times its weight."""
        refused: Refused | None = None
        for number in range(_FETCHES):
            table = await self._table(signed, run, number)
            try:
                cells = await self._weighed(signed, weights, table, run)
            except Refused as error:
                if error.code != "key.mismatch":
                    raise
                refused = error
            else:
                return result_of(
                    signed.plan,
                    table.told,
                    groups=[group.to_json() for group in signed.plan.groups],
                    cells=shown(cells, table.told.suppressed),
                    spreads=[table.told.spread * abs(each) for each in weights.values],
                ) | {"weighted": set(weights.values) != {1}}
        raise refused or wrong("is about another key")

    async def _table(self, signed: SignedPlan, run: Run, number: int) -> _Table:
        plan, (party,) = signed.plan, signed.plan.parties
        parameters = parameter_set(plan.parameters)

        async def _ask() -> Answer:
            return await self.call(signed, party, "table", {})

        members, payload = await answered(run, f"table-{number}", _ask)
        cells = plan.cell_count
        told = read_told(members, cells=cells, most=parameters.most, more=1)
        try:
            count = 1 + blocks(plan, cells)
            public, *rows = await asyncio.to_thread(
                parts_of, payload, count, parameters
            )
            name = plan.parameters.encode()
            digest = await run.compute(bfv.digest, name, public)
            for row in rows:
                await run.compute(bfv.check_ciphertext, name, row)
        except CryptoError as error:
            raise wrong("holds no table") from error
        if digest.hex() != members.get("key"):
            raise wrong("holds another key than it says")
        return _Table(told=told, key=digest.hex(), public=public, rows=rows)

    async def _weighed(
        self, signed: SignedPlan, weights: Weights, table: _Table, run: Run
    ) -> list[int]:
        plan, (party,) = signed.plan, signed.plan.parties
        parameters = parameter_set(plan.parameters)
        # 1. No product can exceed what a slot holds; known before anything is sent.
        weights.check(table.told.bound, parameters.most)
        # 2. Every set of weights has blinding of its own.
        about = pack(bytes.fromhex(table.key), numbers(weights.values))
        number = await turn(run, about, MOST_OPENS)
        if number is None:
            detail = f"A table is opened {MOST_OPENS} times. Draw up a new plan."
            raise Conflict("plan.opened", detail)
        count = len(table.rows) * parameters.slots

        async def _blinding() -> bytes:
            return await uniform(self.randomness, count, parameters.plain_modulus)

        blinding = await run.once(f"blinding-{number}", _blinding, secret=True)
        released = await run.map(
            f"weighed-{number}",
            bfv.combine_part,
            await asyncio.to_thread(
                self._terms, weights, table, blinding, parameters.slots
            ),
            plan.parameters.encode(),
            shared(table.public),
            numbers([table.told.bound]),
            size=parameters.slots,
        )

        async def _ask() -> Answer:
            arguments = {"key": table.key}
            return await self.call(
                signed, party, "open", arguments, await packed(released)
            )

        # 3. Opened by the owner, and the blinding is taken off.
        _, payload = await answered(run, f"opened-{number}", _ask)
        return await asyncio.to_thread(
            _read, plan, payload, parse_numbers(blinding), weights.bound, table.told
        )

    def _terms(
        self, weights: Weights, table: _Table, blinding: bytes, slots: int
    ) -> list[bytes]:
        """Return what each row is multiplied with, and hidden under."""
        return [
            pack(
                hidden,
                self.randomness(32),
                bfv.term(row, numbers(factors), weights.bound),
            )
            for row, factors, hidden in zip(
                table.rows,
                cut(weights.values, slots),
                cut(blinding, 8 * slots),
                strict=True,
            )
        ]


def _read(
    plan: Plan, payload: bytes, blinding: Sequence[int], bound: int, told: Told
) -> list[int]:
    """Take the blinding off, and check what is left.

    Raises:
        Unavailable: It is not what the owner's table and our weights give.
    """
    parameters, cells = parameter_set(plan.parameters), plan.cell_count
    try:
        rows = parts_of(payload, blocks(plan, cells), parameters)
        opened = [value for row in rows for value in parse_numbers(row)]
    except CryptoError as error:
        raise wrong("holds no opened table") from error
    if len(opened) != len(blinding):
        raise wrong("holds no opened table")
    found = [
        centred(value - hidden, parameters.plain_modulus)
        for value, hidden in zip(opened, blinding, strict=True)
    ]
    if any(found[cells:]) or any(abs(each) > bound * told.bound for each in found):
        raise wrong("opens something else than what was sent")
    return found[:cells]
