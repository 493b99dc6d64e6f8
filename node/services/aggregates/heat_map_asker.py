"""A heat map, at its asker: who has weights or segments, and asks.

What the asker puts in stays with it: weights leave encrypted or not at all, and of
customers it tells positions in a list that the owner has already. The owner's side, and
what the three modes are for: `heat_map_owner`.

Spec: `docs/protocols/fp-map-1.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.plans import SignedPlan
from node.domain.weights import Weights
from node.errors import BadRequest
from node.ports import Randomness
from node.services.aggregates.heat_map_select import Select
from node.services.aggregates.heat_map_unflip import Unflip
from node.services.aggregates.heat_map_weigh import Weigh
from node.services.aggregates.steps import CallStep, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMapAsker:
    """The asker's side of FP-MAP-1: implements `Asking`."""

    call: CallStep
    randomness: Randomness

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        """Carry out a plan.

        Args:
            inputs: Modes C and flip: `weights` (`node.domain.weights`), or nothing.
                Mode flip also `key`, as `federate_asker.prepare` makes it; mode R
                what `heat_map_select.prepare_segments` makes.

        Returns:
            The result: `groups` and `cells` in their order, None where a cell is
            suppressed; `spread`: how far noise has moved any of them, with 99 in 100.

        Raises:
            BadRequest: The inputs do not fit the plan, or results would not fit.
            Conflict: The table was opened too often.
            Unavailable: The owner does not answer, or not as the protocol says.
            Refused: The owner refused.
        """
        names = {"C": {"weights"}, "flip": {"weights", "key"}}.get(signed.plan.mode)
        if names is None:
            select = Select(call=self.call, randomness=self.randomness)
            return await select(signed, inputs, run)
        if inputs.keys() - names:
            raise BadRequest("plan.inputs", f"Give {' and '.join(sorted(names))} only.")
        weights = Weights.of(signed.plan, inputs.get("weights"))
        if signed.plan.mode == "flip":
            return await Unflip(call=self.call)(signed, inputs, weights, run)
        weigh = Weigh(call=self.call, randomness=self.randomness)
        return await weigh(signed, weights, run)
