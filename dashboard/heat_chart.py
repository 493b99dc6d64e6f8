"""The geometry of a heat map: cells of a table as SVG paths, one path for each step.

A table of thousands of cells would be thousands of elements; drawn by step it is ten
at most, and a page with several tables stays small. What a cell holds is in the table
twin beside the drawing, where a script finds it by row and column.
"""

import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dashboard.charts import HEAT_STEPS

NOTHING: Final = 0
"""The step of a cell that holds zero."""
HIDDEN: Final = "hidden"
"""The name of the path that holds suppressed cells."""
_LETTER: Final = 7.0
_TALL_LETTER: Final = 8.4
_WIDE_LETTER: Final = 12.2
"""Widths of letters at 12 units: small ones, digits and capitals, East Asian ones."""
_LABEL: Final = 140
_LABEL_GAP: Final = 8
_COLUMN_LABEL: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the scale: figures from `first` to `last`, both included."""

    number: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One table of cells, drawn.

    Attributes:
        left: Width of the row labels.
        cell: Width and height of a cell with its gap.
        paths: By step (`"0"` to `"7"`), and of what is suppressed.
        rows: Baseline of each row's label, and the label as it fits.
        columns: Where some columns have their labels: x, text.
        numbers: Figures that fit into their cells: x, y, text, step.
    """

    width: float
    height: float
    left: float
    cell: tuple[float, float]
    paths: Mapping[str, str]
    rows: tuple[tuple[float, str], ...]
    columns: tuple[tuple[float, str], ...]
    numbers: tuple[tuple[float, float, str, int], ...]


def scale_of(figures: Sequence[int | None]) -> tuple[Step, ...]:
    """Divide figures into steps that hold about as many figures each.

    Zero is in none of them, unless there is less than zero. Few figures make few steps;
    those lie apart on the ramp, so that they are seen.
    """
    known = [each for each in figures if each is not None]
    below = min(known, default=0) < 0
    found = sorted(each for each in known if each > 0 or below)
    if not found:
        return ()
    last = len(found) - 1
    ends = sorted(
        {found[last * part // HEAT_STEPS] for part in range(1, HEAT_STEPS + 1)}
    )
    firsts = [found[0], *(end + 1 for end in ends[:-1])]
    return tuple(
        Step(number=_spread_out(place, len(ends)), first=first, last=end)
        for place, (first, end) in enumerate(zip(firsts, ends, strict=True))
    )


def step_of(figure: int, scale: Sequence[Step]) -> int:
    """Return the step of a figure; `NOTHING` for zero where no step has it."""
    if not scale or figure < scale[0].first:
        return NOTHING
    place = bisect_left([each.last for each in scale], figure)
    return scale[min(place, len(scale) - 1)].number


def draw(
    cells: Sequence[Sequence[int | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[Sequence[str | None]],
    *,
    scale: Sequence[Step],
    width: float,
    height: float,
) -> Drawing:
    """Lay out a table of cells.

    Args:
        cells: By row and column; None is suppressed.
        rows: Labels.
        columns: Labels, of which as many are shown as fit.
        texts: The figures as written; shown where the cells are wide enough.
        width: Of all columns together, at most.
        height: Of one row.
    """
    left = min(_LABEL, max(map(width_of, rows), default=0)) + _LABEL_GAP
    wide = max(4.0, min(64.0, width / max(1, len(columns))))
    gap = 2 if wide > 20 else 1
    paths: defaultdict[str, list[str]] = defaultdict(list)
    numbers = []
    longest = max(
        (width_of(text) for line in texts for text in line if text), default=0
    )
    for at, line in enumerate(cells):
        for place, figure in enumerate(line):
            x, y = left + wide * place, height * at
            step = HIDDEN if figure is None else str(step_of(figure, scale))
            paths[step].append(_box(x, y, wide - gap, height - gap))
            text = texts[at][place]
            if text is not None and longest + 4 < wide:
                middle = x + (wide - gap) / 2
                numbers.append((middle, y + height / 2 + 4, text, int(step)))
    return Drawing(
        width=left + wide * len(columns),
        height=height * len(cells) + (_COLUMN_LABEL if any(columns) else 0),
        left=left,
        cell=(wide, height),
        paths={step: "".join(boxes) for step, boxes in sorted(paths.items())},
        rows=tuple(
            (height * at + height / 2 + 4, shortened(row, _LABEL))
            for at, row in enumerate(rows)
        ),
        columns=_named(columns, left, wide, gap),
        numbers=tuple(numbers),
    )


def width_of(text: str) -> float:
    """Return about how wide a text is at 12 units."""
    return sum(map(_width, text))


def shortened(text: str, width: float) -> str:
    """Return as much of a text as fits, with an ellipsis where some does not."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - _WIDE_LETTER:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _named(
    columns: Sequence[str], left: float, wide: float, gap: float
) -> tuple[tuple[float, str], ...]:
    """Return every first, second, … column's label, whichever do not touch."""
    room = max(map(width_of, columns), default=0) + 10
    every = max(1, -int(-room // wide))
    middle = (wide - gap) / 2
    end = left + wide * len(columns)
    shown = [
        (left + wide * place + middle, label)
        for place, label in enumerate(columns)
        if place % every == 0
    ]
    return tuple((x, label) for x, label in shown if x + width_of(label) / 2 <= end + 6)


def _spread_out(place: int, steps: int) -> int:
    """Return where on the ramp the step at a place of so many is."""
    if steps == 1:
        return HEAT_STEPS - 2
    return 1 + round(place * (HEAT_STEPS - 1) / (steps - 1))


def _width(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return _WIDE_LETTER
    return _TALL_LETTER if letter.isdigit() or letter.isupper() else _LETTER


def _box(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.4g} {y:.4g}h{width:.4g}v{height:.4g}h{-width:.4g}z"
