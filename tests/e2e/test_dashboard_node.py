"""The dashboard over a real node: its audit API is what the dashboard expects.

The simulated audit API serves every other test of the dashboard. This one holds
the simulation to the truth.
"""

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dashboard.app import create_app
from dashboard.assets import Assets
from dashboard.settings import read_settings
from tests.support.node import SHARED, World, open_world

KEY = "a key for this test"
NAMES = ("app.css", "app.js", "receipt.js", "mark.svg", "inter.woff2")


@dataclass
class Audited:
    """A federation with some calls, and a reader of the provider's dashboard."""

    world: World
    reader: httpx.AsyncClient

    async def page(self, path: str) -> str:
        answer = await self.reader.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
async def audited(tmp_path: Path) -> AsyncIterator[Audited]:
    async with open_world(tmp_path) as world:
        await call(world)
        (tmp_path / "dashboard.toml").write_text(settings(world))
        node = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=world.maker.app),
            base_url=world.maker.url,
            headers=world.maker.operator("audit"),
        )
        app = create_app(
            read_settings(tmp_path / "dashboard.toml"),
            clock=world.clock,
            http=node,
            chain=world.chain,
            assets=Assets(directory=tmp_path, names={name: name for name in NAMES}),
        )
        transport = httpx.ASGITransport(app=app)
        async with (
            node,
            httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8201"
            ) as reader,
        ):
            own = {"sec-fetch-site": "same-origin"}
            await reader.post("/sign-in", data={"key": KEY}, headers=own)
            yield Audited(world, reader)


def settings(world: World) -> str:
    return f"""
        participant = "{world.maker.did}"
        registry = "participants.json"
        access_key_sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
        language = "en"
        node.url = "{world.maker.url}"
        node.token_file = "maker/audit.token"
        listen.port = 8201
    """


async def call(world: World) -> None:
    """Make calls of several kinds; the first three receipts are anchored."""
    await world.query()
    await world.query(fields=["contact_phone"])
    await world.query(token=None)
    await world.maker.services.keep_log.integrate()
    await world.maker.services.anchoring()
    await world.query(purpose="credit-scoring")
    await world.query(customers=[world.customer(name) for name in SHARED])


async def test_the_overview_counts_what_the_node_did(audited: Audited) -> None:
    text = await audited.page("/")
    assert "<b>1</b> partner read your data under <b>5</b> grants" in text
    assert re.search(r"Allowed calls</dt><dd>2</dd>", text)
    assert re.search(r'Denied calls</dt><dd class="is-denied">3</dd>', text)
    assert "Supplier asked for phone, which it was not granted" in text
    assert "1 call gave a purpose outside the grant" in text


async def test_every_filter_of_the_log_is_one_that_the_node_knows(
    audited: Audited,
) -> None:
    for query, found in {
        "decision=deny": 3,
        "code=purpose.mismatch": 1,
        "field=contact_phone": 1,
        "partner=unknown": 1,
        f"partner={audited.world.supplier.did.replace('%', '%25')}": 4,
        f"agreement={audited.world.agreement}": 5,
        "dataset=projects&purpose=joint-delivery&decision=allow": 2,
        "window=30d": 5,
        "after=0": 5,
        "before=3": 5,
    }.items():
        text = await audited.page(f"/calls?{query}")
        assert re.search(rf"<strong>{found} calls?</strong>", text), query


async def test_receipts_of_the_node_stand_up_to_the_check(audited: Audited) -> None:
    text = await audited.page("/calls")
    newest, *_, oldest = re.findall(r'href="/receipts/([0-9a-f]{64})"', text)
    checked = await audited.page(f"/receipts/{oldest}?check=server")
    assert checked.count("line is-checked") == 5
    assert checked.count("line is-pending") == 1  # not countersigned yet
    pending = await audited.page(f"/receipts/{newest}?check=server")
    assert pending.count("line is-pending") == 3
    material = (await audited.reader.get(f"/receipts/{oldest}/check.json")).json()
    assert set(material["evidence"]) >= {"receipt", "canonical", "anchor", "salt"}
    anchor = (await audited.reader.get(f"/receipts/{oldest}/anchor.json")).json()
    assert anchor["state"] == "held"
