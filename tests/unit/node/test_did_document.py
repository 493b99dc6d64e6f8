"""The DID document: what the registry pins, in the words of others."""

from dataclasses import replace

from crypto.encoding import b64u
from crypto.keys import Secp256k1Key
from crypto.sm import Sm2Key
from node.api.wellknown import did_document
from tests.unit.ledger import samples

SM2 = Sm2Key.from_bytes(samples.seed("sm2"))
ACCOUNT = Secp256k1Key.from_bytes(samples.seed("account")).public_bytes
RECORD = replace(
    samples.PROVIDER_RECORD,
    keys={**samples.PROVIDER_RECORD.keys, "secp256k1": ACCOUNT},
)
DID = samples.PROVIDER


def test_a_did_document_lists_every_key_under_its_id() -> None:
    document = did_document(RECORD)
    listed = {method["id"] for method in document["verificationMethod"]}
    assert listed == {RECORD.key_id(suite) for suite in RECORD.keys}
    assert document["authentication"] == [RECORD.key_id("ed25519")]
    assert document["assertionMethod"][0] == RECORD.key_id("ed25519")


def test_an_sm2_key_is_a_multikey_of_code_0x1206_that_asserts() -> None:
    keys = {**RECORD.keys, "sm2": SM2.public_bytes}
    record = replace(RECORD, keys=keys, suite="sm2")
    document = did_document(record)
    own = SM2.key_id(DID)
    found = [each for each in document["verificationMethod"] if each["id"] == own]
    coded = b64u(b"\x86\x24" + SM2.public_bytes)
    assert found == [
        {
            "id": own,
            "type": "Multikey",
            "controller": DID,
            "publicKeyMultibase": f"u{coded}",
        }
    ]
    assert document["assertionMethod"] == [own, record.key_id("bls12381g2")]
    assert document["authentication"] == [record.key_id("ed25519")]
