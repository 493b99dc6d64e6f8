"""Situate: what a call is decided on, and whether that still holds when it is kept.

A decision is made on one state of the store, without holding a lock while the policy
or the CRM thinks. The receipt commits only if that state still holds: the nonce is
still unused, the rate still has room, the agreement and the dataset's declaration
still stand. Otherwise everything is decided again.
"""

import datetime
from dataclasses import dataclass, replace
from typing import Any

from ledger.receipts import SignedReceipt, stream_id
from node.domain.agreement import Agreement
from node.domain.dataset import Dataset
from node.domain.decision import Decision
from node.domain.denials import DENIALS, explained
from node.domain.disclosure import Caller, Company, Situation
from node.domain.steps import Call
from node.errors import NodeError, Refused, Unauthenticated, Unavailable
from node.ports import Clock, Identity, Publication, Store, UnitOfWork
from node.services.acknowledge import Acknowledge, Acknowledgement

NONCE_KEPT = datetime.timedelta(minutes=10)
"""Longer than any token is accepted for, so no nonce can come back."""
_NOTHING = Acknowledgement()
FAULTS = frozenset(
    {
        "policy.unavailable",
        "policy.timeout",
        "source.unavailable",
        "snapshot.pending",
        "aggregate.unavailable",
    }
)
"""Refusals that the caller can do nothing about but try again."""


class Outdated(Exception):
    """What was decided on has changed meanwhile; decide again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situated:
    """A call, and what the store knew of it.

    Attributes:
        caller: Nobody, where the token says nothing about who sent it here.
        stream: Of the receipt that the call will leave.
        hour: Clock hour in which it counts.
        at: When it is decided.
    """

    request: Call
    caller: Caller
    situation: Situation
    acknowledged: Acknowledgement
    stream: str
    publication: Publication | None
    hour: int
    at: datetime.datetime

    @property
    def agreement(self) -> Agreement | None:
        """The agreement that the call names, if there is one."""
        return self.situation.agreement

    @property
    def dataset(self) -> Dataset | None:
        """The dataset that the call names, if there is one."""
        return self.publication.dataset if self.publication else None

    @property
    def agreement_hash(self) -> str | None:
        """Hash of the agreement, where the caller is its consumer."""
        agreement = self.agreement
        is_party = agreement is not None and self.caller.did == agreement.assignee
        return agreement.hash if agreement and is_party else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situate:
    """Looks at what a call is decided on."""

    store: Store
    identity: Identity
    acknowledge: Acknowledge
    clock: Clock
    company: Company

    def caller(self, request: Call, token: str | None) -> Caller:
        """Return who called, as far as the token shows.

        A token that was signed for something else says nothing about who sent it
        here, and no receipt may say that its issuer did.
        """
        caller = self.identity.authenticate(
            token, bound_to=request.hash, agreement=request.agreement
        )
        if caller.problem:
            return Caller(did=None, problem=caller.problem, nonce=None)
        return caller

    async def __call__(self, request: Call, caller: Caller) -> Situated:
        """Return what is known of a call now.

        Raises:
            Unavailable: The store did not answer, or the log may have two histories.
        """
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
        return Situated(
            request=request,
            caller=caller,
            situation=replace(
                situation,
                known=acknowledged.known,
                signed=acknowledged.signed,
                unacknowledged=acknowledged.unacknowledged,
            ),
            acknowledged=acknowledged,
            stream=stream,
            publication=publication,
            hour=hour,
            at=now,
        )

    def _stream(self, request: Call, caller: Caller) -> str:
        return stream_id(
            provider=self.identity.me.did,
            consumer=caller.did,
            agreement=request.agreement,
        )

    def claim(self, work: UnitOfWork, found: Situated) -> None:
        """Use up the call's nonce.

        Raises:
            Outdated: It was used meanwhile, or is not used yet.
        """
        if found.caller.nonce is not None:
            fresh = work.receipts.claim(found.caller, found.at + NONCE_KEPT)
            if fresh == found.situation.nonce_seen:
                raise Outdated

    def hold(self, work: UnitOfWork, found: Situated) -> Agreement:
        """Check that what an allowed call was decided on stands; count the call.

        Raises:
            Outdated: It does not; or there is no room in this hour any more.
        """
        seen = found.agreement
        kept = work.agreements.hold(seen.id) if seen else None
        if seen is None or kept is None or kept.status is not found.situation.status:
            raise Outdated
        declared = work.datasets.get(found.request.dataset)
        if declared is None or declared.dataset != found.dataset:
            raise Outdated
        if not work.receipts.count_call(seen.id, found.hour, seen.terms.calls_per_hour):
            raise Outdated
        return seen

    def keep_signatures(
        self, work: UnitOfWork, found: Situated, *, allowed: bool
    ) -> None:
        """Keep what the call signs back.

        Raises:
            Outdated: Too many receipts are left unsigned, which none were before.
        """
        left = self.acknowledge.keep(work, found.stream, found.acknowledged)
        if allowed and left >= self.company.max_unacknowledged:
            raise Outdated


def refusal(decision: Decision, caller: Caller, signed: SignedReceipt) -> NodeError:
    """Return the error that tells the caller why, with the receipt."""
    code = decision.denials[0]
    named = ", ".join(decision.denied_fields)
    detail = f"{DENIALS[code].message.en}{f' ({named})' if named else ''}"
    denials = explained(decision.denials)
    extra: dict[str, Any] = {"denials": denials, **signed.to_json()}
    if decision.denied_fields:
        extra["denied_fields"] = list(decision.denied_fields)
    kind: type[NodeError] = Unauthenticated if caller.problem else Refused
    if code in FAULTS:
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
