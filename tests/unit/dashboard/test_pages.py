"""The dashboard over HTTP, in process: what it answers, to whom, and how it fails."""

import datetime
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard.app import create_app
from dashboard.assets import Assets
from dashboard.security import CONTENT_SECURITY_POLICY
from dashboard.settings import read_settings
from tests.support.audit_api import ACCESS_KEY, TOKEN, SimulatedAudit, write_settings
from tests.support.audit_world import World

NOW = datetime.datetime(2026, 11, 22, 10, 20, 4, tzinfo=datetime.UTC)
OWN = {"sec-fetch-site": "same-origin"}
PARTIAL = {"hx-request": "true", "hx-request-type": "partial"}
ASSET_NAMES = ("app.css", "app.js", "receipt.js", "mark.svg", "inter.woff2")


@dataclass
class Fixed:
    at: datetime.datetime = NOW

    def now(self) -> datetime.datetime:
        return self.at


@dataclass
class Site:
    """A dashboard over a simulated node, and a reader who has signed in."""

    reader: httpx.AsyncClient
    stranger: httpx.AsyncClient
    audit: SimulatedAudit
    clock: Fixed

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.reader.get(path, headers=headers)

    def receipt_id(self, place: int = 0) -> str:
        return self.audit.world.entries[place].receipt.receipt_id


@pytest.fixture(scope="module")
def world() -> World:
    return World(now=NOW, calls=400)


@pytest.fixture
async def site(world: World, tmp_path: Path) -> AsyncIterator[Site]:
    audit = SimulatedAudit(world)
    path = write_settings(tmp_path, audit, node="http://127.0.0.1:1", port=8290)
    clock = Fixed()
    node = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=audit.app()),
        base_url="http://node",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assets = Assets(directory=tmp_path, names={name: name for name in ASSET_NAMES})
    app = create_app(
        read_settings(path), clock=clock, http=node, chain=world.chain, assets=assets
    )

    def client() -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8290")

    async with node, client() as reader, client() as stranger:
        answer = await reader.post("/sign-in", data={"key": ACCESS_KEY}, headers=OWN)
        assert answer.status_code == 303
        yield Site(reader, stranger, audit, clock)


# --- who may look


@pytest.mark.parametrize("path", ["/", "/calls", "/receipts/" + "0" * 64])
async def test_a_stranger_is_asked_to_sign_in_and_brought_back(
    site: Site, path: str
) -> None:
    answer = await site.stranger.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=/")


async def test_a_fragment_without_a_session_sends_the_whole_page_to_sign_in(
    site: Site,
) -> None:
    answer = await site.stranger.get("/calls", headers=PARTIAL)
    assert (answer.status_code, answer.text) == (401, "")
    assert answer.headers["hx-redirect"] == "/sign-in?next=/calls"


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    site: Site,
) -> None:
    answer = await site.stranger.post("/sign-in", data={"key": ACCESS_KEY}, headers=OWN)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


async def test_a_form_of_another_site_cannot_sign_in_or_out(site: Site) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    answer = await site.stranger.post(
        "/sign-in", data={"key": ACCESS_KEY}, headers=foreign
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert (await site.reader.post("/sign-out", headers=foreign)).status_code == 403
    assert (await site.get("/")).status_code == 200


async def test_five_wrong_keys_make_even_the_right_one_wait(site: Site) -> None:
    for _ in range(5):
        answer = await site.stranger.post(
            "/sign-in", data={"key": "guess"}, headers=OWN
        )
        assert answer.status_code == 403
    answer = await site.stranger.post("/sign-in", data={"key": ACCESS_KEY}, headers=OWN)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_a_huge_form_is_a_wrong_key_and_not_read_to_its_end(site: Site) -> None:
    answer = await site.stranger.post(
        "/sign-in", data={"key": "x" * 100_000}, headers=OWN
    )
    assert answer.status_code == 403


async def test_signing_out_closes_the_door(site: Site) -> None:
    await site.reader.post("/sign-out", headers=OWN)
    assert (await site.get("/")).status_code == 303


# --- every answer


@pytest.mark.parametrize(
    "path", ["/", "/calls", "/sign-in", "/nowhere", "/static/x", "/health/live"]
)
async def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    headers = (await site.get(path)).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    "path", ["/", "/calls", "/calls?decision=deny", "/sign-in", "/nowhere"]
)
async def test_a_page_is_whole_in_its_language_and_has_nothing_inline(
    site: Site, path: str, language: str
) -> None:
    mark = "&" if "?" in path else "?"
    text = (await site.get(f"{path}{mark}lang={language}")).text
    if text:  # signed in, the sign-in page only passes on
        assert f'<html lang="{"zh-Hans" if language == "zh" else "en"}"' in text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", text)
    if language == "en":
        own = re.sub(r'<(\w+)[^>]*lang="zh-Hans"[^>]*>.*?</\1>', "", text)
        assert not re.search(r"[\u3400-\u9fff\uff00-\uffef]", own)


