"""Evidence: one file that shows a call happened, to anybody, without asking anybody.

It carries a receipt with its signatures, the proof that the receipt is in its
provider's log, the proof that the log was anchored on a chain, and maybe what
was disclosed. Whoever holds the keys of the participants checks all of it
offline (`ledger.verify`); the last step asks the chain.

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
from ledger.disclosure import Disclosure, parse_disclosure
from ledger.participants import Participant, parse_participant
from ledger.receipts import Countersignature, SignedReceipt, parse_signed_receipt

TYPE: Final = "fieldpact/evidence/1"

_hashes = shape.each(shape.octets(32), most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Where a receipt stands in its provider's log.

    Attributes:
        index: Of the receipt's leaf, from 0.
        proof: Inclusion proof, 32 bytes each.
        checkpoint: Signed note whose root the proof leads to.
    """

    index: int
    proof: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where a checkpoint of that log, or a later one, is anchored.

    Attributes:
        chain_id: EIP-155.
        contract: Address of the anchor contract, lower-case.
        member: Address that anchored, lower-case.
        epoch: Of the anchor, from 1.
        commitment: What the chain is said to hold, 32 bytes.
        salt: Opens the commitment, 32 bytes.
        checkpoint: Signed note under the commitment.
        consistency: Proof from the inclusion's checkpoint to this one.
        transaction: Hash of the anchoring transaction. Where to look; not checked.
        block: Its block's number. Where to look; not checked.
    """

    chain_id: int
    contract: str
    member: str
    epoch: int
    commitment: bytes
    salt: bytes
    checkpoint: str
    consistency: tuple[bytes, ...]
    transaction: str
    block: int

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "chain_id": self.chain_id,
            "contract": self.contract,
            "member": self.member,
            "epoch": self.epoch,
            "commitment": b64u(self.commitment),
            "salt": b64u(self.salt),
            "checkpoint": self.checkpoint,
            "consistency": [b64u(step) for step in self.consistency],
            "transaction": self.transaction,
            "block": self.block,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All there is to show for one call. None stands for what does not exist yet.

    Attributes:
        salt: Opens the log's commitment to the receipt, 32 bytes.
        participants: Who the file says the two parties are.
        disclosure: What was disclosed, if the file tells.
    """

    signed: SignedReceipt
    salt: bytes
    participants: tuple[Participant, ...]
    countersignature: Countersignature | None = None
    inclusion: Inclusion | None = None
    anchor: Anchor | None = None
    disclosure: Disclosure | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        back, place, anchor = self.countersignature, self.inclusion, self.anchor
        told = {"disclosure": self.disclosure.to_json()} if self.disclosure else {}
        return {
            "typ": TYPE,
            **self.signed.to_json(),
            "countersignature": back
            and {"key_id": back.key_id, "signature": b64u(back.signature)},
            "salt": b64u(self.salt),
            "index": place and place.index,
            "inclusion": place and [b64u(step) for step in place.proof],
            "checkpoint": place and place.checkpoint,
            "anchor": anchor and anchor.to_json(),
            "participants": [known.to_json() for known in self.participants],
            **told,
        }

    def render(self) -> bytes:
        """Return the file: canonical JSON."""
        return canonical(self.to_json())


_MEMBERS: Final = {
    *("typ", "receipt", "provider_signature", "countersignature", "salt"),
    *("index", "inclusion", "checkpoint", "anchor", "participants"),
}


def parse_evidence(data: bytes) -> Evidence:
    """Read an evidence file.

    Raises:
        Malformed: Not JSON, or a member is missing, unknown or wrong.
    """
    return evidence_of(parse_json(data))


def evidence_of(value: object) -> Evidence:
    """Read evidence from its JSON object. See `parse_evidence`."""
    found = shape.members(value, _MEMBERS, "evidence", optional={"disclosure"})
    shape.constant(found["typ"], TYPE, "typ")
    evidence = Evidence(
        signed=parse_signed_receipt(found),
        salt=shape.octets(32)(found["salt"], "salt"),
        participants=shape.each(parse_participant, most=2)(
            found["participants"], "participants"
        ),
        countersignature=shape.optional(_countersignature)(
            found["countersignature"], "countersignature"
        ),
        inclusion=_inclusion(found),
        anchor=shape.optional(_anchor)(found["anchor"], "anchor"),
        disclosure=parse_disclosure(found["disclosure"])
        if "disclosure" in found
        else None,
    )
    if evidence.anchor and not evidence.inclusion:
        raise Malformed("evidence of an anchor, and of no place in the log")
    return evidence


def _countersignature(value: object, what: str) -> Countersignature:
    found = shape.members(value, {"key_id", "signature"}, what)
    return Countersignature(
        key_id=shape.text(found["key_id"], "key_id"),
        signature=shape.octets(64)(found["signature"], "signature"),
    )


def _inclusion(found: Mapping[str, Any]) -> Inclusion | None:
    if all(found[name] is None for name in ("index", "inclusion", "checkpoint")):
        return None
    return Inclusion(
        index=shape.count(found["index"], "index"),
        proof=_hashes(found["inclusion"], "inclusion"),
        checkpoint=shape.prose(found["checkpoint"], "checkpoint"),
    )


def _anchor(value: object, what: str) -> Anchor:
    readers: Mapping[str, shape.Reader[Any]] = {
        "chain_id": shape.count,
        "contract": shape.address,
        "member": shape.address,
        "epoch": shape.count,
        "commitment": shape.octets(32),
        "salt": shape.octets(32),
        "checkpoint": shape.prose,
        "consistency": _hashes,
        "transaction": shape.transaction,
        "block": shape.count,
    }
    found = shape.members(value, readers, what)
    return Anchor(**{name: read(found[name], name) for name, read in readers.items()})
