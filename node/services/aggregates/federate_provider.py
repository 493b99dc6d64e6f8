"""Federate, as a provider: promise to take part in a sum, then add a masked row.

The row leaves only under masks that cancel out over the whole roster, encrypted for
the asker, and with a commitment to it. So a provider looks twice before it masks: at
the roster, whose every key must be promised by a company it knows, and at what it has
contributed to before (`federate_rules`). Each provider noises its own table at full
scale: what protects its customers does not rest on the others being honest.

What is drawn - key, noise, blinding, ciphertexts - is drawn once and kept before it
leaves, so the same step gives the same answer again. The mask key is never shown.

Spec: `docs/protocols/fp-agg-1.md`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from crypto.encoding import b64u, canonical, parse_json
from crypto.errors import CryptoError
from crypto.kernels import bfv
from crypto.keys import X25519Key
from crypto.signing import Signer
from ledger.plans import Plan
from ledger.rosters import (
    FEWEST,
    Acceptance,
    Roster,
    parse_roster,
    sign_acceptance,
    verify_roster,
)
from node.domain.agreement import Agreement, render_instant
from node.domain.negotiation import Role
from node.ports import Clock, Identity, Randomness, Store, UnitOfWork
from node.services.aggregates.earlier import began_at
from node.services.aggregates.federate_row import Row
from node.services.aggregates.federate_rules import (
    ACCEPT,
    CONTRIBUTE,
    Cells,
    Shape,
    may_contribute,
)
from node.services.aggregates.steps import Answer, Refusal, Run, StepCall


@dataclass(frozen=True, slots=True, kw_only=True)
class FederateProvider:
    """The provider's side of FP-AGG-1: implements `Handler`.

    Attributes:
        signer: Key of this participant that signs receipts.
        cells: Makes the row, noised.
    """

    store: Store
    identity: Identity
    signer: Signer
    cells: Cells
    clock: Clock
    randomness: Randomness

    @property
    def steps(self) -> Sequence[str]:
        """Names of the steps, in order."""
        return (ACCEPT, CONTRIBUTE)

    def reserves(self, plan: Plan, step: str) -> bool:
        """Tell whether the price is put aside before a step: not for a promise."""
        return self.charges(plan, step)

    def charges(self, plan: Plan, step: str) -> bool:  # noqa: ARG002  # of `Handler`
        """Tell whether a step spends: promising costs nothing."""
        return step == CONTRIBUTE

    async def __call__(self, call: StepCall, run: Run) -> Answer:
        """Do a step. Raises `Refusal`, `Unavailable`."""
        self._check_plan(call)
        if call.step == ACCEPT:
            return await self._accept(call, run)
        return await self._contribute(call, run)

    def _check_plan(self, call: StepCall) -> None:
        plan, me = call.plan, self.identity.me.did
        if len(plan.parties) < FEWEST or plan.asker in {p.did for p in plan.parties}:
            raise Refusal("parties.too_few")
        if call.party.did != me or plan.party(me) != call.party or plan.key is None:
            raise Refusal("plan.mismatch")
        if plan.measure.bound > Shape.of(plan).share:
            raise Refusal("aggregate.bound")

    async def _accept(self, call: StepCall, run: Run) -> Answer:
        if call.arguments or call.payload:
            raise Refusal("request.malformed")

        async def promise() -> bytes:
            me, secret = self.identity.me, await self._mask_key(run)
            accepted = Acceptance(
                plan=call.plan.plan_hash,
                party=me.did,
                mask_key=b64u(X25519Key.from_bytes(secret).public_bytes),
                expires=call.plan.expires,
                key_id=self.signer.key_id(me.did),
            )
            return canonical(sign_acceptance(accepted, self.signer).to_json())

        promised = parse_json(await run.once("acceptance", promise))
        name = call.plan.measure.field or ""
        field = call.publication.dataset.field(name)
        summed = field if call.plan.measure.what == "sum" else None
        members = {
            "acceptance": promised,
            "unit": summed.unit if summed else None,
            "scale": summed.scale if summed else 0,
        }
        return Answer(members=members)

    async def _mask_key(self, run: Run) -> bytes:
        async def draw() -> bytes:
            return self.randomness(32)

        return await run.once("mask-key", draw, secret=True)

    async def _contribute(self, call: StepCall, run: Run) -> Answer:
        # 1. The roster is the plan's, every key in it promised by who it is of.
        roster = await self._roster(call)
        # 2. Our own key is the one that we promised, in this run.
        secret = await self._mask_key(run)
        own = X25519Key.from_bytes(secret).public_bytes
        if roster.key(self.identity.me.did) != own:
            raise Refusal("roster.invalid")
        # 3. The key to encrypt under is the one that the asker signed.
        await self._check_key(call, run)
        # 4. One roster for a plan, and none that takes somebody off an earlier sum.
        await self._only(roster, run)
        await self.store.read(lambda view: self._may_contribute(view, call.plan))
        # 5. Only now is the table made and noised; it does not leave before the
        #    sum is on record, in a transaction that looks at step 4 again.
        noised = await self.cells(
            call.plan, call.party, call.agreement, call.publication, run
        )
        if noised.bound > Shape.of(call.plan).share:
            raise Refusal("aggregate.bound", spent=call.plan.epsilon_micro)
        await self.store.write(lambda work: self._enter(work, call.plan))
        # 6. Masked, encrypted and committed to.
        row = Row(call.plan, roster, self.identity.me.did, noised.cells)
        made = await row.contribution(secret, call.payload, self.randomness, run)
        members = {
            "roster": roster.roster_hash,
            "commitment": b64u(made.commitment),
            "blinding": b64u(made.blinding),
        }
        return Answer(members=members, payload=made.payload)

    async def _roster(self, call: StepCall) -> Roster:
        plan, at = call.plan, render_instant(self.clock.now())
        if call.arguments.keys() != {"roster"}:
            raise Refusal("request.malformed")
        pins = {each.did: self.identity.participant(each.did) for each in plan.parties}

        def verified() -> Roster:
            roster = parse_roster(call.arguments["roster"])
            verify_roster(roster, plan, pins.get, at=at)
            return roster

        try:
            return await asyncio.to_thread(verified)
        except CryptoError as error:
            raise Refusal("roster.invalid") from error

    async def _check_key(self, call: StepCall, run: Run) -> None:
        name = call.plan.parameters.encode()
        try:
            digest = await run.compute(bfv.digest, name, call.payload)
        except CryptoError as error:
            raise Refusal("key.mismatch") from error
        if digest.hex() != call.plan.key:
            raise Refusal("key.mismatch")

    async def _only(self, roster: Roster, run: Run) -> None:
        wanted = bytes.fromhex(roster.roster_hash)

        async def hashed() -> bytes:
            return wanted

        if await run.once("roster", hashed) != wanted:
            raise Refusal("round.replayed")

    def _enter(self, work: UnitOfWork, plan: Plan) -> None:
        """Take a place in a sum, for good: from here on it counts as contributed.

        Agreements are held, in one order, so that no two plans overtake each other.
        """
        for agreement in self._agreements(work, plan.asker):
            work.agreements.hold(agreement.id)
        self._may_contribute(work, plan)
        parties = [party.did for party in plan.parties]
        work.budgets.commit(plan.plan_hash, parties)

    def _may_contribute(self, view: UnitOfWork, plan: Plan) -> None:
        """Check against what was contributed for the asker, by any agreement."""
        now = self.clock.now()
        for agreement in self._agreements(view, plan.asker):
            earlier = view.budgets.spent(agreement.id, began_at(agreement, now))
            may_contribute(plan, earlier)

    def _agreements(self, view: UnitOfWork, asker: str) -> list[Agreement]:
        every = [
            kept.agreement
            for kept in view.agreements.all()
            if kept.role is Role.PROVIDER and kept.agreement.assignee == asker
        ]
        return sorted(every, key=lambda each: each.id)
