"""Tell a stream: answer a partner that compares its copy of a stream with ours.

A partner is told of the streams between it and us, and of no other: the agreement
it names must be one with it, and its token must name that agreement too. What it
is told of receipts it has been told before, or was meant to be.

An answer to a head is a statement under our signature that names that head. It is
made after the head has come, from what the store then holds, so an honest node can
never contradict a receipt that it has signed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u
from crypto.errors import CryptoError
from crypto.signing import Signer
from ledger.streams import Place, SignedHead, parse_signed_head
from node.domain.negotiation import Role
from node.errors import BadRequest, NotFound, Unavailable
from node.ports import Alarm, Clock, Identity, Store, StreamEntry, UnitOfWork
from node.services.stream_side import (
    MOST_ENTRIES,
    MOST_NUMBERS,
    Ours,
    Side,
    look,
    partner_of,
    side_of,
    state,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TellStream:
    """Answers partners about the streams that we have with them."""

    store: Store
    identity: Identity
    clock: Clock
    signer: Signer

    async def head(self, sender: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a partner's head with ours.

        Args:
            sender: DID of the partner, authenticated.
            body: `agreement`, `head`, and `unacknowledged`: numbers whose
                countersignatures a provider asks for.

        Returns:
            `head`; numbers that we lack, and as provider those that are not signed
            back; as consumer, countersignatures that were asked for.

        Raises:
            NotFound: There is no such agreement between the partner and us.
            BadRequest: The head is not the partner's, of this stream.
        """
        side = await self._side(sender, body["agreement"])
        asked = _asked(side, body["head"])
        wanted: Sequence[int] = body["unacknowledged"]

        def _read(view: UnitOfWork) -> tuple[Ours, Sequence[int], list[StreamEntry]]:
            copy = view.streams.copy(side.role)
            provides = side.role is Role.PROVIDER
            signed = [] if provides else wanted
            return (
                look(view, side),
                copy.unsigned(side.stream, MOST_NUMBERS) if provides else (),
                [each for at in signed for each in copy.at(side.stream, at)],
            )

        ours, unacknowledged, given = await self.store.read(_read)
        await self._notice(side, ours, asked.head.place)
        now = self.clock.now()
        answer = state(side, ours, self.signer, now, asked.head.digest)
        most = max(asked.head.count, ours.place.count)
        return {
            "head": answer.to_json(),
            "lacking": ours.lacking(most, MOST_NUMBERS),
            "unacknowledged": list(unacknowledged),
            "countersignatures": [_signature(each) for each in given if _signs(each)],
        }

    async def entries(self, sender: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Show a partner our receipts of some numbers of a stream.

        Raises:
            NotFound: There is no such agreement between the partner and us.
        """
        side = await self._side(sender, body["agreement"])
        first, most = body["sequence"], min(body["most"], MOST_ENTRIES)
        found = await self.store.read(
            lambda view: view.streams.copy(side.role).at(side.stream, first, most)
        )
        shown = [each for each in found if side.holds(each.signed, each.sequence)]
        erased = [each for each in found if each.erased is not None]
        return {"entries": [_shown(each) for each in (*shown, *erased)]}

    async def _side(self, sender: str, agreement: str) -> Side:
        kept = await self.store.read(lambda view: view.agreements.get(agreement))
        if kept is None or partner_of(kept) != sender:
            detail = "There is no such agreement between you and this node."
            raise NotFound("agreement.unknown", detail)
        return side_of(kept, self.identity)

    async def _notice(self, side: Side, ours: Ours, theirs: Place) -> None:
        """Call a person where the partner says that a provider has lost receipts."""
        mine = ours.place
        provides = side.role is Role.PROVIDER
        given, held = (mine, theirs) if provides else (theirs, mine)
        if held.count > given.count or (held.count == given.count and held != given):
            detail = (
                f"{side.partner.did} states {theirs.count} receipts of the stream of "
                f"{side.agreement}, this node {mine.count}. Run "
                f"fieldpact reconcile {side.partner.did}."
            )
            alarm = Alarm(
                code="stream.diverged",
                subject=side.stream,
                detail=detail,
                at=self.clock.now(),
            )
            await self.store.write(lambda work: work.alarms.sound(alarm))


def _asked(side: Side, value: object) -> SignedHead:
    try:
        asked = parse_signed_head(value)
        side.check(asked)
    except (CryptoError, Unavailable) as error:
        detail = "The head is not yours, of the stream of this agreement."
        raise BadRequest("stream.head", detail) from error
    return asked


def _signs(entry: StreamEntry) -> bool:
    return entry.countersignature is not None and entry.signed is not None


def _signature(entry: StreamEntry) -> dict[str, str]:
    given = entry.countersignature
    return {
        "receipt": entry.receipt_id,
        "signature": b64u(given.signature) if given else "",
    }


def _shown(entry: StreamEntry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "receipt_id": entry.receipt_id,
        "signed": entry.signed.to_json() if entry.signed else None,
        "request": entry.request if entry.signed else None,
        "erased": entry.erased,
    }
