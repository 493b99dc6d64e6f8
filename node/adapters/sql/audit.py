"""The auditor's questions, in SQL. Read-only.

Counts come from the columns beside the receipts; what a page shows as proved
comes from the receipts themselves.
"""

import asyncio
import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from node.adapters.sql import tables as t
from node.adapters.sql.alarms import SqlAlarms
from node.adapters.sql.audit_streams import streams
from node.domain.agreement import Agreement, render_instant
from node.domain.declaration import dataset_from_json
from node.errors import Unavailable
from node.ports import Identity

_R = t.receipts.c
_DORMANT_S = 30 * 86400


class SqlAudit:
    """Implements `node.ports.Audit`."""

    def __init__(
        self,
        engine: Engine,
        identity: Identity,
        purposes: Sequence[Mapping[str, Any]],
    ) -> None:
        self._engine = engine
        self._identity = identity
        self._purposes = purposes

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            detail = "The node's own database did not answer."
            raise Unavailable("store.unavailable", detail) from error

    async def summary(
        self, since: datetime.datetime, until: datetime.datetime
    ) -> Mapping[str, Any]:
        """Return the key figures of a window of time."""
        return await asyncio.to_thread(self._summary, since, until)

    def _summary(
        self, since: datetime.datetime, until: datetime.datetime
    ) -> Mapping[str, Any]:
        window = _window(since, until)
        me = self._identity.me
        with self._open() as connection:
            decisions = dict(_counts(connection, "decision", window))
            codes = _counts(connection, "code", window)
            agreements = self._agreements(connection, until)
            return {
                "participant": {"did": me.did, "name": dict(me.name)},
                "window": {"from": render_instant(since), "to": render_instant(until)},
                "calls": {
                    "allowed": decisions.get("allow", 0),
                    "denied": decisions.get("deny", 0),
                },
                "agreements": _agreement_counts(agreements),
                "receipts": _receipt_counts(connection),
                "checkpoint": _checkpoint(connection),
                "anchor": _anchor(connection),
                "alarms": _alarms(connection),
                "matrix": self._matrix(connection, agreements, window),
                "trend": _trend(connection, since, until),
                "denials": [{"code": code, "count": count} for code, count in codes],
                "purposes": list(self._purposes),
            }

    async def streams(self) -> Sequence[Mapping[str, Any]]:
        """Return how the stream of each agreement stands."""
        return await asyncio.to_thread(self._streams)

    def _streams(self) -> Sequence[Mapping[str, Any]]:
        with self._open() as connection:
            return streams(connection, self._identity.me.did)

    def _matrix(
        self,
        connection: Connection,
        agreements: Sequence[Mapping[str, Any]],
        window: sa.ColumnElement[bool],
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
            .where(window, _R.partner.is_not(None), _R.dataset.is_not(None))
            .group_by(_R.dataset, t.receipt_fields.c.field, _R.partner, _R.decision)
        )
        cells: dict[tuple[str, str, str], dict[str, Any]] = {}
        for each in agreements:
            if each["role"] == "provider" and each["status"] == "active":
                for name, mode in each["fields"].items():
                    cell = _cell(cells, each["dataset"], name, each["partner"])
                    cell |= {"granted": True, "mode": mode}
        for row in counted:
            cell = _cell(cells, row.dataset, row.field, row.partner)
            cell["allowed" if row.decision == "allow" else "denied"] = row.calls
        datasets = _datasets(connection)
        known = {(each["id"], f["name"]) for each in datasets for f in each["fields"]}
        shown = [cell for key, cell in cells.items() if key[:2] in known]
        dids = sorted({cell["partner"] for cell in shown})
        return {
            "partners": [{"did": did, "name": self._name(did)} for did in dids],
            "datasets": datasets,
            "cells": shown,
        }

    def _name(self, did: str) -> dict[str, str]:
        known = self._identity.participant(did)
        return dict(known.name) if known else {"en": did, "zh": did}

    async def calls(
        self,
        *,
        since: datetime.datetime,
        until: datetime.datetime,
        filters: Mapping[str, str],
        before: int | None,
        after: int | None,
        most: int,
    ) -> Mapping[str, Any]:
        """Return a page of calls, newest first, with facets."""
        window = (since, until)
        return await asyncio.to_thread(
            self._calls, window, filters, before, after, most
        )

    def _calls(
        self,
        window: tuple[datetime.datetime, datetime.datetime],
        filters: Mapping[str, str],
        before: int | None,
        after: int | None,
        most: int,
    ) -> Mapping[str, Any]:
        matching = sa.and_(_window(*window), *_conditions(filters))
        with self._open() as connection:
            rows = _page(connection, matching, before, after, most)
            anchored = _anchored_size(connection)
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
                "facets": _facets(connection, window, filters),
            }

    async def agreements(self, at: datetime.datetime) -> Sequence[Mapping[str, Any]]:
        """Return agreements with their use."""

        def _ask() -> Sequence[Mapping[str, Any]]:
            with self._open() as connection:
                return self._agreements(connection, at)

        return await asyncio.to_thread(_ask)

    def _agreements(
        self, connection: Connection, at: datetime.datetime
    ) -> list[dict[str, Any]]:
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

    async def received(self, before: int | None, most: int) -> Mapping[str, Any]:
        """Return a page of what this node read from others."""
        return await asyncio.to_thread(self._received, before, most)

    def _received(self, before: int | None, most: int) -> Mapping[str, Any]:
        c = t.received.c
        statement = sa.select(t.received).order_by(c.sequence.desc()).limit(most + 1)
        if before is not None:
            statement = statement.where(c.sequence < before)
        with self._open() as connection:
            rows = list(connection.execute(statement))
        return {
            "items": [_received(row) for row in rows[:most]],
            "older": rows[most - 1].sequence if len(rows) > most else None,
        }


