"""Compare our copy of a stream with its provider's, as its consumer.

What we lack is fetched. A receipt that we fetch and that tells a call of ours was
lost on the way: we sign it back. That it tells a call of ours is shown by what we
kept before we asked, or by our own signed request, which the provider shows. A
receipt about any other call is kept, named, and never signed: somebody sent
our call again, and was refused, or the provider has made the call up.

What the provider lacks although it has signed it, or has differently, is a fork:
both signatures prove it to anybody (`ledger.fork`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from crypto.encoding import b64u
from crypto.errors import CryptoError
from crypto.signing import Signer
from ledger.errors import LedgerError
from ledger.fork import Fork
from ledger.receipts import Receipt, SignedReceipt
from ledger.request import verify_request
from ledger.steps import step
from ledger.streams import SignedHead
from node.domain.negotiation import Role
from node.domain.reconciliation import Difference, Kind
from node.errors import Unavailable
from node.ports import Clock, Received, Store, StreamEntry, UnitOfWork
from node.services.compare_streams import (
    Comparison,
    by_heads,
    difference,
    fits,
    forked,
    runs,
    search,
    twice,
)
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

_SIGNATURES = "/receipts/countersignatures"
_FETCHED = 100_000
"""As many receipts are fetched at once; a longer stream takes another comparison."""
_FILES = 16
"""As many receipts of one kind come as evidence; more show nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareAsConsumer:
    """Compares and mends, one stream at a time."""

    store: Store
    send: Send
    countersign: Countersign
    signer: Signer
    clock: Clock

    async def __call__(self, side: Side) -> Comparison:
        """Compare our copy with the provider's; fetch and deliver what was lost.

        Raises:
            Unavailable: The provider does not answer. What was fetched is kept.
        """
        partner = PartnerCopy(send=self.send, side=side)
        ours = await self.store.read(lambda view: look(view, side))
        own = state(side, ours, self.signer, self.clock.now())
        told = await partner.head(own, ())
        parted = await self._forks(side, ours, partner, own, told)
        mended: list[Difference] = []
        delivered = 0
        if not parted:
            mended = await self._fetch(side, ours, told, partner)
            delivered = await self._deliver(side, told)
        kept = await self.store.read(lambda view: self._unsigned(view, side))
        return Comparison(
            ours=ours.place,
            theirs=told.head.head.place,
            questions=partner.questions,
            delivered=delivered,
            differences=[*(each for each, _ in parted), *mended, *kept],
            forks=[fork for _, fork in parted if fork is not None],
        )

    # --- two histories

    async def _forks(
        self, side: Side, ours: Ours, partner: PartnerCopy, own: SignedHead, told: Told
    ) -> list[tuple[Difference, Fork | None]]:
        """Return where the provider's history is not the one that it gave us."""
        both = await self.store.read(lambda view: twice(view, side))
        if both:
            return [forked(each.first.receipt.sequence, each) for each in both]
        theirs = told.head.head
        first = await search(self.store, side, ours, theirs.place, partner)
        told_by_heads = by_heads(ours, own, told)
        if first is not None:
            held = await self.store.read(lambda view: entry_at(view, side, first))
            shown = await partner.one(first)
            if held and held.signed and shown and shown.signed:
                return [forked(first, Fork(first=held.signed, second=shown.signed))]
            return [forked(first, told_by_heads)]
        if theirs.count < ours.place.count:
            numbers = range(theirs.count, ours.place.count)
            return [difference(Kind.ROLLED_BACK, numbers, told_by_heads)]
        return []

    # --- what we lack

    async def _fetch(
        self, side: Side, ours: Ours, told: Told, partner: PartnerCopy
    ) -> list[Difference]:
        """Fetch and keep the receipts that we lack; return what became of them."""
        lost: list[int] = []
        absent: list[int] = []
        erased: list[int] = []
        for first, most in runs(ours.lacking(told.head.head.count, _FETCHED)):
            given = {each.sequence: each for each in await partner.some(first, most)}
            kept = await self.store.write(
                partial(self._keep, side=side, given=list(given.values()))
            )
            lost += [number for number, kind in kept.items() if kind is None]
            erased += [n for n, each in given.items() if each.signed is None]
            wanted = range(first, first + most)
            absent += [n for n in wanted if n not in kept and n not in erased]
            if len(absent) > _FILES:
                break  # it says that it has them, and shows none
        found = {
            Kind.ANSWER_LOST: lost,
            Kind.ERASED: erased,
            Kind.NOT_GIVEN: absent,
        }
        return [
            Difference(
                kind=kind, numbers=each, evidence={}, mended=kind is Kind.ANSWER_LOST
            )
            for kind, each in found.items()
            if each
        ]

    def _keep(
        self, work: UnitOfWork, *, side: Side, given: Sequence[Shown]
    ) -> dict[int, Kind | None]:
        """Keep receipts that fit beside ours; return what is wrong with each."""
        kept = {}
        for shown in given:
            signed = shown.signed
            if signed is None or not fits(work, side, signed.receipt):
                continue
            wrong = self._foreign(work, side, signed.receipt, shown.request)
            ours = wrong is None
            work.receipts.receive(
                Received(
                    signed=signed,
                    at=self.clock.now(),
                    verified=ours,
                    checks=[step("stream", wrong or "lost", "").to_json()],
                    disclosure=None,
                    countersignature=self.countersign.sign(signed) if ours else None,
                )
            )
            kept[shown.sequence] = wrong
        return kept

    def _foreign(
        self, view: UnitOfWork, side: Side, receipt: Receipt, request: str | None
    ) -> Kind | None:
        """Return what a receipt tells that is no call of ours, or None if it is one."""
        if "nonce.replayed" in receipt.denials:  # which names nobody, if it is right
            return Kind.NEVER_ASKED
        call = view.receipts.sent(receipt.nonce) if receipt.nonce else None
        made = call and (call.stream, call.request_hash)
        if made == (receipt.stream, receipt.request_hash):
            return None
        try:
            verify_request(request or "", receipt, side.me)
        except (CryptoError, LedgerError):
            return Kind.NEVER_ASKED
        return None if call is None else Kind.NEVER_ASKED

    # --- what the provider lacks

    async def _deliver(self, side: Side, told: Told) -> int:
        """Send the signatures that the provider lacks; return how many it took."""
        numbers = told.unacknowledged
        count, taken = 0, {""}
        while taken:

            def _owed(
                view: UnitOfWork, missed: Sequence[int] = numbers
            ) -> dict[str, str]:
                copy = view.streams.copy(Role.CONSUMER)
                held = [e for n in missed for e in copy.at(side.stream, n)]
                owed = view.receipts.owed(side.stream, self.clock.now())
                signed = [(each.receipt_id, each.countersignature) for each in held]
                signed += [
                    (each.signed.receipt.receipt_id, each.countersignature)
                    for each in owed
                ]
                return {it: b64u(by.signature) for it, by in signed if by is not None}

            items = await self.store.read(_owed)
            taken = await self._send(side, items)
            count, numbers = count + len(taken), ()
        return count

    async def _send(self, side: Side, items: dict[str, str]) -> set[str]:
        if not items:
            return set()
        listed = [{"receipt": it, "signature": by} for it, by in items.items()]
        try:
            body = {"countersignatures": listed}
            await self.send(side.partner, _SIGNATURES, body)
        except Unavailable:
            return set()
        taken = set(items)
        await self.store.write(lambda work: work.receipts.delivered(taken))
        return taken

    def _unsigned(self, view: UnitOfWork, side: Side) -> list[Difference]:
        """Return what we hold and do not sign: calls never made, answers wrong."""
        copy = view.streams.copy(Role.CONSUMER)
        found: dict[Kind, list[StreamEntry]] = {}
        for number in copy.unsigned(side.stream, MOST_NUMBERS):
            for entry in copy.at(side.stream, number):
                if entry.signed is None or entry.verified:
                    continue
                wrong = self._foreign(view, side, entry.signed.receipt, None)
                kind = wrong or Kind.ANSWER_WRONG
                found.setdefault(kind, []).append(entry)
        return [
            Difference(
                kind=kind,
                numbers=sorted({each.sequence for each in entries}),
                evidence={
                    f"{kind.replace('_', '-')}-{each.sequence}.json": _told(each.signed)
                    for each in entries[:_FILES]
                },
            )
            for kind, entries in found.items()
        ]


def _told(signed: SignedReceipt | None) -> Any:
    return signed.to_json() if signed else None
