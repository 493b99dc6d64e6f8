"""Adopt: take the chain's word for what this member anchored, after a restore.

A store that was put back from a backup remembers fewer epochs than it anchored. The
chain is then ahead of it, and the log stops. An operator who knows why can have the
node go on from there: for every epoch that the store does not know, or knows
otherwise, it keeps what the chain holds, as *adopted*. Nothing can be proved with such
an anchor, since its salt and its checkpoint are lost; the next one covers all entries.

Somebody else who anchors with the same key looks just like a restored store. Adopting
what a thief wrote does not make it ours, and does not stop him.

Spec: `docs/protocols/anchoring.md`, section "When the chain says something else".
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from ledger.errors import ChainUnavailable, LedgerError
from ledger.ports import Account, Anchors
from node.errors import Conflict, Unavailable
from node.ports import Clock, Store, StoredAnchor, UnitOfWork
from node.services.anchor import AHEAD, DIFFERENT

_CODES: Final = (AHEAD, DIFFERENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Ends the alarms that the chain gave rise to.

    Attributes:
        anchors: The chain, or None for a node without one.
    """

    store: Store
    anchors: Anchors | None
    clock: Clock

    async def __call__(self, why: str) -> tuple[int, int]:
        """Go on from the chain's epoch.

        Args:
            why: The operator's reason, which is kept beside the alarm.

        Returns:
            The chain's newest epoch, and how many epochs were adopted.

        Raises:
            Conflict: No alarm says that the chain is ahead or different.
            Unavailable: The chain did not answer, or another process is at work.
        """
        if self.anchors is None:
            raise Conflict("chain.none", "This node has no chain.")
        if not await self.store.read(_open):
            detail = "No alarm says that the chain is ahead of this node, or different."
            raise Conflict("chain.nothing_to_adopt", detail)
        try:
            account, latest, theirs = await self._theirs(self.anchors)
        except LedgerError as error:
            raise Unavailable("chain.unavailable", str(error)) from error
        now = self.clock.now()

        def _take(work: UnitOfWork) -> bool:
            if not work.log.lead():
                return False
            for epoch, commitment in sorted(theirs.items()):
                work.log.keep_anchor(
                    StoredAnchor(
                        **account._asdict(),
                        epoch=epoch,
                        size=0,
                        note="",
                        salt=bytes(32),
                        commitment=commitment,
                        at=now,
                        state="adopted",
                    )
                )
            for code, subject in _open(work):
                work.alarms.clear(code, subject, why, now)
            return True

        if not await self.store.write(_take):
            detail = "Another process keeps the log at this moment. Try again."
            raise Unavailable("store.busy", detail)
        return latest, len(theirs)

    async def _theirs(self, anchors: Anchors) -> tuple[Account, int, dict[int, bytes]]:
        """Return what the chain holds from the first epoch on that we hold otherwise.

        What it holds is never changed, so below an epoch that is the same all are.
        """

        def _ask(epoch: int) -> bytes:
            held = anchors.commitment(anchors.member, epoch)
            if held is None:
                raise ChainUnavailable(f"the chain lost epoch {epoch} just now")
            return held

        account = await asyncio.to_thread(
            lambda: Account(anchors.chain_id, anchors.contract, anchors.member)
        )
        latest = await asyncio.to_thread(anchors.latest_epoch, account.member)
        theirs: dict[int, bytes] = {}
        for epoch in range(latest, 0, -1):
            held = await asyncio.to_thread(_ask, epoch)
            ours = await self.store.read(
                lambda view, it=epoch: view.log.anchor(account, it)  # type: ignore[misc]
            )
            if ours is not None and ours.commitment == held:
                break
            theirs[epoch] = held
        return account, latest, theirs


def _open(view: UnitOfWork) -> list[tuple[str, str]]:
    """Return the open alarms that adopting ends."""
    return [
        (alarm.code, alarm.subject)
        for alarm in view.alarms.open()
        if alarm.code in _CODES
    ]
