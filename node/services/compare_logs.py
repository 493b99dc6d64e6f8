"""Compare logs: ask others what they were shown of a log, and compare.

A log with two histories shows one to each witness, and takes care that they never
see one size. So every minute each node asks all others which checkpoint they hold of
the logs of its partners, and each partner for its own newest one. Of one size the
roots must be equal (`node.services.witness`). Of two sizes the log itself must link
them with a consistency proof; both checkpoints bear its signature, so it cannot say
that it knows nothing of one.

A log that answers with a proof that does not link them has two histories; one that
answers, and has linked nothing for an hour, is no better. What it answers is not
signed, so either is an alarm and no proof for others. A log that cannot be reached is
asked again.

Spec: `docs/protocols/witnesses.md`, section "Comparing".
"""

import asyncio
import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from crypto import merkle
from crypto.errors import CryptoError
from ledger import shape
from ledger.checkpoint import origin_of
from ledger.errors import LedgerError
from ledger.participants import Participant
from node.errors import NodeError
from node.ports import Alarm, Clock, Identity, Peers, Store, UnitOfWork, Witnessed
from node.services.witness import FORKED, Witness

_log = logging.getLogger("fieldpact")
UNLINKED: Final = "partner.unlinked"
_PATIENCE_S: Final = 10.0
_LONG: Final = datetime.timedelta(hours=1)
_AT_ONCE: Final = 8
_MOST: Final = 64
_steps = shape.each(shape.octets(32), most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareLogs:
    """Compares what this node has seen of partners' logs with what others have."""

    store: Store
    identity: Identity
    peers: Peers
    witness: Witness
    clock: Clock

    async def __call__(self) -> None:
        """Ask everybody about each partner's log.

        Raises:
            Unavailable: The store or the registry does not answer.
        """
        logs = await self.store.read(self._partners)
        me = self.identity.me.did
        tellers = [each for each in self.identity.participants() if each.did != me]
        turn = asyncio.Semaphore(_AT_ONCE)

        async def _one(teller: Participant, log: Participant) -> None:
            async with turn:
                await self._quietly(teller, log)

        await asyncio.gather(
            *(_one(teller, log) for log in logs for teller in tellers[:_MOST])
        )

    def _partners(self, view: UnitOfWork) -> Sequence[Participant]:
        """Return who is pinned and has an agreement with us, in order of DIDs."""
        agreed = [kept.agreement for kept in view.agreements.all()]
        dids = {did for each in agreed for did in (each.assigner, each.assignee)}
        others = sorted(dids - {self.identity.me.did})[:_MOST]
        known = (self.identity.participant(did) for did in others)
        return [partner for partner in known if partner is not None]

    async def _quietly(self, teller: Participant, log: Participant) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._compare(teller, log)
        except (NodeError, CryptoError, LedgerError, TimeoutError) as error:
            # Silence is no news. What is news has sounded its alarm already.
            _log.debug("%s about %s: %s", teller.did, log.did, error)

    async def _compare(self, teller: Participant, log: Participant) -> None:
        """Compare what one partner shows of a log with what we have seen of it."""
        origin = origin_of(log.did)
        asked = f"/witness/checkpoint?origin={quote(origin, safe='')}"
        own = teller.did == log.did
        reply = await self.peers.text(teller, "/log/checkpoint" if own else asked)
        if reply.status == 200:
            await self.witness.meet(log, [reply.text])
        if (met := self.witness.unlinked.get(log.did)) is not None:
            await self._link(log, met)

    async def _link(self, log: Participant, met: Witnessed) -> None:
        """Have a log link a checkpoint of its own with the one that we cosigned."""
        held = await self.store.read(lambda view: view.witness.newest(met.origin))
        if held is None or 0 in {held.size, met.size}:
            return
        first, second = sorted((held, met), key=lambda each: each.size)
        path = f"/log/consistency?first={first.size}&second={second.size}"
        reply = await self.peers.get(log, path)
        if reply.status != 200:
            if self.clock.now() - met.at > _LONG:
                why = f"its node answers {reply.status}"
                await self._sound(UNLINKED, log, first, second, why)
            return
        try:
            merkle.verify_consistency(
                size1=first.size,
                size2=second.size,
                proof=_proof(reply.body),
                root1=first.root,
                root2=second.root,
                hashing=log.hashing,
            )
        except CryptoError as error:
            await self._sound(FORKED, log, first, second, str(error))
        else:
            self.witness.unlinked.pop(log.did, None)
            await self.store.write(lambda work: work.witness.meet(met))

    async def _sound(
        self, code: str, log: Participant, first: Witnessed, second: Witnessed, why: str
    ) -> None:
        sizes = f"{first.size} and {second.size} entries"
        roots = f"{first.root.hex()} and {second.root.hex()}"
        alarm = Alarm(
            code=code,
            subject=log.did,
            detail=f"It signed {sizes}, roots {roots}, and does not link them: {why}",
            at=self.clock.now(),
        )
        _log.error("%s: %s: %s", alarm.code, alarm.subject, alarm.detail)
        await self.store.write(lambda work: work.alarms.sound(alarm))


def _proof(body: Any) -> tuple[bytes, ...]:
    found = shape.members(body, {"proof"}, "consistency")
    return _steps(found["proof"], "proof")
