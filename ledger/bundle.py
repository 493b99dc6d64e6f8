"""Bundles: all evidence of one stream in one file, and a promise that it is all.

Evidence shows that a call happened. An auditor asks the other question: is this
*every* call? Receipts of a stream are numbered without a gap and each names the one
before, so a file that holds a run of them shows by itself that none is missing in
between; and the exporter signs where the stream began and ended when it was asked.

A file is lines of JSON, so that one of any length is written and read without ever
being held as a whole:

    {"typ": "fieldpact/evidence-bundle/1", "manifest": {…}, "signature"}
    {"participants": […], "histories": […]}
    {"checkpoint": note, "anchor": {…} | null}
    {"receipt", "provider_signature", …}      any number, under the checkpoint above
    {"checkpoint": …}
    …

What was disclosed is not in a bundle: it tells that values were read, not which. And
nobody can show a call that both parties keep silent about.

Spec: `docs/protocols/evidence.md`, section "Bundles".
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias

from crypto.encoding import b64u, canonical, tagged
from crypto.errors import InvalidSignature, Malformed
from crypto.signing import Signer
from ledger import shape
from ledger.evidence import Evidence, countersignature_of, histories_of, request_of
from ledger.participants import Participant, parse_participant
from ledger.place import Anchor, Place, parse_anchor, place_among
from ledger.receipts import parse_signed_receipt, stream_id
from ledger.registry import History
from ledger.streams import SignedHead, parse_signed_head

TYPE: Final = "fieldpact/evidence-bundle/1"
LONGEST: Final = 4 * 2**20
"""Bytes of one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the exporter says of the file. Members as on the wire.

    Attributes:
        exporter: DID of the party that made the file, and signs this.
        stream: `ledger.receipts.stream_id` of provider, consumer and agreement.
        first: Number of the first receipt that is here; None where there is none.
        last: Number of the last; likewise.
        count: How many are here.
        since: From when on receipts were asked for; None: from the first.
        until: Before when; None: to the newest.
        at: When the file was made, by the exporter's clock.
        head: What the exporter says of the whole stream, signed.
        key_id: Id of the key that signs.
    """

    exporter: str
    provider: str
    consumer: str
    agreement: str
    stream: str
    first: int | None
    last: int | None
    count: int
    since: str | None
    until: str | None
    at: str
    head: SignedHead
    key_id: str

    def __post_init__(self) -> None:
        """Check every value, then the laws between them."""
        shape.well_formed(self, _READERS, self._laws, "a manifest")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        stream = stream_id(
            provider=self.provider, consumer=self.consumer, agreement=self.agreement
        )
        told = self.head.head
        ends = self.first is not None, self.last is not None
        return (
            (self.stream == stream, "the stream is not that of its parties"),
            (told.stream == stream, "the head is of another stream"),
            (told.signer == self.exporter, "the head is another's"),
            (self.exporter in (self.provider, self.consumer), "no party exports"),
            (self.key_id.startswith(self.exporter + "#"), "the key is another's"),
            (ends == (bool(self.count), bool(self.count)), "first and last are wrong"),
            ((self.first or 0) <= (self.last or 0), "it ends before it begins"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, every member present."""
        core = {field.name: getattr(self, field.name) for field in fields(self)}
        return core | {"head": self.head.to_json()}


def _head(value: object, what: str) -> SignedHead:
    if not isinstance(value, SignedHead):
        raise Malformed(f"{what} must be a signed head")
    return value


