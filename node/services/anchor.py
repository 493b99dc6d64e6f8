"""Anchor: see to it that the chain holds what the log contains.

Once an epoch a salted commitment to the newest checkpoint is written to the chain,
also when nothing happened. Its row in the store is the outbox:

    queued    epoch, commitment, salt and note are kept
    signed    so is the transaction that will anchor it, before anybody sees it
    sent      the chain's node has taken it
    mined     it is in a block
    final     the block stays, by the chain's own rule

Between two states there is one short transaction of the store, and the chain is
asked outside of it. Every step looks at the chain and at the row, and can be repeated,
so it does not matter where the process was stopped, which answer got lost, or how many
processes do the same. What the chain holds is the truth; what became of a transaction
only tells where to find it.

In every round the chain's newest epoch is compared with ours. A chain that lost some
of our epochs is given them again, in order and with the same commitments. A chain that
holds more than ours, or something else, means that another process anchors with our
key, or that our store was put back: then the log stops, until an operator has looked.

Spec: `docs/protocols/anchoring.md`.
"""

import asyncio
import datetime
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from crypto.hashing import Hashing
from ledger.checkpoint import anchor_commitment
from ledger.errors import ChainUnavailable, Inconsistent
from ledger.ports import Account, Anchors
from node.ports import Alarm, Clock, Randomness, Store, StoredAnchor, UnitOfWork
from node.services.outbox import BEHIND, HELD, Outbox, Sending, look, may_write

