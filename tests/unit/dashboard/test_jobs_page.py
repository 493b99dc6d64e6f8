"""Pages about aggregates: the list, one job, its plan, its figures, its file."""

import csv
import datetime
import io
import json
import re
import zoneinfo
from decimal import Decimal
from typing import Any

import pytest

from dashboard.aggregates import Result
from dashboard.errors import NodeNonsense
from dashboard.figures import epsilon, written
from dashboard.i18n import Speech, catalogue
from dashboard.pages.jobs import stage_of
from dashboard.pages.joint import joint_figures
from dashboard.pages.plan_facts import facts
from dashboard.plans import check_plan
from dashboard.registry import Registry
from ledger.conditions import Condition
from ledger.plan_laws import _MODES as MODES
from ledger.plans import Group, Kind, Measure, SignedPlan
from tests.support import REPOSITORY
from tests.support.audit_jobs import (
    ANSWERED,
    CANCELLED,
    FAILED,
    FEDERATED,
    FLIPPED,
    HEAT,
    IDS,
    JOINT,
    REFUSED,
    RING,
    RUNNING,
    SHARED,
    plan,
)
from tests.support.audit_world import World
from tests.unit.dashboard.test_figures import ENGLISH
from tests.unit.dashboard.test_pages import NOW, PARTIAL, Site, site, world

__all__ = ["site", "world"]  # fixtures
CHINESE = Speech(language="zh", zone=zoneinfo.ZoneInfo("Asia/Shanghai"))
REGIONS = Group(field="region", grain="value", values=("north", "south"))


def registry(world: World, *numbers: int) -> Registry:
    known = [world.companies[number].participant for number in numbers]
    return Registry(pins={it.did: it for it in known}, source="r", digest="0" * 64)


def said(
    signed: SignedPlan, unit: str | None = None, scale: int | None = 0
) -> dict[str, str]:
    told = facts(signed.plan, ENGLISH, lambda name: name, unit, scale)
    return {name: str(words.striptags()) for name, words in told}


# --- the plan


def test_a_plan_that_its_asker_signed_is_checked(world: World) -> None:
    signed = plan(world, Kind.INTERSECTION, 0, (1,))
    found = check_plan(signed.to_json(), registry(world, 0))
    assert (found.state, found.plan_hash) == ("checked", signed.plan.plan_hash)


def test_a_plan_that_was_changed_is_not_its_askers(world: World) -> None:
    told = plan(world, Kind.INTERSECTION, 0, (1,)).to_json()
    told["plan"]["k_min"] += 1
    assert check_plan(told, registry(world, 0)).state == "failed"


def test_a_plan_of_somebody_who_is_not_pinned_is_only_stated(world: World) -> None:
    told = plan(world, Kind.INTERSECTION, 0, (1,)).to_json()
    assert check_plan(told, registry(world, 1)).state == "stated"


def test_what_is_no_plan_is_nonsense(world: World) -> None:
    with pytest.raises(NodeNonsense, match="plan"):
        check_plan({"plan": {}, "signature": ""}, registry(world, 0))


# --- what the figures are


def test_limits_and_price_are_read_from_the_plan(world: World) -> None:
    signed = plan(
        world,
        Kind.HEAT_MAP,
        0,
        (1,),
        groups=(REGIONS,),
        measure=Measure(what="sum", field="hours", bound=4000),
        filters=(Condition.of("one_of", ["line"], ["H5", "H7"]),),
        contribution=3,
    )
    found = said(signed, "h", 2)
    assert found["measure"] == "The sum of hours"
    assert found["groups"] == "region (as it is, 2 values)"
    assert found["filters"] == "line is one of “H5”, “H7”"
    assert found["clip"] == (
        "40.00 h per customer and cell at most; one customer counts in 3 cells at most"
    )
    assert "ε 0.5" in found["noise"]
    assert "10" in found["cohort"]
    assert found["decrypted"].startswith("The provider")


def test_a_bound_without_its_scale_is_said_to_be_in_smallest_units(
    world: World,
) -> None:
    measure = Measure(what="sum", field="hours", bound=4000)
    signed = plan(world, Kind.JOINT_SUM, 0, (1,), measure=measure)
    assert said(signed, None, None)["clip"] == (
        "4,000 per customer at most, in smallest units"
    )


