"""What this node asked of others, and what it received from them."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from crypto.errors import CryptoError
from ledger.disclosure import parse_disclosure
from ledger.receipts import Receipt, SignedReceipt, stream_id, verify_receipt
from ledger.request import parse_request, token_key
from ledger.step_answer import parse_step_answer
from node.adapters.sql import tables as t
from node.adapters.sql.fsck import snapshots
from node.adapters.sql.fsck.findings import Basis, Finding, Row, pages
from node.adapters.sql.fsck.receipts import (
    check_countersignature,
    check_erased,
    parsed,
)

_COLUMNS: Final[Mapping[str, str]] = {
    "receipt_id": "receipt_id",
    "stream": "stream",
    "stream_sequence": "sequence",
    "nonce": "nonce",
    "plan": "plan",
}


def check_received(connection: Connection, basis: Basis) -> Iterator[Finding]:
    """Check receipts, snapshots and questions on the consumer's side."""
    for rows in pages(connection, t.received, t.received.c.sequence):
        for row in rows:
            basis.received += 1
            erased = row.erased_at is not None
            wrongs = check_erased(row, received=True) if erased else _wrongs(row, basis)
            for wrong in wrongs:
                yield Finding("received", str(row.sequence), wrong)
    yield from snapshots.check_received(connection, basis)
    for rows in pages(connection, t.asked, t.asked.c.nonce):
        for row in rows:
            for wrong in _asked_wrongs(connection, row, basis):
                yield Finding("asked", row.nonce, wrong)


def _wrongs(row: Row, basis: Basis) -> Iterator[str]:
    try:
        receipt = parsed(row)
    except (CryptoError, ValueError, AttributeError) as error:
        yield f"core: {error}"
        return
    for column, member in _COLUMNS.items():
        if getattr(row, column) != getattr(receipt, member):
            yield f"{column}: not what the receipt says"
    if row.erased_why is not None:
        yield "erased_why: there, though nothing is erased"
    try:
        whole = isinstance(json.loads(row.checks), list)
    except (TypeError, ValueError):
        whole = False
    if not whole:
        yield "checks: no list of checks"
    if row.verified:
        yield from _signed_wrongs(row, receipt, basis)


def _signed_wrongs(row: Row, receipt: Receipt, basis: Basis) -> Iterator[str]:
    """Check what was verified when it came."""
    signed = SignedReceipt(receipt=receipt, signature=row.signature)
    provider = basis.participant(receipt.provider)
    if provider is not None:
        try:
            verify_receipt(signed, provider)
        except CryptoError as error:
            yield f"signature: {error}"
    yield from check_countersignature(row, signed, basis.me)
    if row.disclosure is not None and not _answers(row, receipt):
        yield "disclosure: not what the receipt says was sent"


def _answers(row: Row, receipt: Receipt) -> bool:
    """Tell whether what is kept of an answer is what its receipt was made of."""
    read = parse_disclosure if receipt.step is None else parse_step_answer
    try:
        found = read(json.loads(row.disclosure)).response_hash
    except (CryptoError, ValueError, TypeError):
        return False
    return found == receipt.response_hash


def _asked_wrongs(connection: Connection, row: Row, basis: Basis) -> Iterator[str]:
    try:
        request = parse_request(row.token)
        token_key(basis.me, request.key_id).verify(request.signed, request.signature)
    except CryptoError as error:
        yield f"token: {error}"
        return
    expected = {
        "nonce": "jti",
        "provider": "aud",
        "agreement": "agreement",
        "request_hash": "request",
    }
    for column, claim in expected.items():
        if getattr(row, column) != request.claims[claim]:
            yield f"{column}: not what the token says"
    stream = stream_id(
        provider=request.claims["aud"],
        consumer=basis.me.did,
        agreement=request.claims["agreement"],
    )
    if row.stream != stream:
        yield "stream: not that of these parties and agreement"
    if row.receipt_id is not None:
        c = t.received.c
        there = sa.select(c.nonce).where(c.receipt_id == row.receipt_id)
        found = connection.execute(there).one_or_none()
        if found is None or found.nonce != row.nonce:
            yield "receipt_id: no answer to this question"
