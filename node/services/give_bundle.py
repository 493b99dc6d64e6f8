"""Give a bundle: all receipts of one agreement's stream, for who asks "is that all?".

A stream may hold more receipts than memory should, so the file is made as it is sent:
a page of receipts, with their proofs, from one state of the store, and then the next.
First the ends are fixed and signed; what is added meanwhile is not in the file.

A provider proves places in its own log. A consumer asks the provider for each place,
some at a time; where it does not answer, places are what is still pending, and both
signatures stand all the same.

Spec: `docs/protocols/evidence.md`, section "Bundles".
"""

import asyncio
import datetime
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from crypto.signing import Signer
from ledger.bundle import (
    Erased,
    Line,
    Manifest,
    Parties,
    SignedManifest,
    sign_manifest,
    under_of,
)
from ledger.evidence import Evidence, Place
from ledger.streams import SignedHead
from node.domain.agreement import render_instant
from node.domain.negotiation import Role
from node.errors import NotFound
from node.ports import Clock, Identity, Store, StreamEntry, UnitOfWork
from node.services.give_evidence import GiveEvidence
from node.services.places import Places
from node.services.stream_side import Side, entry_at, look, side_of, state

_PAGE: Final = 128
"""Numbers of one transaction."""
_NEVER: Final = "9999"
_AT_ONCE: Final = 8
"""Places that a partner is asked for at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of a stream that was chosen, and who we are in it."""

    side: Side
    numbers: Sequence[int]
    head: SignedHead


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBundle:
    """Exports the receipts of a stream."""

    store: Store
    identity: Identity
    evidence: GiveEvidence
    signer: Signer
    clock: Clock

    async def __call__(
        self,
        agreement: str,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> AsyncIterator[Line]:
        """Fix what will be in the file; return its lines, made as they are taken.

        Args:
            agreement: Whose stream.
            since: From the first receipt of this time or later; None: from the first.
            until: To the last one before this time; None: to the newest.

        Raises:
            NotFound: This node holds no such agreement.
            Unavailable: The partner is not in the registry any more.
        """
        start = render_instant(since) if since else None
        end = render_instant(until) if until else None
        run = await self.store.read(partial(self._choose, agreement, start, end))
        return self._lines(run, self._manifest(run, start, end))

    def _choose(
        self, agreement: str, since: str | None, until: str | None, view: UnitOfWork
    ) -> Run:
        kept = view.agreements.get(agreement)
        if kept is None:
            raise NotFound("agreement.unknown", "There is no such agreement.")
        side = side_of(kept, self.identity)
        ours = look(view, side)
        made = partial(_made, view, side)
        first = bisect_left(ours.numbers, since, key=made) if since else 0
        last = bisect_left(ours.numbers, until, key=made) if until else None
        return Run(
            side=side,
            numbers=ours.numbers[first:last],
            head=state(side, ours, self.signer, self.clock.now()),
        )

    def _manifest(
        self, run: Run, since: str | None, until: str | None
    ) -> SignedManifest:
        side, numbers = run.side, run.numbers
        manifest = Manifest(
            exporter=side.me.did,
            provider=side.provider.did,
            consumer=side.consumer.did,
            agreement=side.agreement,
            stream=side.stream,
            first=numbers[0] if numbers else None,
            last=numbers[-1] if numbers else None,
            count=len(numbers),
            since=since,
            until=until,
            at=render_instant(self.clock.now()),
            head=run.head,
            key_id=self.signer.key_id(side.me.did),
        )
        return sign_manifest(manifest, self.signer)

    async def _lines(self, run: Run, manifest: SignedManifest) -> AsyncIterator[Line]:
        yield manifest
        participants = run.side.provider, run.side.consumer
        dids = [each.did for each in participants]
        histories = await self.evidence.histories(dids)
        yield Parties(participants=participants, histories=histories)
        under = None
        for start in range(0, len(run.numbers), _PAGE):
            for entry in await self._page(run.side, run.numbers[start : start + _PAGE]):
                if isinstance(entry, Evidence):
                    above = under_of(entry)
                    if above is not None and above != under:
                        under = above
                        yield above
                yield entry

    async def _page(
        self, side: Side, numbers: Sequence[int]
    ) -> Sequence[Evidence | Erased]:
        if side.role is Role.PROVIDER:
            return await self.store.read(partial(self._written, side, numbers))
        found = await self.store.read(partial(self._received, side, numbers))
        turns = asyncio.Semaphore(_AT_ONCE)

        async def _placed(entry: Evidence | Erased) -> Evidence | Erased:
            if isinstance(entry, Erased):
                return entry
            async with turns:
                return await self._with_place(side, entry)

        return await asyncio.gather(*map(_placed, found))

    def _written(
        self, side: Side, numbers: Sequence[int], view: UnitOfWork
    ) -> list[Evidence | Erased]:
        """Return receipts of ours, each with its place in our log."""
        entries = _entries(view, side, numbers)
        logged = view.receipts.entries([each.receipt_id for each in entries])
        look_up = Places(view=view, hashing=side.me.hashing)
        places = look_up.places([(each.salt, each.index) for each in logged.values()])
        placed = dict(zip(logged, places, strict=True))
        return [
            self._told(each, placed.get(each.receipt_id), each.request)
            for each in entries
        ]

    def _received(
        self, side: Side, numbers: Sequence[int], view: UnitOfWork
    ) -> list[Evidence | Erased]:
        """Return receipts that we hold, not yet with their places."""
        found = []
        for each in _entries(view, side, numbers):
            nonce = each.signed.receipt.nonce if each.signed else None
            sent = view.receipts.sent(nonce or "")
            found.append(self._told(each, None, sent.token if sent else None))
        return found

    def _told(
        self, entry: StreamEntry, place: Place | None, token: str | None
    ) -> Evidence | Erased:
        if entry.signed is None:
            return Erased(sequence=entry.sequence, receipt_id=entry.receipt_id)
        return Evidence(
            signed=entry.signed,
            salt=place.salt if place else bytes(32),
            participants=(),
            countersignature=entry.countersignature,
            inclusion=place.inclusion if place else None,
            anchor=place.anchor if place else None,
            request=self.evidence.request_beside(entry.signed.receipt, token),
        )

    async def _with_place(self, side: Side, entry: Evidence) -> Evidence:
        receipt_id = entry.signed.receipt.receipt_id
        place = await self.evidence.proof_of(side.provider, receipt_id)
        if place is None:
            return entry
        return replace(
            entry, salt=place.salt, inclusion=place.inclusion, anchor=place.anchor
        )


def _made(view: UnitOfWork, side: Side, number: int) -> str:
    """Return when a receipt was made; of an erased one, when the next one was."""
    entry = entry_at(view, side, number)
    while entry is not None and entry.signed is None:
        number += 1
        entry = entry_at(view, side, number)
    return entry.signed.receipt.at if entry and entry.signed else _NEVER


def _entries(
    view: UnitOfWork, side: Side, numbers: Sequence[int]
) -> Sequence[StreamEntry]:
    """Return one entry of each number: of several, the first that its provider signed.

    One that cannot be read, and was not erased, is left out: a reader finds it missing.
    """
    copy = view.streams.copy(side.role)
    most = numbers[-1] - numbers[0] + 1
    found: dict[int, StreamEntry] = {}
    for entry in copy.at(side.stream, numbers[0], most):
        held = entry.erased is not None or side.holds(entry.signed, entry.sequence)
        if held and entry.sequence not in found:
            found[entry.sequence] = entry
    return [found[number] for number in numbers if number in found]
