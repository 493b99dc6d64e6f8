"""How each stream stands, in SQL: its length, what is signed, when it was compared.

Lengths come from the heads of the streams, and what is open from an index of the
open ones, so that both cost as little at a million receipts as at ten.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from ledger.receipts import stream_id
from node.adapters.sql import tables as t
from node.adapters.sql.streams import SqlStreams
from node.domain.agreement import render_instant
from node.domain.negotiation import Role

_TOLD: Final = ("state", "ours", "theirs", "differences", "unanswered", "detail")


def streams(connection: Connection, me: str) -> Sequence[Mapping[str, Any]]:
    """Return the stream of every agreement, newest agreement first.

    Args:
        me: This node's DID.
    """
    given, held = _given(connection), _held(connection)
    compared = SqlStreams(connection).reconciled()
    found = []
    newest = t.agreements.c.agreed_at.desc(), t.agreements.c.id
    for row in connection.execute(sa.select(t.agreements).order_by(*newest)):
        provides = row.role == Role.PROVIDER.value
        stream = stream_id(
            provider=me if provides else row.partner,
            consumer=row.partner if provides else me,
            agreement=row.id,
        )
        count, open_ = (given if provides else held).get(stream, (0, 0))
        last = compared.get(stream)
        found.append(
            {
                "agreement": row.id,
                "role": row.role,
                "partner": row.partner,
                "dataset": row.dataset,
                "stream": stream,
                "receipts": count,
                "open": open_,
                "compared": None
                if last is None
                else {"at": render_instant(last.at)}
                | {name: last.report[name] for name in _TOLD if name in last.report},
            }
        )
    return found


def _given(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return length, and how many are not signed back, of streams that we provide."""
    c = t.receipts.c
    rows = connection.execute(
        sa.select(c.stream, sa.func.count())
        .where(c.countersignature.is_(None), c.erased_at.is_(None))
        .group_by(c.stream)
    )
    unsigned: dict[str, int] = {stream: count for stream, count in rows}  # noqa: C416
    heads = connection.execute(sa.select(t.streams.c.stream, t.streams.c.count))
    return {stream: (count, unsigned.get(stream, 0)) for stream, count in heads}


def _held(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return how many receipts we hold of others' streams, and sign or deliver not."""
    c = t.received.c
    settled = sa.and_(c.countersignature.is_not(None), c.delivered)
    done = sa.or_(settled, c.erased_at.is_not(None))
    rows = connection.execute(
        sa.select(c.stream, sa.func.count(), sa.func.count(sa.case((~done, 1))))
        .select_from(t.received)
        .group_by(c.stream)
    )
    return {stream: (count, open_) for stream, count, open_ in rows}
