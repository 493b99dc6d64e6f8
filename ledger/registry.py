"""Which keys a participant held when, by the registry of its consortium.

Evidence outlives keys. Whoever checks a signature years later must know whether the
key was its signer's *at that time*, and the signer must not be the one to tell. The
registry contract keeps, for each DID, what changed and when: which account speaks for
it, which key of each suite holds, and that one does no more. Nothing is ever taken
out, so two readers who ask years apart read the same past.

A `History` is those changes as far as one block; `at` folds them into what held at a
moment. A change of membership ends all keys before it: an account that is admitted
starts with none. A history is a value: it can be carried in a file and be folded
offline, and be compared with the chain by whoever has one.

The moment matters, and must not be the signer's own word. Whoever stole a key can
date a signature back to when the key was good. Take the time of the anchor that
shows the signature to have been there, not the time that is written under it.

What this does not show: that a fingerprint was registered by the company and not by
whoever held its account; and that a key that held was not stolen.

Spec: `docs/protocols/registry.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

from crypto.encoding import sha256, tagged
from crypto.errors import Invalid, Malformed
from ledger import shape
from ledger.contracts.calls import suite_word
from ledger.errors import ChainUnavailable

TYP: Final = "fieldpact/registry-history/1"
MAX_CHANGES: Final = 4096
"""A participant that changes more often is not read: its keys are unknown."""


def fingerprint(suite: str, public: bytes) -> bytes:
    """Return the name of a public key in the registry, 32 bytes.

    Args:
        suite: The suite's name, as in key ids: `ed25519`, `secp256k1`, …
        public: The public key, in the one form that its suite has.

    Raises:
        Malformed: The suite's name is none.
    """
    suite_word(suite)
    return sha256(tagged("key-fingerprint", suite.encode() + b"\0" + public))


class Status(StrEnum):
    """What a DID is to the consortium."""

    UNKNOWN = "unknown"
    MEMBER = "member"
    EXPELLED = "expelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipChange:
    """From a moment on, an account speaks for the participant, or none.

    Attributes:
        at: Seconds since 1970, by the clock of the block.
        account: Its address in lower case; None: it was expelled.
    """

    at: int
    account: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the change as it stands in a file."""
        return {"at": self.at, "account": self.account}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """From a moment on, a key of a suite holds, or none.

    Attributes:
        at: Seconds since 1970, by the clock of the block.
        suite: The suite's name; `0x` and 64 hex digits where it is no name.
        fingerprint: Of the key, 32 bytes; None: the one before was revoked.
    """

    at: int
    suite: str
    fingerprint: bytes | None

    def to_json(self) -> dict[str, Any]:
        """Return the change as it stands in a file."""
        held = self.fingerprint.hex() if self.fingerprint else None
        return {"at": self.at, "suite": self.suite, "fingerprint": held}


Change: TypeAlias = MembershipChange | KeyChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What held for a participant at a moment.

    Attributes:
        did: The participant.
        at: The moment, seconds since 1970.
        account: Who spoke for it; None: it was no member, and held no key.
        keys: Fingerprint of the key of each suite that held, 32 bytes each.
    """

    did: str
    at: int
    account: str | None = None
    keys: Mapping[str, bytes] = field(default_factory=dict)

    def check(self, suite: str, public: bytes) -> None:
        """Check that a public key was the participant's at this moment.

        Raises:
            Malformed: The suite's name is none.
            Invalid: It was not.
        """
        if self.keys.get(suite) != fingerprint(suite, public):
            raise Invalid(f"the registry held another {suite} key for {self.did}")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that changed for a participant, as far as one block.

    Attributes:
        chain_id: The chain that was asked (EIP-155).
        contract: Address of the registry there, in lower case.
        did: The participant.
        block: Number of the newest block that was looked at.
        seen: When that block was made, seconds since 1970 by its own clock.
        changes: Oldest first.
    """

    chain_id: int
    contract: str
    did: str
    block: int
    seen: int
    changes: tuple[Change, ...]

    def __post_init__(self) -> None:
        """Refuse changes that are out of order, or later than what was looked at."""
        times = [change.at for change in self.changes]
        if sorted(times) != times or (times and times[-1] > self.seen):
            raise Malformed("changes are not in the order of their times")

    @property
    def status(self) -> Status:
        """What the participant was when the chain was asked."""
        if not self.changes:
            return Status.UNKNOWN
        return Status.MEMBER if self.now.account else Status.EXPELLED

    @property
    def now(self) -> Held:
        """What held when the chain was asked."""
        return self.at(self.seen)

    def at(self, seconds: int) -> Held:
        """Return what held at a moment; a change counts from its own second on.

        Raises:
            ChainUnavailable: The moment is later than what was looked at.
        """
        if seconds > self.seen:
            raise ChainUnavailable(f"the registry was read as of {self.seen}, no later")
        account: str | None = None
        keys: dict[str, bytes] = {}
        for change in self.changes:
            if change.at > seconds:
                break
            if isinstance(change, MembershipChange):
                account, keys = change.account, {}
            elif change.fingerprint is None:
                keys.pop(change.suite, None)
            else:
                keys[change.suite] = change.fingerprint
        return Held(did=self.did, at=seconds, account=account, keys=keys)

    def to_json(self) -> dict[str, Any]:
        """Return the history as evidence carries it."""
        return {
            "typ": TYP,
            "chain_id": self.chain_id,
            "contract": self.contract,
            "did": self.did,
            "block": self.block,
            "seen": self.seen,
            "changes": [change.to_json() for change in self.changes],
        }


class Registry(Protocol):
    """Reads the registry of a consortium."""

    def history(self, did: str) -> History:
        """Return all that changed for a participant; nothing for an unknown one.

        Raises:
            Malformed: No DID.
            ChainUnavailable: No answer, or one that does not parse.
        """
        ...

    def keys_at(self, did: str, seconds: int) -> Held:
        """Return which keys held for a participant at a moment.

        Args:
            did: The participant.
            seconds: Since 1970; not later than the chain's newest block.

        Raises:
            Malformed: No DID.
            ChainUnavailable: No answer, or the chain has not come so far yet.
        """
        ...


def parse_history(value: object) -> History:
    """Read a history out of a file. It says of itself that the registry holds it.

    Raises:
        Malformed: A member is missing, unknown or of the wrong form, or the changes
            are out of order.
    """
    wanted = {"typ", "chain_id", "contract", "did", "block", "seen", "changes"}
    found = shape.members(value, wanted, "history")
    shape.constant(found["typ"], TYP, "typ")
    return History(
        chain_id=shape.count(found["chain_id"], "chain_id"),
        contract=shape.address(found["contract"], "contract"),
        did=shape.did(found["did"], "did"),
        block=shape.count(found["block"], "block"),
        seen=shape.count(found["seen"], "seen"),
        changes=shape.each(_change, most=MAX_CHANGES)(found["changes"], "changes"),
    )


def _change(value: object, what: str) -> Change:
    if "suite" not in shape.mapping(value, what):
        found = shape.members(value, {"at", "account"}, what)
        account = shape.optional(shape.address)(found["account"], "account")
        return MembershipChange(at=shape.count(found["at"], "at"), account=account)
    found = shape.members(value, {"at", "suite", "fingerprint"}, what)
    held = shape.optional(shape.digest)(found["fingerprint"], "fingerprint")
    return KeyChange(
        at=shape.count(found["at"], "at"),
        suite=shape.text(found["suite"], "suite"),
        fingerprint=bytes.fromhex(held) if held else None,
    )
