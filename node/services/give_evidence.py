"""Give evidence: all there is to show for one call, in one value.

For a call that we answered: receipt, both signatures, its place in our log, the
anchor. For an answer that we received: the receipt, our signature, what was
disclosed, and the place in the provider's log as the provider shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crypto import merkle
from crypto.errors import Malformed
from crypto.keys import Ed25519Key
from ledger.disclosure import parse_disclosure
from ledger.evidence import Anchor, Evidence, Inclusion, evidence_of
from ledger.participants import Participant
from ledger.receipts import Countersignature, Receipt, countersign
from node.errors import NotFound, Unavailable
from node.ports import (
    Identity,
    LogEntry,
    Peers,
    Received,
    Store,
    StoredAnchor,
    UnitOfWork,
)
from node.services.keep_log import over_nodes

_PROOF: Final = ("salt", "index", "inclusion", "checkpoint", "anchor")
"""What a provider tells of a receipt's place in its log, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveEvidence:
    """Puts together what the store holds about a receipt."""

    store: Store
    identity: Identity
    peers: Peers
    signer: Ed25519Key

    async def __call__(self, receipt_id: str) -> Evidence:
        """Return the evidence for a receipt that this node wrote or received.

        Raises:
            NotFound: This node holds no such receipt.
        """
        found = await self.store.read(lambda view: self._look(view, receipt_id))
        if isinstance(found, Evidence):
            return found
        return await self._received(found)

    async def proof(self, receipt_id: str) -> Mapping[str, Any]:
        """Return where a receipt stands in our own log. Nobody else is asked.

        Raises:
            NotFound: This node wrote no such receipt.
        """
        found = await self.store.read(lambda view: self._written(view, receipt_id))
        if found is None:
            raise _unknown()
        told = found.to_json()
        return {name: told[name] for name in _PROOF}

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
        try:
            reply = await self.peers.get(provider, f"/log/proof/{receipt.receipt_id}")
            # Only the place in its log: what we hold is not its to replace.
            return evidence_of(mine | {name: reply.body[name] for name in _PROOF})
        except (Unavailable, Malformed, KeyError, TypeError):
            # Without the provider, its proofs are what is still pending.
            return evidence_of(mine)

    def _countersignature(self, received: Received) -> Countersignature | None:
        """Return our signature over the receipt; Ed25519 gives the same each time."""
        signed_for_us = received.signed.receipt.consumer == self.identity.me.did
        if not received.verified or not signed_for_us:
            return None
        return countersign(received.signed, self.signer)

    def _own(self, view: UnitOfWork, entry: LogEntry) -> Evidence:
        inclusion, anchor = None, None
        if entry.index is not None:
            inclusion, anchor = self._place(view, entry.index)
        return Evidence(
            signed=entry.signed,
            salt=entry.salt,
            participants=self._parties(entry.signed.receipt),
            countersignature=entry.countersignature,
            inclusion=inclusion,
            anchor=anchor,
        )

    def _place(
        self, view: UnitOfWork, index: int
    ) -> tuple[Inclusion | None, Anchor | None]:
        """Return the place under the newest checkpoint that an anchor continues.

        Once the entry is anchored, the anchored checkpoint itself is shown: then
        nothing is needed to lead from the one to the other.
        """
        stored = view.log.anchor_covering(index)
        checkpoint = view.log.checkpoint(stored.size if stored else None)
        if checkpoint is None or checkpoint.size <= index:
            return None, None
        proof = over_nodes(
            view, lambda read: merkle.inclusion_proof(index, checkpoint.size, read)
        )
        inclusion = Inclusion(
            index=index, proof=tuple(proof), checkpoint=checkpoint.note
        )
        return inclusion, self._anchor(stored) if stored else None

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


def _unknown() -> NotFound:
    return NotFound("receipt.unknown", "This node holds no such receipt.")
