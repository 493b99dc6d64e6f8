"""A live answer, checked by the consumer before it countersigns.

The consumer knows what it asked; the receipt says what the provider was asked.
They must be the same call, answered with what the receipt says was answered.
What fails here is kept with its steps, and never countersigned.

Spec: `docs/protocols/receipts.md`, section "Before countersigning".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto.bbs import RandomBytes
from crypto.encoding import b64u
from crypto.errors import InvalidProof
from crypto.typed import Field
from ledger import shape
from ledger.conditions import parse_conditions
from ledger.disclosure import (
    MEMBERS,
    Disclosure,
    Rank,
    parse_disclosure,
    verify_disclosure,
)
from ledger.participants import Participant
from ledger.receipts import (
    Receipt,
    SignedReceipt,
    check_told,
    parse_signed_receipt,
    request_hash,
    verify_receipt,
)
from ledger.steps import Outcome, Step, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call as the consumer made it.

    Attributes:
        consumer: Its own DID.
        dataset: From the address.
        nonce: Of the token that carried the call.
        agreement_hash: Hash of the agreement it holds, 64 hex digits.
        body: The body, exactly as sent: `agreement`, `purpose`, `fields`, `where`
            and `customers`.
    """

    consumer: str
    dataset: str
    nonce: str
    agreement_hash: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a provider answered: a receipt, and a disclosure where it allowed."""

    signed: SignedReceipt
    disclosure: Disclosure | None


def parse_response(body: object) -> Response:
    """Read the JSON body of an answer, allowed (200) or refused (403).

    Raises:
        Malformed: No receipt, or not exactly what its decision calls for.
    """
    message = shape.mapping(body, "response")
    signed = parse_signed_receipt(message)
    if signed.receipt.decision == "deny":  # a problem document, open to more members
        return Response(signed=signed, disclosure=None)
    parts = {"receipt", "provider_signature"}
    shape.members(message, parts | MEMBERS, "response")
    disclosure = parse_disclosure({name: message[name] for name in MEMBERS})
    return Response(signed=signed, disclosure=disclosure)


def verify_response(
    response: Response,
    asked: Asked,
    provider: Participant,
    *,
    rank: Rank | None,
    random_bytes: RandomBytes | None,
    declaration: str | None = None,
    agreed: Mapping[str, Field] | None = None,
) -> tuple[Step, ...]:
    """Check an answer before countersigning it.

    1. `provider_signature`: the receipt is signed under the pinned key.
    2. `request`: it tells the call as it was made; a refusal may leave unsaid
       what it did not recognise, but may say nothing else.
    3. `disclosure`, where it was allowed: it is what the receipt says, for the
       customers that were asked for, all of what was committed to of them, and
       every presentation verifies (`disclosure.verify_disclosure`).

    Countersign only what `require` lets pass.

    Args:
        response: As parsed.
        asked: The call, from the consumer's own memory.
        provider: The participant that was called, as *pinned*.
        rank: Where in the snapshot a declared customer must be.
        random_bytes: The consumer's own; None checks proofs one by one.
        declaration: Hash of what it declared under the agreement, if it knows it.
        agreed: Fields as the agreement defines them, by name, if it does.
    """
    signed = response.signed

    def provider_signature() -> Outcome:
        verify_receipt(signed, provider)
        return "checked", signed.receipt.key_id

    def request() -> Outcome:
        _check_request(signed.receipt, asked, provider.did)
        return "checked", signed.receipt.request_hash

    def disclosed() -> Outcome:
        verify_disclosure(
            _of_those_asked(response.disclosure, asked),
            signed.receipt,
            provider,
            rank=rank,
            random_bytes=random_bytes,
            declaration=declaration,
            agreed=agreed,
        )
        return "checked", str(signed.receipt.records)

    checks = {"provider_signature": provider_signature, "request": request}
    if signed.receipt.decision == "allow":
        checks["disclosure"] = disclosed
    return tuple(run(name, check) for name, check in checks.items())


def _check_request(receipt: Receipt, asked: Asked, provider: str) -> None:
    body = asked.body
    if receipt.request_hash != request_hash(asked.dataset, body):
        raise InvalidProof("the receipt is for another request")
    told = {
        "provider": provider,
        "consumer": asked.consumer,
        "agreement": body["agreement"],
        "agreement_hash": asked.agreement_hash,
        "dataset": asked.dataset,
        "purpose": body["purpose"],
        "nonce": asked.nonce,
        "fields": tuple(sorted(body["fields"])),
        "where": parse_conditions(body["where"]),
        "customers": len(body["customers"]),
    }
    check_told(receipt, told)


def _of_those_asked(disclosure: Disclosure | None, asked: Asked) -> Disclosure:
    if disclosure is None:
        raise InvalidProof("allowed, and nothing disclosed")
    tokens = [b64u(answer.customer) for answer in disclosure.answers]
    if tokens != list(asked.body["customers"]):
        raise InvalidProof("not the customers that were asked for, in order")
    return disclosure
