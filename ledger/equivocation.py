"""Equivocation: a log that signed two histories, shown to anybody.

A log must never sign two checkpoints of one size with different roots: no tree has
both. Whoever holds the two signed notes holds a proof, and needs neither the entries
nor either of those to whom they were told. The file is small, and stays true:

    {"typ": "fieldpact/equivocation/1", "provider": did, "first": note, "second": note}

Only the log's own signature lines are kept; they say all that is needed. What the
proof does not show is which of the two histories is true, and who else was told
which.

Spec: `docs/protocols/witnesses.md`, section "Proof of equivocation".
"""

from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import canonical, sha256, tagged
from crypto.errors import InvalidProof, Malformed
from crypto.notes import Checkpoint, parse_checkpoint, split_note
from ledger import shape
from ledger.checkpoint import open_checkpoint, origin_of
from ledger.cosignature import without_cosignatures
from ledger.participants import Participant, Pins
from ledger.steps import Outcome, Step, run, step

TYPE: Final = "fieldpact/equivocation/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivocation:
    """Two notes of one log. That they contradict each other is not yet checked.

    Attributes:
        provider: DID of the one whose log it is.
        first: The note whose root is the smaller.
        second: The other one.
    """

    provider: str
    first: str
    second: str

    @property
    def fault_id(self) -> str:
        """What it proves, hashed: the log, the size, the two roots. 64 hex digits."""
        first, second = _unverified(self.first), _unverified(self.second)
        facts = [self.provider, first.size, first.root.hex(), second.root.hex()]
        return sha256(tagged("equivocation", canonical(facts))).hex()

    def to_json(self) -> dict[str, Any]:
        """Return the file."""
        return {
            "typ": TYPE,
            "provider": self.provider,
            "first": self.first,
            "second": self.second,
        }


def equivocation(provider: Participant, one: str, other: str) -> Equivocation | None:
    """Compare two notes of one log, both verified.

    Returns:
        The proof, where they are of one size and have different roots.
    """
    notes = {
        _unverified(note).root: without_cosignatures(note, provider)
        for note in (one, other)
    }
    if len(notes) < 2 or _unverified(one).size != _unverified(other).size:
        return None
    first, second = (note for _, note in sorted(notes.items()))
    return Equivocation(provider=provider.did, first=first, second=second)


def parse_equivocation(value: object) -> Equivocation:
    """Read a proof from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong, or a note is no checkpoint.
    """
    found = shape.members(value, {"typ", "provider", "first", "second"}, "proof")
    shape.constant(found["typ"], TYPE, "typ")
    proof = Equivocation(
        provider=shape.did(found["provider"], "provider"),
        first=shape.prose(found["first"], "first"),
        second=shape.prose(found["second"], "second"),
    )
    for note in (proof.first, proof.second):
        _unverified(note)
    origin_of(proof.provider)
    return proof


def verify_equivocation(value: object, pins: Pins) -> tuple[Step, ...]:
    """Check whether a file proves that a log was forked.

    1. `equivocation`: two checkpoints, of one size and with different roots.
    2. `equivocation_notes`: both signed by the participant's log, with pinned keys.

    A step that is `failed` here clears the accused: the file proves nothing.

    Args:
        value: The file, parsed as JSON.
        pins: Pinned participants by DID, from the consortium's registry.
    """
    try:
        proof = parse_equivocation(value)
    except Malformed as error:
        return (step("equivocation", "failed", str(error)),)
    return (
        run("equivocation", lambda: _contradiction(proof)),
        run("equivocation_notes", lambda: _signatures(proof, pins)),
    )


def _contradiction(proof: Equivocation) -> Outcome:
    first, second = _unverified(proof.first), _unverified(proof.second)
    if first.size != second.size:
        raise InvalidProof(f"the sizes are {first.size} and {second.size}")
    if first.root == second.root:
        raise InvalidProof(f"both have the root {first.root.hex()}")
    return "checked", f"{first.origin} {first.size}"


def _signatures(proof: Equivocation, pins: Pins) -> Outcome:
    if (provider := pins.get(proof.provider)) is None:
        return "unknown", proof.provider
    for note in (proof.first, proof.second):
        open_checkpoint(note, origin=origin_of(provider.did), keys=provider.verifiers)
    return "checked", provider.did


def _unverified(note: str) -> Checkpoint:
    """Read a checkpoint whose signature is looked at elsewhere."""
    text, _ = split_note(note)
    return parse_checkpoint(text)
