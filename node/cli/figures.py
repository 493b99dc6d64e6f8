"""Figures as a terminal shows them: a heat map, or a few lines.

Each cell has a shade beside its number, so that a map is one without colours, too.
Where nobody looks on, rows are written with tabs between cells, and no shades.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from node.cli.output import out

HIDDEN: Final = "···"
"""What stands in a suppressed cell."""
_SHADES: Final = (
    ("░", "grey58"),
    ("▒", "orange3"),
    ("▓", "dark_orange"),
    ("█", "red1"),
)
_PERIODS: Final = {"month": 7, "year": 4}
"""How much of its first day names a period."""


def show_result(result: Mapping[str, Any]) -> None:
    """Show what came of a plan."""
    if not result.get("groups") or not out.is_terminal:
        lines = written(result)
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return
    for table in tables(result, out.width):
        out.print(table)
    out.print(legend(result), style="dim", markup=False)


def tables(result: Mapping[str, Any], width: int) -> Iterator[Table]:
    """Give a heat map: the last group across, the one before down, the others apart.

    Args:
        width: Columns of the terminal; what does not fit goes into a table below.
    """
    shown = (amount(result, cell) for cell in result["cells"] if cell is not None)
    longest = max(map(len, shown), default=0)
    for part in _parts(result):
        column = max(longest + 2, *map(len, part.across))
        room = width - max(map(len, (part.down_name, *part.down)))
        most = max(1, room // (column + 2))
        for first in range(0, len(part.across), most):
            yield part.table(first, first + most, column)


def legend(result: Mapping[str, Any]) -> str:
    """Say how exact the cells are, and what stands where none is told."""
    spreads = result.get("spreads") or [result["spread"]]
    ends = dict.fromkeys(amount(result, end) for end in (min(spreads), max(spreads)))
    said = f"± {' to '.join(ends)}{_unit(result)}, with 99 in 100"
    hidden = sum(cell is None for cell in result["cells"])
    return f"{said}; {HIDDEN} suppressed: {hidden:,} of {len(result['cells']):,}"


def written(result: Mapping[str, Any]) -> Iterator[str]:
    """Give a result line by line, tabs between cells."""
    if "cells" not in result:
        yield from _sentences(result)
        return
    if not result["groups"]:
        (cell,) = result["cells"]
        told = HIDDEN if cell is None else amount(result, cell)
        spread = amount(result, result["spread"])
        yield f"{result['measure']['what']} {told} ± {spread}{_unit(result)}"
        return
    for part in _parts(result):
        yield "\t".join((*part.outer_names, part.down_name, *part.across))
        for label, cells in zip(part.down, part.rows(), strict=True):
            yield "\t".join((*part.outer, label, *map(part.written, cells)))
    yield legend(result)


def amount(result: Mapping[str, Any], value: int) -> str:
    """Return an amount in smallest units as people read it."""
    if not (scale := result.get("scale") or 0):
        return f"{value:,}"
    whole, rest = divmod(abs(value), 10**scale)
    return f"{'-' if value < 0 else ''}{whole:,}.{rest:0{scale}}"


# --- maps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Cells with one label each of the outer groups.

    Attributes:
        outer: Those labels.
        most: The largest cell of the whole map, by size.
    """

    result: Mapping[str, Any]
    outer_names: Sequence[str]
    outer: Sequence[str]
    down_name: str
    down: Sequence[str]
    across: Sequence[str]
    cells: Sequence[int | None]
    most: int

    def rows(self) -> Iterator[Sequence[int | None]]:
        width = len(self.across)
        for start in range(0, len(self.cells), width):
            yield self.cells[start : start + width]

    def written(self, cell: int | None) -> str:
        return HIDDEN if cell is None else amount(self.result, cell)

    def table(self, first: int, end: int, column: int) -> Table:
        title = " · ".join(self.outer) or None
        table = Table(title=title, box=None, title_justify="left", pad_edge=False)
        table.add_column(self.down_name, no_wrap=True)
        for label in self.across[first:end]:
            table.add_column(label, justify="right", no_wrap=True, min_width=column)
        for label, cells in zip(self.down, self.rows(), strict=True):
            table.add_row(Text(label), *map(self._shaded, cells[first:end]))
        return table

    def _shaded(self, cell: int | None) -> Text:
        if cell is None:
            return Text(f"{HIDDEN}  ", style="dim")
        number = min(len(_SHADES) * abs(cell) // self.most, len(_SHADES) - 1)
        shade, style = _SHADES[number]
        return Text(f"{self.written(cell)} {shade}", style=style)


def _parts(result: Mapping[str, Any]) -> Iterator[_Part]:
    groups = [{"grain": "value", **group} for group in result["groups"]]
    if len(groups) < 2:  # a table of one row would be wide: one column instead
        groups.append({"field": "", "grain": "value", "values": [_measure(result)]})
    *outer, down, across = groups
    size = len(down["values"]) * len(across["values"])
    cells = result["cells"]
    most = max((abs(cell) for cell in cells if cell is not None), default=0) or 1
    for number, labels in enumerate(product(*map(_labels, outer))):
        yield _Part(
            result=result,
            outer_names=[group["field"] for group in outer],
            outer=labels,
            down_name=down["field"],
            down=_labels(down),
            across=_labels(across),
            cells=cells[number * size : (number + 1) * size],
            most=most,
        )


def _labels(group: Mapping[str, Any]) -> list[str]:
    """Return labels as people read them: of a month its first seven characters."""
    if group["grain"] == "quarter":
        return [f"{day[:4]}-Q{(int(day[5:7]) + 2) // 3}" for day in group["values"]]
    return [label[: _PERIODS.get(group["grain"], 256)] for label in group["values"]]


def _measure(result: Mapping[str, Any]) -> str:
    measure = result.get("measure") or {}
    return str(measure.get("field") or measure.get("what") or "")


# --- sentences


def _sentences(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _shared(result)
    if result.get("sum") is not None:
        total = amount(result, result["sum"])
        spread = amount(result, result["spread"])
        field, unit = _measure(result), _unit(result)
        each = f"{Decimal(result['mean']):,.{max(2, result.get('scale') or 0)}f}"
        yield f"sum of {field}: {total} ± {spread}{unit} · {each}{unit} each"
    for pair in result.get("pairs", ()):
        told = "too few to say" if pair["count"] is None else f"{pair['count']:,}"
        yield f"{' and '.join(pair['between'])}: {told}"
    if "declared" in result:
        count, tokens = result["declared"], result["tokens"]
        yield f"{count:,} customers declared, as {tokens:,} tokens"


def _shared(result: Mapping[str, Any]) -> Iterator[str]:
    asked = f"of {result['asked']:,} customers"
    if result.get("count") is None:
        yield f"fewer than {result['fewer_than']:,} {asked} are shared: no more is told"
    else:
        yield f"{result['count']:,} {asked} are shared · {Decimal(result['rate']):.1%}"


def _unit(result: Mapping[str, Any]) -> str:
    return f" {result['unit']}" if result.get("unit") else ""
