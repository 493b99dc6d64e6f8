"""The dashboard in a real browser, as its readers use it.

An autouse guard fails any test in which a page logs an error, breaks the content
security policy, or asks anything of another origin.
"""

import datetime
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
)

from crypto.encoding import b64u, canonical, unb64u
from dashboard.assets import STATIC
from dashboard.build import WEB
from tests.support.audit_api import ACCESS_KEY, Evidence
from tests.support.audit_world import Entry, seeded
from tests.support.dashboards import Site, chromium_path, running_chromium, running_site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium_path() is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(
        not (STATIC / "manifest.json").exists(),
        reason="the front end is not built: python -m dashboard.build",
    ),
]
AXE = WEB / "node_modules/axe-core/axe.min.js"
RECEIPT_LINES = ("record", "log", "signature", "anchor")
PATIENCE_MS = 60_000
"""How long a page may take on a machine that is slow, or busy."""
HAN = re.compile(r"[\u3400-\u9fff\uff00-\uffef]")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = chromium_path()
    assert path is not None
    expect.set_options(timeout=PATIENCE_MS)
    with running_chromium(path) as browser:
        yield browser


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    yield running
    running.audit.tampering.clear()
    running.audit.failure = 0
    running.audit.troubled = False
    running.audit.world.chain.answers = True


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, running: Site) -> Any:
    """The cookies of a reader who has signed in once for the whole module."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    sign_in(page, running.url)
    state = context.storage_state()
    context.close()
    return state


class Guard:
    """Everything that must not happen while a page is looked at."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.seen: list[str] = []
        self.tolerated: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.seen.append(f"error: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.seen.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:")):
            self.seen.append(f"foreign request: {request.url}")

    def judge(self) -> None:
        assert [
            it for it in self.seen if not any(ok in it for ok in self.tolerated)
        ] == []


@pytest.fixture(autouse=True)
def guard(site: Site) -> Iterator[Guard]:
    guard = Guard(site.url)
    yield guard
    guard.judge()


Opens = Callable[..., Page]


@pytest.fixture
def opens(
    chromium: Browser, site: Site, guard: Guard, signed_in: Any
) -> Iterator[Opens]:
    """Open a path as a reader who has signed in; keywords go to the context."""
    contexts: list[BrowserContext] = []

    def open_(path: str, *, state: Any = signed_in, **options: Any) -> Page:
        context = chromium.new_context(
            base_url=site.url, storage_state=state, reduced_motion="reduce", **options
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        guard.watch(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/sign-in?lang=en")
    page.get_by_label("Access key").fill(ACCESS_KEY)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")


def entry(site: Site, state: str, decision: str = "allow") -> Entry:
    """Return a countersigned call whose receipt has come this far."""
    return next(
        it
        for it in reversed(site.audit.world.entries)
        if site.audit.world.state(it) == state
        and it.receipt.decision == decision
        and it.countersignature
    )


def proof(site: Site, operator: str, decision: str = "allow") -> Entry:
    """Return an anchored call in which one such condition was to be proved."""
    return next(
        it
        for it in reversed(site.audit.world.entries)
        if site.audit.world.state(it) == "anchored"
        and it.receipt.decision == decision
        and [condition.operator for condition in it.receipt.where] == [operator]
        and (it.receipt.withheld > 1 < it.receipt.records or decision == "deny")
    )


def lines(page: Page) -> dict[str, str]:
    """Return the state of each line of a finished check."""
    page.locator("[data-checked=done]").wait_for()
    found = page.locator("[data-line]:not([hidden])").all()
    return {
        str(it.get_attribute("data-line")): str(it.get_attribute("class")).split("is-")[
            1
        ]
        for it in found
    }


# --- signing in


def test_a_reader_signs_in_and_out(opens: Opens, guard: Guard) -> None:
    guard.tolerated.append("403")  # the wrong key; the browser logs the answer
    page = opens("/calls?decision=deny&lang=en", state=None)
    page.get_by_label("Access key").fill("a guess")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the access key")
    page.get_by_label("Access key").fill(ACCESS_KEY)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/calls\?decision=deny"))
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(r"/sign-in"))
    page.goto("/calls")
    expect(page).to_have_url(re.compile(r"/sign-in"))


# --- overview


def test_a_cell_of_the_matrix_opens_the_calls_behind_it(opens: Opens) -> None:
    page = opens("/?lang=en")
    cell = (
        page.get_by_role("row", name=re.compile("^Project stage"))
        .get_by_role("link")
        .first
    )
    title = str(cell.get_attribute("title"))  # "83 allowed (clear), 1 denied"
    count = sum(int(number) for number in re.findall(r"\d+", title))
    cell.click()
    expect(page.get_by_role("status")).to_contain_text(f"{count} calls")
    expect(page.get_by_label("Partner")).to_have_value("did:web:127.0.0.1%3A8102")
    expect(page.get_by_label("Field")).to_have_value("project_stage")


def test_the_chart_has_a_table_twin(opens: Opens) -> None:
    page = opens("/?lang=en")
    page.get_by_text("As a table").click()
    table = page.get_by_role("table", name="Calls over time")
    expect(table.get_by_role("row")).to_have_count(9)  # a heading and eight days


def test_a_cold_overview_is_small(opens: Opens) -> None:
    page = opens("/sign-in?lang=en", state=None)
    page.get_by_label("Access key").fill(ACCESS_KEY)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    sizes: dict[str, float] = {}
    session.on(
        "Network.loadingFinished",
        lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}),
    )
    page.reload(wait_until="networkidle")
    for _ in range(100):  # what loaded is told a little later
        page.wait_for_timeout(200)
        if len(sizes) >= 4:
            break
    assert 4 <= len(sizes) <= 8
    assert sum(sizes.values()) <= 110 * 1024


