"""Watch: hold a partner to the snapshots that it has signed.

Whoever signs can sign twice. A consumer keeps every snapshot that an answer came
from, and looks at each new one: does it fit those before, and where does it stand?

    anchored            the chain holds it, since the time that is told
    not_yet_anchored    signed, and not on the chain yet: ask again later
    older               anchored or not, a newer one is known
    unknown             the provider or the chain did not answer, or none is set up

Spec: `docs/protocols/snapshots.md`, section "What the consumer keeps".
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from crypto.errors import CryptoError
from ledger.evidence import Place, parse_place
from ledger.participants import Participant
from ledger.ports import ChainReader
from ledger.snapshots import Age, SignedSnapshot, compare
from ledger.standing import Standing, verify_place
from node.errors import Unavailable
from node.ports import Peers, Store, UnitOfWork

_REMEMBERED: Final = 1024
Compare = Callable[[Participant, Place], Awaitable[None]]
_WORDS: Final = {"checked": "anchored", "pending": "not_yet_anchored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Looks at partners' snapshots.

    Attributes:
        chain: The consortium's chain, or None for a node without one.
        compare: Compares the checkpoints that a partner shows with those that were
            seen of its log (`node.services.witness`).
        anchored: Snapshots that were found on the chain, by their ids. What is
            anchored stays so.
    """

    store: Store
    peers: Peers
    chain: ChainReader | None
    compare: Compare | None = None
    anchored: dict[str, Standing] = field(default_factory=dict)

    async def keep(self, signed: SignedSnapshot) -> Age:
        """Keep a verified snapshot, and compare it with those kept before.

        Raises:
            Inconsistent: It contradicts one. Both are kept, and prove it.
        """

        def _look(work: UnitOfWork) -> Age:
            snapshot = signed.snapshot
            work.agreements.hold(snapshot.agreement)  # one snapshot after the other
            before, after = work.snapshots.around(snapshot.agreement, snapshot.sequence)
            age = Age.FIRST
            for each in (before, work.snapshots.receive(signed), after):
                if each is not None:
                    age = compare(each.snapshot, snapshot)
            return age

        return await self.store.write(_look)

    async def state(
        self, signed: SignedSnapshot, provider: Participant, age: Age
    ) -> Mapping[str, Any]:
        """Return where a snapshot stands, as far as can be seen now.

        Raises:
            CryptoError: What the provider tells of it is false.
            LedgerError: The provider's log, or the chain, contradicts it.
        """
        standing = await self._standing(signed, provider)
        state = _WORDS.get(standing.outcome, "unknown")
        snapshot = signed.snapshot
        return {
            "id": snapshot.snapshot_id,
            "version": snapshot.version,
            "sequence": snapshot.sequence,
            "signed_at": snapshot.at,
            "state": "older" if age is Age.OLDER else state,
            "epoch": standing.epoch,
            "anchored_at": standing.at,
        }

    async def _standing(
        self, signed: SignedSnapshot, provider: Participant
    ) -> Standing:
        snapshot_id = signed.snapshot.snapshot_id
        if (known := self.anchored.get(snapshot_id)) is not None:
            return known
        place = await self.place(signed, provider)
        if place is None:
            return Standing(outcome="unknown")
        if self.compare is not None:
            await self.compare(provider, place)
        found = await asyncio.to_thread(
            verify_place, signed, place, provider, self.chain
        )
        if found.outcome == "checked":
            while len(self.anchored) >= _REMEMBERED:
                self.anchored.pop(next(iter(self.anchored)))
            self.anchored[snapshot_id] = found
        return found

    async def place(
        self, signed: SignedSnapshot, provider: Participant
    ) -> Place | None:
        """Ask a provider where its snapshot stands; None if it does not say."""
        path = f"/log/snapshots/{signed.snapshot.snapshot_id}"
        try:
            reply = await self.peers.get(provider, path)
            return parse_place(reply.body)
        except (Unavailable, CryptoError):
            return None
