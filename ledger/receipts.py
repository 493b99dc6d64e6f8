"""Access receipts: what was asked, what was answered, signed by both sides.

The provider writes a receipt for every call, the refused ones too, before it
answers. It says who asked for which fields of how many customers under which
agreement and purpose, what was to be proved of other fields, what the policy
decided and from what, and the hash of what was sent. A call may be a *step* of a plan
(`ledger.plans`): its receipt names the plan, and what of privacy was spent. The
consumer checks a receipt and signs it back (*countersigns*), so that neither can later
deny the call or swap the story.

Receipts of one provider, consumer and agreement form a *stream*: numbered from 0
without gaps, each naming the one before. A receipt cannot be changed, dropped or
moved without breaking the chain after it.

A receipt shows that both parties said so; it does not show that a call both
keep silent about never happened. A `Receipt` that exists is well formed: every
value and every law between values is checked when it is made.

Spec: `docs/protocols/receipts.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.signing import Signer
from ledger import shape
from ledger.conditions import Condition, check_conditions, parse_conditions
from ledger.errors import Inconsistent
from ledger.participants import Participant
from ledger.plan_parts import MOST_EPSILON, within

TYPE: Final = "fieldpact/receipt/1"
FIRST: Final = "0" * 64
"""What the first receipt of a stream names as the one before."""


def stream_id(*, provider: str, consumer: str | None, agreement: str | None) -> str:
    """Return the id of the stream of these three, as 64 hex digits."""
    return sha256(tagged("stream", canonical([provider, consumer, agreement]))).hex()


def request_hash(dataset: str, body: Mapping[str, Any]) -> str:
    """Return the hash of a query or of a step, as 64 hex digits.

    Args:
        dataset: Id of the dataset, from the address of the call.
        body: Body of the query, or header of the step, exactly as sent.
    """
    return sha256(tagged("request", canonical({**body, "dataset": dataset}))).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReference:
    """What a decision was made from, so that it can be made again.

    Attributes:
        revision: Hash of the policy files, 64 hex digits.
        input_hash: Hash of the canonical policy input, 64 hex digits.
        engine: Name and version of the engine.
    """

    revision: str
    input_hash: str
    engine: str

    def __post_init__(self) -> None:
        shape.digest(self.revision, "policy.revision")
        shape.digest(self.input_hash, "policy.input_hash")
        shape.text(self.engine, "policy.engine")


def _nonce(value: object, what: str) -> str:
    if not 16 <= len(shape.octets()(value, what)) <= 64:
        raise Malformed(f"{what} must be 16 to 64 bytes")
    return str(value)


def _decision(value: object, what: str) -> str:
    if value not in ("allow", "deny"):
        raise Malformed(f"{what} must be allow or deny")
    return str(value)


def _policy(value: object, what: str) -> PolicyReference:
    if not isinstance(value, PolicyReference):
        raise Malformed(f"{what} must be a policy reference")
    return value


_READERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "provider": shape.did,
    "consumer": shape.optional(shape.did),
    "agreement": shape.optional(shape.text),
    "agreement_hash": shape.optional(shape.digest),
    "stream": shape.digest,
    "sequence": shape.count,
    "previous": shape.digest,
    "at": shape.instant,
    "request_hash": shape.digest,
    "nonce": shape.optional(_nonce),
    "dataset": shape.optional(shape.text),
    "purpose": shape.optional(shape.text),
    "fields": shape.names,
    "where": check_conditions,
    "statement": shape.optional(shape.digest),
    "decision": _decision,
    "denials": shape.names,
    "customers": shape.count,
    "records": shape.count,
    "withheld": shape.count,
    "snapshot": shape.optional(shape.digest),
    "response_hash": shape.optional(shape.digest),
    "plan": shape.optional(shape.digest),
    "step": shape.optional(shape.text),
    "spent": within(0, MOST_EPSILON),
    "policy": _policy,
    "key_id": shape.text,
}
"""How each member is read. The names are the members of a receipt, besides `typ`."""

_NEEDED_TO_ALLOW: Final = (
    *("consumer", "agreement", "agreement_hash", "nonce", "dataset"),
    *("purpose", "response_hash"),
)
_OF_A_QUERY: Final = ("statement", "snapshot")
_OF_RECORDS: Final = ("where", "customers", "records", "withheld", *_OF_A_QUERY)
"""What the receipt of a step says nothing of: an aggregate discloses no records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One call and its answer. Members as on the wire.

    Attributes:
        provider: DID of the node that answered.
        consumer: DID of the caller, None when nobody was recognised.
        agreement_hash: Hash of the signed agreement, 64 hex digits.
        sequence: Place in the stream, from 0 without gaps.
        previous: Id of the receipt before in the stream, `FIRST` at 0.
        at: When the decision was made, RFC 3339 UTC to the second.
        nonce: The call's nonce, base64url.
        fields: Names that were asked for, sorted.
        where: What was to be proved of fields that stay hidden.
        statement: Digest of what each presentation shows and proves; None when
            nothing was disclosed.
        denials: Codes of a refusal, sorted; empty when allowed.
        customers: How many customers were asked for.
        records: How many records were disclosed, or had proved of them what was
            asked.
        withheld: How many records of these customers nothing was proved of, for
            a condition does not hold.
        snapshot: Id of the snapshot they are shown to be in; None when nothing
            was disclosed.
        response_hash: Hash of what was sent; None when nothing was.
        key_id: Id of the provider's key that signs.
        plan: Hash of the plan of which this call was a step; None when it was a query,
            or when no plan was recognised.
        step: Name of the step; None when it was a query.
        spent: Privacy that this call has spent, in millionths of epsilon. A refusal may
            have spent some, too: a cohort that is too small was counted before.
    """

    provider: str
    consumer: str | None
    agreement: str | None
    agreement_hash: str | None
    stream: str
    sequence: int
    previous: str
    at: str
    request_hash: str
    nonce: str | None
    dataset: str | None
    purpose: str | None
    fields: tuple[str, ...]
    where: tuple[Condition, ...]
    statement: str | None
    decision: Literal["allow", "deny"]
    denials: tuple[str, ...]
    customers: int
    records: int
    withheld: int
    snapshot: str | None
    response_hash: str | None
    policy: PolicyReference
    key_id: str
    plan: str | None = None
    step: str | None = None
    spent: int = 0
    _written: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every value, then the laws between them."""
        shape.well_formed(self, _READERS, self._laws, "a receipt")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        stream = stream_id(
            provider=self.provider, consumer=self.consumer, agreement=self.agreement
        )
        allowed = self.decision == "allow"
        sent = (self.records, self.withheld, self.response_hash, self.snapshot)
        disclosed = any((*sent, self.statement))
        hidden = {name for condition in self.where for name in condition.fields}
        wanted = ("plan",) if self.step else _OF_A_QUERY
        complete = all(getattr(self, name) for name in (*_NEEDED_TO_ALLOW, *wanted))
        asked = self.fields or self.where or self.plan
        query = any(getattr(self, name) for name in _OF_RECORDS)
        return (
            (self.stream == stream, "the stream is not that of its parties"),
            ((self.sequence == 0) == (self.previous == FIRST), "the start is wrong"),
            (self.key_id.startswith(self.provider + "#"), "the key is another's"),
            (allowed != bool(self.denials), "decision and denials disagree"),
            (allowed or not disclosed, "something was disclosed in spite of a refusal"),
            (complete or not allowed, "an allowed call is not told in full"),
            (asked or not allowed, "nothing was asked for"),
            (self.where or not self.withheld, "records are withheld for no condition"),
            (hidden.isdisjoint(self.fields), "a field is both shown and hidden"),
            (self.step or not self.plan, "there is a plan, and no step of it"),
            (self.plan or not self.spent, "something was spent on no plan"),
            (not self.step or not query, "a step tells of records"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, every member present."""
        core = {name: getattr(self, name) for name in _READERS}
        return core | {
            "typ": TYPE,
            "fields": list(self.fields),
            "where": [condition.to_json() for condition in self.where],
            "denials": list(self.denials),
            "policy": {
                "revision": self.policy.revision,
                "input_hash": self.policy.input_hash,
                "engine": self.policy.engine,
            },
        }

    def canonical(self) -> bytes:
        """Return the bytes that are signed and hashed, without their tag.

        They are asked for again and again (id, signatures, leaf), and written once.
        """
        if (written := self._written) is None:
            written = canonical(self.to_json())
            object.__setattr__(self, "_written", written)
        return written

    @property
    def receipt_id(self) -> str:
        """Return the receipt's id: the hash of its tagged bytes, 64 hex digits."""
        return sha256(tagged("receipt", self.canonical())).hex()


def parse_receipt(value: object) -> Receipt:
    """Read a receipt from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong, or a law is broken.
    """
    core = dict(shape.members(value, {"typ", *_READERS}, "receipt"))
    shape.constant(core.pop("typ"), TYPE, "typ")
    wanted = {"revision", "input_hash", "engine"}
    policy = PolicyReference(**shape.members(core["policy"], wanted, "policy"))
    lists = {name: shape.names(core[name], name) for name in ("fields", "denials")}
    where = parse_conditions(core["where"])
    return Receipt(**{**core, **lists, "where": where, "policy": policy})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReceipt:
    """A receipt with its provider's signature, which is not yet verified.

    Attributes:
        signature: Of the suite of the key that the receipt names, 64 bytes.
    """

    receipt: Receipt
    signature: bytes

    def canonical(self) -> bytes:
        """Return the bytes that were signed, without their tag: a log's `Entry`."""
        return self.receipt.canonical()

    def to_json(self) -> dict[str, Any]:
        """Return the two members that carry it in a message."""
        return {
            "receipt": self.receipt.to_json(),
            "provider_signature": b64u(self.signature),
        }


def parse_signed_receipt(message: Mapping[str, Any]) -> SignedReceipt:
    """Read a signed receipt from a message that carries it among other members.

    Raises:
        Malformed: One of its two members is missing or wrong.
    """
    return SignedReceipt(
        receipt=parse_receipt(message.get("receipt")),
        signature=shape.octets(64)(
            message.get("provider_signature"), "provider_signature"
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersignature:
    """The consumer's signature over a signed receipt, not yet verified.

    Attributes:
        key_id: Id of the consumer's signing key.
        signature: Of the suite of that key, 64 bytes.
    """

    key_id: str
    signature: bytes


def sign_receipt(receipt: Receipt, key: Signer) -> SignedReceipt:
    """Sign a receipt as its provider, with the key that the receipt names."""
    if receipt.key_id != key.key_id(receipt.provider):
        raise ValueError("the receipt names another key")
    return SignedReceipt(receipt=receipt, signature=key.sign(_signed_bytes(receipt)))


def verify_receipt(signed: SignedReceipt, provider: Participant) -> None:
    """Check the provider's signature.

    Args:
        signed: The receipt, as parsed.
        provider: The provider, as *pinned*: which of its keys has signed, the
            receipt says.

    Raises:
        InvalidSignature: Not signed, signed by or said to be by another key, or the
            receipt is another participant's.
    """
    receipt = signed.receipt
    _same_party(receipt.provider, provider)
    key = provider.verifier(receipt.key_id)
    key.verify(_signed_bytes(receipt), signed.signature)


def check_told(receipt: Receipt, told: Mapping[str, object]) -> None:
    """Check that a receipt tells a call as it was made.

    A refusal may leave unsaid what it did not recognise, but may say nothing else.

    Args:
        told: Members of the receipt, as the caller knows them.

    Raises:
        InvalidProof: It says something else of one of them.
    """
    for name, mine in told.items():
        said = getattr(receipt, name)
        unsaid = receipt.decision == "deny" and not said
        if said != mine and not unsaid:
            raise InvalidProof(f"the receipt tells another {name}")


def countersign(signed: SignedReceipt, key: Signer) -> Countersignature:
    """Sign a signed receipt as its consumer.

    Only after `ledger.response.verify_response`: a countersignature says "this is
    what I asked, and what I got".
    """
    if signed.receipt.consumer is None:
        raise ValueError("the receipt names no consumer")
    return Countersignature(
        key_id=key.key_id(signed.receipt.consumer),
        signature=key.sign(_countersigned_bytes(signed)),
    )


def verify_countersignature(
    signed: SignedReceipt, countersignature: Countersignature, consumer: Participant
) -> None:
    """Check the consumer's signature over a receipt and its provider's signature.

    Args:
        signed: The receipt, as parsed.
        countersignature: What the consumer is said to have answered.
        consumer: The consumer, as *pinned*.

    Raises:
        InvalidSignature: Not signed, signed by or said to be by another key, or
            the call was another participant's.
    """
    _same_party(signed.receipt.consumer, consumer)
    key = consumer.verifier(countersignature.key_id)
    key.verify(_countersigned_bytes(signed), countersignature.signature)


def check_successor(previous: Receipt | None, following: Receipt) -> None:
    """Check the law of a stream: no gap, and each names the one before.

    Args:
        previous: Newest receipt of the stream so far, None before the first.
        following: The receipt that is said to come next.

    Raises:
        Inconsistent: `following` cannot follow `previous`.
    """
    if previous is None:
        if following.sequence != 0:
            raise Inconsistent("the stream does not start at 0")
        return
    if following.stream != previous.stream:
        raise Inconsistent("the receipts are of different streams")
    if following.sequence != previous.sequence + 1:
        raise Inconsistent("the stream has a gap, or a number twice")
    if following.previous != previous.receipt_id:
        raise Inconsistent("the receipt names another one as the one before")


def _signed_bytes(receipt: Receipt) -> bytes:
    return tagged("receipt", receipt.canonical())


def _countersigned_bytes(signed: SignedReceipt) -> bytes:
    receipt_id = bytes.fromhex(signed.receipt.receipt_id)
    return tagged("countersignature", receipt_id + signed.signature)


def _same_party(named: str | None, pinned: Participant) -> None:
    if named != pinned.did:
        raise InvalidSignature("said to be signed by another participant")
