"""Budgets of privacy: bars, their tones, and where they are shown."""

from typing import Any

import pytest

from dashboard.aggregates import Budget, BudgetReport
from dashboard.i18n import catalogue
from dashboard.pages.attention import findings
from dashboard.pages.budget_bars import gauge, gauges, lowest, tone_of
from dashboard.pages.open_receipts import WIDTH
from tests.unit.dashboard.test_figures import ENGLISH, NOW, PARTNER, seen
from tests.unit.dashboard.test_pages import Site, site, world

__all__ = ["site", "world"]  # fixtures


def budget(spent: int, cap: int = 1000, **changes: Any) -> Budget:
    told = {
        "agreement": "agr-1",
        "partner": PARTNER,
        "dataset": "d",
        "from": "2026-10-01",
        "until": "2027-01-01",
        "cap": cap,
        "spent": spent,
        "left": max(cap - spent, 0),
        "plans_today": 1,
        "plans_per_day": 10,
    }
    return Budget.model_validate(told | changes)


@pytest.mark.parametrize(
    ("spent", "tone"),
    [(0, "fine"), (900, "fine"), (901, "low"), (999, "low"), (1000, "empty")],
)
def test_a_budget_is_marked_where_less_than_a_tenth_is_left(
    spent: int, tone: str
) -> None:
    assert tone_of(budget(spent)) == tone


def test_a_little_is_seen_and_too_much_stays_in_the_bar() -> None:
    assert gauge(budget(0), ENGLISH).length == 0
    assert gauge(budget(1, cap=20_000_000), ENGLISH).length >= 3
    assert gauge(budget(5000), ENGLISH).length == WIDTH
    assert gauge(budget(0, cap=0), ENGLISH).tone == "empty"


def test_a_bar_says_when_the_budget_is_renewed() -> None:
    assert gauge(budget(0), ENGLISH).until == "2027-01-01"
    assert gauge(budget(0, until=None), ENGLISH).until == ""
    night = budget(0, until="2026-12-31T16:00:00Z")  # midnight at +08:00
    assert gauge(night, ENGLISH).until == "2027-01-01"


def test_those_with_least_left_come_first() -> None:
    every = [
        budget(100, partner="did:web:a", agreement="1"),
        budget(950, partner="did:web:b", agreement="2"),
        budget(10, partner="did:web:b", agreement="3"),
        budget(1000, partner="did:web:c", agreement="4", status="expired"),
    ]
    shown = gauges(every, ENGLISH)
    assert [did[-1] for did, _ in shown] == ["c", "b", "a"]
    report = BudgetReport(items=tuple(every), datasets=())
    first = [gauge.budget.spent for gauge in lowest(report, ENGLISH)]
    assert first == [950, 100, 10]


def findings_of(*budgets: Budget) -> list[tuple[str, str]]:
    view = seen()
    changed = type(view)(
        summary=view.summary,
        agreements=(),
        deniers=(),
        now=NOW,
        query={},
        budgets=budgets,
    )
    return [(found.kind, found.href) for found in findings(changed)]


def test_a_budget_near_its_end_needs_attention_while_its_agreement_holds() -> None:
    assert findings_of(budget(900)) == []
    assert findings_of(budget(950)) == [("budget", "/budget")]
    assert findings_of(budget(1000)) == [("budget_empty", "/budget")]
    assert findings_of(budget(1000, status="revoked")) == []


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_budgets_are_on_their_page_and_the_lowest_on_the_overview(
    site: Site, language: str
) -> None:
    site.audit.aggregates.tight = True
    words = catalogue(language)
    page = (await site.get(f"/budget?lang={language}")).text
    for key in ("low", "empty", "partners", "asked", "datasets", "never"):
        assert words[f"budget.{key}"] in page
    assert page.count('<li>\n        <div class="what">') == 4
    overview = (await site.get(f"/?lang={language}")).text
    assert words["attention.budget_empty.why"] in overview
    assert words["budget.more"] in overview


async def test_without_budgets_the_page_says_so_and_the_overview_nothing(
    site: Site,
) -> None:
    site.audit.aggregates.empty = True
    page = (await site.get("/budget")).text
    assert "No agreement has a privacy budget" in page
    assert "Every budget has a tenth left or more." in page
    assert "All budgets" not in (await site.get("/")).text


async def test_strangers_see_no_budget(site: Site) -> None:
    assert (await site.stranger.get("/budget")).status_code == 303
