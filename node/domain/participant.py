"""A participant: one company of the consortium, and the keys it is known by.

The consortium's registry pins every participant's public keys. A DID document
that a partner serves can confirm a pin, it can never replace one: whoever takes
over a partner's web server does not become that partner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u, unb64u
from node.domain.dataset import Title
from node.errors import BadRequest

_KEY_BYTES = {"ed25519": 32, "x25519": 32, "bls12381g2": 96, "secp256k1": 33}


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A company of the consortium, as its registry pins it.

    Attributes:
        did: Decentralised identifier, `did:web:…`.
        url: Base address of its node, without a trailing slash.
        ed25519: Key of tokens and receipts, 32 bytes.
        x25519: Key that customer tokens are agreed with, 32 bytes.
        bls12381g2: Key of record signatures (BBS), 96 bytes.
        secp256k1: Key of chain transactions, 33 bytes, compressed.
        chain_address: Account that anchors, `0x` and 40 hex digits.
    """

    did: str
    name: Title
    url: str
    ed25519: bytes
    x25519: bytes
    bls12381g2: bytes
    secp256k1: bytes
    chain_address: str

    def to_json(self) -> dict[str, Any]:
        """Return the registry record."""
        return {
            "did": self.did,
            "name": {"en": self.name.en, "zh": self.name.zh},
            "url": self.url,
            "keys": {name: b64u(getattr(self, name)) for name in _KEY_BYTES},
            "chain_address": self.chain_address,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Participant":
        """Read a registry record.

        Raises:
            BadRequest: A member is missing or has the wrong type or size.
        """
        try:
            keys = {
                name: unb64u(record["keys"][name], size)
                for name, size in _KEY_BYTES.items()
            }
            return cls(
                did=record["did"],
                name=Title(en=record["name"]["en"], zh=record["name"]["zh"]),
                url=record["url"].rstrip("/"),
                chain_address=record["chain_address"],
                **keys,
            )
        except (KeyError, TypeError, AttributeError) as error:
            detail = f"The participant record lacks or garbles {error}."
            raise BadRequest("participant.malformed", detail) from error
