"""Ring: how many customers do three companies share?

A party's side. Each list passes both of the others, who multiply and shuffle it; what
all three have multiplied can be compared, and leads back to nobody. The asker, one of
the three, compares.

A party multiplies the lists of the other two, once each, and no third. Each list that
passes tells how many of it are customers of the others; who could have many pass would
find out, by halves, *which*. Nor does it multiply its own list, which nobody needs.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crypto.encoding import sha256
from crypto.errors import CryptoError, Malformed
from crypto.psi import POINT, bucket
from ledger.plan_laws import MOST_SIZE
from ledger.plans import Plan
from node.services.aggregates.intersect import (
    Intersect,
    check_committed,
    check_size,
    session,
)
from node.services.aggregates.intersect_lists import (
    committed,
    in_order,
    multiplied,
    places,
    refusal,
    shuffled,
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall

LIST: Final = "list"
PASS: Final = "pass"  # noqa: S105  # a step's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Implements `Handler` for plans of kind `ring-count`.

    Attributes:
        lists: Makes our own list.
    """

    lists: Intersect

    @property
    def steps(self) -> Sequence[str]:
        """Names of its steps."""
        return (LIST, PASS)

    def reserves(self, plan: Plan, step: str) -> bool:
        """Tell whether the price is put aside: before any list is compared."""
        del plan, step
        return True

    def charges(self, plan: Plan, step: str) -> bool:
        """Tell whether a step spends: never, for nothing of it is noised."""
        del plan, step
        return False

    async def __call__(self, call: StepCall, run: Run) -> Answer:
        """Do a step.

        Raises:
            Refusal: The asker's list is longer than agreed, or not what it committed
                to; a list is none, our own, of nobody in the plan, or the second of
                one side; or the step is out of order.
        """
        if call.step == LIST:
            return await self._list(call, run)
        if call.step == PASS:
            return await self._pass(call, run)
        raise Refusal("round.order")

    async def _list(self, call: StepCall, run: Run) -> Answer:
        """Send our list, blinded, which fixes it."""
        check_size(call)
        own = await self.lists.own(call, run)
        fixed = await committed(session(call.plan), own.points)
        await in_order(run, LIST, bytes.fromhex(fixed), after="")
        members = {"commitment": fixed, "size": own.size}
        return Answer(members=members, payload=own.points)

    async def _pass(self, call: StepCall, run: Run) -> Answer:
        """Multiply and shuffle the list of another side, once."""
        plan, whose, points = call.plan, call.arguments.get("of"), call.payload
        if whose not in {plan.asker, *_others(call)}:
            raise Refusal("round.order")
        await self._check(call, str(whose))
        side = number(plan, str(whose))
        await in_order(run, f"pass-{side}", sha256(points), after=LIST)
        own = await self.lists.own(call, run)
        try:
            if await places(run, points, own.points):
                raise Malformed("our own list")
            done = await multiplied(run, f"multiply-{side}", own.secrets, points)
        except CryptoError as error:
            raise refusal(error) from error
        seed = own.secrets.shuffle_of(str(whose))
        return Answer(members={}, payload=await shuffled(run, seed, done))

    @staticmethod
    async def _check(call: StepCall, whose: str) -> None:
        """Check a list's length; and the asker's, where it comes as it was made."""
        plan, size = call.plan, len(call.payload) // POINT
        if whose != plan.asker:
            if not 0 < size <= MOST_SIZE or bucket(size) != size:
                raise Refusal("points.malformed")
        elif call.party == plan.parties[0]:
            await check_committed(plan, call.payload)
        elif size != plan.size:
            raise Refusal("points.malformed")


def number(plan: Plan, did: str) -> int:
    """Return a side's number in its plan, by which stages are told apart; 0: asker."""
    return [plan.asker, *(each.did for each in plan.parties)].index(did)


def _others(call: StepCall) -> list[str]:
    return [each.did for each in call.plan.parties if each != call.party]