def _window(
    since: datetime.datetime, until: datetime.datetime
) -> sa.ColumnElement[bool]:
    return sa.and_(_R.at >= int(since.timestamp()), _R.at < int(until.timestamp()))


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


def _call(row: sa.Row[Any], anchored: int) -> dict[str, Any]:
    core = _NOTHING if row.core is None else json.loads(row.core)
    if row.log_index is None:
        state = "sequenced"
    else:
        state = "anchored" if row.log_index < anchored else "integrated"
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
        "state": state,
        "countersigned": row.countersignature is not None,
        "duration_ms": row.took_ms,
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
    window: tuple[datetime.datetime, datetime.datetime],
    filters: Mapping[str, str],
) -> dict[str, list[dict[str, Any]]]:
    """Return, for each filter, its values and counts under the other filters."""
    facets = {}
    for name in ("partner", "field", "purpose", "decision", "code", "dataset"):
        others = {key: value for key, value in filters.items() if key != name}
        matching = sa.and_(_window(*window), *_conditions(others))
        counts = _counts(connection, name, matching)
        facets[name] = [
            {"value": "unknown" if value is None else value, "count": count}
            for value, count in counts
        ]
    return facets


def _counts(
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


def _anchored_size(connection: Connection) -> int:
    """Return how many log entries the chain's anchors cover for good."""
    statement = sa.select(sa.func.max(t.anchors.c.size)).where(
        t.anchors.c.state == "final"
    )
    return connection.scalar(statement) or 0


def _receipt_counts(connection: Connection) -> dict[str, Any]:
    """Count receipts by how far they are, each time where an index has it."""
    size = _anchored_size(connection)
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
        .where(_window(since, until), _R.erased_at.is_(None))
        .group_by(slot, _R.decision)
        .order_by(slot)
    )
    points: dict[int, dict[str, Any]] = {}
    for row in rows:
        at = render_instant(_instant(row.slot))
        point = points.setdefault(row.slot, {"at": at, "allowed": 0, "denied": 0})
        point["allowed" if row.decision == "allow" else "denied"] = row.calls
    return list(points.values())


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


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
