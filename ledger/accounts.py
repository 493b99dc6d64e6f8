"""Accounts: what a partner was told of one customer, and whether two fit together.

A record is not named in an answer, and some are withheld. So two accounts are
compared as a whole: is there any set of as many records as the customer has, in
which each of the two finds all the records that it was shown?

Every comparison is of one record of the one account with one of the other: can
they be the same record? Accounts fit if enough pairs can, each record being used
once: a maximum matching.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from crypto.encoding import canonical
from crypto.predicates import Member, Predicate, Window
from crypto.typed import Field, Schema, schema_hash
from ledger.conditions import Condition, Value

Fits: TypeAlias = Callable[[int, int], bool]
"""Whether two records, by their places in two accounts, can be the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one partner was told of one customer.

    Attributes:
        schema: Tells the fields that this is about.
        total: How many records there are, shown and withheld.
        rows: Value by name, of each record that is not withheld.
        names: Of the fields that are shown.
        where: Conditions that were proved of each record that is not withheld.
    """

    schema: Schema
    total: int
    rows: tuple[Mapping[str, Value], ...]
    names: frozenset[str]
    where: tuple[Condition, ...]


def unfit(one: Account, other: Account) -> set[str]:
    """Name the fields on which two accounts do not fit together.

    Args:
        one: Of all records that there are.
        other: Of these records, or of some of them.
    """
    redefined = _redefined(one.schema, other.schema)
    found = set(redefined)
    comparable = list(_comparable(one, other, redefined))
    for names, fits in comparable:
        if not _together(one, other, [fits]):
            found |= names
    # Each comparison by itself may hold, and all of them together not.
    if not found and not _together(one, other, [fits for _, fits in comparable]):
        found = {name for names, _ in comparable for name in names}
    return found


def _redefined(one: Schema, other: Schema) -> set[str]:
    """Name fields that one version of a dataset cannot have defined both ways."""
    ours, theirs = (
        {
            field.name: (field.kind, field.unit, field.scale)
            for field in schema
            if isinstance(field, Field)
        }
        for schema in (one, other)
    )
    return {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}


def _comparable(
    one: Account, other: Account, redefined: set[str]
) -> Iterator[tuple[set[str], Fits]]:
    """List what can be compared, with the names of the fields that it is about."""
    for name in (one.names & other.names) - redefined:
        yield {name}, _equal(one, other, name)
    for condition in one.where:
        names = set(condition.fields)
        if names <= other.names - redefined:
            yield names, _second(_met(condition, other))
    for condition in other.where:
        names = set(condition.fields)
        if names <= one.names - redefined:
            yield names, _first(_met(condition, one))
    if schema_hash(one.schema) == schema_hash(other.schema):
        for first in one.where:
            for second in other.where:
                if _disjoint(
                    first.predicate(one.schema), second.predicate(other.schema)
                ):
                    yield set(first.fields), _never


def _equal(one: Account, other: Account, name: str) -> Fits:
    ours = [canonical(row[name]) for row in one.rows]
    theirs = [canonical(row[name]) for row in other.rows]
    return lambda a, b: ours[a] == theirs[b]


def _met(condition: Condition, account: Account) -> list[bool]:
    return [condition.holds(account.schema, row) for row in account.rows]


def _first(holds: list[bool]) -> Fits:
    return lambda a, _: holds[a]


def _second(holds: list[bool]) -> Fits:
    return lambda _, b: holds[b]


def _never(_a: int, _b: int) -> bool:
    return False


def _disjoint(first: Predicate, second: Predicate) -> bool:
    """Say whether no record meets both, as far as they are about the same numbers."""
    if first.indexes != second.indexes:
        return False
    if isinstance(first, Member):
        return not any(_admits(second, each) for each in first.among)
    if isinstance(second, Member):
        return not any(_admits(first, each) for each in second.among)
    apart = first.hi < second.lo or second.hi < first.lo
    return apart and first.sign == second.sign


def _admits(predicate: Predicate, number: int) -> bool:
    if isinstance(predicate, Window):
        return predicate.lo <= number <= predicate.hi
    return number in predicate.among


def _together(one: Account, other: Account, comparisons: Sequence[Fits]) -> bool:
    """Say whether there is a set of `total` records that holds the rows of both.

    If the rows are too many to be all different records, at least so many pairs of
    them must be the same one.
    """

    def fits(a: int, b: int) -> bool:
        return all(compare(a, b) for compare in comparisons)

    least = len(one.rows) + len(other.rows) - one.total
    return most_pairs(len(one.rows), len(other.rows), fits) >= least


def most_pairs(left: int, right: int, fits: Fits) -> int:
    """Return how many pairs can be made, each member used once: a maximum matching.

    By augmenting paths: each member on the left looks for a free one on the right,
    or for one whose partner can be moved to another.
    """
    mine: dict[int, int] = {}
    theirs: dict[int, int] = {}
    for start in range(left):
        came: dict[int, int] = {}
        free = _search(start, right, fits, theirs, came)
        while free is not None:
            a = came[free]
            theirs[free], before = a, mine.get(a)
            mine[a], free = free, before
    return len(theirs)


def _search(
    start: int, right: int, fits: Fits, theirs: dict[int, int], came: dict[int, int]
) -> int | None:
    """Find a free member on the right that a chain of moves leads to."""
    queue = [start]
    for a in queue:
        for b in range(right):
            if b not in came and fits(a, b):
                came[b] = a
                if b not in theirs:
                    return b
                queue.append(theirs[b])
    return None
