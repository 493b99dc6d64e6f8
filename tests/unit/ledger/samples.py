"""Two companies, and well-formed receipts between them, for tests of the ledger."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crypto.bbs import BbsKey
from crypto.encoding import b64u, sha256
from crypto.keys import Ed25519Key
from ledger import receipts
from ledger.disclosure import CustomerAnswer, Disclosure, ShownRecord
from ledger.evidence import Evidence
from ledger.memory import MemoryChain, MemoryLog
from ledger.participants import Participant
from ledger.presentation import SignedRecord, prove_record, sign_record
from ledger.receipts import PolicyReference, Receipt, SignedReceipt, sign_receipt
from ledger.records import FieldType, RecordHeader, SchemaField, Value, schema_hash

PROVIDER, CONSUMER = "did:web:127.0.0.1%3A8101", "did:web:127.0.0.1%3A8102"
AGREEMENT, DATASET, PURPOSE = "agreement-1", "orders", "service"
FIELDS = ("order_total", "ordered_on")
NONCE = b64u(b"nonce-of-16-byte")


def seed(name: str) -> bytes:
    """32 bytes that a name stands for."""
    return sha256(name.encode())


PROVIDER_KEY = Ed25519Key.from_bytes(seed("provider"))
CONSUMER_KEY = Ed25519Key.from_bytes(seed("consumer"))


def receipt(**changes: object) -> Receipt:
    """An allowed call, changed as said; the stream id follows its parties."""
    values: dict[str, Any] = {
        "provider": PROVIDER,
        "consumer": CONSUMER,
        "agreement": AGREEMENT,
        "agreement_hash": seed("agreement").hex(),
        "sequence": 0,
        "previous": receipts.FIRST,
        "at": "2026-11-22T18:20:00Z",
        "request_hash": seed("request").hex(),
        "nonce": NONCE,
        "dataset": DATASET,
        "purpose": PURPOSE,
        "fields": FIELDS,
        "decision": "allow",
        "denials": (),
        "customers": 2,
        "records": 3,
        "response_hash": seed("response").hex(),
        "policy": PolicyReference(
            revision=seed("policy").hex(), input_hash=seed("input").hex(), engine="test"
        ),
        "key_id": PROVIDER_KEY.key_id(PROVIDER),
    } | changes
    parties = {name: values[name] for name in ("provider", "consumer", "agreement")}
    return Receipt(**{"stream": receipts.stream_id(**parties)} | values)


def refusal(**changes: object) -> Receipt:
    """A refused call, changed as said."""
    denied = {"decision": "deny", "denials": ("purpose.mismatch",)}
    nothing = {"records": 0, "response_hash": None}
    return receipt(**(denied | nothing | changes))


def stream(count: int) -> list[SignedReceipt]:
    """The first `count` receipts of one stream, signed."""
    signed: list[SignedReceipt] = []
    for sequence in range(count):
        previous = signed[-1].receipt.receipt_id if signed else receipts.FIRST
        following = receipt(sequence=sequence, previous=previous)
        signed.append(sign_receipt(following, PROVIDER_KEY))
    return signed


BBS_KEY = BbsKey.generate(seed("provider's records"))
SCHEMA = (
    SchemaField(name="order_total", type=FieldType.MONEY, unit="EUR", scale=2),
    SchemaField(name="region", type=FieldType.TEXT),
    SchemaField(name="ordered_on", type=FieldType.DATE),
    SchemaField(name="units", type=FieldType.INTEGER, unit="pcs"),
    SchemaField(name="gift", type=FieldType.BOOLEAN),
)
HEADER = RecordHeader(
    issuer=PROVIDER,
    key_id=BBS_KEY.key_id(PROVIDER),
    dataset=DATASET,
    schema_hash=schema_hash(SCHEMA),
)
TOKENS = (seed("customer 1"), seed("customer 2"), seed("customer 3"))
RECORDS: tuple[dict[str, Value], ...] = (
    {"order_total": "12.50", "ordered_on": "2026-11-02", "units": 3},
    {"order_total": "-0.99", "ordered_on": None, "units": 0},
)
BODY: dict[str, Any] = {
    "agreement": AGREEMENT,
    "purpose": PURPOSE,
    "fields": list(FIELDS),
    "customers": [b64u(token) for token in TOKENS],
}


def participant(did: str, key: Ed25519Key) -> Participant:
    """A company as its consortium pins it; both sign records with one key here."""
    return Participant(
        did=did,
        name={"en": "A company", "zh": "一家公司"},
        url="http://127.0.0.1",
        keys={
            "ed25519": key.public_bytes,
            "x25519": seed("x25519"),
            "bls12381g2": BBS_KEY.public_bytes,
            "secp256k1": b"\x02" + seed("secp256k1"),
        },
        chain_address="0x" + seed(did).hex()[:40],
    )


PROVIDER_RECORD = participant(PROVIDER, PROVIDER_KEY)
CONSUMER_RECORD = participant(CONSUMER, CONSUMER_KEY)
PINS = {party.did: party for party in (PROVIDER_RECORD, CONSUMER_RECORD)}


def signed_records(header: RecordHeader = HEADER) -> list[SignedRecord]:
    """The records as their provider signed them, whole."""
    return [
        sign_record(
            {"region": "华东", "gift": True} | record,
            key=BBS_KEY,
            header=header,
            schema=SCHEMA,
            random_bytes=secrets.token_bytes,
        )
        for record in RECORDS
    ]


def answers(records: Sequence[ShownRecord]) -> tuple[CustomerAnswer, ...]:
    """Records for the first customer, none for the second, the third not shared."""
    return (
        CustomerAnswer(customer=TOKENS[0], records=tuple(records)),
        CustomerAnswer(customer=TOKENS[1], records=()),
        CustomerAnswer(customer=TOKENS[2], records=None),
    )


def answer(
    header: RecordHeader = HEADER, names: Sequence[str] = FIELDS, **changes: object
) -> tuple[SignedReceipt, Disclosure]:
    """An allowed call, answered: the receipt first, then what is bound to it.

    Whatever is changed, signatures and presentations go along with it.
    """
    shown = [ShownRecord(fields={name: r[name] for name in names}) for r in RECORDS]
    told = Disclosure(header=header.to_bytes(), schema=SCHEMA, answers=answers(shown))
    facts = {
        "request_hash": receipts.request_hash(DATASET, BODY),
        "customers": len(TOKENS),
        "records": len(shown),
        "response_hash": told.response_hash,
    }
    signed = sign_receipt(receipt(**(facts | changes)), PROVIDER_KEY)
    proved = [
        replace(
            record,
            presentation=prove_record(
                kept,
                names,
                public=BBS_KEY.public_bytes,
                header=header,
                schema=SCHEMA,
                receipt=signed.receipt,
                customer=TOKENS[0],
                position=position,
                random_bytes=secrets.token_bytes,
            ),
        )
        for position, (record, kept) in enumerate(
            zip(shown, signed_records(header), strict=True)
        )
    ]
    return signed, replace(told, answers=answers(proved))


def chain() -> MemoryChain:
    """An empty chain, used from the provider's account."""
    return MemoryChain(member=PROVIDER_RECORD.chain_address)


def story() -> tuple[Evidence, MemoryChain]:
    """Evidence with everything in it, and the chain that holds its anchor.

    The call is the third of five in the first checkpoint; the log has grown to
    nine when it is anchored.
    """
    kept, on_chain = MemoryLog(PROVIDER_RECORD, PROVIDER_KEY), chain()
    signed, disclosure = answer()
    others = stream(8)
    for number, entry in enumerate([*others[:2], signed, *others[2:]]):
        kept.sequence(entry, salt=seed(f"salt {number}"))
        if number in (4, 8):
            kept.integrate()
            kept.publish()
    kept.anchor(on_chain, salt=seed("anchor"))
    evidence = replace(
        kept.evidence(2, CONSUMER_RECORD),
        countersignature=receipts.countersign(signed, CONSUMER_KEY),
        disclosure=disclosure,
    )
    return evidence, on_chain
