"""One receipt, its evidence, and its check.

The page's lines are filled in by the reader's own browser (`web/src/receipt.js`)
from three answers of this module: the evidence as the node gave it, the keys as
this dashboard has them pinned, and what the chain said when *this dashboard*
asked it. Without scripts, `?check=server` shows what this process found with
`ledger.verify`, and says that it was the server's check.

The address holds the receipt's id, and the id is what the record's hash must be:
a page for one receipt cannot be made to show another.
"""

import asyncio
import json
import re
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dashboard.access import Person
from dashboard.errors import NodeError, NotFound
from dashboard.i18n import catalogue
from dashboard.pages.base import (
    Desk,
    Reader,
    desk_of,
    is_fragment,
    read_reader,
    render,
)
from dashboard.pages.labels import Labels
from dashboard.pages.window import LENGTHS
from dashboard.verification import ask_chain, check_on_server, file_of

_RECEIPT_ID: Final = re.compile(r"[0-9a-f]{64}")


async def receipt(request: Request, person: Person) -> Response:
    """Draw the receipt's page, or its part for the drawer."""
    desk, reader = desk_of(request), read_reader(request, person)
    receipt_id = _receipt_id(request)
    checked = None
    if request.query_params.get("check") == "server":
        evidence = await desk.client.evidence(receipt_id)
        checked = await run_in_threadpool(
            check_on_server,
            evidence,
            receipt_id,
            desk.registry,
            desk.chain,
            reader.speech,
        )
    fragment = is_fragment(request)
    return render(
        request,
        reader,
        "receipt/drawer.html" if fragment else "receipt/page.html",
        headers={"Vary": "HX-Request-Type"},
        receipt_id=receipt_id,
        checked=checked,
    )


async def check_material(request: Request, person: Person) -> Response:
    """Answer with what the browser checks, and with what it checks it against."""
    desk, reader = desk_of(request), read_reader(request, person)
    evidence, titles = await asyncio.gather(
        desk.client.evidence(_receipt_id(request)), _titles(desk, reader)
    )
    return JSONResponse(
        {
            "evidence": evidence,
            "registry": desk.registry.to_json(),
            "titles": titles,
            "words": _words(reader),
        }
    )


async def chain_answer(request: Request, person: Person) -> Response:
    """Ask the chain for the anchor that the evidence names, and pass on its word."""
    del person  # every role may ask
    desk = desk_of(request)
    evidence = await desk.client.evidence(_receipt_id(request))
    answer = await run_in_threadpool(ask_chain, evidence, desk.registry, desk.chain)
    return JSONResponse(answer)


async def evidence_file(request: Request, person: Person) -> Response:
    """Hand out the evidence as a file for the offline verifier."""
    del person  # every role may take it along
    desk, receipt_id = desk_of(request), _receipt_id(request)
    evidence = file_of(await desk.client.evidence(receipt_id))
    name = f"receipt-{receipt_id[:16]}.evidence.json"
    return Response(
        json.dumps(evidence, ensure_ascii=False, indent=2),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _titles(desk: Desk, reader: Reader) -> dict[str, Any]:
    """Return titles in the reader's language; none when the node gives none now."""
    try:
        summary = await desk.client.summary(reader.now - LENGTHS["24h"], reader.now)
    except NodeError:
        return {"datasets": {}, "fields": {}, "purposes": {}}
    labels = Labels.of(summary)
    return {
        kind: {name: str(reader.speech.name(names)) for name, names in titles.items()}
        for kind, titles in (
            ("datasets", labels.datasets),
            ("fields", labels.fields),
            ("purposes", labels.purposes),
        )
    }


def _words(reader: Reader) -> dict[str, str]:
    spoken = ("check.", "fact.", "code.", "decision.")
    words = catalogue(reader.language)
    return {key: text for key, text in words.items() if key.startswith(spoken)}


def _receipt_id(request: Request) -> str:
    receipt_id: str = request.path_params["receipt_id"]
    if not _RECEIPT_ID.fullmatch(receipt_id):
        raise NotFound("a receipt id has 64 lower-case hex digits")
    return receipt_id
