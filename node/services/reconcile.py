"""Reconcile: compare the streams that we have with a partner, and say who lacks what.

Both nodes keep the stream of each agreement. A difference is mended where it is an
answer or a signature that was lost; it is kept as a proof, and a person is called,
where the provider has two histories. Comparing again changes nothing more, and a
comparison that is cut off goes on where it was: each step is kept as it is made.

Spec: `docs/protocols/streams.md`.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.checkpoint import origin_of
from ledger.fork import Fork, verify_fork
from ledger.steps import verdict
from ledger.streams import Place
from ledger.wording import State
from node.domain.agreement import render_instant
from node.domain.negotiation import Role
from node.errors import NotFound, Unavailable
from node.ports import (
    Alarm,
    Clock,
    Fault,
    Identity,
    KeptAgreement,
    Reconciled,
    Store,
    UnitOfWork,
)
from node.services.compare_as_consumer import CompareAsConsumer
from node.services.compare_as_provider import CompareAsProvider
from node.services.compare_streams import Comparison
from node.services.stream_side import Side, partner_of, side_of

_IN_FLIGHT: Final = datetime.timedelta(minutes=5)
"""A call that is younger may still be answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """Compares all streams with a partner, as their provider and as consumer."""

    store: Store
    identity: Identity
    clock: Clock
    as_consumer: CompareAsConsumer
    as_provider: CompareAsProvider

    async def __call__(
        self, partner: str, agreement: str | None = None
    ) -> Mapping[str, Any]:
        """Compare the streams with a partner.

        Args:
            partner: Its DID.
            agreement: Only the stream of this agreement.

        Returns:
            A report: `state` is `same`, `different`, or `partial` where a stream
            could not be compared; for each stream what each side says, the
            differences in words, and what shows them.

        Raises:
            NotFound: There is no such partner, or no such agreement with it.
        """
        if self.identity.participant(partner) is None:
            detail = f"{partner} is not in the consortium's registry."
            raise NotFound("participant.unknown", detail)
        kept = await self.store.read(lambda view: view.agreements.all())
        chosen = [
            each
            for each in kept
            if partner_of(each) == partner and agreement in (None, each.agreement.id)
        ]
        if agreement is not None and not chosen:
            raise NotFound("agreement.unknown", "There is no such agreement with it.")
        streams = [await self._one(each) for each in reversed(chosen)]
        return {
            "partner": partner,
            "at": render_instant(self.clock.now()),
            "state": _state(streams),
            "streams": streams,
        }

    async def _one(self, kept: KeptAgreement) -> dict[str, Any]:
        side = side_of(kept, self.identity)
        compare = self.as_provider if side.role is Role.PROVIDER else self.as_consumer
        named = {
            "agreement": side.agreement,
            "stream": side.stream,
            "role": side.role.value,
            "partner": side.partner.did,
        }
        try:
            found = await compare(side)
        except Unavailable as error:
            told = {"state": "unreachable", "code": error.code, "detail": error.detail}
            await self.store.write(lambda work: self._keep(work, side, named | told))
            return named | told
        report = named | _report(found)

        def _finish(work: UnitOfWork) -> dict[str, Any]:
            before = self.clock.now() - _IN_FLIGHT
            report["unanswered"] = work.streams.unanswered(side.stream, before)
            self._keep(work, side, report)
            for fork in found.forks:
                self._accuse(work, side, fork)
            if found.lost:
                self._stop(work, side)
            return report

        return await self.store.write(_finish)

    def _keep(self, work: UnitOfWork, side: Side, report: Mapping[str, Any]) -> None:
        """Keep how it came out; of what shows it, the names."""
        told = dict(report)
        told["differences"] = [
            {**each, "evidence": sorted(each["evidence"])}
            for each in report.get("differences", ())
        ]
        work.streams.keep(
            Reconciled(
                stream=side.stream,
                at=self.clock.now(),
                state=report["state"],
                report=told,
            )
        )

    def _accuse(self, work: UnitOfWork, side: Side, fork: Fork) -> None:
        """Keep a proof that holds for anybody, and call a person."""
        pins = {side.provider.did: side.provider}
        proof = fork.to_json()
        if verdict(verify_fork(proof, pins)) is not State.CHECKED:
            return
        now, provider = self.clock.now(), fork.provider
        work.faults.keep(
            Fault(
                id=fork.fork_id,
                kind="fork",
                participant=provider,
                proof=proof,
                at=now,
            )
        )
        detail = (
            f"{provider} has two histories of the stream of {side.agreement}, "
            f"from receipt {fork.first.receipt.sequence} on. The proof is "
            f"{fork.fork_id}."
        )
        work.alarms.sound(
            Alarm(code="partner.forked", subject=provider, detail=detail, at=now)
        )

    def _stop(self, work: UnitOfWork, side: Side) -> None:
        """Disclose nothing on top of a history that others remember differently."""
        detail = (
            f"{side.partner.did} holds receipts of the stream of {side.agreement} "
            "under our signature that are not in our store."
        )
        work.alarms.sound(
            Alarm(
                code="log.forked",
                subject=origin_of(side.me.did),
                detail=detail,
                at=self.clock.now(),
            )
        )


def _report(found: Comparison) -> dict[str, Any]:
    return {
        "state": "different" if found.differences else "same",
        "ours": _place(found.ours),
        "theirs": _place(found.theirs),
        "questions": found.questions,
        "delivered": found.delivered,
        "differences": [each.to_json() for each in found.differences],
    }


def _place(place: Place) -> dict[str, Any]:
    return {"count": place.count, "head": place.head}


def _state(streams: Sequence[Mapping[str, Any]]) -> str:
    states = {each["state"] for each in streams}
    if "different" in states:
        return "different"
    return "partial" if "unreachable" in states else "same"