_READERS: Final[Mapping[str, shape.Reader[Any]]] = {
    "exporter": shape.did,
    "provider": shape.did,
    "consumer": shape.did,
    "agreement": shape.text,
    "stream": shape.digest,
    "first": shape.optional(shape.count),
    "last": shape.optional(shape.count),
    "count": shape.count,
    "since": shape.optional(shape.instant),
    "until": shape.optional(shape.instant),
    "at": shape.instant,
    "head": _head,
    "key_id": shape.text,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """A manifest with its exporter's signature, which is not yet verified."""

    manifest: Manifest
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the first line of a bundle."""
        return {
            "typ": TYPE,
            "manifest": self.manifest.to_json(),
            "signature": b64u(self.signature),
        }


def sign_manifest(manifest: Manifest, key: Signer) -> SignedManifest:
    """Sign a manifest, with the key that it names."""
    if manifest.key_id != key.key_id(manifest.exporter):
        raise ValueError("the manifest names another key")
    return SignedManifest(manifest=manifest, signature=key.sign(_bytes(manifest)))


def verify_manifest(signed: SignedManifest, exporter: Participant) -> None:
    """Check who signed a manifest.

    Args:
        signed: As parsed.
        exporter: Who is said to have signed, as *pinned*.

    Raises:
        InvalidSignature: Not signed, signed by or said to be by another key, or the
            manifest is another participant's.
    """
    if signed.manifest.exporter != exporter.did:
        raise InvalidSignature("said to be signed by another participant")
    key = exporter.verifier(signed.manifest.key_id)
    key.verify(_bytes(signed.manifest), signed.signature)


def _bytes(manifest: Manifest) -> bytes:
    return tagged("evidence-bundle", canonical(manifest.to_json()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who the file says the parties are, and which keys they held when."""

    participants: tuple[Participant, ...] = ()
    histories: tuple[History, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the line."""
        return {
            "participants": [each.to_json() for each in self.participants],
            "histories": [each.to_json() for each in self.histories],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Under:
    """The checkpoint that the entries after it are under, and its anchor."""

    checkpoint: str
    anchor: Anchor | None

    def to_json(self) -> dict[str, Any]:
        """Return the line."""
        anchor = self.anchor
        return {"checkpoint": self.checkpoint, "anchor": anchor and anchor.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """A receipt whose content its exporter erased: its place and its id are left."""

    sequence: int
    receipt_id: str

    def to_json(self) -> dict[str, Any]:
        """Return the line."""
        return {"erased": {"sequence": self.sequence, "receipt": self.receipt_id}}


Line: TypeAlias = SignedManifest | Parties | Under | Erased | Evidence
_ENTRY: Final = frozenset(
    {"receipt", "provider_signature", "countersignature", "salt", "index", "inclusion"}
)


def render_line(line: Line) -> bytes:
    """Write one line, with its end."""
    value = _entry(line) if isinstance(line, Evidence) else line.to_json()
    return canonical(value) + b"\n"


def _entry(evidence: Evidence) -> dict[str, Any]:
    found = evidence.to_json()
    entry = {name: found[name] for name in _ENTRY}
    return entry if evidence.request is None else entry | {"request": evidence.request}


def under_of(evidence: Evidence) -> Under | None:
    """Return what an entry is to stand under; None while it is not in the tree."""
    if evidence.inclusion is None:
        return None
    return Under(checkpoint=evidence.inclusion.checkpoint, anchor=evidence.anchor)


def parse_first(value: object) -> SignedManifest:
    """Read the first line of a bundle from its JSON value. Raises `Malformed`."""
    found = shape.members(value, {"typ", "manifest", "signature"}, "first line")
    shape.constant(found["typ"], TYPE, "typ")
    core = dict(shape.members(found["manifest"], _READERS, "manifest"))
    head = parse_signed_head(core["head"])
    return SignedManifest(
        manifest=Manifest(**{**core, "head": head}),
        signature=shape.octets(64)(found["signature"], "signature"),
    )


def parse_line(value: object, parties: Parties, under: Under | None) -> Line:
    """Read a line after the first from its JSON value.

    Args:
        value: The line.
        parties: From the line of that kind above it.
        under: From the nearest line of that kind above it.

    Raises:
        Malformed: A member is missing, unknown or wrong, or an entry is said to be
            in the tree and no checkpoint stands above it.
    """
    found = shape.mapping(value, "line")
    if "receipt" in found:
        return _evidence(found, parties, under)
    if "checkpoint" in found:
        shape.members(found, {"checkpoint", "anchor"}, "line")
        return Under(
            checkpoint=shape.prose(found["checkpoint"], "checkpoint"),
            anchor=shape.optional(parse_anchor)(found["anchor"], "anchor"),
        )
    if "erased" in found:
        shape.members(found, {"erased"}, "line")
        told = shape.members(found["erased"], {"sequence", "receipt"}, "erased")
        return Erased(
            sequence=shape.count(told["sequence"], "sequence"),
            receipt_id=shape.digest(told["receipt"], "receipt"),
        )
    shape.members(found, {"participants", "histories"}, "line")
    return Parties(
        participants=shape.each(parse_participant, most=2)(
            found["participants"], "participants"
        ),
        histories=histories_of(found["histories"], "histories"),
    )


def _evidence(
    found: Mapping[str, Any], parties: Parties, under: Under | None
) -> Evidence:
    shape.members(found, _ENTRY, "entry", optional={"request"})
    within = found["index"] is not None
    if within and under is None:
        raise Malformed("an entry in the tree, and no checkpoint above it")
    note = under.checkpoint if within and under else None
    place: Place = place_among({**found, "checkpoint": note, "anchor": None})
    return Evidence(
        signed=parse_signed_receipt(found),
        salt=place.salt,
        participants=parties.participants,
        histories=parties.histories,
        countersignature=countersignature_of(found["countersignature"]),
        inclusion=place.inclusion,
        anchor=under.anchor if within and under else None,
        request=request_of(found["request"]) if "request" in found else None,
    )
