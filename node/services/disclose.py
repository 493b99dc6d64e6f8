"""Disclose: answer one query, or refuse it, and leave a receipt either way.

The order is the promise:

1. *Authenticate*: whose key signed the caller's token, and which receipts it signs
   back.
2. *Decide*: agreement, request, field labels, usage and time go to the policy.
3. *Read* only the committed columns of only the shared customers, and compare them.
4. *Receipt*: durable, in one transaction with the nonce, rate and probes it used.
5. *Prove*: presentations bound to caller, agreement, purpose, nonce and receipt.
6. *Answer*.

The decision is made on one state of the store, without holding a lock while the
policy or the CRM thinks. The receipt commits only if that state still holds: the
nonce is still unused, the caps still have room, the agreement and the dataset's
declaration still stand. Otherwise everything is decided again.
"""

import asyncio
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from crypto.encoding import canonical
from crypto.signing import Signer
from ledger.receipts import (
    PolicyReference,
    Receipt,
    SignedReceipt,
    sign_receipt,
    stream_id,
)
from node.domain.agreement import render_instant
from node.domain.dataset import Dataset
from node.domain.decision import DENIALS, Decision, explained
from node.domain.disclosure import Caller, Company, Request, Situation, question
from node.errors import NodeError, Refused, Unauthenticated, Unavailable
from node.ports import (
    Clock,
    Identity,
    PolicyDecisionPoint,
    Randomness,
    Store,
    UnitOfWork,
)
from node.services.acknowledge import Acknowledge, Acknowledgement
from node.services.prove import Prove
from node.services.read import Draft, NotReadable, Outdated, Read

_ATTEMPTS = 5
_NOTHING = Acknowledgement()
NONCE_KEPT = datetime.timedelta(minutes=10)
"""Longer than any token is accepted for, so no nonce can come back."""
_FAULTS = frozenset(
    {
        "policy.unavailable",
        "policy.timeout",
        "source.unavailable",
        "snapshot.pending",
    }
)
"""Refusals that the caller can do nothing about but try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A query, what was decided about it, and what will be shown if it may."""

    request: Request
    caller: Caller
    token: str | None
    started_ms: float

    situation: Situation
    acknowledged: Acknowledgement
    stream: str
    dataset: Dataset | None
    question: str
    decision: Decision
    draft: Draft | None
    hour: int
    at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclose:
    """Answers queries of partners."""

    store: Store
    policy: PolicyDecisionPoint
    identity: Identity
    acknowledge: Acknowledge
    read: Read
    prove: Prove
    clock: Clock
    randomness: Randomness
    signer: Signer
    key_id: str
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
        caller = self.identity.authenticate(
            token, bound_to=request.hash, agreement=request.agreement
        )
        if caller.problem:
            # A token that was signed for something else says nothing about who sent
            # it here, and no receipt may say that its issuer did.
            caller = Caller(did=None, problem=caller.problem, nonce=None)
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
            raise _refusal(case.decision, caller, signed)
        disclosure = await self.prove(case.draft, signed.receipt)
        return await asyncio.to_thread(
            lambda: {**signed.to_json(), **disclosure.to_json()}
        )

    async def _consider(
        self, request: Request, caller: Caller, token: str | None, started: float
    ) -> _Case:
        now = self.clock.now()
        hour = int(now.timestamp()) // 3600
        stream = self._stream(request, caller)

        def _look(view: UnitOfWork) -> tuple[Situation, Any, Acknowledgement]:
            check_whole(view)
            return (
                view.receipts.situation(request, caller, hour),
                view.datasets.get(request.dataset),
                self.acknowledge.look(view, stream, request, caller),
            )

        situation, publication, acknowledged = await self.store.read(_look)
        if situation.nonce_seen:
            # Whoever sends a token a second time need not be who it was issued by.
            caller, acknowledged = replace(caller, did=None, nonce=None), _NOTHING
            stream = self._stream(request, caller)
        situation = replace(
            situation,
            known=acknowledged.known,
            signed=acknowledged.signed,
            unacknowledged=acknowledged.unacknowledged,
        )
        dataset = publication.dataset if publication else None
        asked = question(
            request=request,
            caller=caller,
            situation=situation,
            dataset=dataset,
            company=self.company,
            node=self.identity.me.did,
            now=int(now.timestamp()),
        )
        decision = await self.policy.decide(asked)
        draft = None
        if decision.allow:
            try:
                draft = await self.read(
                    request, publication, situation.agreement, self.company.max_rows
                )
            except NotReadable as problem:
                decision = decision.refused(str(problem))
        return _Case(
            request=request,
            caller=caller,
            token=token,
            started_ms=started,
            situation=situation,
            acknowledged=acknowledged,
            stream=stream,
            dataset=dataset,
            question=canonical(asked).decode(),
            decision=decision,
            draft=draft,
            hour=hour,
            at=now,
        )

    def _stream(self, request: Request, caller: Caller) -> str:
        return stream_id(
            provider=self.identity.me.did,
            consumer=caller.did,
            agreement=request.agreement,
        )

    def _keep_receipt(self, case: _Case, work: UnitOfWork) -> SignedReceipt:
        """Write the receipt, with the nonce and the rate that the call uses up.

        Raises:
            Outdated: What was read no longer holds; nothing is written.
        """
        if case.caller.nonce is not None:
            fresh = work.receipts.claim(case.caller, case.at + NONCE_KEPT)
            if fresh == case.situation.nonce_seen:
                raise Outdated
        if case.draft:
            _check_still_holds(work, case, case.draft)
        left = self.acknowledge.keep(work, case.stream, case.acknowledged)
        if case.draft and left >= self.company.max_unacknowledged:
            raise Outdated
        sequence, previous = work.receipts.head(case.stream)
        receipt = self._receipt(case, sequence, previous)
        signed = sign_receipt(receipt, self.signer)
        work.receipts.append(
            signed,
            salt=self.randomness(32),
            token=case.token if case.caller.did else None,
            question=case.question,
            took_ms=round(self.clock.elapsed_ms() - case.started_ms),
        )
        return signed

    def _receipt(self, case: _Case, sequence: int, previous: str) -> Receipt:
        request, caller = case.request, case.caller
        agreement = case.situation.agreement
        shown = case.draft.disclosure if case.draft else None
        is_party = agreement is not None and caller.did == agreement.assignee
        return Receipt(
            provider=self.identity.me.did,
            consumer=caller.did,
            agreement=request.agreement,
            agreement_hash=agreement.hash if agreement and is_party else None,
            stream=case.stream,
            sequence=sequence,
            previous=previous,
            at=render_instant(case.at),
            request_hash=request.hash,
            nonce=caller.nonce,
            dataset=request.dataset,
            purpose=request.purpose,
            fields=request.fields,
            where=request.where,
            statement=case.draft.statement.digest.hex() if case.draft else None,
            snapshot=shown.snapshot.snapshot.snapshot_id if shown else None,
            decision="allow" if shown else "deny",
            denials=case.decision.denials,
            customers=len(request.customers),
            records=shown.records if shown else 0,
            withheld=shown.withheld if shown else 0,
            response_hash=case.draft.response_hash if case.draft else None,
            policy=PolicyReference(
                revision=case.decision.revision,
                input_hash=case.decision.input_hash,
                engine=case.decision.engine,
            ),
            key_id=self.key_id,
        )


