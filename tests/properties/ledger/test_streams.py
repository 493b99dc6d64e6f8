"""Laws of comparing two copies of a stream, for whatever happened to them."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ledger.streams import EMPTY, Place
from tests.support.streams import first_difference


@st.composite
def copies(draw: st.DrawFn) -> tuple[list[str], list[str], int | None]:
    """Two copies of a stream: cut, forked at a number or not; and that number."""
    size = draw(st.integers(0, 300))
    ours = [f"{number + 1:064x}" for number in range(size)]
    fork = draw(st.none() | st.integers(0, max(size - 1, 0)))
    changed = len(ours) if fork is None else fork
    theirs = ours[:changed] + [
        f"{number + 1:063x}f" for number in range(changed, draw(st.integers(0, 320)))
    ]
    theirs = theirs[: draw(st.integers(0, max(len(theirs), 1)))]
    first = next(
        (at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        None,
    )
    return ours, theirs, first


def _place(ids: list[str]) -> Place:
    return Place(len(ids), ids[-1]) if ids else EMPTY


@given(copies())
def test_the_first_difference_is_found_in_logarithmically_many_questions(
    given_: tuple[list[str], list[str], int | None],
) -> None:
    ours, theirs, first = given_
    asked: list[int] = []

    def tell(number: int) -> str:
        asked.append(number)
        return theirs[number]

    found = first_difference(
        _place(ours), _place(theirs), range(len(ours)), ours.__getitem__, tell
    )
    assert found == first
    shared = min(len(ours), len(theirs))
    assert len(asked) <= 1 + math.ceil(math.log2(max(shared, 1)))
    assert len(set(asked)) == len(asked)


@given(copies(), st.data())
def test_with_lost_answers_a_difference_between_what_is_held_is_found(
    given_: tuple[list[str], list[str], int | None], data: st.DataObject
) -> None:
    ours, theirs, _ = given_
    lost = data.draw(st.sets(st.integers(0, max(len(ours) - 2, 0))))
    known = [number for number in range(len(ours)) if number not in lost]
    found = first_difference(
        _place(ours), _place(theirs), known, ours.__getitem__, theirs.__getitem__
    )
    differing = [
        number
        for number in known
        if number < len(theirs) and ours[number] != theirs[number]
    ]
    assert found == (differing[0] if differing else None)


@given(copies(), st.data())
def test_a_liar_is_still_caught_where_its_answers_change(
    given_: tuple[list[str], list[str], int | None], data: st.DataObject
) -> None:
    ours, theirs, _ = given_
    told: dict[int, str | None] = {}

    def lie(number: int) -> str | None:
        honest = ours[number]
        assert number < len(theirs) - 1, "the newest is told by the head"
        told[number] = data.draw(st.sampled_from([honest, theirs[number], None]))
        return told[number]

    found = first_difference(
        _place(ours), _place(theirs), range(len(ours)), ours.__getitem__, lie
    )
    if found is not None:
        told.setdefault(len(theirs) - 1, theirs[-1])
        assert told[found] not in {None, ours[found]}
        assert told.get(found - 1) in {None, *ours[found - 1 : found]}
