"""One side of a stream: who we are in it, what our copy has, and what we say of it.

Both sides of a comparison stand on this: the one that asks
(`node.services.reconcile`) and the one that answers (`node.services.tell_stream`).
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from crypto.encoding import b64u
from crypto.errors import CryptoError
from crypto.signing import Signer
from ledger.participants import Participant
from ledger.receipts import SignedReceipt, stream_id, verify_receipt
from ledger.streams import EMPTY, Place, SignedHead, StreamHead, sign_head, verify_head
from node.domain.agreement import render_instant
from node.domain.negotiation import Role
from node.errors import Unavailable
from node.ports import Identity, KeptAgreement, StreamEntry, UnitOfWork

MOST_NUMBERS = 256
"""How many numbers one message names."""
MOST_ENTRIES = 64
"""How many receipts one message carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Our side of the stream of one agreement.

    Attributes:
        role: What we are in it.
        partner: The other party, as pinned.
    """

    agreement: str
    role: Role
    me: Participant
    partner: Participant

    @property
    def provider(self) -> Participant:
        """Who signs the receipts."""
        return self.me if self.role is Role.PROVIDER else self.partner

    @property
    def consumer(self) -> Participant:
        """Who signs them back."""
        return self.partner if self.role is Role.PROVIDER else self.me

    @property
    def stream(self) -> str:
        """Id of the stream."""
        return stream_id(
            provider=self.provider.did,
            consumer=self.consumer.did,
            agreement=self.agreement,
        )

    def holds(self, signed: SignedReceipt | None, sequence: int) -> bool:
        """Tell whether this is the provider's receipt of a number of this stream."""
        if signed is None:
            return False
        receipt = signed.receipt
        if (receipt.stream, receipt.sequence) != (self.stream, sequence):
            return False
        try:
            verify_receipt(signed, self.provider)
        except CryptoError:
            return False
        return True

    def check(self, signed: SignedHead) -> None:
        """Check that a head is the partner's, of this stream.

        Raises:
            CryptoError: Not signed by it.
            Unavailable: Of another stream.
        """
        if signed.head.stream != self.stream:
            raise Unavailable("partner.malformed", "A head of another stream.")
        verify_head(signed, self.partner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What our copy of a stream has.

    Attributes:
        numbers: Of the receipts in it, ascending.
        newest: The newest one that its provider signed, or erased; None in an
            empty copy.
    """

    numbers: Sequence[int]
    newest: StreamEntry | None

    @property
    def place(self) -> Place:
        """How far we know the stream."""
        if self.newest is None:
            return EMPTY
        return Place(self.newest.sequence + 1, self.newest.receipt_id)

    def lacking(self, count: int, most: int) -> list[int]:
        """Return the first numbers below a count that are not in our copy."""
        numbers = self.numbers
        if not count or (len(numbers) >= count and numbers[count - 1] == count - 1):
            return []
        here = set(numbers)
        found = []
        for number in range(count):
            if number not in here:
                found.append(number)
                if len(found) == most:
                    break
        return found


def partner_of(kept: KeptAgreement) -> str:
    """Return the DID of the other party of an agreement."""
    provides = kept.role is Role.PROVIDER
    return kept.agreement.assignee if provides else kept.agreement.assigner


def side_of(kept: KeptAgreement, identity: Identity) -> Side:
    """Return our side of the stream of an agreement.

    Raises:
        Unavailable: The partner is not in the registry any more.
    """
    partner = identity.participant(partner_of(kept))
    if partner is None:
        detail = f"{partner_of(kept)} is not in the consortium's registry."
        raise Unavailable("participant.unknown", detail)
    return Side(
        agreement=kept.agreement.id, role=kept.role, me=identity.me, partner=partner
    )


def look(view: UnitOfWork, side: Side) -> Ours:
    """Look at our copy of a stream."""
    copy = view.streams.copy(side.role)
    numbers = copy.numbers(side.stream)
    for at in reversed(range(len(numbers))):
        found = entry_at(view, side, numbers[at])
        if found is not None:
            return Ours(numbers=numbers[: at + 1], newest=found)
    return Ours(numbers=(), newest=None)


def entry_at(view: UnitOfWork, side: Side, number: int) -> StreamEntry | None:
    """Return the receipt of a number that our copy has, of several the first."""
    for entry in view.streams.copy(side.role).at(side.stream, number):
        if entry.erased is not None or side.holds(entry.signed, number):
            return entry
    return None


def state(
    side: Side,
    ours: Ours,
    key: Signer,
    at: datetime.datetime,
    answers: str | None = None,
) -> SignedHead:
    """Say how far we know a stream, under our signature.

    Args:
        answers: Hash of the partner's head that this one answers.
    """
    newest = ours.newest.signed if ours.newest else None
    head = StreamHead(
        provider=side.provider.did,
        consumer=side.consumer.did,
        agreement=side.agreement,
        stream=side.stream,
        count=ours.place.count,
        head=ours.place.head,
        newest=b64u(newest.signature) if newest else None,
        answers=answers,
        at=render_instant(at),
        signer=side.me.did,
        key_id=key.key_id(side.me.did),
    )
    return sign_head(head, key)
