"""View models: what a page shows is worked out before it is drawn."""

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts import heat_step, nice_ticks, stacked_bars
from dashboard.i18n import Speech
from dashboard.pages.attention import Seen, findings
from dashboard.pages.calls import applied, chosen_filters, filters, pager
from dashboard.pages.matrix import matrix_view
from dashboard.pages.trend import trend_view
from dashboard.pages.window import Window, read_window
from dashboard.statements import (
    Agreement,
    CallPage,
    Cell,
    FacetValue,
    Matrix,
    Summary,
    TrendPoint,
)

NOW = datetime.datetime(2026, 11, 22, 10, 20, 4, tzinfo=datetime.UTC)
SHANGHAI = zoneinfo.ZoneInfo("Asia/Shanghai")
ENGLISH = Speech(language="en", zone=SHANGHAI)
PARTNER = "did:web:partner.example"


def cell(field: str, *, granted: bool, allowed: int = 0, denied: int = 0) -> Cell:
    mode = "plain" if granted else None
    return Cell(
        dataset="d",
        field=field,
        partner=PARTNER,
        granted=granted,
        mode=mode,
        allowed=allowed,
        denied=denied,
    )


def matrix(*cells: Cell, personal: bool = False) -> Matrix:
    fields = [
        {
            "name": name,
            "title": {"en": name, "zh": name},
            "grade": "general",
            "personal": personal,
            "modes": ["plain"],
        }
        for name in ("a", "b", "c", "d")
    ]
    datasets = [{"id": "d", "title": {"en": "D", "zh": "D"}, "fields": fields}]
    partners = [{"did": PARTNER, "name": {"en": "P", "zh": "P"}}]
    return Matrix.model_validate(
        {"partners": partners, "datasets": datasets, "cells": cells}
    )


def summary(**changes: object) -> Summary:
    base: dict[str, object] = {
        "participant": {"did": "did:web:own.example", "name": {"en": "O", "zh": "O"}},
        "window": {"from": NOW, "to": NOW},
        "calls": {"allowed": 0, "denied": 0},
        "agreements": dict.fromkeys(
            ("total", "active", "expired", "suspended", "revoked", "dormant"), 0
        ),
        "receipts": {
            **dict.fromkeys(("total", "integrated", "anchored", "countersigned"), 0),
            "oldest_unanchored_at": None,
        },
        "checkpoint": None,
        "anchor": None,
        "alarms": [],
        "witnesses": {"known": 0, "quorum": 0, "anchored": None, "newest": None},
        "matrix": matrix(),
        "trend": [],
        "denials": [],
        "purposes": [],
    }
    return Summary.model_validate(base | changes)


def agreement(**changes: object) -> Agreement:
    base: dict[str, object] = {
        "id": "agr-1",
        "role": "provider",
        "partner": PARTNER,
        "dataset": "d",
        "fields": {"a": "plain"},
        "purposes": ["p"],
        "valid_from": NOW - datetime.timedelta(days=90),
        "valid_to": NOW + datetime.timedelta(days=90),
        "status": "active",
        "last_used_at": NOW,
        "predicates": [],
        "calls": 1,
    }
    return Agreement.model_validate(base | changes)


def seen(*agreements: Agreement, deniers: int = 0, **changes: object) -> Seen:
    return Seen(
        summary=summary(**changes),
        agreements=agreements,
        deniers=(FacetValue(value=PARTNER, count=deniers),),
        now=NOW,
        query={},
    )


def page(**changes: object) -> CallPage:
    base: dict[str, object] = {
        "items": [],
        "newer": None,
        "older": None,
        "total": 0,
        "facets": {"partner": [{"value": PARTNER, "count": 3}]},
    }
    return CallPage.model_validate(base | changes)


# --- the matrix


def test_the_three_states_of_a_cell_are_told_apart() -> None:
    view = matrix_view(
        matrix(
            cell("a", granted=False),
            cell("b", granted=True),
            cell("c", granted=True, allowed=2),
        ),
        {},
    )
    states = [row.cells[0].state for row in view.groups[0].rows]
    assert states == ["none", "unused", "used", "none"]
    assert (view.granted, view.pairs, view.dormant) == (2, 4, 1)


