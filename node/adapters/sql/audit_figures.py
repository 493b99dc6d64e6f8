"""Key figures, in SQL: counts of a window of time, and how agreements and log stand.

Counts come from columns beside the receipts, where an index has them: rows are wide.
"""

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from node.adapters.sql import tables as t
from node.adapters.sql.alarms import SqlAlarms
from node.adapters.sql.audit_calls import Window, counts, window
from node.adapters.sql.plan_receipts import anchored_size
from node.domain.agreement import Agreement, render_instant
from node.domain.declaration import dataset_from_json

Name: TypeAlias = Callable[[str], Mapping[str, str]]
_R = t.receipts.c
_DORMANT_S: Final = 30 * 86400


def summary(
    connection: Connection,
    within: Window,
    kept: Sequence[Mapping[str, Any]],
    name: Name,
) -> dict[str, Any]:
    """Return what can be counted of a window of time, and how the log stands.

    Args:
        kept: As `agreements` returns them.
        name: Returns the name of a participant in all languages.
    """
    matching = window(*within)
    decisions = dict(counts(connection, "decision", matching))
    codes = counts(connection, "code", matching)
    return {
        "calls": {
            "allowed": decisions.get("allow", 0),
            "denied": decisions.get("deny", 0),
        },
        "agreements": _agreement_counts(kept),
        "receipts": _receipt_counts(connection),
        "checkpoint": _checkpoint(connection),
        "anchor": _anchor(connection),
        "alarms": _alarms(connection),
        "matrix": _matrix(connection, kept, matching, name),
        "trend": _trend(connection, *within),
        "denials": [{"code": code, "count": count} for code, count in codes],
    }


def agreements(connection: Connection, at: datetime.datetime) -> list[dict[str, Any]]:
    """Return agreements with their use, newest first."""
    used = {
        row.agreement: row
        for row in connection.execute(
            sa.select(
                _R.agreement,
                sa.func.max(_R.at).label("last"),
                sa.func.count().label("calls"),
            )
            .where(_R.decision == "allow")
            .group_by(_R.agreement)
        )
    }
    rows = connection.execute(
        sa.select(t.agreements).order_by(t.agreements.c.agreed_at.desc())
    )
    return [_agreement(row, used.get(row.id), at) for row in rows]


def _matrix(
    connection: Connection,
    kept: Sequence[Mapping[str, Any]],
    matching: sa.ColumnElement[bool],
    name: Name,
) -> dict[str, Any]:
    counted = connection.execute(
        sa.select(
            _R.dataset,
            t.receipt_fields.c.field,
            _R.partner,
            _R.decision,
            sa.func.count().label("calls"),
        )
        .join(t.receipt_fields, t.receipt_fields.c.sequence == _R.sequence)
        .where(matching, _R.partner.is_not(None), _R.dataset.is_not(None))
        .group_by(_R.dataset, t.receipt_fields.c.field, _R.partner, _R.decision)
    )
    cells: dict[tuple[str, str, str], dict[str, Any]] = {}
    for each in kept:
        if each["role"] == "provider" and each["status"] == "active":
            for field, mode in each["fields"].items():
                cell = _cell(cells, each["dataset"], field, each["partner"])
                cell |= {"granted": True, "mode": mode}
    for row in counted:
        cell = _cell(cells, row.dataset, row.field, row.partner)
        cell["allowed" if row.decision == "allow" else "denied"] = row.calls
    datasets = _datasets(connection)
    known = {(each["id"], f["name"]) for each in datasets for f in each["fields"]}
    shown = [cell for key, cell in cells.items() if key[:2] in known]
    dids = sorted({cell["partner"] for cell in shown})
    return {
        "partners": [{"did": did, "name": name(did)} for did in dids],
        "datasets": datasets,
        "cells": shown,
    }


def _cell(
    cells: dict[tuple[str, str, str], dict[str, Any]],
    dataset: str,
    field: str,
    partner: str,
) -> dict[str, Any]:
    empty = {
        "dataset": dataset,
        "field": field,
        "partner": partner,
        "granted": False,
        "mode": None,
        "allowed": 0,
        "denied": 0,
    }
    return cells.setdefault((dataset, field, partner), empty)


def _datasets(connection: Connection) -> list[dict[str, Any]]:
    rows = connection.execute(sa.select(t.datasets).order_by(t.datasets.c.id))
    found = [dataset_from_json(json.loads(row.declaration)) for row in rows]
    return [
        {
            "id": dataset.id,
            "title": {"en": dataset.title.en, "zh": dataset.title.zh},
            "fields": [
                {
                    "name": field.name,
                    "title": {"en": field.title.en, "zh": field.title.zh},
                    "grade": field.grade.value,
                    "personal": field.personal,
                    "modes": sorted(mode.value for mode in field.modes),
                }
                for field in dataset.fields
            ],
        }
        for dataset in found
    ]


