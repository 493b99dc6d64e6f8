"""Witness: cosign partners' checkpoints, and remember what was seen of their logs.

A partner's node hands in its newest checkpoint. It is cosigned if it continues the
newest one that we have cosigned of that log (`ledger.witness`). Looking and keeping
are one transaction, which holds the log's row from the look on: of two requests at
once, one sees what the other has kept.

Every checkpoint of a partner's log that we meet, here or in what it tells us of an
entry's place, is compared with those remembered. Two of one size with different
roots prove, to anybody, that the partner has two logs: the proof is kept, and a
person is told. Until that person has cleared the alarm, nothing of that log is
cosigned any more.

Spec: c2sp.org/tlog-witness; `docs/protocols/witnesses.md`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from crypto.encoding import sha256
from crypto.errors import CryptoError, Malformed
from crypto.notes import Checkpoint, split_note
from crypto.signing import Signer
from ledger.checkpoint import open_checkpoint, origin_of
from ledger.cosignature import cosign, with_cosignatures, without_cosignatures
from ledger.equivocation import equivocation
from ledger.errors import Inconsistent
from ledger.participants import Participant
from ledger.place import Place
from ledger.witness import (
    SIZE_MEDIA,
    Conflict,
    Cosign,
    Decision,
    Held,
    Refused,
    Request,
    judge,
    open_request,
    parse_request,
    render_size,
)
from node.ports import Alarm, Clock, Fault, Identity, Store, UnitOfWork, Witnessed

FORKED: Final = "partner.forked"
_PLAIN: Final = "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a witness answers: HTTP status, media type, body."""

    status: int
    text: str
    media: str = _PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Watches the logs of the consortium's other participants.

    Attributes:
        signer: This node's signing key, which also cosigns.
        unlinked: Of each log, by its DID, a checkpoint that we met and that nobody has
            shown yet to fit what we cosigned (`node.services.compare_logs`).
    """

    store: Store
    identity: Identity
    signer: Signer
    clock: Clock
    unlinked: dict[str, Witnessed] = field(default_factory=dict)

    async def __call__(self, body: bytes) -> Answer:
        """Answer a request for a cosignature (`add-checkpoint`).

        Anybody may send it: what counts is the log's signature on the checkpoint.

        Raises:
            Unavailable: The store or the registry does not answer. Nothing is
                cosigned that is not kept.
        """
        try:
            request = parse_request(body)
        except Malformed as error:
            return Answer(status=400, text=f"{error}\n")
        opened = await asyncio.to_thread(open_request, request, self._origins())
        if isinstance(opened, Refused):
            return _answer(opened)
        log, seen = opened
        likely = await self.store.read(
            lambda view: _judge(request, log, seen, view.witness.newest(seen.origin))
        )
        # A signature takes longer than all the rest: not while the log is held.
        line = ""
        if isinstance(likely, Cosign):
            line = await asyncio.to_thread(self._line, request)
        decision, line = await self.store.write(
            lambda work: self._decide(work, request, log, seen, line)
        )
        return _answer(decision, line)

    def _decide(
        self,
        work: UnitOfWork,
        request: Request,
        log: Participant,
        seen: Checkpoint,
        line: str,
    ) -> tuple[Decision, str]:
        """Judge and keep in one transaction; return the cosignature to hand out."""
        held = work.witness.hold(seen.origin)
        met = self._met(log, seen, request.note)
        self._accuse(work, log, met)
        decision = _judge(request, log, seen, held)
        if not isinstance(decision, Cosign):
            return decision, ""
        if _is_forked(work, log):
            return Refused(status=422, why="this log has two histories"), ""
        line = line or self._line(request)
        if decision.changes:
            work.witness.keep(replace(met, note=with_cosignatures(met.note, [line])))
            work.witness.meet(met)
        return decision, line

    def _line(self, request: Request) -> str:
        """Return our signature line under a checkpoint, with the time of now."""
        text, _ = split_note(request.note)
        me, at = self.identity.me.did, int(self.clock.now().timestamp())
        return cosign(text, did=me, signer=self.signer, at=at).render()

    async def newest(self, origin: str) -> str | None:
        """Return the newest checkpoint that we cosigned of a log, both lines under it.

        Args:
            origin: Of the log; or the SHA-256 of it, in hex.
        """
        named = [name for name in self._origins() if origin in (name, _digest(name))]
        if not named:
            return None
        found = await self.store.read(lambda view: view.witness.newest(named[0]))
        return found.note if found else None

    async def compare(self, provider: Participant, place: Place) -> None:
        """Compare the checkpoints in what a partner tells with those remembered.

        Raises:
            CryptoError: One of them is not that partner's.
            Inconsistent: They show two histories. The proof is kept.
        """
        notes = [told.checkpoint for told in (place.inclusion, place.anchor) if told]
        if notes and provider.did != self.identity.me.did:
            await self.meet(provider, list(dict.fromkeys(notes)))

    async def meet(self, provider: Participant, notes: Sequence[str]) -> None:
        """Compare checkpoints of a partner's log with those remembered of it.

        One of a size that is not remembered is left in `unlinked`.

        Raises:
            CryptoError: One of them is not that partner's.
            Inconsistent: They show two histories. The proof is kept.
        """
        for note in notes:
            await self._meet(provider, note)

    async def _meet(self, provider: Participant, note: str) -> None:
        opened = await asyncio.to_thread(self._opened, provider, note)
        met = self._met(provider, opened, note)
        known, held = await self.store.read(lambda view: _look(view, met))
        if known is None and held is None:
            # Nobody asks us to witness this log. Then the first of a size counts.
            await self.store.write(lambda work: work.witness.meet(met))
        elif known is None:
            self.unlinked.setdefault(provider.did, met)
        elif known.root != met.root:
            await self.store.write(lambda work: self._accuse(work, provider, met))
            raise Inconsistent("the provider's log has two roots at one size")

    @staticmethod
    def _opened(provider: Participant, note: str) -> Checkpoint:
        return open_checkpoint(
            note, origin=origin_of(provider.did), keys=provider.verifiers
        )

    def _accuse(self, work: UnitOfWork, log: Participant, met: Witnessed) -> None:
        """Keep the proof, and sound the alarm, if a checkpoint shows a fork."""
        first = work.witness.met(met.origin, met.size)
        proof = equivocation(log, first.note, met.note) if first else None
        if proof is None:
            return
        work.faults.keep(
            Fault(
                id=proof.fault_id,
                kind="equivocation",
                participant=log.did,
                proof=proof.to_json(),
                at=met.at,
            )
        )
        detail = f"Two checkpoints of {met.size} entries, one fault: {proof.fault_id}."
        work.alarms.sound(Alarm(code=FORKED, subject=log.did, detail=detail, at=met.at))

    def _met(self, log: Participant, seen: Checkpoint, note: str) -> Witnessed:
        return Witnessed(
            origin=seen.origin,
            size=seen.size,
            root=seen.root,
            note=without_cosignatures(note, log),
            at=self.clock.now(),
        )

    def _origins(self) -> dict[str, Participant]:
        """Return the logs that are witnessed: of all participants but ourselves."""
        found = {}
        for participant in self.identity.participants():
            if participant.did != self.identity.me.did:
                try:
                    found[origin_of(participant.did)] = participant
                except CryptoError:  # a DID of another method has no log
                    continue
        return found


def _judge(
    request: Request, log: Participant, seen: Checkpoint, held: Witnessed | None
) -> Decision:
    known = Held(size=held.size, root=held.root) if held else None
    return judge(request.old, request.proof, seen, known, hashing=log.hashing)


def _is_forked(view: UnitOfWork, log: Participant) -> bool:
    found = ((alarm.code, alarm.subject) for alarm in view.alarms.open())
    return (FORKED, log.did) in found


def _look(
    view: UnitOfWork, met: Witnessed
) -> tuple[Witnessed | None, Witnessed | None]:
    """Return what is remembered of that size, and what we cosigned last."""
    return view.witness.met(met.origin, met.size), view.witness.newest(met.origin)


def _answer(decision: Decision, line: str = "") -> Answer:
    match decision:
        case Cosign():
            return Answer(status=200, text=line)
        case Conflict():
            return Answer(status=409, text=render_size(decision.size), media=SIZE_MEDIA)
        case Refused():
            return Answer(status=decision.status, text=f"{decision.why}\n")


def _digest(origin: str) -> str:
    return sha256(origin.encode()).hex()