def test_exact_counts_claim_no_noise_and_nothing_cut_off(world: World) -> None:
    for kind, parties in ((Kind.INTERSECTION, (1,)), (Kind.RING_COUNT, (1, 2))):
        found = said(plan(world, kind, 0, parties))
        assert found["noise"] == "None: an exact number, of customers only"
        assert "clip" not in found
        assert found["decrypted"].startswith("Nobody")


@pytest.mark.parametrize("kind", [Kind.INTERSECTION, Kind.JOINT_SUM, Kind.RING_COUNT])
def test_a_figure_over_two_lists_is_over_those_on_both(
    world: World, kind: Kind
) -> None:
    changes: dict[str, Any] = {"cohort": "all"}
    if kind is Kind.JOINT_SUM:
        changes["measure"] = Measure(what="sum", field="hours", bound=4000)
    parties = (1, 2) if kind is Kind.RING_COUNT else (1,)
    found = said(plan(world, kind, 0, parties, **changes))
    assert found["cohort"].startswith("Customers that all sides have")


@pytest.mark.parametrize("speech", [ENGLISH, CHINESE], ids=["en", "zh"])
@pytest.mark.parametrize("kind", Kind)
def test_of_every_kind_and_mode_it_is_said_who_decrypted(
    kind: Kind, speech: Speech
) -> None:
    for mode in MODES.get(kind, ("",)):
        way = f"{kind}.{mode}" if mode else kind.value
        assert speech.knows(f"plan.decrypted.{way}")
        assert speech.knows(f"kind.{kind}")
        assert not mode or speech.knows(f"how.{mode}")


# --- joint figures


def figures(world: World, **told: Any) -> dict[str, tuple[str, str, str]]:
    measure = Measure(what="sum", field="spend", bound=10)
    signed = plan(world, Kind.JOINT_SUM, 0, (1,), measure=measure)
    result = Result.model_validate(told)
    found = joint_figures(result, signed.plan, ENGLISH)
    return {it.name: (it.value, it.unit, it.bound) for it in found}


def test_a_sum_and_its_mean_have_bounds_and_the_count_is_exact(world: World) -> None:
    found = figures(
        world,
        sum=1_000_000,
        count=50,
        asked=200,
        mean="200.0000",
        rate="0.2500",
        spread=5000,
        unit="EUR",
        scale=2,
    )
    assert found == {
        "sum": ("10,000.00", "EUR", "50.00"),
        "mean": ("200.00", "EUR", "1.00"),
        "rate": ("25.0%", "", ""),
        "count": ("50", "", ""),
    }


def test_a_count_that_is_too_small_is_said_to_be_one(world: World) -> None:
    found = figures(
        world, count=None, fewer_than=10, sum=None, mean=None, rate=None, spread=None
    )
    assert found == {"count": ("fewer than 10", "", "")}


def test_the_one_cell_of_a_table_without_groups_is_a_figure(world: World) -> None:
    assert figures(world, cells=[1234], spread=5)["sum"] == ("1,234", "", "5")
    assert figures(world, cells=[None], spread=5) == {}


@pytest.mark.parametrize(
    ("micro", "text"),
    [(0, "0"), (1, "0.000001"), (250_000, "0.25"), (20_000_000, "20")],
)
def test_epsilon_is_written_without_rounding(micro: int, text: str) -> None:
    assert epsilon(micro) == text


def test_figures_below_zero_keep_their_point() -> None:
    assert written(ENGLISH, -5, 2) == "-0.05"


@pytest.mark.parametrize(
    ("stage", "word"),
    [
        *(("opened-2", "opened"), ("again accept", "accept"), ("rows", "rows")),
        *(("multiply-did:web:a", "multiply"), ("", "begin")),
    ],
)
def test_a_stage_is_named_by_its_word(stage: str, word: str) -> None:
    assert stage_of(stage) == word


def test_every_stage_that_a_node_tells_of_has_words() -> None:
    folder = REPOSITORY / "node" / "services" / "aggregates"
    code = "".join(each.read_text("utf-8") for each in folder.glob("*.py"))
    call = r"(?:run\.(?:map|tell)\(|multiplied\(run,|stage = |stage, common =)"
    told = set(re.findall(call + r"\s*f?\"([a-z_]+)", code))
    assert len(told) >= 10
    assert {name for name in told if not ENGLISH.knows(f"stage.{name}")} == set()


