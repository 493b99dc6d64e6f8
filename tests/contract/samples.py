"""What tests of the store keep in it: well-formed, and of no other meaning."""

import datetime
import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from crypto import typed
from crypto.keys import Ed25519Key
from ledger.conditions import Condition, ordered
from ledger.receipts import (
    PolicyReference,
    Receipt,
    SignedReceipt,
    sign_receipt,
    stream_id,
)
from ledger.snapshots import FIRST, Snapshot, declaration_hash, sign_snapshot
from node.adapters.sql import tables as t
from node.domain.agreement import Agreement, Status, Terms
from node.domain.dataset import Mode
from node.domain.declaration import dataset_from_json
from node.domain.disclosure import Caller, Request
from node.domain.negotiation import Role
from node.ports import (
    Declaration,
    KeptAgreement,
    KeptSnapshot,
    Publication,
    Record,
    Seal,
    UnitOfWork,
)

ME, YOU = "did:web:me.test", "did:web:you.test"
KEY = Ed25519Key.from_bytes(b"provider".ljust(32))
NOW = datetime.datetime(2026, 11, 22, 18, 20, tzinfo=datetime.UTC)
HOUR = int(NOW.timestamp()) // 3600


class Undo(Exception):
    """Raised in the middle of a transaction."""


# --- agreements


def agreement(number: int = 0, **terms: Any) -> Agreement:
    return Agreement(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012}",
        dataset="projects",
        assigner=ME,
        assignee=YOU,
        terms=Terms(
            fields={"stage": Mode.PLAIN},
            purposes=("joint-delivery",),
            valid_from=NOW,
            valid_to=NOW + datetime.timedelta(days=1),
            calls_per_hour=terms.get("calls_per_hour", 10),
            rows_per_call=5,
        ),
        timestamp=NOW + datetime.timedelta(seconds=number),
    )


def kept(number: int = 0, role: Role = Role.PROVIDER) -> KeptAgreement:
    return KeptAgreement(
        agreement=agreement(number),
        role=role,
        status=Status.ACTIVE,
        signatures={"assigner": {"key_id": "k", "signature": "s"}},
    )


def token(number: int) -> bytes:
    """Tokens sort as their numbers do."""
    return number.to_bytes(32)


def declaration(*tokens: bytes) -> Declaration:
    ordered = sorted(tokens)
    return Declaration(hash=declaration_hash(ordered), tokens=b"".join(ordered))


def declare(
    work: UnitOfWork, agreement: str, known: Mapping[int, str], size: int = 8
) -> Declaration:
    """Declare tokens 0 to size - 1, some of which name customers here."""
    made = declaration(*map(token, range(size)))
    names = {token(number): name for number, name in known.items()}
    work.agreements.declare(agreement, made, names)
    return made


# --- receipts


def caller(nonce: str = "n" * 22, did: str | None = YOU) -> Caller:
    return Caller(did=did, problem="", nonce=nonce)


def request(
    agreement_id: str = agreement().id,
    *,
    customers: tuple[int, ...] = (1,),
    where: tuple[Condition, ...] = (),
) -> Request:
    return Request(
        dataset="projects",
        agreement=agreement_id,
        purpose="p",
        fields=("a",),
        customers=tuple(map(token, customers)),
        where=ordered(where),
    )


def receipt(sequence: int, previous: str, **changes: Any) -> Receipt:
    parties = {"consumer": YOU, "agreement": "a"} | {
        name: changes[name] for name in ("consumer", "agreement") if name in changes
    }
    values: dict[str, Any] = {
        "provider": ME,
        "agreement_hash": None,
        "stream": stream_id(provider=ME, **parties),
        "sequence": sequence,
        "previous": previous,
        "at": "2026-11-22T18:20:00Z",
        "request_hash": secrets.token_hex(32),
        "nonce": None,
        "dataset": "projects",
        "purpose": "joint-delivery",
        "fields": ("a", "b"),
        "where": (),
        "statement": None,
        "snapshot": None,
        "decision": "deny",
        "denials": ("field.not_granted", "purpose.mismatch"),
        "customers": 1,
        "records": 0,
        "withheld": 0,
        "response_hash": None,
        "policy": PolicyReference(
            revision="0" * 64, input_hash="0" * 64, engine="test/1"
        ),
        "key_id": KEY.key_id(ME),
        **parties,
    }
    return Receipt(**(values | changes))


def append(work: UnitOfWork, **changes: Any) -> SignedReceipt:
    parties = {"consumer": YOU, "agreement": "a"} | {
        name: changes[name] for name in ("consumer", "agreement") if name in changes
    }
    stream = stream_id(provider=ME, **parties)
    sequence, previous = work.receipts.head(stream)
    signed = sign_receipt(receipt(sequence, previous, **changes), KEY)
    work.receipts.append(
        signed, salt=secrets.token_bytes(32), token=None, question="{}", took_ms=1
    )
    return signed


# --- datasets

DECLARATION = {
    "dataset": "projects",
    "title": {"en": "Projects", "zh": "项目"},
    "source": {"url": "sqlite:////x", "table": "t", "record": "id", "timeout_s": 5.0},
    "customer": {"column": "c", "rule": "exact"},
    "fields": {
        "stage": {
            "column": "s",
            "type": "text",
            "title": {"en": "s", "zh": "s"},
            "grade": "general",
            "personal": False,
            "modes": ["plain"],
        }
    },
}
SCHEMA = (typed.Field(name="stage", kind=typed.Kind.TEXT, salt=b"s" * 32),)


def publication(version: int = 1, dataset: str = "projects") -> Publication:
    declaration = DECLARATION | {"dataset": dataset}
    return Publication(
        dataset=dataset_from_json(declaration),
        version=version,
        schema=SCHEMA,
        key_id=f"{ME}#bbs",
        published_at=NOW,
        declaration=declaration,
        report={"rows": 1, "words": "二"},
    )


def record(key: str, customer: str, version: int = 1, fill: bytes = b"s") -> Record:
    return Record(
        key=key, customer=customer, link=fill * 48, digest=fill * 32, version=version
    )


# --- snapshots


def seal(record: Record, position: int) -> Seal:
    return Seal(
        record=record,
        position=position,
        blinder=secrets.token_bytes(48),
        signature=secrets.token_bytes(80),
        commitment=secrets.token_bytes(48),
    )


def snapshot(sequence: int = 0, agreement: str = "a", **changes: Any) -> KeptSnapshot:
    values: dict[str, Any] = {
        "provider": ME,
        "agreement": agreement,
        "dataset": "projects",
        "version": sequence + 1,
        "sequence": sequence,
        "previous": f"{sequence:064x}" if sequence else FIRST,
        "declaration": "d" * 64,
        "customers": 8,
        "root": secrets.token_hex(32),
        "schema_hash": typed.schema_hash(SCHEMA).hex(),
        "messages": 16,
        "bbs_key_id": f"{ME}#bbs",
        "at": "2026-11-22T18:20:00Z",
        "key_id": KEY.key_id(ME),
    }
    return KeptSnapshot(
        signed=sign_snapshot(Snapshot(**(values | changes)), KEY),
        salt=secrets.token_bytes(32),
        index=None,
    )


# --- looking


def dump(engine: sa.Engine) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in t.metadata.sorted_tables
        }


def empty(engine: sa.Engine) -> bool:
    return not any(dump(engine).values())
