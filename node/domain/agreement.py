"""An agreement: what one company lets another read, signed by both, unchangeable.

An agreement is an ODRL value. Its *terms* name the fields with the mode of each,
the purposes, the validity, and the caps on calls and rows. A change of mind is a
new agreement; a withdrawal is a *status* kept beside it (`Status`), which takes
effect on the next call.

Only the constraints written here are understood. A policy with any other
operand, operator or rule is refused when it arrives: what is ignored today is
what somebody relied on tomorrow.

Spec: ODRL Information Model 2.2; Dataspace Protocol 2025-1 (message shapes).
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from crypto.encoding import canonical, sha256, tagged
from node.domain.aggregates import AggregateGrant, Allowance
from node.domain.dataset import Mode
from node.domain.predicates import PredicateGrant
from node.errors import BadRequest

CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
PROFILE = "urn:fieldpact:odrl-profile:1"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,127}")
_DATASET = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DID = re.compile(r"did:web:[A-Za-z0-9._:%-]{1,200}")
_FIELDS, _CUSTOMERS = "fieldpact:field", "fieldpact:customers"
_CALLS, _ROWS = "fieldpact:callsPerHour", "fieldpact:rowsPerCall"
_PREDICATE, _AGGREGATE = "fieldpact:predicate", "fieldpact:aggregate"
_EPSILON, _PERIOD = "fieldpact:epsilonMicro", "fieldpact:budgetPeriod"
_COHORT, _PLANS = "fieldpact:minimumCohort", "fieldpact:plansPerDay"
_MATCHING, _MATCHED = "fieldpact:matching", "fieldpact:matchSize"
_CAP = 1_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
"""Policies count seconds from here, and read no negative ones."""


class Status(StrEnum):
    """Whether an agreement may be used now, its validity apart."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


def instant(text: str) -> datetime.datetime:
    """Read `2026-11-22T18:20:00Z`: UTC, to the second, nothing else.

    Raises:
        BadRequest: Any other form.
    """
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(
            tzinfo=datetime.UTC
        )
    except (ValueError, TypeError) as error:
        detail = "Write instants as 2026-11-22T18:20:00Z."
        raise BadRequest("time.malformed", detail) from error


