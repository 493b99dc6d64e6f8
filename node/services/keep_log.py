"""Keep the log: integrate, publish, anchor.

A receipt is *sequenced* in the request's own transaction. Everything here comes
later and without the caller: entries are *integrated* into the tree, the tree is
*published* as a signed checkpoint, and once an epoch a salted commitment to the
newest checkpoint is *anchored* on the chain, in idle epochs too, so that the
chain shows no call volume. Each step can be stopped at any instruction and done
again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from crypto import merkle
from crypto.notes import Checkpoint, sign_checkpoint
from crypto.signing import HASHING, Signer
from ledger import log
from ledger.checkpoint import anchor_commitment
from ledger.ports import Anchors
from node.ports import (
    Clock,
    Randomness,
    Store,
    StoredAnchor,
    StoredCheckpoint,
    UnitOfWork,
)

_BATCH = 1000
T = TypeVar("T")


def over_nodes(work: UnitOfWork, compute: Callable[[merkle.Reader], T]) -> T:
    """Run a computation over the tree, with the nodes it reads fetched at once."""
    nodes = work.log.nodes(log.reads(compute))
    return compute(lambda level, index: nodes[level, index])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLog:
    """Builds the tree behind the receipts. One at a time per log.

    Attributes:
        origin: Name of the log, in its checkpoints.
        anchors: The chain, or None for a node without one.
    """

    store: Store
    signer: Signer
    origin: str
    anchors: Anchors | None
    clock: Clock
    randomness: Randomness

    async def integrate(self) -> int:
        """Integrate what waits, and publish a checkpoint of the new tree.

        Of several processes on one store, one at a time does.

        Returns:
            How many entries joined the tree; 0 where another process leads.
        """
        return await self.store.write(self._integrate)

    def _integrate(self, work: UnitOfWork) -> int:
        waiting = work.log.waiting(_BATCH) if work.log.lead() else ()
        if not waiting:
            return 0
        size = work.log.size()
        hashing = HASHING[self.signer.suite]
        leaves = [
            log.leaf(entry.signed, entry.salt, hashing=hashing) for entry in waiting
        ]
        grown = over_nodes(
            work, lambda read: log.integrate(size, read, leaves, hashing=hashing)
        )
        work.log.integrate(size, waiting, grown.nodes)
        checkpoint = Checkpoint(origin=self.origin, size=grown.size, root=grown.root)
        work.log.publish(
            StoredCheckpoint(
                size=grown.size,
                root=grown.root,
                note=sign_checkpoint(checkpoint, self.signer),
                at=self.clock.now(),
            )
        )
        return len(waiting)

    async def anchor(self) -> StoredAnchor | None:
        """Anchor the newest checkpoint for the next epoch.

        What is to be anchored is durable before the chain is asked, so that a
        crash in between repeats the same anchor instead of making another.

        Returns:
            The anchor that the chain now holds; None without chain or checkpoint.

        Raises:
            ChainUnavailable: The chain did not answer; call again.
            Inconsistent: The chain holds something else for this epoch.
        """
        anchors = self.anchors
        if anchors is None:
            return None
        chain_id = await asyncio.to_thread(lambda: anchors.chain_id)
        pending = await self.store.write(
            lambda work: self._pending(work, chain_id, anchors.contract)
        )
        if pending is None:
            return None
        anchored = await asyncio.to_thread(
            anchors.anchor, epoch=pending.epoch, commitment=pending.commitment
        )
        done = replace(pending, anchored=anchored)
        await self.store.write(lambda work: work.log.keep_anchor(done))
        return done

    def _pending(
        self, work: UnitOfWork, chain_id: int, contract: str
    ) -> StoredAnchor | None:
        """Return the anchor to write: the one begun, or a new one kept first."""
        last = work.log.anchor()
        if last is not None and last.anchored is None:
            return last
        checkpoint = work.log.checkpoint()
        if checkpoint is None:
            return None
        salt = self.randomness(32)
        pending = StoredAnchor(
            epoch=last.epoch + 1 if last else 1,
            size=checkpoint.size,
            note=checkpoint.note,
            salt=salt,
            commitment=anchor_commitment(
                checkpoint.note, salt, hashing=HASHING[self.signer.suite]
            ),
            chain_id=chain_id,
            contract=contract,
            at=self.clock.now(),
            anchored=None,
        )
        work.log.keep_anchor(pending)
        return pending