def test_every_fault_that_ends_a_plan_has_words() -> None:
    folders = ("adapters/compute", "services/aggregates")
    files = [it for each in folders for it in (REPOSITORY / "node" / each).glob("*.py")]
    files.append(REPOSITORY / "node" / "adapters" / "peers.py")
    code = "".join(each.read_text("utf-8") for each in files)
    told = set(
        re.findall(r"(?:Unavailable\(|Conflict\(|\"code\": )\"([a-z_.]+)\"", code)
    )
    assert len(told) >= 10
    told.remove("job.ended")  # what cancelling it once more is answered
    kinds = ("code", "fault")
    words = {it for it in told for kind in kinds if ENGLISH.knows(f"{kind}.{it}")}
    assert told - words == set()


# --- the list


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_list_tells_of_each_job_how_far_it_is(
    site: Site, language: str
) -> None:
    text = (await site.get(f"/jobs?lang={language}")).text
    words = catalogue(language)
    for key in ("done", "failed", "refused", "cancelled"):
        assert words[f"job.state.{key}"] in text
    for job in IDS:
        assert f'href="/jobs/{job}"' in text
    assert 'aria-valuenow="41200"' in text
    assert "2,480" in text
    assert words["code.cohort.too_small"] in text
    assert words["stage.blind"] in text


async def test_the_list_asks_for_itself_only_while_something_runs(site: Site) -> None:
    assert 'hx-trigger="every 2s"' in (await site.get("/jobs")).text
    site.audit.aggregates.running = False
    text = (await site.get("/jobs")).text
    assert "hx-trigger" not in text
    assert "none running" in text
    assert 'http-equiv="refresh"' not in text


async def test_without_jobs_the_page_says_what_to_do(site: Site) -> None:
    site.audit.aggregates.empty = True
    text = (await site.get("/jobs")).text
    assert "No aggregate yet" in text
    assert "<code>fieldpact aggregate" in text


async def test_the_live_part_is_a_fragment_and_the_address_is_a_page(
    site: Site,
) -> None:
    for path in ("/jobs", f"/jobs/{RUNNING}"):
        part = await site.get(f"{path}/live", **PARTIAL)
        assert "<html" not in part.text
        assert 'hx-trigger="every 2s"' in part.text
        whole = await site.get(f"{path}/live")
        assert (whole.status_code, whole.headers["location"]) == (303, path)


async def test_a_node_that_stops_answering_takes_nothing_off_an_open_page(
    site: Site,
) -> None:
    await site.get("/jobs")
    site.audit.failure = 500
    answer = await site.get("/jobs/live", **PARTIAL)
    assert answer.status_code == 200
    assert answer.headers["hx-retarget"] == "#as-of"
    assert "Disconnected" in answer.text
    assert "The node last answered at 2026-11-22" in answer.text


async def test_a_page_that_keeps_itself_up_to_date_keeps_no_session_open(
    site: Site,
) -> None:
    site.clock.at = NOW + datetime.timedelta(minutes=20)
    assert (await site.get("/jobs/live", **PARTIAL)).status_code == 200
    site.clock.at = NOW + datetime.timedelta(minutes=40)
    answer = await site.get("/jobs/live", **PARTIAL)
    assert (answer.status_code, answer.text) == (401, "")


# --- one job


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("job", IDS)
async def test_every_job_has_a_page(site: Site, job: str, language: str) -> None:
    answer = await site.get(f"/jobs/{job}?lang={language}")
    assert answer.status_code == 200
    assert 'class="outcome checked"' in answer.text


@pytest.mark.parametrize(
    "path", ["/jobs", f"/jobs/{HEAT}", f"/jobs/{HEAT}/result.csv", "/jobs/live"]
)
async def test_strangers_see_no_job(site: Site, path: str) -> None:
    assert (await site.stranger.get(path)).status_code == 303


@pytest.mark.parametrize("job", ["0" * 32, "A" * 32, "0" * 31])
async def test_what_is_no_job_is_not_found(site: Site, job: str) -> None:
    assert (await site.get(f"/jobs/{job}")).status_code == 404
    assert (await site.get(f"/jobs/{job}/result.csv")).status_code == 404


