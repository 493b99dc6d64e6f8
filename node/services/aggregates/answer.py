"""Answer a step of a plan, or refuse it, and leave a receipt either way.

The order is the promise, as for a query (`node.services.disclose`):

1. *Authenticate*: whose key signed the token, and whose signed the plan.
2. *Decide*: plan, agreement, field labels, budget and time go to the policy.
3. *Charge*: the plan's price is reserved, before anything is computed from data.
4. *Work*: what the step does is its protocol's; what it draws, it draws once.
5. *Receipt*: durable, in one transaction with the nonce, the rate and the budget,
   which is spent for good now.
6. *Answer*.

Whoever sends a step again, because an answer was lost, gets the same figures; they
cost nothing then, and leave a receipt of their own.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from crypto.encoding import canonical
from crypto.errors import CryptoError
from crypto.signing import Signer
from ledger.errors import LedgerError
from ledger.plans import Kind, Plan, SignedPlan, verify_plan
from ledger.receipts import SignedReceipt
from ledger.step_answer import StepAnswer
from node.domain.agreement import instant
from node.domain.denials import DENIALS
from node.domain.disclosure import Company
from node.domain.granted import matching_of, names_agreement
from node.domain.question import StepFacts, question
from node.domain.steps import StepRequest
from node.errors import NodeError, Unavailable
from node.ports import Clock, PolicyDecisionPoint, Randomness, Store, UnitOfWork
from node.services.aggregates import budget
from node.services.aggregates.jobs import Jobs
from node.services.aggregates.readied import Readied
from node.services.aggregates.steps import Answer, Handler, Refusal, StepCall
from node.services.situate import Outdated, Situate, Situated, refusal
from node.services.write_receipt import Decided, write_receipt

_log = logging.getLogger("fieldpact")
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case(Decided):
    """A step, what was decided about it, and what it will be answered.

    Attributes:
        response_hash: Of the answer.
        charges: Whether the step is the one that the plan pays for.
        spent: What finding out that it must be refused has cost, micro-epsilon.
    """

    request: StepRequest
    answer: Answer | None = None
    response_hash: str | None = None
    charges: bool = False
    spent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStep:
    """Answers the steps of partners' plans.

    Attributes:
        handlers: What each kind of plan does.
        readied: Whether what is computed here can be trusted to be right.
    """

    store: Store
    policy: PolicyDecisionPoint
    situate: Situate
    handlers: Mapping[Kind, Handler]
    jobs: Jobs
    readied: Readied
    clock: Clock
    randomness: Randomness
    signer: Signer
    did: str
    company: Company

    async def __call__(
        self, request: StepRequest, payload: bytes, token: str | None
    ) -> tuple[Mapping[str, Any], bytes]:
        """Answer a step.

        Args:
            payload: The octets whose hash the request names.
            token: The caller's self-issued token, or None.

        Returns:
            JSON header and octets of the answer.

        Raises:
            Unauthenticated: The token is wrong; the receipt is in `extra`.
            Refused: The policy or the protocol said no; the receipt is in `extra`.
            Unavailable: The CRM, a worker or the policy engine did not answer, with
                the receipt in `extra`; or the store did not, and there is no receipt.
        """
        started = self.clock.elapsed_ms()
        caller = self.situate.caller(request, token)
        for _ in range(_ATTEMPTS):
            try:
                found = await self.situate(request, caller)
                case = await self._decided(request, found, token, started)
                if case.decision.allow:
                    case = await self._worked(case, payload)
                signed = await self.store.write(partial(self._keep_receipt, case))
                break
            except Outdated:
                continue
        else:
            detail = "Too many calls at once under this agreement. Try again."
            raise Unavailable("store.contended", detail)
        await self._show(case)
        if case.answer is None:
            raise refusal(case.decision, found.caller, signed)
        header = signed.to_json() | {"members": dict(case.answer.members)}
        return header, case.answer.payload

    async def _decided(
        self, request: StepRequest, found: Situated, token: str | None, started: float
    ) -> _Case:
        facts = await self.store.read(partial(self._facts, request.plan, found))
        asked = question(
            request=request,
            caller=found.caller,
            situation=found.situation,
            dataset=found.dataset,
            company=self.company,
            node=self.did,
            now=int(found.at.timestamp()),
            step_facts=facts,
        )
        return _Case(
            request=request,
            found=found,
            token=token,
            started_ms=started,
            question=canonical(asked).decode(),
            decision=await self.policy.decide(asked),
        )

    def _facts(
        self, signed: SignedPlan, found: Situated, view: UnitOfWork
    ) -> StepFacts:
        plan, agreement = signed.plan, found.agreement
        known = agreement is not None and found.caller.did == agreement.assignee
        if agreement is None or not known:
            return StepFacts(
                signed=False, current=False, bound=False, budget_left=0, plans_today=0
            )
        digest = plan.plan_hash
        return StepFacts(
            signed=self._is_signed(signed, found),
            current=instant(plan.created) <= found.at < instant(plan.expires),
            bound=names_agreement(plan, agreement, self.did),
            budget_left=budget.left(
                view, agreement, found.at, self.company, plan=digest
            ),
            plans_today=budget.plans_today(view, agreement, found.at, plan=digest),
        )

    def _is_signed(self, signed: SignedPlan, found: Situated) -> bool:
        asker = self.situate.identity.participant(found.caller.did or "")
        if asker is None or signed.plan.key_id != asker.signing.key_id(asker.did):
            return False
        try:
            verify_plan(signed, asker)
        except CryptoError:
            return False
        return True

    async def _worked(self, case: _Case, payload: bytes) -> _Case:
        """Do what was allowed; or say why it cannot be done."""
        request, plan = case.request, case.request.plan.plan
        handler = self.handlers[plan.kind]
        if request.step not in handler.steps:
            return _refused(case, "round.order")
        if handler.reserves(plan, request.step):
            code = await self.store.write(partial(self._charge, plan, case.found))
            if code:
                return _refused(case, code)
        case = replace(case, charges=handler.charges(plan, request.step))
        try:
            await self.readied.first()
            answer = await self._answer(handler, case, payload)
            told = await asyncio.to_thread(
                StepAnswer.of, answer.members, answer.payload
            )
            response_hash = told.response_hash
        except Refusal as problem:
            return _refused(case, str(problem), spent=problem.spent)
        except NodeError as error:
            known = error.code in DENIALS
            return _refused(case, error.code if known else "aggregate.unavailable")
        except (CryptoError, LedgerError) as error:
            # What a partner sends is checked by its protocol. This is ours.
            _log.error("%s %s: %s", plan.kind, request.step, error)
            return _refused(case, "aggregate.unavailable")
        return replace(case, answer=answer, response_hash=response_hash)

    def _charge(self, plan: Plan, found: Situated, work: UnitOfWork) -> str:
        """Reserve what a plan costs; return why not, or nothing."""
        if found.agreement is None:
            return "agreement.unknown"
        work.agreements.hold(found.agreement.id)
        return budget.reserve(work, plan, found.agreement, found.at, self.company)

    async def _answer(self, handler: Handler, case: _Case, payload: bytes) -> Answer:
        request, found = case.request, case.found
        party = request.plan.plan.party(self.did)
        if party is None or found.agreement is None or found.publication is None:
            raise Refusal("plan.mismatch")
        run = await self.jobs.provider(request.plan, found.caller.did or "")
        return await handler(
            StepCall(
                signed=request.plan,
                party=party,
                step=request.step,
                arguments=request.arguments,
                payload=payload,
                agreement=found.agreement,
                publication=found.publication,
            ),
            run,
        )

    def _keep_receipt(self, case: _Case, work: UnitOfWork) -> SignedReceipt:
        """Write the receipt, with the nonce, the rate and the budget it uses up.

        Raises:
            Outdated: What was read no longer holds; nothing is written.
        """
        self.situate.claim(work, case.found)
        allowed = case.answer is not None
        if allowed:
            self.situate.hold(work, case.found)
        self.situate.keep_signatures(work, case.found, allowed=allowed)
        return write_receipt(
            work,
            case,
            _members(case, spent=self._spend(case, work)),
            provider=self.did,
            signer=self.signer,
            salt=self.randomness(32),
            now_ms=self.clock.elapsed_ms(),
        )

    def _spend(self, case: _Case, work: UnitOfWork) -> int:
        """Make a charge final, or give it back where nothing was computed.

        Returns:
            What was spent and no receipt has told before, micro-epsilon.

        Raises:
            Outdated: The charge was given back meanwhile; nothing may leave.
        """
        if not case.charges:
            return 0
        plan = case.request.plan.plan
        digest, roster = plan.plan_hash, sorted(party.did for party in plan.parties)
        if (charged := work.budgets.hold(digest)) is None:
            raise Outdated
        if case.answer is not None and charged.epsilon_micro < plan.epsilon_micro:
            raise Outdated  # refused before, and paid for that alone
        if not charged.committed:
            if case.answer is not None:
                budget.commit(work, digest, roster if len(roster) > 1 else ())
            elif case.spent:
                work.budgets.settle(digest, case.spent)
            elif matching_of(plan) == "none":
                work.budgets.give_up(digest)
            # Where lists were compared, the steps before have told something.
        # A handler may have made it final before: that, too, is told in one receipt.
        return work.budgets.tell(digest)

    async def _show(self, case: _Case) -> None:
        """Say in the list of jobs what became of the plan."""
        plan, step = case.request.plan.plan, case.request.step
        if case.found.caller.did != plan.asker:
            return
        if case.answer is None:
            await self.jobs.failed(plan.plan_hash, case.decision.denials[0])
        elif step == self.handlers[plan.kind].steps[-1] or plan.mode == "flip":
            await self.jobs.finished(plan.plan_hash)


def _members(case: _Case, *, spent: int) -> dict[str, Any]:
    """Return what a step led to, as its receipt says it."""
    return {
        **dict.fromkeys(("customers", "records", "withheld"), 0),
        **dict.fromkeys(("statement", "snapshot")),
        "where": (),
        "decision": "allow" if case.answer else "deny",
        "response_hash": case.response_hash,
        "plan": case.request.plan.plan.plan_hash,
        "step": case.request.step,
        "spent": spent,
    }


def _refused(case: _Case, code: str, *, spent: int = 0) -> _Case:
    return replace(case, decision=case.decision.refused(code), spent=spent)
