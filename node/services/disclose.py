"""Disclose: answer one query, or refuse it, and leave a receipt either way.

The order is the promise:

1. *Authenticate*: whose key signed the caller's token, and which receipts it signs
   back.
2. *Decide*: agreement, request, field labels, usage and time go to the policy.
3. *Read* only the committed columns of only the shared customers, and compare them.
4. *Receipt*: durable, in one transaction with the nonce, rate and probes it used.
5. *Prove*: presentations bound to caller, agreement, purpose, nonce and receipt.
6. *Answer*.

What is decided on may change before the receipt is kept: `node.services.situate`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from crypto.encoding import canonical
from crypto.signing import Signer
from ledger.receipts import SignedReceipt
from node.domain.disclosure import Caller, Company, Request
from node.domain.question import question
from node.errors import Unavailable
from node.ports import (
    Clock,
    Identity,
    PolicyDecisionPoint,
    Randomness,
    Store,
    UnitOfWork,
)
from node.services.prove import Prove
from node.services.read import Draft, NotReadable, Read
from node.services.situate import Outdated, Situate, refusal
from node.services.write_receipt import Decided, write_receipt

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case(Decided):
    """A query, what was decided about it, and what will be shown if it may."""

    request: Request
    draft: Draft | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclose:
    """Answers queries of partners."""

    store: Store
    policy: PolicyDecisionPoint
    identity: Identity
    situate: Situate
    read: Read
    prove: Prove
    clock: Clock
    randomness: Randomness
    signer: Signer
    company: Company

    async def __call__(self, request: Request, token: str | None) -> Mapping[str, Any]:
        """Answer a query.

        Args:
            request: What is asked.
            token: The caller's self-issued token, or None.

        Returns:
            The body of the answer.

        Raises:
            Unauthenticated: The token is wrong; the receipt is in `extra`.
            Refused: The policy said no; the receipt is in `extra`.
            Unavailable: The CRM or the policy engine did not answer, with the receipt
                in `extra`; or the store did not, or the log may have two histories,
                and there is no receipt. Nothing was disclosed.
        """
        started = self.clock.elapsed_ms()
        caller = self.situate.caller(request, token)
        for _ in range(_ATTEMPTS):
            try:
                case = await self._consider(request, caller, token, started)
                signed = await self.store.write(partial(self._keep_receipt, case))
                break
            except Outdated:
                continue
        else:
            detail = "Too many calls at once under this agreement. Try again."
            raise Unavailable("store.contended", detail)
        if case.draft is None:
            raise refusal(case.decision, caller, signed)
        disclosure = await self.prove(case.draft, signed.receipt)
        return await asyncio.to_thread(
            lambda: {**signed.to_json(), **disclosure.to_json()}
        )

    async def _consider(
        self, request: Request, caller: Caller, token: str | None, started: float
    ) -> _Case:
        found = await self.situate(request, caller)
        asked = question(
            request=request,
            caller=found.caller,
            situation=found.situation,
            dataset=found.dataset,
            company=self.company,
            node=self.identity.me.did,
            now=int(found.at.timestamp()),
        )
        decision = await self.policy.decide(asked)
        draft = None
        if decision.allow:
            try:
                draft = await self.read(
                    request, found.publication, found.agreement, self.company.max_rows
                )
            except NotReadable as problem:
                decision = decision.refused(str(problem))
        return _Case(
            request=request,
            found=found,
            token=token,
            started_ms=started,
            question=canonical(asked).decode(),
            decision=decision,
            draft=draft,
        )

    def _keep_receipt(self, case: _Case, work: UnitOfWork) -> SignedReceipt:
        """Write the receipt, with the nonce and the rate that the call uses up.

        Raises:
            Outdated: What was read no longer holds; nothing is written.
        """
        self.situate.claim(work, case.found)
        if case.draft:
            agreement = self.situate.hold(work, case.found)
            caps = {grant.field: grant.probes for grant in agreement.terms.predicates}
            probing = case.draft.probing
            if probing and not work.receipts.probe(probing, caps):
                raise Outdated
        allowed = case.draft is not None
        self.situate.keep_signatures(work, case.found, allowed=allowed)
        return write_receipt(
            work,
            case,
            _members(case),
            provider=self.identity.me.did,
            signer=self.signer,
            salt=self.randomness(32),
            now_ms=self.clock.elapsed_ms(),
        )


def _members(case: _Case) -> dict[str, Any]:
    """Return what a query led to, as its receipt says it."""
    draft, request = case.draft, case.request
    shown = draft.disclosure if draft else None
    return {
        "where": request.where,
        "statement": draft.statement.digest.hex() if draft else None,
        "snapshot": shown.snapshot.snapshot.snapshot_id if shown else None,
        "decision": "allow" if shown else "deny",
        "customers": len(request.customers),
        "records": shown.records if shown else 0,
        "withheld": shown.withheld if shown else 0,
        "response_hash": draft.response_hash if draft else None,
    }
