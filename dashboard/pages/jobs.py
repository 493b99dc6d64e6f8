"""Aggregates: what is being computed with partners, how far it is, and what came out.

The list and the page of a job keep up with the node while something runs: the part
that changes is asked for again every few seconds, without being counted as use of the
session, and stops asking when nothing runs any more. Without scripts the page loads
itself again.

How far a job is, is the node's word, and so is a result. What was asked is read from
the signed plan, and each step left a receipt, which the page leads to.
"""

import asyncio
import csv
import datetime
import io
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.access import Person
from dashboard.aggregates import Result, WholeJob
from dashboard.errors import NodeError, NotFound
from dashboard.figures import epsilon, written
from dashboard.pages.base import (
    Desk,
    Reader,
    address,
    desk_of,
    is_fragment,
    read_reader,
    render,
)
from dashboard.pages.heat_map import heat_map
from dashboard.pages.joint import joint_figures
from dashboard.pages.labels import Labels
from dashboard.pages.open_receipts import WIDTH
from dashboard.pages.overview import check_participant
from dashboard.pages.plan_facts import EXACT, facts
from dashboard.pages.window import LENGTHS
from dashboard.plans import CheckedPlan, check_plan

_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_PLAN_HASH: Final = re.compile(r"[0-9a-f]{64}")
_STAGE: Final = re.compile(r"(?:again )?([a-z_]+)")
"""What of a stage's name is its word: some are done again, or have numbers."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""


async def jobs(request: Request, person: Person) -> Response:
    """Draw the list."""
    desk, reader = desk_of(request), read_reader(request, person)
    listed, labels = await asyncio.gather(desk.client.jobs(), _labels(desk, reader))
    return render(
        request,
        reader,
        "jobs/list.html" if is_fragment(request) else "jobs/page.html",
        headers={"Vary": "HX-Request-Type"},
        jobs=listed.items,
        running=sum(job.state == "running" for job in listed.items),
        labels=labels,
        **_tools(),
    )


async def job(request: Request, person: Person) -> Response:
    """Draw one job, with its result if there is one."""
    desk, reader = desk_of(request), read_reader(request, person)
    found, labels = await asyncio.gather(
        desk.client.job(_job_id(request)), _labels(desk, reader)
    )
    checked = check_plan(found.plan, desk.registry)
    return render(
        request,
        reader,
        "jobs/job.html" if is_fragment(request) else "jobs/job_page.html",
        headers={"Vary": "HX-Request-Type"},
        job=found,
        plan=checked,
        made=datetime.datetime.fromisoformat(checked.plan.created),
        labels=labels,
        base=f"/jobs/{found.id}",
        table_open=request.query_params.get("table") == "open",
        **_result(found, checked, labels, reader, request),
        **_tools(),
    )


async def plan(request: Request, person: Person) -> Response:
    """Lead from a plan's hash, as receipts name it, to its job.

    Of a plan that was refused before it became a job, to the calls that name it.
    """
    del person
    plan_hash: str = request.path_params["plan_hash"]
    if not _PLAN_HASH.fullmatch(plan_hash):
        raise NotFound("a plan's hash has 64 lower-case hex digits")
    found = (await desk_of(request).client.jobs(plan_hash)).items
    calls = address("/calls", {"plan": plan_hash, "window": "90d"})
    return RedirectResponse(f"/jobs/{found[0].id}" if found else calls, 303)


async def live(request: Request, person: Person) -> Response:
    """Draw the changing part of the list or of a job, for a page that is open.

    A node that does not answer takes nothing away: the page keeps what it shows, and
    says how old it is.
    """
    page = job if "job_id" in request.path_params else jobs
    if not is_fragment(request):
        return RedirectResponse(request.url.path.removesuffix("/live"), 303)
    try:
        return await page(request, person)
    except NodeError:
        return render(
            request,
            read_reader(request, person),
            "jobs/stale.html",
            headers={"HX-Retarget": "#as-of", "HX-Reswap": "outerHTML"},
            last_answer_at=desk_of(request).client.last_answer_at,
        )


async def result_file(request: Request, person: Person) -> Response:
    """Hand out the cells of a result as CSV, all of them."""
    del person  # every role may take it along
    found = await desk_of(request).client.job(_job_id(request))
    if found.result is None or not found.result.groups:
        raise NotFound("there are no cells")
    name = f"aggregate-{found.id[:12]}.csv"
    return Response(
        "\ufeff" + _csv(found.result),  # by which a spreadsheet knows the encoding
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _csv(result: Result) -> str:
    """Write one line for each cell; a suppressed one has no figure, and says so."""
    file = io.StringIO()
    lines = csv.writer(file)
    names = [group.field for group in result.groups]
    lines.writerow([*map(_text, names), "figure", "suppressed", "spread", "unit"])
    spreads = result.spreads or [result.spread] * len(result.cells)
    unit = _text(result.unit or "")
    for labels, *told in zip(_cells(result), result.cells, spreads, strict=True):
        figure, spread = ["" if it is None else _plain(it, result.scale) for it in told]
        lines.writerow([*map(_text, labels), figure, int(not figure), spread, unit])
    return file.getvalue()


def _cells(result: Result, group: int = 0) -> Iterator[tuple[str, ...]]:
    if group == len(result.groups):
        yield ()
        return
    for value in result.groups[group].values:
        for rest in _cells(result, group + 1):
            yield (value, *rest)


def _plain(figure: int, scale: int) -> str:
    sign = "-" if figure < 0 else ""
    whole, rest = divmod(abs(figure), 10**scale)
    return f"{sign}{whole}.{rest:0{scale}d}" if scale else f"{sign}{whole}"


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _result(
    found: WholeJob,
    checked: CheckedPlan,
    labels: Labels,
    reader: Reader,
    request: Request,
) -> dict[str, Any]:
    """Return what the template needs for the result, in whichever form it is."""
    result, plan = found.result, checked.plan
    speech = reader.speech

    def field(name: str) -> Markup:
        return labels.field(speech, name)

    unit = result.unit if result else None
    scale = result.scale if result else None
    drawn = result is not None and bool(result.groups) and checked.state != "failed"
    return {
        "group_name": lambda group: (
            speech.say("map.segment")
            if group.grain == "segment"
            else field(group.field)
        ),
        "figure_text": partial(written, speech, scale=scale or 0),
        "facts": facts(plan, speech, field, unit, scale),
        "exact": plan.kind in EXACT,
        "result": result if checked.state != "failed" else None,
        "map": heat_map(result, speech, request.query_params)
        if drawn and result
        else None,
        "figures": joint_figures(result, plan, speech)
        if result and not result.groups
        else (),
    }


def stage_of(stage: str) -> str:
    """Return the word for a stage, by which the catalogues name it: `opened-2`."""
    found = _STAGE.match(stage)
    return found.group(1) if found else "begin"


def _tools() -> dict[str, Any]:
    return {"epsilon": epsilon, "width": WIDTH, "stage_of": stage_of}


async def _labels(desk: Desk, reader: Reader) -> Labels:
    summary, agreements = await asyncio.gather(
        desk.client.summary(reader.now - LENGTHS["24h"], reader.now),
        desk.client.agreements(),
    )
    check_participant(desk, summary)
    return Labels.of(summary, agreements.items)


def _job_id(request: Request) -> str:
    job_id: str = request.path_params["job_id"]
    if not _JOB_ID.fullmatch(job_id):
        raise NotFound("a job id has 32 lower-case hex digits")
    return job_id
