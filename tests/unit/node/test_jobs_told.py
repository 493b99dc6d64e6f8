"""Jobs in the API and on the command line."""

import hashlib
import json
import time
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from rich.console import Console
from rich.progress import Progress

from node.api import jobs as router
from node.api import problems
from node.cli import jobs as command
from node.cli import progress
from node.cli.output import Management
from node.services.aggregates.jobs import Jobs
from tests.support.jobs import CANARY, PARTS, SIZE, Counting, Site, opened, signed
from tests.unit.ledger.samples import PROVIDER
from tests.unit.node.test_asking import Node, fieldpact

JOB = "ab" * 16
ASKED = f"{JOB}\theat-map C\tconsumer\t{PROVIDER}"
AUDIT, MANAGEMENT = (
    {"Authorization": "Bearer audit"},
    {"Authorization": "Bearer manage"},
)


def told(**changes: Any) -> dict[str, Any]:
    right = {
        "id": JOB,
        "kind": "heat-map",
        "mode": "C",
        "role": "consumer",
        "partners": [PROVIDER],
        "agreement": "urn:uuid:1",
        "dataset": "orders",
        "state": "running",
        "stage": "weigh",
        "done": 400,
        "total": 2000,
        "rate": 80.0,
        "eta_s": 20,
        "created_at": "2026-11-22T18:20:00Z",
        "updated_at": "2026-11-22T18:20:05Z",
        "spent": 0,
        "error": None,
        "refused": False,
        "plan": {},
        "result": None,
        "receipts": [],
        "more_receipts": False,
    }
    return right | changes


RESULT = {
    "kind": "heat-map",
    "measure": {"what": "count", "field": None, "bound": 1},
    "groups": [{"field": "region", "grain": "value", "values": ["North", "South"]}],
    "cells": [12, None],
    "unit": None,
    "scale": 0,
    "spread": 3,
}
DONE = told(
    state="done", done=2000, rate=None, eta_s=None, spent=500_000, result=RESULT
)


# --- the API ----------------------------------------------------------------


class Api:
    """The routes of jobs over real jobs, without the rest of a node."""

    def __init__(self, site: Site, counting: Counting) -> None:
        self.counting = counting
        self.jobs: Jobs = site.jobs(counting)
        self.aggregates = self
        app = FastAPI()
        problems.install(app)
        app.include_router(router.router)
        app.state.services = self
        app.state.operators = {
            hashlib.sha256(b"audit").hexdigest(): "audit",
            hashlib.sha256(b"manage").hexdigest(): "management",
        }
        transport = httpx.ASGITransport(app=app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://node")

    async def get(self, path: str, headers: dict[str, str]) -> httpx.Response:
        return await self.client.get(path, headers=headers)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path) as site:
        made = Api(site, Counting())
        yield made
        await made.client.aclose()


@pytest.mark.parametrize("area", ["audit", "management"])
async def test_jobs_are_listed_and_shown(api: Api, area: str) -> None:
    job_id = await api.jobs.start(signed(), {"weight": CANARY})
    await api.jobs.wait(job_id)
    listed = (await api.get(f"/{area}/jobs", MANAGEMENT)).json()["items"]
    shown = await api.get(f"/{area}/jobs/{job_id}", MANAGEMENT)
    assert [each["id"] for each in listed] == [job_id]
    assert listed[0]["result"] is True
    assert listed[0]["plan"] == signed().plan.plan_hash
    assert shown.json()["result"]["sum"] == PARTS
    assert shown.json()["plan"] == signed().to_json()
    assert shown.json()["done"] == PARTS * SIZE
    assert CANARY not in shown.text


async def test_auditors_look_and_do_not_cancel(api: Api) -> None:
    api.counting.hold.clear()
    job_id = await api.jobs.start(signed(), {})
    assert (await api.get(f"/audit/jobs/{job_id}", AUDIT)).status_code == 200
    assert (await api.get("/management/jobs", AUDIT)).status_code == 401
    path = f"/management/jobs/{job_id}/cancel"
    assert (await api.client.post(path, headers=AUDIT)).status_code == 401
    cancelled = await api.client.post(path, headers=MANAGEMENT)
    assert cancelled.json()["state"] == "cancelled"
    again = await api.client.post(path, headers=MANAGEMENT)
    assert again.status_code == 200
    api.counting.hold.set()


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [("0" * 32, 404, "job.unknown"), ("nothing", 400, "request.malformed")],
)
async def test_a_job_that_is_not_there_is_a_problem(
    api: Api, job: str, status: int, code: str
) -> None:
    answer = await api.get(f"/audit/jobs/{job}", AUDIT)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


# --- the command line -------------------------------------------------------


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node()
    monkeypatch.setattr(Management, "of", lambda _: made)
    return made


