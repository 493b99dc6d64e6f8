"""Write the receipt of a call, in the transaction that uses up what the call takes.

A query and a step of a plan leave the same receipt: who asked what, how that was
decided, and what it led to. They differ in the last of these alone.
"""

from dataclasses import dataclass
from typing import Any

from crypto.signing import Signer
from ledger.receipts import PolicyReference, Receipt, SignedReceipt, sign_receipt
from node.domain.agreement import render_instant
from node.domain.decision import Decision
from node.ports import UnitOfWork
from node.services.situate import Situated


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A call, and what was decided about it.

    Attributes:
        token: The caller's, as it came.
        started_ms: When it came, by the monotonic clock.
        question: The policy's input, canonical JSON.
    """

    found: Situated
    token: str | None
    started_ms: float
    question: str
    decision: Decision


def write_receipt(
    work: UnitOfWork,
    case: Decided,
    members: dict[str, Any],
    *,
    provider: str,
    signer: Signer,
    salt: bytes,
    now_ms: float,
) -> SignedReceipt:
    """Append the receipt of a call to its stream and to the log.

    Args:
        members: What the call led to, as members of the receipt: `decision`, counts,
            hashes.
        provider: This node's DID.
        signer: Signs receipts.
        salt: 32 random bytes, which hide the receipt in its leaf.
        now_ms: The time by the monotonic clock.
    """
    sequence, previous = work.receipts.head(case.found.stream)
    receipt = Receipt(
        provider=provider,
        sequence=sequence,
        previous=previous,
        key_id=signer.key_id(provider),
        **_told(case),
        **members,
    )
    signed = sign_receipt(receipt, signer)
    work.receipts.append(
        signed,
        salt=salt,
        token=case.token if case.found.caller.did else None,
        question=case.question,
        took_ms=round(now_ms - case.started_ms),
    )
    return signed


def _told(case: Decided) -> dict[str, Any]:
    """Return what a receipt says of any call: who asked what, and why not."""
    found, decision = case.found, case.decision
    request = found.request
    return {
        "consumer": found.caller.did,
        "agreement": request.agreement,
        "agreement_hash": found.agreement_hash,
        "stream": found.stream,
        "at": render_instant(found.at),
        "request_hash": request.hash,
        "nonce": found.caller.nonce,
        "dataset": request.dataset,
        "purpose": request.purpose,
        "fields": request.fields,
        "denials": decision.denials,
        "policy": PolicyReference(
            revision=decision.revision,
            input_hash=decision.input_hash,
            engine=decision.engine,
        ),
    }