# --- call log


def sequence_of_receipts(page: Page) -> list[str]:
    return [str(it.get_attribute("href")) for it in page.locator("a.hash").all()]


def test_paging_walks_through_every_call_once(opens: Opens, site: Site) -> None:
    page = opens("/calls?window=90d&decision=deny&lang=en")
    denied = [it for it in site.audit.world.entries if it.receipt.decision == "deny"]
    found = sequence_of_receipts(page)
    while page.get_by_role("link", name="Older").count():
        before = page.url
        page.get_by_role("link", name="Older").click()
        expect(page).not_to_have_url(before)
        found += sequence_of_receipts(page)
    assert found == [f"/receipts/{it.receipt.receipt_id}" for it in reversed(denied)]


def test_a_page_can_be_sent_to_a_colleague_and_left_by_back(opens: Opens) -> None:
    page = opens("/calls?lang=en")
    first = sequence_of_receipts(page)
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile("before="))
    second = sequence_of_receipts(page)
    assert not set(first) & set(second)
    page.reload()
    assert sequence_of_receipts(page) == second
    page.go_back()
    expect(page.locator("a.hash").first).to_have_attribute("href", first[0])
    page.goto(page.url.split("?")[0] + "?window=7d")
    page.get_by_role("link", name="Oldest").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()


def test_filters_live_in_the_address_and_survive_a_reload(opens: Opens) -> None:
    page = opens("/calls?lang=en")
    choose(page, "Partner", "Voltway Charging")
    expect(page).to_have_url(re.compile(r"partner=did%3Aweb%3A127\.0\.0\.1%253A8103"))
    choose(page, "Decision", "Denied")
    expect(page).to_have_url(re.compile(r"decision=deny"))
    assert not re.search(r"=(&|$)", page.url)  # nothing empty in it
    page.get_by_role("link", name="30 days").click()  # keeps what was set in place
    expect(page).to_have_url(re.compile("window=30d"))
    expect(page.get_by_label("Decision")).to_have_value("deny")
    rows = page.locator(".calls tbody tr")
    expect(rows.first).to_contain_text("Denied")
    page.reload()
    expect(page.get_by_label("Partner")).to_have_value("did:web:127.0.0.1%3A8103")
    assert all("Voltway Charging" in text for text in rows.all_inner_texts())
    page.get_by_role("link", name="Remove the filter Decision").click()
    expect(page).not_to_have_url(re.compile("decision"))