def render_instant(at: datetime.datetime) -> str:
    """Return the form that `instant` reads."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is allowed, to what end, how long and how much.

    Attributes:
        fields: Field name to the mode it is shared in.
        purposes: Identifiers from the consortium's purpose registry.
        valid_from: First instant, inclusive.
        valid_to: Last instant, exclusive.
        calls_per_hour: Calls answered in one clock hour (UTC).
        rows_per_call: Customers asked, and records shown, in one call.
        predicates: What may be asked about fields of mode `predicate`, by field;
            of those that are not named here, nothing.
        aggregates: What fields of mode `aggregate` may be used for, by field; those
            that are not named here, for nothing.
        allowance: How much may be counted, summed and matched; there exactly where
            anything may be.
    """

    fields: Mapping[str, Mode]
    purposes: tuple[str, ...]
    valid_from: datetime.datetime
    valid_to: datetime.datetime
    calls_per_hour: int
    rows_per_call: int
    predicates: tuple[PredicateGrant, ...] = ()
    aggregates: tuple[AggregateGrant, ...] = ()
    allowance: Allowance | None = None

    def __post_init__(self) -> None:
        """Refuse terms that nobody could mean.

        Raises:
            BadRequest: Naming the term and the mend.
        """
        if not self.fields or not all(map(_NAME.fullmatch, self.fields)):
            _refuse("fields", "Name at least one field, each like project_stage.")
        if Mode.NEVER in self.fields.values():
            _refuse("fields", "A field of mode never cannot be agreed on.")
        if not self.purposes or not all(map(_ID.fullmatch, self.purposes)):
            _refuse("purposes", "Name at least one purpose of the registry.")
        if len(set(self.purposes)) != len(self.purposes):
            _refuse("purposes", "Name each purpose once.")
        if self.valid_from >= self.valid_to:
            _refuse("validity", "The end must come after the start.")
        if self.valid_from < _EPOCH:
            _refuse("validity", "The start must not lie before 1970.")
        for cap in (self.calls_per_hour, self.rows_per_call):
            if not 1 <= cap <= _CAP:
                _refuse("caps", f"Caps lie between 1 and {_CAP}.")
        self._check_grants("predicates", Mode.PREDICATE, self.predicates)
        self._check_grants("aggregates", Mode.AGGREGATE, self.aggregates)
        self._check_allowance()

    def _check_grants(
        self,
        term: str,
        mode: Mode,
        grants: tuple[PredicateGrant | AggregateGrant, ...],
    ) -> None:
        granted = [grant.field for grant in grants]
        if granted != sorted(set(granted)):
            _refuse(term, "Name each field once, in the order of the names.")
        for name in granted:
            if self.fields.get(name) is not mode:
                mend = f"Share {name} in mode {mode}, or grant no {term} of it."
                _refuse(term, mend)

    def _check_allowance(self) -> None:
        if self.allowance is None:
            if self.aggregates:
                mend = "Say how much may be counted: epsilon_micro, period, k_min, …"
                _refuse("allowance", mend)
        elif not self.aggregates and not self.allowance.matches:
            mend = "Grant an aggregate or a matching, or leave the allowance out."
            _refuse("allowance", mend)

    @property
    def shows_records(self) -> bool:
        """Tell whether anything is shown or proved of single records."""
        return not {Mode.PLAIN, Mode.PREDICATE}.isdisjoint(self.fields.values())

    def to_permission(self) -> dict[str, Any]:
        """Return the ODRL permission that says the same."""
        fields = sorted(f"{name}:{mode.value}" for name, mode in self.fields.items())
        grants = sorted(grant.to_text() for grant in self.predicates)
        aggregates = sorted(grant.to_text() for grant in self.aggregates)
        return {
            "action": "use",
            "constraint": [
                _constraint("purpose", "isAnyOf", sorted(self.purposes)),
                _constraint("dateTime", "gteq", render_instant(self.valid_from)),
                _constraint("dateTime", "lt", render_instant(self.valid_to)),
                _constraint(_FIELDS, "isAnyOf", fields),
                *([_constraint(_PREDICATE, "isAnyOf", grants)] if grants else []),
                _constraint(_CUSTOMERS, "eq", "declared"),
                _constraint(_CALLS, "lteq", str(self.calls_per_hour)),
                _constraint(_ROWS, "lteq", str(self.rows_per_call)),
                *([_constraint(_AGGREGATE, "isAnyOf", aggregates)] * bool(aggregates)),
                *_allowed(self.allowance),
            ],
        }

    @classmethod
    def from_permission(cls, permission: Any) -> "Terms":
        """Read the ODRL permission that `to_permission` writes.

        Raises:
            BadRequest: Anything more, less or different.
        """
        try:
            found = {
                (item["leftOperand"], item["operator"]): item["rightOperand"]
                for item in permission["constraint"]
            }
            fields = dict(entry.split(":") for entry in found[_FIELDS, "isAnyOf"])
            grants = found.get((_PREDICATE, "isAnyOf"), ())
            aggregates = found.get((_AGGREGATE, "isAnyOf"), ())
            terms = cls(
                fields={name: Mode(mode) for name, mode in fields.items()},
                purposes=tuple(found["purpose", "isAnyOf"]),
                valid_from=instant(found["dateTime", "gteq"]),
                valid_to=instant(found["dateTime", "lt"]),
                calls_per_hour=int(found[_CALLS, "lteq"]),
                rows_per_call=int(found[_ROWS, "lteq"]),
                predicates=tuple(
                    sorted(
                        map(PredicateGrant.from_text, grants),
                        key=lambda grant: grant.field,
                    )
                ),
                aggregates=tuple(
                    sorted(
                        map(AggregateGrant.from_text, aggregates),
                        key=lambda grant: grant.field,
                    )
                ),
                allowance=_allowance_in(found),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unknown_policy() from error
        if terms.to_permission() != permission:
            raise _unknown_policy()
        return terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the provider proposes; an agreement minus the consumer's consent."""

    id: str
    dataset: str
    assigner: str
    assignee: str
    terms: Terms

    def to_odrl(self) -> dict[str, Any]:
        """Return the offer as the protocol sends it."""
        return _policy("Offer", self.id, self)

    @classmethod
    def from_odrl(cls, policy: Any) -> "Offer":
        """Read an offer.

        Raises:
            BadRequest: It says anything that this node does not enforce.
        """
        offer = cls(**_parties(policy))
        if offer.to_odrl() != policy:
            raise _unknown_policy()
        return offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Terms that both sides have signed. Never changed.

    Attributes:
        id: `urn:uuid:…`, chosen by the provider.
        assigner: DID of the provider.
        assignee: DID of the consumer.
        timestamp: When it was agreed.
        hash: By which receipts name the agreement's text, 64 hex digits.
    """

    id: str
    dataset: str
    assigner: str
    assignee: str
    terms: Terms
    timestamp: datetime.datetime
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the hash once; the value never changes."""
        digest = sha256(tagged("agreement", canonical(self.to_odrl()))).hex()
        object.__setattr__(self, "hash", digest)

    def to_odrl(self) -> dict[str, Any]:
        """Return the agreement as both sides sign it."""
        stamp = {"timestamp": render_instant(self.timestamp)}
        return _policy("Agreement", self.id, self) | stamp

    @classmethod
    def from_odrl(cls, policy: Any) -> "Agreement":
        """Read an agreement.

        Raises:
            BadRequest: It says anything that this node does not enforce.
        """
        parties = _parties(policy)
        agreement = cls(**parties, timestamp=instant(policy.get("timestamp")))
        if agreement.to_odrl() != policy:
            raise _unknown_policy()
        return agreement

    @property
    def signed_bytes(self) -> bytes:
        """Return the bytes that both sides sign."""
        return tagged("agreement", canonical(self.to_odrl()))


def _policy(kind: str, policy_id: str, value: Offer | Agreement) -> dict[str, Any]:
    return {
        "@context": [CONTEXT],
        "@type": kind,
        "@id": policy_id,
        "profile": PROFILE,
        "target": value.dataset,
        "assigner": value.assigner,
        "assignee": value.assignee,
        "permission": [value.terms.to_permission()],
    }


def _parties(policy: Any) -> dict[str, Any]:
    try:
        (permission,) = policy["permission"]
        parties = {
            "id": policy["@id"],
            "dataset": policy["target"],
            "assigner": policy["assigner"],
            "assignee": policy["assignee"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _unknown_policy() from error
    forms = {"id": _ID, "dataset": _DATASET, "assigner": _DID, "assignee": _DID}
    for name, value in parties.items():
        if not isinstance(value, str) or not forms[name].fullmatch(value):
            raise _unknown_policy()
    return parties | {"terms": Terms.from_permission(permission)}


def _allowed(allowance: Allowance | None) -> list[dict[str, Any]]:
    """Return the constraints that say an allowance."""
    if allowance is None:
        return []
    return [
        _constraint(_EPSILON, "lteq", str(allowance.epsilon_micro)),
        _constraint(_PERIOD, "eq", allowance.period),
        _constraint(_COHORT, "gteq", str(allowance.k_min)),
        _constraint(_PLANS, "lteq", str(allowance.plans_per_day)),
        _constraint(_MATCHING, "eq", allowance.matching),
        _constraint(_MATCHED, "lteq", str(allowance.match_size)),
    ]


def _allowance_in(found: Mapping[tuple[str, str], Any]) -> Allowance | None:
    """Read what `_allowed` writes; of another form, what is refused on comparing."""
    if (_EPSILON, "lteq") not in found:
        return None
    return Allowance(
        epsilon_micro=int(found[_EPSILON, "lteq"]),
        period=found[_PERIOD, "eq"],
        k_min=int(found[_COHORT, "gteq"]),
        plans_per_day=int(found[_PLANS, "lteq"]),
        matching=found[_MATCHING, "eq"],
        match_size=int(found[_MATCHED, "lteq"]),
    )


def _constraint(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _refuse(term: str, mend: str) -> None:
    raise BadRequest(f"terms.{term}", mend)


def _unknown_policy() -> BadRequest:
    detail = "The policy is not exactly one that this node writes and enforces."
    return BadRequest("policy.not_understood", detail)
