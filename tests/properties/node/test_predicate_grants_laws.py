"""Laws of what an agreement lets be proved: grants, grids, and how both are said."""

import datetime
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto import typed
from crypto.errors import Malformed
from crypto.predicates import Window
from ledger.conditions import Condition
from node.domain.dataset import FieldType
from node.domain.predicates import (
    FITTING,
    PERIODS,
    PredicateGrant,
    condition_key,
    on_grid,
)
from node.domain.values import LARGEST, to_wire
from node.domain.where import in_words, parse_where
from node.errors import BadRequest

MEASURED = (FieldType.MONEY, FieldType.INTEGER)
UNITS = st.none() | st.from_regex(r"[A-Z]{3}|[台箱%:]|kWh", fullmatch=True)
MINOR = st.integers(-LARGEST, LARGEST)
DAYS = st.dates().map(datetime.date.isoformat)


@st.composite
def grants(
    draw: st.DrawFn, name: str = "a", types: tuple[FieldType, ...] = tuple(FieldType)
) -> PredicateGrant:
    kind = draw(st.sampled_from(types))
    operators = draw(st.sets(st.sampled_from(sorted(FITTING[kind])), min_size=1))
    scale = draw(st.integers(0, 6)) if kind is FieldType.MONEY else 0
    step = None
    if kind is FieldType.DATE and "one_of" not in operators:
        step = draw(st.none() | st.sampled_from(PERIODS))
    elif kind in MEASURED and "one_of" not in operators and draw(st.booleans()):
        step = wire(kind, scale, draw(st.integers(1, LARGEST)))
    return PredicateGrant(
        field=name,
        type=kind,
        unit=draw(UNITS) if kind in MEASURED else None,
        scale=scale,
        operators=tuple(sorted(operators)),
        step=step,
        probes=draw(st.integers(1, 10_000)),
    )


def wire(kind: FieldType, scale: int, minor: int) -> str:
    sign, digits = "-" * (minor < 0), f"{abs(minor):0{scale + 1}d}"
    point = len(digits) - scale
    whole, part = digits[:point], digits[point:]
    return f"{sign}{whole}.{part}" if scale else f"{sign}{whole}"


@st.composite
def values(draw: st.DrawFn, grant: PredicateGrant) -> Any:
    match grant.type:
        case FieldType.DATE:
            return draw(DAYS)
        case FieldType.BOOLEAN:
            return draw(st.booleans())
        case FieldType.TEXT:
            raw = draw(st.text(min_size=1, max_size=12).filter(str.strip))
            assume("\x00" not in raw)
            return to_wire(grant, raw)
        case FieldType.INTEGER:
            return draw(MINOR)
        case FieldType.MONEY:
            return wire(grant.type, grant.scale, draw(MINOR))


@st.composite
def conditions(draw: st.DrawFn, grant: PredicateGrant, other: str = "b") -> Condition:
    """Draw what can be asked of two fields of one type, named a and `other`."""
    operator = draw(st.sampled_from(sorted(FITTING[grant.type])))
    if operator in {"equal", "no_more_than"}:
        fields = draw(st.permutations([grant.field, other]))
        return Condition.of(operator, fields)
    count = {"between": (2, 2), "one_of": (2, 6)}.get(operator, (1, 1))
    listed = draw(
        st.lists(values(grant), min_size=count[0], max_size=count[1], unique_by=repr)
    )
    if operator == "between":
        listed.sort(key=lambda value: float(value) if grant.scale else value)
    names = [grant.field, other] if operator == "sum_at_least" else [grant.field]
    try:
        return Condition.of(operator, names, listed)
    except Malformed:
        assume(False)
        raise


def pair(grant: PredicateGrant) -> list[PredicateGrant]:
    twin = PredicateGrant(
        field="b",
        type=grant.type,
        unit=grant.unit,
        scale=grant.scale,
        operators=("equal",),
        probes=1,
    )
    return [grant, twin]


def askable(condition: Condition, both: list[PredicateGrant]) -> bool:
    try:
        condition.predicate(tuple(each.typed for each in both))
    except Malformed:
        return False
    return True


@given(grant=grants())
def test_a_grant_written_then_read_is_the_same(grant: PredicateGrant) -> None:
    assert PredicateGrant.from_text(grant.to_text()) == grant
    assert PredicateGrant.from_json(grant.to_json()) == grant


@given(text=st.text(max_size=60) | st.from_regex(r"a:money:2:at_least:.*:8:.*"))
def test_any_text_is_a_grant_or_is_refused(text: str) -> None:
    try:
        grant = PredicateGrant.from_text(text)
    except (BadRequest, ValueError):
        return
    assert PredicateGrant.from_text(grant.to_text()) == grant


