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
from collections.abc import Mapping
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
from dashboard.proofs import Grants, grants_of
from dashboard.snapshots import committed
from dashboard.verification import ask_chain, check_on_server, file_of

_RECEIPT_ID: Final = re.compile(r"[0-9a-f]{64}")


async def receipt(request: Request, person: Person) -> Response:
    """Draw the receipt's page, or its part for the drawer."""
    desk, reader = desk_of(request), read_reader(request, person)
    receipt_id = _receipt_id(request)
    checked = None
    if request.query_params.get("check") == "server":
        evidence, labels = await asyncio.gather(
            desk.client.evidence(receipt_id), _labels(desk, reader)
        )
        checked = await run_in_threadpool(
            check_on_server,
            evidence,
            receipt_id,
            registry=desk.registry,
            chain=desk.chain,
            keys=desk.keys,
            speech=reader.speech,
            grants=_grants(labels, evidence),
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
    evidence, labels = await asyncio.gather(
        desk.client.evidence(_receipt_id(request)), _labels(desk, reader)
    )
    return JSONResponse(
        {
            "evidence": evidence,
            "committed": committed(evidence),
            "registry": desk.registry.to_json(),
            "titles": _titles(labels, reader),
            "grants": {
                name: grant.model_dump()
                for name, grant in _grants(labels, evidence).items()
            },
            "words": _words(reader),
        }
    )


async def chain_answer(request: Request, person: Person) -> Response:
    """Ask the chain for the anchor that the evidence names, and pass on its word."""
    desk, reader = desk_of(request), read_reader(request, person)
    evidence = await desk.client.evidence(_receipt_id(request))
    answer = await run_in_threadpool(
        ask_chain,
        evidence,
        desk.registry,
        desk.chain,
        reader.speech,
        of_snapshot=request.query_params.get("of") == "snapshot",
    )
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


async def _labels(desk: Desk, reader: Reader) -> Labels | None:
    """Return what the node calls things; None when it does not say so now."""
    try:
        summary, agreements = await asyncio.gather(
            desk.client.summary(reader.now - LENGTHS["24h"], reader.now),
            desk.client.agreements(),
        )
    except NodeError:
        return None
    return Labels.of(summary, agreements.items)


def _titles(labels: Labels | None, reader: Reader) -> dict[str, Any]:
    kinds = ("datasets", "fields", "purposes")
    return {
        kind: {
            name: str(reader.speech.name(names))
            for name, names in (getattr(labels, kind) if labels else {}).items()
        }
        for kind in kinds
    }


def _grants(labels: Labels | None, evidence: Mapping[str, Any]) -> Grants:
    """Return the grants of the agreement that the evidence, unchecked, names."""
    core = evidence.get("receipt")
    agreement = core.get("agreement") if isinstance(core, dict) else None
    return grants_of(labels.agreements if labels else (), agreement)


def _words(reader: Reader) -> dict[str, str]:
    spoken = (
        "check.",
        "fact.",
        "code.",
        "decision.",
        "where.",
        "proved.",
        "mode.",
        "list.",
        "step.",
    )
    words = catalogue(reader.language)
    return {key: text for key, text in words.items() if key.startswith(spoken)}


def _receipt_id(request: Request) -> str:
    receipt_id: str = request.path_params["receipt_id"]
    if not _RECEIPT_ID.fullmatch(receipt_id):
        raise NotFound("a receipt id has 64 lower-case hex digits")
    return receipt_id
