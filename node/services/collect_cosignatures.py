"""Collect cosignatures: have partners' nodes witness our log.

Every few seconds the newest checkpoint is shown to each witness, with the proof that
it continues what that witness holds. A checkpoint is published every second under
load; a witness is asked about the newest one only, and about the one that is being
anchored, which comes first because it is the smaller. Witnesses are asked side by
side, each for so long and no longer. One that is silent is asked again next time;
nothing waits for it, and no anchor is held back.

A witness may also know more of our log than we do. Then our database was put back to
an older copy, or somebody else signs with our key. We do not take its word: it must
show the checkpoint with our own signature. If it does, `log.forked` stops the node.
Each is asked to show it once when the node has started, before anything new is signed.

Spec: c2sp.org/tlog-witness; `docs/protocols/witnesses.md`.
"""

import asyncio
import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from crypto.errors import CryptoError, InvalidSignature
from ledger.checkpoint import open_checkpoint
from ledger.cosignature import line_of
from ledger.participants import Participant
from ledger.witness import Request, parse_size
from node.errors import NodeError, Unavailable
from node.ports import (
    Alarm,
    Clock,
    Cosigned,
    Identity,
    Peers,
    Store,
    StoredCheckpoint,
    TextReply,
    UnitOfWork,
)
from node.services.witnessed_log import consistency, contradiction, cosigned_sizes

