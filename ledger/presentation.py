"""Presentations: some fields of a committed record, and statements about others.

For each call the provider derives a fresh proof (`crypto.predicates`) that shows
exactly the fields asked for, proves the conditions asked about, and is of the
record behind a commitment in its snapshot. It is bound to one place in one
receipt, and through the receipt to one consumer, agreement, purpose and nonce: it
can be neither replayed nor moved.

It does not show that the record is true.

Spec: `docs/protocols/snapshots.md`, section "Presentations";
`docs/protocols/fp-lbv-1.md` (the proof).
"""

from functools import lru_cache
from typing import Final

from crypto.anchored import Sealed
from crypto.bbs import RandomBytes
from crypto.encoding import b64u, canonical
from crypto.predicates import Presentation, Statement, prove
from crypto.typed import Header
from ledger.receipts import Receipt

TYPE: Final = "fieldpact/presentation/1"


def presentation_header(receipt: Receipt, *, customer: bytes, position: int) -> bytes:
    """Return what a presentation is bound to.

    Args:
        receipt: Receipt of the call that it answers.
        customer: Token by which the customer was asked for, 32 bytes.
        position: Of the record among that customer's, from 0.
    """
    return canonical(
        {
            "typ": TYPE,
            "issuer": receipt.provider,
            "audience": receipt.consumer,
            "agreement": receipt.agreement,
            "purpose": receipt.purpose,
            "nonce": receipt.nonce,
            "receipt": _receipt_id(receipt),
            "customer": b64u(customer),
            "position": position,
        }
    )


@lru_cache(maxsize=64)
def _receipt_id(receipt: Receipt) -> str:
    return receipt.receipt_id  # once for all records of an answer


def prove_record(
    sealed: Sealed,
    statement: Statement,
    *,
    public: bytes,
    header: Header,
    receipt: Receipt,
    customer: bytes,
    position: int,
    random_bytes: RandomBytes,
) -> Presentation:
    """Show and prove of a record what was asked.

    Neither signature nor commitment is checked: false ones give a false proof.

    Args:
        sealed: The record, as committed to.
        statement: Of the call (`disclosure.statement_of`).
        public: The provider's BBS key, 96 bytes.
        header: As when the record was committed to (`snapshots.record_header`).
        receipt: Receipt of the call, already durable.
        customer: Token by which the customer was asked for, 32 bytes.
        position: Of the record among that customer's, from 0, the withheld ones
            counted.
        random_bytes: Fresh for each proof.

    Raises:
        Malformed: The record or the header is not of the statement's schema.
        Invalid: A condition does not hold of this record: withhold it. Ask
            `crypto.predicates.holds` before the receipt is written.
    """
    return prove(
        sealed,
        statement,
        public=public,
        header=header,
        ph=presentation_header(receipt, customer=customer, position=position),
        random_bytes=random_bytes,
    )