async def test_a_heat_map_has_its_picture_its_legend_and_its_twin(site: Site) -> None:
    text = (await site.get(f"/jobs/{HEAT}")).text
    assert text.count('<svg class="heat-map"') == 4
    assert text.count('<pattern id="suppressed"') == 1
    assert 'class="step-hidden"' in text
    assert text.count('class="number hidden-cell">suppressed</td>') > 20
    assert "suppressed: fewer than 10 customers" in text
    assert "by more than ± 14 customers" in text
    assert "week of 2026-11-09" in text
    for words in ("Discrete Laplace at ε 0.5", "Service quality", "Lumen Battery"):
        assert words in text


async def test_one_part_is_shown_alone_with_its_figures(site: Site) -> None:
    text = (await site.get(f"/jobs/{HEAT}?part=1&table=open")).text
    assert text.count('<svg class="heat-map"') == 1
    assert 'class="in step-' in text
    assert '<details class="twin" open>' in text
    assert '<option value="1" selected>Chengdu' in text


async def test_a_change_of_the_view_answers_with_the_changed_part(site: Site) -> None:
    answer = await site.get(f"/jobs/{HEAT}?order=plan", **PARTIAL)
    assert answer.text.lstrip().startswith('<div id="job"')
    assert "HX-Request-Type" in answer.headers["vary"]


async def test_suppressed_cells_within_sums_are_counted(site: Site) -> None:
    text = (await site.get(f"/jobs/{FLIPPED}")).text
    assert "6 suppressed cells count as zero in these sums." in text
    assert "weighted customers in a cell" in text
    assert ", weighted</h2>" in text


async def test_steps_and_the_plan_are_told_as_readers_speak(site: Site) -> None:
    made = re.search(r"Plan made <time[^>]*>([^<]+)<", await read(site, "en"))
    assert made
    assert re.fullmatch(r"[-\d]+ [:\d]+ (UTC|[+-][\d:]+)", made[1])
    assert "<li><span>加密表格" in await read(site, "zh")


async def read(site: Site, language: str) -> str:
    return (await site.get(f"/jobs/{HEAT}?lang={language}")).text


async def test_joint_figures_are_cards_with_their_bounds(site: Site) -> None:
    text = (await site.get(f"/jobs/{JOINT}")).text
    assert "12,847,502.50" in text
    assert "± 25,000.00 CNY" in text
    assert "± 40.52 CNY" in text
    assert "of 793 that were looked for" in text
    exact = (await site.get(f"/jobs/{SHARED}")).text
    assert "617" in exact
    assert "±" not in exact


async def test_of_three_companies_each_pair_is_told_and_too_few_are_not(
    site: Site,
) -> None:
    text = (await site.get(f"/jobs/{RING}")).text
    assert "Voltway Charging and Tessera Leasing" in text
    assert "fewer than 10" in text
    assert "±" not in text


async def test_who_answers_sees_the_question_the_price_and_no_figure(
    site: Site,
) -> None:
    text = (await site.get(f"/jobs/{ANSWERED}")).text
    assert "Only Lumen Battery has the result." in text
    assert '<svg class="heat-map"' not in text
    assert "/calls?agreement=agr-01-service-cases" in text


@pytest.mark.parametrize("job", [ANSWERED, FEDERATED])
async def test_a_job_leads_to_the_receipts_that_the_node_names_with_it(
    site: Site, job: str
) -> None:
    told = site.audit.aggregates.one(job)
    assert told is not None
    text = (await site.get(f"/jobs/{job}")).text
    shown = text[text.index('id="receipts"') :]
    named = re.findall(r'class="hash" href="/receipts/([0-9a-f]{64})"', shown)
    assert named == [each["id"] for each in told["receipts"]] != []
    states = {"verified": "checked when it came", "anchored": "anchored"}
    assert states[told["receipts"][0]["state"]] in shown
    assert "these are the newest" not in text


async def test_where_steps_were_repeated_very_often_the_page_says_so(
    site: Site,
) -> None:
    site.audit.aggregates.repeated = True
    text = (await site.get(f"/jobs/{HEAT}")).text
    assert "Steps were repeated very often: these are the newest receipts." in text