def _agreement(
    row: sa.Row[Any], use: sa.Row[Any] | None, at: datetime.datetime
) -> dict[str, Any]:
    agreement = Agreement.from_odrl(json.loads(row.odrl))
    terms = agreement.terms
    last = _instant(use.last) if use else None
    state = "expired" if terms.valid_to <= at else row.status
    quiet = at - (last or agreement.timestamp)
    return {
        "id": row.id,
        "role": row.role,
        "partner": row.partner,
        "dataset": row.dataset,
        "fields": {name: mode.value for name, mode in terms.fields.items()},
        "predicates": [grant.to_json() for grant in terms.predicates],
        "aggregates": [grant.to_json() for grant in terms.aggregates],
        "allowance": terms.allowance and terms.allowance.to_json(),
        "purposes": list(terms.purposes),
        "valid_from": render_instant(terms.valid_from),
        "valid_to": render_instant(terms.valid_to),
        "calls_per_hour": terms.calls_per_hour,
        "rows_per_call": terms.rows_per_call,
        "status": state if row.status == "active" else row.status,
        "dormant": state == "active" and quiet.total_seconds() > _DORMANT_S,
        "hash": agreement.hash,
        "last_used_at": render_instant(last) if last else None,
        "calls": use.calls if use else 0,
    }


def _agreement_counts(agreements: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    provided = [each for each in agreements if each["role"] == "provider"]
    states = ("active", "expired", "suspended", "revoked")
    return {
        "total": len(provided),
        "dormant": sum(each["dormant"] for each in provided),
        **{s: sum(each["status"] == s for each in provided) for s in states},
    }


def _receipt_counts(connection: Connection) -> dict[str, Any]:
    """Count receipts by how far they are, each time where an index has it."""
    size = anchored_size(connection)
    waiting, unanchored = _R.log_index.is_(None), _R.log_index >= size

    def count(*conditions: sa.ColumnElement[bool]) -> int:
        counted = sa.select(sa.func.count()).select_from(t.receipts)
        return int(connection.execute(counted.where(*conditions)).scalar_one())

    oldest = (
        connection.scalar(sa.select(sa.func.min(_R.at)).where(condition))
        for condition in (waiting, unanchored)
    )
    times = [at for at in oldest if at is not None]
    total = count()
    return {
        "total": total,
        "integrated": total - count(waiting),
        "anchored": count(_R.log_index < size),
        "countersigned": total - count(_R.countersignature.is_(None)),
        "oldest_unanchored_at": render_instant(_instant(min(times))) if times else None,
    }


def _checkpoint(connection: Connection) -> dict[str, Any] | None:
    c = t.checkpoints.c
    statement = sa.select(t.checkpoints).order_by(c.size.desc()).limit(1)
    row = (connection.execute(statement)).one_or_none()
    if row is None:
        return None
    at = render_instant(_instant(row.at))
    return {"size": row.size, "root": row.root.hex(), "at": at}


def _anchor(connection: Connection) -> dict[str, Any] | None:
    c = t.anchors.c
    statement = sa.select(t.anchors).order_by(c.row.desc()).limit(1)
    row = (connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return {
        "epoch": row.epoch,
        "size": row.size,
        "at": render_instant(_instant(row.at)),
        "block": row.block,
        "transaction": row.transaction_hash,
        "state": row.state,
    }


def _alarms(connection: Connection) -> list[dict[str, Any]]:
    """Return what a person must look at, oldest first."""
    return [
        {
            "code": each.code,
            "subject": each.subject,
            "at": render_instant(each.at),
            "stops": each.stops,
        }
        for each in SqlAlarms(connection).open()
    ]


def _trend(
    connection: Connection, since: datetime.datetime, until: datetime.datetime
) -> list[dict[str, Any]]:
    """Return allowed and denied calls in steps of an hour, or a day beyond a week."""
    step = 3600 if until - since <= datetime.timedelta(days=7) else 86400
    slot = (_R.at - _R.at % step).label("slot")
    rows = connection.execute(
        sa.select(slot, _R.decision, sa.func.count().label("calls"))
        .where(window(since, until), _R.erased_at.is_(None))
        .group_by(slot, _R.decision)
        .order_by(slot)
    )
    points: dict[int, dict[str, Any]] = {}
    for row in rows:
        at = render_instant(_instant(row.slot))
        point = points.setdefault(row.slot, {"at": at, "allowed": 0, "denied": 0})
        point["allowed" if row.decision == "allow" else "denied"] = row.calls
    return list(points.values())


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
