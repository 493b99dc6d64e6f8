"""Whether two accounts fit together, held to trying everything."""

from itertools import combinations, permutations

from hypothesis import given
from hypothesis import strategies as st

from crypto.typed import Field, Kind
from ledger.accounts import Account, most_pairs, unfit

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
