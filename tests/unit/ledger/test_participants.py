"""The consortium's registry: what can be pinned, and what never."""

from typing import Any

import pytest

from crypto.encoding import b64u
from crypto.errors import InvalidSignature, Malformed
from crypto.keys import Ed25519Key
from crypto.sm import Sm2Key
from ledger.participants import parse_participant, pins_of
from ledger.receipts import sign_receipt, verify_receipt
from tests.unit.ledger import samples

RECORD: dict[str, Any] = samples.PROVIDER_RECORD.to_json()
IDENTITY = (1).to_bytes(32, "little")
NOT_REDUCED = (2**255 - 1).to_bytes(32, "little")


@pytest.mark.parametrize("public", [IDENTITY, NOT_REDUCED, bytes(32)])
def test_a_key_that_anybody_can_sign_for_is_not_pinned(public: bytes) -> None:
    keys = RECORD["keys"] | {"ed25519": b64u(public)}
    with pytest.raises(Malformed, match="small order"):
        parse_participant(RECORD | {"keys": keys})


def test_of_two_records_for_one_company_neither_is_believed() -> None:
    other = RECORD | {"url": "http://127.0.0.1:9"}
    for records in ([RECORD, RECORD], [RECORD, other]):
        with pytest.raises(Malformed, match="twice"):
            pins_of(records)


SM2 = Sm2Key.from_bytes(samples.seed("sm2"))
OLDER = Sm2Key.from_bytes(samples.seed("older"))
FORMER = Ed25519Key.from_bytes(samples.seed("former"))
UNTIL = "2026-11-01T00:00:00Z"


def _past(key: Sm2Key | Ed25519Key, **changes: str) -> dict[str, str]:
    public = b64u(key.public_bytes)
    return {"suite": key.suite, "public": public, "until": UNTIL} | changes


def _with_sm2(**changes: Any) -> dict[str, Any]:
    keys = RECORD["keys"] | {"sm2": b64u(SM2.public_bytes)}
    return RECORD | {"keys": keys, "signing": "sm2"} | changes


def test_a_record_without_a_suite_is_written_as_ever() -> None:
    assert set(RECORD) == {"did", "name", "url", "keys", "chain_address"}
    assert set(RECORD["keys"]) == {"ed25519", "x25519", "bls12381g2", "secp256k1"}
    found = parse_participant(RECORD)
    assert found.to_json() == RECORD
    assert (found.suite, found.hashing) == ("ed25519", "sha-256")
    assert found.verifiers == found.token_verifiers == (found.signing,)
    assert parse_participant(RECORD | {"signing": "ed25519"}).to_json() == RECORD


def test_a_participant_that_signs_with_sm2_says_so() -> None:
    record = _with_sm2(past_keys=[_past(OLDER), _past(FORMER)])
    found = parse_participant(record)
    assert found.to_json() == record
    assert found.hashing == "sm3"
    assert found.signing.suite == "sm2"
    assert [key.public for key in found.verifiers] == [
        SM2.public_bytes,
        OLDER.public_bytes,
    ]
    assert [key.public for key in found.token_verifiers] == [
        samples.PROVIDER_KEY.public_bytes,
        FORMER.public_bytes,
    ]


def test_a_key_is_found_by_its_id_whether_it_signs_or_has_signed() -> None:
    found = parse_participant(_with_sm2(past_keys=[_past(OLDER), _past(FORMER)]))
    for key in (SM2, OLDER):
        known = found.verifier(key.key_id(found.did))
        known.verify(b"message", key.sign(b"message"))
        assert "#sm2-" in known.key_id(found.did)
    for key_id in (
        FORMER.key_id(found.did),
        samples.PROVIDER_KEY.key_id(found.did),
        SM2.key_id("did:web:another"),
        "",
    ):
        with pytest.raises(InvalidSignature, match="not pinned"):
            found.verifier(key_id)


def test_what_a_key_of_before_signed_still_verifies() -> None:
    found = parse_participant(RECORD | {"past_keys": [_past(FORMER)]})
    receipt = samples.receipt(key_id=FORMER.key_id(samples.PROVIDER))
    verify_receipt(sign_receipt(receipt, FORMER), found)
    with pytest.raises(InvalidSignature):
        verify_receipt(sign_receipt(receipt, FORMER), samples.PROVIDER_RECORD)


OFF_THE_CURVE = b"\x02" + b"\xff" * 32


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (RECORD | {"signing": "sm2"}, "keys lacks it"),
        (RECORD | {"signing": "rsa"}, "one of"),
        (RECORD | {"signing": "secp256k1"}, "one of"),
        (RECORD | {"signing": None}, "one of"),
        (RECORD | {"signing": ["sm2"]}, "one of"),
        (RECORD | {"hashing": "sm3"}, "not defined"),
        (_with_sm2(keys=RECORD["keys"] | {"sm2": b64u(bytes(32))}), "sm2"),
        (_with_sm2(keys=RECORD["keys"] | {"sm2": b64u(OFF_THE_CURVE)}), "curve"),
        (_with_sm2(keys=RECORD["keys"] | {"sm9": b64u(bytes(33))}), "not defined"),
        (RECORD | {"past_keys": {}}, "array"),
        (RECORD | {"past_keys": None}, "array"),
        (RECORD | {"past_keys": [_past(FORMER), _past(FORMER)]}, "twice"),
        (RECORD | {"past_keys": [_past(samples.PROVIDER_KEY)]}, "not passed"),
        (RECORD | {"past_keys": [_past(OLDER)]}, "another suite"),
        (_with_sm2(past_keys=[_past(SM2)]), "not passed"),
        (_with_sm2(past_keys=[_past(samples.PROVIDER_KEY)]), "not passed"),
        (RECORD | {"past_keys": [_past(FORMER, until="2026-11-01")]}, "time"),
        (RECORD | {"past_keys": [_past(FORMER, suite="x25519")]}, "one of"),
        (RECORD | {"past_keys": [_past(FORMER, suite="sm2")]}, "33 bytes"),
        (RECORD | {"past_keys": [_past(FORMER, public="AA")]}, "32 bytes"),
        (RECORD | {"past_keys": [_past(FORMER, public=b64u(IDENTITY))]}, "small"),
        (RECORD | {"past_keys": [_past(FORMER, since=UNTIL)]}, "not defined"),
    ],
)
def test_a_record_is_read_strictly(record: dict[str, Any], words: str) -> None:
    with pytest.raises(Malformed, match=words):
        parse_participant(record)