def test_denials_show_on_a_cell_that_was_never_granted() -> None:
    view = matrix_view(matrix(cell("a", granted=False, denied=7)), {})
    found = view.groups[0].rows[0].cells[0]
    assert (found.state, found.denied, found.mode) == ("none", 7, None)


def test_every_cell_links_to_its_calls_in_the_same_window() -> None:
    view = matrix_view(matrix(), {"window": "30d"})
    assert view.groups[0].rows[0].cells[0].href == (
        "/calls?window=30d&dataset=d&field=a&partner=did%3Aweb%3Apartner.example"
    )


# --- charts


@given(st.integers(0, 10**7))
def test_ticks_reach_the_highest_value_in_few_round_steps(highest: int) -> None:
    ticks = nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= 6


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_heat_grows_with_the_count_and_zero_has_none(value: int, highest: int) -> None:
    step = heat_step(min(value, highest), highest)
    assert (step == 0) == (value == 0)
    assert 0 <= step <= 7
    assert heat_step(highest, highest) == 7


def test_a_few_calls_beside_many_are_still_visible() -> None:
    bars = stacked_bars([(100_000, 1)], width=100, height=100)
    assert "v-1.0" in bars.upper


def test_a_chart_of_nothing_draws_nothing() -> None:
    bars = stacked_bars([], width=100, height=100)
    assert (bars.lower, bars.upper, bars.centres) == ("", "", ())


def window(days: int) -> Window:
    start = NOW - datetime.timedelta(days=days)
    return Window(start=start, end=NOW, name="", query={})


def point(at: str, allowed: int, denied: int = 0) -> TrendPoint:
    return TrendPoint.model_validate({"at": at, "allowed": allowed, "denied": denied})


def test_the_trend_covers_the_whole_window_and_loses_no_call() -> None:
    points = [point("2026-11-20T17:00:00Z", 2, 3), point("2026-11-22T10:00:00Z", 5)]
    trend = trend_view(points, window(7), ENGLISH)
    assert len(trend.days) == 8
    assert len(trend.bars.centres) == 43  # four hours each
    days = {str(day.date): (day.allowed, day.denied) for day in trend.days}
    assert days["2026-11-21"] == (2, 3)  # 01:00 at +08:00
    assert days["2026-11-22"] == (5, 0)
    assert days["2026-11-19"] == (0, 0)


def test_days_that_the_node_counted_in_utc_are_shown_as_such() -> None:
    trend = trend_view([point("2026-11-01T00:00:00Z", 4)], window(30), ENGLISH)
    assert trend.offset == "UTC"
    assert sum(day.allowed for day in trend.days) == 4
    assert next(str(day.date) for day in trend.days if day.allowed) == "2026-11-01"


# --- what needs attention


def test_a_quiet_window_has_no_findings() -> None:
    assert findings(seen(agreement())) == ()


def test_a_request_for_personal_data_without_a_grant_comes_first() -> None:
    asked = matrix(cell("a", granted=False, denied=1), personal=True)
    found = findings(seen(matrix=asked, deniers=400))
    assert [each.kind for each in found] == ["personal", "denials"]
    assert "decision=deny" in found[0].href


def test_a_late_anchor_is_reported_with_its_age() -> None:
    receipts = {
        **dict.fromkeys(("total", "integrated", "anchored", "countersigned"), 5),
        "total": 9,
        "oldest_unanchored_at": NOW - datetime.timedelta(hours=2),
    }
    (found,) = findings(seen(receipts=receipts))
    assert (found.kind, found.values) == ("anchoring", {"n": 4, "lag_s": 7200.0})


