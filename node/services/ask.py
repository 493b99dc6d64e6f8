"""Ask: query a partner's node, check its answer, keep it.

That we ask is durable before anything is sent: if no receipt comes back, our own
signed call is what there is to show. With each call go the signatures over receipts
of the calls before (`node.services.receive`).

The answer is believed only after `ledger.response` has checked it against what
was asked, against the keys pinned for the provider and against what we declared,
and `watch` has found that its snapshot fits those before. A refusal is checked and
kept as well: its receipt shows that the partner refused, and why.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto import typed
from crypto.encoding import b64u
from crypto.errors import CryptoError
from ledger.conditions import Condition, ordered
from ledger.disclosure import Disclosure, Rank
from ledger.errors import LedgerError
from ledger.participants import Participant
from ledger.receipts import stream_id
from ledger.response import Asked, Response, parse_response, verify_response
from ledger.steps import Step, step, verdict
from ledger.wording import State
from node.domain.agreement import Agreement
from node.domain.denials import explained
from node.domain.disclosure import Request
from node.domain.negotiation import Role
from node.errors import NotFound, Unavailable
from node.ports import (
    Clock,
    Declaration,
    Identity,
    Owed,
    Peers,
    Randomness,
    SentCall,
    Store,
)
from node.services.align import Align
from node.services.receive import Receive
from node.services.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Asks partners, as their consumer."""

    store: Store
    identity: Identity
    peers: Peers
    align: Align
    receive: Receive
    watch: Watch
    clock: Clock
    randomness: Randomness

    async def __call__(
        self,
        *,
        agreement_id: str,
        purpose: str,
        fields: Sequence[str],
        customers: Sequence[str],
        where: Sequence[Condition] = (),
    ) -> Mapping[str, Any]:
        """Ask for fields of customers, and for proofs about others.

        Args:
            customers: Normalised customer keys.
            where: Conditions on fields that stay hidden. Records of which they do
                not hold are not shown.

        Returns:
            The receipt's id, whether it was allowed, the denials; for each customer
            its records or None when it is not shared; type, unit and scale of each
            field; where the snapshot stands that they are from; with every check.

        Raises:
            NotFound: We have no such agreement as consumer.
            BadRequest: A customer is empty or not in Unicode form C, or a condition
                is none.
            Unavailable: The provider did not answer, or not with a receipt.
        """
        agreement, provider = await self._agreement(agreement_id)
        stream = stream_id(
            provider=provider.did, consumer=self.identity.me.did, agreement=agreement_id
        )
        now = self.clock.now()
        last, owed = await self.store.read(
            lambda view: (view.receipts.newest(stream), view.receipts.owed(stream, now))
        )
        # What is of ten thousand customers takes long: not on the event loop.
        tokens = await asyncio.to_thread(self.align.tokens, agreement, customers)
        request = await asyncio.to_thread(
            Request,
            dataset=agreement.dataset,
            agreement=agreement_id,
            purpose=purpose,
            fields=tuple(sorted(set(fields))),
            customers=tuple(tokens),
            where=ordered(where),
            last=last,
            countersignatures=tuple(map(_signature, owed)),
        )
        response, asked = await self._send(agreement, request, provider, stream)
        steps, snapshot = await self._check(response, asked, agreement, provider)
        steps = await self.receive(response, steps, request, provider)
        return _answer(request, response, tokens, snapshot, steps)

    async def _check(
        self,
        response: Response,
        asked: Asked,
        agreement: Agreement,
        provider: Participant,
    ) -> tuple[list[Step], Mapping[str, Any] | None]:
        """Check an answer, and the snapshot that it is from."""
        disclosure = response.disclosure
        signed = disclosure.snapshot if disclosure else None
        declared = None
        if signed is not None:
            digest = signed.snapshot.declaration
            declared = await self.store.read(
                lambda view: view.agreements.declaration(agreement.id, digest)
            )
        if problem := _beyond(disclosure, agreement, asked):
            return [step("disclosure", "failed", problem)], None
        agreed = agreement.terms.predicates
        # Milliseconds for each record: not on the event loop.
        steps = await asyncio.to_thread(
            lambda: list(
                verify_response(
                    response,
                    asked,
                    provider,
                    rank=_rank(declared),
                    declaration=declared.hash if declared else None,
                    agreed={each.field: each.typed for each in agreed},
                    random_bytes=self.randomness,
                )
            )
        )
        if signed is None or verdict(steps) is not State.CHECKED:
            return steps, None
        try:
            age = await self.watch.keep(signed)
            return steps, await self.watch.state(signed, provider, age)
        except (CryptoError, LedgerError) as error:
            return [*steps, step("snapshot", "failed", str(error))], None

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
        self,
        agreement: Agreement,
        request: Request,
        provider: Participant,
        stream: str,
    ) -> tuple[Response, Asked]:
        nonce = b64u(self.randomness(32))
        token = self.identity.issue(
            audience=provider.did,
            bound_to=request.hash,
            agreement=agreement.id,
            nonce=nonce,
        )
        call = SentCall(
            nonce=nonce,
            stream=stream,
            provider=provider.did,
            agreement=agreement.id,
            request_hash=request.hash,
            token=token,
            at=self.clock.now(),
        )
        await self.store.write(lambda work: work.receipts.send(call))
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
            return await asyncio.to_thread(parse_response, reply.body), asked
        except CryptoError as error:
            body = reply.body if isinstance(reply.body, dict) else {}
            code = str(body.get("code", ""))[:64]
            detail = f"{provider.did} answered {reply.status} {code}, with no receipt."
            raise Unavailable("partner.no_receipt", detail) from error


