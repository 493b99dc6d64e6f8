"""Figures as a terminal shows them: a table of cells, or a few lines."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from node.cli.output import out

HIDDEN: Final = "···"
"""What stands in a suppressed cell."""
_SHADES: Final = ("grey23", "grey35", "dark_orange3", "orange1", "bright_red")
_ONE: Final = ("count", "sum", "mean", "rate", "asked", "fewer_than", "declared")


def show_result(result: Mapping[str, Any]) -> None:
    """Show what came of a plan."""
    if "cells" in result:
        _show_cells(result)
        return
    unit = f" {result['unit']}" if result.get("unit") else ""
    for name in _ONE:
        if result.get(name) is not None:
            spread = f" ± {_written(result, result['spread'])}" if name == "sum" else ""
            value = result[name]
            shown = _written(result, value) if name == "sum" else str(value)
            tail = unit if name in {"sum", "mean"} else ""
            out.print(f"{name:>10}  {shown}{spread}{tail}", markup=False)
    for pair in result.get("pairs", ()):
        count = "too few" if pair["count"] is None else pair["count"]
        out.print(f"{count:>10}  {' and '.join(pair['between'])}", markup=False)


def _show_cells(result: Mapping[str, Any]) -> None:
    """Show cells: the last group across, the one before down, the others apart."""
    groups = list(result["groups"])
    while len(groups) < 2:
        groups.insert(0, {"field": "", "values": [""]})
    *outer, down, across = groups
    size = len(down["values"]) * len(across["values"])
    cells = result["cells"]
    most = max((abs(cell) for cell in cells if cell is not None), default=0) or 1
    for number, labels in enumerate(product(*(group["values"] for group in outer))):
        title = " · ".join(labels) or None
        part = cells[number * size : (number + 1) * size]
        out.print(_table(title, down, across, list(_rows(result, part, across, most))))
    unit = f" {result['unit']}" if result.get("unit") else ""
    said = f"each ± {_written(result, result['spread'])}{unit}; {HIDDEN} is suppressed"
    out.print(said, style="dim", markup=False)


def _table(
    title: str | None,
    down: Mapping[str, Any],
    across: Mapping[str, Any],
    rows: Sequence[Sequence[Text]],
) -> Table:
    table = Table(title=title, box=None, title_justify="left")
    table.add_column(down["field"])
    for label in across["values"]:
        table.add_column(label, justify="right")
    for label, cells in zip(down["values"], rows, strict=True):
        table.add_row(Text(label), *cells)
    return table


def _rows(
    result: Mapping[str, Any],
    cells: Sequence[int | None],
    across: Mapping[str, Any],
    most: int,
) -> Iterator[list[Text]]:
    width = len(across["values"])
    for start in range(0, len(cells), width):
        yield [_cell(result, cell, most) for cell in cells[start : start + width]]


def _cell(result: Mapping[str, Any], cell: int | None, most: int) -> Text:
    if cell is None:
        return Text(HIDDEN, style="dim")
    shade = _SHADES[min(len(_SHADES) * abs(cell) // (most + 1), len(_SHADES) - 1)]
    return Text(_written(result, cell), style=shade)


def _written(result: Mapping[str, Any], amount: int) -> str:
    """Return an amount in smallest units as people read it."""
    if not (scale := result.get("scale") or 0):
        return f"{amount:,}"
    whole, rest = divmod(abs(amount), 10**scale)
    return f"{'-' if amount < 0 else ''}{whole:,}.{rest:0{scale}}"