def test_off_purpose_calls_are_reported() -> None:
    (found,) = findings(seen(denials=[{"code": "purpose.mismatch", "count": 3}]))
    assert found.href == "/calls?code=purpose.mismatch"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"valid_to": NOW + datetime.timedelta(days=9)}, "expiring"),
        ({"last_used_at": NOW - datetime.timedelta(days=31)}, "unused"),
        ({"last_used_at": None}, "unused"),
    ],
)
def test_grants_that_end_or_sleep_are_reported(
    changes: dict[str, object], kind: str
) -> None:
    (found,) = findings(seen(agreement(**changes)))
    assert found.kind == kind


def test_there_are_never_more_than_five_findings() -> None:
    many = [agreement(id=str(number), last_used_at=None) for number in range(20)]
    assert len(findings(seen(*many))) == 5


# --- windows, filters, paging


def test_a_window_is_seven_days_unless_asked_otherwise() -> None:
    window = read_window({}, now=NOW, zone=SHANGHAI)
    assert (window.end - window.start).days == 7
    assert window.query == {}


@pytest.mark.parametrize(
    "query",
    [
        {"window": "1y"},
        {"from": "yesterday", "to": "x"},
        {"from": "2026-11-09", "to": "2026-11-01"},
    ],
)
def test_an_unreadable_window_is_the_default(query: dict[str, str]) -> None:
    assert read_window(query, now=NOW, zone=SHANGHAI).name == "7d"


def test_days_are_whole_and_of_the_readers_zone() -> None:
    query = {"from": "2026-11-01", "to": "2026-11-01"}
    window = read_window(query, now=NOW, zone=SHANGHAI)
    assert window.start.isoformat() == "2026-10-31T16:00:00+00:00"
    assert window.end - window.start == datetime.timedelta(days=1)
    assert window.query == query


def test_a_chosen_value_stays_on_offer_when_nothing_has_it() -> None:
    (partner, *_) = filters(page(), {"partner": "did:web:nobody.example"})
    assert [(option.value, option.count) for option in partner.options] == [
        (PARTNER, 3),
        ("did:web:nobody.example", None),
    ]


def test_filters_are_taken_away_one_by_one() -> None:
    wanted = {"partner": PARTNER, "decision": "deny"}
    without = [each.without for each in applied({"window": "30d", **wanted}, wanted)]
    assert without == [
        "/calls?window=30d&decision=deny",
        "/calls?window=30d&partner=did%3Aweb%3Apartner.example",
    ]


def test_an_overlong_filter_is_dropped() -> None:
    assert chosen_filters({"field": "x" * 257, "code": "", "decision": "deny"}) == {
        "decision": "deny"
    }


def test_paging_keeps_the_filters_and_knows_its_ends() -> None:
    first = pager(page(older=40), {"decision": "deny"}, {})
    assert (first.newest, first.newer) == (None, None)
    assert first.older == "/calls?decision=deny&before=40"
    last = pager(page(newer=9), {}, {"before": "10"})
    assert (last.newest, last.newer, last.older, last.oldest) == (
        "/calls",
        "/calls?after=9",
        None,
        None,
    )


# --- numbers and times


def test_numbers_and_times_are_written_as_agreed() -> None:
    assert ENGLISH.number(1234567) == "1,234,567"
    assert ENGLISH.instant(NOW) == "2026-11-22 18:20:04 +08:00"
    assert ENGLISH.offset(NOW) == "+08:00"
    assert str(ENGLISH.span(7300)) == "2 h"


def test_west_of_greenwich_and_utc_have_their_offsets() -> None:
    west = Speech(language="en", zone=zoneinfo.ZoneInfo("America/New_York"))
    assert west.instant(NOW) == "2026-11-22 05:20:04 -05:00"
    utc = Speech(language="en", zone=zoneinfo.ZoneInfo("UTC"))
    assert utc.offset(NOW) == "UTC"


def test_a_value_in_a_sentence_cannot_bring_markup() -> None:
    said = ENGLISH.say("attention.denials", n=3, partner="<img>")
    assert "&lt;img&gt;" in said


def test_a_name_in_the_other_language_only_says_so() -> None:
    assert ENGLISH.name({"zh": "衡川汽车"}) == '<span lang="zh-Hans">衡川汽车</span>'