def _signature(owed: Owed) -> tuple[str, bytes]:
    return owed.signed.receipt.receipt_id, owed.countersignature.signature


def _beyond(
    disclosure: Disclosure | None, agreement: Agreement, asked: Asked
) -> str | None:
    """Return what an answer holds that the agreement does not provide for, or None.

    Looked at before any proof is, which takes milliseconds each.
    """
    if disclosure is None:
        return None
    terms = agreement.terms
    if disclosure.records + disclosure.withheld > terms.rows_per_call:
        return "more records than the agreement allows in one call"
    granted = {grant.field for grant in terms.predicates}
    if any(not granted.issuperset(each["fields"]) for each in asked.body["where"]):
        return "a proof about a field of which the agreement grants none"
    return None


def _answer(
    request: Request,
    response: Response,
    tokens: Mapping[bytes, str],
    snapshot: Mapping[str, Any] | None,
    steps: Sequence[Step],
) -> dict[str, Any]:
    """Return what an answer says; of customers nothing, unless every check passed."""
    receipt, verified = response.signed.receipt, verdict(steps) is State.CHECKED
    return {
        "receipt": receipt.receipt_id,
        "allowed": response.disclosure is not None,
        "verified": verified,
        "denials": explained(receipt.denials),
        "where": [each.to_json() for each in request.where],
        "customers": _by_name(response, tokens) if verified else {},
        "schema": _schema(response) if verified else {},
        "snapshot": snapshot,
        "checks": [step.to_json() for step in steps],
    }


def _schema(response: Response) -> dict[str, dict[str, Any]]:
    """Return what each field of an answer means: type, unit and scale."""
    schema = response.disclosure.schema if response.disclosure else ()
    return {
        each.name: {"type": each.kind.value, "unit": each.unit, "scale": each.scale}
        for each in schema
        if isinstance(each, typed.Field)
    }


def _rank(declared: Declaration | None) -> Rank:
    """Return what tells where a token of ours has its leaf."""

    def rank(token: bytes) -> int | None:
        if declared is None:
            return None
        tokens = declared.tokens
        place = bisect_left(range(declared.size), token, key=lambda at: _at(tokens, at))
        found = place < declared.size and _at(tokens, place) == token
        return place if found else None

    return rank


def _at(tokens: bytes, place: int) -> bytes:
    return tokens[32 * place : 32 * (place + 1)]


def _by_name(
    response: Response, tokens: Mapping[bytes, str]
) -> dict[str, list[Mapping[str, Any]] | None]:
    answers = response.disclosure.answers if response.disclosure else ()
    return {
        tokens[answer.customer]: None
        if answer.records is None
        else [
            {"fields": dict(record.fields or {}), "proved": record.fields is not None}
            for record in answer.records
        ]
        for answer in answers
    }
