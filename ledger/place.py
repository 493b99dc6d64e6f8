"""Places: where an entry stands in its provider's log, and on the chain.

Only what somebody says, in form and not yet checked: `ledger.standing` checks it.

Spec: `docs/protocols/evidence.md`; `docs/protocols/log.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import b64u
from crypto.errors import Malformed
from ledger import shape

PLACE: Final = frozenset({"salt", "index", "inclusion", "checkpoint", "anchor"})
"""The members of a place."""

_hashes = shape.each(shape.octets(32), most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Where an entry stands in its provider's log.

    Attributes:
        index: Of the entry's leaf, from 0.
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
class Place:
    """Where an entry, a receipt or a snapshot, stands. None: not there yet.

    Attributes:
        salt: Opens the log's commitment to the entry, 32 bytes.
    """

    salt: bytes
    inclusion: Inclusion | None = None
    anchor: Anchor | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        place, anchor = self.inclusion, self.anchor
        return {
            "salt": b64u(self.salt),
            "index": place and place.index,
            "inclusion": place and [b64u(step) for step in place.proof],
            "checkpoint": place and place.checkpoint,
            "anchor": anchor and anchor.to_json(),
        }


def parse_place(value: object, what: str = "place") -> Place:
    """Read where an entry stands from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    return place_among(shape.members(value, PLACE, what))


def place_among(found: Mapping[str, Any]) -> Place:
    """Read a place from its members among others. See `parse_place`."""
    place = Place(
        salt=shape.octets(32)(found["salt"], "salt"),
        inclusion=_inclusion(found),
        anchor=shape.optional(parse_anchor)(found["anchor"], "anchor"),
    )
    if place.anchor and not place.inclusion:
        raise Malformed("an anchor, and no place in the log")
    return place


def _inclusion(found: Mapping[str, Any]) -> Inclusion | None:
    if all(found[name] is None for name in ("index", "inclusion", "checkpoint")):
        return None
    return Inclusion(
        index=shape.count(found["index"], "index"),
        proof=_hashes(found["inclusion"], "inclusion"),
        checkpoint=shape.prose(found["checkpoint"], "checkpoint"),
    )


def parse_anchor(value: object, what: str = "anchor") -> Anchor:
    """Read where a checkpoint is anchored. Raises `Malformed`."""
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
