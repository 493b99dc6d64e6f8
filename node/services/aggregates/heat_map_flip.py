"""A flipped heat map, at its owner: weights that are encrypted, and nothing decrypted.

The asker encrypts its weights under a key of its own; we multiply them with our noised
table. The asker, who decrypts, shall learn sums only. So we add to each cell a number
that is uniform, and that is zero when the cells of one sum are added up; and as a
ciphertext that was multiplied shows what it was multiplied by, the result is
re-randomised and drowned in noise before it leaves. We hold no key at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack
from crypto.parameters import parameter_set
from node.domain.noised import Noised
from node.domain.weights import MOST, totals_of
from node.ports import Randomness
from node.services.aggregates.blinding import zero_sums
from node.services.aggregates.heat_map_wire import (
    MOST_OPENS,
    blocks,
    ciphertexts,
    cut,
    described,
    owners_turn,
    packed,
    sent_parts,
    shared,
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall
from node.services.aggregates.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """Step `apply` of mode flip."""

    tally: Tally
    randomness: Randomness

    async def apply(self, call: StepCall, run: Run) -> Answer:
        """Multiply the asker's weights with the table, blinded to sums."""
        plan, bound = call.plan, _bound(call)
        # 1. The key is the one that the plan names, with as many weights as cells.
        sent = await _parts(call, run)
        # 2. One of so many.
        number = await owners_turn(run, call.payload, MOST_OPENS)
        found = await self.tally.cells(
            plan, call.party, call.agreement, call.publication, run
        )
        # 3. No sum can exceed what a slot holds.
        places, totals = totals_of(plan)
        cells, most = len(places) // totals, parameter_set(plan.parameters).most
        if bound * found.bound * cells > most:
            raise Refusal("aggregate.bound", spent=plan.epsilon_micro)
        # 4. Multiplied, blinded, re-randomised and drowned.
        made = await self._multiplied(call, run, number, found, sent)
        hidden = [0] * totals
        for place, suppressed in zip(places, found.suppressed, strict=True):
            hidden[place] += suppressed
        members = described(plan, call.publication, found)
        members |= {"bound": found.bound, "hidden": hidden}
        return Answer(members=members, payload=await packed(made))

    async def _multiplied(
        self,
        call: StepCall,
        run: Run,
        number: int,
        found: Noised,
        sent: Sequence[bytes],
    ) -> list[bytes]:
        plan, (public, *weights) = call.plan, sent
        parameters = parameter_set(plan.parameters)

        async def _blinding() -> bytes:
            return await zero_sums(
                self.randomness, totals_of(plan)[0], parameters.plain_modulus
            )

        blinding = await run.once(f"blinding-{number}", _blinding, secret=True)
        terms = [
            pack(
                hidden,
                self.randomness(32),
                bfv.term(weight, numbers(row), found.bound),
            )
            for weight, row, hidden in zip(
                weights,
                cut(found.cells, parameters.slots),
                cut(blinding, 8 * parameters.slots),
                strict=True,
            )
        ]
        return await run.map(
            f"applied-{number}",
            bfv.combine_part,
            terms,
            plan.parameters.encode(),
            shared(public),
            numbers([_bound(call)]),
            size=parameters.slots,
        )


async def _parts(call: StepCall, run: Run) -> Sequence[bytes]:
    """Return the asker's key and its encrypted weights. Raises `Refusal`."""
    plan, name = call.plan, call.plan.parameters.encode()
    parameters = parameter_set(plan.parameters)
    count = 1 + blocks(plan, plan.cell_count)
    public, *weights = await sent_parts(call.payload, count, parameters)
    try:
        digest = await run.compute(bfv.digest, name, public)
    except CryptoError as error:
        raise Refusal("key.mismatch") from error
    if digest.hex() != plan.key:
        raise Refusal("key.mismatch")
    return [public, *await ciphertexts(plan, weights, run)]


def _bound(call: StepCall) -> int:
    """Return the bound that the asker gives for its weights."""
    bound = call.arguments.get("bound")
    if set(call.arguments) != {"bound"} or type(bound) is not int:
        raise Refusal("request.malformed")
    if not 1 <= bound <= MOST:
        raise Refusal("request.malformed")
    return bound
