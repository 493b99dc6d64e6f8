"""The DID document: what the registry pins, in the words of others."""

from crypto.encoding import b64u
from crypto.sm import Sm2Key
from ledger.participants import parse_participant
from node.api.wellknown import did_document
from tests.unit.ledger import samples

SM2 = Sm2Key.from_bytes(samples.seed("sm2"))
RECORD = samples.PROVIDER_RECORD.to_json()
DID = samples.PROVIDER


def test_a_did_document_lists_every_key_under_its_id() -> None:
    document = did_document(samples.PROVIDER_RECORD)
    listed = {method["id"] for method in document["verificationMethod"]}
    record = samples.PROVIDER_RECORD
    assert listed == {record.key_id(suite) for suite in record.keys}
    assert document["authentication"] == [record.key_id("ed25519")]
    assert document["assertionMethod"][0] == record.key_id("ed25519")


def test_an_sm2_key_is_a_multikey_of_code_0x1206_that_asserts() -> None:
    keys = RECORD["keys"] | {"sm2": b64u(SM2.public_bytes)}
    record = parse_participant(RECORD | {"keys": keys, "signing": "sm2"})
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
