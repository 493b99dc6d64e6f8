"""Whether two accounts fit together, held to trying everything."""

from itertools import combinations, permutations

from hypothesis import given
from hypothesis import strategies as st

from crypto.typed import Field, Kind
from ledger.accounts import Account, most_pairs, unfit
from ledger.contradiction import _compare, _Told

SCHEMA = tuple(Field(name=name, kind=Kind.INTEGER) for name in ("x", "y"))
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=3)

ROLES = st.sampled_from(["ours", "theirs", "both", "nobody"])


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=4))
def test_a_maximum_matching_is_the_best_of_all_assignments(
    fits: list[list[bool]],
) -> None:
    best = max(
        sum(fits[a][b] for a, b in enumerate(order[: len(fits)]))
        for order in permutations(range(4))
    )
    assert most_pairs(len(fits), 4, lambda a, b: fits[a][b]) == best


def account(rows: list[tuple[int, int]], total: int) -> Account:
    """What was shown of a customer with so many records."""
    return Account(
        schema=SCHEMA,
        total=total,
        rows=tuple({"x": x, "y": y} for x, y in rows),
        names=frozenset({"x", "y"}),
        where=(),
    )


@given(ROWS, ROWS, st.integers(0, 2))
def test_accounts_fit_exactly_if_some_set_of_records_holds_both(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]], more: int
) -> None:
    total = max(len(ours), len(theirs)) + more
    spare = len(ours) + len(theirs) - total
    # A set of `total` records holds both exactly if so many of theirs are ours.
    common = [
        left
        for left in combinations(range(len(theirs)), max(0, spare))
        if all(
            [theirs[at] for at in left].count(row) <= ours.count(row)
            for row in {theirs[at] for at in left}
        )
    ]
    assert (not unfit(account(ours, total), account(theirs, total))) == bool(common)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), ROLES), max_size=5))
def test_what_was_taken_from_one_set_of_records_always_fits(
    rows: list[tuple[int, int, str]],
) -> None:
    one, other = (
        account([(x, y) for x, y, seen in rows if seen in who], len(rows))
        for who in (("ours", "both"), ("theirs", "both"))
    )
    assert unfit(one, other) == set()


CHANGES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1), st.booleans()),
    min_size=1,
    max_size=8,
)
"""Each makes a version: a record is put, with its values, or taken away."""
States = dict[int, dict[int, tuple[int, tuple[int, int]]]]


def history(changes: list[tuple[int, int, int, bool]]) -> States:
    """Of each version, the records: since when they are so, and their values."""
    states: States = {0: {}}
    for version, (key, x, y, there) in enumerate(changes, 1):
        records = dict(states[version - 1])
        records.pop(key, None)
        if there:
            records[key] = (version, (x, y))
        states[version] = records
    return states


def told(states: States, version: int, hidden: set[int]) -> _Told:
    """What a partner is told in a version; of some records nothing but that."""
    records = states[version]
    return _Told(
        version=version,
        by_version={
            since: account(
                [
                    values
                    for key, (at, values) in records.items()
                    if at == since and key not in hidden
                ],
                sum(at == since for at, _ in records.values()),
            )
            for since in {since for since, _ in records.values()}
        },
    )


HIDDEN = st.sets(st.integers(0, 3))


@given(CHANGES, st.data(), HIDDEN, HIDDEN)
def test_what_was_true_when_it_was_told_never_contradicts_itself(
    changes: list[tuple[int, int, int, bool]],
    data: st.DataObject,
    ours: set[int],
    theirs: set[int],
) -> None:
    states = history(changes)
    one, other = (data.draw(st.sampled_from(sorted(states))) for _ in range(2))
    pair = told(states, one, ours), told(states, other, theirs)
    assert _compare("who", *pair) is None


@given(CHANGES, st.data())
def test_a_record_that_did_not_change_cannot_be_told_otherwise(
    changes: list[tuple[int, int, int, bool]], data: st.DataObject
) -> None:
    states = history(changes)
    one, other = sorted(data.draw(st.sampled_from(sorted(states))) for _ in range(2))
    honest, lie = told(states, one, set()), told(states, other, set())
    same = sorted(honest.by_version.keys() & lie.by_version.keys())
    if not same:
        return
    since = data.draw(st.sampled_from(same))
    (x, y), *rest = [values for at, values in states[other].values() if at == since]
    other_rows = account([(x + 7, y), *rest], len(rest) + 1)
    changed = {**lie.by_version, since: other_rows}
    for pair in (
        (honest, _Told(version=other, by_version=changed)),
        (_Told(version=other, by_version=changed), honest),
    ):
        found = _compare("who", *pair)
        assert found is not None
        assert "x" in found.fields
