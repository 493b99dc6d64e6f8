"""The outbox of the chain: what to do about the anchors that are under way.

A row of the store moves on by one state at a time. Before each step the chain is
asked, after it the row is replaced if it is still the row that was looked at; so two
processes that do the same at once do it once.

Numbers of transactions (*nonces*) are counted here: the next is what the chain says,
or what follows the last one that we know to be in a block, whichever is more. A node
of the chain that is a little behind then makes no harm. A transaction keeps its number
for as long as nothing else took it, and is sent again as it is, so that of all that
was ever signed for an epoch at most one is carried out.

Spec: `docs/protocols/anchoring.md`, section "Sending".
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from ledger.errors import ChainUnavailable, Refused
from ledger.ports import Account, Anchors, Mined, Signed
from node.ports import AnchorState, Clock, Store, StoredAnchor, UnitOfWork

BEHIND: Final = "chain.behind"
UNSEEN: Final[tuple[AnchorState, ...]] = ("queued", "signed", "sent")
HELD: Final[tuple[AnchorState, ...]] = ("mined", "final", "adopted")
_ZERO: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """What the store holds about one account, read at once.

    Attributes:
        newest: Of all.
        last: Of the chain's newest epoch.
        following: Of the epoch after that.
        lost: The first that the chain held once, of an epoch that it has not.
        unseen: The first of an epoch that the chain has, and where is not known yet.
        mined: The first that the chain holds in a block that might not stay.
        behind: Whether the chain is being given epochs again.
    """

    newest: StoredAnchor | None
    last: StoredAnchor | None
    following: StoredAnchor | None
    lost: StoredAnchor | None
    unseen: StoredAnchor | None
    mined: StoredAnchor | None
    behind: bool

    @property
    def complete(self) -> bool:
        """Whether the chain holds all that there is."""
        return self.following is None and self.unseen is None and self.lost is None


def look(view: UnitOfWork, account: Account, latest: int) -> Outbox | None:
    """Read the outbox beside the chain's newest epoch; None while something stops."""
    alarms = view.alarms.open()
    if any(alarm.stops for alarm in alarms):
        return None

    def first(*states: AnchorState, after: int = 0) -> StoredAnchor | None:
        found = view.log.anchors(account, states=states, after=after, most=1)
        return next(iter(found), None)

    unseen, mined = first(*UNSEEN), first("mined")

    return Outbox(
        newest=view.log.anchor(account),
        last=view.log.anchor(account, latest),
        following=view.log.anchor(account, latest + 1),
        lost=first(*HELD, after=latest),
        unseen=unseen if unseen and unseen.epoch <= latest else None,
        mined=mined if mined and mined.epoch <= latest else None,
        behind=(BEHIND, account.member)
        in {(each.code, each.subject) for each in alarms},
    )


def may_write(work: UnitOfWork) -> bool:
    """Tell whether this transaction may change anchors: it leads, and nothing stops."""
    return work.log.lead() and not any(alarm.stops for alarm in work.alarms.open())


