"""Negotiate: from the provider's offer to an agreement that both have signed.

    provider                              consumer
    offer()          ── offer ──────────► receive_offer()       OFFERED
    receive_event()  ◄─ ACCEPTED ──────── accept()              ACCEPTED, AGREED
                     ── agreement, signed ►                     (the reply)
    receive_verification() ◄─ signature ─                       VERIFIED, FINALIZED

States, message names and ids are those of the Dataspace Protocol. `accept` may
be called again after a lost connection: both sides resume where they stand.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from crypto.encoding import b64u
from crypto.keys import Ed25519Key, key_id
from node.domain.aggregates import AggregateOffer, Allowance
from node.domain.agreement import Agreement, Offer, Status, Terms
from node.domain.dataset import Dataset
from node.domain.negotiation import Negotiation, Role, State
from node.domain.negotiation_messages import (
    acceptance_message,
    agreement_message,
    check_is_offered,
    check_names,
    member,
    offer_message,
    signature_in,
    urn_in,
    verification_message,
    verify_signature,
)
from node.domain.predicates import PredicateOffer, schema_of
from node.errors import BadRequest, Conflict, NotFound
from node.ports import (
    Clock,
    Identity,
    KeptAgreement,
    Randomness,
    Store,
    UnitOfWork,
)
from node.services.send import Send

_C, _P = Role.CONSUMER, Role.PROVIDER
_AGREED = frozenset({State.AGREED, State.VERIFIED, State.FINALIZED})
_Step: TypeAlias = Callable[[UnitOfWork, Negotiation], Negotiation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiate:
    """Both sides of a negotiation."""

    store: Store
    identity: Identity
    send: Send
    clock: Clock
    randomness: Randomness
    signer: Ed25519Key

    async def offer(
        self,
        *,
        partner: str,
        dataset: str,
        terms: Terms,
        predicates: Sequence[PredicateOffer] = (),
        aggregates: Sequence[AggregateOffer] = (),
        allowance: Allowance | None = None,
    ) -> Negotiation:
        """Offer terms to a partner.

        Args:
            partner: DID.
            dataset: Id of one that is published.
            terms: What is offered.
            predicates: What may be asked about fields of mode `predicate`, to be
                granted beside what the terms grant.
            aggregates: What fields of mode `aggregate` may be used for, likewise.
            allowance: How much may be counted and matched, in place of the terms'.

        Raises:
            BadRequest: A field cannot be shared in that mode, or not be asked
                about or used in that way.
            NotFound: No such partner or dataset.
            Unavailable: The partner's node did not take the offer.
        """
        consumer = self.send.partner(partner)
        publication = await self.store.read(lambda view: view.datasets.get(dataset))
        if publication is None:
            detail = f"Publish the dataset {dataset} first."
            raise NotFound("dataset.unknown", detail)
        terms = _kept_by(publication.dataset, terms, predicates, aggregates, allowance)
        offer = Offer(
            id=self._urn(),
            dataset=dataset,
            assigner=self.identity.me.did,
            assignee=partner,
            terms=terms,
        )
        pid = self._urn()
        message = offer_message(offer, pid=pid, url=self.identity.me.url)
        reply = await self.send(consumer, "/negotiations/offers", message)
        return await self._keep(
            Negotiation(
                provider_pid=pid,
                consumer_pid=urn_in(reply, "consumerPid"),
                role=_P,
                partner=partner,
                state=State.OFFERED,
                offer=offer,
            )
        )

    async def receive_offer(self, sender: str, message: Any) -> Negotiation:
        """Keep a partner's offer for our data steward to decide on.

        Raises:
            BadRequest: The offer is not from its assigner, not to us, or not
                exactly one that this node could enforce.
        """
        offer = Offer.from_odrl(member(message, "offer"))
        if offer.assigner != sender or offer.assignee != self.identity.me.did:
            detail = "The offer's parties are not its sender and this node."
            raise BadRequest("offer.parties", detail)
        return await self._keep(
            Negotiation(
                provider_pid=urn_in(message, "providerPid"),
                consumer_pid=self._urn(),
                role=_C,
                partner=sender,
                state=State.OFFERED,
                offer=offer,
            )
        )

    async def accept(self, pid: str) -> KeptAgreement:
        """Accept an offer, and come back with the agreement signed by both.

        Raises:
            NotFound: We have no such negotiation.
            Conflict: It is not ours to accept, or over.
            BadRequest: The provider's agreement is not what it offered.
            Unavailable: The provider's node did not answer; call again.
        """
        negotiation = await self._move(pid, _C, None, _begin_to_accept)
        if negotiation.state is State.FINALIZED:
            return await self._agreed_before(negotiation)
        provider = self.send.partner(negotiation.partner)
        base = f"/negotiations/{negotiation.provider_pid}"
        event = acceptance_message(negotiation)
        answer = await self.send(provider, f"{base}/events", event)
        agreement = Agreement.from_odrl(member(answer, "agreement"))
        check_is_offered(agreement, negotiation.offer)
        theirs = signature_in(answer)
        verify_signature(provider, agreement, theirs)
        await self._move(pid, _C, None, partial(_agree_on, agreement))
        ours = self._sign(agreement)
        verification = verification_message(negotiation, ours)
        await self.send(provider, f"{base}/agreement/verification", verification)
        kept = KeptAgreement(
            agreement=agreement,
            role=_C,
            status=Status.ACTIVE,
            signatures={"assigner": theirs, "assignee": ours},
        )
        await self._move(pid, _C, None, partial(_finalize, kept))
        return kept

    async def _agreed_before(self, negotiation: Negotiation) -> KeptAgreement:
        agreement = _agreed(negotiation)
        kept = await self.store.read(lambda view: view.agreements.get(agreement.id))
        if kept is None:
            raise NotFound("agreement.unknown", "There is no such agreement.")
        return kept

    async def receive_event(
        self, sender: str, pid: str, message: Any
    ) -> Mapping[str, Any]:
        """Take a consumer's acceptance; return the agreement with our signature.

        Said again, it is answered again with the same agreement.

        Raises:
            NotFound: The sender has no such negotiation with us.
            BadRequest: The message names another one.
            Conflict: It is not on offer (any more).
        """
        if member(message, "eventType") != "ACCEPTED":
            raise BadRequest("event.unknown", "A consumer can only send ACCEPTED.")

        def _agree(_: UnitOfWork, found: Negotiation) -> Negotiation:
            check_names(message, found)
            if found.state in _AGREED:
                return found
            accepted = found.advance(State.ACCEPTED, sender=_C)
            agreement = self._draw_up(found.offer)
            return accepted.advance(State.AGREED, sender=_P, agreement=agreement)

        negotiation = await self._move(pid, _P, sender, _agree)
        agreement = _agreed(negotiation)
        return agreement_message(negotiation, agreement, self._sign(agreement))

    def _draw_up(self, offer: Offer) -> Agreement:
        return Agreement(
            id=self._urn(),
            dataset=offer.dataset,
            assigner=offer.assigner,
            assignee=offer.assignee,
            terms=offer.terms,
            timestamp=self.clock.now(),
        )

    async def receive_verification(
        self, sender: str, pid: str, message: Any
    ) -> Negotiation:
        """Take the consumer's signature; the agreement holds from here on.

        Raises:
            NotFound: The sender has no such negotiation with us.
            Conflict: There is no agreement to verify yet.
            BadRequest: The message names another negotiation, or the signature is
                not the consumer's over the agreement.
        """
        theirs = signature_in(message)
        consumer = self.send.partner(sender)

        def _finish(work: UnitOfWork, found: Negotiation) -> Negotiation:
            check_names(message, found)
            if found.state not in _AGREED:
                detail = "There is no agreement to verify yet."
                raise Conflict("negotiation.state", detail)
            agreement = _agreed(found)
            verify_signature(consumer, agreement, theirs)
            kept = KeptAgreement(
                agreement=agreement,
                role=_P,
                status=Status.ACTIVE,
                signatures={"assigner": self._sign(agreement), "assignee": theirs},
            )
            return _finalize(kept, work, found)

        return await self._move(pid, _P, sender, _finish)

    async def _keep(self, negotiation: Negotiation) -> Negotiation:
        await self.store.write(
            lambda work: work.agreements.keep_negotiation(negotiation)
        )
        return negotiation

    async def _move(
        self, pid: str, role: Role, partner: str | None, step: _Step
    ) -> Negotiation:
        """Take one step of a negotiation whole: nobody else takes one meanwhile."""

        def act(work: UnitOfWork) -> Negotiation:
            found = work.agreements.hold_negotiation(pid)
            if (
                found is None
                or found.role is not role
                or partner not in {None, found.partner}
            ):
                raise NotFound("negotiation.unknown", "There is no such negotiation.")
            moved = step(work, found)
            if moved is not found:
                work.agreements.keep_negotiation(moved)
            return moved

        return await self.store.write(act)

    def _sign(self, agreement: Agreement) -> dict[str, str]:
        signature = self.signer.sign(agreement.signed_bytes)
        own = key_id(self.identity.me.did, "ed25519", self.signer.public_bytes)
        return {"key_id": own, "signature": b64u(signature)}

    def _urn(self) -> str:
        return uuid.UUID(bytes=self.randomness(16), version=4).urn


def _kept_by(
    dataset: Dataset,
    terms: Terms,
    predicates: Sequence[PredicateOffer],
    aggregates: Sequence[AggregateOffer],
    allowance: Allowance | None,
) -> Terms:
    """Return terms that a dataset can keep, with these grants."""
    for name, mode in terms.fields.items():
        field = dataset.field(name)
        if field is None or mode not in field.modes:
            detail = f"The dataset {dataset.id} does not share {name} as {mode}."
            raise BadRequest("terms.fields", detail)
    schema = schema_of(dataset)
    for grant in terms.predicates:
        if not any(map(grant.means, schema)):
            detail = f"The dataset {dataset.id} declares {grant.field} otherwise."
            raise BadRequest("terms.predicates", detail)
    for figure in terms.aggregates:
        if not figure.means(dataset.field(figure.field)):
            detail = f"The dataset {dataset.id} declares {figure.field} otherwise."
            raise BadRequest("terms.aggregates", detail)
    asked = [*terms.predicates, *(each.of(dataset) for each in predicates)]
    counted = [*terms.aggregates, *(each.of(dataset) for each in aggregates)]
    return replace(
        terms,
        predicates=tuple(sorted(asked, key=lambda grant: grant.field)),
        aggregates=tuple(sorted(counted, key=lambda grant: grant.field)),
        allowance=allowance or terms.allowance,
    )


def _begin_to_accept(_: UnitOfWork, found: Negotiation) -> Negotiation:
    """Accept what is on offer; go on where an acceptance has begun already."""
    if found.state in {State.ACCEPTED, *_AGREED}:
        return found
    return found.advance(State.ACCEPTED, sender=_C)


def _agree_on(
    agreement: Agreement, work: UnitOfWork, found: Negotiation
) -> Negotiation:
    """Keep the provider's agreement before we sign it: there is only one."""
    if found.agreement is not None and found.agreement != agreement:
        detail = "The provider has drawn up another agreement before."
        raise BadRequest("agreement.not_offered", detail)
    if found.state is not State.ACCEPTED:
        return found
    if work.agreements.get(agreement.id) is not None:
        detail = "The agreement has the id of another one."
        raise BadRequest("agreement.not_new", detail)
    return found.advance(State.AGREED, sender=_P, agreement=agreement)


def _finalize(kept: KeptAgreement, work: UnitOfWork, found: Negotiation) -> Negotiation:
    """Let the agreement hold, unless it does already."""
    if found.state is State.FINALIZED:
        return found
    work.agreements.add(kept)
    verified = found.advance(State.VERIFIED, sender=_C)
    return verified.advance(State.FINALIZED, sender=_P)


def _agreed(negotiation: Negotiation) -> Agreement:
    if negotiation.agreement is None:
        detail = "The negotiation has not come to an agreement."
        raise Conflict("negotiation.state", detail)
    return negotiation.agreement