def choose(page: Page, label: str, text: str) -> None:
    """Choose the option that starts with a text; its count follows."""
    options = page.get_by_label(label).locator("option")
    full = next(it for it in options.all_inner_texts() if it.strip().startswith(text))
    page.get_by_label(label).select_option(label=full.strip())


# --- receipts


def test_an_anchored_receipt_is_verified_in_the_browser(
    opens: Opens, site: Site
) -> None:
    call = entry(site, "anchored")
    page = opens(f"/receipts/{call.receipt.receipt_id}?lang=en")
    assert set(lines(page).values()) == {"checked"}
    expect(page.locator("[data-verdict] h2")).to_have_text("Verified")
    expect(page.locator("[data-line=signature]")).to_contain_text(
        "registry.json, pinned by this dashboard"
    )
    facts = page.locator("[data-facts]")
    expect(facts).to_contain_text(call.receipt.at)
    for name in call.receipt.fields:
        expect(facts).to_contain_text(name)
    page.get_by_text("The record, byte for byte").click()
    record = page.locator("[data-record] pre").inner_text()
    assert json.loads(record) == call.receipt.to_json()


def test_a_refusal_has_a_receipt_that_is_verified_too(opens: Opens, site: Site) -> None:
    call = entry(site, "anchored", "deny")
    page = opens(f"/receipts/{call.receipt.receipt_id}?lang=en")
    assert lines(page) == dict.fromkeys(RECEIPT_LINES, "checked")
    expect(page.locator("[data-facts]")).to_contain_text(call.receipt.denials[0])


def test_a_young_receipt_is_pending_and_says_so(opens: Opens, site: Site) -> None:
    for state, missing in (
        ("integrated", {"anchor"}),
        ("sequenced", {"log", "anchor"}),
    ):
        call = entry(site, state)
        page = opens(f"/receipts/{call.receipt.receipt_id}?lang=en")
        pending = {name for name, it in lines(page).items() if it == "pending"}
        assert pending - {"snapshot"} == missing
        expect(page.locator("[data-verdict] h2")).to_have_text(
            "Sound so far, not complete yet"
        )


def test_a_silent_chain_leaves_the_anchor_stated_not_checked(
    opens: Opens, site: Site
) -> None:
    site.audit.world.chain.answers = False
    page = opens(f"/receipts/{entry(site, 'anchored').receipt.receipt_id}?lang=en")
    found = lines(page)
    for name in ("anchor", "snapshot"):
        assert found[name] == "stated"
        line = page.locator(f"[data-line={name}]")
        expect(line).to_contain_text("stated by the node, not checked")
        expect(line).to_contain_text("the chain did not answer this dashboard")
    expect(page.locator("[data-verdict] h2")).not_to_have_text("Verified")


# --- proofs


SENTENCES = {
    "at_least": (
        "contract_value is at least 500,000.00 CNY",
        "“contract_value”不低于 500,000.00 CNY",
    ),
    "between": (
        "contract_value is between 200,000.00 and 499,999.99 CNY, inclusive",
        "“contract_value”介于 200,000.00 与 499,999.99 CNY 之间（含两端）",
    ),
    "before": (
        "expected_acceptance_date is before 2027-03-01",
        "“expected_acceptance_date”早于 2027-03-01",
    ),
    "one_of": (
        "industry is one of “charging”, “logistics”",
        "“industry”为以下之一（“charging”、“logistics”）",
    ),
}