async def test_a_wish_in_the_address_is_remembered(site: Site) -> None:
    await site.get("/?lang=zh&theme=dark&tz=utc")
    text = (await site.get("/")).text
    assert '<html lang="zh-Hans" data-theme="dark"' in text
    assert " UTC" in text


async def test_the_browsers_language_is_used_when_there_is_no_wish(site: Site) -> None:
    answer = await site.stranger.get(
        "/sign-in", headers={"accept-language": "fr, zh-CN;q=0.8"}
    )
    assert '<html lang="zh-Hans"' in answer.text


# --- overview and log


async def test_the_overview_says_in_a_sentence_who_read_what(site: Site) -> None:
    text = (await site.get("/")).text
    assert re.search(
        r"In the last 7 days, <b>\d</b> partners read your data under <b>24</b> grants",
        text,
    )
    assert '<th scope="col">Lumen Battery</th>' in text


async def test_the_log_answers_a_script_with_the_changed_part_only(site: Site) -> None:
    answer = await site.get("/calls?decision=deny", **PARTIAL)
    assert "<html" not in answer.text
    assert answer.text.lstrip().startswith("<section")
    assert "HX-Request-Type" in answer.headers["vary"]


async def test_the_log_shows_the_whole_page_to_everybody_else(site: Site) -> None:
    assert "<html" in (await site.get("/calls?decision=deny")).text


async def test_nothing_found_keeps_the_filters_and_offers_a_way_out(site: Site) -> None:
    text = (await site.get("/calls?partner=did:web:nobody.example&decision=deny")).text
    assert "No call matches." in text
    assert "Clear all filters" in text
    assert 'value="did:web:nobody.example" selected' in text


@pytest.mark.parametrize("cursor", ["abc", "1;drop", "9" * 40, "-"])
async def test_a_cursor_that_is_no_number_is_passed_over(
    site: Site, cursor: str
) -> None:
    assert (await site.get(f"/calls?before={cursor}")).status_code == 200


# --- receipts


async def test_the_server_checks_with_the_third_partys_library(site: Site) -> None:
    text = (await site.get(f"/receipts/{site.receipt_id(0)}?check=server")).text
    assert text.count("line is-checked") == 5
    assert "All checks passed on this dashboard’s server" in text
    assert "receipt.js" not in re.sub(r'data-script="[^"]*"', "", text)


@pytest.mark.parametrize("receipt_id", ["0" * 64, "F" * 64, "../../etc", "%2e%2e"])
async def test_a_receipt_that_does_not_exist_is_a_page_and_no_crash(
    site: Site, receipt_id: str
) -> None:
    assert (await site.get(f"/receipts/{receipt_id}")).status_code in {200, 404}
    assert (await site.get(f"/receipts/{receipt_id}?check=server")).status_code == 404


async def test_a_receipt_that_is_erased_is_said_to_be_so_and_still_listed(
    site: Site,
) -> None:
    receipt_id = site.receipt_id(-1)
    site.audit.erased.add(receipt_id)
    for path in ("?check=server", "/check.json", "/evidence.json"):
        answer = await site.get(f"/receipts/{receipt_id}{path}")
        assert answer.status_code == 410
        if path.endswith(".json"):
            assert answer.json()["code"] == "erased"
        else:
            assert "What this receipt said is erased" in answer.text
            assert "Its place in the log" in answer.text
    calls = await site.get("/calls?window=90d")
    assert calls.status_code == 200
    assert calls.text.count("What it said was erased") == 1
    assert "&lt;asked&gt; to" in calls.text
    assert receipt_id in calls.text
    chinese = await site.get("/calls?window=90d&lang=zh")
    assert chinese.status_code == 200


async def test_the_browser_gets_the_pins_of_the_dashboard_and_not_the_nodes(
    site: Site,
) -> None:
    def lie(evidence: dict[str, Any]) -> dict[str, Any]:
        return evidence | {"participants": [], "registry": {"pins": []}}

    site.audit.tampering[site.receipt_id()] = lie
    material = (await site.get(f"/receipts/{site.receipt_id()}/check.json")).json()
    assert material["registry"]["source"] == "registry.json"
    assert len(material["registry"]["pins"]) == 7