AHEAD: Final = "log.chain_ahead"
DIFFERENT: Final = "log.chain_different"
_MOST_STEPS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """Moves anchors from queued to final. Called by one task at a time, or waits.

    Attributes:
        anchors: The chain, or None for a node without one.
        hashing: Of the log.
        epoch_s: Time between two anchors.
        patience_s: How long a transaction may wait for a block before it is signed
            again with a higher fee, or after the contract refused it.
    """

    store: Store
    anchors: Anchors | None
    hashing: Hashing
    clock: Clock
    randomness: Randomness
    epoch_s: float = 300.0
    patience_s: float = 60.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def keep(self) -> None:
        """Do what there is to do now. To be called every few seconds.

        Raises:
            ChainUnavailable: The chain did not answer; call again.
            Refused: It did not take the transaction; call again.
            Inconsistent: It contradicts our log, which has been stopped.
        """
        await self._run(self.epoch_s)

    async def __call__(self) -> StoredAnchor | None:
        """Anchor the newest checkpoint, due or not, as far as that goes at once.

        Returns:
            The newest anchor; None without chain or checkpoint.

        Raises:
            ChainUnavailable, Refused, Inconsistent: As for `keep`.
        """
        await self._run(0)
        return await self.store.read(lambda view: view.log.anchor())

    async def _run(self, pause_s: float) -> None:
        if self.anchors is None:
            return
        async with self.turn:
            account = await self._advance(self.anchors)
            if account is not None and await self._begin(account, pause_s):
                await self._advance(self.anchors)

    # -- one epoch after the other --------------------------------------------------

    async def _begin(self, account: Account, pause_s: float) -> bool:
        """Queue the next epoch, if the last is on the chain and it is time."""
        salt, now = self.randomness(32), self.clock.now()

        def _queue(work: UnitOfWork) -> bool:
            newest = work.log.anchor(account)
            checkpoint = work.log.checkpoint()
            if checkpoint is None or not may_write(work):
                return False
            if newest and (newest.state not in HELD or not _due(newest, now, pause_s)):
                return False
            commitment = anchor_commitment(checkpoint.note, salt, hashing=self.hashing)
            work.log.keep_anchor(
                StoredAnchor(
                    **account._asdict(),
                    epoch=newest.epoch + 1 if newest else 1,
                    size=checkpoint.size,
                    note=checkpoint.note,
                    salt=salt,
                    commitment=commitment,
                    at=now,
                )
            )
            return True

        return await self.store.write(_queue)

    async def _advance(self, anchors: Anchors) -> Account | None:
        """Take steps until there is nothing to do but to wait.

        Returns:
            The account, if the chain holds all its epochs; None where there is
            something to wait for.
        """
        for _ in range(_MOST_STEPS):
            account, latest = await asyncio.to_thread(_where, anchors)
            seen = await self.store.read(partial(look, account=account, latest=latest))
            if seen is None:
                return None
            if not await self._step(anchors, account, latest, seen):
                return account if seen.complete else None
        return None

    async def _step(
        self, anchors: Anchors, account: Account, latest: int, seen: Outbox
    ) -> bool:
        """Take one step; False where there is nothing to do but to wait."""
        sending = Sending(
            store=self.store,
            anchors=anchors,
            clock=self.clock,
            patience_s=self.patience_s,
        )
        # 1. Does the chain hold what we know, and no more?
        await self._compare(anchors, account, latest, seen)
        if seen.lost is not None:
            return await self._take_back(anchors, account, latest, seen.lost)
        # 2. Where is what it holds, and does it stay?
        if seen.unseen is not None:
            return await sending.settle(seen.unseen)
        if seen.mined is not None and await sending.confirm(seen.mined):
            return True
        # 3. What is next?
        if seen.following is not None:
            return await sending.forward(seen.following, seen.last)
        if seen.behind:
            await self._caught_up(account)
        return False

    # -- the chain against our log ----------------------------------------------------

    async def _compare(
        self, anchors: Anchors, account: Account, latest: int, seen: Outbox
    ) -> None:
        newest = seen.newest.epoch if seen.newest else 0
        if latest > newest:
            detail = f"The chain is at epoch {latest} of {account.member}; this node "
            await self._stop(AHEAD, account, latest, f"{detail}knows of {newest}.")
        for each in (seen.last, seen.unseen):
            if each is None:
                continue
            held = await asyncio.to_thread(
                anchors.commitment, account.member, each.epoch
            )
            if held is None:
                raise ChainUnavailable(f"the chain lost epoch {each.epoch} just now")
            if held != each.commitment:
                detail = f"The chain holds another commitment for epoch {each.epoch}"
                detail = f"{detail} of {account.member} than this node."
                await self._stop(DIFFERENT, account, each.epoch, detail, held)

    async def _stop(
        self,
        code: str,
        account: Account,
        epoch: int,
        detail: str,
        held: bytes | None = None,
    ) -> None:
        """Sound an alarm that stops the log, unless another process explains it."""

        def _sound(work: UnitOfWork) -> bool:
            known = work.log.anchor(account, epoch)
            if known is not None and held in (None, known.commitment):
                return False
            work.alarms.sound(self._alarm(code, account, detail))
            return True

        if await self.store.write(_sound):
            raise Inconsistent(detail)
        raise ChainUnavailable("another process anchors; look again")

    async def _take_back(
        self, anchors: Anchors, account: Account, latest: int, lost: StoredAnchor
    ) -> bool:
        """Have everything sent again that the chain held and holds no more."""
        # The rows were read after the chain: another process may have been faster.
        if await asyncio.to_thread(anchors.latest_epoch, account.member) != latest:
            return True
        now = self.clock.now()

        def _unanchor(work: UnitOfWork) -> bool:
            if not may_write(work) or work.log.anchor(account, lost.epoch) != lost:
                return False
            believed = work.log.anchors(
                account, states=("final", "adopted"), after=latest, most=1
            )
            if believed:
                detail = f"The chain is at epoch {latest} of {account.member}, and held"
                detail = f"{detail} more. What it lost is anchored again, in order."
                work.alarms.sound(self._alarm(BEHIND, account, detail))
            work.log.unanchor(account, latest, now)
            return True

        return await self.store.write(_unanchor)

    async def _caught_up(self, account: Account) -> None:
        why, now = "The chain holds all epochs again.", self.clock.now()
        await self.store.write(
            lambda work: work.alarms.clear(BEHIND, account.member, why, now)
        )

    def _alarm(self, code: str, account: Account, detail: str) -> Alarm:
        return Alarm(
            code=code, subject=account.member, detail=detail, at=self.clock.now()
        )


def _where(anchors: Anchors) -> tuple[Account, int]:
    """Ask which account anchors, and how far the chain is."""
    account = Account(anchors.chain_id, anchors.contract, anchors.member)
    return account, anchors.latest_epoch(anchors.member)


def _due(newest: StoredAnchor, now: datetime.datetime, pause_s: float) -> bool:
    """Tell whether it is time; a clock that was set back is no reason to wait."""
    passed = (now - newest.at).total_seconds()
    return passed >= pause_s or passed < 0
