"""Give evidence: all there is to show for one call, in one value.

For a call that we answered: receipt, both signatures, the consumer's request, its
place in our log, the anchor. For an answer that we received: the receipt, our request
and our signature, what was disclosed or answered, and the place in the provider's log
as the provider shows it. With either goes what the registry says of both parties' keys,
and with a step of a plan the plan.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crypto.encoding import parse_json
from crypto.errors import CryptoError, Malformed
from crypto.signing import Signer
from crypto.tokens import customer_opening, customer_token
from ledger.disclosure import parse_disclosure
from ledger.errors import ChainUnavailable, Inconsistent
from ledger.evidence import (
    Evidence,
    Opening,
    Place,
    evidence_of,
    parse_place,
)
from ledger.participants import Participant
from ledger.plans import SignedPlan, parse_signed_plan, verify_plan
from ledger.receipts import Countersignature, Receipt, countersign
from ledger.registry import History
from ledger.request import verify_request
from ledger.step_answer import check_plan, parse_step_answer
from node.domain.negotiation import Role
from node.errors import BadRequest, NotFound, Unavailable
from node.ports import (
    Identity,
    KeyRegistry,
    LogEntry,
    Peers,
    Received,
    Store,
    UnitOfWork,
)
from node.services.align import Align
from node.services.places import Places
from node.services.watch import Compare


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveEvidence:
    """Puts together what the store holds about a receipt.

    Attributes:
        registry: The consortium's registry of keys, where there is one.
        compare: Compares the checkpoints that a partner shows with those that were
            seen of its log (`node.services.witness`).
    """

    store: Store
    identity: Identity
    peers: Peers
    signer: Signer
    align: Align
    registry: KeyRegistry | None = None
    compare: Compare | None = None

    async def __call__(self, receipt_id: str, openings: Sequence[str] = ()) -> Evidence:
        """Return the evidence for a receipt that this node wrote or received.

        Args:
            receipt_id: 64 hex digits.
            openings: Normalised keys of customers whose tokens shall be opened, so
                that whoever reads the file knows whom the answer is about.

        Raises:
            NotFound: This node holds no such receipt.
            BadRequest: A customer to be opened is not in an answer that we hold.
        """
        found = await self.store.read(lambda view: self._look(view, receipt_id))
        evidence = (
            found if isinstance(found, Evidence) else await self._received(*found)
        )
        parties = [party.did for party in self.parties(evidence.signed.receipt)]
        evidence = replace(evidence, histories=await self.histories(parties))
        if not openings:
            return evidence
        return replace(evidence, openings=await self._open(evidence, openings))

    async def _open(
        self, evidence: Evidence, customers: Sequence[str]
    ) -> tuple[Opening, ...]:
        name = evidence.signed.receipt.agreement or ""
        kept = await self.store.read(lambda view: view.agreements.get(name))
        if evidence.disclosure is None or kept is None:
            detail = "Only an answer that this node received names customers to open."
            raise BadRequest("opening.no_answer", detail)
        key = self.align.token_key(kept.agreement)
        answered = {answer.customer for answer in evidence.disclosure.answers}
        return tuple(
            _opening(key, customer, answered) for customer in sorted(set(customers))
        )

    async def proof(self, receipt_id: str) -> Mapping[str, Any]:
        """Return where a receipt stands in our own log. Nobody else is asked.

        Raises:
            NotFound: This node wrote no such receipt.
        """
        found = await self.store.read(lambda view: self._written(view, receipt_id))
        if found is None:
            raise _unknown()
        return found.place.to_json()

    async def snapshot(self, snapshot_id: str) -> Mapping[str, Any]:
        """Return where a snapshot stands in our own log. Nobody else is asked.

        Raises:
            NotFound: This node signed no such snapshot.
        """
        found = await self.committed(snapshot_id)
        if found is None:
            detail = "This node signed no such snapshot."
            raise NotFound("snapshot.unknown", detail)
        place: Mapping[str, Any] = found["snapshot_place"]
        return place

    async def committed(self, snapshot_id: str | None) -> Mapping[str, Any] | None:
        """Return a snapshot that we signed, where it stands, and the newest number.

        None where we signed no such snapshot.
        """

        def _look(view: UnitOfWork) -> Mapping[str, Any] | None:
            kept = view.snapshots.find(snapshot_id or "")
            if kept is None:
                return None
            newest = view.snapshots.current(kept.signed.snapshot.agreement) or kept
            return {
                **kept.signed.to_json(),
                "snapshot_place": self._place(view, kept.salt, kept.index).to_json(),
                "newest": newest.signed.snapshot.sequence,
            }

        return await self.store.read(_look)

    def _look(
        self, view: UnitOfWork, receipt_id: str
    ) -> Evidence | tuple[Received, str | None, SignedPlan | None]:
        if (written := self._written(view, receipt_id)) is not None:
            return written
        received = view.receipts.received(receipt_id)
        if received is None:
            raise _unknown()
        sent = view.receipts.sent(received.signed.receipt.nonce or "")
        token = sent.token if sent else None
        return received, token, self.plan_beside(view, received.signed.receipt)

    async def histories(self, dids: Sequence[str]) -> tuple[History, ...]:
        """Return what the registry says of participants, as far as it was read.

        What was read in the background is good enough: a reader who wants to rest on
        it asks the chain, and compares.
        """
        found = [await asyncio.to_thread(self._history, did) for did in dids]
        return tuple(each for each in found if each is not None)

    def _history(self, did: str) -> History | None:
        if self.registry is None:
            return None
        if (last := self.registry.last(did)) is not None:
            return last.history
        try:
            return self.registry.history(did)
        except ChainUnavailable:
            return None

    def _written(self, view: UnitOfWork, receipt_id: str) -> Evidence | None:
        entry = view.receipts.entry(receipt_id)
        return None if entry is None else self._own(view, entry)

    async def _received(
        self, received: Received, token: str | None, plan: SignedPlan | None
    ) -> Evidence:
        """Join what we hold with the proofs that the provider gives out for it."""
        receipt = received.signed.receipt
        mine: dict[str, Any] = {
            **Evidence(
                signed=received.signed,
                salt=bytes(32),
                participants=self.parties(receipt),
                countersignature=self._countersignature(received),
                request=self.request_beside(receipt, token),
                **_told_of(received),
                plan=plan,
            ).to_json()
        }
        provider = self.identity.participant(receipt.provider)
        if provider is None or provider.did == self.identity.me.did:
            return evidence_of(mine)
        if receipt.snapshot is not None and "disclosure" in mine:
            path = f"/log/snapshots/{receipt.snapshot}"
            if place := await self._told(provider, path):
                mine["snapshot_place"] = place.to_json()
        if place := await self.proof_of(provider, receipt.receipt_id):
            mine |= place.to_json()
        return evidence_of(mine)

    async def proof_of(self, provider: Participant, receipt_id: str) -> Place | None:
        """Return where a receipt stands in its provider's log, as the provider tells.

        None where it does not answer, or does not answer with that.
        """
        return await self._told(provider, f"/log/proof/{receipt_id}")

    async def _told(self, provider: Participant, path: str) -> Place | None:
        """Return where an entry stands, as its provider tells.

        Without the provider, its proofs are what is still pending; and what we
        hold ourselves is not its to replace.
        """
        try:
            place = parse_place((await self.peers.get(provider, path)).body)
        except (Unavailable, Malformed):
            return None
        if self.compare is not None:
            # What is false in it, the reader of the evidence sees; that the log has
            # two histories is kept as a proof of its own.
            with contextlib.suppress(CryptoError, Inconsistent):
                await self.compare(provider, place)
        return place

    def _countersignature(self, received: Received) -> Countersignature | None:
        """Return our signature over the receipt, where we have checked it."""
        if received.countersignature is not None:
            return received.countersignature
        signed_for_us = received.signed.receipt.consumer == self.identity.me.did
        if not received.verified or not signed_for_us:
            return None
        return countersign(received.signed, self.signer)

    def _own(self, view: UnitOfWork, entry: LogEntry) -> Evidence:
        place = self._place(view, entry.salt, entry.index)
        return Evidence(
            signed=entry.signed,
            salt=place.salt,
            participants=self.parties(entry.signed.receipt),
            countersignature=entry.countersignature,
            inclusion=place.inclusion,
            anchor=place.anchor,
            request=self.request_beside(entry.signed.receipt, entry.token),
            plan=self.plan_beside(view, entry.signed.receipt),
        )

    def _place(self, view: UnitOfWork, salt: bytes, index: int | None) -> Place:
        places = Places(view=view, hashing=self.identity.me.hashing)
        return places.place(salt, index)

    def request_beside(self, receipt: Receipt, token: str | None) -> str | None:
        """Return the consumer's request as it goes with a receipt, None if it does not.

        A call may be refused for its token: then the receipt tells what was presented,
        and the token does not say the same.
        """
        consumer = self.identity.participant(receipt.consumer or "")
        if token is None or consumer is None:
            return None
        if receipt.decision == "deny":
            try:
                verify_request(token, receipt, consumer)
            except CryptoError:
                return None
        return token

    def plan_beside(self, view: UnitOfWork, receipt: Receipt) -> SignedPlan | None:
        """Return the plan that a receipt is of a step of, where its job is kept.

        A call may be refused for its plan: then somebody else has signed it, or nobody.
        """
        role = Role.CONSUMER if self._asked(receipt) else Role.PROVIDER
        job = view.jobs.of(receipt.plan, role) if receipt.plan else None
        consumer = self.identity.participant(receipt.consumer or "")
        if job is None or consumer is None:
            return None
        signed = parse_signed_plan(parse_json(job.core.encode()))
        if receipt.decision == "deny":
            try:
                verify_plan(signed, consumer)
                check_plan(receipt, signed.plan)
            except CryptoError:
                return None
        return signed

    def _asked(self, receipt: Receipt) -> bool:
        return receipt.provider != self.identity.me.did

    def parties(self, receipt: Receipt) -> tuple[Participant, ...]:
        """Return the pinned records of both parties, as far as they are pinned."""
        known = (
            self.identity.participant(did)
            for did in (receipt.provider, receipt.consumer)
            if did is not None
        )
        return tuple(participant for participant in known if participant is not None)


def _told_of(received: Received) -> dict[str, Any]:
    """Return what we hold of an answer, as evidence calls it."""
    if not received.disclosure:
        return {}
    if received.signed.receipt.step is None:
        return {"disclosure": parse_disclosure(received.disclosure)}
    return {"answer": parse_step_answer(received.disclosure)}


def _opening(key: bytes, customer: str, answered: set[bytes]) -> Opening:
    try:
        opening, token = customer_opening(key, customer), customer_token(key, customer)
    except Malformed as error:
        detail = "Name customers by their normalised keys, in Unicode form C."
        raise BadRequest("customers.malformed", detail) from error
    if token not in answered:
        detail = "The answer is not about this customer: look at what was asked."
        raise BadRequest("opening.not_asked", detail)
    return Opening(customer=token, opening=opening, identifier=customer)


def _unknown() -> NotFound:
    return NotFound("receipt.unknown", "This node holds no such receipt.")
