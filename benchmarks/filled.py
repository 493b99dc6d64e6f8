"""A store with a million receipts, made by the code that makes them one by one.

They are synthetic: signed, countersigned and chained in streams as real ones are,
each with its caller's token, but nobody asked. Of the question that the policies
were asked, which takes kilobytes in a real call, a word stands here.
"""

import asyncio
import datetime
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from crypto.encoding import b64u, sha256, tagged
from crypto.keys import Ed25519Key
from ledger.checkpoint import origin_of
from ledger.receipts import (
    FIRST,
    PolicyReference,
    Receipt,
    countersign,
    sign_receipt,
    stream_id,
)
from node.adapters.sql import bulk
from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore, engine_for
from node.adapters.system import SystemClock
from node.domain.agreement import instant, render_instant
from node.migrations import upgrade
from node.services.keep_log import KeepLog

PROVIDER, CONSUMER = "did:web:provider.example", "did:web:consumer.example"
STREAMS: Final = 100
_EVERY_S: Final = 2
"""Seconds between two receipts of a stream."""
_QUESTION: Final = '"synthetic"'
_ASKED: Final = sha256(tagged("policy-input", _QUESTION.encode())).hex()
_AT: Final = "2026-11-01T00:00:00Z"
_FIELDS: Final = ("expected_acceptance_date", "project_stage")
_COLUMNS: Final = (
    "sequence", "receipt_id", "stream", "stream_sequence", "core", "signature",
    "salt", "token", "question", "countersigner", "countersignature", "at", "partner",
    "agreement", "dataset", "purpose", "decision", "customers", "records", "took_ms",
)  # fmt: skip


def receipt_of(
    agreement: str, stream: str, sequence: int, previous: str, **more: Any
) -> Receipt:
    """Return a receipt of an allowed call, as a provider writes it."""
    values: dict[str, Any] = {
        "provider": PROVIDER,
        "consumer": CONSUMER,
        "agreement": agreement,
        "agreement_hash": secrets.token_hex(32),
        "stream": stream,
        "sequence": sequence,
        "previous": previous,
        "at": _AT,
        "request_hash": secrets.token_hex(32),
        "nonce": None,
        "dataset": "projects",
        "purpose": "joint-delivery",
        "fields": _FIELDS,
        "where": (),
        "statement": secrets.token_hex(32),
        "snapshot": secrets.token_hex(32),
        "decision": "allow",
        "denials": (),
        "customers": 1,
        "records": 1,
        "withheld": 0,
        "response_hash": secrets.token_hex(32),
        "policy": PolicyReference(
            revision="0" * 64, input_hash=_ASKED, engine="synthetic/1"
        ),
        "key_id": f"{PROVIDER}#ed25519-synthetic",
    }
    return Receipt(**(values | more))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who wrote the receipts, and whose calls they are of."""

    provider: str
    consumer: str
    provider_key: bytes
    consumer_key: bytes


def _stream(
    parties: Parties, number: int, first: int, count: int
) -> list[tuple[Any, ...]]:
    """Return the rows of one stream, from its beginning."""
    agreement = f"urn:uuid:synthetic-{number}"
    provider = Ed25519Key.from_bytes(parties.provider_key)
    consumer = Ed25519Key.from_bytes(parties.consumer_key)
    stream = stream_id(
        provider=parties.provider, consumer=parties.consumer, agreement=agreement
    )
    begun, previous, rows = instant(_AT), FIRST, []
    for place in range(count):
        at = begun + datetime.timedelta(seconds=_EVERY_S * place)
        receipt = receipt_of(
            agreement,
            stream,
            place,
            previous,
            provider=parties.provider,
            consumer=parties.consumer,
            nonce=b64u(secrets.token_bytes(32)),
            at=render_instant(at),
            key_id=provider.key_id(parties.provider),
        )
        signed, previous = sign_receipt(receipt, provider), receipt.receipt_id
        back = countersign(signed, consumer)
        token = _token(receipt, int(at.timestamp()), consumer)
        rows.append(
            (first + place, previous, stream, place, receipt.canonical().decode(),
             signed.signature, secrets.token_bytes(32), token, _QUESTION, back.key_id,
             back.signature, int(at.timestamp()), parties.consumer, agreement,
             receipt.dataset, receipt.purpose, receipt.decision, 1, 1, 1)
        )  # fmt: skip
    return rows


def _token(receipt: Receipt, at: int, key: Ed25519Key) -> str:
    """Return what the caller signed for its call, as `node.adapters.identity` does."""
    consumer = str(receipt.consumer)
    header = {"alg": "EdDSA", "kid": key.key_id(consumer), "typ": "JWT"}
    claims = {
        "agreement": receipt.agreement,
        "aud": receipt.provider,
        "exp": at + 300,
        "iat": at,
        "iss": consumer,
        "jti": receipt.nonce,
        "request": receipt.request_hash,
        "sub": consumer,
    }
    # ASCII with its names in order: as canonical as it gets, and quicker.
    parts = (
        b64u(json.dumps(part, separators=(",", ":")).encode())
        for part in (header, claims)
    )
    signed = ".".join(parts)
    return f"{signed}.{b64u(key.sign(signed.encode()))}"


def fill(url: str, parties: Parties, receipts: int) -> Iterator[str]:
    """Fill a new store, in as many streams as there are; they are not in the log yet.

    Args:
        receipts: How many, a multiple of `STREAMS`.
    """
    upgrade(url)
    engine, each, begun = engine_for(url), receipts // STREAMS, time.perf_counter()
    with ProcessPoolExecutor(2) as processes:
        made = [
            processes.submit(_stream, parties, number, 1 + number * each, each)
            for number in range(STREAMS)
        ]
        for rows in (future.result() for future in made):
            with engine.begin() as connection:
                _insert(connection, rows)
    engine.dispose()
    took = time.perf_counter() - begun
    yield f"{receipts:,} synthetic receipts signed by both and kept in {took:.0f} s"


def _insert(connection: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
    bulk.insert(connection, t.receipts, _COLUMNS, rows)
    fields = ((row[0], name) for row in rows for name in _FIELDS)
    bulk.insert(connection, t.receipt_fields, ("sequence", "field"), fields)
    _, head, stream, place, *_ = rows[-1]
    connection.execute(
        sa.insert(t.streams).values(stream=stream, count=place + 1, head=head)
    )


def integrate(url: str, parties: Parties) -> Iterator[str]:
    """Let the keeper of the log take in all that waits."""
    with closing(SqlStore(engine_for(url))) as store:
        keeper = KeepLog(
            store=store,
            signer=Ed25519Key.from_bytes(parties.provider_key),
            origin=origin_of(parties.provider),
            clock=SystemClock(),
        )
        begun, count = time.perf_counter(), 0

        async def run() -> int:
            total = 0
            while taken := await keeper.integrate():
                total += taken
            return total

        count = asyncio.run(run())
        took = time.perf_counter() - begun
    yield f"{count:,} joined the tree in {took:.0f} s, {count / took:.0f} a second"
