"""The answer to a step of a plan, checked by the asker before it countersigns.

As with a query (`ledger.response`): the asker knows what it asked, the receipt says
what the provider was asked, and what it has answered. A step's answer is a JSON object
and octets, which may be large and mean something only to the protocol that the step is
of. The receipt binds both by one hash; whether they are *right* is that protocol's to
say, and what no protocol can say of a sum, no signature says either.

Spec: `docs/protocols/receipts.md`, section "Steps".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto.encoding import canonical, sha256, tagged
from crypto.errors import InvalidProof
from ledger import shape
from ledger.participants import Participant
from ledger.plans import Plan, parse_signed_plan
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
class StepAnswer:
    """What a step was answered with, its octets by their hash.

    Attributes:
        members: JSON object.
        payload: SHA-256 of the octets, 64 hex digits.
    """

    members: Mapping[str, Any]
    payload: str

    @classmethod
    def of(cls, members: Mapping[str, Any], payload: bytes) -> "StepAnswer":
        """Return the answer of these members and octets."""
        return cls(members=members, payload=sha256(payload).hex())

    @property
    def response_hash(self) -> str:
        """Return what its receipt calls it by, 64 hex digits.

        Raises:
            Malformed: The members have no canonical form.
        """
        return sha256(tagged("step-answer", canonical(self.to_json()))).hex()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"members": dict(self.members), "payload": self.payload}


def parse_step_answer(value: object, what: str = "answer") -> StepAnswer:
    """Read what a step was answered with from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    found = shape.members(value, {"members", "payload"}, what)
    return StepAnswer(
        members=shape.mapping(found["members"], "members"),
        payload=shape.digest(found["payload"], "payload"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedStep:
    """A step as the asker sent it.

    Attributes:
        consumer: Its own DID.
        dataset: From the address.
        nonce: Of the token that carried the call.
        agreement_hash: Hash of the agreement it holds, 64 hex digits.
        header: JSON header, exactly as sent: `agreement`, `purpose`, `plan`, `step` and
            others.
    """

    consumer: str
    dataset: str
    nonce: str
    agreement_hash: str
    header: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResponse:
    """What a provider answered: a receipt, and members where it allowed."""

    signed: SignedReceipt
    members: Mapping[str, Any] | None


def parse_step_response(header: object) -> StepResponse:
    """Read the JSON header of an answer, or the problem that tells of a refusal.

    Raises:
        Malformed: No receipt, or not exactly what its decision calls for.
    """
    message = shape.mapping(header, "response")
    signed = parse_signed_receipt(message)
    if signed.receipt.decision == "deny":  # a problem document, open to more members
        return StepResponse(signed=signed, members=None)
    shape.members(message, {"receipt", "provider_signature", "members"}, "response")
    return StepResponse(
        signed=signed, members=shape.mapping(message["members"], "members")
    )


def verify_step_response(
    response: StepResponse, asked: AskedStep, provider: Participant, payload: bytes
) -> tuple[Step, ...]:
    """Check the answer to a step before countersigning it.

    1. `provider_signature`: the receipt is signed under the pinned key.
    2. `request`: it tells the step as it was sent, of this plan, and spends no more
       than the plan; a refusal may leave unsaid what it did not recognise, but may say
       nothing else.
    3. `answer`, where it was allowed: members and payload are what the receipt says.

    Countersign only what `ledger.steps.require` lets pass.

    Args:
        response: As parsed.
        asked: The step, from the asker's own memory.
        provider: The participant that was called, as *pinned*.
        payload: The octets of the answer; none of a refusal.
    """
    signed, members = response.signed, response.members

    def provider_signature() -> Outcome:
        verify_receipt(signed, provider)
        return "checked", signed.receipt.key_id

    def request() -> Outcome:
        _check_request(signed.receipt, asked, provider.did)
        return "checked", signed.receipt.request_hash

    def answer() -> Outcome:
        if members is None:
            raise InvalidProof("allowed, and nothing answered")
        check_answer(signed.receipt, StepAnswer.of(members, payload))
        return "checked", str(signed.receipt.response_hash)

    checks = {"provider_signature": provider_signature, "request": request}
    if signed.receipt.decision == "allow":
        checks["answer"] = answer
    return tuple(run(name, check) for name, check in checks.items())


def check_answer(receipt: Receipt, answer: StepAnswer) -> None:
    """Check that this is what the receipt of a step says was answered.

    Raises:
        Malformed: The members have no canonical form.
        InvalidProof: It is something else, or the receipt is not of a step.
    """
    if receipt.step is None or answer.response_hash != receipt.response_hash:
        raise InvalidProof("the receipt is for another answer")


def check_plan(receipt: Receipt, plan: Plan) -> None:
    """Check that a receipt is of a step of a plan, and within it.

    1. It names the plan, and its consumer is the asker.
    2. It spends no more than the plan lets one party spend.
    3. If it allows, it is one of the plan's parties', tells its agreement, dataset,
       purpose and fields, and was decided while the plan held.

    A call may be refused because it is not within its plan. Whether the asker has
    signed the plan, `ledger.plans.verify_plan` says.

    Raises:
        InvalidProof: One of the three does not hold.
    """
    if (receipt.plan, receipt.consumer) != (plan.plan_hash, plan.asker):
        raise InvalidProof("the receipt is for another plan")
    if receipt.spent > plan.epsilon_micro:
        raise InvalidProof("the receipt spends more than the plan")
    if receipt.decision == "deny":
        return
    party = plan.party(receipt.provider)
    if party is None:
        raise InvalidProof("the plan does not ask this provider")
    told = {
        "agreement": party.agreement,
        "agreement_hash": party.agreement_hash,
        "dataset": party.dataset,
        "purpose": plan.purpose,
        "fields": plan.fields,
    }
    check_told(receipt, told)
    if not plan.created <= receipt.at < plan.expires:
        raise InvalidProof("decided when the plan did not hold")


def _check_request(receipt: Receipt, asked: AskedStep, provider: str) -> None:
    header = asked.header
    if receipt.request_hash != request_hash(asked.dataset, header):
        raise InvalidProof("the receipt is for another request")
    plan = parse_signed_plan(header["plan"]).plan
    told = {
        "provider": provider,
        "consumer": asked.consumer,
        "agreement": header["agreement"],
        "agreement_hash": asked.agreement_hash,
        "dataset": asked.dataset,
        "purpose": header["purpose"],
        "nonce": asked.nonce,
        "fields": plan.fields,
        "plan": plan.plan_hash,
        "step": header["step"],
    }
    check_told(receipt, told)
    if receipt.spent > plan.epsilon_micro:
        raise InvalidProof("the receipt spends more than the plan")