@pytest.mark.parametrize("operator", list(SENTENCES))
def test_browser_and_server_say_alike_what_was_asked_and_what_was_proved(
    opens: Opens, site: Site, operator: str
) -> None:
    receipt = proof(site, operator).receipt
    english, chinese = SENTENCES[operator]
    some, others = receipt.records, receipt.withheld
    expected = {
        "en": f"ZK proof {english}: proved of {some} records, "
        f"not proved of {others}; the values were not shown",
        "zh": f"零知识证明 {chinese}：{some} 条记录已证明成立，"
        f"{others} 条未能证明；字段的值未披露",
    }
    page = opens("/calls")
    for language, sentence in expected.items():
        page.goto(f"/receipts/{receipt.receipt_id}?lang={language}")
        assert set(lines(page).values()) == {"checked"}
        said = page.locator("[data-facts] dd:has(.zk)")
        expect(said).to_have_text(sentence)
        page.goto(f"/receipts/{receipt.receipt_id}?check=server")
        expect(said).to_have_text(sentence)


def test_a_refused_proof_says_what_was_asked_and_no_outcome(
    opens: Opens, site: Site
) -> None:
    receipt = proof(site, "at_least", "deny").receipt
    page = opens(f"/receipts/{receipt.receipt_id}?lang=en")
    lines(page)
    said = page.locator("[data-facts] dd:has(.zk)")
    expect(said).to_have_text("ZK proof contract_value is at least 500,000.00 CNY")
    page.goto(f"/receipts/{receipt.receipt_id}?check=server")
    expect(said).to_have_text("ZK proof contract_value is at least 500,000.00 CNY")


@pytest.mark.parametrize(
    ("language", "word", "short", "sentence"),
    [
        ("en", "ZK proof", "ZK", "Contract value is at least 500,000.00 CNY"),
        ("zh", "零知识证明", "证明", "“合同金额”不低于 500,000.00 CNY"),
    ],
)
def test_a_proof_is_marked_by_icon_and_word_wherever_it_is_listed(
    opens: Opens, language: str, word: str, short: str, sentence: str
) -> None:
    page = opens(f"/?lang={language}")
    for place, said in ((".matrix a.cell", short), (".key", word), (".calls", word)):
        mark = page.locator(f"{place} .zk").first
        expect(mark).to_have_text(said)
        expect(mark.locator("svg")).to_be_visible()
    page.goto("/calls?field=contract_value&decision=allow")
    row = page.locator("tr:has(.zk)", has_text="500,000.00").first
    expect(row).to_contain_text(f"{word} {sentence}")
    expect(row).to_contain_text(re.compile(r"\d+ of \d+ proved|\d+ 条中已证明 \d+ 条"))


def test_a_cell_of_proofs_says_so_and_counts_them(opens: Opens, site: Site) -> None:
    page = opens("/?lang=en&window=90d")
    row = page.get_by_role("row", name=re.compile("^Contract value"))
    lumen = row.get_by_role("link").first
    count = sum(
        it.receipt.decision == "allow"
        and it.receipt.consumer == "did:web:127.0.0.1%3A8102"
        and "contract_value" in it.names
        for it in site.audit.world.entries
    )
    expect(lumen).to_have_accessible_name(re.compile(rf"{count} allowed \(ZK proof\)"))
    unused = row.get_by_role("link").last
    expect(unused).to_have_accessible_name("granted (ZK proof), unread")


# --- snapshots


def snapshot_line(page: Page, receipt_id: str) -> tuple[str, list[str]]:
    """Return the line's state in the browser, and its words there and on the server."""
    page.goto(f"/receipts/{receipt_id}?lang=en")
    state = lines(page)["snapshot"]
    line = page.locator("[data-line=snapshot]")
    said = [line.locator(".detail").inner_text()]
    page.goto(f"/receipts/{receipt_id}?check=server&lang=en")
    expect(line).to_have_class(f"line is-{state}")
    return state, [*said, line.locator(".detail").inner_text()]


def test_an_anchored_snapshot_says_since_when(opens: Opens, site: Site) -> None:
    world = site.audit.world
    receipt = entry(site, "anchored").receipt
    told = world.committed(receipt)
    assert told
    epoch = told["snapshot_place"]["anchor"]["epoch"]
    at = world.chain.times[epoch] + datetime.timedelta(hours=8)
    state, said = snapshot_line(opens("/calls"), receipt.receipt_id)
    assert state == "checked"
    for words in said:
        assert f"Anchored at {at:%Y-%m-%d %H:%M:%S} +08:00" in words


