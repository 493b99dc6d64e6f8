"""Write tests/vectors/identities.json: what one participant's bytes look like.

    python -m tests.vectors.generate_identities

Everything in it is deterministic, so a test that compares the committed file
with what would be written today notices a change of a wire format.
"""

import json
from typing import Any

from crypto.bbs import SUITES, BbsKey
from crypto.encoding import b64u
from crypto.keys import Ed25519Key, Secp256k1Key, X25519Key
from crypto.notes import Checkpoint, VerifierKey, sign_checkpoint
from crypto.tokens import customer_token
from tests.vectors.reading import HERE

FILE = HERE / "identities.json"
DID = "did:web:127.0.0.1%3A8101"


def _case(comment: str, secret: bytes) -> dict[str, Any]:
    ed25519, x25519 = Ed25519Key.from_bytes(secret), X25519Key.from_bytes(secret)
    secp256k1, bbs = Secp256k1Key.from_bytes(secret), BbsKey.generate(secret)
    peer = X25519Key.from_bytes(b"\x09" * 32).public_bytes
    key = x25519.customer_token_key(peer, "agreement-1", DID)
    checkpoint = Checkpoint(origin="127.0.0.1:8101/log", size=7, root=secret)
    return {
        "comment": comment,
        "secret": secret.hex(),
        "key_ids": [key.key_id(DID) for key in (ed25519, x25519, secp256k1, bbs)],
        "address": secp256k1.address,
        "digest_signature": secp256k1.sign_digest(secret).hex(),
        "customer_token": b64u(customer_token(key, "91350100M000100Y43")),
        "verifier_key": VerifierKey(
            name=checkpoint.origin, public=ed25519.public_bytes
        ).render(),
        "checkpoint": sign_checkpoint(checkpoint, ed25519),
        "record_signatures": {
            name: b64u(
                BbsKey.generate(secret, suite=suite).sign(
                    b"header", [b"one", b""], random_bytes=lambda count: b"\x01" * count
                )
            )
            for name, suite in SUITES.items()
        },
    }


def render() -> str:
    """Return what the file should hold."""
    vectors = {
        "source": "made here by generate_identities.py; addresses and digest signatures"
        " checked against eth_keys, thumbprints against RFC 8037 appendix A.3, record"
        " signatures against py_ecc",
        "cases": [
            _case("small secret", bytes(range(1, 33))),
            _case("large secret", bytes(range(95, 63, -1))),
        ],
    }
    return json.dumps(vectors, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(render())
