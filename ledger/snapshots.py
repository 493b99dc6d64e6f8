"""Snapshots: what a provider has committed to, before anybody asks.

A provider that both signs and shows a record can sign another one at will. So it
commits to all records of all customers of an *agreement* at once, and signs what
it has committed to. That is a snapshot: the root of a tree with one leaf for each
customer token that the consumer declared, in the order of the tokens.

    leaf i   the i-th declared token, and the commitments of all its records;
             or 32 random bytes, if there are no records of it to share

Both sides know the declared tokens, so the consumer knows by itself where the one
leaf of a customer must be: a customer has one leaf, and an answer shows all its
records or does not verify. A leaf next to it tells nothing, not even whether that
customer is shared. Commitments are made with fresh blinders for each agreement,
so those of two agreements cannot be linked.

Snapshots of one agreement are numbered from 0 without gaps, and each names the one
before. Their *version* is that of the dataset's content, the same under every
agreement: what two partners hold of one record at one version must be equal
(`ledger.contradiction`). A snapshot is a leaf of the provider's log, like a
receipt, and so is anchored with it.

A snapshot does not show that a record is true, nor that none was forgotten.

Spec: `docs/protocols/snapshots.md`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from crypto import merkle
from crypto.bbs.suite import POINT_BYTES
from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import InvalidSignature, Malformed
from crypto.signing import Signer
from crypto.typed import SIZES, Header
from ledger import shape
from ledger.errors import Inconsistent
from ledger.participants import Participant

TYPE: Final = "fieldpact/snapshot/1"
FIRST: Final = "0" * 64
"""What the first snapshot of an agreement names as the one before."""
MOST_LEAVES: Final = 2**32


def _messages(value: object, what: str) -> int:
    found = shape.count(value, what)
    if found not in SIZES:
        raise Malformed(f"{what} must be 16, 32 or 64")
    return found


def _leaves(value: object, what: str) -> int:
    found = shape.count(value, what)
    if not 0 < found <= MOST_LEAVES or found & (found - 1):
        raise Malformed(f"{what} must be a power of two")
    return found


_READERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "provider": shape.did,
    "agreement": shape.text,
    "dataset": shape.text,
    "version": shape.count,
    "sequence": shape.count,
    "previous": shape.digest,
    "declaration": shape.digest,
    "customers": _leaves,
    "root": shape.digest,
    "schema_hash": shape.digest,
    "messages": _messages,
    "bbs_key_id": shape.text,
    "at": shape.instant,
    "key_id": shape.text,
}
"""How each member is read. The names are the members of a snapshot, besides `typ`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a provider has committed to under one agreement. Members as on the wire.

    Attributes:
        provider: DID of the company that committed.
        agreement: The agreement whose declared customers the leaves stand for.
        version: Of the dataset's content; the same under every agreement.
        sequence: Of the snapshots of this agreement, from 0 without gaps.
        previous: Id of the snapshot before, `FIRST` at 0.
        declaration: `declaration_hash` of the declared tokens.
        customers: Number of leaves: of declared tokens, a power of two.
        root: Of the tree of `customer_leaf`s, 64 hex digits.
        schema_hash: Of the schema of every record, 64 hex digits.
        messages: Of every record: 16, 32 or 64.
        bbs_key_id: Id of the key that signed the records.
        at: When it was made, RFC 3339 UTC to the second, by the provider's clock.
        key_id: Id of the provider's Ed25519 key.
    """

    provider: str
    agreement: str
    dataset: str
    version: int
    sequence: int
    previous: str
    declaration: str
    customers: int
    root: str
    schema_hash: str
    messages: int
    bbs_key_id: str
    at: str
    key_id: str

    def __post_init__(self) -> None:
        """Check every value, then the laws between them."""
        shape.well_formed(self, _READERS, self._laws, "a snapshot")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        own, keys = self.provider + "#", (self.key_id, self.bbs_key_id)
        return (
            ((self.sequence == 0) == (self.previous == FIRST), "the start is wrong"),
            (all(key.startswith(own) for key in keys), "a key is another's"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, every member present."""
        core = {field.name: getattr(self, field.name) for field in fields(self)}
        return core | {"typ": TYPE}

    def canonical(self) -> bytes:
        """Return the bytes that are signed and hashed, without their tag."""
        return canonical(self.to_json())

    @property
    def snapshot_id(self) -> str:
        """Return the id: the hash of its tagged bytes, 64 hex digits."""
        return sha256(_signed_bytes(self)).hex()


def parse_snapshot(value: object) -> Snapshot:
    """Read a snapshot from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong, or a law is broken.
    """
    core = dict(shape.members(value, {"typ", *_READERS}, "snapshot"))
    shape.constant(core.pop("typ"), TYPE, "typ")
    return Snapshot(**core)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedSnapshot:
    """A snapshot with its provider's signature, which is not yet verified.

    Attributes:
        signature: Of the suite of the key that the snapshot names, 64 bytes.
    """

    snapshot: Snapshot
    signature: bytes

    def canonical(self) -> bytes:
        """Return the bytes that were signed, without their tag: a log's `Entry`."""
        return self.snapshot.canonical()

    def to_json(self) -> dict[str, Any]:
        """Return the two members that carry it in a message."""
        return {
            "snapshot": self.snapshot.to_json(),
            "snapshot_signature": b64u(self.signature),
        }


