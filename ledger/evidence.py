"""Evidence: one file that shows a call happened, to anybody, without asking anybody.

It carries a receipt with its signatures, the proof that the receipt is in its
provider's log, the proof that the log was anchored on a chain, and maybe the token
with which the consumer asked, what the registry says of the keys, and what was
disclosed, with where the snapshot behind it stands; of a step, the plan that it is of
and what it was answered with. Whoever holds the keys of the
participants checks all of it offline (`ledger.verify`); the steps that ask the chain
ask nobody else.

A file is only ever what somebody says. Nothing read here is trusted: parsing
checks form, and only form.

Spec: `docs/protocols/evidence.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import b64u, canonical, parse_json
from crypto.errors import Malformed
from ledger import shape
from ledger.disclosure import MOST_CUSTOMERS, Disclosure, parse_disclosure
from ledger.participants import Participant, parse_participant
from ledger.place import PLACE, Anchor, Inclusion, Place, parse_place, place_among
from ledger.plans import SignedPlan, parse_signed_plan
from ledger.receipts import Countersignature, SignedReceipt, parse_signed_receipt
from ledger.registry import History, parse_history
from ledger.request import LONGEST
from ledger.step_answer import StepAnswer, parse_step_answer

__all__ = [
    "Anchor",
    "Evidence",
    "Inclusion",
    "Opening",
    "Place",
    "evidence_of",
    "parse_evidence",
    "parse_place",
]

TYPE: Final = "fieldpact/evidence/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Whom a customer token means, for a reader who is not to take it on trust.

    Attributes:
        customer: The token, 32 bytes.
        opening: `crypto.tokens.customer_opening`, 32 bytes.
        identifier: The customer's, normalised.
    """

    customer: bytes
    opening: bytes
    identifier: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "customer": b64u(self.customer),
            "opening": b64u(self.opening),
            "identifier": self.identifier,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All there is to show for one call. None stands for what does not exist yet.

    Attributes:
        salt: Opens the log's commitment to the receipt, 32 bytes.
        participants: Who the file says the two parties are.
        request: The token that the consumer signed for this call, if the file tells.
        histories: Which keys the two parties held when, as the registry told whoever
            made the file; empty where none was asked.
        disclosure: What was disclosed, if the file tells.
        snapshot_place: Where the disclosure's snapshot stands, if the file tells.
        openings: Whom tokens of the disclosure mean, as far as the file tells.
        plan: Of which the call was a step, if the file tells.
        answer: What the step was answered with, if the file tells.
    """

    signed: SignedReceipt
    salt: bytes
    participants: tuple[Participant, ...]
    countersignature: Countersignature | None = None
    inclusion: Inclusion | None = None
    anchor: Anchor | None = None
    request: str | None = None
    histories: tuple[History, ...] = ()
    disclosure: Disclosure | None = None
    snapshot_place: Place | None = None
    openings: tuple[Opening, ...] = ()
    plan: SignedPlan | None = None
    answer: StepAnswer | None = None

    @property
    def place(self) -> Place:
        """Where the receipt stands."""
        return Place(salt=self.salt, inclusion=self.inclusion, anchor=self.anchor)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        back = self.countersignature
        told: dict[str, Any] = {}
        if self.request is not None:
            told["request"] = self.request
        if self.histories:
            told["histories"] = [each.to_json() for each in self.histories]
        if self.disclosure:
            told["disclosure"] = self.disclosure.to_json()
        if self.snapshot_place:
            told["snapshot_place"] = self.snapshot_place.to_json()
        if self.openings:
            told["openings"] = [opening.to_json() for opening in self.openings]
        if self.plan:
            told["plan"] = self.plan.to_json()
        if self.answer:
            told["answer"] = self.answer.to_json()
        return {
            "typ": TYPE,
            **self.signed.to_json(),
            "countersignature": back
            and {"key_id": back.key_id, "signature": b64u(back.signature)},
            **self.place.to_json(),
            "participants": [known.to_json() for known in self.participants],
            **told,
        }

    def render(self) -> bytes:
        """Return the file: canonical JSON."""
        return canonical(self.to_json())


_MEMBERS: Final = {
    *("typ", "receipt", "provider_signature", "countersignature", "participants"),
    *PLACE,
}
_DISCLOSED: Final = ("disclosure", "snapshot_place", "openings")
_OF_A_STEP: Final = ("plan", "answer")
_OPTIONAL: Final = ("request", "histories", *_DISCLOSED, *_OF_A_STEP)


def parse_evidence(data: bytes) -> Evidence:
    """Read an evidence file.

    Raises:
        Malformed: Not JSON, or a member is missing, unknown or wrong.
    """
    return evidence_of(parse_json(data))


def evidence_of(value: object) -> Evidence:
    """Read evidence from its JSON object. See `parse_evidence`."""
    found = shape.members(value, _MEMBERS, "evidence", optional=_OPTIONAL)
    shape.constant(found["typ"], TYPE, "typ")
    place = place_among(found)
    told = {name: _TOLD[name](found[name], name) for name in _OPTIONAL if name in found}
    if "disclosure" not in told and not told.keys().isdisjoint(_DISCLOSED):
        raise Malformed("evidence that tells of a disclosure, and holds none")
    signed = parse_signed_receipt(found)
    if signed.receipt.plan is None and not told.keys().isdisjoint(_OF_A_STEP):
        raise Malformed("evidence that tells of a plan, and its receipt does not")
    if "answer" in told and signed.receipt.response_hash is None:
        raise Malformed("evidence that holds an answer, and its receipt names none")
    parties = {signed.receipt.provider, signed.receipt.consumer}
    if not parties.issuperset(each.did for each in told.get("histories", ())):
        raise Malformed("a history of somebody who is no party")
    return Evidence(
        signed=signed,
        salt=place.salt,
        participants=shape.each(parse_participant, most=2)(
            found["participants"], "participants"
        ),
        countersignature=countersignature_of(found["countersignature"]),
        inclusion=place.inclusion,
        anchor=place.anchor,
        **told,
    )


def countersignature_of(value: object) -> Countersignature | None:
    """Read a countersignature, or null. Raises `Malformed`."""
    return shape.optional(_countersignature)(value, "countersignature")


def _countersignature(value: object, what: str) -> Countersignature:
    found = shape.members(value, {"key_id", "signature"}, what)
    return Countersignature(
        key_id=shape.text(found["key_id"], "key_id"),
        signature=shape.octets(64)(found["signature"], "signature"),
    )


def request_of(value: object, what: str = "request") -> str:
    """Read a token's outer form; what is in it has a step of its own.

    Raises:
        Malformed: No text, empty, or too long.
    """
    token = shape.prose(value, what)
    if not 0 < len(token) <= LONGEST:
        raise Malformed(f"{what} must be a token of at most {LONGEST} characters")
    return token


def histories_of(value: object, what: str) -> tuple[History, ...]:
    """Read registry histories of at most two participants. Raises `Malformed`."""
    found = shape.each(lambda each, _: parse_history(each), most=2)(value, what)
    if len({each.did for each in found}) != len(found):
        raise Malformed(f"{what} must be of different participants")
    return found


def _histories(value: object, what: str) -> tuple[History, ...]:
    if not (found := histories_of(value, what)):
        raise Malformed(f"{what} must not be empty")
    return found


def _opening(value: object, what: str) -> Opening:
    found = shape.members(value, {"customer", "opening", "identifier"}, what)
    return Opening(
        customer=shape.octets(32)(found["customer"], "customer"),
        opening=shape.octets(32)(found["opening"], "opening"),
        identifier=shape.prose(found["identifier"], "identifier"),
    )


def _openings(value: object, what: str) -> tuple[Opening, ...]:
    found = shape.each(_opening, most=MOST_CUSTOMERS)(value, what)
    if not found:
        raise Malformed(f"{what} must not be empty")
    return found


_TOLD: Final[Mapping[str, shape.Reader[Any]]] = {
    "request": request_of,
    "histories": _histories,
    "disclosure": lambda value, _: parse_disclosure(value),
    "snapshot_place": parse_place,
    "openings": _openings,
    "plan": lambda value, _: parse_signed_plan(value),
    "answer": parse_step_answer,
}