def test_a_receipt_says_when_its_agreement_has_a_newer_snapshot(
    opens: Opens, site: Site
) -> None:
    newer = {
        each.snapshot.agreement
        for each, _ in site.audit.world.snapshots.values()
        if each.snapshot.sequence == 1
    }
    receipt = next(
        it.receipt for it in site.audit.world.entries if it.receipt.agreement in newer
    )
    state, said = snapshot_line(opens("/calls"), receipt.receipt_id)
    assert state == "checked"
    for words in said:
        assert (
            "this is number 1 of the agreement, and the node states a number" in words
        )


def test_a_young_snapshot_is_not_yet_anchored(opens: Opens, site: Site) -> None:
    receipt = next(
        it.receipt
        for it in reversed(site.audit.world.entries)
        if (told := site.audit.world.committed(it.receipt))
        and told["snapshot_place"]["anchor"] is None
    )
    state, said = snapshot_line(opens("/calls"), receipt.receipt_id)
    assert state == "pending"
    for words in said:
        assert "not anchored yet" in words


def test_a_snapshot_that_nobody_tells_of_is_not_checked(
    opens: Opens, site: Site
) -> None:
    receipt_id = entry(site, "anchored").receipt.receipt_id
    site.audit.tampering[receipt_id] = lambda it: it | {"committed": None}
    state, said = snapshot_line(opens("/calls"), receipt_id)
    assert state == "stated"
    for words in said:
        assert "does not say where" in words


def rewritten(evidence: Evidence, **changes: object) -> Evidence:
    """Change the record, and everything the node could change along with it."""
    core = evidence["receipt"] | changes
    return evidence | {"receipt": core, "canonical": b64u(canonical(core))}


def flipped(text: str) -> str:
    data = bytearray(unb64u(text))
    data[5] ^= 1
    return b64u(bytes(data))


def of_another(evidence: Evidence, site: Site) -> Evidence:
    other = next(
        it
        for it in site.audit.world.entries
        if it.receipt.receipt_id != entry(site, "anchored").receipt.receipt_id
    )
    return site.audit.evidence(other)


def with_own_key(evidence: Evidence) -> Evidence:
    """A consistent forgery: signed by a key that the evidence itself vouches for."""
    from crypto.encoding import tagged
    from crypto.keys import Ed25519Key

    forger = Ed25519Key.from_bytes(seeded("forger"))
    signature = forger.sign(tagged("receipt", unb64u(evidence["canonical"])))
    parties = json.loads(json.dumps(evidence["participants"]))
    parties[0]["keys"]["ed25519"] = b64u(forger.public_bytes)
    return evidence | {"provider_signature": b64u(signature), "participants": parties}


def anchored(evidence: Evidence, **changes: object) -> Evidence:
    return evidence | {"anchor": evidence["anchor"] | changes}


def committed(evidence: Evidence, **changes: object) -> Evidence:
    return evidence | {"committed": evidence["committed"] | changes}


def placed(evidence: Evidence, **changes: object) -> Evidence:
    place = evidence["committed"]["snapshot_place"]
    return committed(evidence, snapshot_place=place | changes)