@given(data=st.data(), grant=grants())
def test_a_condition_shown_then_written_is_the_same(
    data: st.DataObject, grant: PredicateGrant
) -> None:
    both = pair(grant)
    condition = data.draw(conditions(grant))
    assume(askable(condition, both))
    read = parse_where(in_words(condition, both), both)
    assert read == condition
    assert condition_key(read) == condition_key(condition)


@given(text=st.text(max_size=40), grant=grants())
def test_any_text_is_a_condition_or_is_refused(
    text: str, grant: PredicateGrant
) -> None:
    for written in (text, f"a {text}", f"a >= {text}", f"a in [{text}]"):
        try:
            condition = parse_where(written, [grant])
        except BadRequest:
            continue
        assert askable(condition, [grant])


@given(grant=grants(types=MEASURED), minor=st.integers(2 - LARGEST, LARGEST - 2))
def test_less_is_at_most_one_unit_of_the_last_decimal_less(
    grant: PredicateGrant, minor: int
) -> None:
    bound = wire(grant.type, grant.scale, minor)
    below, above = (wire(grant.type, grant.scale, minor + by) for by in (-1, 1))
    assert parse_where(f"a < {bound}", [grant]) == parse_where(f"a <= {below}", [grant])
    assert parse_where(f"a > {bound}", [grant]) == parse_where(f"a >= {above}", [grant])


@given(day=st.dates(datetime.date(2, 1, 1), datetime.date(9998, 1, 1)))
def test_a_day_is_left_out_or_not(day: datetime.date) -> None:
    grant = PredicateGrant(
        field="a", type=FieldType.DATE, operators=("before",), probes=1
    )
    eve, morrow = (day + datetime.timedelta(days=by) for by in (-1, 1))
    same = {
        f"a < {day}": f"a before {day}",
        f"a <= {day}": f"a before {morrow}",
        f"a > {day}": f"a after {day}",
        f"a >= {day}": f"a after {eve}",
    }
    for one, other in same.items():
        assert parse_where(one, [grant]) == parse_where(other, [grant])


# --- the grid ---------------------------------------------------------------


def wide(window: Window, grant: PredicateGrant) -> bool:
    """Tell whether a window holds a whole cell, or reaches an end of the numbers."""
    least, most = grant.typed.ends
    marks = [n for n in (window.lo, window.hi + 1) if least < n <= most]
    return all(grant.begins(mark - typed.OFFSET) for mark in marks)


@given(data=st.data(), grant=grants(types=(*MEASURED, FieldType.DATE)))
def test_an_answer_on_the_grid_tells_no_two_values_of_one_cell_apart(
    data: st.DataObject, grant: PredicateGrant
) -> None:
    both = pair(grant)
    condition = data.draw(conditions(grant))
    schema = tuple(each.typed for each in both)
    assume(len(condition.fields) == 1 and on_grid(condition, both, schema))
    predicate = condition.predicate(schema)
    if isinstance(predicate, Window):
        assert wide(predicate, grant)
    else:
        assert grant.step is None


@given(data=st.data(), drawn=grants(types=MEASURED), size=st.integers(2, LARGEST - 2))
def test_bounds_at_marks_lie_on_the_grid_and_their_neighbours_do_not(
    data: st.DataObject, drawn: PredicateGrant, size: int
) -> None:
    step = wire(drawn.type, drawn.scale, size)
    grant = replace(drawn, operators=("at_least", "at_most"), step=step)
    # On both sides of a bound there is to be room for a cell.
    far = min(50, (LARGEST - 2) // size - 1)
    count = data.draw(st.integers(-far, far))
    by = data.draw(st.sampled_from([-1, 0, 1]))
    bound = to_wire(grant, wire(grant.type, grant.scale, count * size + by))
    schema = (grant.typed,)
    least = Condition.of("at_least", ["a"], [bound])
    most = Condition.of("at_most", ["a"], [bound])
    assert on_grid(least, [grant], schema) is (by == 0)
    marked = by == -1 or (by == 1 and size == 2)
    assert on_grid(most, [grant], schema) is marked


@given(day=st.dates(datetime.date(2, 1, 1), datetime.date(9998, 12, 31)))
@pytest.mark.parametrize("step", PERIODS)
def test_days_lie_on_the_grid_where_the_calendar_says(
    step: str, day: datetime.date
) -> None:
    grant = PredicateGrant(
        field="a", type=FieldType.DATE, operators=("before",), step=step, probes=1
    )
    first = {
        "day": day,
        "month": day.replace(day=1),
        "quarter": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "year": day.replace(month=1, day=1),
    }[step]
    for each in (day, first):
        condition = Condition.of("before", ["a"], [each.isoformat()])
        assert on_grid(condition, [grant], (grant.typed,)) is (each == first)


@given(data=st.data(), grant=grants())
def test_a_question_counts_once_however_it_is_put(
    data: st.DataObject, grant: PredicateGrant
) -> None:
    one, other = data.draw(conditions(grant)), data.draw(conditions(grant))
    assert (condition_key(one) == condition_key(other)) is (one == other)
