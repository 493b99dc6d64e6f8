"""Ask for a ring count: the asker's side.

Its own list passes both parties, the first one first, as that one checks it against
the plan; each party's list passes the other, and then the asker itself. The three lists
are under all three scalars then, and are compared.

Spec: `docs/protocols/fp-psi-sum-1.md`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto.errors import CryptoError
from crypto.psi import POINT, bucket
from ledger.plan_laws import MOST_SIZE
from ledger.plans import Party, Plan, SignedPlan
from node.services.aggregates.intersect import session
from node.services.aggregates.intersect_asking import asked, counted, shared
from node.services.aggregates.intersect_lists import committed, multiplied
from node.services.aggregates.intersect_prepare import Prepared, prepared
from node.services.aggregates.ring import LIST, PASS, number
from node.services.aggregates.steps import Answer, CallStep, Run, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRing:
    """Implements `Asking` for plans of kind `ring-count`."""

    call: CallStep

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        """Have the lists passed; return how many customers all three share.

        Raises:
            BadRequest: The inputs are another plan's.
            Refused: A party refused.
            Unavailable: A party did not answer, or not what the protocol says.
        """
        plan = signed.plan
        mine = prepared(inputs, plan)
        first, second = plan.parties
        asking = _Passing(call=self.call, signed=signed, run=run)
        lists = {each.did: await asking.listed(each) for each in plan.parties}
        half = await asking.passed(
            first, plan.asker, Answer(members={}, payload=mine.points)
        )
        ours = await asking.passed(second, plan.asker, half)
        met = {plan.asker: ours.payload}
        for owner, other in ((first, second), (second, first)):
            theirs = await asking.passed(other, owner.did, lists[owner.did])
            met[owner.did] = await asking.multiplied(owner, theirs.payload, mine)
        return await _compared(plan, mine, met, run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passing:
    """Calls the steps, and checks what comes back."""

    call: CallStep
    signed: SignedPlan
    run: Run

    def _number(self, did: str) -> int:
        return number(self.signed.plan, did)

    async def listed(self, party: Party) -> Answer:
        """Return a party's own list, as it signed it."""
        name = f"-{self._number(party.did)}"
        answer = await asked(self.run, self.call, self.signed, party, LIST, name=name)
        size, points = len(answer.payload) // POINT, answer.payload
        if len(points) % POINT or not 0 < size <= MOST_SIZE or bucket(size) != size:
            raise wrong("holds a list of a length that lists do not have")
        fixed = await committed(session(self.signed.plan), points)
        if answer.members.get("commitment") != fixed:
            raise wrong("holds another list than it commits to")
        return answer

    async def passed(self, party: Party, whose: str, given: Answer) -> Answer:
        """Return a list that a party has multiplied and shuffled, as it signed it.

        Args:
            given: The list, with its signature if the other party has sent it.
        """
        signature = given.members.get("signature")
        signed = {} if signature is None else {"signature": signature}
        answer = await asked(
            self.run,
            self.call,
            self.signed,
            party,
            PASS,
            arguments={"of": whose, **signed},
            payload=given.payload,
            name=f"-{self._number(party.did)}-of-{self._number(whose)}",
        )
        if len(answer.payload) != len(given.payload):
            raise wrong("holds a list of another length")
        return answer

    async def multiplied(self, owner: Party, points: bytes, mine: Prepared) -> bytes:
        """Return a list that we have multiplied, too."""
        stage = f"multiply-{self._number(owner.did)}"
        try:
            return await multiplied(self.run, stage, mine.secrets, points)
        except CryptoError as error:
            raise wrong("holds what is no list of points") from error


async def _compared(
    plan: Plan, mine: Prepared, met: Mapping[str, bytes], run: Run
) -> Mapping[str, Any]:
    """Return the counts: of all three, and of each two."""
    ours, (first, second) = met[plan.asker], plan.parties
    one = await shared(run, ours, met[first.did])
    two = await shared(run, ours, met[second.did])
    both = await shared(run, met[first.did], met[second.did])
    every = await asyncio.to_thread(lambda: len(set(one) & set(two)))
    pairs = (
        ((plan.asker, first.did), len(one)),
        ((plan.asker, second.did), len(two)),
        ((first.did, second.did), len(both)),
    )
    return counted(plan, mine, every) | {
        "pairs": [
            {"between": list(who), "count": count if count >= plan.k_min else None}
            for who, count in pairs
        ]
    }
