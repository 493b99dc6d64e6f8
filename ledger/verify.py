"""Verification of evidence: is it so, and how much of it was looked at?

Reads an evidence file as a third party would, years later and without either
company. Returns one step for each thing it looked at, in order; the verdict is
the weakest of them (`ledger.steps`): a file whose chain nobody asked is not
"verified", it is "not checked", and says so.

Keys come from the caller's *pins*. The keys that a file brings along prove
nothing about whose they are, so a file that was checked with those never gets a
better verdict than "not checked".

No network and no database: the chain is asked through a port, or not at all.

Spec: `docs/protocols/evidence.md`, section "Verification".
"""

from dataclasses import dataclass

from crypto import merkle
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.notes import open_checkpoint, parse_checkpoint
from ledger import log
from ledger.checkpoint import Checkpoint, advance, anchor_commitment, origin_of
from ledger.disclosure import verify_disclosure
from ledger.errors import ChainUnavailable
from ledger.evidence import Evidence, parse_evidence
from ledger.participants import Participant, Pins
from ledger.ports import ChainReader
from ledger.receipts import verify_countersignature, verify_receipt
from ledger.steps import Outcome, Step, run, step


def verify_evidence(
    evidence: Evidence | bytes,
    pins: Pins,
    chain: ChainReader | None = None,
    *,
    receipt_id: str | None = None,
    trust_embedded: bool = False,
) -> tuple[Step, ...]:
    """Check evidence for one call.

    1. `receipt`: it parses, and has the id it was asked for by.
    2. `provider_signature`: under the provider's pinned key.
    3. `countersignature`: under the consumer's pinned key.
    4. `inclusion`: the receipt's leaf is under the checkpoint's root.
    5. `checkpoint`: signed by the provider's log.
    6. `consistency`: the anchored checkpoint is signed too, and continues it.
    7. `anchor`: the commitment opens to the anchored checkpoint.
    8. `chain`: the chain holds that commitment, by the provider's account.
    9. `disclosure`, only where values are embedded: they are what the receipt
       says, and every presentation verifies.

    A step that fails does not keep later ones from being looked at. A file that
    does not parse has only the first.

    Args:
        evidence: The file, or what was parsed from it.
        pins: Pinned participants by DID, from the consortium's registry.
        chain: Reads the consortium's anchor contract; None to check offline,
            which leaves step 8 `not_checked`.
        receipt_id: The id that was asked for, if one was.
        trust_embedded: Use the file's own participant records for parties that
            are not pinned. Steps 2 and 3 then say so, as `not_checked`.
    """
    if isinstance(evidence, bytes):
        try:
            evidence = parse_evidence(evidence)
        except Malformed as error:
            return (step("receipt", "failed", str(error)),)
    embedded = {party.did: party for party in evidence.participants}
    case = _Case(
        evidence=evidence,
        receipt_id=receipt_id,
        pins=pins,
        known={**embedded, **pins} if trust_embedded else pins,
        chain=chain,
    )
    checks = {
        "receipt": case.receipt,
        "provider_signature": case.provider_signature,
        "countersignature": case.countersignature,
        "inclusion": case.inclusion,
        "checkpoint": case.checkpoint,
        "consistency": case.consistency,
        "anchor": case.anchor,
        "chain": case.on_chain,
    }
    if evidence.disclosure:
        checks["disclosure"] = case.disclosure
    return tuple(run(name, check) for name, check in checks.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One verification: what is claimed, and whom we know."""

    evidence: Evidence
    receipt_id: str | None
    pins: Pins
    known: Pins
    chain: ChainReader | None

    @property
    def provider(self) -> Participant | None:
        return self.known.get(self.evidence.signed.receipt.provider)

    def receipt(self) -> Outcome:
        found = self.evidence.signed.receipt.receipt_id
        if self.receipt_id not in (None, found):
            raise InvalidProof(f"this is the receipt {found}")
        return "checked", found

    def provider_signature(self) -> Outcome:
        if self.provider is None:
            return "unknown", self.evidence.signed.receipt.provider
        verify_receipt(self.evidence.signed, self.provider.keys["ed25519"])
        return self._under_key_of(self.provider)

    def countersignature(self) -> Outcome:
        did = self.evidence.signed.receipt.consumer
        given = self.evidence.countersignature
        if given is None:
            return ("nobody", "") if did is None else ("pending", did)
        if did is None:
            raise InvalidSignature("countersigned, and by nobody")
        if (consumer := self.known.get(did)) is None:
            return "unknown", did
        public = consumer.keys["ed25519"]
        verify_countersignature(self.evidence.signed, given, public)
        return self._under_key_of(consumer)

    def inclusion(self) -> Outcome:
        if (place := self.evidence.inclusion) is None:
            return "pending", ""
        checkpoint = _unverified(place.checkpoint)
        merkle.verify_inclusion(
            leaf=log.leaf(self.evidence.signed, self.evidence.salt),
            index=place.index,
            size=checkpoint.size,
            proof=place.proof,
            root=checkpoint.root,
        )
        return "checked", f"{place.index} / {checkpoint.size}"

    def checkpoint(self) -> Outcome:
        if (place := self.evidence.inclusion) is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        checkpoint = _open(place.checkpoint, self.provider)
        return "checked", f"{checkpoint.origin} {checkpoint.size}"

    def consistency(self) -> Outcome:
        place, anchor = self.evidence.inclusion, self.evidence.anchor
        if place is None or anchor is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        covered = _open(place.checkpoint, self.provider)
        anchored = _open(anchor.checkpoint, self.provider)
        advance(covered, anchored, anchor.consistency)
        return "checked", f"{covered.size} → {anchored.size}"

    def anchor(self) -> Outcome:
        if (anchor := self.evidence.anchor) is None:
            return "pending", ""
        commitment = anchor_commitment(anchor.checkpoint, anchor.salt)
        if commitment != anchor.commitment:
            raise InvalidProof(f"the checkpoint's commitment is {commitment.hex()}")
        return "checked", commitment.hex()

    def on_chain(self) -> Outcome:
        if (anchor := self.evidence.anchor) is None:
            return "pending", ""
        if self.provider is None:
            return "unknown", ""
        if self.provider.chain_address.lower() != anchor.member:
            raise InvalidProof("anchored by another account than the provider's")
        if self.chain is None:
            return "not_asked", ""
        try:
            asked = (self.chain.chain_id, self.chain.contract.lower())
            held = self.chain.commitment(anchor.member, anchor.epoch)
        except ChainUnavailable as error:
            return "unreachable", str(error)
        if asked != (anchor.chain_id, anchor.contract):
            return "elsewhere", f"{anchor.chain_id} {anchor.contract}"
        # What the chain holds is compared with the checkpoint, not with the file.
        if held != anchor_commitment(anchor.checkpoint, anchor.salt):
            raise InvalidProof(f"the chain holds {held.hex() if held else 'nothing'}")
        return "checked", f"{anchor.chain_id} {anchor.contract} {anchor.epoch}"

    def disclosure(self) -> Outcome:
        if self.provider is None or self.evidence.disclosure is None:
            return "unknown", ""
        receipt = self.evidence.signed.receipt
        verify_disclosure(
            self.evidence.disclosure,
            receipt,
            self.provider,
            rank=None,
            random_bytes=None,
        )
        return "checked", str(receipt.records)

    def _under_key_of(self, party: Participant) -> Outcome:
        outcome = "checked" if party.did in self.pins else "embedded"
        return outcome, party.key_id("ed25519")


def _open(note: str, provider: Participant) -> Checkpoint:
    public = provider.keys["ed25519"]
    return open_checkpoint(note, origin=origin_of(provider.did), public=public)


def _unverified(note: str) -> Checkpoint:
    """Read a checkpoint whose signature is another step's business."""
    return parse_checkpoint(note.rpartition("\n\n")[0] + "\n")
