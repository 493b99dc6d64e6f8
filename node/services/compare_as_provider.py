"""Compare our copy of a stream with its consumer's, as its provider.

The consumer says what it holds, and gives the signatures that we miss. What it
lacks it must fetch itself. If it holds a receipt under our signature that we do not
have, our own history is lost: nothing may be disclosed on top of it before a person
has looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crypto.signing import Signer
from ledger.fork import Fork
from node.domain.reconciliation import Difference, Kind
from node.errors import NodeError
from node.ports import Clock, Store, UnitOfWork
from node.services.compare_streams import Comparison, search
from node.services.countersign import Countersign
from node.services.partner_copy import PartnerCopy, Shown, Told
from node.services.send import Send
from node.services.stream_side import (
    MOST_NUMBERS,
    Ours,
    Side,
    entry_at,
    look,
    state,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareAsProvider:
    """Compares, one stream at a time."""

    store: Store
    send: Send
    countersign: Countersign
    signer: Signer
    clock: Clock

    async def __call__(self, side: Side) -> Comparison:
        """Compare our copy with the consumer's; take the signatures that we miss.

        Raises:
            Unavailable: The consumer does not answer.
        """
        partner = PartnerCopy(send=self.send, side=side)
        ours, missing = await self.store.read(
            lambda view: (look(view, side), _unsigned(view, side))
        )
        own = state(side, ours, self.signer, self.clock.now())
        told = await partner.head(own, missing)
        taken = await self._take(side, told)
        lost = await self._lost(side, ours, told, partner)
        lacking = _lacking(ours, told)
        still = await self.store.read(lambda view: _unsigned(view, side))
        unsigned = [number for number in still if number not in lacking]
        found = {Kind.PARTNER_LACKS: sorted(lacking), Kind.PARTNER_UNSIGNED: unsigned}
        return Comparison(
            ours=ours.place,
            theirs=told.head.head.place,
            questions=partner.questions,
            delivered=taken,
            differences=[
                *lost,
                *(
                    Difference(kind=kind, numbers=numbers, evidence={})
                    for kind, numbers in found.items()
                    if numbers
                ),
            ],
            lost=any(each.kind is Kind.WE_LACK for each in lost),
        )

    async def _take(self, side: Side, told: Told) -> int:
        """Keep the signatures that the consumer gave; all of them, or none."""
        if not told.countersignatures:
            return 0
        body = {"countersignatures": [dict(each) for each in told.countersignatures]}
        try:
            return await self.countersign.receive(side.partner.did, body)
        except NodeError:
            return 0

    async def _lost(
        self, side: Side, ours: Ours, told: Told, partner: PartnerCopy
    ) -> list[Difference]:
        """Return what the consumer has of our history and we have not."""
        theirs = told.head.head.place
        first = await search(self.store, side, ours, theirs, partner)
        if first is None and theirs.count <= ours.place.count:
            return []
        at = theirs.count - 1 if first is None else first
        numbers = [at] if first is not None else range(ours.place.count, theirs.count)
        shown = await partner.one(at)
        if shown is None or shown.signed is None:
            return [Difference(kind=Kind.CLAIMED, numbers=numbers, evidence={})]
        evidence = await self.store.read(lambda view: _shown(view, side, at, shown))
        return [Difference(kind=Kind.WE_LACK, numbers=numbers, evidence=evidence)]


def _unsigned(view: UnitOfWork, side: Side) -> Sequence[int]:
    return view.streams.copy(side.role).unsigned(side.stream, MOST_NUMBERS)


def _lacking(ours: Ours, told: Told) -> set[int]:
    """Return numbers that the consumer lacks, of those that we have."""
    after = range(told.head.head.count, ours.place.count)
    named = {number for number in told.lacking if number < ours.place.count}
    return named.union(after[:MOST_NUMBERS])


def _shown(view: UnitOfWork, side: Side, number: int, shown: Shown) -> dict[str, Any]:
    """Return what shows that a receipt which we signed is not in our store."""
    if shown.signed is None:
        return {}
    held = entry_at(view, side, number)
    name = f"{side.stream[:8]}-{number}.json"
    if held is None or held.signed is None:
        return {f"lost-{name}": shown.signed.to_json()}
    return {f"fork-{name}": Fork(first=held.signed, second=shown.signed).to_json()}
