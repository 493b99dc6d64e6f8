"""Fields by partners: who may read what, and who did.

Each cell is in one of three states: *none* (not granted), *unused* (granted, not
read in this window) or *used*. Refused attempts are a fourth fact that any state
can carry. The states are told apart by hatch, dot, number and corner, never by
colour alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dashboard.charts import heat_step
from dashboard.pages.base import address
from dashboard.statements import Cell, Dataset, DatasetField, Matrix

State = Literal["none", "unused", "used"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """One cell: a link to the calls behind it.

    Attributes:
        heat: Step 1 to 7 of the count, 0 when it is zero.
        mode: How the field is shared: plain, predicate, aggregate; None ungranted.
        href: The call log, filtered to this field and partner.
    """

    partner: str
    state: State
    allowed: int
    denied: int
    heat: int
    mode: str | None
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field and its cells, in the order of the partners."""

    field: DatasetField
    cells: tuple[CellView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rows of one dataset."""

    dataset: Dataset
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixView:
    """The whole table, with what its caption says.

    Attributes:
        partners: DIDs, in the order of the columns.
        granted: Pairs of field and partner with a grant.
        pairs: All pairs.
        dormant: Granted pairs that were not read in this window.
    """

    partners: tuple[str, ...]
    groups: tuple[Group, ...]
    granted: int
    pairs: int
    dormant: int


def matrix_view(matrix: Matrix, query: Mapping[str, str]) -> MatrixView:
    """Lay out the matrix; `query` is what keeps the links in this window."""
    partners = tuple(party.did for party in matrix.partners)
    found = {(cell.dataset, cell.field, cell.partner): cell for cell in matrix.cells}
    highest = max((cell.allowed for cell in matrix.cells), default=0)

    def view(dataset: Dataset, field: DatasetField, partner: str) -> CellView:
        cell = found.get((dataset.id, field.name, partner))
        asked = {"dataset": dataset.id, "field": field.name, "partner": partner}
        href = address("/calls", {**query, **asked})
        if cell is None:
            cell = Cell(**asked, granted=False, mode=None, allowed=0, denied=0)
        return CellView(
            partner=partner,
            state=_state(cell),
            allowed=cell.allowed,
            denied=cell.denied,
            heat=heat_step(cell.allowed, highest),
            mode=cell.mode if cell.granted else None,
            href=href,
        )

    groups = tuple(
        Group(
            dataset=dataset,
            rows=tuple(
                Row(
                    field=field,
                    cells=tuple(view(dataset, field, each) for each in partners),
                )
                for field in dataset.fields
            ),
        )
        for dataset in matrix.datasets
    )
    cells = [cell for group in groups for row in group.rows for cell in row.cells]
    return MatrixView(
        partners=partners,
        groups=groups,
        granted=sum(cell.mode is not None for cell in cells),
        pairs=len(cells),
        dormant=sum(cell.state == "unused" for cell in cells),
    )


def _state(cell: Cell) -> State:
    if cell.allowed:
        return "used"
    return "unused" if cell.granted else "none"
