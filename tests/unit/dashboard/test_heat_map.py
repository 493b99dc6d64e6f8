"""How a table of aggregates becomes pictures: axes, parts, steps of colour, paths."""

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dashboard.aggregates import Result
from dashboard.heat_chart import (
    HIDDEN,
    NOTHING,
    draw,
    scale_of,
    shortened,
    step_of,
    width_of,
)
from dashboard.pages.heat_map import MOST_CELLS, MOST_ROWS, HeatMap, heat_map, label
from tests.unit.dashboard.test_figures import ENGLISH

WEEKS = ["2026-09-07", "2026-09-14", "2026-09-21"]
FIGURES = st.lists(st.none() | st.integers(0, 10**6), max_size=200)


def group(field: str, *values: str, grain: str = "value") -> dict[str, Any]:
    return {"field": field, "grain": grain, "values": list(values)}


REGION = group("region", "north", "south")
CODE = group("code", "a", "b", "c", "d")
WEEK = group("week", *WEEKS, grain="week")


def result(*groups: dict[str, Any], **changes: Any) -> Result:
    """Cells that name their own place: the first is 1."""
    size = 1
    for each in groups:
        size *= len(each["values"])
    told = {"groups": groups, "cells": list(range(1, size + 1)), "spread": 3}
    return Result.model_validate(told | changes)


def drawn(found: Result, **query: str) -> HeatMap:
    return heat_map(found, ENGLISH, query)


# --- which group is what


def test_weeks_run_across_codes_down_and_each_region_is_a_part() -> None:
    seen = drawn(result(REGION, CODE, WEEK), order="plan")
    assert (seen.column.field, seen.row and seen.row.field) == ("week", "code")
    assert [part.name for part in seen.parts] == ["north", "south"]
    assert seen.parts[0].rows[0].cells == ("1", "2", "3")
    assert seen.parts[0].rows[1].cells == ("4", "5", "6")
    assert seen.parts[1].rows[0].cells == ("13", "14", "15")


def test_cells_that_were_weighted_have_each_its_spread() -> None:
    every = [10 * number for number in range(24)]
    seen = drawn(result(REGION, CODE, WEEK, spreads=every), order="plan", part="1")
    assert seen.parts[0].rows[0].cells == ("13", "14", "15")
    assert seen.parts[0].rows[0].spreads == ("120", "130", "140")
    same = drawn(result(REGION, CODE, WEEK))
    assert not any(row.spreads for part in same.parts for row in part.rows)


def test_spreads_are_as_many_as_cells() -> None:
    with pytest.raises(ValueError, match="as many spreads"):
        result(REGION, spreads=[1])


@pytest.mark.parametrize("groups", list(itertools.permutations([REGION, CODE, WEEK])))
def test_the_order_of_the_groups_does_not_change_the_picture(
    groups: tuple[dict[str, Any], ...],
) -> None:
    """Each cell holds the places of its labels: region, code, week."""
    places = {it["field"]: range(len(it["values"])) for it in (REGION, CODE, WEEK)}
    cells = []
    for combination in itertools.product(*(places[it["field"]] for it in groups)):
        at = dict(zip((it["field"] for it in groups), combination, strict=True))
        cells.append(100 * at["region"] + 10 * at["code"] + at["week"])
    seen = drawn(result(*groups, cells=cells), order="plan", part="1")
    assert [row.label for row in seen.parts[0].rows] == ["a", "b", "c", "d"]
    assert [row.cells[2] for row in seen.parts[0].rows] == ["102", "112", "122", "132"]


def test_without_periods_the_shorter_group_runs_across() -> None:
    seen = drawn(result(CODE, REGION))
    assert (seen.column.field, seen.row and seen.row.field) == ("region", "code")


def test_a_single_group_of_values_runs_down_beside_one_column() -> None:
    seen = drawn(result(CODE))
    assert seen.row is not None
    assert (seen.row.field, seen.columns) == ("code", ("",))
    assert [row.cells for row in seen.parts[0].rows] == [("4",), ("3",), ("2",), ("1",)]


def test_a_single_group_of_periods_is_one_row() -> None:
    seen = drawn(result(WEEK))
    assert seen.row is None
    assert [row.cells for row in seen.parts[0].rows] == [("1", "2", "3")]


def test_two_further_groups_make_a_part_for_each_pair() -> None:
    kind = group("kind", "x", "y")
    seen = drawn(result(REGION, kind, CODE, WEEK))
    assert seen.names == ("north, x", "north, y", "south, x", "south, y")


@pytest.mark.parametrize(
    ("grain", "value", "said"),
    [
        ("value", "a", "a"),
        ("day", "2026-09-07", "2026-09-07"),
        ("week", "2026-09-07", "2026-09-07"),
        ("month", "2026-09-01", "2026-09"),
        ("quarter", "2026-10-01", "2026 Q4"),
        ("year", "2026-01-01", "2026"),
    ],
)
def test_periods_are_called_what_one_calls_them(
    grain: str, value: str, said: str
) -> None:
    found = result(group("g", value, grain=grain)).groups[0]
    assert label(found, value) == said


def test_weeks_of_two_years_are_labelled_with_their_years() -> None:
    def labels(*weeks: str) -> list[str]:
        seen = drawn(result(group("week", *weeks, grain="week")))
        return [text for _, text in seen.parts[0].drawing.columns]

    assert labels("2026-12-14", "2026-12-21")[0] == "12-14"
    assert labels("2026-12-28", "2027-01-04")[0] == "2026-12-28"


