"""A receipt of a plan's step is checked by server and by browser alike.

Both sides of a heat map have a dashboard. The provider's shows the plan beside the
receipt, the asker's the answer, too. The browser's check runs in Node, as in
`test_dashboard_suites`.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard.app import create_app
from dashboard.assets import Assets
from dashboard.settings import read_settings
from tests.e2e.test_dashboard_node import KEY, NAMES
from tests.e2e.test_dashboard_suites import Checked
from tests.support.companies import CODES, REGIONS, Companies, open_companies
from tests.support.node import Node

SETTINGS = """
participant = "{did}"
registry = "participants.json"
access_key_sha256 = "{key}"
language = "en"
node.url = "{url}"
node.token_file = "{folder}/audit.token"
listen.port = 8201
"""
LINES = {
    "record": "checked",
    "log": "checked",
    "signature": "checked",
    "anchor": "pending",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Companies]:
    async with open_companies(tmp_path) as world:
        job = await world.ask(
            kind="heat-map",
            mode="C",
            groups=[
                {"field": "region", "values": list(REGIONS)},
                {"field": "code", "values": list(CODES)},
            ],
            measure={"what": "count"},
            contribution=2,
            epsilon_micro=4_500_000,
        )
        assert job["state"] == "done", job["error"]
        await world.asker.services.countersign.deliver()
        await world.providers[0].services.keep_log.integrate()
        yield world


@pytest.fixture(params=["asker", "provider"])
async def checked(
    world: Companies, request: pytest.FixtureRequest
) -> AsyncIterator[Checked]:
    provider = world.providers[0]
    shown = world.asker if request.param == "asker" else provider
    receipt = provider.receipts()[0].receipt.receipt_id
    node = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=shown.app),
        base_url=shown.url,
        headers=shown.operator("audit"),
    )
    app = create_app(
        read_settings(_settings(world, shown)),
        clock=world.clock,
        http=node,
        chain=None,
        assets=Assets(directory=world.folder, names={name: name for name in NAMES}),
    )
    transport = httpx.ASGITransport(app=app)
    base = "http://127.0.0.1:8201"
    async with node, httpx.AsyncClient(transport=transport, base_url=base) as own:
        same = {"sec-fetch-site": "same-origin"}
        await own.post("/sign-in", data={"key": KEY}, headers=same)
        yield Checked(world, own, receipt)  # type: ignore[arg-type]


def _settings(world: Companies, node: Node) -> Path:
    key = hashlib.sha256(KEY.encode()).hexdigest()
    text = SETTINGS.format(did=node.did, key=key, url=node.url, folder=node.folder.name)
    file = world.folder / "dashboard.toml"
    file.write_text(text)
    return file


def _evidence(told: dict[str, Any], checked: Checked) -> dict[str, Any]:
    found: dict[str, Any] = told[f"/receipts/{checked.receipt}/check.json"]["evidence"]
    return found


async def test_every_line_of_a_step_is_checked_by_both(checked: Checked) -> None:
    server = await checked.by_server()
    assert {name: server[name] for name in LINES} == LINES
    assert "failed" not in server.values()
    told = await checked.told()
    assert "plan" in _evidence(told, checked)
    assert checked.by_browser(told) == LINES


async def test_the_facts_are_those_of_a_step(checked: Checked) -> None:
    address = f"/receipts/{checked.receipt}?check=server&lang=en"
    text = (await checked.reader.get(address)).text
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", text))
    assert facts["Step of a plan"] == "table"
    assert facts["Privacy spent by this step"] == "ε 4.5"
    plan, _, link = facts["Plan"].partition(" ")
    assert re.fullmatch(r"[0-9a-f]{64}", plan)
    assert link == f'<a href="/plans/{plan}">Open this plan</a>'
    job = await checked.reader.get(f"/plans/{plan}")
    shown = (await checked.reader.get(job.headers["location"])).text
    assert f'href="/receipts/{checked.receipt}"' in shown
    assert facts["Fields asked for"] == "code, region"
    for unsaid in ("Customers asked for", "Snapshot", "Statement hash"):
        assert unsaid not in facts
    chinese = (await checked.reader.get(address.replace("=en", "=zh"))).text
    assert "计划的步骤" in chinese
    assert "本步骤所用隐私预算" in chinese


def _changed(evidence: dict[str, Any], part: str, member: str, value: Any) -> None:
    evidence[part][member] = value


TAMPERINGS: dict[str, Callable[[dict[str, Any]], None]] = {
    "another plan": lambda it: _changed(it["plan"], "plan", "round", "ab" * 32),
    "a plan that nobody signed": lambda it: _changed(it, "plan", "signature", "A" * 86),
    "another answer": lambda it: it.update(
        answer={"members": {"cells": 1}, "payload": "ab" * 32}
    ),
}


@pytest.mark.parametrize("kind", TAMPERINGS)
async def test_another_plan_or_answer_is_refused_by_the_browser(
    checked: Checked, kind: str
) -> None:
    told = json.loads(json.dumps(await checked.told()))
    TAMPERINGS[kind](_evidence(told, checked))
    assert checked.by_browser(told)["record"] == "failed"


async def test_a_plan_of_somebody_who_is_not_pinned_is_only_stated(
    checked: Checked,
) -> None:
    told = await checked.told()
    evidence = _evidence(told, checked)
    registry = told[f"/receipts/{checked.receipt}/check.json"]["registry"]
    asker = evidence["plan"]["plan"]["asker"]
    registry["pins"] = [pin for pin in registry["pins"] if pin["did"] != asker]
    assert checked.by_browser(told)["record"] == "stated"


async def test_the_log_of_calls_names_the_step(checked: Checked) -> None:
    text = (await checked.reader.get("/calls?lang=en&window=90d")).text
    if "No call" not in text:  # the asker has answered nobody
        assert "Step “table” of a plan, ε 4.5 spent" in text
        assert "Step “open” of a plan</span>" in text
