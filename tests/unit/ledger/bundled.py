"""A bundle of a stream, as either party of it would export it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from crypto.encoding import b64u
from crypto.keys import Ed25519Key
from ledger.bundle import (
    Erased,
    Line,
    Manifest,
    Parties,
    render_line,
    sign_manifest,
    under_of,
)
from ledger.bundle_check import verify_bundle
from ledger.evidence import Evidence
from ledger.memory import MemoryLog
from ledger.memory_chain import MemoryChain
from ledger.receipts import FIRST, SignedReceipt, countersign, sign_receipt
from ledger.steps import State, Step
from ledger.streams import SignedHead, StreamHead, sign_head
from ledger.trust import Trust
from tests.unit.ledger import asking, planned, samples

AT = "2026-11-23T01:00:00Z"


def calls(count: int) -> list[SignedReceipt]:
    """Receipts of calls that differ in their nonces; the third is a step of a plan."""
    signed: list[SignedReceipt] = []
    for number in range(count):
        previous = signed[-1].receipt.receipt_id if signed else FIRST
        nonce = b64u(samples.seed(f"nonce {number}"))
        facts: dict[str, Any] = {"sequence": number, "previous": previous}
        facts["nonce"] = nonce
        stepped = planned.step_receipt(planned.signed(), **facts)
        receipt = stepped if number == 2 else samples.receipt(**facts)
        signed.append(sign_receipt(receipt, samples.PROVIDER_KEY))
    return signed


@dataclass(frozen=True, kw_only=True)
class Story:
    """Ten calls: six under one anchor, two under the next, two that only wait."""

    entries: Sequence[Evidence]
    chain: MemoryChain

    @property
    def trust(self) -> Trust:
        """Everything that a reader can bring along."""
        return Trust(pins=samples.PINS, chain=self.chain)


def story(whole: bool = True) -> Story:
    """The calls of a provider, with all that there is to show for each.

    Args:
        whole: Whether the last two calls are anchored, too.
    """
    chain = samples.chain()
    log = MemoryLog(samples.PROVIDER_RECORD, samples.PROVIDER_KEY)
    signed = calls(10)
    for number, each in enumerate(signed):
        log.sequence(each, salt=samples.seed(f"salt {number}"))
        if number in (5, 7) or (whole and number == 9):
            log.integrate()
            log.publish()
            log.anchor(chain, salt=samples.seed(f"anchor {number}"))
    entries = [
        replace(
            log.evidence(number, samples.CONSUMER_RECORD),
            countersignature=countersign(each, samples.CONSUMER_KEY),
            request=asking.token(each.receipt),
        )
        for number, each in enumerate(signed)
    ]
    return Story(entries=entries, chain=chain)


def head(newest: SignedReceipt | None, key: Ed25519Key, signer: str) -> SignedHead:
    """What a party says of the stream."""
    receipt = newest.receipt if newest else None
    return sign_head(
        StreamHead(
            provider=samples.PROVIDER,
            consumer=samples.CONSUMER,
            agreement=samples.AGREEMENT,
            stream=samples.receipt().stream,
            count=receipt.sequence + 1 if receipt else 0,
            head=receipt.receipt_id if receipt else FIRST,
            newest=b64u(newest.signature) if newest else None,
            answers=None,
            at=AT,
            signer=signer,
            key_id=key.key_id(signer),
        ),
        key,
    )


def manifest(
    entries: Sequence[Evidence],
    newest: SignedReceipt | None,
    key: Ed25519Key = samples.PROVIDER_KEY,
    exporter: str = samples.PROVIDER,
    **changes: Any,
) -> Line:
    """The first line over these entries, changed as said before it is signed."""
    numbers = [each.signed.receipt.sequence for each in entries]
    values: dict[str, Any] = {
        "exporter": exporter,
        "provider": samples.PROVIDER,
        "consumer": samples.CONSUMER,
        "agreement": samples.AGREEMENT,
        "stream": samples.receipt().stream,
        "first": numbers[0] if numbers else None,
        "last": numbers[-1] if numbers else None,
        "count": len(numbers),
        "since": None,
        "until": None,
        "at": AT,
        "head": head(newest, key, exporter),
        "key_id": key.key_id(exporter),
    }
    return sign_manifest(Manifest(**(values | changes)), key)


def lines(
    first: Line, entries: Sequence[Evidence | Erased], *histories: Any
) -> list[Line]:
    """All lines of a file."""
    parties = (samples.PROVIDER_RECORD, samples.CONSUMER_RECORD)
    found: list[Line] = [first, Parties(participants=parties, histories=histories)]
    under = None
    for entry in entries:
        above = under_of(entry) if isinstance(entry, Evidence) else None
        if above is not None and above != under:
            found.append(under := above)
        found.append(entry)
    return found


def check(
    file: Sequence[Line] | bytes, trust: Trust, **options: Any
) -> tuple[Step, ...]:
    """Check a file."""
    data = file if isinstance(file, bytes) else b"".join(map(render_line, file))
    first, end, rest = data.partition(b"\n")
    return verify_bundle(first + end, BytesIO(rest), trust, **options)


def weak(steps: Sequence[Step]) -> dict[str, str]:
    """State by step, those that are `checked` left out."""
    return {s.name: s.state.value for s in steps if s.state is not State.CHECKED}


def detail(steps: Sequence[Step], name: str) -> str:
    """What a step says in brief."""
    [found] = [step for step in steps if step.name == name]
    return found.detail
