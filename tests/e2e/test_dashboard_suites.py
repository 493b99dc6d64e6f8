"""A receipt of a node that signs with SM2 is checked by server and by browser alike.

The browser's check runs in Node, on the page's own script and a page that holds nothing
but what the script asks for. What it says of each line must be what the server says.
"""

import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto.encoding import b64u
from crypto.hashing import sm3
from crypto.keys import Ed25519Key
from crypto.signing import Signer
from crypto.sm import Sm2Key
from dashboard.app import create_app
from dashboard.assets import Assets
from dashboard.build import WEB, BuildError, find_tools
from dashboard.settings import read_settings
from tests.e2e.test_dashboard_node import KEY, NAMES, settings
from tests.support.node import PURPOSE, SHARED, World, open_world
from tests.vectors.reading import HERE

LINES = ("record", "log", "signature", "anchor", "snapshot")
SUITES: dict[str, dict[str, str]] = {
    "usual": {},
    "sm2": {"maker": "sm2"},
    "both": {"maker": "sm2", "supplier": "sm2"},
}
SM2 = Sm2Key.from_bytes(bytes(range(1, 33)))
OTHERS: dict[str, Signer] = {
    "ed25519": Ed25519Key.from_bytes(bytes(range(1, 33))),
    "sm2": SM2,
}


@dataclass
class Checked:
    """A provider's dashboard, and one receipt of it that has come to the chain."""

    world: World
    reader: httpx.AsyncClient
    receipt: str

    async def by_server(self) -> dict[str, str]:
        address = f"/receipts/{self.receipt}?check=server"
        text = (await self.reader.get(address)).text
        return {name: state for state, name in re.findall(_LINE, text)}

    async def told(self) -> dict[str, Any]:
        """Return what the page's script fetches, by address."""
        base = f"/receipts/{self.receipt}"
        names = ("check.json", "anchor.json", "anchor.json?of=snapshot")
        return {
            f"{base}/{name}": (await self.reader.get(f"{base}/{name}")).json()
            for name in names
        }

    def by_browser(self, told: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = _node(
            _PAGE, WEB / "src" / "receipt.js", {"receipt": self.receipt, "told": told}
        )
        return found


_LINE = r'class="line is-(\w+)" data-line="(\w+)"'
_PAGE = """
import { readFileSync } from "node:fs";
class Element {
  constructor() { this.found = {}; this.dataset = {}; }
  querySelector(what) { return (this.found[what] ??= new Element()); }
  cloneNode() { return new Element(); }
  get content() { return this; }
  replaceChildren() {}
  append() {}
  after() {}
}
const { receipt, told } = JSON.parse(readFileSync(0, "utf-8"));
globalThis.document = {
  documentElement: { lang: "en" },
  createElement: () => new Element(),
};
globalThis.fetch = async (url) => ({ ok: true, json: async () => structuredClone(told[url]) });
const { check } = await import(process.argv[1]);
const article = new Element();
article.dataset.receipt = receipt;
await check(article);
const lines = Object.entries(article.found).filter(([, line]) => line.className?.startsWith("line is-"));
const states = lines.map(([what, line]) => [what.match(/"(.*)"/)[1], line.className.slice(8)]);
process.stdout.write(JSON.stringify(Object.fromEntries(states)));
"""


def _node(script: str, module: Path, told: Any) -> Any:
    try:
        node = find_tools().node
    except BuildError:
        pytest.skip("no Node on this machine")
    done = subprocess.run(
        [*node, "--input-type=module", "-e", script, str(module)],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=SUITES)
async def checked(
    tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Checked]:
    async with open_world(tmp_path, suites=SUITES[request.param]) as world:
        receipt = await _anchored(world)
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
        base = "http://127.0.0.1:8201"
        async with node, httpx.AsyncClient(transport=transport, base_url=base) as own:
            same = {"sec-fetch-site": "same-origin"}
            await own.post("/sign-in", data={"key": KEY}, headers=same)
            yield Checked(world, own, receipt)


async def _anchored(world: World) -> str:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [SHARED[0]],
    }
    receipts: list[str] = []
    for _ in range(3):  # so that proofs have steps
        answer = await world.supplier.manage("/management/ask", question)
        receipts.append(answer["receipt"])
    await world.supplier.services.countersign.deliver()
    await world.maker.services.keep_log.integrate()
    await world.maker.services.anchoring()
    return receipts[1]


