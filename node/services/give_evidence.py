"""Give evidence: all there is to show for one call, in one value.

For a call that we answered: receipt, both signatures, its place in our log, the
anchor. For an answer that we received: the receipt, our signature, what was
disclosed, and the place in the provider's log as the provider shows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crypto import merkle
from crypto.errors import Malformed
from crypto.signing import Signer
from crypto.tokens import customer_opening, customer_token
from ledger.disclosure import parse_disclosure
from ledger.evidence import (
    Anchor,
    Evidence,
    Inclusion,
    Opening,
    Place,
    evidence_of,
    parse_place,
)
from ledger.participants import Participant
from ledger.receipts import Countersignature, Receipt, countersign
from node.errors import BadRequest, NotFound, Unavailable
from node.ports import (
    Identity,
    LogEntry,
    Peers,
    Received,
    Store,
    StoredAnchor,
    UnitOfWork,
)
from node.services.align import Align
from node.services.keep_log import over_nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveEvidence:
    """Puts together what the store holds about a receipt."""

    store: Store
    identity: Identity
    peers: Peers
    signer: Signer
    align: Align

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
        evidence = found if isinstance(found, Evidence) else await self._received(found)
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

    def _look(self, view: UnitOfWork, receipt_id: str) -> Evidence | Received:
        found = self._written(view, receipt_id) or view.receipts.received(receipt_id)
        if found is None:
            raise _unknown()
        return found

    def _written(self, view: UnitOfWork, receipt_id: str) -> Evidence | None:
        entry = view.receipts.entry(receipt_id)
        return None if entry is None else self._own(view, entry)

    async def _received(self, received: Received) -> Evidence:
        """Join what we hold with the proofs that the provider gives out for it."""
        receipt = received.signed.receipt
        mine: dict[str, Any] = {
            **Evidence(
                signed=received.signed,
                salt=bytes(32),
                participants=self._parties(receipt),
                countersignature=self._countersignature(received),
                disclosure=parse_disclosure(received.disclosure)
                if received.disclosure
                else None,
            ).to_json()
        }
        provider = self.identity.participant(receipt.provider)
        if provider is None or provider.did == self.identity.me.did:
            return evidence_of(mine)
        if receipt.snapshot is not None and "disclosure" in mine:
            path = f"/log/snapshots/{receipt.snapshot}"
            if place := await self._told(provider, path):
                mine["snapshot_place"] = place.to_json()
        if place := await self._told(provider, f"/log/proof/{receipt.receipt_id}"):
            mine |= place.to_json()
        return evidence_of(mine)

    async def _told(self, provider: Participant, path: str) -> Place | None:
        """Return where an entry stands, as its provider tells.

        Without the provider, its proofs are what is still pending; and what we
        hold ourselves is not its to replace.
        """
        try:
            return parse_place((await self.peers.get(provider, path)).body)
        except (Unavailable, Malformed):
            return None

    def _countersignature(self, received: Received) -> Countersignature | None:
        """Return our signature over the receipt; Ed25519 gives the same each time."""
        signed_for_us = received.signed.receipt.consumer == self.identity.me.did
        if not received.verified or not signed_for_us:
            return None
        return countersign(received.signed, self.signer)

    def _own(self, view: UnitOfWork, entry: LogEntry) -> Evidence:
        place = self._place(view, entry.salt, entry.index)
        return Evidence(
            signed=entry.signed,
            salt=place.salt,
            participants=self._parties(entry.signed.receipt),
            countersignature=entry.countersignature,
            inclusion=place.inclusion,
            anchor=place.anchor,
        )

    def _place(self, view: UnitOfWork, salt: bytes, index: int | None) -> Place:
        """Return the place under the newest checkpoint that an anchor continues.

        Once the entry is anchored, the anchored checkpoint itself is shown: then
        nothing is needed to lead from the one to the other.
        """
        if index is None:
            return Place(salt=salt)
        stored = view.log.anchor_covering(index)
        checkpoint = view.log.checkpoint(stored.size if stored else None)
        if checkpoint is None or checkpoint.size <= index:
            return Place(salt=salt)
        proof = over_nodes(
            view,
            lambda read: merkle.inclusion_proof(
                index, checkpoint.size, read, hashing=self.identity.me.hashing
            ),
        )
        return Place(
            salt=salt,
            inclusion=Inclusion(
                index=index, proof=tuple(proof), checkpoint=checkpoint.note
            ),
            anchor=self._anchor(stored) if stored else None,
        )

    def _anchor(self, stored: StoredAnchor) -> Anchor | None:
        if stored.anchored is None:
            return None
        return Anchor(
            chain_id=stored.chain_id,
            contract=stored.contract,
            member=self.identity.me.chain_address.lower(),
            epoch=stored.epoch,
            commitment=stored.commitment,
            salt=stored.salt,
            checkpoint=stored.note,
            consistency=(),
            transaction=stored.anchored.transaction,
            block=stored.anchored.block,
        )

    def _parties(self, receipt: Receipt) -> tuple[Participant, ...]:
        known = (
            self.identity.participant(did)
            for did in (receipt.provider, receipt.consumer)
            if did is not None
        )
        return tuple(participant for participant in known if participant is not None)


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
