"""Plans: what is to be computed over the records of others, said before it is.

A *plan* asks for an aggregate: a table of counts or sums, or how many customers two
or three companies share. Its *asker* signs it; the *parties* are the providers that it
asks, each under an agreement of its own. The plan says everything that bears on what
comes out and on whom it tells something of: groups and their values, what is measured
and where it is cut off, filters, how much privacy is spent, the least cohort, and under
which parameters it is encrypted. So a provider decides on the plan, not on a stream of
ciphertexts; every step of it leaves a receipt with the plan's hash.

A plan that exists is well formed: every value and every law of its kind is checked
when it is made. What agreements grant is not known here.

Spec: `docs/protocols/plans.md`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Final

from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import InvalidSignature
from crypto.signing import Signer
from ledger import shape
from ledger.conditions import Condition, Value, check_conditions, parse_conditions
from ledger.participants import Participant
from ledger.plan_laws import MOST_OCTETS, Kind, laws_of
from ledger.plan_parts import (
    MOST_EPSILON,
    MOST_PARTIES,
    Group,
    Measure,
    Party,
    Replaced,
    label,
    one_of,
    parse_group,
    parse_measure,
    parse_party,
    parse_replaced,
    within,
)

__all__ = [
    "Group",
    "Kind",
    "Measure",
    "Party",
    "Plan",
    "Replaced",
    "SignedPlan",
    "parse_plan",
    "parse_signed_plan",
    "sign_plan",
    "verify_plan",
]

TYPE: Final = "fieldpact/plan/1"
MOST_GROUPS: Final = 8
MOST_SEGMENTS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked, of whom, and what it may cost. Members as on the wire.

    Attributes:
        kind: Which protocol it is for.
        mode: Of a heat map `C`, `R` or `flip`; of an intersection `count` or `list`;
            of others empty.
        round: 64 hex digits, fresh for every plan.
        asker: DID of who asks, and signs.
        parties: The providers, sorted by DID.
        purpose: Id of the purpose, of those agreed on.
        groups: By what cells are told apart, in the order of the cells.
        measure: What is added up in a cell.
        filters: Which records count: conditions on one field each.
        cohort: `all` customers of a provider, or those it has in common with the
            asker by their alignment (`shared`).
        contribution: Most cells in which one customer counts, 1 to 50.
        epsilon_micro: Privacy that each party spends, in millionths of epsilon.
        k_min: Fewer customers than this make no cell, and no cohort.
        parameters: Name of a set of `crypto.parameters`, empty where nothing is
            encrypted homomorphically.
        key: SHA-256 of the asker's public key for this plan, 64 hex digits; only where
            parties encrypt or compute under it.
        size: Length to which the asker's list is filled up; 0 where it sends none.
        segments: SHA-256 of the masks by which the asker divides the shared customers
            (heat map, mode R), 64 hex digits.
        segment_labels: What it calls those parts, in order.
        totals: Of a flipped heat map the groups by which results stay apart, in the
            order of `groups`; over the others they are summed.
        commitment: Hash of the list that the asker has blinded, 64 hex digits.
        replaces: The round that was given up for this one.
        created: From when it holds, RFC 3339 UTC to the second.
        expires: Before when it holds, at most a day later.
        key_id: Id of the asker's key that signs.
    """

    kind: Kind
    mode: str
    round: str
    asker: str
    parties: tuple[Party, ...]
    purpose: str
    groups: tuple[Group, ...]
    measure: Measure
    filters: tuple[Condition, ...]
    cohort: str
    contribution: int
    epsilon_micro: int
    k_min: int
    parameters: str
    key: str | None
    size: int
    segments: str | None
    segment_labels: tuple[str, ...]
    totals: tuple[str, ...]
    commitment: str | None
    replaces: Replaced | None
    created: str
    expires: str
    key_id: str
    _written: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every value, then the laws of its kind. Raises `Malformed`."""
        shape.well_formed(self, _READERS, self._laws, "a plan")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        return (
            *laws_of(self),
            (len(self.canonical()) <= MOST_OCTETS, f"are over {MOST_OCTETS} octets"),
        )

    @property
    def cell_count(self) -> int:
        """Return how many cells there are: 1 without groups."""
        return prod(len(group.values) for group in self.groups)

    def labels(self) -> Iterator[tuple[str, ...]]:
        """Go through the cells in order: the labels of each, one of every group.

        The last group's change fastest.
        """
        return product(*(group.values for group in self.groups))

    def cell_of(self, values: Mapping[str, Value]) -> int | None:
        """Return the cell in which a record counts, from 0; None for none.

        Args:
            values: In wire form by field; a field that is not there has no value.
        """
        cell = 0
        for group in self.groups:
            place = group.place(values.get(group.field))
            if place is None:
                return None
            cell = cell * len(group.values) + place
        return cell

    @property
    def fields(self) -> tuple[str, ...]:
        """Return every field that is named, sorted: what the receipts tell."""
        named = {group.field for group in self.groups}
        named |= {name for condition in self.filters for name in condition.fields}
        if self.measure.field is not None:
            named.add(self.measure.field)
        return tuple(sorted(named))

    def party(self, did: str) -> Party | None:
        """Return the party of a DID, or None."""
        return next((each for each in self.parties if each.did == did), None)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, every member present."""
        core = {name: getattr(self, name) for name in _READERS}
        lists = ("parties", "groups", "filters")
        return core | {
            "typ": TYPE,
            "kind": self.kind.value,
            **{name: [each.to_json() for each in core[name]] for name in lists},
            "measure": self.measure.to_json(),
            "segment_labels": list(self.segment_labels),
            "totals": list(self.totals),
            "replaces": self.replaces and self.replaces.to_json(),
        }

    def canonical(self) -> bytes:
        """Return the bytes that are signed and hashed, without their tag."""
        if (written := self._written) is None:
            written = canonical(self.to_json())
            object.__setattr__(self, "_written", written)
        return written

    @property
    def plan_hash(self) -> str:
        """Return the hash of the tagged bytes, 64 hex digits: the plan's id."""
        return sha256(_signed_bytes(self)).hex()

    @property
    def query_hash(self) -> str:
        """Return the hash of the question alone, 64 hex digits.

        Two plans of one asker have the same where they ask the same of the same
        customers, whichever parties, round, keys and price they name, and in
        whichever order they list groups and values.
        """
        whole = self.to_json()
        groups = [
            {**each, "values": sorted(each["values"])} for each in whole["groups"]
        ]
        asked = {name: whole[name] for name in ("asker", "kind", "mode", "cohort")}
        asked |= {"what": self.measure.what, "field": self.measure.field}
        asked |= {"filters": whole["filters"], "groups": sorted(groups, key=canonical)}
        return sha256(tagged("plan-query", canonical(asked))).hex()