async def test_every_line_is_checked_by_both(checked: Checked) -> None:
    expected = dict.fromkeys(LINES, "checked")
    server = await checked.by_server()
    assert {name: server[name] for name in LINES} == expected
    assert "failed" not in server.values()
    assert checked.by_browser(await checked.told()) == expected


def _pin(told: dict[str, Any], checked: Checked) -> dict[str, Any]:
    """Return the provider's pin within what the page is told."""
    pins = told[f"/receipts/{checked.receipt}/check.json"]["registry"]["pins"]
    [found] = [each for each in pins if each["did"] == checked.world.maker.did]
    record: dict[str, Any] = found
    return record


async def test_a_key_of_before_is_found_by_the_browser(checked: Checked) -> None:
    told = await checked.told()
    pin = _pin(told, checked)
    suite = pin.get("signing", "ed25519")
    past = {
        "suite": suite,
        "public": pin["keys"][suite],
        "until": "2026-11-22T00:00:00Z",
    }
    pin["past_keys"] = [past]
    pin["keys"][suite] = b64u(OTHERS[suite].public_bytes)
    assert checked.by_browser(told) == dict.fromkeys(LINES, "checked")
    pin["past_keys"] = []
    assert checked.by_browser(told)["signature"] == "failed"


async def test_the_browser_takes_the_suite_from_the_pin(checked: Checked) -> None:
    told = await checked.told()
    pin = _pin(told, checked)
    if pin.pop("signing", None) is None:
        pin["signing"] = "sm2"
        pin["keys"]["sm2"] = b64u(OTHERS["sm2"].public_bytes)
    found = checked.by_browser(told)
    assert found["record"] == "checked"
    assert (found["signature"], found["log"]) == ("failed", "failed")


async def test_the_browser_notices_a_changed_signature(checked: Checked) -> None:
    told = await checked.told()
    evidence = told[f"/receipts/{checked.receipt}/check.json"]["evidence"]
    signature = evidence["provider_signature"]
    first = "B" if signature[0] == "A" else "A"
    evidence["provider_signature"] = first + signature[1:]
    found = checked.by_browser(told)
    assert found["record"] == "checked"
    assert (found["signature"], found["log"]) == ("failed", "failed")


_SM2 = """
import { readFileSync } from "node:fs";
const { sm3, signedWithSm2 } = await import(process.argv[1]);
const { texts, cases } = JSON.parse(readFileSync(0, "utf-8"));
const octets = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
process.stdout.write(JSON.stringify({
  hashes: texts.map((text) => hex(sm3(octets(text)))),
  signed: cases.map(([key, message, signature]) => signedWithSm2(octets(key), octets(message), octets(signature))),
}));
"""


def test_the_browsers_sm2_and_sm3_are_those_of_the_server() -> None:
    texts = [bytes(index % 251 for index in range(size)) for size in range(0, 200, 7)]
    made = [(SM2.public_bytes, text, SM2.sign(text)) for text in texts[:5]]
    vectors = json.loads((HERE / "sm2.json").read_text())["cases"]
    told = {
        "texts": [text.hex() for text in texts],
        "cases": [
            *([part.hex() for part in case] for case in made),
            *(
                [case["public"], case["message"].encode().hex(), case["signature"]]
                for case in vectors
            ),
        ],
    }
    found = _node(_SM2, WEB / "src" / "sm.js", told)
    assert found["hashes"] == [sm3(text).hex() for text in texts]
    right = [case["expect"] == "success" for case in vectors]
    assert found["signed"] == [True] * len(made) + right