TAMPERINGS: dict[str, tuple[str, Callable[[Evidence, Site], Evidence]]] = {
    "a changed record": ("record", lambda it, _: rewritten(it, records=0)),
    "another record": ("record", of_another),
    "two records": (
        "record",
        lambda it, _: it | {"receipt": it["receipt"] | {"records": 0}},
    ),
    "a broken path": (
        "log",
        lambda it, _: (
            it | {"inclusion": [flipped(it["inclusion"][0]), *it["inclusion"][1:]]}
        ),
    ),
    "another place": ("log", lambda it, _: it | {"index": it["index"] - 1}),
    "a forged checkpoint": (
        "log",
        lambda it, _: (
            it | {"checkpoint": it["checkpoint"].replace("/log\n", "/log\n1", 1)}
        ),
    ),
    "a key of the node's choice": ("signature", lambda it, _: with_own_key(it)),
    "a forged countersignature": (
        "signature",
        lambda it, _: (
            it
            | {
                "countersignature": it["countersignature"]
                | {"signature": flipped(it["countersignature"]["signature"])}
            }
        ),
    ),
    "another salt": (
        "anchor",
        lambda it, _: anchored(it, salt=flipped(it["anchor"]["salt"])),
    ),
    "another account": ("anchor", lambda it, _: anchored(it, member="0x" + "ee" * 20)),
    "an epoch that is not there": ("anchor", lambda it, _: anchored(it, epoch=999)),
    "a changed snapshot": (
        "snapshot",
        lambda it, _: committed(
            it, snapshot=it["committed"]["snapshot"] | {"root": "0" * 64}
        ),
    ),
    "a forged snapshot": (
        "snapshot",
        lambda it, _: committed(
            it, snapshot_signature=flipped(it["committed"]["snapshot_signature"])
        ),
    ),
    "a snapshot at another place": (
        "snapshot",
        lambda it, _: placed(it, index=it["committed"]["snapshot_place"]["index"] + 1),
    ),
    "a snapshot at an epoch that is not there": (
        "snapshot",
        lambda it, _: placed(
            it, anchor=it["committed"]["snapshot_place"]["anchor"] | {"epoch": 999}
        ),
    ),
}


@pytest.mark.parametrize("kind", list(TAMPERINGS))
def test_a_tampered_receipt_is_rejected_by_browser_and_server(
    opens: Opens, site: Site, kind: str
) -> None:
    line, tamper = TAMPERINGS[kind]
    receipt_id = entry(site, "anchored").receipt.receipt_id
    site.audit.tampering[receipt_id] = lambda evidence: tamper(evidence, site)
    page = opens(f"/receipts/{receipt_id}?lang=en")
    assert lines(page)[line] == "failed"
    expect(page.locator("[data-verdict] h2")).to_have_text(
        "Do not rely on this receipt"
    )
    expect(page.locator("[data-verdict]")).to_contain_text("Save the evidence")
    expect(page.locator("[data-facts] dd")).to_have_count(0)
    expect(page.locator("[data-facts-about]")).to_contain_text("Withheld")
    expect(page.locator("[data-record]")).to_be_hidden()
    if kind == "two records":
        return  # the second one is not part of the file that the server checks
    page.goto(f"/receipts/{receipt_id}?check=server")
    expect(page.locator("[data-verdict] h2")).to_have_text(
        "Do not rely on this receipt"
    )
    expect(page.locator("[data-facts] dd")).to_have_count(0)


def test_evidence_that_cannot_be_had_accuses_nobody(
    opens: Opens, site: Site, guard: Guard
) -> None:
    guard.tolerated.append("502")  # the browser logs the failed answer itself
    receipt_id = entry(site, "anchored").receipt.receipt_id
    page = opens("/calls?lang=en")
    site.audit.failure = 500
    page.goto(f"/receipts/{receipt_id}")
    expect(page.locator("[data-verdict] h2")).to_have_text("Not checked")
    expect(page.locator("[data-verdict]")).to_contain_text(
        "says nothing about the receipt"
    )


def test_a_filter_that_the_node_cannot_answer_leads_to_an_honest_page(
    opens: Opens, site: Site, guard: Guard
) -> None:
    guard.tolerated.append("502")
    page = opens("/calls?lang=en")
    site.audit.failure = 500
    choose(page, "Decision", "Denied")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "The node reports a failure"
    )
    expect(page).to_have_url(re.compile("decision=deny"))


def test_the_drawer_opens_and_closes_by_keyboard_and_gives_focus_back(
    opens: Opens,
) -> None:
    page = opens("/calls?lang=en")
    link = page.locator("a.hash").nth(3)
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert set(RECEIPT_LINES) <= set(lines(page))
    assert page.evaluate(
        "() => document.querySelector('dialog').contains(document.activeElement)"
    )
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(link).to_be_focused()


