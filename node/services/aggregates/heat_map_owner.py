"""A heat map, at its owner: who has the customers, and answers.

A *heat map* is a table of counts or sums over a company's customers, by fault code,
region and week, say. There are three ways to ask for one; the plan's mode says which.

* `C`: the table is noised, encrypted and sent. The asker multiplies it with weights
  that it tells nobody, and has the blinded result opened. (`heat_map_table`)
* `R`: rows are encrypted and sent; the asker adds up those of the customers that it
  has named; sums are told, noised, if the result is the right one. (`heat_map_rows`)
* `flip`: the asker encrypts its weights, and we apply them. (`heat_map_flip`)

Spec: `docs/protocols/fp-map-1.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.plans import Plan
from node.ports import Randomness
from node.services.aggregates.heat_map_flip import Flip
from node.services.aggregates.heat_map_rows import Rows
from node.services.aggregates.heat_map_table import Table
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall
from node.services.aggregates.tally import Tally

TABLE: Final = "table"
ROWS: Final = "rows"
APPLY: Final = "apply"
OPEN: Final = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMapOwner:
    """The provider's side of FP-MAP-1: implements `Handler`."""

    tally: Tally
    randomness: Randomness

    @property
    def steps(self) -> Sequence[str]:
        """Names of the steps: each mode begins with one of its own."""
        return (TABLE, ROWS, APPLY, OPEN)

    def reserves(self, plan: Plan, step: str) -> bool:
        """Tell whether the price is put aside before a step."""
        return self.charges(plan, step)

    def charges(self, plan: Plan, step: str) -> bool:  # noqa: ARG002  # of `Handler`
        """Tell whether a step spends: the first of each mode does, and no other."""
        return step != OPEN

    async def __call__(self, call: StepCall, run: Run) -> Answer:
        """Do a step. Raises `Refusal`, `Unavailable`."""
        match call.plan.mode, call.step:
            case "C", "table":
                return await Table(tally=self.tally).table(call, run)
            case "C", "open":
                return await Table(tally=self.tally).open(call, run)
            case "R", "rows":
                return await self._rows.rows(call, run)
            case "R", "open":
                return await self._rows.open(call, run)
            case "flip", "apply":
                flip = Flip(tally=self.tally, randomness=self.randomness)
                return await flip.apply(call, run)
            case _:
                raise Refusal("round.order")

    @property
    def _rows(self) -> Rows:
        return Rows(tally=self.tally, randomness=self.randomness)
