"""A plan as a person drafts it, before keys, rounds and commitments are in it.

What the agreements say already need not be said again: how large a sum's bound may be,
the least cohort, which parameters go with which kind. What is left out is the most that
is granted, or the least that is asked for.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from crypto.errors import Malformed
from ledger.conditions import ordered, parse_condition
from ledger.plan_parts import period
from ledger.plans import Group, Kind, Measure, Party
from node.domain.aggregates import AggregateGrant
from node.domain.agreement import Agreement
from node.domain.values import BadValue, to_wire
from node.errors import BadRequest

HOLDS: Final = datetime.timedelta(hours=6)
"""How long a plan holds that says nothing else."""
_MOST_LABELS: Final = 4096
_MATCHING: Final = (Kind.INTERSECTION, Kind.JOINT_SUM, Kind.RING_COUNT)
_EXACT: Final = (Kind.INTERSECTION, Kind.RING_COUNT)
_SMALL, _LARGE = "bfv-4096-40", "bfv-8192-41"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a person wants to know of partners' customers.

    Attributes:
        agreements: Ids: under which the providers are asked.
        groups: Each with `field`, `grain`, and `values`, or `from` and `to`.
        measure: `what`, and for sums `field` and perhaps `bound` in wire form.
        filters: Conditions as in a query.
        k_min: None for the least that the agreements let be asked.
        customers: Our customers, normalised: of what compares lists.
        ours: Instead of them: a dataset of ours, whose customers are meant.
        weights: Of a heat map: ours, and nobody else learns them.
        segments: Of a heat map in mode R: customers by label.
    """

    kind: Kind
    mode: str
    agreements: tuple[str, ...]
    purpose: str
    groups: tuple[Mapping[str, Any], ...] = ()
    measure: Mapping[str, Any] | None = None
    filters: tuple[Mapping[str, Any], ...] = ()
    cohort: str = "all"
    contribution: int = 1
    epsilon_micro: int = 0
    k_min: int | None = None
    totals: tuple[str, ...] = ()
    customers: tuple[str, ...] = field(default=(), repr=False)
    ours: str | None = None
    weights: Any = field(default=None, repr=False)
    segments: Mapping[str, Sequence[str]] | None = field(default=None, repr=False)

    @property
    def matches(self) -> bool:
        """Tell whether lists of customers are compared."""
        return self.kind in _MATCHING

    @property
    def parameters(self) -> str:
        """Return the parameter set that goes with the kind, or nothing."""
        if self.kind in _EXACT:
            return ""
        return _SMALL if self.kind is Kind.FEDERATED_SUM else _LARGE

    def members(self, agreements: Sequence[Agreement]) -> dict[str, Any]:
        """Return the members of the plan that follow from the draft alone.

        Args:
            agreements: Those that it names.

        Raises:
            BadRequest: What is drafted fits no agreement, or is no plan.
        """
        grants = {each.field: each for each in agreements[0].terms.aggregates}
        allowances = [each.terms.allowance for each in agreements]
        if not all(allowances):
            _refuse("An agreement that it names allows no aggregates.")
        least = max(each.k_min for each in allowances if each)
        try:
            return {
                "kind": self.kind,
                "mode": self.mode,
                "parties": tuple(sorted(map(_party, agreements), key=_did)),
                "purpose": self.purpose,
                "groups": tuple(_group(each, grants) for each in self.groups),
                "measure": _measure(self.measure or {"what": "count"}, grants),
                "filters": ordered(map(parse_condition, self.filters)),
                "cohort": self.cohort,
                "contribution": self.contribution,
                "epsilon_micro": self.epsilon_micro,
                "k_min": least if self.k_min is None else self.k_min,
                "parameters": self.parameters,
                "totals": self.totals,
            }
        except Malformed as error:
            _refuse(f"{error}.")


def _party(agreement: Agreement) -> Party:
    return Party(
        did=agreement.assigner,
        agreement=agreement.id,
        agreement_hash=agreement.hash,
        dataset=agreement.dataset,
    )


def _did(party: Party) -> str:
    return party.did


def _group(given: Mapping[str, Any], grants: Mapping[str, AggregateGrant]) -> Group:
    """Return a group; of dates, the periods between two days."""
    field, grain = given["field"], given.get("grain") or "value"
    if field not in grants:
        _refuse(f"{field} is not granted for aggregates.")
    if values := given.get("values"):
        return Group(field=field, grain=grain, values=tuple(map(str, values)))
    first, last = given.get("from"), given.get("to")
    if grain == "value" or not first or not last:
        _refuse(f"Give the values of {field}; or of dates a grain, `from` and `to`.")
    return Group(field=field, grain=grain, values=_periods(grain, first, last))


def _periods(grain: str, first: str, last: str) -> tuple[str, ...]:
    try:
        day, end = map(datetime.date.fromisoformat, (first, last))
    except ValueError:
        _refuse("Write days as 2026-11-22.")
    if (end - day).days > _MOST_LABELS * 366:
        _refuse(f"A group has at most {_MOST_LABELS} periods.")
    found: dict[str, None] = {}
    while day <= end:
        if (label := period(grain, day.isoformat())) is not None:
            found[label] = None
        day += datetime.timedelta(days=1)
    return tuple(found)


def _measure(given: Mapping[str, Any], grants: Mapping[str, AggregateGrant]) -> Measure:
    """Return what is measured; a bound in smallest units."""
    what, field = given["what"], given.get("field")
    if what != "sum":
        return Measure(what=what, field=field, bound=1)
    if (grant := grants.get(field or "")) is None or grant.bound is None:
        _refuse(f"{field} is not granted for sums.")
    try:
        bound = str(to_wire(grant, given.get("bound") or grant.bound))
    except BadValue as error:
        _refuse(f"The bound of {field}: {error}.")
    return Measure(what="sum", field=field, bound=int(bound.replace(".", "")))


def _refuse(detail: str) -> NoReturn:
    raise BadRequest("plan.draft", detail)