async def keep(store: Store, old: StoredAnchor, new: StoredAnchor) -> bool:
    """Replace a row, unless somebody else did meanwhile."""

    def _replace(work: UnitOfWork) -> bool:
        if not may_write(work) or work.log.anchor(old.account, old.epoch) != old:
            return False
        work.log.keep_anchor(new)
        return True

    return await store.write(_replace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """Moves single anchors on. Each method takes one step, and tells whether it did.

    Attributes:
        patience_s: How long a transaction may wait for a block before it is signed
            again with a higher fee, or after the contract refused it.
    """

    store: Store
    anchors: Anchors
    clock: Clock
    patience_s: float

    async def settle(self, row: StoredAnchor) -> bool:
        """Write down in which block the chain holds an anchor."""
        return await keep(self.store, row, await asyncio.to_thread(self._found, row))

    async def confirm(self, row: StoredAnchor) -> bool:
        """See whether a block is final, or another one by now."""
        found = await asyncio.to_thread(self._found, row)
        if found != row:
            return await keep(self.store, row, found)
        place = Mined(block=row.block or 0, block_hash=row.block_hash or "")
        if not await asyncio.to_thread(self.anchors.is_final, place):
            return False
        return await keep(self.store, row, replace(row, state="final"))

    async def forward(self, row: StoredAnchor, before: StoredAnchor | None) -> bool:
        """Sign or send the anchor that the chain needs next, or wait for it.

        Args:
            before: The anchor of the epoch before.

        Raises:
            Refused: The chain's node does not take it, or the contract did not.
            ChainUnavailable: No answer.
        """
        waited = row.signed_at is None or self._passed(row)
        if row.transaction is None and not waited:
            return False  # refused a moment ago
        if row.transaction is not None:
            found = await asyncio.to_thread(self.anchors.look, row.transaction)
            if found is not None:
                return await self._in_block(row, found)
        nonce = await self._nonce(row, before)
        if row.raw is None or row.transaction is None or row.nonce != nonce:
            return await self._sign(row, before, nonce, None)
        if waited and await self._sign(row, before, nonce, row.raw):
            return True
        signed = Signed(raw=row.raw, transaction=row.transaction, nonce=nonce)
        await asyncio.to_thread(self.anchors.send, signed)
        sent = replace(row, state="sent")
        return sent != row and await keep(self.store, row, sent)

    def _passed(self, row: StoredAnchor) -> bool:
        """Tell whether a transaction has had its time, by whatever clock."""
        since = row.signed_at or row.at
        return abs((self.clock.now() - since).total_seconds()) >= self.patience_s

    async def _nonce(self, row: StoredAnchor, before: StoredAnchor | None) -> int:
        counted = await asyncio.to_thread(self.anchors.nonce)
        used = [each for each in (before, row if row.raw is None else None) if each]
        after = (each.nonce + 1 for each in used if each.nonce is not None)
        return max(counted, *after, 0)

    async def _in_block(self, row: StoredAnchor, found: Mined) -> bool:
        if found.ok:
            return False  # it came in just now: the next look sees its epoch
        queued = replace(
            row,
            state="queued",
            raw=None,
            transaction=None,
            signed_at=self.clock.now(),
        )
        await keep(self.store, row, queued)
        raise Refused(f"the contract refused epoch {row.epoch} in block {found.block}")

    async def _sign(
        self,
        row: StoredAnchor,
        before: StoredAnchor | None,
        nonce: int,
        instead_of: bytes | None,
    ) -> bool:
        """Keep a new transaction; False where it is the one that we have."""
        signed = await asyncio.to_thread(
            self.anchors.sign,
            epoch=row.epoch,
            commitment=row.commitment,
            previous=before.commitment if before else _ZERO,
            nonce=nonce,
            instead_of=instead_of,
        )
        if signed.raw == row.raw:
            return False
        new = replace(
            row,
            state="signed",
            nonce=signed.nonce,
            raw=signed.raw,
            transaction=signed.transaction,
            signed_at=self.clock.now(),
        )
        return await keep(self.store, row, new)

    def _found(self, row: StoredAnchor) -> StoredAnchor:
        """Return an anchor that the chain holds, with the block that holds it now."""
        known = row.transaction and self.anchors.look(row.transaction)
        if known and known.ok:
            place = replace(row, block=known.block, block_hash=known.block_hash)
            return replace(place, state="mined")
        # Another transaction did it: one that was outbid, or not ours at all.
        held = self.anchors.find(row.epoch)
        if held is None:
            raise ChainUnavailable(
                f"the chain does not tell where epoch {row.epoch} is"
            )
        own = held.transaction == row.transaction
        return replace(
            row,
            state="mined",
            nonce=row.nonce if own else None,
            raw=row.raw if own else None,
            transaction=held.transaction,
            block=held.block,
            block_hash=held.block_hash,
        )
