"""The call log, in SQL: pages of calls, what each tells, and counts behind filters.

Pages are found by sequence number, so that they cost the same wherever they are.
"""

import datetime
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from node.adapters.sql import tables as t
from node.adapters.sql.plan_receipts import anchored_size, how_far
from node.domain.agreement import render_instant

Window: TypeAlias = tuple[datetime.datetime, datetime.datetime]
"""From the first instant to just before the second."""
_R = t.receipts.c
_NOTHING: Mapping[str, Any] = {
    "fields": [],
    "where": [],
    "denials": [],
    "withheld": None,
    "plan": None,
    "step": None,
    "spent": None,
}
"""What a receipt says when all that it said is erased."""


def log_page(
    connection: Connection,
    within: Window,
    filters: Mapping[str, str],
    *,
    before: int | None,
    after: int | None,
    most: int,
) -> dict[str, Any]:
    """Return a page of calls, newest first, with facets (`node.ports.Audit.calls`)."""
    matching = sa.and_(window(*within), *_conditions(filters))
    rows = _page(connection, matching, before, after, most)
    anchored = anchored_size(connection)
    items = [_call(row, anchored) for row in rows]
    total = connection.scalar(
        sa.select(sa.func.count()).select_from(t.receipts).where(matching)
    )
    newest = items[0]["sequence"] if items else None
    oldest = items[-1]["sequence"] if items else None
    return {
        "items": items,
        "newer": newest
        if _beyond(connection, matching, _R.sequence > (newest or 0))
        else None,
        "older": oldest
        if _beyond(connection, matching, _R.sequence < (oldest or 0))
        else None,
        "total": total,
        "facets": _facets(connection, within, filters),
    }


def received_page(
    connection: Connection, plan: str | None, before: int | None, most: int
) -> dict[str, Any]:
    """Return a page of what this node read from others, newest first.

    Args:
        plan: Hash of the plan whose steps are wanted; None for everything.
    """
    c = t.received.c
    statement = sa.select(t.received).order_by(c.sequence.desc()).limit(most + 1)
    if plan is not None:
        statement = statement.where(c.plan == plan)
    if before is not None:
        statement = statement.where(c.sequence < before)
    rows = list(connection.execute(statement))
    return {
        "items": [_received(row) for row in rows[:most]],
        "older": rows[most - 1].sequence if len(rows) > most else None,
    }


def window(
    since: datetime.datetime, until: datetime.datetime
) -> sa.ColumnElement[bool]:
    """Return the condition that a receipt is of a stretch of time."""
    return sa.and_(_R.at >= int(since.timestamp()), _R.at < int(until.timestamp()))


def counts(
    connection: Connection, name: str, matching: sa.ColumnElement[bool]
) -> list[tuple[str | None, int]]:
    """Return up to a hundred values of a column with their counts, largest first.

    Receipts that are erased have none.
    """
    many = {
        "field": (t.receipt_fields, t.receipt_fields.c.field),
        "code": (t.receipt_denials, t.receipt_denials.c.code),
    }
    table, column = many.get(name) or (None, _R[name])
    total = sa.func.count().label("total")
    statement = sa.select(column, total).where(matching, _R.erased_at.is_(None))
    if table is not None:
        statement = statement.join(table, table.c.sequence == _R.sequence)
    else:
        statement = statement.select_from(t.receipts)
    statement = statement.group_by(column).order_by(total.desc(), column).limit(100)
    return [(row[0], row.total) for row in connection.execute(statement)]


def _conditions(filters: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    conditions = []
    for name, value in filters.items():
        if name == "field":
            table, column = t.receipt_fields, t.receipt_fields.c.field
        elif name == "code":
            table, column = t.receipt_denials, t.receipt_denials.c.code
        else:
            unknown = name == "partner" and value == "unknown"
            column = _R[name]
            nobody = sa.and_(column.is_(None), _R.erased_at.is_(None))
            conditions.append(nobody if unknown else column == value)
            continue
        sequences = sa.select(table.c.sequence).where(column == value)
        conditions.append(_R.sequence.in_(sequences))
    return conditions


def _page(
    connection: Connection,
    matching: sa.ColumnElement[bool],
    before: int | None,
    after: int | None,
    most: int,
) -> list[sa.Row[Any]]:
    statement = sa.select(t.receipts).where(matching)
    if after is not None:
        newer = statement.where(_R.sequence > after).order_by(_R.sequence)
        return list(connection.execute(newer.limit(most)))[::-1]
    if before is not None:
        statement = statement.where(_R.sequence < before)
    statement = statement.order_by(_R.sequence.desc()).limit(most)
    return list(connection.execute(statement))


def _call(row: sa.Row[Any], anchored: int) -> dict[str, Any]:
    core = _NOTHING if row.core is None else json.loads(row.core)
    return {
        "sequence": row.sequence,
        "receipt_id": row.receipt_id,
        "at": render_instant(_instant(row.at)),
        "erased": _erased(row),
        "partner": row.partner,
        "agreement": row.agreement,
        "dataset": row.dataset,
        "fields": core["fields"],
        "where": core["where"],
        "purpose": row.purpose,
        "decision": row.decision,
        "denials": core["denials"],
        "customers": row.customers,
        "records": row.records,
        "withheld": core["withheld"],
        **{name: core[name] for name in ("plan", "step", "spent")},
        "state": how_far(row.log_index, anchored),
        "countersigned": row.countersignature is not None,
        "duration_ms": row.took_ms,
    }


def _received(row: sa.Row[Any]) -> dict[str, Any]:
    core = _NOTHING if row.core is None else json.loads(row.core)
    names = (
        *("provider", "agreement", "dataset", "fields", "where", "purpose"),
        *("decision", "denials", "records", "withheld", "plan", "step", "spent"),
    )
    return {
        "sequence": row.sequence,
        "receipt_id": row.receipt_id,
        "at": core.get("at", render_instant(_instant(row.at))),
        "erased": _erased(row),
        **{name: core.get(name) for name in names},
        "verified": row.verified,
        "checks": [] if row.checks is None else json.loads(row.checks),
    }


def _erased(row: sa.Row[Any]) -> dict[str, Any] | None:
    """Return when and why what a receipt says was erased; None where it says it."""
    if row.erased_at is None:
        return None
    return {"at": render_instant(_instant(row.erased_at)), "why": row.erased_why}


def _beyond(
    connection: Connection,
    matching: sa.ColumnElement[bool],
    edge: sa.ColumnElement[bool],
) -> bool:
    statement = sa.select(sa.literal(1)).where(matching, edge).limit(1)
    return connection.scalar(statement) is not None


def _facets(
    connection: Connection,
    within: Window,
    filters: Mapping[str, str],
) -> dict[str, list[dict[str, Any]]]:
    """Return, for each filter, its values and counts under the other filters."""
    facets = {}
    for name in ("partner", "field", "purpose", "decision", "code", "dataset"):
        others = {key: value for key, value in filters.items() if key != name}
        matching = sa.and_(window(*within), *_conditions(others))
        facets[name] = [
            {"value": "unknown" if value is None else value, "count": count}
            for value, count in counts(connection, name, matching)
        ]
    return facets


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
