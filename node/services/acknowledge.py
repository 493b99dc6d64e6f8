"""Acknowledge: what a call says of the receipts before it, and signs back.

A consumer signs a receipt back on its next call under the agreement, and names the
newest receipt that it holds. So a provider sees at once when a partner remembers
another history than it does, and stops serving one that takes answers and leaves
their receipts unsigned.

Without a third party one side always moves last: a consumer can keep the last `W`
answers unacknowledged, and no more (`company.max_unacknowledged`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.participants import Participant
from ledger.receipts import Countersignature
from node.domain.disclosure import Caller
from node.domain.steps import Call
from node.errors import BadRequest, Gone
from node.ports import Identity, UnitOfWork
from node.services.countersign import checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What a call says of the receipts before it.

    Attributes:
        known: Whether the newest receipt that the caller names is ours.
        signed: Whether each signature is the caller's over a receipt of its own.
        given: The signatures by receipt; none unless all are right.
        unacknowledged: Receipts that stay without one, counted up to a limit.
    """

    known: bool = True
    signed: bool = True
    given: Sequence[tuple[str, Countersignature]] = ()
    unacknowledged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Looks at what a call brings.

    Attributes:
        most: Beyond so many receipts without a signature nobody counts.
    """

    identity: Identity
    most: int

    def look(
        self, view: UnitOfWork, stream: str, request: Call, caller: Caller
    ) -> Acknowledgement:
        """Check what a call says of its stream."""
        consumer = self.identity.participant(caller.did) if caller.did else None
        if consumer is None:
            return Acknowledgement()
        known = (
            request.last is None
            or view.receipts.at(stream, request.last[0]) == (request.last[1])
        )
        try:
            given = [
                (receipt, found)
                for receipt, signature in request.countersignatures
                if (found := _signature(view, stream, receipt, signature, consumer))
            ]
        except BadRequest:
            return Acknowledgement(known=known, signed=False)
        left = view.receipts.unacknowledged(stream, [it for it, _ in given], self.most)
        return Acknowledgement(known=known, given=given, unacknowledged=left)

    def keep(self, work: UnitOfWork, stream: str, found: Acknowledgement) -> int:
        """Keep the signatures; return how many receipts are left without one."""
        for receipt, signature in found.given:
            work.receipts.countersign(receipt, signature)
        return work.receipts.unacknowledged(stream, (), self.most)


def _signature(
    view: UnitOfWork,
    stream: str,
    receipt: str,
    signature: bytes,
    consumer: Participant,
) -> Countersignature | None:
    """Return the signature; None where nobody can say any more of what."""
    try:
        entry = view.receipts.entry(receipt)
    except Gone:
        return None
    if entry is None or entry.signed.receipt.stream != stream:
        raise BadRequest("countersignature.wrong", "Not a receipt of this stream.")
    return checked(signature, entry.signed, consumer)
