"""The dashboard over nodes that really ask each other for figures.

The simulated audit API serves every other test of these pages; this one holds the
simulation to the truth. Whatever a node tells of a job of any kind, the page reads.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from dashboard.app import create_app
from dashboard.assets import Assets
from dashboard.i18n import catalogue
from dashboard.pages.jobs import stage_of
from dashboard.settings import read_settings
from tests.e2e.test_dashboard_node import KEY, NAMES
from tests.support.companies import CODES, COMMON, REGIONS, Companies, open_companies
from tests.support.node import Node

pytestmark = pytest.mark.asyncio(loop_scope="module")
CUSTOMERS = [f"VIN-{n:04}" for n in range(COMMON)]
GROUPS = [
    {"field": "region", "values": list(REGIONS)},
    {"field": "code", "values": list(CODES)},
]
COUNT = {"what": "count"}
SUM = {"what": "sum", "field": "cost", "bound": "50.00"}
EPSILON = {"epsilon_micro": 4_000_000}
DRAFTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "heat map": (
        (0,),
        {"kind": "heat-map", "mode": "C", "groups": GROUPS, "measure": COUNT, **EPSILON}
        | {"contribution": 2},
    ),
    "joint sum": (
        (0,),
        {"kind": "joint-sum", "measure": SUM, "customers": CUSTOMERS, **EPSILON},
    ),
    "shared customers": (
        (0,),
        {"kind": "intersection", "mode": "count", "customers": CUSTOMERS},
    ),
    "three companies": ((0, 1), {"kind": "ring-count", "customers": CUSTOMERS}),
    "federated sum": (
        (0, 1, 2),
        {"kind": "federated-sum", "groups": GROUPS[:1], "measure": SUM, **EPSILON},
    ),
}


@dataclass
class Federation:
    """Companies, each kind of job done once, and readers of two dashboards."""

    world: Companies
    asker: httpx.AsyncClient
    provider: httpx.AsyncClient
    jobs: dict[str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    folder = tmp_path_factory.mktemp("jobs")
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_companies(folder, providers=3))
        jobs = {
            name: await world.ask(*numbers, **draft)
            for name, (numbers, draft) in DRAFTS.items()
        }
        enter = stack.enter_async_context
        yield Federation(
            world,
            asker=await enter(reading(world, world.asker)),
            provider=await enter(reading(world, world.providers[0])),
            jobs=jobs,
        )


@asynccontextmanager
async def reading(world: Companies, node: Node) -> AsyncIterator[httpx.AsyncClient]:
    """Sign in to a node's dashboard."""
    path = node.folder / "dashboard.toml"
    path.write_text(
        f"""
        participant = "{node.did}"
        registry = "../participants.json"
        access_key_sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
        language = "en"
        node.url = "{node.url}"
        node.token_file = "audit.token"
        listen.port = 8201
        """
    )
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=node.app),
        base_url=node.url,
        headers=node.operator("audit"),
    )
    app = create_app(
        read_settings(path),
        clock=world.clock,
        http=client,
        assets=Assets(directory=Path(), names={name: name for name in NAMES}),
    )
    transport = httpx.ASGITransport(app=app)
    async with (
        client,
        httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8201"
        ) as found,
    ):
        own = {"sec-fetch-site": "same-origin"}
        await found.post("/sign-in", data={"key": KEY}, headers=own)
        yield found


async def page(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def receipts(text: str) -> list[str]:
    return re.findall(r'href="/receipts/([0-9a-f]{64})"', text)


@pytest.mark.parametrize("name", DRAFTS)
async def test_what_a_node_tells_of_a_job_has_its_page(
    asked: Federation, name: str
) -> None:
    job = asked.jobs[name]
    assert job["state"] == "done", job["error"]
    text = await page(asked.asker, f"/jobs/{job['id']}")
    assert 'class="outcome checked"' in text
    assert 'id="result"' in text
    assert len(receipts(text)) >= len(job["partners"])
    for receipt in receipts(text)[:1]:
        checked = await page(asked.asker, f"/receipts/{receipt}?check=server")
        assert "line is-failed" not in checked
        assert job["result"]["plan"] in checked


async def test_a_heat_map_of_a_node_is_drawn_with_its_figures(
    asked: Federation,
) -> None:
    job = asked.jobs["heat map"]
    text = await page(asked.asker, f"/jobs/{job['id']}")
    assert text.count('<svg class="heat-map"') == 1
    for cell in job["result"]["cells"]:
        assert cell is None or f'<td class="number">{cell:,}</td>' in text
    assert f"± {job['result']['spread']} " in text
    file = await page(asked.asker, f"/jobs/{job['id']}/result.csv")
    assert file.count("\n") == 1 + len(job["result"]["cells"])


async def test_the_sum_of_a_node_has_its_bound(asked: Federation) -> None:
    told = asked.jobs["joint sum"]["result"]
    text = await page(asked.asker, f"/jobs/{asked.jobs['joint sum']['id']}")
    assert f"{told['sum'] / 100:,.2f}" in text
    assert f"± {told['spread'] / 100:,.2f} CNY" in text
    assert f"{COMMON}</dd>" in text


async def test_the_list_names_every_job_on_both_sides(asked: Federation) -> None:
    mine = await page(asked.asker, "/jobs")
    for job in asked.jobs.values():
        assert f'href="/jobs/{job["id"]}"' in mine
    theirs = await page(asked.provider, "/jobs")
    assert theirs.count("asked of us") == len(DRAFTS)
    (job, *_) = re.findall(r'href="/jobs/([0-9a-f]{32})"', theirs)
    text = await page(asked.provider, f"/jobs/{job}")
    assert "has the result." in text
    assert receipts(text)


async def test_what_was_spent_is_on_the_page_of_budgets(asked: Federation) -> None:
    spent = sum(
        job["result"]["spent"].get(asked.world.providers[0].did, 0)
        for job in asked.jobs.values()
        if "spent" in job["result"]
    )
    assert spent > 0
    text = await page(asked.provider, "/budget")
    left = (100_000_000 - spent) / 1_000_000
    assert f"ε {left:g} left of 100" in text
    assert "Where we ask" in await page(asked.asker, "/budget")
    assert "Privacy budget" in await page(asked.provider, "/")


async def test_stages_of_nodes_have_words(asked: Federation) -> None:
    stages = {stage_of(job["stage"]) for job in asked.jobs.values()}
    known = {key[6:] for key in catalogue("en") if key.startswith("stage.")}
    assert stages <= known
