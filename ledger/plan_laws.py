"""What must hold of a plan of each kind.

The laws that every plan obeys, and those of its kind, are in one table each, so that
they can be read beside `docs/protocols/plans.md`, section "Laws".
"""

import datetime
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

from crypto.parameters import SETS
from crypto.psi import bucket
from ledger.conditions import Operator

if TYPE_CHECKING:
    from ledger.plans import Plan


class Kind(StrEnum):
    """Which protocol a plan is for."""

    HEAT_MAP = "heat-map"
    INTERSECTION = "intersection"
    JOINT_SUM = "joint-sum"
    RING_COUNT = "ring-count"
    FEDERATED_SUM = "federated-sum"


Laws: TypeAlias = tuple[tuple[object, str], ...]

MOST_CELLS: Final = 65_536
MOST_SIZE: Final = 2**22
"""Of a list that is compared."""
MOST_OCTETS: Final = 2**18
"""Of a plan's canonical JSON."""
_LONGEST: Final = datetime.timedelta(days=1)
_FILTERS: Final = frozenset(
    {
        *(Operator.AT_LEAST, Operator.AT_MOST, Operator.BEFORE, Operator.AFTER),
        *(Operator.BETWEEN, Operator.ONE_OF),
    }
)
_MODES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.HEAT_MAP: ("C", "R", "flip"),
    Kind.INTERSECTION: ("count", "list"),
}
_LISTS: Final = (Kind.INTERSECTION, Kind.JOINT_SUM, Kind.RING_COUNT)
"""Kinds in which lists of customers are compared."""
_EXACT: Final = (Kind.INTERSECTION, Kind.RING_COUNT)
"""Kinds of which no number is noised; they say nothing of a field."""
_MULTIPLYING: Final = (Kind.HEAT_MAP, Kind.JOINT_SUM)
"""Kinds in which ciphertexts are multiplied."""


def laws_of(plan: "Plan") -> Laws:
    """Return whether each law holds of a plan, and what it means if it does not.

    Its members are well formed, each for itself.
    """
    return tuple(chain.from_iterable(law(plan) for law in _COMMON)) + _KINDS[plan.kind](
        plan
    )


def _time(plan: "Plan") -> Laws:
    created, expires = map(
        datetime.datetime.fromisoformat, (plan.created, plan.expires)
    )
    return (
        (created < expires, "it expires before it holds"),
        (expires - created <= _LONGEST, "it holds for more than a day"),
    )


def _parties(plan: "Plan") -> Laws:
    dids = [party.did for party in plan.parties]
    return (
        (plan.key_id.startswith(plan.asker + "#"), "the key is another's"),
        (dids == sorted(set(dids)), "the parties are not sorted, each once"),
        (plan.asker not in dids, "the asker is a party"),
        (plan.mode in _MODES.get(plan.kind, ("",)), "the mode is not of its kind"),
    )


def _cells(plan: "Plan") -> Laws:
    grouped = [group.field for group in plan.groups]
    cells = plan.cell_count * max(len(plan.segment_labels), 1)
    asked = {each.operator for each in plan.filters}
    order = [name for name in grouped if name in plan.totals]
    return (
        (len(set(grouped)) == len(grouped), "a field groups twice"),
        (cells <= MOST_CELLS, f"there are over {MOST_CELLS} cells"),
        (asked <= _FILTERS, "a filter is about two fields"),
        (list(plan.totals) == order, "totals are not groups, in their order"),
    )


def _encryption(plan: "Plan") -> Laws:
    known = SETS.get(plan.parameters)
    encrypted, flip = plan.kind not in _EXACT, plan.mode == "flip"
    right = known is not None if encrypted else plan.parameters == ""
    multiplies = plan.kind not in _MULTIPLYING or (known and known.multiplies)
    keyed = flip or plan.kind is Kind.FEDERATED_SUM
    return (
        (right, "the parameters are not those of a known set, or not needed"),
        (multiplies, "the parameters do not allow to multiply"),
        ((plan.key is not None) == keyed, "the asker's key is missing, or not needed"),
        (flip or not plan.totals, "there are totals, and nothing is flipped"),
        (plan.epsilon_micro or not encrypted, "nothing is spent on noise"),
    )


def _lists(plan: "Plan") -> Laws:
    compared = plan.kind in _LISTS
    filled = 0 < plan.size <= MOST_SIZE and bucket(plan.size) == plan.size
    return (
        (filled if compared else plan.size == 0, "the size is not that of a list"),
        (
            (plan.commitment is not None) == compared,
            "the commitment to a list is missing, or not needed",
        ),
        (not compared or not plan.groups, "lists are compared by group"),
        (not compared or plan.contribution == 1, "a customer of a list counts twice"),
    )


def _segments(plan: "Plan") -> Laws:
    rows, labels = plan.mode == "R", plan.segment_labels
    return (
        ((plan.segments is not None) == rows, "segments are missing, or not needed"),
        (bool(labels) == rows, "labels of segments are missing, or not needed"),
        (len(set(labels)) == len(labels), "a segment's label is there twice"),
        (not rows or plan.cohort == "shared", "segments are not of shared customers"),
    )


def _replaced(plan: "Plan") -> Laws:
    if (earlier := plan.replaces) is None:
        return ()
    asked = {party.did for party in plan.parties}
    return (
        (
            plan.kind is Kind.FEDERATED_SUM,
            "a round is replaced, and not of a sum of many",
        ),
        (earlier.round != plan.round, "the round replaces itself"),
        (asked.isdisjoint(earlier.missing), "somebody who was missing is asked again"),
    )


_COMMON: Final = (_time, _parties, _cells, _encryption, _lists, _segments, _replaced)


def _heat_map(plan: "Plan") -> Laws:
    return ((len(plan.parties) == 1, "a heat map is not of one party"),)


def _exact(plan: "Plan", parties: int) -> Laws:
    measure = plan.measure
    return (
        (len(plan.parties) == parties, f"there are not {parties} parties"),
        (
            measure.what == "count" and not measure.field,
            "customers are not just counted",
        ),
        (not plan.filters, "customers are filtered, and nothing is noised"),
    )


def _joint_sum(plan: "Plan") -> Laws:
    return (
        (len(plan.parties) == 1, "a joint sum is not with one party"),
        (plan.measure.field, "no field is counted or summed"),
    )


def _federated(plan: "Plan") -> Laws:
    return ((len(plan.parties) >= 3, "fewer than three parties hide nobody"),)


_KINDS: Final[Mapping[Kind, Callable[["Plan"], Laws]]] = {
    Kind.HEAT_MAP: _heat_map,
    Kind.INTERSECTION: lambda plan: _exact(plan, 1),
    Kind.JOINT_SUM: _joint_sum,
    Kind.RING_COUNT: lambda plan: _exact(plan, 2),
    Kind.FEDERATED_SUM: _federated,
}
