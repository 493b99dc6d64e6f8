"""Aggregates in a real browser: live progress, heat maps by pointer and keyboard.

The guard of the dashboard's other tests watches here, too.
"""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.test_dashboard import (
    AXE,
    HAN,
    Guard,
    Opens,
    chromium,
    guard,
    lines,
    opens,
    pytestmark,
    running,
    signed_in,
    site,
    violations,
)
from tests.support.audit_jobs import (
    ANSWERED,
    FAILED,
    FEDERATED,
    HEAT,
    IDS,
    JOINT,
    RUNNING,
    WEEKS,
    SimulatedJobs,
)
from tests.support.dashboards import Site

__all__ = ["chromium", "guard", "opens", "pytestmark", "running", "signed_in", "site"]
PAGES = (
    "/jobs",
    "/budget",
    *(f"/jobs/{job}" for job in (HEAT, JOINT, FAILED, ANSWERED)),
)


@pytest.fixture(autouse=True)
def aggregates(site: Site) -> SimulatedJobs:
    site.audit.aggregates = SimulatedJobs(site.audit.world)
    return site.audit.aggregates


def first_map(page: Page) -> Locator:
    return page.locator("svg.heat-map").first


def told(page: Page) -> Locator:
    return page.locator(".tip:not([hidden])")


# --- live


def test_a_list_keeps_up_while_a_job_runs_and_stops_when_none_does(
    opens: Opens, aggregates: SimulatedJobs
) -> None:
    page = opens("/jobs?lang=en")
    expect(page.get_by_role("status").first).to_contain_text("2 running")
    link = page.locator(f"#job-{HEAT}").get_by_role("link", name="Heat map")
    link.focus()
    aggregates.running = False
    expect(page.get_by_role("status").first).to_contain_text("none running")
    expect(link).to_be_focused()  # what is read is not swapped under the reader
    expect(page.locator("#jobs")).not_to_have_attribute("hx-trigger", re.compile("."))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3000)
    assert asked == []