# --- what is shown, and what is left out


def test_rows_are_largest_first_in_all_parts_alike() -> None:
    cells = [1, 9, 2, 0, 1, 3, 2, 0]  # by region and code
    seen = drawn(
        result(REGION, CODE, group("week", WEEKS[0], grain="week"), cells=cells)
    )
    for part in seen.parts:
        assert [row.label for row in part.rows] == ["b", "c", "a", "d"]


def test_suppressed_cells_are_no_zeros_and_not_in_the_sum() -> None:
    seen = drawn(result(WEEK, CODE, cells=[None] * 3 + [5, None, 0, *range(6)]))
    by_name = {row.label: row for row in seen.parts[0].rows}
    assert by_name["a"].cells == (None, None, "2")
    assert by_name["a"].total == "2"
    assert seen.suppressed == 4


def test_a_row_of_which_nothing_is_told_has_no_sum() -> None:
    seen = drawn(result(CODE, WEEK, cells=[None] * 12))
    assert {row.total for row in seen.parts[0].rows} == {None}
    assert seen.scale == ()


def test_a_reader_chooses_one_part_by_its_number() -> None:
    seen = drawn(result(REGION, CODE, WEEK), part="1")
    assert (seen.chosen, [part.name for part in seen.parts]) == (1, ["south"])
    for nonsense in ("2", "-1", "", "x", "1" * 400, "²"):
        assert drawn(result(REGION, CODE, WEEK), part=nonsense).chosen is None


def test_no_more_is_drawn_than_a_page_can_hold_and_the_rest_is_counted() -> None:
    codes = group("code", *(f"c{number}" for number in range(300)))
    regions = group("region", *(f"r{number}" for number in range(20)))
    seen = drawn(result(regions, codes, WEEK))
    shown = sum(len(row.cells) for part in seen.parts for row in part.rows)
    assert shown <= MOST_CELLS
    assert seen.hidden_rows == 300 - MOST_ROWS
    assert len(seen.parts) + seen.hidden_parts == 20
    alone = drawn(result(regions, codes, WEEK), part="19")
    assert (alone.hidden_rows, alone.hidden_parts) == (0, 0)


def test_amounts_are_written_with_their_point() -> None:
    seen = drawn(result(WEEK, cells=[125_000, 5, None], scale=2))
    assert seen.parts[0].rows[0].cells == ("1,250.00", "0.05", None)


def test_cells_that_do_not_fill_the_groups_are_nonsense() -> None:
    with pytest.raises(ValidationError, match="as many cells"):
        result(CODE, cells=[1, 2])


# --- colours


@given(FIGURES)
def test_every_figure_has_a_step_and_steps_grow_with_it(
    figures: list[int | None],
) -> None:
    scale = scale_of(figures)
    numbers = [step.number for step in scale]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= 7
    known = sorted(each for each in figures if each is not None)
    steps = [step_of(each, scale) for each in known]
    assert steps == sorted(steps)
    assert [step == NOTHING for step in steps] == [each == 0 for each in known]


@given(FIGURES)
def test_the_legend_says_of_each_step_what_is_in_it(figures: list[int | None]) -> None:
    scale = scale_of(figures)
    for each in figures:
        if each:
            (step,) = (it for it in scale if it.first <= each <= it.last)
            assert step.number == step_of(each, scale)


def test_figures_below_zero_have_colours_too() -> None:
    scale = scale_of([-5, 0, 5, None])
    assert [step_of(each, scale) for each in (-5, 0, 5)] == [1, 4, 7]


def test_one_figure_alone_is_seen() -> None:
    (step,) = scale_of([12, None, 0])
    assert (step.first, step.last) == (12, 12)
    assert step.number > 4


# --- the drawing


def boxes(path: str) -> int:
    return len(re.findall("M", path))


def test_cells_of_one_step_are_one_path_and_suppressed_ones_have_their_own() -> None:
    cells = [[1, 1, None], [9, 0, None]]
    found = draw(
        cells,
        ["a", "b"],
        WEEKS,
        [["1", "1", None], ["9", "0", None]],
        scale=scale_of([1, 1, 9, 0]),
        width=300,
        height=20,
    )
    assert {step: boxes(path) for step, path in found.paths.items()} == {
        HIDDEN: 2,
        str(NOTHING): 1,
        "1": 2,
        "7": 1,
    }
    assert [text for _, _, text, _ in found.numbers] == ["1", "1", "9", "0"]


def test_numbers_are_left_out_where_they_would_not_fit() -> None:
    found = draw(
        [[123_456] * 60],
        [""],
        [""] * 60,
        [["123,456"] * 60],
        scale=scale_of([123_456]),
        width=300,
        height=18,
    )
    assert found.numbers == ()


@given(st.text(max_size=60), st.floats(20, 200))
def test_a_label_is_no_wider_than_its_room(text: str, room: float) -> None:
    assert width_of(shortened(text, room)) <= max(room, width_of("…"))


def test_labels_of_columns_do_not_touch() -> None:
    labels = [f"{month:02}-{day:02}" for month in range(1, 11) for day in range(1, 6)]
    found = draw([[1] * 50], [""], labels, [["1"] * 50], scale=(), width=320, height=18)
    places = [x for x, _ in found.columns]
    gaps = [after - before for before, after in itertools.pairwise(places)]
    assert min(gaps) > width_of("01-01")
