"""The consortium's registry contract, and what it last said of each participant.

Asking takes a few questions to a chain's node and may take seconds; it is done in
threads, in the background (`node.services.compare_keys`). What a call needs is looked
up in memory. Nothing is kept over a restart: a node that comes up while the chain does
not answer knows nothing of its partners.
"""

from ledger.participants import Participant
from ledger.registry import Held, History, Registry
from node.domain.pinned import Read, Standing, standing
from node.ports import Clock


class KeptRegistry:
    """Implements `node.ports.KeyRegistry` over the contract itself.

    Args:
        chain: Reads the contract.
        clock: The node's.
        stale_s: For how long an answer counts, in seconds.
    """

    def __init__(self, chain: Registry, clock: Clock, *, stale_s: float) -> None:
        self._chain = chain
        self._clock = clock
        self._stale_s = stale_s
        self._read: dict[str, Read] = {}

    def history(self, did: str) -> History:
        """Ask what changed for a participant, and keep the answer. Blocks."""
        asked = self._clock.now()  # before: what is late counts as early
        history = self._chain.history(did)
        last = self._read.get(did)
        if last is None or last.history.block <= history.block:
            self._read[did] = Read(history=history, at=asked)
        return history

    def keys_at(self, did: str, seconds: int) -> Held:
        """Ask which keys held at a moment. Blocks."""
        return self.history(did).at(seconds)

    def last(self, did: str) -> Read | None:
        """Return what was last read of a participant, without asking."""
        return self._read.get(did)

    def standing(self, pinned: Participant) -> Standing:
        """Say whether pinned keys hold by what was last read, without asking."""
        read = self.last(pinned.did)
        return standing(pinned, read, now=self._clock.now(), stale_s=self._stale_s)