# --- for everybody


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_axe_finds_nothing(
    opens: Opens, site: Site, guard: Guard, language: str, theme: str
) -> None:
    guard.tolerated.append("404")  # the page for what is not there
    site.audit.troubled = True
    if not AXE.exists():
        pytest.skip("axe-core is not installed in dashboard/web")
    receipt = f"/receipts/{proof(site, 'one_of').receipt.receipt_id}"
    page = opens(f"/?lang={language}&theme={theme}")
    for path in (
        "/",
        "/ledger",
        "/calls?decision=deny",
        receipt,
        f"{receipt}?check=server",
        "/nowhere",
        "drawer",
    ):
        if path == "drawer":
            page.goto("/calls")
            page.locator("a.hash").first.click()
        else:
            page.goto(path)
        if path in {receipt, "drawer"}:
            lines(page)
        assert violations(page) == [], path


def test_a_proof_of_fault_is_found_from_the_overview_and_saved(
    opens: Opens, site: Site
) -> None:
    site.audit.troubled = True
    page = opens("/?lang=en")
    page.get_by_role("link", name="A partner has two histories").click()
    page.wait_for_url("**/ledger")
    expect(page.get_by_text("Nothing is disclosed: the log may")).to_be_visible()
    with page.expect_download() as saving:
        page.get_by_role("link", name="Save the proof").first.click()
    name = saving.value.suggested_filename
    assert name == f"fault-{'a' * 16}.json"
    expect(page.get_by_text(f"fieldpact verify {name}").first).to_be_visible()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_axe_finds_nothing_at_the_door(opens: Opens, language: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed in dashboard/web")
    assert violations(opens(f"/sign-in?lang={language}", state=None)) == []


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{it['id']}: {node['html'][:120]}"
        for it in found["violations"]
        for node in it["nodes"]
    ]


def test_the_english_pages_show_no_han(opens: Opens, site: Site) -> None:
    page = opens("/?lang=en")
    for path in (
        "/",
        "/calls",
        "/ledger",
        f"/receipts/{proof(site, 'at_least').receipt.receipt_id}",
    ):
        page.goto(path)
        if "receipts" in path:
            lines(page)
        page.evaluate(
            "() => document.querySelectorAll('[lang^=zh]').forEach((it) => it.remove())"
        )
        assert not HAN.search(page.locator("body").inner_text())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_scrolls_sideways_at_320_pixels(
    opens: Opens, site: Site, language: str
) -> None:
    page = opens(f"/?lang={language}", viewport={"width": 320, "height": 640})
    for path in (
        "/",
        "/calls",
        "/ledger",
        f"/receipts/{proof(site, 'at_least').receipt.receipt_id}",
    ):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= 320, path


def test_links_and_buttons_are_large_enough_to_hit(opens: Opens) -> None:
    page = opens("/?lang=en")
    small = page.evaluate(
        """() => [...document.querySelectorAll(".matrix a, button, .quiet, .windows a, a.hash")]
            .filter((it) => it.checkVisibility())
            .map((it) => [it.textContent.trim().slice(0, 20), it.getBoundingClientRect()])
            .filter(([, box]) => box.width < 24 || box.height < 24)
            .map(([text]) => text)"""
    )
    assert small == []


def test_the_first_tab_stop_skips_to_the_content(opens: Opens) -> None:
    page = opens("/?lang=en")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_without_scripts_everything_still_works(opens: Opens, site: Site) -> None:
    page = opens("/calls?lang=en", state=None, java_script_enabled=False)
    page.get_by_label("Access key").fill(ACCESS_KEY)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Decision").select_option("deny")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("decision=deny"))
    expect(page.locator(".calls tbody tr").first).to_contain_text("Denied")
    page.goto(f"/receipts/{entry(site, 'anchored').receipt.receipt_id}")
    expect(page).to_have_url(re.compile(r"\?check=server"))
    expect(page.locator(".line.is-checked")).to_have_count(5)
    expect(page.locator("[data-verdict]")).to_contain_text("Your browser did not check")
