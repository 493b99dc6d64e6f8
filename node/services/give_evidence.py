"""Give evidence: all there is to show for one call, in one value.

For a call that we answered: receipt, both signatures, its place in our log, the
anchor. For an answer that we received: the receipt and what was disclosed.
"""

from dataclasses import dataclass

from crypto import merkle
from ledger.disclosure import parse_disclosure
from ledger.evidence import Anchor, Evidence, Inclusion
from ledger.participants import Participant
from ledger.receipts import Receipt
from node.errors import NotFound
from node.ports import Identity, LogEntry, Store, StoredAnchor, UnitOfWork
from node.services.keep_log import over_nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveEvidence:
    """Puts together what the store holds about a receipt."""

    store: Store
    identity: Identity

    async def __call__(self, receipt_id: str) -> Evidence:
        """Return the evidence for a receipt that this node wrote or received.

        Raises:
            NotFound: This node holds no such receipt.
        """
        async with self.store.view() as view:
            entry = await view.receipts.entry(receipt_id)
            if entry is not None:
                return await self._own(view, entry)
            received = await view.receipts.received(receipt_id)
        if received is None:
            raise NotFound("receipt.unknown", "This node holds no such receipt.")
        told = received.disclosure
        return Evidence(
            signed=received.signed,
            salt=bytes(32),
            participants=self._parties(received.signed.receipt),
            disclosure=parse_disclosure(told) if told else None,
        )

    async def _own(self, view: UnitOfWork, entry: LogEntry) -> Evidence:
        inclusion, anchor = None, None
        if entry.index is not None:
            inclusion, anchor = await self._place(view, entry.index)
        return Evidence(
            signed=entry.signed,
            salt=entry.salt,
            participants=self._parties(entry.signed.receipt),
            countersignature=entry.countersignature,
            inclusion=inclusion,
            anchor=anchor,
        )

    async def _place(
        self, view: UnitOfWork, index: int
    ) -> tuple[Inclusion | None, Anchor | None]:
        """Return the place under the newest checkpoint that an anchor continues.

        Once the entry is anchored, the anchored checkpoint itself is shown: then
        nothing is needed to lead from the one to the other.
        """
        stored = await view.log.anchor_covering(index)
        checkpoint = await view.log.checkpoint(stored.size if stored else None)
        if checkpoint is None or checkpoint.size <= index:
            return None, None
        proof = await over_nodes(
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
