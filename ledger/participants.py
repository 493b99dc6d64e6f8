"""Participants as the consortium's registry pins them: names, keys, an account.

Everything that is verified is verified under a *pinned* key: one that came from
the registry, by a way that the signer does not control. Evidence files carry
participant records too, so that a reader knows whom they speak of; those are
what the file says about itself, and pins replace them (`ledger.verify`).

A participant signs receipts, snapshots, checkpoints and cosignatures with one suite,
Ed25519 or SM2, and its log is hashed with the function that goes with it. It may have
had other keys before: those stay pinned, so that what they signed still verifies.
*When* a key was whose is not decided here, but by the registry's history.

Spec: `docs/protocols/evidence.md`, section "Participant records", and
`docs/protocols/suites.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from crypto.encoding import b64u
from crypto.errors import InvalidSignature, Malformed
from crypto.hashing import Hashing
from crypto.keys import Suite, check_ed25519_public, key_id
from crypto.signing import HASHING, SIGNING, Verifier, check_public
from ledger import shape

_KEYS: Final[Mapping[Suite, int]] = {
    "ed25519": 32,
    "x25519": 32,
    "bls12381g2": 96,
    "secp256k1": 33,
}
_OWN_SUITE: Final[Mapping[Suite, int]] = {"sm2": 33}
"""Keys that not every participant has."""
_MOST_PAST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PastKey:
    """A key that a participant signed with before.

    Attributes:
        key: The public key, of a suite that signs.
        until: When it was replaced, RFC 3339 UTC, as the registry's keeper says.
    """

    key: Verifier
    until: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        suite, public = self.key.suite, b64u(self.key.public)
        return {"suite": suite, "public": public, "until": self.until}


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A company of the consortium.

    Attributes:
        did: Decentralised identifier, `did:web:…`.
        name: Its name by language, `en` and `zh`.
        url: Base address of its node.
        keys: Public keys by suite, as `crypto.keys.key_id` takes them.
        chain_address: Account that anchors its checkpoints.
        suite: Of the key that signs its receipts, snapshots and checkpoints.
        past_keys: Keys that signed before, newest first.
    """

    did: str
    name: Mapping[str, str]
    url: str
    keys: Mapping[Suite, bytes]
    chain_address: str
    suite: Suite = "ed25519"
    past_keys: tuple[PastKey, ...] = ()

    def key_id(self, suite: Suite) -> str:
        """Return the id of this participant's key of a suite."""
        return key_id(self.did, suite, self.keys[suite])

    @property
    def signing(self) -> Verifier:
        """The key under which receipts and checkpoints of this participant verify."""
        return Verifier(suite=self.suite, public=self.keys[self.suite])

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """Every key that this participant signs or has signed with, newest first."""
        return (self.signing, *self._past(self.suite))

    @property
    def token_verifiers(self) -> tuple[Verifier, ...]:
        """Its Ed25519 keys, newest first: tokens and agreements know no other suite."""
        own = Verifier(suite="ed25519", public=self.keys["ed25519"])
        return (own, *self._past("ed25519"))

    @property
    def hashing(self) -> Hashing:
        """The hash function that this participant's log is built with."""
        return HASHING[self.suite]

    def verifier(self, named: str) -> Verifier:
        """Return the signing key of an id, of now or before.

        Raises:
            InvalidSignature: This participant has no such key.
        """
        for known in self.verifiers:
            if known.key_id(self.did) == named:
                return known
        raise InvalidSignature("said to be signed with a key that is not pinned")

    def _past(self, suite: Suite) -> tuple[Verifier, ...]:
        keys = (past.key for past in self.past_keys)
        return tuple(key for key in keys if key.suite == suite)

    def to_json(self) -> dict[str, Any]:
        """Return the registry record. What is as usual is left out of it."""
        record: dict[str, Any] = {
            "did": self.did,
            "name": dict(self.name),
            "url": self.url,
            "keys": {suite: b64u(public) for suite, public in self.keys.items()},
            "chain_address": self.chain_address,
        }
        if self.suite != "ed25519":
            record["signing"] = self.suite
        if self.past_keys:
            record["past_keys"] = [past.to_json() for past in self.past_keys]
        return record


Pins: TypeAlias = Mapping[str, Participant]
"""Pinned participants by DID. Never read from what is to be verified."""


def parse_participant(value: object, what: str = "participant") -> Participant:
    """Read a registry record.

    Raises:
        Malformed: A member is missing, unknown or of the wrong form or size; a key
            is one that anybody can sign for; a past key is there twice, or still
            the key; or the suite is not that of the past keys.
    """
    wanted = {"did", "name", "url", "keys", "chain_address"}
    found = shape.members(value, wanted, what, optional={"signing", "past_keys"})
    name = shape.members(found["name"], {"en", "zh"}, "name")
    public = _keys(found["keys"])
    suite = _suite(found.get("signing", "ed25519"), "signing")
    if suite not in public:
        raise Malformed(f"signing is {suite}, and keys lacks it")
    past = shape.each(_past_key, most=_MOST_PAST)(
        found.get("past_keys", ()), "past_keys"
    )
    _check_past(past, suite, public)
    return Participant(
        did=shape.did(found["did"], "did"),
        name={language: shape.prose(name[language], "name") for language in name},
        url=shape.prose(found["url"], "url"),
        keys=public,
        chain_address=shape.account(found["chain_address"], "chain_address"),
        suite=suite,
        past_keys=past,
    )


def _keys(value: object) -> dict[Suite, bytes]:
    found = shape.members(value, _KEYS, "keys", optional=_OWN_SUITE)
    sizes = {**_KEYS, **_OWN_SUITE}
    public = {
        suite: shape.octets(size)(found[suite], suite)
        for suite, size in sizes.items()
        if suite in found
    }
    check_ed25519_public(public["ed25519"])
    if "sm2" in public:
        check_public("sm2", public["sm2"])
    return public


def _suite(value: object, what: str) -> Suite:
    for suite in SIGNING:
        if value == suite:
            return suite
    raise Malformed(f"{what} must be one of {', '.join(SIGNING)}")


def _past_key(value: object, what: str) -> PastKey:
    found = shape.members(value, {"suite", "public", "until"}, what)
    suite = _suite(found["suite"], f"{what}.suite")
    public = shape.octets()(found["public"], f"{what}.public")
    check_public(suite, public)
    key = Verifier(suite=suite, public=public)
    return PastKey(key=key, until=shape.instant(found["until"], f"{what}.until"))


def _check_past(
    past: Sequence[PastKey], suite: Suite, public: Mapping[Suite, bytes]
) -> None:
    keys = [(each.key.suite, each.key.public) for each in past]
    if len(set(keys)) != len(keys):
        raise Malformed("past_keys lists a key twice")
    if any(public.get(of) == key for of, key in keys):
        raise Malformed("past_keys lists a key that has not passed")
    # A log is hashed with one function from its first entry on, so whoever changes
    # the suite begins another log, as another participant. Past Ed25519 keys of a
    # participant that signs with SM2 have signed tokens and agreements.
    if any(of not in (suite, "ed25519") for of, _ in keys):
        raise Malformed("past_keys lists a key of another suite than signing")


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
