"""A heat map in mode C, at its owner: an encrypted table, and what is made of it.

The table is noised before it is encrypted, and it was paid for. So nothing that is
decrypted later tells more than the table does, whoever composed it: the key that
decrypts was made for this table and for nothing else. For all that, only so many
results are opened, of exactly as many ciphertexts as the table has.

The asker's weights are hidden from us: what it returns is re-randomised, drowned in
noise and blinded by numbers that only it knows.
"""

from dataclasses import dataclass

from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.kernels.packing import numbers
from crypto.parameters import parameter_set
from node.services.aggregates.heat_map_wire import (
    MOST_OPENS,
    Keys,
    blocks,
    ciphertexts,
    cut,
    described,
    malformed,
    owners_turn,
    packed,
    sent_parts,
    shared,
    told_hidden,
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall
from node.services.aggregates.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Steps `table` and `open` of mode C."""

    tally: Tally

    async def table(self, call: StepCall, run: Run) -> Answer:
        """Encrypt the noised table; the same ciphertexts every time."""
        plan = call.plan
        if call.arguments or call.payload:
            raise Refusal("request.malformed")
        found = await self.tally.cells(
            plan, call.party, call.agreement, call.publication, run
        )
        keys, parameters = (
            await Keys.of(plan, run, make=True),
            parameter_set(plan.parameters),
        )
        encrypted = await run.map(
            "table",
            bfv.encrypt,
            [numbers(row) for row in cut(found.cells, parameters.slots)],
            plan.parameters.encode(),
            shared(keys.public),
            numbers([found.bound]),
            size=parameters.slots,
        )
        members = described(plan, call.publication, found) | told_hidden(found)
        members |= {"key": keys.digest, "bound": found.bound}
        return Answer(members=members, payload=await packed([keys.public, *encrypted]))

    async def open(self, call: StepCall, run: Run) -> Answer:
        """Decrypt what the asker made of the table: blinded numbers."""
        plan, parameters = call.plan, parameter_set(call.plan.parameters)
        keys = await Keys.of(plan, run)
        # 1. It is of the key under which the table is.
        keys.check(call.arguments)
        # 2. As many ciphertexts as the table has, each of the plan's set and form.
        count = blocks(plan, plan.cell_count)
        parts = await sent_parts(call.payload, count, parameters)
        await ciphertexts(plan, parts, run)
        # 3. One of so many: from here on the secret key is used.
        number = await owners_turn(run, call.payload, MOST_OPENS)
        # 4. Decrypted only if its noise budget is what the set demands.
        try:
            opened = await run.map(
                f"opened-{number}",
                bfv.decrypt,
                parts,
                plan.parameters.encode(),
                shared(keys.secret),
                numbers([parameters.most]),
                size=parameters.slots,
            )
        except CryptoError as error:
            raise malformed(error) from error
        return Answer(members={}, payload=await packed(opened))