def parse_signed_snapshot(message: Mapping[str, Any]) -> SignedSnapshot:
    """Read a signed snapshot from a message that carries it among other members.

    Raises:
        Malformed: One of its two members is missing or wrong.
    """
    return SignedSnapshot(
        snapshot=parse_snapshot(message.get("snapshot")),
        signature=shape.octets(64)(
            message.get("snapshot_signature"), "snapshot_signature"
        ),
    )


def sign_snapshot(snapshot: Snapshot, key: Signer) -> SignedSnapshot:
    """Sign a snapshot as its provider, with the key that the snapshot names."""
    if snapshot.key_id != key.key_id(snapshot.provider):
        raise ValueError("the snapshot names another key")
    signature = key.sign(_signed_bytes(snapshot))
    return SignedSnapshot(snapshot=snapshot, signature=signature)


def verify_snapshot(signed: SignedSnapshot, provider: Participant) -> None:
    """Check the provider's signature.

    Args:
        signed: The snapshot, as parsed.
        provider: The provider, as *pinned*.

    Raises:
        InvalidSignature: Not signed, signed by or said to be by another key, or the
            snapshot is another participant's.
    """
    snapshot = signed.snapshot
    if snapshot.provider != provider.did:
        raise InvalidSignature("said to be signed by another participant")
    key = provider.verifier(snapshot.key_id)
    key.verify(_signed_bytes(snapshot), signed.signature)


def check_successor(previous: Snapshot | None, following: Snapshot) -> None:
    """Check the law of snapshots: no gap, and each names the one before.

    Args:
        previous: Newest snapshot of the agreement so far, None before the first.
        following: The snapshot that is said to come next.

    Raises:
        Inconsistent: `following` cannot follow `previous`.
    """
    sequence = 0 if previous is None else previous.sequence + 1
    if following.sequence != sequence:
        raise Inconsistent("the snapshots have a gap, or a number twice")
    if previous is not None:
        compare(previous, following)


class Age(StrEnum):
    """How a snapshot stands to the newest that is known of its agreement."""

    FIRST = "first"
    NEWER = "newer"
    SAME = "same"
    OLDER = "older"


def compare(newest: Snapshot | None, seen: Snapshot) -> Age:
    """Compare a snapshot with the newest known one of the same agreement.

    A consumer sees the snapshots that its calls are answered from, maybe with
    gaps. It keeps the newest, and notices when the provider contradicts it.

    Args:
        newest: Newest snapshot known of the agreement, verified; None if none is.
        seen: Another of the same provider, agreement and dataset, verified.

    Returns:
        `OLDER` if it has been replaced: what it shows was so, and may not be now.

    Raises:
        Inconsistent: The two cannot both be snapshots of one agreement. With
            both signatures, they are proof of it for everybody.
    """
    if newest is None:
        return Age.FIRST
    if _of_what(newest) != _of_what(seen):
        raise Inconsistent("the snapshots are of different agreements")
    if newest.sequence == seen.sequence:
        if newest.snapshot_id != seen.snapshot_id:
            raise Inconsistent("two snapshots of one agreement have one number")
        return Age.SAME
    first, second = sorted((newest, seen), key=lambda each: each.sequence)
    if second.version < first.version:
        raise Inconsistent("a later snapshot is of an earlier version")
    if second.sequence == first.sequence + 1 and second.previous != first.snapshot_id:
        raise Inconsistent("a snapshot names another one as the one before")
    return Age.NEWER if second is seen else Age.OLDER


def declaration_hash(tokens: Sequence[bytes]) -> str:
    """Hash the customer tokens that a consumer declared, 64 hex digits.

    Args:
        tokens: 32 bytes each, sorted, each once; filled up to a power of two.

    Raises:
        Malformed: They are not.
    """
    if any(len(token) != 32 for token in tokens):
        raise Malformed("a customer token has 32 bytes")
    if any(a >= b for a, b in pairwise(tokens)):
        raise Malformed("the declared tokens are sorted, each once")
    _leaves(len(tokens), "the number of declared tokens")
    return sha256(tagged("declaration", b"".join(tokens))).hex()


def customer_leaf(token: bytes, records: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the leaf of a customer that is shared: a hash of 32 bytes.

    Args:
        token: By which the consumer declared the customer, 32 bytes.
        records: Commitment (48 bytes) and octets of the header of each of its
            records, in the order in which they are shown. At least one: a leaf
            of no record could be guessed. Of a customer without records the leaf
            is 32 random bytes, as of one that is not shared.

    Raises:
        Malformed: There is no record, or a length is wrong.
    """
    lengths = {len(commitment) for commitment, _ in records}
    if len(token) != 32 or lengths != {POINT_BYTES}:
        raise Malformed("a leaf is of one customer and of one record or more")
    listed = [commitment + sha256(header) for commitment, header in records]
    count = len(records).to_bytes(8, "big")
    entry = tagged("customer-leaf", token + count + b"".join(listed))
    return merkle.leaf_hash(entry)


def record_header(snapshot: Snapshot, version: int) -> Header:
    """Return what a record of this snapshot is bound to.

    Args:
        version: Of the dataset, when this record was committed to: at most the
            snapshot's.
    """
    return Header(
        issuer=snapshot.provider,
        key_id=snapshot.bbs_key_id,
        dataset=snapshot.dataset,
        schema_hash=snapshot.schema_hash,
        messages=snapshot.messages,
        grant=snapshot.agreement,
        version=version,
    )


def _of_what(snapshot: Snapshot) -> tuple[str, str, str]:
    return snapshot.provider, snapshot.agreement, snapshot.dataset


def _signed_bytes(snapshot: Snapshot) -> bytes:
    return tagged("snapshot", snapshot.canonical())
