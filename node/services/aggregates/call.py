"""Call a step: send it to a partner's node, check the answer, keep it, sign it back.

As with a query (`node.services.ask`): that we ask is durable before anything is sent;
what comes back is believed only after it was checked against what was asked and
against the keys pinned for the provider; and the receipt is kept and signed back
before anybody uses the answer.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u, parse_json, sha256
from crypto.errors import CryptoError
from ledger.participants import Participant
from ledger.plans import Party, SignedPlan
from ledger.receipts import stream_id
from ledger.step_answer import (
    AskedStep,
    StepAnswer,
    StepResponse,
    parse_step_response,
    verify_step_response,
)
from ledger.steps import verdict
from ledger.wording import State
from node.domain.acknowledged import Acknowledged
from node.domain.agreement import Agreement
from node.domain.denials import DENIALS
from node.domain.negotiation import Role
from node.domain.steps import StepRequest, framed, unframed
from node.errors import Conflict, NodeError, NotFound, Refused, Unavailable
from node.ports import Clock, Identity, Owed, Peers, Randomness, SentCall, Store
from node.services.aggregates.steps import Answer
from node.services.receive import Receive
from node.services.situate import FAULTS

_TIMEOUT_S = 900.0
"""A provider may have a million customers to blind before it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStep:
    """Implements `node.services.aggregates.steps.CallStep`."""

    store: Store
    identity: Identity
    peers: Peers
    receive: Receive
    clock: Clock
    randomness: Randomness

    async def __call__(
        self,
        signed: SignedPlan,
        party: Party,
        step: str,
        arguments: Mapping[str, Any],
        payload: bytes = b"",
    ) -> Answer:
        """Send a step; return the checked answer, once its receipt is kept.

        Raises:
            Refused: The provider refused; the code is its first denial.
            Conflict: What it answered does not verify (`answer.unverified`).
            Unavailable: It did not answer, or not with a receipt; or it refused for a
                fault of its own that may pass, and its receipt says so.
        """
        agreement, provider = await self._agreement(party)
        request = await self._request(signed, agreement, step, arguments, payload)
        response, octets, asked = await self._sent(
            request, payload, agreement, provider
        )
        steps = await asyncio.to_thread(
            verify_step_response, response, asked, provider, octets
        )
        members = response.members
        told = (
            None
            if members is None
            else await asyncio.to_thread(StepAnswer.of, members, octets)
        )
        steps = tuple(
            await self.receive.step(response.signed, told, steps, request, provider)
        )
        if verdict(steps) is not State.CHECKED:
            wrong = next(each for each in steps if each.state is not State.CHECKED)
            detail = f"{provider.did}: {wrong.name}: {wrong.detail}."
            raise Conflict("answer.unverified", detail)
        if members is None:
            raise _refused(response, provider)
        return Answer(members=members, payload=octets)

    async def _agreement(self, party: Party) -> tuple[Agreement, Participant]:
        kept = await self.store.read(lambda view: view.agreements.get(party.agreement))
        if kept is None or kept.role is not Role.CONSUMER:
            raise NotFound("agreement.unknown", "We hold no such agreement.")
        provider = self.identity.participant(kept.agreement.assigner)
        if provider is None:
            detail = f"{kept.agreement.assigner} is not in the registry."
            raise NotFound("participant.unknown", detail)
        return kept.agreement, provider

    async def _request(
        self,
        signed: SignedPlan,
        agreement: Agreement,
        step: str,
        arguments: Mapping[str, Any],
        payload: bytes,
    ) -> StepRequest:
        stream, now = self._stream(agreement), self.clock.now()
        last, owed = await self.store.read(
            lambda view: (view.receipts.newest(stream), view.receipts.owed(stream, now))
        )
        return StepRequest(
            dataset=agreement.dataset,
            agreement=agreement.id,
            purpose=signed.plan.purpose,
            plan=signed,
            step=step,
            arguments=arguments,
            payload=(await asyncio.to_thread(sha256, payload)).hex(),
            stream=Acknowledged(
                last=last, countersignatures=tuple(map(_signature, owed))
            ),
        )

    def _stream(self, agreement: Agreement) -> str:
        return stream_id(
            provider=agreement.assigner,
            consumer=agreement.assignee,
            agreement=agreement.id,
        )

    async def _sent(
        self,
        request: StepRequest,
        payload: bytes,
        agreement: Agreement,
        provider: Participant,
    ) -> tuple[StepResponse, bytes, AskedStep]:
        """Send it, after that was kept; return the answer, not yet checked."""
        nonce = b64u(self.randomness(32))
        token = self.identity.issue(
            audience=provider.did,
            bound_to=request.hash,
            agreement=request.agreement,
            nonce=nonce,
        )
        call = SentCall(
            nonce=nonce,
            stream=self._stream(agreement),
            provider=provider.did,
            agreement=request.agreement,
            request_hash=request.hash,
            token=token,
            at=self.clock.now(),
        )
        await self.store.write(lambda work: work.receipts.send(call))
        header = request.header()
        reply = await self.peers.exchange(
            provider,
            f"/aggregates/{request.dataset}/{request.step}",
            await asyncio.to_thread(framed, header, payload),
            token=token,
            timeout_s=_TIMEOUT_S,
        )
        asked = AskedStep(
            consumer=self.identity.me.did,
            dataset=request.dataset,
            nonce=nonce,
            agreement_hash=agreement.hash,
            header=header,
        )
        try:
            response, octets = await asyncio.to_thread(
                _read, reply.status, reply.content
            )
        except CryptoError as error:
            detail = f"{provider.did} answered {reply.status}, with no receipt."
            raise Unavailable("partner.no_receipt", detail) from error
        return response, octets, asked


def _read(status: int, content: bytes) -> tuple[StepResponse, bytes]:
    """Read a framed answer, or the problem that a refusal is. Raises `Malformed`."""
    if status >= 300:
        return parse_step_response(parse_json(content)), b""
    header, octets = unframed(content)
    return parse_step_response(header), octets


def _refused(response: StepResponse, provider: Participant) -> NodeError:
    receipt = response.signed.receipt
    code = receipt.denials[0]
    known = DENIALS.get(code)
    said = f"{known.message.en} {known.mend.en}" if known else code
    extra = {"receipt_id": receipt.receipt_id, "denials": list(receipt.denials)}
    kind = Unavailable if code in FAULTS else Refused
    return kind(code, f"{provider.did}: {said}", extra=extra)


def _signature(owed: Owed) -> tuple[str, bytes]:
    return owed.signed.receipt.receipt_id, owed.countersignature.signature
