"""Ask for a joint sum: the asker's side.

It knows at which places of the provider's list shared customers stand. It multiplies
the provider's ciphertexts by one there and by zero elsewhere, adds them up, and hides
everything in the result but the sum of its slots: by numbers that are uniform and add
up to its own noise, by a fresh encryption of them, and by a flood (`crypto.bfv`). The
noise hides its own customers from the provider, and it takes it off again.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crypto import noise
from crypto.errors import CryptoError
from crypto.kernels.packing import numbers, parse_numbers
from ledger.plans import Plan, SignedPlan
from node.domain.joint import Figure, Limbs, written
from node.domain.noised import Laplace
from node.ports import Randomness
from node.services.aggregates.heat_map_told import Told, read_told
from node.services.aggregates.intersect_asking import (
    Compared,
    asked,
    compare,
    counted,
    shared,
)
from node.services.aggregates.intersect_prepare import prepared
from node.services.aggregates.joint_masking import Encrypted, Mask
from node.services.aggregates.joint_rules import (
    FINISH,
    cut,
    for_count,
    for_sum,
    noised,
    parameters,
)
from node.services.aggregates.steps import Answer, CallStep, Run, wrong

_SUM: Final = re.compile("0|-?[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskJointSum:
    """Implements `Asking` for plans of kind `joint-sum`.

    Attributes:
        noise: Draws the noise that hides our customers from the provider.
    """

    call: CallStep
    randomness: Randomness
    noise: Laplace = noise.laplace

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        """Compare the lists and have the sum told; return it with what follows.

        Raises:
            BadRequest: The inputs are another plan's.
            Refused: The provider refused.
            Unavailable: It did not answer, or not what the protocol says.
        """
        plan, party = signed.plan, signed.plan.parties[0]
        mine = prepared(inputs, plan)
        compared = await compare(self.call, signed, party, mine, run)
        found = await shared(run, compared.theirs, compared.ours)
        drawn, cut_into = await self._drawn(plan, compared, len(found), run)
        # Both: the exact count protects the provider's customers, the noised one ours.
        if len(found) < plan.k_min or drawn[0] < plan.k_min:
            return counted(plan, mine, 0) | _nothing()
        mask = Mask(
            parameters=parameters(plan), limbs=cut_into, randomness=self.randomness
        )
        payload = await mask(_encrypted(compared), found, drawn[1:], run)
        answer = await asked(
            run,
            self.call,
            signed,
            party,
            FINISH,
            arguments={"count": drawn[0]},
            payload=payload,
        )
        told, meaning = _told(answer)
        figure = Figure(
            sum=told - cut_into.join(drawn[1:]),
            count=len(found),
            asked=mine.asked,
            spread=meaning.spread,
            scale=meaning.scale,
        )
        return counted(plan, mine, len(found)) | _figures(figure, plan, meaning.unit)

    async def _drawn(
        self, plan: Plan, compared: Compared, count: int, run: Run
    ) -> tuple[list[int], Limbs]:
        """Draw our noise, once: for the count that we tell, and for each limb."""
        try:
            cut_into = cut(plan, compared.size)
        except CryptoError as error:
            raise wrong("has more customers than can be added up") from error

        async def draw() -> bytes:
            told = await noised(self.noise, [count], 1, for_count(plan))
            zeros, sensitivity = [0] * cut_into.count, cut_into.sensitivity
            added = await noised(self.noise, zeros, sensitivity, for_sum(plan))
            return numbers([*told, *added])

        return parse_numbers(await run.once("noise", draw, secret=True)), cut_into


def _encrypted(compared: Compared) -> Encrypted:
    return Encrypted(
        public=compared.fixed.payload, blocks=compared.rest, size=compared.size
    )


def _told(answer: Answer) -> tuple[int, Told]:
    meaning, text = read_told(answer.members, more=1), answer.members.get("sum")
    if not isinstance(text, str) or not _SUM.fullmatch(text):
        raise wrong("holds no sum")
    return int(text), meaning


def _figures(figure: Figure, plan: Plan, unit: str | None) -> dict[str, Any]:
    return {
        "measure": plan.measure.to_json(),
        "sum": figure.sum,
        "mean": written(figure.mean, figure.scale + 2),
        "spread": figure.spread,
        "unit": unit,
        "scale": figure.scale,
        "spent": {party.did: plan.epsilon_micro for party in plan.parties},
    }


def _nothing() -> dict[str, Any]:
    return dict.fromkeys(("sum", "mean", "spread"))