async def test_the_chain_is_asked_about_the_pinned_account(site: Site) -> None:
    other = "0x" + "ee" * 20

    def lie(evidence: dict[str, Any]) -> dict[str, Any]:
        return evidence | {"anchor": evidence["anchor"] | {"member": other}}

    site.audit.tampering[site.receipt_id()] = lie
    answer = (await site.get(f"/receipts/{site.receipt_id()}/anchor.json")).json()
    assert answer["state"] == "held"
    assert answer["member"] == site.audit.world.companies[0].participant.chain_address


async def test_a_silent_chain_is_said_to_be_silent(site: Site) -> None:
    site.audit.world.chain.answers = False
    try:
        answer = (await site.get(f"/receipts/{site.receipt_id()}/anchor.json")).json()
        text = (await site.get(f"/receipts/{site.receipt_id()}?check=server")).text
    finally:
        site.audit.world.chain.answers = True
    assert answer == {"state": "unavailable"}
    assert text.count("line is-stated") == 2  # the receipt's anchor, the snapshot's


async def test_a_chain_whose_clock_is_nonsense_still_holds_the_anchor(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.audit.world.chain, "anchored_at", lambda *_: 2**200)
    answer = (await site.get(f"/receipts/{site.receipt_id()}/anchor.json")).json()
    assert (answer["state"], answer["at"]) == ("held", None)
    text = (await site.get(f"/receipts/{site.receipt_id()}?check=server")).text
    assert text.count("line is-checked") == 5


async def test_the_chain_is_asked_about_the_snapshots_own_anchor(site: Site) -> None:
    def lie(evidence: dict[str, Any]) -> dict[str, Any]:
        return evidence | {"committed": evidence["committed"] | {"snapshot_place": {}}}

    path = f"/receipts/{site.receipt_id()}/anchor.json"
    answer = (await site.get(f"{path}?of=snapshot")).json()
    assert (answer["state"], answer["epoch"]) == ("held", 1)
    assert answer["at"].endswith("+08:00")
    site.audit.tampering[site.receipt_id()] = lie
    assert (await site.get(f"{path}?of=snapshot")).json() == {"state": "unreadable"}
    assert (await site.get(path)).json()["state"] == "held"


async def test_the_evidence_file_is_what_the_offline_verifier_reads(site: Site) -> None:
    from ledger.evidence import parse_evidence

    answer = await site.get(f"/receipts/{site.receipt_id()}/evidence.json")
    assert "attachment" in answer.headers["content-disposition"]
    parsed = parse_evidence(json.dumps(answer.json()).encode())
    assert parsed.signed.receipt.receipt_id == site.receipt_id()


# --- when the node does not answer as it should


async def test_without_an_answer_the_newest_figures_are_shown_with_their_age(
    site: Site,
) -> None:
    assert (await site.get("/")).status_code == 200
    site.audit.failure = 500
    site.clock.at = NOW + datetime.timedelta(minutes=12)
    answer = await site.get("/?window=30d")
    assert answer.status_code == 503
    assert "2026-11-22 18:20:04 +08:00, 12 min old" in answer.text
    assert (
        "In the last 7 days" in answer.text
    )  # what the figures are of, not what was asked
    assert "Disconnected" in answer.text


Fault = Callable[[SimulatedAudit], None]


@pytest.mark.parametrize(
    ("break_it", "status", "words"),
    [
        (lambda audit: setattr(audit, "failure", 500), 502, "reports a failure"),
        (lambda audit: setattr(audit, "failure", 400), 502, "cannot be read"),
        (lambda audit: setattr(audit, "failure", 401), 502, "refuses this dashboard"),
        (lambda audit: setattr(audit, "nonsense", True), 502, "cannot be read"),
    ],
)
async def test_a_node_that_fails_gets_a_page_that_says_what_failed(
    site: Site, break_it: Fault, status: int, words: str
) -> None:
    break_it(site.audit)
    answer = await site.get("/calls")
    assert answer.status_code == status
    assert words in answer.text
    assert "Reference " in answer.text
    assert "Traceback" not in answer.text


async def test_another_companys_node_is_refused(world: World, site: Site) -> None:
    world.companies.reverse()
    try:
        answer = await site.get("/calls")
    finally:
        world.companies.reverse()
    assert answer.status_code == 502


async def test_a_fault_of_its_own_is_a_page_with_the_headers_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of this test")

    monkeypatch.setattr("dashboard.pages.overview.matrix_view", fail)
    answer = await site.get("/")
    assert answer.status_code == 500
    assert "The dashboard failed" in answer.text
    assert "a fault of this test" not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["cache-control"] == "no-store"


async def test_data_requests_get_problems_as_data(site: Site) -> None:
    site.audit.failure = 500
    answer = await site.get(f"/receipts/{site.receipt_id()}/check.json")
    assert answer.status_code == 502
    assert answer.json()["code"] == "failing"
