"""Rosters: who adds up a sum together, each with a key of its own for this round.

Before a federated sum every party says, signed: *I take part in this plan, and this is
my key for the masks of this round* - an *acceptance*. All of them together are the
*roster*. The asker hands it to each party, and each checks it for itself: the masks
hide a row only from those whose keys are not the asker's own inventions.

What goes into the masks is the hash of the roster, so that parties who were shown two
different rosters have masks that do not cancel out, and a sum that nobody can read.

An acceptance names the plan by its hash: parties, round, asker and asker's key are in
that. A roster shows who has promised to contribute, not who has contributed: that is
in the receipts of the step.

Spec: `docs/protocols/fp-agg-1.md`, section "Roster".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import InvalidProof, InvalidSignature, Malformed
from crypto.masking import check_public
from crypto.signing import Signer
from ledger import shape
from ledger.participants import Participant
from ledger.plan_parts import MOST_PARTIES
from ledger.plans import Plan

TYPE: Final = "fieldpact/acceptance/1"
ROSTER: Final = "fieldpact/roster/1"
FEWEST: Final = 3
"""Parties besides the asker. Of two, each could take its own row off the sum."""
MOST: Final = MOST_PARTIES


def _mask_key(value: object, what: str) -> str:
    try:
        check_public(shape.octets(32)(value, what))
    except Malformed as error:
        raise Malformed(f"{what} is {error}") from None
    return str(value)


_READERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "plan": shape.digest,
    "party": shape.did,
    "mask_key": _mask_key,
    "expires": shape.instant,
    "key_id": shape.text,
}
"""How each member of an acceptance is read, besides `typ`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One party's word that it takes part. Members as on the wire.

    Attributes:
        plan: Hash of the plan, 64 hex digits.
        party: DID of the provider.
        mask_key: X25519 public key, drawn for this round, base64url of 32 bytes.
        expires: When the key is given up, RFC 3339 UTC.
        key_id: Id of the provider's signing key.
    """

    plan: str
    party: str
    mask_key: str
    expires: str
    key_id: str

    def __post_init__(self) -> None:
        """Check every value, then the laws between them."""
        shape.well_formed(self, _READERS, self._laws, "an acceptance")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        own = self.key_id.startswith(self.party + "#")
        return ((own, "the key is another's"),)

    @property
    def public(self) -> bytes:
        """The mask key, 32 bytes."""
        return shape.octets(32)(self.mask_key, "mask_key")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, every member present."""
        return {"typ": TYPE} | {name: getattr(self, name) for name in _READERS}

    def signed_bytes(self) -> bytes:
        """Return the bytes under the signature, tag included."""
        return tagged("acceptance", canonical(self.to_json()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAcceptance:
    """An acceptance with its party's signature, which is not yet verified.

    Attributes:
        signature: Of the suite of the key that the acceptance names, 64 bytes.
    """

    acceptance: Acceptance
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        signature = b64u(self.signature)
        return {"acceptance": self.acceptance.to_json(), "signature": signature}


def sign_acceptance(acceptance: Acceptance, key: Signer) -> SignedAcceptance:
    """Sign an acceptance as its party, with the key that it names."""
    if acceptance.key_id != key.key_id(acceptance.party):
        raise ValueError("the acceptance names another key")
    signature = key.sign(acceptance.signed_bytes())
    return SignedAcceptance(acceptance=acceptance, signature=signature)


def parse_acceptance(value: object, what: str = "acceptance") -> SignedAcceptance:
    """Read a signed acceptance from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    found = shape.members(value, {"acceptance", "signature"}, what)
    core = dict(shape.members(found["acceptance"], {"typ", *_READERS}, what))
    shape.constant(core.pop("typ"), TYPE, "typ")
    signature = shape.octets(64)(found["signature"], "signature")
    return SignedAcceptance(acceptance=Acceptance(**core), signature=signature)


def verify_acceptance(signed: SignedAcceptance, party: Participant) -> None:
    """Check a party's signature under the key that it signs with today.

    A key of its past does not count: whoever has stolen one could take a place.

    Args:
        party: As *pinned*.

    Raises:
        InvalidSignature: Another participant's, or not signed with its key.
    """
    acceptance = signed.acceptance
    if acceptance.party != party.did:
        raise InvalidSignature("the acceptance of another participant")
    if acceptance.key_id != party.key_id(party.suite):
        raise InvalidSignature("said to be signed with a key that is not pinned")
    party.signing.verify(acceptance.signed_bytes(), signed.signature)


@dataclass(frozen=True, slots=True)
class Roster:
    """All acceptances of a round, in order of the parties' DIDs. Not yet verified."""

    acceptances: tuple[SignedAcceptance, ...]

    def __post_init__(self) -> None:
        """Check that it is in order, and about one plan."""
        every = [signed.acceptance for signed in self.acceptances]
        if not FEWEST <= len(every) <= MOST:
            raise Malformed(f"a roster has {FEWEST} to {MOST} parties")
        if [each.party for each in every] != sorted({each.party for each in every}):
            raise Malformed("a roster in which the parties are not in order, each once")
        if len({each.mask_key for each in every}) != len(every):
            raise Malformed("a roster in which two parties have one key")
        if len({each.plan for each in every}) != 1:
            raise Malformed("a roster of acceptances of several plans")

    @property
    def parties(self) -> tuple[str, ...]:
        """DIDs, in order."""
        return tuple(signed.acceptance.party for signed in self.acceptances)

    @property
    def roster_hash(self) -> str:
        """Return the hash of what was accepted, 64 hex digits; not of signatures."""
        cores = [signed.acceptance.to_json() for signed in self.acceptances]
        return sha256(tagged("roster", canonical(cores))).hex()

    def keys(self, *, without: str) -> dict[str, bytes]:
        """Return the mask keys of all parties but one, by DID."""
        every = (signed.acceptance for signed in self.acceptances)
        return {each.party: each.public for each in every if each.party != without}

    def key(self, party: str) -> bytes | None:
        """Return the mask key of a party, or None."""
        every = (signed.acceptance for signed in self.acceptances)
        return next((each.public for each in every if each.party == party), None)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        listed = [signed.to_json() for signed in self.acceptances]
        return {"typ": ROSTER, "acceptances": listed}


def parse_roster(value: object) -> Roster:
    """Read a roster from its JSON object.

    Raises:
        Malformed: It does not parse, has too few parties or too many, or is not in
            order, or about several plans.
    """
    found = shape.members(value, {"typ", "acceptances"}, "roster")
    shape.constant(found["typ"], ROSTER, "typ")
    read = shape.each(parse_acceptance, most=MOST)
    return Roster(read(found["acceptances"], "acceptances"))


def verify_roster(
    roster: Roster,
    plan: Plan,
    pinned: Callable[[str], Participant | None],
    *,
    at: str,
) -> None:
    """Check that a roster is that of a plan, for a party that is to rely on it.

    1. The parties are exactly the plan's, at least three besides the asker.
    2. Every acceptance is of this plan, and is still in force.
    3. Every acceptance is signed with the key that is pinned of its party.

    Args:
        plan: As signed by its asker, verified.
        pinned: Looks up the *pinned* record of a participant.
        at: The time, RFC 3339 UTC.

    Raises:
        InvalidProof: Of other parties or another plan, or not in force any more.
        InvalidSignature: An acceptance is not signed by its party.
    """
    if roster.parties != tuple(party.did for party in plan.parties):
        raise InvalidProof("a roster of other parties than the plan's")
    if plan.asker in roster.parties:
        raise InvalidProof("a roster with the asker in it")
    for signed in roster.acceptances:
        if signed.acceptance.plan != plan.plan_hash:
            raise InvalidProof("an acceptance of another plan")
        if signed.acceptance.expires <= at:
            raise InvalidProof("an acceptance that is not in force any more")
        if (party := pinned(signed.acceptance.party)) is None:
            raise InvalidSignature("the acceptance of somebody who is not pinned")
        verify_acceptance(signed, party)