def _refusal(decision: Decision, caller: Caller, signed: SignedReceipt) -> NodeError:
    """Return the error that tells the caller why, with the receipt."""
    code = decision.denials[0]
    named = ", ".join(decision.denied_fields)
    detail = f"{DENIALS[code].message.en}{f' ({named})' if named else ''}"
    denials = explained(decision.denials)
    extra: dict[str, Any] = {"denials": denials, **signed.to_json()}
    if decision.denied_fields:
        extra["denied_fields"] = list(decision.denied_fields)
    kind: type[NodeError] = Unauthenticated if caller.problem else Refused
    if code in _FAULTS:
        kind = Unavailable
    return kind(code, detail, extra=extra)


def check_whole(view: UnitOfWork) -> None:
    """Check that there is one history of our log, as far as anybody knows.

    Raises:
        Unavailable: A person has to look first: `fieldpact alarms`.
    """
    if any(alarm.stops for alarm in view.alarms.open()):
        detail = "This node has stopped answering until its operator has looked at it."
        raise Unavailable("log.stopped", detail)


def _check_still_holds(work: UnitOfWork, case: _Case, draft: Draft) -> None:
    """Check that what was decided on stands; use up one call, and what it probes."""
    seen = case.situation.agreement
    kept = work.agreements.hold(seen.id) if seen else None
    if seen is None or kept is None or kept.status is not case.situation.status:
        raise Outdated
    declared = work.datasets.get(case.request.dataset)
    if declared is None or declared.dataset != case.dataset:
        raise Outdated
    if not work.receipts.count_call(seen.id, case.hour, seen.terms.calls_per_hour):
        raise Outdated
    caps = {grant.field: grant.probes for grant in seen.terms.predicates}
    if draft.probing and not work.receipts.probe(draft.probing, caps):
        raise Outdated