async def test_a_receipt_leads_by_its_plan_to_the_job_and_back(site: Site) -> None:
    told = site.audit.aggregates.one(ANSWERED)
    assert told is not None
    plan_hash = check_plan(told["plan"], registry(site.audit.world, 1)).plan_hash
    answer = await site.get(f"/plans/{plan_hash}")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/jobs/{ANSWERED}",
    )
    page = (await site.get(f"/jobs/{ANSWERED}")).text
    assert f'href="/calls?plan={plan_hash}"' in page
    log = (await site.get(f"/calls?plan={plan_hash}")).text
    shown = set(re.findall(r'href="/receipts/([0-9a-f]{64})"', log))
    assert {each["id"] for each in told["receipts"]} <= shown
    assert f'name="plan" value="{plan_hash}"' in log


async def test_a_plan_that_became_no_job_leads_to_the_calls_that_name_it(
    site: Site,
) -> None:
    answer = await site.get(f"/plans/{'0' * 64}")
    assert answer.headers["location"] == f"/calls?plan={'0' * 64}&window=90d"
    assert (await site.get("/plans/nonsense")).status_code == 404


async def test_a_forged_plan_withholds_question_and_figures(site: Site) -> None:
    site.audit.aggregates.forged.add(HEAT)
    text = (await site.get(f"/jobs/{HEAT}")).text
    assert "Not signed with the pinned key of Hengchuan Motors." in text
    assert '<svg class="heat-map"' not in text
    assert "Discrete Laplace" not in text


async def test_jobs_that_came_to_nothing_say_why(site: Site) -> None:
    refused = (await site.get(f"/jobs/{REFUSED}")).text
    assert "<h2>Refused</h2>" in refused
    assert "<p>Too few customers</p>" in refused
    assert 'lang="en">In words of the node.' in refused
    failed = (await site.get(f"/jobs/{FAILED}")).text
    assert "<h2>Failed</h2>" in failed
    assert "<p>The partner did not answer</p>" in failed
    cancelled = (await site.get(f"/jobs/{CANCELLED}")).text
    assert "What was spent by then stays spent." in cancelled


async def test_a_running_job_says_how_to_stop_it(site: Site) -> None:
    text = (await site.get(f"/jobs/{RUNNING}")).text
    assert f"fieldpact job cancel {RUNNING}" in text
    assert "about 24 s left" in text


# --- the file


async def test_the_file_has_every_cell_and_says_which_are_suppressed(
    site: Site,
) -> None:
    answer = await site.get(f"/jobs/{FEDERATED}/result.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.content.startswith("\ufeff".encode())
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 12
    assert rows[4] == {
        "region": "Chengdu",
        "closed": "2026-04-01",
        "figure": "",
        "suppressed": "1",
        "spread": "220",
        "unit": "h",
    }
    assert [row["figure"] for row in rows[:2]] == ["4210", "3988"]


async def test_of_weighted_cells_file_and_page_tell_each_spread(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = site.audit.aggregates.one

    def weighted(job: str) -> Any:
        told = json.loads(json.dumps(whole(job)))
        spreads = [100 * number for number in range(len(told["result"]["cells"]))]
        told["result"] |= {"spreads": spreads, "spread": spreads[-1]}
        return told

    monkeypatch.setattr(site.audit.aggregates, "one", weighted)
    answer = await site.get(f"/jobs/{FEDERATED}/result.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [row["spread"] for row in rows[:3]] == ["0", "100", "200"]
    page = (await site.get(f"/jobs/{FEDERATED}")).text
    assert 'data-value="3,988" data-spread="100"' in page
    assert "by ± 0 to ± 1,100" in page


async def test_a_label_is_no_formula_in_a_spreadsheet(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = site.audit.aggregates.one

    def risky(job: str) -> Any:
        told = json.loads(json.dumps(whole(job)))
        told["result"]["groups"][0]["values"][0] = "=HYPERLINK(1)"
        return told

    monkeypatch.setattr(site.audit.aggregates, "one", risky)
    text = (await site.get(f"/jobs/{FEDERATED}/result.csv")).text
    assert "'=HYPERLINK(1)" in text
    assert ",=HYPERLINK" not in text
    assert "\n=HYPERLINK" not in text


@pytest.mark.parametrize("job", [JOINT, RUNNING])
async def test_what_has_no_cells_has_no_file(site: Site, job: str) -> None:
    assert (await site.get(f"/jobs/{job}/result.csv")).status_code == 404


def test_amounts_are_read_exactly() -> None:
    assert Result.model_validate({"mean": "0.1"}).mean == Decimal("0.1")
