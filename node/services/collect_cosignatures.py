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

from crypto import merkle
from crypto.errors import CryptoError, InvalidSignature
from crypto.notes import Checkpoint
from ledger.checkpoint import open_checkpoint
from ledger.cosignature import line_of, with_cosignatures
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
from node.services.keep_log import over_nodes

FORKED: Final = "log.forked"
_log = logging.getLogger("fieldpact")
_PATIENCE_S: Final = 10.0
_TRIES: Final = 3
_MOST: Final = 64
"""Witnesses. A reader of notes may stop at a hundred lines."""
_AHEAD: Final = datetime.timedelta(days=1)
_GRACE: Final = datetime.timedelta(minutes=1)
_SUBMIT, _SHOW = "/witness/add-checkpoint", "/witness/checkpoint?origin="


def cosigned_checkpoint(view: UnitOfWork, size: int | None = None) -> str | None:
    """Return our checkpoint of a size, or the newest, with who cosigned it."""
    checkpoint = view.log.checkpoint(size)
    if checkpoint is None:
        return None
    lines = [each.line for each in view.witness.cosignatures(checkpoint.size)]
    return with_cosignatures(checkpoint.note, lines)


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

        def _prove(view: UnitOfWork) -> tuple[bytes, ...] | None:
            if not 0 < first <= second <= view.log.size():
                return None
            return tuple(
                over_nodes(
                    view,
                    lambda read: merkle.consistency_proof(
                        first, second, read, hashing=hashing
                    ),
                )
            )

        return await self.store.read(_prove)

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
        why = await self.store.read(lambda view: self._contradiction(view, held))
        if why:
            alarm = Alarm(
                code=FORKED,
                subject=self.origin,
                detail=f"{witness.did} shows a checkpoint with our signature: {why}",
                at=self.clock.now(),
            )
            _log.error("%s: %s", alarm.code, alarm.detail)
            await self.store.write(lambda work: work.alarms.sound(alarm))

    def _contradiction(self, view: UnitOfWork, held: Checkpoint) -> str | None:
        """Say how a checkpoint that we have signed contradicts our log, or None.

        A checkpoint is signed and kept in one transaction with the tree that it is
        of, so there can be none of more entries than the tree has now.
        """
        size, hashing = view.log.size(), self.identity.me.hashing
        if held.size > size:
            return f"it has {held.size} entries, and our log {size}."
        root = over_nodes(
            view, lambda read: merkle.root_at(held.size, read, hashing=hashing)
        )
        if root != held.root:
            return f"of {held.size} entries its root is {held.root.hex()}."
        return None

    async def state(self) -> Mapping[str, Any]:
        """Return how far our log is witnessed, as JSON."""
        return await self.store.read(self._state)

    def _state(self, view: UnitOfWork) -> Mapping[str, Any]:
        known = {witness.did for witness in self._witnesses(view)}
        anchor, reach = view.log.anchor(), view.witness.reach()
        newest = max((size for did, size in reach.items() if did in known), default=0)
        sizes = {"anchored": anchor.size if anchor else 0, "newest": newest}
        return {
            "known": len(known),
            "quorum": self.quorum,
            **{name: self._count(view, size, known) for name, size in sizes.items()},
        }

    @staticmethod
    def _count(
        view: UnitOfWork, size: int, known: set[str]
    ) -> Mapping[str, Any] | None:
        if not size:
            return None
        lines = [
            line for line in view.witness.cosignatures(size) if line.witness in known
        ]
        return {"size": size, "cosigned": len(lines)}

    async def warnings(self) -> Sequence[str]:
        """Return `witnesses.quorum` where the newest anchor lacks cosignatures.

        Not in the minute after it was begun: then they are still being collected.
        """

        def _look(view: UnitOfWork) -> bool:
            anchor = view.log.anchor()
            if anchor is None or self.clock.now() < anchor.at + _GRACE:
                return False
            known = {witness.did for witness in self._witnesses(view)}
            found = self._count(view, anchor.size, known)
            return found is not None and found["cosigned"] < self.quorum

        short = bool(self.quorum) and await self.store.read(_look)
        return ["witnesses.quorum"] if short else []