def _kind(value: object, what: str) -> Kind:
    return Kind(one_of(*Kind)(value, what))


_READERS: Final[Mapping[str, shape.Reader[Any]]] = {
    "kind": shape.instance(Kind),
    "mode": one_of("", "C", "R", "flip", "count", "list"),
    "round": shape.digest,
    "asker": shape.did,
    "parties": shape.each(shape.instance(Party), most=MOST_PARTIES),
    "purpose": shape.text,
    "groups": shape.each(shape.instance(Group), most=MOST_GROUPS),
    "measure": shape.instance(Measure),
    "filters": check_conditions,
    "cohort": one_of("all", "shared"),
    "contribution": within(1, 50),
    "epsilon_micro": within(0, MOST_EPSILON),
    "k_min": within(5, 1_000_000),
    "parameters": shape.prose,
    "key": shape.optional(shape.digest),
    "size": shape.count,
    "segments": shape.optional(shape.digest),
    "segment_labels": shape.each(label, most=MOST_SEGMENTS),
    "totals": shape.each(shape.field_name, most=MOST_GROUPS),
    "commitment": shape.optional(shape.digest),
    "replaces": shape.optional(shape.instance(Replaced)),
    "created": shape.instant,
    "expires": shape.instant,
    "key_id": shape.text,
}
"""How each member is read. The names are the members of a plan, besides `typ`."""

_PARSERS: Final[Mapping[str, shape.Reader[Any]]] = {
    "kind": _kind,
    "parties": shape.each(parse_party, most=MOST_PARTIES),
    "groups": shape.each(parse_group, most=MOST_GROUPS),
    "measure": parse_measure,
    "filters": parse_conditions,
    "segment_labels": _READERS["segment_labels"],
    "totals": _READERS["totals"],
    "replaces": shape.optional(parse_replaced),
}
"""How members that are not told by a single value are read from JSON."""


def parse_plan(value: object) -> Plan:
    """Read a plan from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong, or a law is broken.
    """
    core = dict(shape.members(value, {"typ", *_READERS}, "plan"))
    shape.constant(core.pop("typ"), TYPE, "typ")
    read = {name: parse(core[name], name) for name, parse in _PARSERS.items()}
    return Plan(**{**core, **read})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPlan:
    """A plan with its asker's signature, which is not yet verified.

    Attributes:
        signature: Of the suite of the key that the plan names, 64 bytes.
    """

    plan: Plan
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"plan": self.plan.to_json(), "signature": b64u(self.signature)}


def parse_signed_plan(value: object) -> SignedPlan:
    """Read a signed plan from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong, or a law is broken.
    """
    found = shape.members(value, {"plan", "signature"}, "signed plan")
    return SignedPlan(
        plan=parse_plan(found["plan"]),
        signature=shape.octets(64)(found["signature"], "signature"),
    )


def sign_plan(plan: Plan, key: Signer) -> SignedPlan:
    """Sign a plan as its asker, with the key that the plan names."""
    if plan.key_id != key.key_id(plan.asker):
        raise ValueError("the plan names another key")
    return SignedPlan(plan=plan, signature=key.sign(_signed_bytes(plan)))


def verify_plan(signed: SignedPlan, asker: Participant) -> None:
    """Check the asker's signature.

    Args:
        signed: The plan, as parsed.
        asker: The asker, as *pinned*: which of its keys has signed, the plan says.

    Raises:
        InvalidSignature: Not signed, signed by or said to be by another key, or the
            plan is another participant's.
    """
    if signed.plan.asker != asker.did:
        raise InvalidSignature("said to be signed by another participant")
    key = asker.verifier(signed.plan.key_id)
    key.verify(_signed_bytes(signed.plan), signed.signature)


def _signed_bytes(plan: Plan) -> bytes:
    return tagged("plan", plan.canonical())
