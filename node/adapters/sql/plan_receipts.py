"""The receipts of a plan's steps, in SQL, and how far each is on its way.

One receipt is written for each step, by whoever answers it, and kept by whoever asked.
Both find them by the plan's hash, in an index of those that name one: neither has to
look through its other calls.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from node.adapters.sql import tables as t
from node.domain.negotiation import Role
from node.ports import StepReceipt


def anchored_size(connection: Connection) -> int:
    """Return how many log entries the chain's anchors cover for good."""
    statement = sa.select(sa.func.max(t.anchors.c.size)).where(
        t.anchors.c.state == "final"
    )
    return connection.scalar(statement) or 0


def how_far(index: int | None, anchored: int) -> str:
    """Return how far a receipt of ours is: in its stream, in the tree, on the chain.

    Args:
        index: Its place in the log, if it has one.
        anchored: As `anchored_size` returns it.
    """
    if index is None:
        return "sequenced"
    return "anchored" if index < anchored else "integrated"


def of_plan(
    connection: Connection, plan: str, asker: str, role: Role, most: int
) -> Sequence[StepReceipt]:
    """Return the newest receipts of the steps of a plan, oldest first."""
    table = t.receipts if role is Role.PROVIDER else t.received
    of = (table.c.plan == plan, table.c.erased_at.is_(None))
    statement = sa.select(table).where(*of).order_by(table.c.sequence.desc())
    if table is t.receipts:
        statement = statement.where(table.c.partner == asker)
    rows = list(connection.execute(statement.limit(most)))
    anchored = anchored_size(connection) if table is t.receipts else 0
    return [_step(row, anchored) for row in reversed(rows)]


def _step(row: sa.Row[tuple[object, ...]], anchored: int) -> StepReceipt:
    core = json.loads(row.core)
    if hasattr(row, "verified"):
        state = "verified" if row.verified else "unverified"
    else:
        state = how_far(row.log_index, anchored)
    return StepReceipt(
        receipt_id=row.receipt_id,
        at=core["at"],
        party=core["provider"],
        step=core["step"],
        decision=core["decision"],
        denials=tuple(core["denials"]),
        spent=core["spent"],
        state=state,
    )
