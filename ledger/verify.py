"""Verification of evidence: is it so, and how much of it was looked at?

Reads an evidence file as a third party would, years later and without either
company. Returns one step for each thing it looked at, in order; the verdict is
the weakest of them (`ledger.steps`): a file whose chain nobody asked is not
"verified", it is "not checked", and says so.

Keys come from the caller's *pins*. The keys that a file brings along prove
nothing about whose they are, so a file that was checked with those never gets a
better verdict than "not checked". Whether a key held when it signed, the registry on
the chain tells.

No network and no database: the chain is asked through a port, or not at all.

As a program: `python -m ledger.verify FILE` (`ledger.verifier`).

Spec: `docs/protocols/evidence.md`, section "Verification".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from crypto.bbs import RandomBytes
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.tokens import check_opening
from ledger import log
from ledger.cosignature import open_cosignatures
from ledger.disclosure import verify_disclosure
from ledger.evidence import Evidence, parse_evidence
from ledger.held import Use, keys_held
from ledger.participants import Participant, Pins
from ledger.place import Place
from ledger.plans import verify_plan
from ledger.ports import ChainReader
from ledger.receipts import verify_countersignature, verify_receipt
from ledger.registry import Registry
from ledger.request import parse_request, token_key, verify_request
from ledger.standing import Standing, Walk, verify_place
from ledger.step_answer import check_answer, check_plan
from ledger.steps import Outcome, Step, run, step
from ledger.trust import Trust

__all__ = ["Standing", "verify_evidence", "verify_place"]

Check: TypeAlias = Callable[[], Outcome]
_WITNESS: Final = "/witness "
"""How the name of a cosigning key ends (`ledger.cosignature`)."""


def verify_evidence(
    evidence: Evidence | bytes,
    pins: Pins,
    chain: ChainReader | None = None,
    *,
    registry: Registry | None = None,
    quorum: int | None = None,
    receipt_id: str | None = None,
    trust_embedded: bool = False,
    random_bytes: RandomBytes | None = None,
) -> tuple[Step, ...]:
    """Check evidence for one call, by every step of `checks_of`, in its order.

    A step that fails does not keep later ones from being looked at. A file that
    does not parse has only the first.

    Args:
        evidence: The file, or what was parsed from it.
        pins: Pinned participants by DID, from the consortium's registry.
        chain: Reads the consortium's anchor contract; None to check offline,
            which leaves steps 8, 11 and 13 `not_checked`.
        registry: Reads the consortium's registry of keys; None not to ask it,
            which leaves step 11 `not_checked`.
        quorum: How many witnesses there must be; None to only tell.
        receipt_id: The id that was asked for, if one was.
        trust_embedded: Use the file's own participant records for parties that
            are not pinned. Steps 2, 3, 9 and 15 then say so, as `not_checked`.
        random_bytes: The verifier's own, for checking all presentations of a
            disclosure together; None checks them one by one, which is slower.
    """
    if isinstance(evidence, bytes):
        try:
            evidence = parse_evidence(evidence)
        except Malformed as error:
            return (step("receipt", "failed", str(error)),)
    trust = Trust(
        pins=pins,
        chain=chain,
        registry=registry,
        quorum=quorum,
        trust_embedded=trust_embedded,
        random_bytes=random_bytes,
    )
    checks = checks_of(evidence, trust, receipt_id=receipt_id)
    return tuple(run(name, check) for name, check in checks.items())


def checks_of(
    evidence: Evidence, trust: Trust, *, receipt_id: str | None = None
) -> Mapping[str, Check]:
    """Return what is checked of evidence, by name and in order, none of it run.

    1. `receipt`: it parses, and has the id it was asked for by.
    2. `provider_signature`: under the provider's pinned key.
    3. `countersignature`: under the consumer's pinned key.
    4. `inclusion`: the receipt's leaf is under the checkpoint's root.
    5. `checkpoint`: signed by the provider's log.
    6. `consistency`: the anchored checkpoint is signed too, and continues it.
    7. `anchor`: the commitment opens to the anchored checkpoint.
    8. `chain`: the chain holds that commitment, by the provider's account.
    9. `request_signature`, only where the request is embedded: the consumer signed
       for this call.
    10. `witnesses`, only where there are cosignatures or a quorum: how many pinned
       participants beside the provider cosigned the checkpoint.
    11. `keys`, only where histories are embedded or a registry is given: every key
       held, by the chain's registry, when the receipt was anchored.
    12. `disclosure`, only where it is embedded: it is what the receipt says, of
       records in the snapshot, and every presentation verifies.
    13. `snapshot`, with the disclosure: the snapshot is in the log, and anchored.
    14. `openings`, only where tokens are opened: each to the customer it is said
       to mean.
    15. `plan`, only where it is embedded: the consumer signed it, and the receipt
       names it and keeps within it.
    16. `answer`, only of a step that was allowed: it is what the receipt says.
    """
    case = _Case(evidence=evidence, receipt_id=receipt_id, trust=trust)
    always = {
        "receipt": case.receipt,
        "provider_signature": case.provider_signature,
        "countersignature": case.countersignature,
        **case.walk.checks,
    }
    told = case.where_told.items()
    return always | {name: check for name, (present, check) in told if present}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One verification: what is claimed, and whom we know."""

    evidence: Evidence
    receipt_id: str | None
    trust: Trust

    def known(self, did: str | None) -> Participant | None:
        """Return a participant as pinned; as the file says, only if that is wanted."""
        if (pinned := self.trust.pins.get(did or "")) is not None:
            return pinned
        embedded = self.evidence.participants if self.trust.trust_embedded else ()
        return next((party for party in embedded if party.did == did), None)

    @property
    def provider(self) -> Participant | None:
        return self.known(self.evidence.signed.receipt.provider)

    @property
    def consumer(self) -> Participant | None:
        return self.known(self.evidence.signed.receipt.consumer)

    @property
    def walk(self) -> Walk:
        return self._walk(self.evidence.signed, self.evidence.place)

    def _walk(self, entry: log.Entry, place: Place) -> Walk:
        return Walk(
            signed=entry, place=place, provider=self.provider, chain=self.trust.chain
        )

    @property
    def where_told(self) -> Mapping[str, tuple[bool, Check]]:
        """Steps of what a file need not hold, and whether there is anything to do."""
        told, receipt = self.evidence, self.evidence.signed.receipt
        asked = self.trust.registry is not None
        return {
            "request_signature": (told.request is not None, self.request_signature),
            "witnesses": (
                self._cosigned or self.trust.quorum is not None,
                self.witnesses,
            ),
            "keys": (asked or bool(told.histories), self.keys),
            "disclosure": (told.disclosure is not None, self.disclosure),
            "snapshot": (told.disclosure is not None, self.snapshot),
            "openings": (bool(told.openings), self.openings),
            "plan": (told.plan is not None, self.plan),
            "answer": (receipt.decision == "allow" and bool(receipt.plan), self.answer),
        }

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
        if (consumer := self.consumer) is None:
            return "unknown", did
        verify_countersignature(self.evidence.signed, given, consumer)
        return self._under_key_of(consumer, given.key_id)

    def request_signature(self) -> Outcome:
        receipt, token = self.evidence.signed.receipt, self.evidence.request or ""
        if receipt.consumer is None:
            raise InvalidSignature("the request of a caller that nobody knew")
        if self.consumer is None:
            return "unknown", receipt.consumer
        key_id = verify_request(token, receipt, self.consumer)
        return self._under_key_of(self.consumer, key_id)

    @property
    def _cosigned(self) -> bool:
        place = self.evidence.inclusion
        return place is not None and _WITNESS in place.checkpoint

    def witnesses(self) -> Outcome:
        if (place := self.evidence.inclusion) is None:
            return "pending", ""
        provider = self.evidence.signed.receipt.provider
        others = [party for did, party in self.trust.pins.items() if did != provider]
        if not others:
            return "unknown", ""
        found = len(open_cosignatures(place.checkpoint, others))
        if found < (self.trust.quorum or 0):
            raise InvalidProof(
                f"{found} / {len(others)}, {self.trust.quorum} asked for"
            )
        return "checked", f"{found} / {len(others)}"

    def keys(self) -> Outcome:
        carried = {each.did: each for each in self.evidence.histories}
        if self.provider is None:
            return "unknown", self.evidence.signed.receipt.provider
        places = [(self.walk, self._uses(self.provider))]
        told, place = self.evidence.disclosure, self.evidence.snapshot_place
        if told is not None and place is not None:
            key = self.provider.verifier(told.snapshot.snapshot.key_id)
            use = Use(did=self.provider.did, key=key)
            places.append((self._walk(told.snapshot, place), [use]))
        found = [
            keys_held(uses, walk, carried, self.trust.registry) for walk, uses in places
        ]
        return next((each for each in found if each[0] != "checked"), found[0])

    def _uses(self, provider: Participant) -> list[Use]:
        """List which keys signed what the receipt's anchor fixes."""
        receipt, back = self.evidence.signed.receipt, self.evidence.countersignature
        used = [Use(did=provider.did, key=provider.verifier(receipt.key_id))]
        if key := self.walk.log_key():
            used.append(Use(did=provider.did, key=key))
        if self.consumer is None:
            return used
        did = self.consumer.did
        if back is not None:
            key = self.consumer.verifier(back.key_id)
            used.append(Use(did=did, key=key, late=True))
        if self.evidence.request is not None:
            named = parse_request(self.evidence.request).key_id
            used.append(Use(did=did, key=token_key(self.consumer, named)))
        if self.evidence.plan is not None:
            key = self.consumer.verifier(self.evidence.plan.plan.key_id)
            used.append(Use(did=did, key=key))
        return used

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
            random_bytes=self.trust.random_bytes,
        )
        return "checked", str(receipt.records)

    def snapshot(self) -> Outcome:
        told, place = self.evidence.disclosure, self.evidence.snapshot_place
        if told is None or place is None:
            return "untold", ""
        found = verify_place(told.snapshot, place, self.provider, self.trust.chain)
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

    def plan(self) -> Outcome:
        receipt, told = self.evidence.signed.receipt, self.evidence.plan
        if told is None or self.consumer is None:
            return "unknown", str(receipt.consumer)
        verify_plan(told, self.consumer)
        check_plan(receipt, told.plan)
        outcome, _ = self._under_key_of(self.consumer, told.plan.key_id)
        return outcome, told.plan.plan_hash

    def answer(self) -> Outcome:
        receipt, told = self.evidence.signed.receipt, self.evidence.answer
        if told is None:
            return "sealed", str(receipt.response_hash)
        check_answer(receipt, told)
        return "checked", str(receipt.response_hash)

    def _under_key_of(self, party: Participant, key_id: str) -> Outcome:
        return "checked" if party.did in self.trust.pins else "embedded", key_id


if __name__ == "__main__":
    from ledger.verifier import main

    main(program="python -m ledger.verify")
