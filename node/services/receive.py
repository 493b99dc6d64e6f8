"""Receive: keep what a partner answered, and hold it to its own receipts.

A partner's receipts under an agreement are a stream: each has the number of the one
before plus one, and names it. A receipt that does not fit those that we hold shows
two histories, both signed. It is kept, nothing of its answer is believed, and a
person is called.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.errors import Inconsistent
from ledger.participants import Participant
from ledger.receipts import Receipt, SignedReceipt
from ledger.response import Response
from ledger.step_answer import StepAnswer
from ledger.steps import Step, step, verdict
from ledger.wording import State
from node.domain.disclosure import Request
from node.domain.steps import Call, StepRequest
from node.ports import Alarm, Clock, Received, Store, UnitOfWork
from node.services.countersign import Countersign


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """Keeps answers, as the consumer of a partner."""

    store: Store
    countersign: Countersign
    clock: Clock

    async def __call__(
        self,
        response: Response,
        steps: Sequence[Step],
        request: Request,
        provider: Participant,
    ) -> list[Step]:
        """Keep an answer with its checks, and our signature where they all hold.

        Returns:
            The checks, with one more where the receipt contradicts those before.
        """
        disclosure = response.disclosure
        told = await asyncio.to_thread(disclosure.to_json) if disclosure else None
        return await self._kept(response.signed, told, steps, request, provider)

    async def step(
        self,
        signed: SignedReceipt,
        answer: StepAnswer | None,
        steps: Sequence[Step],
        request: StepRequest,
        provider: Participant,
    ) -> list[Step]:
        """Keep the answer to a step, without its octets; the same otherwise."""
        told = answer.to_json() if answer else None
        return await self._kept(signed, told, steps, request, provider)

    async def _kept(
        self,
        signed: SignedReceipt,
        told: Mapping[str, Any] | None,
        steps: Sequence[Step],
        request: Call,
        provider: Participant,
    ) -> list[Step]:
        receipt = signed.receipt
        known_to_them = receipt.consumer is not None

        def _keep(work: UnitOfWork) -> list[Step]:
            checks = [*steps, *self._following(work, receipt, provider)]
            verified = verdict(checks) is State.CHECKED
            signs = verified and known_to_them
            work.receipts.receive(
                Received(
                    signed=signed,
                    at=self.clock.now(),
                    verified=verified,
                    checks=[each.to_json() for each in checks],
                    disclosure=told,
                    countersignature=self.countersign.sign(signed) if signs else None,
                )
            )
            if known_to_them and "countersignature.wrong" not in receipt.denials:
                work.receipts.delivered([it for it, _ in request.countersignatures])
            return checks

        return await self.store.write(_keep)

    def _following(
        self, work: UnitOfWork, receipt: Receipt, provider: Participant
    ) -> list[Step]:
        try:
            for held in work.receipts.neighbours(receipt):
                _check_beside(held, receipt)
        except Inconsistent as error:
            work.alarms.sound(
                Alarm(
                    code="stream.diverged",
                    subject=receipt.stream,
                    detail=f"{provider.did}: {error}",
                    at=self.clock.now(),
                )
            )
            return [step("stream", "failed", str(error))]
        return []


def _check_beside(held: SignedReceipt, receipt: Receipt) -> None:
    """Check a receipt beside one of the same stream, at most one place away.

    Raises:
        Inconsistent: Their provider signed two histories.
    """
    before, after = sorted((held.receipt, receipt), key=lambda each: each.sequence)
    if before.sequence == after.sequence:
        if before.receipt_id != after.receipt_id:
            raise Inconsistent(f"two receipts have the number {before.sequence}")
    elif after.previous != before.receipt_id:
        raise Inconsistent(f"receipt {after.sequence} does not follow the one we hold")