def test_jobs_are_listed_with_their_stage(node: Node) -> None:
    node.answers["/management/jobs"] = {"items": [told(), DONE]}
    assert fieldpact("jobs").stdout.splitlines() == [
        "id\tkind\trole\tpartners\tstate\tstage\tcreated",
        f"{ASKED}\trunning\tweigh 400 of 2,000\t2026-11-22T18:20:00Z",
        f"{ASKED}\tdone\t\t2026-11-22T18:20:00Z",
    ]


def test_without_jobs_there_is_nothing_to_list(node: Node) -> None:
    node.answers["/management/jobs"] = {"items": []}
    assert "no plan was carried out yet" in fieldpact("jobs").stdout


def test_a_job_is_shown_with_count_rate_and_what_is_left(node: Node) -> None:
    node.answers[f"/management/jobs/{JOB}"] = told()
    result = fieldpact("job", "show", JOB)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "… heat-map C: running",
        f"  asked of {PROVIDER}",
        "  weigh 400 of 2,000 · 80/s · 20 s",
    ]


def test_a_job_that_is_done_is_shown_with_its_result(node: Node) -> None:
    node.answers[f"/management/jobs/{JOB}"] = DONE
    result = fieldpact("job", "show", JOB)
    assert "✓ heat-map C: done" in result.stdout
    assert "epsilon 0.5 spent" in result.stdout
    assert "North\t12\nSouth\t···\n" in result.stdout


def test_a_job_is_shown_with_the_receipts_of_its_steps(node: Node) -> None:
    allowed = {
        "id": "ab" * 32,
        "at": "2026-11-22T18:20:00Z",
        "party": PROVIDER,
        "step": "table",
        "decision": "allow",
        "denials": [],
        "state": "verified",
        "spent": 500_000,
    }
    denials = ["rate.exceeded", "rows.exceeded"]
    refused = {"id": "cd" * 32, "step": "open", "decision": "deny", "spent": 0}
    refused = allowed | refused | {"denials": denials}
    told = DONE | {"receipts": [allowed, refused], "more_receipts": True}
    node.answers[f"/management/jobs/{JOB}"] = told
    lines = fieldpact("job", "show", JOB).stdout.splitlines()
    assert lines[-4:] == [
        "receipts of its steps (the newest):",
        "step\tparty\tdecision\tspent\tstate\treceipt",
        f"table\t{PROVIDER}\tallow\t0.5\tverified\t{'ab' * 32}",
        f"open\t{PROVIDER}\trate.exceeded\t\tverified\t{'cd' * 32}",
    ]


@pytest.mark.parametrize(
    ("state", "refused", "said", "code"),
    [
        ("failed", False, "failed", 1),
        ("failed", True, "refused", 3),
        ("cancelled", False, "cancelled", 5),
    ],
)
def test_how_a_job_ended_is_the_exit_code(
    node: Node, state: str, refused: bool, said: str, code: int
) -> None:
    error = {"code": "cohort.too_small", "detail": "Fewer than agreed."}
    ended = told(state=state, refused=refused, error=error)
    node.answers[f"/management/jobs/{JOB}"] = ended
    result = fieldpact("job", "show", JOB)
    assert result.exit_code == code
    assert result.stdout.startswith(f"✗ heat-map C: {said}\n")
    assert "cohort.too_small Fewer than agreed." in result.stdout
    assert fieldpact("job", "show", JOB, "--json").exit_code == code


def test_a_job_is_followed_until_it_has_ended(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    looks = [told(stage="", done=0, total=0, rate=None, eta_s=None), told(), DONE]
    node.answers[f"/management/jobs/{JOB}"] = iter(looks)
    result = fieldpact("job", "watch", JOB, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["result"] == RESULT


def test_following_shows_a_bar_for_each_stage() -> None:
    seen = StringIO()
    console = Console(file=seen, force_terminal=True, width=160)
    looks = iter([told(stage="encrypt", done=5, total=5), told(), DONE])
    with Progress(*progress.columns(), console=console) as bars:
        command.watch(lambda: next(looks), bars, pause=lambda _: bars.refresh())
    shown = seen.getvalue()
    assert "5/5" in shown
    assert "400/2000" in shown
    assert "80/s · 20 s" in shown


def test_a_job_is_cancelled(node: Node) -> None:
    path = f"/management/jobs/{JOB}/cancel"
    node.answers[path] = told(state="cancelled")
    assert f"✓ {JOB} is cancelled" in fieldpact("job", "cancel", JOB).stdout
    assert node.sent == [(path, {})]
    assert '"cancelled"' in fieldpact("job", "cancel", JOB, "--json").stdout
