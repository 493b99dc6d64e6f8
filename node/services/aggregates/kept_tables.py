"""How a noised table is kept between the steps of a plan, or that it was refused."""

import json
from typing import Any, Final

from crypto.encoding import canonical
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from crypto.parameters import parameter_set
from ledger.plans import Plan
from node.domain.noised import Noised, bitmap, parse_bitmap
from node.services.aggregates.steps import Refusal

_MOST: Final = 2**52
"""A bound that JSON still holds, and no slot: whatever is larger is refused alike."""


def refused(code: str, spent: int, *, instead_of: bytes) -> bytes:
    """Return what is kept of a refusal that has cost something.

    Args:
        instead_of: The table that was made and is not told: what is kept is as long,
            so that keeping it takes as long.
    """
    return pack(canonical({"code": code, "spent": spent}), bytes(len(instead_of)))


def price_of_refusal(kept: bytes) -> int | None:
    """Return what a kept refusal has cost; None where it is a table."""
    told: dict[str, Any] = json.loads(unpack(kept)[0])
    return int(told["spent"]) if "code" in told else None


def write(table: Noised, matrix: bytes = b"") -> bytes:
    """Return what is kept of a table, and of the matrix that it was made from."""
    bound = min(table.bound, _MOST)
    head = canonical({"bound": bound, "spread": table.spread})
    return pack(head, bitmap(table.suppressed), numbers(table.cells), matrix)


def read(plan: Plan, kept: bytes) -> tuple[Noised, bytes]:
    """Read what was kept: a table, and the matrix.

    Raises:
        Refusal: That is what was kept; or `aggregate.bound`: a cell is larger than a
            slot of the plan's parameter set holds.
    """
    head, *rest = unpack(kept)
    told: dict[str, Any] = json.loads(head)
    if "code" in told:
        raise Refusal(told["code"], spent=told["spent"])
    flags, figures, matrix = rest
    cells = tuple(parse_numbers(figures))
    suppressed = parse_bitmap(flags, len(cells)) or ()
    if plan.parameters and told["bound"] > parameter_set(plan.parameters).most:
        raise Refusal("aggregate.bound", spent=plan.epsilon_micro)
    table = Noised(
        cells=cells,
        suppressed=suppressed,
        bound=told["bound"],
        spread=told["spread"],
    )
    return table, matrix
