"""The page of the ledger: alarms, proofs, and what partners leave open."""

import pytest

from dashboard.i18n import catalogue
from dashboard.pages.attention import ALARMS, findings, words_of
from dashboard.pages.open_receipts import WIDTH, bar_of, rows_of, worst
from dashboard.statements import Sounding, Stream
from tests.support import REPOSITORY
from tests.unit.dashboard.test_figures import NOW, PARTNER, seen
from tests.unit.dashboard.test_pages import Site, site, world

__all__ = ["site", "world"]  # fixtures
MOST = 100


def stream(open_: int = 0, **changes: object) -> Stream:
    values = {
        "agreement": "a",
        "role": "provider",
        "partner": PARTNER,
        "dataset": "d",
        "stream": "0" * 64,
        "receipts": 500,
        "open": open_,
        "compared": None,
    }
    return Stream.model_validate(values | changes)


def compared(state: str, *mended: bool) -> dict[str, object]:
    difference = {"kind": "k", "numbers": "1", "count": 1, "en": "e", "zh": "z"}
    told = [difference | {"mended": each} for each in mended]
    return {"at": NOW, "state": state, "differences": told}


@pytest.mark.parametrize(
    ("open_", "state"),
    [(0, "none"), (1, "some"), (79, "some"), (80, "near"), (99, "near"), (100, "full")],
)
def test_a_bar_tells_how_near_a_partner_is_to_the_limit(open_: int, state: str) -> None:
    bar = bar_of(stream(open_), MOST)
    assert bar.state == state
    assert 0 <= bar.length <= WIDTH
    assert bool(bar.length) == bool(open_)


def test_more_open_than_allowed_does_not_leave_the_drawing() -> None:
    assert bar_of(stream(500), MOST).length == WIDTH
    assert bar_of(stream(1), 0).length == WIDTH


def test_what_differs_comes_first_then_what_is_fullest() -> None:
    shown = rows_of(
        [
            stream(90, partner="did:web:b"),
            stream(1, partner="did:web:c", compared=compared("different", False)),
            stream(0, partner="did:web:a"),
        ],
        MOST,
    )
    assert [did[-1] for did, _ in shown] == ["c", "b", "a"]


def test_the_overview_shows_only_what_partners_leave_open() -> None:
    streams = [stream(n, agreement=str(n)) for n in range(7)]
    streams.append(stream(50, role="consumer"))
    assert [row.stream.open for row in worst(streams, MOST)] == [6, 5, 4, 3]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_alarm_that_the_page_knows_has_words_and_advice(language: str) -> None:
    words = catalogue(language)
    for code in (*ALARMS, "unheard.of"):
        assert words[words_of(code)]
        assert words[f"{words_of(code)}.do"]


def test_every_alarm_that_the_page_knows_is_one_that_a_node_sounds() -> None:
    folder = REPOSITORY / "node"
    said = "".join(each.read_text("utf-8") for each in folder.rglob("*.py"))
    assert [code for code in ALARMS if f'"{code}"' not in said] == []


def test_alarms_come_before_everything_else_and_those_that_stop_first() -> None:
    alarms = [
        Sounding(code="partner.forked", subject=PARTNER, at=NOW, stops=False),
        Sounding(code="log.forked", subject="", at=NOW, stops=True),
    ]
    found = findings(seen(alarms=alarms, deniers=400))
    assert [each.kind for each in found][:2] == ["alarm_stops", "alarm"]
    assert {each.href for each in found[:2]} == {"/ledger"}


def test_a_partner_near_the_limit_or_with_another_copy_is_reported() -> None:
    def kinds(each: Stream) -> list[str]:
        view = seen()
        changed = type(view)(
            summary=view.summary,
            agreements=(),
            deniers=(),
            now=NOW,
            query={},
            streams=(each,),
            most=MOST,
        )
        return [found.kind for found in findings(changed)]

    assert kinds(stream(79)) == []
    assert kinds(stream(80)) == ["open"]
    assert kinds(stream(90, role="consumer")) == []
    assert kinds(stream(compared=compared("different", False))) == ["differs"]
    assert kinds(stream(compared=compared("different", True))) == []
    assert kinds(stream(compared=compared("unreachable"))) == []


# --- over HTTP


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_quiet_ledger_says_that_it_is_quiet(site: Site, language: str) -> None:
    answer = await site.get(f"/ledger?lang={language}")
    assert answer.status_code == 200
    assert catalogue(language)["ledger.quiet"] in answer.text
    assert catalogue(language)["alarms.stops"] not in answer.text


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_alarms_and_proofs_tell_who_what_and_what_to_do(
    site: Site, language: str
) -> None:
    site.audit.troubled = True
    words = catalogue(language)
    page = (await site.get(f"/ledger?lang={language}")).text
    for key in (
        *("ledger.stopped", "alarm.log.forked", "alarm.log.forked.do"),
        *("alarm.partner.forked", "alarm.other", "fault.fork.do", "faults.take"),
    ):
        assert words[key] in page
    assert f"/faults/{'a' * 64}.json" in page
    overview = (await site.get(f"/?lang={language}")).text
    assert words["attention.alarm_stops.why"] in overview


async def test_a_proof_is_handed_out_as_a_file(site: Site) -> None:
    site.audit.troubled = True
    answer = await site.get(f"/faults/{'a' * 64}.json")
    assert answer.json()["typ"] == "fieldpact/stream-fork/1"
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize("fault", ["b" * 64, "a" * 63, "..", "A" * 64])
async def test_what_is_no_proof_is_not_found(site: Site, fault: str) -> None:
    site.audit.troubled = True
    assert (await site.get(f"/faults/{fault}.json")).status_code == 404


@pytest.mark.parametrize("path", ["/ledger", "/faults/" + "a" * 64 + ".json"])
async def test_strangers_see_nothing_of_it(site: Site, path: str) -> None:
    assert (await site.stranger.get(path)).status_code == 303