def test_a_page_of_a_job_shows_its_progress_without_being_loaded_again(
    opens: Opens, aggregates: SimulatedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opens(f"/jobs/{RUNNING}?lang=en")
    bar = page.get_by_role("progressbar", name="blinding our list")
    expect(bar).to_have_attribute("aria-valuenow", "41200")
    page.evaluate("() => { window.kept = true; }")
    whole = aggregates.one

    def further(job: str) -> Any:
        return {**(whole(job) or {}), "done": 90_000}

    monkeypatch.setattr(aggregates, "one", further)
    expect(bar).to_have_attribute("aria-valuenow", "90000")
    assert page.evaluate("() => window.kept")


def test_a_node_that_falls_silent_leaves_the_page_and_its_age(
    opens: Opens, site: Site
) -> None:
    page = opens("/jobs?lang=en")
    site.audit.failure = 500
    expect(page.locator("#as-of")).to_contain_text("Disconnected")
    expect(page.locator(".jobs tbody tr")).to_have_count(len(IDS))
    site.audit.failure = 0
    expect(page.locator("#as-of")).to_contain_text("Data as of")


# --- the heat map


def test_arrow_keys_tell_each_cell_with_its_spread(opens: Opens) -> None:
    page = opens(f"/jobs/{HEAT}?lang=en&order=plan&table=open")
    drawing = first_map(page)
    drawing.focus()
    page.keyboard.press("Home")
    twin = page.locator("figure").first.locator("tbody tr").first
    first = twin.locator("td").first.inner_text()
    expect(told(page)).to_have_text(
        re.compile(rf"^Beijing, E-1041, week of [\d-]+: {first} ± 14 customers$")
    )
    page.keyboard.press("End")
    last = twin.locator("td").nth(WEEKS - 1).inner_text()
    expect(told(page)).to_contain_text(f": {last} ± 14")
    page.keyboard.press("ArrowDown")
    expect(told(page)).to_contain_text("E-1042, week of 2026-11-09")
    page.keyboard.press("ArrowRight")  # there is nothing further
    expect(told(page)).to_contain_text("E-1042, week of 2026-11-09")
    page.keyboard.press("Escape")
    expect(told(page)).to_have_count(0)
    page.keyboard.press("Tab")
    expect(drawing).not_to_be_focused()


def test_the_pointer_tells_the_cell_that_it_is_on(opens: Opens) -> None:
    page = opens(f"/jobs/{HEAT}?lang=en&order=plan&part=0&table=open")
    drawing = first_map(page)
    left, width, height = map(float, str(drawing.get_attribute("data-heat")).split())
    box = drawing.bounding_box()
    assert box is not None
    scale = box["width"] / float(str(drawing.get_attribute("viewBox")).split()[2])
    rows = page.locator("figure tbody tr")
    hidden = page.locator("figure td.hidden-cell").first
    row, column = hidden.evaluate(
        "(it) => [it.parentElement.sectionRowIndex, it.cellIndex]"
    )
    drawing.hover(
        position={
            "x": (left + (column - 0.5) * width) * scale,
            "y": (row + 0.5) * height * scale,
        }
    )
    expect(told(page)).to_have_text(
        re.compile(
            f"^Beijing, {re.escape(rows.nth(row).locator('th').inner_text())}, "
            r"week of [\d-]+: suppressed, too few customers$"
        )
    )
    page.mouse.move(2, 2)
    expect(told(page)).to_have_count(0)


def test_a_part_is_chosen_in_place_and_the_address_tells_it(opens: Opens) -> None:
    page = opens(f"/jobs/{HEAT}?lang=en")
    expect(page.locator("svg.heat-map")).to_have_count(4)
    page.get_by_label("Show").select_option(label="Shanghai")
    expect(page.locator("svg.heat-map")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?part=3$"))
    first_map(page).focus()
    page.keyboard.press("ArrowRight")
    expect(told(page)).to_contain_text("Shanghai, ")
    page.reload()
    expect(page.get_by_label("Show")).to_have_value("3")
    page.go_back()
    expect(page.locator("svg.heat-map")).to_have_count(4)


def test_rows_of_the_table_are_sorted_by_its_headings(opens: Opens) -> None:
    page = opens(f"/jobs/{HEAT}?lang=en&part=0&table=open")
    heads = page.locator("figure thead")
    totals = page.locator("figure tbody td:last-child").all_inner_texts()
    assert [int(it.replace(",", "")) for it in totals] != []
    expect(heads.get_by_role("columnheader", name="Shown cells")).to_have_attribute(
        "aria-sort", "descending"
    )
    heads.get_by_role("link", name="Fault code").click()
    expect(page).to_have_url(re.compile("order=plan"))
    expect(page.locator("figure tbody th").first).to_have_text("E-1041")
    expect(page.locator("figure details")).to_have_attribute("open", "")


def test_the_file_is_saved_under_a_name_of_its_own(opens: Opens) -> None:
    page = opens(f"/jobs/{FEDERATED}?lang=en")
    with page.expect_download() as saving:
        page.get_by_role("link", name="Save as CSV").click()
    assert saving.value.suggested_filename == f"aggregate-{FEDERATED[:12]}.csv"


def test_a_receipt_of_a_step_opens_in_the_drawer_and_is_checked(opens: Opens) -> None:
    page = opens(f"/jobs/{FEDERATED}?lang=en")
    page.locator(".receipts a.hash").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert set(lines(page))


# --- for everybody


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_axe_finds_nothing_about_aggregates(
    opens: Opens, aggregates: SimulatedJobs, language: str, theme: str
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed in dashboard/web")
    aggregates.tight = True
    page = opens(f"/jobs?lang={language}&theme={theme}")
    for path in ("/", *PAGES, f"/jobs/{RUNNING}", f"/jobs/{HEAT}?part=0&table=open"):
        page.goto(path)
        if "part" in path:
            first_map(page).focus()
            page.keyboard.press("ArrowRight")
        assert violations(page) == [], path


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [320, 1280])
def test_pages_about_aggregates_do_not_scroll_sideways(
    opens: Opens, language: str, width: int
) -> None:
    page = opens("/jobs", viewport={"width": width, "height": 800})
    for path in (*PAGES, f"/jobs/{HEAT}?table=open"):
        page.goto(f"{path}{'&' if '?' in path else '?'}lang={language}")
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= width, path


def test_the_english_pages_about_aggregates_show_no_han(opens: Opens) -> None:
    page = opens("/jobs?lang=en")
    for path in PAGES:
        page.goto(path)
        page.evaluate(
            "() => document.querySelectorAll('[lang^=zh]').forEach((it) => it.remove())"
        )
        assert not HAN.search(page.locator("body").inner_text())


def test_without_scripts_the_picture_stands_and_the_table_tells(
    opens: Opens, guard: Guard, signed_in: Any
) -> None:
    page = opens(f"/jobs/{HEAT}?lang=en", java_script_enabled=False)
    expect(page.locator("svg.heat-map")).to_have_count(4)
    page.get_by_label("Show").select_option("2")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("part=2"))
    expect(page.locator("svg.heat-map")).to_have_count(1)
    expect(first_map(page)).to_have_attribute("role", "img")
    page.get_by_text("Guangzhou, as a table").click()
    table = page.get_by_role("table", name=re.compile("Guangzhou"))
    expect(table.get_by_role("rowheader")).to_have_count(12)
