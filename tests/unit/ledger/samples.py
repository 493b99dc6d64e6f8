"""Two companies, and well-formed receipts between them, for tests of the ledger."""

from typing import Any

from crypto.bbs import BbsKey
from crypto.encoding import b64u, sha256
from crypto.keys import Ed25519Key
from ledger import receipts
from ledger.memory_chain import MemoryChain
from ledger.participants import Participant
from ledger.receipts import PolicyReference, Receipt, SignedReceipt, sign_receipt

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
        "where": (),
        "statement": seed("statement").hex(),
        "decision": "allow",
        "denials": (),
        "customers": 2,
        "records": 3,
        "withheld": 0,
        "snapshot": seed("snapshot").hex(),
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
    sent = ("response_hash", "statement", "snapshot")
    nothing = {"records": 0, "withheld": 0} | dict.fromkeys(sent)
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


def chain() -> MemoryChain:
    """An empty chain, used from the provider's account."""
    return MemoryChain(member=PROVIDER_RECORD.chain_address)