FORKED: Final = "log.forked"
_log = logging.getLogger("fieldpact")
_PATIENCE_S: Final = 10.0
_TRIES: Final = 3
_MOST: Final = 64
"""Witnesses. A reader of notes may stop at a hundred lines."""
_AHEAD: Final = datetime.timedelta(days=1)
_GRACE: Final = datetime.timedelta(minutes=1)
_SUBMIT, _SHOW = "/witness/add-checkpoint", "/witness/checkpoint?origin="


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectCosignatures:
    """Asks the witnesses of this node's log.

    Attributes:
        origin: Name of our log.
        dids: Who is asked; None for every partner with whom there is an agreement.
        quorum: How many cosignatures an anchored checkpoint should have.
        silent: Witnesses of whose silence the node's own log tells already.
        examined: Witnesses that have shown what they hold since this process began.
    """

    store: Store
    identity: Identity
    peers: Peers
    clock: Clock
    origin: str
    dids: tuple[str, ...] | None = None
    quorum: int = 0
    silent: set[str] = field(default_factory=set)
    examined: set[str] = field(default_factory=set)

    async def __call__(self) -> None:
        """Ask every witness that has not cosigned what should be cosigned.

        Raises:
            Unavailable: The store or the registry does not answer.
        """
        witnesses, goals, reach = await self.store.read(self._plan)
        await asyncio.gather(
            *(
                self._ask(witness, goals, reach.get(witness.did, 0))
                for witness in witnesses
            )
        )

    def _plan(
        self, view: UnitOfWork
    ) -> tuple[Sequence[Participant], Sequence[StoredCheckpoint], Mapping[str, int]]:
        """Return who is to be asked, about what, and how far each has come."""
        if any(alarm.stops for alarm in view.alarms.open()):
            return (), (), {}
        newest, anchor = view.log.checkpoint(), view.log.anchor()
        anchored = view.log.checkpoint(anchor.size) if anchor else None
        sizes = {each.size: each for each in (anchored, newest) if each}
        goals = [goal for _, goal in sorted(sizes.items())]
        return self._witnesses(view), goals, view.witness.reach()

    def _witnesses(self, view: UnitOfWork) -> Sequence[Participant]:
        """Return the pinned witnesses, in order of their DIDs."""
        dids = self.dids
        if dids is None:
            agreed = [kept.agreement for kept in view.agreements.all()]
            dids = tuple(
                did for each in agreed for did in (each.assigner, each.assignee)
            )
        others = sorted({*dids} - {self.identity.me.did})
        known = (self.identity.participant(did) for did in others[:_MOST])
        return [witness for witness in known if witness is not None]

    async def _ask(
        self, witness: Participant, goals: Sequence[StoredCheckpoint], reach: int
    ) -> None:
        """Ask one witness about each goal beyond its reach. Fails quietly."""
        wanted = [goal for goal in goals if goal.size > reach]
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if witness.did not in self.examined:
                    await self._examine(witness)
                    self.examined.add(witness.did)
                for goal in wanted:
                    reach = await self._cosigned(witness, goal, reach)
        except (NodeError, CryptoError, TimeoutError) as error:
            if witness.did not in self.silent:
                self.silent.add(witness.did)
                _log.warning("%s does not cosign: %s", witness.did, error)
        else:
            if wanted:
                self.silent.discard(witness.did)

    async def _cosigned(
        self, witness: Participant, goal: StoredCheckpoint, old: int
    ) -> int:
        """Have a witness cosign a checkpoint.

        Returns:
            The size that the witness holds now. Beyond `goal`, it is not cosigned.

        Raises:
            Unavailable: The witness does not, or its answer makes no sense.
            CryptoError: Its answer does not parse, or its cosignature is false.
        """
        status = 0
        for _ in range(_TRIES):
            if old > goal.size:
                return old
            reply = await self._submit(witness, goal, old)
            status = reply.status
            if status == 200:
                await self._keep(witness, goal, reply.text)
                return goal.size
            if status != 409:
                await self._examine(witness)
                break
            old = parse_size(reply.text)
            if old > goal.size:
                await self._examine(witness)
        detail = f"It answered {status} to a checkpoint of {goal.size}."
        raise Unavailable("witness.refused", detail)

    async def _submit(
        self, witness: Participant, goal: StoredCheckpoint, old: int
    ) -> TextReply:
        proof = await self.consistency(old, goal.size) if old else ()
        if proof is None:
            raise Unavailable("witness.ahead", "It holds more than our log has.")
        request = Request(old=old, proof=proof, note=goal.note)
        return await self.peers.text(witness, _SUBMIT, request.render())

    async def consistency(self, first: int, second: int) -> tuple[bytes, ...] | None:
        """Return the proof that leads from one size of our tree to another.

        None where the tree has never been of these sizes, or not in this order.
        """
        hashing = self.identity.me.hashing
        return await self.store.read(
            lambda view: consistency(view, first, second, hashing=hashing)
        )

    async def _keep(
        self, witness: Participant, goal: StoredCheckpoint, lines: str
    ) -> None:
        """Keep the line of a witness among those that it answered."""
        found = await asyncio.to_thread(line_of, goal.note + lines, witness)
        if found is None:
            raise InvalidSignature("the witness answered no cosignature of its own")
        line, seconds = found
        if seconds > (self.clock.now() + _AHEAD).timestamp():
            raise InvalidSignature("the witness's clock is a day ahead of ours")
        cosigned = Cosigned(
            size=goal.size,
            witness=witness.did,
            line=line,
            at=datetime.datetime.fromtimestamp(seconds, datetime.UTC),
        )
        await self.store.write(lambda work: work.witness.keep_cosignature(cosigned))

    async def _examine(self, witness: Participant) -> None:
        """Have a witness show what it holds, and believe what we have signed."""
        reply = await self.peers.text(witness, _SHOW + quote(self.origin, safe=""))
        if reply.status != 200:
            return
        held = await asyncio.to_thread(
            open_checkpoint,
            reply.text,
            origin=self.origin,
            keys=self.identity.me.verifiers,
        )
        hashing = self.identity.me.hashing
        why = await self.store.read(
            lambda view: contradiction(view, held, hashing=hashing)
        )
        if why:
            alarm = Alarm(
                code=FORKED,
                subject=self.origin,
                detail=f"{witness.did} shows a checkpoint with our signature: {why}",
                at=self.clock.now(),
            )
            _log.error("%s: %s", alarm.code, alarm.detail)
            await self.store.write(lambda work: work.alarms.sound(alarm))

    async def state(self) -> Mapping[str, Any]:
        """Return how far our log is witnessed, as JSON."""

        def _look(view: UnitOfWork) -> Mapping[str, Any]:
            known = {witness.did for witness in self._witnesses(view)}
            sizes = cosigned_sizes(view, known)
            return {"known": len(known), "quorum": self.quorum, **sizes}

        return await self.store.read(_look)

    async def warnings(self) -> Sequence[str]:
        """Return `witnesses.quorum` where the newest anchor lacks cosignatures.

        Not in the minute after it was begun: then they are still being collected.
        """
        if not self.quorum:
            return []
        anchor = await self.store.read(lambda view: view.log.anchor())
        if anchor is None or self.clock.now() < anchor.at + _GRACE:
            return []
        anchored = (await self.state())["anchored"]
        short = anchored is not None and anchored["cosigned"] < self.quorum
        return ["witnesses.quorum"] if short else []
