"""The ledger: what needs a person, how far the log is held, and each partner's stream.

Alarms and proofs of fault come first, each with who, since when, and what to do; a
proof can be taken along and checked by anybody, without this dashboard. Then come
the stations of a receipt on its way out of the company's hands, and the streams
that partners keep a copy of. All of it is stated by the node, proofs excepted.
"""

import asyncio
import json
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard.access import Person
from dashboard.errors import NotFound
from dashboard.pages.attention import words_of
from dashboard.pages.base import Desk, Reader, desk_of, read_reader, render
from dashboard.pages.labels import Labels
from dashboard.pages.open_receipts import WIDTH, rows_of
from dashboard.pages.overview import check_participant
from dashboard.pages.window import LENGTHS
from dashboard.statements import Alarm, Stream, Summary

_ID_LENGTH: Final = 64


async def ledger(request: Request, person: Person) -> Response:
    """Draw the page."""
    desk, reader = desk_of(request), read_reader(request, person)
    client = desk.client
    summary, alarms, faults, streams, agreements = await asyncio.gather(
        client.summary(reader.now - LENGTHS["7d"], reader.now),
        client.alarms(),
        client.faults(),
        client.streams(),
        client.agreements(),
    )
    check_participant(desk, summary)
    mine = {each.stream: each for each in streams.items}
    return render(
        request,
        reader,
        "ledger.html",
        summary=summary,
        alarms=sorted(alarms.items, key=lambda each: (not each.stops, each.at)),
        title=lambda alarm: words_of(alarm.code),
        about=lambda alarm: _about(desk, reader, alarm, mine),
        faults=faults.items,
        partners=rows_of(streams.items, streams.most_unacknowledged),
        most=streams.most_unacknowledged,
        labels=Labels.of(summary, agreements.items),
        stations=stations(summary),
        width=WIDTH,
    )


def stations(summary: Summary) -> tuple[tuple[str, int], ...]:
    """Return how many receipts have reached each station, the first one first."""
    counts = summary.receipts
    return (
        ("sequenced", counts.total),
        ("integrated", min(counts.integrated, counts.total)),
        ("anchored", min(counts.anchored, counts.total)),
    )


def _about(desk: Desk, reader: Reader, alarm: Alarm, mine: dict[str, Stream]) -> object:
    """Return in words what an alarm is about: a partner, a stream, or as stated."""
    subject = alarm.subject
    if subject in mine:
        subject = mine[subject].partner
    found = desk.registry.find(subject)
    return reader.speech.name(found.name) if found else alarm.subject


async def fault_file(request: Request, person: Person) -> Response:
    """Hand out a proof of fault, for the offline verifier of whoever doubts it."""
    del person  # every role may take it along
    fault_id = request.path_params["fault_id"]
    if len(fault_id) != _ID_LENGTH or set(fault_id) - set("0123456789abcdef"):
        raise NotFound("no such proof")
    proof = await desk_of(request).client.fault(fault_id)
    return Response(
        json.dumps(proof, ensure_ascii=False, indent=2),
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="fault-{fault_id[:16]}.json"'
        },
    )
