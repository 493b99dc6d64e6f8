"""Compare the pinned keys with those that the registry contract holds.

The registry file says whom this node trusts; the contract says which keys hold now.
Every few minutes the contract is asked about every pinned participant, this node too.
Where the two differ an alarm `registry.keys` is sounded with the DID; it ends by itself
when they agree again, since nothing else mends it.

What follows from a difference is decided where it matters: the calls of such a partner
are refused (`node.adapters.identity`), and a node whose own keys do not hold refuses
to start and is not ready (`own`).
"""

import asyncio
import logging
from dataclasses import dataclass

from ledger.participants import Participant
from node.domain.pinned import Standing, contradictions
from node.errors import Unavailable
from node.ports import Alarm, Clock, Identity, KeyRegistry, Store, UnitOfWork

_log = logging.getLogger("fieldpact.registry")
ALARM = "registry.keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareKeys:
    """Asks the registry about all that are pinned.

    Attributes:
        registry: None for a node without one: nothing is compared.
    """

    store: Store
    identity: Identity
    registry: KeyRegistry | None
    clock: Clock

    async def __call__(self) -> None:
        """Ask, and sound or end alarms.

        Raises:
            ChainUnavailable: The chain did not answer for everybody.
            Unavailable: The registry file cannot be read.
        """
        registry = self.registry
        if registry is None:
            return
        for pinned in self.identity.participants():
            history = await asyncio.to_thread(registry.history, pinned.did)
            await self._tell(pinned, contradictions(pinned, history))

    def own(self) -> None:
        """Return if this node's own keys hold, as far as is known.

        Raises:
            Unavailable: They do not, or the chain has not answered for too long.
        """
        if self.registry is None:
            return
        me = self.identity.me
        read = self.registry.last(me.did)
        match self.registry.standing(me):
            case Standing.HELD:
                return
            case Standing.NOT_HELD if read is not None:
                wrong = "; ".join(contradictions(me, read.history))
                detail = f"The consortium's registry does not hold our keys: {wrong}. "
                mend = "See `fieldpact consortium members` and `consortium keys`."
                raise Unavailable("registry.own_keys", detail + mend)
            case _:
                detail = "The consortium's registry has not answered for too long."
                raise Unavailable("registry.stale", detail)

    async def _tell(self, pinned: Participant, wrong: tuple[str, ...]) -> None:
        alarm = Alarm(
            code=ALARM,
            subject=pinned.did,
            detail="; ".join(wrong),
            at=self.clock.now(),
        )

        def change(work: UnitOfWork) -> bool:
            there = any(
                (each.code, each.subject) == (ALARM, pinned.did)
                for each in work.alarms.open()
            )
            if wrong and not there:
                work.alarms.sound(alarm)
            if there and not wrong:
                why = "the registry holds what is pinned"
                work.alarms.clear(ALARM, pinned.did, why, alarm.at)
            return there != bool(wrong)

        if await self.store.write(change) and wrong:
            _log.error("%s: %s", pinned.did, alarm.detail)
