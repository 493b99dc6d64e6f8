"""Draw up: make a plan of a draft, sign it, and have it carried out.

What a plan names besides what a person wants is made here: a fresh round, a key, the
masks of segments. What belongs to them and stays with us goes into the job's inputs,
which are kept encrypted and never sent. Of a list that is compared only the length is
known here: it is blinded, and the plan signed that commits to it, by the job itself
(`intersect_prepare`).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto.errors import Malformed
from crypto.psi import bucket
from crypto.signing import Signer
from ledger.plans import Kind, Plan, SignedPlan, sign_plan
from node.domain.agreement import Agreement, render_instant
from node.domain.draft import HOLDS, Draft
from node.domain.granted import unmet
from node.domain.negotiation import Role
from node.domain.weights import Weights
from node.errors import BadRequest, NotFound
from node.ports import Clock, Randomness, Store
from node.ports.aggregates import Compute
from node.services.aggregates import federate_asker, intersect_prepare
from node.services.aggregates.heat_map_select import prepare_segments
from node.services.aggregates.jobs import Jobs
from node.services.aggregates.readied import Readied
from node.services.aggregates.steps import Run
from node.services.align import Align

_EMPTY: Mapping[str, Any] = {
    "key": None,
    "size": 0,
    "segments": None,
    "segment_labels": (),
    "commitment": None,
    "replaces": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawUp:
    """Makes plans of drafts."""

    store: Store
    align: Align
    compute: Compute
    jobs: Jobs
    readied: Readied
    clock: Clock
    randomness: Randomness
    signer: Signer
    did: str

    async def __call__(self, draft: Draft) -> Mapping[str, Any]:
        """Draw a plan up and begin to carry it out.

        Returns:
            `job`: its id; `plan`: the plan's hash, None where a list has yet to be
            blinded.

        Raises:
            NotFound: An agreement that it names is not one of ours.
            BadRequest: The draft is no plan, or inputs do not fit it.
            Conflict: We have declared no customers where segments are of some.
            Unavailable: Workers do not compute as they should.
        """
        await self.readied.first()
        signed, inputs, _ = await self._drawn(draft)
        if not draft.matches:
            job = await self.jobs.start(signed, inputs)
            return {"job": job, "plan": signed.plan.plan_hash}

        async def keep(run: Run) -> None:
            if draft.ours is None:
                await intersect_prepare.keep_named(run, draft.customers)

        return {"job": await self.jobs.start(signed, inputs, keep), "plan": None}

    async def look(self, draft: Draft) -> Mapping[str, Any]:
        """Draw a plan up, and say what stands in its way; nothing is sent.

        Returns:
            `plan`: signed; `unmet`: denial codes by provider, for what its agreement
            does not grant.

        Raises:
            NotFound: As above.
            BadRequest: As above.
        """
        signed, _, agreements = await self._drawn(draft)
        return {
            "plan": signed.to_json(),
            "unmet": {
                each.assigner: list(unmet(signed.plan, each.terms, None))
                for each in agreements
            },
        }

    def sign(self, plan: Plan) -> SignedPlan:
        """Sign a plan of ours."""
        return sign_plan(plan, self.signer)

    async def _drawn(
        self, draft: Draft
    ) -> tuple[SignedPlan, Mapping[str, Any], list[Agreement]]:
        agreements = await self._agreements(draft)
        members = draft.members(agreements)
        round_id, now = self.randomness(32).hex(), self.clock.now()
        made, inputs = await self._made(draft, agreements)
        try:
            plan = Plan(
                **{**members, **_EMPTY, **made},
                round=round_id,
                asker=self.did,
                created=render_instant(now),
                expires=render_instant(now + HOLDS),
                key_id=self.signer.key_id(self.did),
            )
        except Malformed as error:
            raise BadRequest("plan.draft", f"{error}.") from error
        if "weights" in inputs:  # a mistake in them is told now, not by the job
            Weights.of(plan, inputs["weights"])
        return self.sign(plan), inputs, agreements

    async def _agreements(self, draft: Draft) -> list[Agreement]:
        kept = await self.store.read(
            lambda view: [view.agreements.get(each) for each in draft.agreements]
        )
        found = [each.agreement for each in kept if each and each.role is Role.CONSUMER]
        if not found or len(found) != len(draft.agreements):
            detail = "We hold no such agreement as its consumer."
            raise NotFound("agreement.unknown", detail)
        return found

    async def _made(
        self, draft: Draft, agreements: list[Agreement]
    ) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Return further members of the plan, and what belongs to them."""
        if draft.matches:
            if not (count := await self._count(draft)):
                detail = "Name at least one customer."
                raise BadRequest("customers.malformed", detail)
            made = {"size": bucket(count), "commitment": intersect_prepare.UNKNOWN}
            return made, {"ours": draft.ours}
        if draft.kind is Kind.FEDERATED_SUM:
            key, inputs = await federate_asker.prepare(self.compute, draft.parameters)
            return {"key": key}, inputs
        if draft.mode == "R":
            cut = await prepare_segments(
                self.store, self.align, agreements[0], draft.segments or {}
            )
            return {"segments": cut.hash, "segment_labels": cut.labels}, cut.inputs
        weights = {"weights": draft.weights} if draft.weights is not None else {}
        if draft.mode != "flip":
            return {}, weights
        key, inputs = await federate_asker.prepare(self.compute, draft.parameters)
        return {"key": key}, {**inputs, **weights}

    async def _count(self, draft: Draft) -> int:
        if (ours := draft.ours) is None:
            return await asyncio.to_thread(lambda: len(set(draft.customers)))
        return await self.store.read(lambda view: view.datasets.count_customers(ours))
