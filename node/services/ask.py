"""Ask: query a partner's node, check its answer, keep it, countersign.

The answer is believed only after `ledger.response` has checked it against what
was asked and against the keys pinned for the provider. A refusal is checked and
kept as well: its receipt shows that the partner refused, and why.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u
from crypto.errors import CryptoError
from ledger.participants import Participant
from ledger.response import Asked, Response, parse_response, verify_response
from ledger.steps import Step, verdict
from ledger.wording import State
from node.domain.agreement import Agreement
from node.domain.decision import explained
from node.domain.disclosure import Request
from node.domain.negotiation import Role
from node.errors import NotFound, Unavailable
from node.ports import Clock, Identity, Peers, Randomness, Received, Store
from node.services.align import Align
from node.services.countersign import Countersign


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Asks partners, as their consumer."""

    store: Store
    identity: Identity
    peers: Peers
    align: Align
    countersign: Countersign
    clock: Clock
    randomness: Randomness

    async def __call__(
        self,
        *,
        agreement_id: str,
        purpose: str,
        fields: Sequence[str],
        customers: Sequence[str],
    ) -> Mapping[str, Any]:
        """Ask for fields of customers.

        Args:
            customers: Normalised customer keys.

        Returns:
            The receipt's id, whether it was allowed, the denials, and for each
            customer its records or None when it is not shared; with every check.

        Raises:
            NotFound: We have no such agreement as consumer.
            BadRequest: A customer is empty or not in Unicode form C.
            Unavailable: The provider did not answer, or not with a receipt.
        """
        agreement, provider = await self._agreement(agreement_id)
        tokens = self.align.tokens(agreement, customers)
        request = Request(
            dataset=agreement.dataset,
            agreement=agreement_id,
            purpose=purpose,
            fields=tuple(sorted(set(fields))),
            customers=tuple(tokens),
        )
        response, asked = await self._send(agreement, request, provider)
        # Milliseconds for each record: not on the event loop.
        steps = await asyncio.to_thread(verify_response, response, asked, provider)
        verified = verdict(steps) is State.CHECKED
        await self._keep(response, steps, verified=verified)
        if verified and response.signed.receipt.consumer:
            await self.countersign(response.signed, provider)
        return {
            "receipt": response.signed.receipt.receipt_id,
            "allowed": response.disclosure is not None,
            "verified": verified,
            "denials": explained(response.signed.receipt.denials),
            "customers": _by_name(response, tokens) if verified else {},
            "checks": [step.to_json() for step in steps],
        }

    async def _agreement(self, agreement_id: str) -> tuple[Agreement, Participant]:
        kept = await self.store.read(lambda view: view.agreements.get(agreement_id))
        if kept is None or kept.role is not Role.CONSUMER:
            raise NotFound("agreement.unknown", "We hold no such agreement.")
        provider = self.identity.participant(kept.agreement.assigner)
        if provider is None:
            detail = f"{kept.agreement.assigner} is not in the registry."
            raise NotFound("participant.unknown", detail)
        return kept.agreement, provider

    async def _send(
        self, agreement: Agreement, request: Request, provider: Participant
    ) -> tuple[Response, Asked]:
        nonce = b64u(self.randomness(32))
        token = self.identity.issue(
            audience=provider.did,
            bound_to=request.hash,
            agreement=agreement.id,
            nonce=nonce,
        )
        path = f"/views/{request.dataset}/query"
        reply = await self.peers.post(provider, path, request.body(), token=token)
        asked = Asked(
            consumer=self.identity.me.did,
            dataset=request.dataset,
            nonce=nonce,
            agreement_hash=agreement.hash,
            body=request.body(),
        )
        try:
            return parse_response(reply.body), asked
        except CryptoError as error:
            body = reply.body if isinstance(reply.body, dict) else {}
            code = str(body.get("code", ""))[:64]
            detail = f"{provider.did} answered {reply.status} {code}, with no receipt."
            raise Unavailable("partner.no_receipt", detail) from error

    async def _keep(
        self, response: Response, steps: Sequence[Step], *, verified: bool
    ) -> None:
        disclosure = response.disclosure
        received = Received(
            signed=response.signed,
            at=self.clock.now(),
            verified=verified,
            checks=[step.to_json() for step in steps],
            disclosure=disclosure.to_json() if disclosure else None,
        )
        await self.store.write(lambda work: work.receipts.receive(received))


def _by_name(
    response: Response, tokens: Mapping[bytes, str]
) -> dict[str, list[Mapping[str, Any]] | None]:
    answers = response.disclosure.answers if response.disclosure else ()
    return {
        tokens[answer.customer]: None
        if answer.records is None
        else [dict(record.fields) for record in answer.records]
        for answer in answers
    }
