"""One receipt of ours: what it says, who signed it, and what stands beside it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from crypto.encoding import parse_json, sha256, tagged
from crypto.errors import CryptoError
from ledger.receipts import (
    FIRST,
    Countersignature,
    Receipt,
    SignedReceipt,
    parse_receipt,
    verify_countersignature,
    verify_receipt,
)
from ledger.request import verify_request
from node.adapters.policy.question import UNHASHED
from node.adapters.sql.erasure import RECEIVED, WRITTEN
from node.adapters.sql.fsck.findings import Basis, Row
from node.adapters.sql.receipts import BESIDE, asked_fields
from node.domain.agreement import instant

_COLUMNS: Final[Mapping[str, str]] = {
    "receipt_id": "receipt_id",
    "stream": "stream",
    "stream_sequence": "sequence",
    **BESIDE,
}
"""Columns of `receipts` beside the receipt, and what the receipt calls them."""


@dataclass(slots=True)
class Streams:
    """How far each stream has come, in the log's order."""

    heads: dict[str, tuple[int, str]] = field(default_factory=dict)

    def follow(self, row: Row, receipt: Receipt | None) -> Iterator[str]:
        """Check that a receipt is the next of its stream, and names the one before.

        Args:
            receipt: What the row says; None where nothing can be read any more.
        """
        stream = receipt.stream if receipt else row.stream
        number = receipt.sequence if receipt else row.stream_sequence
        following, newest = self.heads.get(stream, (0, FIRST))
        if number != following:
            yield f"stream_sequence: number {number} comes where {following} belongs"
        elif receipt is not None and receipt.previous != newest:
            yield f"core: names {receipt.previous} as the one before, not {newest}"
        named = receipt.receipt_id if receipt else row.receipt_id
        self.heads[stream] = (number + 1, named)


def parsed(row: Row) -> Receipt:
    """Return the receipt of a row.

    Raises:
        CryptoError: It is none, or not in its one form.
        ValueError: It is not even JSON.
    """
    receipt = parse_receipt(parse_json(row.core.encode()))
    if receipt.canonical().decode() != row.core:
        message = "not in canonical form"
        raise ValueError(message)
    return receipt


def check_written(
    row: Row,
    receipt: Receipt,
    fields: Collection[str],
    denials: Collection[str],
    basis: Basis,
) -> Iterator[str]:
    """Check a row of `receipts` that is not erased, alone.

    Args:
        receipt: What the row says.
        fields: What `receipt_fields` holds of it.
        denials: What `receipt_denials` holds of it.
    """
    for column, member in _COLUMNS.items():
        if getattr(row, column) != getattr(receipt, member):
            yield f"{column}: not what the receipt says"
    if row.at != int(instant(receipt.at).timestamp()):
        yield "at: not what the receipt says"
    if set(fields) != asked_fields(receipt):
        yield "receipt_fields: not what the receipt asks for"
    if set(denials) != set(receipt.denials):
        yield "receipt_denials: not what the receipt says"
    if not isinstance(row.took_ms, int) or row.took_ms < 0:
        yield "took_ms: no length of time"
    yield from _check_signed(row, receipt, basis)
    yield from _check_question(row, receipt)


def _check_signed(row: Row, receipt: Receipt, basis: Basis) -> Iterator[str]:
    if not isinstance(row.salt, bytes) or len(row.salt) != 32:
        yield "salt: not 32 bytes"
    if receipt.provider != basis.me.did:
        yield "core: of another provider"
    signed = SignedReceipt(receipt=receipt, signature=row.signature or b"")
    try:
        verify_receipt(signed, basis.me)
    except CryptoError as error:
        yield f"signature: {error}"
    if receipt.consumer is None:
        return
    consumer = basis.participant(receipt.consumer)
    if consumer is None:
        return
    yield from check_countersignature(row, signed, consumer)
    if row.token is None:
        yield "token: missing, though the caller was recognised"
        return
    try:
        verify_request(row.token, receipt, consumer)
    except CryptoError as error:
        yield f"token: {error}"


def check_countersignature(
    row: Row, signed: SignedReceipt, consumer: Any
) -> Iterator[str]:
    """Check the consumer's signature beside a receipt, where there is one."""
    if row.countersignature is None and row.countersigner is None:
        return
    if row.countersignature is None or row.countersigner is None:
        yield "countersignature: without its key, or the key without it"
        return
    given = Countersignature(key_id=row.countersigner, signature=row.countersignature)
    try:
        verify_countersignature(signed, given, consumer)
    except CryptoError as error:
        yield f"countersignature: {error}"


def _check_question(row: Row, receipt: Receipt) -> Iterator[str]:
    if receipt.policy.input_hash == UNHASHED:
        return
    asked = tagged("policy-input", (row.question or "").encode())
    if sha256(asked).hex() != receipt.policy.input_hash:
        yield "question: not what the receipt says that the policy was asked"


def check_erased(row: Row, *, received: bool = False) -> Iterator[str]:
    """Check that an erased row says nothing, and when and why."""
    for column in RECEIVED if received else WRITTEN:
        if getattr(row, column) is not None:
            yield f"{column}: there, though the receipt is said to be erased"
    if not row.erased_why:
        yield "erased_why: erased for no reason"
