"""Keep the log: integrate, publish.

A receipt is *sequenced* in the request's own transaction. Everything here comes
later and without the caller: entries are *integrated* into the tree, and the tree is
*published* as a signed checkpoint. Each step can be stopped at any instruction and
done again. The newest checkpoint is then *anchored* (`node.services.anchor`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from crypto import merkle
from crypto.notes import Checkpoint, sign_checkpoint
from crypto.signing import HASHING, Signer
from ledger import log
from node.ports import (
    Clock,
    Store,
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
    """

    store: Store
    signer: Signer
    origin: str
    clock: Clock

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
