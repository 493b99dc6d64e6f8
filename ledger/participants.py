"""Participants as the consortium's registry pins them: names, keys, an account.

Everything that is verified is verified under a *pinned* key: one that came from
the registry, by a way that the signer does not control. Evidence files carry
participant records too, so that a reader knows whom they speak of; those are
what the file says about itself, and pins replace them (`ledger.verify`).

Spec: `docs/protocols/evidence.md`, section "Participant records".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from crypto.encoding import b64u
from crypto.errors import InvalidSignature, Malformed
from crypto.hashing import Hashing
from crypto.keys import Suite, check_ed25519_public, key_id
from crypto.signing import HASHING, Verifier
from ledger import shape

_KEYS: Final[Mapping[Suite, int]] = {
    "ed25519": 32,
    "x25519": 32,
    "bls12381g2": 96,
    "secp256k1": 33,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A company of the consortium.

    Attributes:
        did: Decentralised identifier, `did:web:…`.
        name: Its name by language, `en` and `zh`.
        url: Base address of its node.
        keys: Public keys by suite, as `crypto.keys.key_id` takes them.
        chain_address: Account that anchors its checkpoints.
    """

    did: str
    name: Mapping[str, str]
    url: str
    keys: Mapping[Suite, bytes]
    chain_address: str

    def key_id(self, suite: Suite) -> str:
        """Return the id of this participant's key of a suite."""
        return key_id(self.did, suite, self.keys[suite])

    @property
    def signing(self) -> Verifier:
        """The key under which receipts and checkpoints of this participant verify."""
        return Verifier(suite="ed25519", public=self.keys["ed25519"])

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """Every key that this participant signs or has signed with, newest first."""
        return (self.signing,)

    @property
    def hashing(self) -> Hashing:
        """The hash function that this participant's log is built with."""
        return HASHING[self.signing.suite]

    def verifier(self, named: str) -> Verifier:
        """Return the signing key of an id.

        Raises:
            InvalidSignature: This participant has no such key.
        """
        for known in self.verifiers:
            if known.key_id(self.did) == named:
                return known
        raise InvalidSignature("said to be signed with a key that is not pinned")

    def to_json(self) -> dict[str, Any]:
        """Return the registry record."""
        return {
            "did": self.did,
            "name": dict(self.name),
            "url": self.url,
            "keys": {suite: b64u(public) for suite, public in self.keys.items()},
            "chain_address": self.chain_address,
        }


Pins: TypeAlias = Mapping[str, Participant]
"""Pinned participants by DID. Never read from what is to be verified."""


def parse_participant(value: object, what: str = "participant") -> Participant:
    """Read a registry record.

    Raises:
        Malformed: A member is missing, unknown or of the wrong form or size, or the
            Ed25519 key is one that anybody can sign for.
    """
    wanted = {"did", "name", "url", "keys", "chain_address"}
    found = shape.members(value, wanted, what)
    name = shape.members(found["name"], {"en", "zh"}, "name")
    keys = shape.members(found["keys"], _KEYS, "keys")
    public = {
        suite: shape.octets(size)(keys[suite], suite) for suite, size in _KEYS.items()
    }
    check_ed25519_public(public["ed25519"])
    return Participant(
        did=shape.did(found["did"], "did"),
        name={language: shape.prose(name[language], "name") for language in name},
        url=shape.prose(found["url"], "url"),
        keys=public,
        chain_address=shape.account(found["chain_address"], "chain_address"),
    )


def pins_of(records: object) -> Pins:
    """Read a registry: an array of participant records, as pins.

    Raises:
        Malformed: A record does not parse, or a DID is pinned twice.
    """
    found = shape.each(parse_participant, most=1000)(records, "participants")
    pins = {participant.did: participant for participant in found}
    if len(pins) != len(found):
        raise Malformed("participants pins a DID twice")
    return pins
