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

from crypto.bbs import RandomBytes
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.tokens import check_opening
from ledger.disclosure import verify_disclosure
from ledger.evidence import Evidence, parse_evidence
from ledger.participants import Participant, Pins
from ledger.ports import ChainReader
from ledger.receipts import verify_countersignature, verify_receipt
from ledger.standing import Standing, Walk, verify_place
from ledger.steps import Outcome, Step, run, step

__all__ = ["Standing", "verify_evidence", "verify_place"]


def verify_evidence(
    evidence: Evidence | bytes,
    pins: Pins,
    chain: ChainReader | None = None,
    *,
    receipt_id: str | None = None,
    trust_embedded: bool = False,
    random_bytes: RandomBytes | None = None,
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
    9. `disclosure`, only where it is embedded: it is what the receipt says, of
       records in the snapshot, and every presentation verifies.
    10. `snapshot`, with the disclosure: the snapshot is in the log, and anchored.
    11. `openings`, only where tokens are opened: each to the customer it is said
       to mean.

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
        random_bytes: The verifier's own, for checking all presentations of a
            disclosure together; None checks them one by one, which is slower.
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
        random_bytes=random_bytes,
    )
    walk = Walk(
        signed=evidence.signed,
        place=evidence.place,
        provider=case.provider,
        chain=chain,
    )
    checks = {
        "receipt": case.receipt,
        "provider_signature": case.provider_signature,
        "countersignature": case.countersignature,
        **walk.checks,
    }
    if evidence.disclosure:
        checks |= {"disclosure": case.disclosure, "snapshot": case.snapshot}
    if evidence.openings:
        checks["openings"] = case.openings
    return tuple(run(name, check) for name, check in checks.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One verification: what is claimed, and whom we know."""

    evidence: Evidence
    receipt_id: str | None
    pins: Pins
    known: Pins
    chain: ChainReader | None
    random_bytes: RandomBytes | None

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
        verify_receipt(self.evidence.signed, self.provider)
        named = self.evidence.signed.receipt.key_id
        return self._under_key_of(self.provider, named)

    def countersignature(self) -> Outcome:
        did = self.evidence.signed.receipt.consumer
        given = self.evidence.countersignature
        if given is None:
            return ("nobody", "") if did is None else ("pending", did)
        if did is None:
            raise InvalidSignature("countersigned, and by nobody")
        if (consumer := self.known.get(did)) is None:
            return "unknown", did
        verify_countersignature(self.evidence.signed, given, consumer)
        return self._under_key_of(consumer, given.key_id)

    def disclosure(self) -> Outcome:
        receipt, told = self.evidence.signed.receipt, self.evidence.disclosure
        if self.provider is None or told is None:
            return "unknown", ""
        # A third party does not know what was declared, so not where a leaf must be.
        verify_disclosure(
            told,
            receipt,
            self.provider,
            rank=None,
            random_bytes=self.random_bytes,
        )
        return "checked", str(receipt.records)

    def snapshot(self) -> Outcome:
        told, place = self.evidence.disclosure, self.evidence.snapshot_place
        if told is None or place is None:
            return "untold", ""
        found = verify_place(told.snapshot, place, self.provider, self.chain)
        facts = [found.epoch and f"epoch {found.epoch}", found.at]
        return found.outcome, " ".join(fact for fact in facts if fact)

    def openings(self) -> Outcome:
        told = self.evidence.disclosure
        known = {answer.customer for answer in told.answers} if told else set()
        opened = [opening.customer for opening in self.evidence.openings]
        if not known.issuperset(opened) or len(set(opened)) != len(opened):
            raise InvalidProof("an opening of a token that is not here, or two of one")
        for opening in self.evidence.openings:
            check_opening(opening.customer, opening.opening, opening.identifier)
        return "checked", str(len(opened))

    def _under_key_of(self, party: Participant, key_id: str) -> Outcome:
        return "checked" if party.did in self.pins else "embedded", key_id
