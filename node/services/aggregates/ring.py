"""Ring: how many customers do three companies share?

A party's side. Each list passes both of the others, who multiply and shuffle it; what
all three have multiplied can be compared, and leads back to nobody. The asker, one of
the three, compares.

A party multiplies the lists of the other two, once each, and no third. Each list that
passes tells how many of it are customers of the others; who could have many pass would
find out, by halves, *which*. Nor does it multiply its own list, which nobody needs.
All lists go through the asker's hands: so a party multiplies what the plan commits to,
or what the other party has signed, and nothing that the asker made instead.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from crypto.encoding import b64u, sha256
from crypto.errors import CryptoError, Malformed
from crypto.psi import POINT, bucket
from crypto.signing import Signer
from ledger.participants import Participant
from ledger.passed_lists import PassedList, sign_passed, verify_passed
from ledger.plan_laws import MOST_SIZE
from ledger.plans import Plan
from node.services.aggregates.intersect import (
    Intersect,
    check_bare,
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
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall

LIST: Final = "list"
PASS: Final = "pass"  # noqa: S105  # a step's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Implements `Handler` for plans of kind `ring-count`.

    Attributes:
        lists: Makes our own list.
        signer: Key of this participant that signs receipts.
        pinned: Returns the record of a participant, None of a stranger.
    """

    lists: Intersect
    signer: Signer
    pinned: Callable[[str], Participant | None]

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
                to; a list is none, our own, of nobody in the plan, not signed by the
                other party, or the second of one side; or the step is out of order.
        """
        if call.step == LIST:
            return await self._list(call, run)
        if call.step == PASS:
            return await self._pass(call, run)
        raise Refusal("round.order")

    async def _list(self, call: StepCall, run: Run) -> Answer:
        """Send our list, blinded, which fixes it."""
        check_bare(call)
        check_size(call)
        own = await self.lists.own(call, run)
        fixed = await committed(session(call.plan), own.points)
        await in_order(run, LIST, bytes.fromhex(fixed), after="")
        signature = await self._signed(call, run, call.party.did, own.points)
        members = {"commitment": fixed, "size": own.size, "signature": signature}
        return Answer(members=members, payload=own.points)

    async def _pass(self, call: StepCall, run: Run) -> Answer:
        """Multiply and shuffle the list of another side, once."""
        check_bare(call, payload=True, arguments={"of", "signature"})
        plan, whose, points = call.plan, call.arguments.get("of"), call.payload
        if not isinstance(whose, str) or whose not in {plan.asker, *_others(call)}:
            raise Refusal("round.order")
        await self._check(call, whose)
        side = number(plan, whose)
        await in_order(run, f"pass-{side}", await _hash(points), after=LIST)
        own = await self.lists.own(call, run)
        try:
            if await places(run, points, own.points):
                raise Malformed("our own list")
            seed = own.secrets.shuffle_of(whose)
            stage = f"multiply-{side}"
            made = await multiplied(run, stage, own.secrets, points, seed)
        except CryptoError as error:
            raise refusal(error) from error
        signature = await self._signed(call, run, whose, made)
        return Answer(members={"signature": signature}, payload=made)

    async def _check(self, call: StepCall, whose: str) -> None:
        """Check a list's length, and that it was fixed before it came here.

        By the plan: the asker's, where it comes as it was made. What comes from the
        other party is signed by that one.
        """
        plan, size = call.plan, len(call.payload) // POINT
        if whose == plan.asker and call.party == plan.parties[0]:
            await check_committed(plan, call.payload)
            return
        filled = 0 < size <= MOST_SIZE and bucket(size) == size
        if not filled or (whose == plan.asker and size != plan.size):
            raise Refusal("points.malformed")
        [sender] = _others(call)
        if (party := self.pinned(sender)) is None:
            raise Refusal("commitment.mismatch")
        try:
            signature = call.arguments.get("signature")
            passed = await _passed(call, whose, sender, call.payload)
            verify_passed(passed, signature, party)
        except CryptoError as error:
            raise refusal(error, "commitment.mismatch") from error

    async def _signed(self, call: StepCall, run: Run, whose: str, points: bytes) -> str:
        """Sign a list that we send on, once."""

        async def sign() -> bytes:
            passed = await _passed(call, whose, call.party.did, points)
            return sign_passed(passed, self.signer)

        return b64u(await run.once(f"signed-{number(call.plan, whose)}", sign))


def number(plan: Plan, did: str) -> int:
    """Return a side's number in its plan, by which stages are told apart; 0: asker."""
    return [plan.asker, *(each.did for each in plan.parties)].index(did)


async def _passed(call: StepCall, whose: str, sender: str, points: bytes) -> PassedList:
    found = (await _hash(points)).hex()
    return PassedList(plan=call.plan.plan_hash, of=whose, sender=sender, points=found)


async def _hash(points: bytes) -> bytes:
    return await asyncio.to_thread(sha256, points)


def _others(call: StepCall) -> list[str]:
    return [each.did for each in call.plan.parties if each != call.party]
