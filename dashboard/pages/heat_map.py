"""A table of aggregates as a picture: rows by columns, once for each further group.

Weeks (or another period) run from left to right, the group with most values from top
to bottom, and whatever groups are left make one part each: small multiples under one
scale, or one part alone where a reader chooses it. Every part has its table twin with
the same rows and columns; a script that tells of a cell reads it there.

What is drawn has a limit, and what is left out is said: parts beyond it are behind
the selector, rows beyond it are those with least. The file has everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Final, Literal, TypeAlias

from dashboard.aggregates import Result, ResultGroup
from dashboard.figures import written
from dashboard.heat_chart import Drawing, Step, draw, scale_of
from dashboard.i18n import Speech

MOST_CELLS: Final = 6000
MOST_ROWS: Final = 40
"""Of one part, unless it is alone."""
_ALONE: Final = (860.0, 24.0)
_TOGETHER: Final = (320.0, 18.0)
"""Width of all columns of a part and height of a row, in user units."""

_ONE: Final = ResultGroup(field="", grain="value", values=("",))
"""Stands for the group of the columns where there is only one group."""

Order: TypeAlias = Literal["most", "plan"]
Write: TypeAlias = Callable[[int], str]
Table: TypeAlias = Sequence[Sequence[int | None]]
"""Cells by row and column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a part, for the table twin.

    Attributes:
        cells: Written; None where suppressed.
        spreads: Written, of each cell; empty where all cells have the same.
        total: Written, of the cells that are shown; None where none is.
    """

    label: str
    cells: tuple[str | None, ...]
    spreads: tuple[str, ...]
    total: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One picture: the cells of one combination of the further groups.

    Attributes:
        number: Its place among all parts, by which a reader chooses it.
        name: The values of the further groups, empty where there are none.
    """

    number: int
    name: str
    rows: tuple[Row, ...]
    drawing: Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Everything that the page draws.

    Attributes:
        row: The group of the rows; None where there is one row.
        column: The group of the columns.
        further: The groups that make the parts.
        columns: Labels of the columns.
        parts: Those that are shown.
        names: Of every part, shown or not.
        chosen: The part that is shown alone, or None.
        scale: The steps of the colours, the same in all parts.
        hidden_parts: How many parts are behind the selector.
        hidden_rows: How many rows are left out of each part.
        suppressed: How many of all cells are.
    """

    row: ResultGroup | None
    column: ResultGroup
    further: tuple[ResultGroup, ...]
    columns: tuple[str, ...]
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    chosen: int | None
    order: Order
    scale: tuple[Step, ...]
    hidden_parts: int
    hidden_rows: int
    suppressed: int
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Which group is what, and the cells of each part."""

    row: ResultGroup | None
    column: ResultGroup
    further: tuple[ResultGroup, ...]
    names: tuple[str, ...]
    tables: tuple[Table, ...]
    spreads: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What all drawings of a page have in common."""

    scale: Sequence[Step]
    width: float
    height: float


def heat_map(result: Result, speech: Speech, query: Mapping[str, str]) -> HeatMap:
    """Lay out a result that has groups.

    Args:
        result: With at least one group.
        speech: The reader's.
        query: `part` chooses one part by its number, `order=plan` leaves the rows in
            the order of the plan.
    """
    shape = _shape(result, speech)
    chosen = _chosen(query.get("part", ""), len(shape.tables))
    order: Order = "plan" if query.get("order") == "plan" else "most"
    alone = chosen is not None or len(shape.tables) == 1
    every = _places(shape.tables, order)
    fit = max(1, MOST_CELLS // len(shape.column.values))
    places = every[: fit if alone else min(fit, MOST_ROWS)]
    room = max(1, fit // len(places))
    shown = range(len(shape.tables))[:room] if chosen is None else (chosen,)
    scale = scale_of(result.cells)
    width, height = _ALONE if alone else _TOGETHER
    look = _Look(scale=scale, width=width, height=height)
    write = partial(written, speech, scale=result.scale)
    return HeatMap(
        row=shape.row,
        column=shape.column,
        further=shape.further,
        columns=tuple(label(shape.column, each) for each in shape.column.values),
        parts=tuple(_part(shape, number, places, write, look) for number in shown),
        names=shape.names,
        chosen=chosen,
        order=order,
        scale=scale,
        hidden_parts=0 if chosen is not None else len(shape.tables) - len(shown),
        hidden_rows=len(every) - len(places),
        suppressed=sum(each is None for each in result.cells),
        cells=len(result.cells),
    )


def label(group: ResultGroup, value: str) -> str:
    """Return how a value of a group is named: periods by what one calls them."""
    if group.grain == "year":
        return value[:4]
    if group.grain == "quarter":
        return f"{value[:4]} Q{(int(value[5:7]) + 2) // 3}"
    return value[:7] if group.grain == "month" else value


def _shape(result: Result, speech: Speech) -> _Shape:
    row, column = _axes(result.groups)
    further = tuple(each for each in result.groups if each not in (row, column))
    combinations = list(product(*(range(len(each.values)) for each in further)))
    comma = str(speech.say("list.comma"))

    def tables(cells: Sequence[int | None]) -> tuple[Table, ...]:
        return tuple(
            _table(
                result.groups,
                cells,
                (row, column),
                dict(zip(further, combination, strict=True)),
            )
            for combination in combinations
            if cells
        )

    return _Shape(
        row=row,
        column=column,
        further=further,
        names=tuple(
            comma.join(
                label(group, group.values[place])
                for group, place in zip(further, combination, strict=True)
            )
            for combination in combinations
        ),
        tables=tables(result.cells),
        spreads=tables(result.spreads),
    )


def _axes(groups: Sequence[ResultGroup]) -> tuple[ResultGroup | None, ResultGroup]:
    """Return the group of the rows, if there is one, and that of the columns."""
    periods = [each for each in groups if each.grain != "value"]
    if periods:
        column = periods[-1]
    elif len(groups) > 1:
        column = min(groups, key=lambda each: len(each.values))
    else:
        column = _ONE
    rest = [each for each in groups if each is not column]
    return max(rest, key=lambda each: len(each.values), default=None), column


def _table(
    groups: Sequence[ResultGroup],
    cells: Sequence[int | None],
    axes: tuple[ResultGroup | None, ResultGroup],
    fixed: Mapping[ResultGroup, int],
) -> Table:
    (row, column), steps, step = axes, {_ONE: 0}, 1
    for group in reversed(groups):
        steps[group] = step
        step *= len(group.values)
    start = sum(steps[group] * place for group, place in fixed.items())
    down, across = steps[row] if row else 0, steps[column]
    height = len(row.values) if row else 1
    return [
        [
            cells[start + at * down + place * across]
            for place in range(len(column.values))
        ]
        for at in range(height)
    ]


def _places(tables: Sequence[Table], order: Order) -> list[int]:
    """Return the rows in the order in which every part has them."""
    height = len(tables[0])
    if order == "plan":
        return list(range(height))
    totals = [
        sum(figure or 0 for table in tables for figure in table[at])
        for at in range(height)
    ]
    return sorted(range(height), key=lambda at: (-totals[at], at))


def _chosen(wanted: str, parts: int) -> int | None:
    if parts == 1 or not wanted.isascii() or not wanted.isdigit():
        return None
    return int(wanted[:6]) if int(wanted[:6]) < parts else None


def _part(
    shape: _Shape, number: int, places: Sequence[int], write: Write, look: _Look
) -> Part:
    table = shape.tables[number]
    names = [label(shape.row, each) for each in shape.row.values] if shape.row else [""]
    spreads = shape.spreads[number] if shape.spreads else None
    rows = tuple(
        _row(names[at], table[at], spreads[at] if spreads else (), write)
        for at in places
    )
    drawing = draw(
        [table[at] for at in places],
        [row.label for row in rows],
        [_short(shape.column, each) for each in shape.column.values],
        [row.cells for row in rows],
        scale=look.scale,
        width=look.width,
        height=look.height,
    )
    return Part(number=number, name=shape.names[number], rows=rows, drawing=drawing)


def _row(
    name: str,
    cells: Sequence[int | None],
    spreads: Sequence[int | None],
    write: Write,
) -> Row:
    known = [figure for figure in cells if figure is not None]
    return Row(
        label=name,
        cells=tuple(None if figure is None else write(figure) for figure in cells),
        spreads=tuple(write(each or 0) for each in spreads),
        total=write(sum(known)) if known else None,
    )


def _short(group: ResultGroup, value: str) -> str:
    """Return a column's label where there is little room; years where there are two."""
    one_year = len({each[:4] for each in group.values}) == 1
    if group.grain in {"day", "week"} and one_year:
        return value[5:]
    return label(group, value)
