"""What was asked and what was proved, in words, in both languages."""

import itertools
import json
import subprocess
import zoneinfo

import pytest

from dashboard.build import WEB, BuildError, find_tools
from dashboard.i18n import Speech, catalogue
from dashboard.proofs import asked, grants_of, proved, sentence
from dashboard.statements import Agreement, CallPage, Provable
from ledger.conditions import OPERATORS, Condition, Value

ZONE = zoneinfo.ZoneInfo("Asia/Shanghai")
ENGLISH, CHINESE = (Speech(language=each, zone=ZONE) for each in ("en", "zh"))
GRANTS = {
    field: Provable(field=field, type=kind, unit=unit)
    for field, kind, unit in (
        ("spend", "money", "EUR"),
        ("credit", "money", "EUR"),
        ("hours", "integer", "h"),
        ("accepted", "date", None),
        ("delivered", "date", None),
        ("industry", "text", None),
        ("active", "boolean", None),
    )
}
SENTENCES: list[tuple[str, list[str], list[Value], str, str]] = [
    (
        "at_least",
        ["spend"],
        ["500000.00"],
        "spend is at least 500,000.00 EUR",
        "“spend”不低于 500,000.00 EUR",
    ),
    ("at_most", ["hours"], [1200], "hours is at most 1,200 h", "“hours”不高于 1,200 h"),
    (
        "at_least",
        ["accepted"],
        ["2026-03-01"],
        "accepted is 2026-03-01 or later",
        "“accepted”不早于 2026-03-01",
    ),
    (
        "at_most",
        ["accepted"],
        ["2026-03-01"],
        "accepted is 2026-03-01 or earlier",
        "“accepted”不晚于 2026-03-01",
    ),
    (
        "before",
        ["accepted"],
        ["2026-03-01"],
        "accepted is before 2026-03-01",
        "“accepted”早于 2026-03-01",
    ),
    (
        "after",
        ["accepted"],
        ["2026-03-01"],
        "accepted is after 2026-03-01",
        "“accepted”晚于 2026-03-01",
    ),
    (
        "between",
        ["spend"],
        ["-1000.50", "2000000.00"],
        "spend is between -1,000.50 and 2,000,000.00 EUR, inclusive",
        "“spend”介于 -1,000.50 与 2,000,000.00 EUR 之间（含两端）",
    ),
    (
        "one_of",
        ["industry"],
        ["2024", "leasing"],
        "industry is one of “2024”, “leasing”",
        "“industry”为以下之一（“2024”、“leasing”）",
    ),
    (
        "one_of",
        ["hours"],
        [8, 9],
        "hours is one of 8, 9 h",
        "“hours”为以下之一（8、9 h）",
    ),
    (
        "one_of",
        ["active"],
        [False, True],
        "active is one of false, true",
        "“active”为以下之一（否、是）",
    ),
    (
        "no_more_than",
        ["spend", "credit"],
        [],
        "spend is at most credit",
        "“spend”不高于“credit”",
    ),
    (
        "no_more_than",
        ["accepted", "delivered"],
        [],
        "accepted is not later than delivered",
        "“accepted”不晚于“delivered”",
    ),
    (
        "equal",
        ["accepted", "delivered"],
        [],
        "accepted equals delivered",
        "“accepted”与“delivered”相等",
    ),
    (
        "sum_at_least",
        ["credit", "spend"],
        ["1000.00"],
        "credit plus spend is at least 1,000.00 EUR",
        "“credit”与“spend”之和不低于 1,000.00 EUR",
    ),
]


@pytest.mark.parametrize(
    ("operator", "fields", "values", "english", "chinese"), SENTENCES
)
def test_a_condition_is_a_sentence_in_both_languages(
    operator: str, fields: list[str], values: list[Value], english: str, chinese: str
) -> None:
    condition = Condition.of(operator, fields, values)
    assert asked(ENGLISH, [condition], GRANTS).striptags() == english
    assert asked(CHINESE, [condition], GRANTS).striptags() == chinese


SCRIPT = """
import { readFileSync } from "node:fs";
const { asked, proved } = await import(process.argv[1]);
const { cases, words, grants } = JSON.parse(readFileSync(0, "utf-8"));
const said = cases.map((core) => [asked(core, { words, grants }), proved(core, words)]);
process.stdout.write(JSON.stringify(said));
"""


@pytest.mark.parametrize("speech", [ENGLISH, CHINESE], ids=["en", "zh"])
@pytest.mark.parametrize("known", [True, False], ids=["with units", "without"])
def test_the_browsers_sentences_are_the_same(speech: Speech, known: bool) -> None:
    try:
        node = find_tools().node
    except BuildError:
        pytest.skip("no Node on this machine")
    grants = GRANTS if known else {}
    counts = itertools.cycle([(3, 1), (1200, 0), (1, 2), (0, 1), (0, 1500), (0, 0)])
    cases = [
        (Condition.of(operator, fields, values), *next(counts))
        for operator, fields, values, _, _ in SENTENCES
    ]
    told = {
        "words": dict(catalogue(speech.language)),
        "grants": {name: grant.model_dump() for name, grant in grants.items()},
        "cases": [
            {"where": [each.to_json()], "records": records, "withheld": withheld}
            for each, records, withheld in cases
        ],
    }
    done = subprocess.run(
        [*node, "--input-type=module", "-e", SCRIPT, str(WEB / "src" / "proofs.js")],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout) == [
        [
            asked(speech, [each], grants).striptags(),
            proved(speech, records, withheld).striptags(),
        ]
        for each, records, withheld in cases
    ]


def test_every_operator_has_its_sentence() -> None:
    assert {operator for operator, *_ in SENTENCES} == set(OPERATORS)


def test_without_its_agreement_a_condition_is_said_without_a_unit() -> None:
    spend = Condition.of("at_least", ["spend"], ["500000.00"])
    accepted = Condition.of("at_most", ["accepted"], ["2026-03-01"])
    industry = Condition.of("one_of", ["industry"], ["2024", "leasing"])
    said = [
        asked(ENGLISH, [each], {}).striptags() for each in (spend, accepted, industry)
    ]
    assert said == [
        "spend is at least 500,000.00",
        "accepted is 2026-03-01 or earlier",
        "industry is one of “2024”, “leasing”",
    ]


@pytest.mark.parametrize(
    ("records", "withheld", "english", "chinese"),
    [
        (
            3,
            1,
            "proved of 3 records, not proved of 1; the values were not shown",
            "3 条记录已证明成立，1 条未能证明；字段的值未披露",
        ),
        (
            1,
            0,
            "proved of 1 record; the values were not shown",
            "1 条记录已证明成立；字段的值未披露",
        ),
        (
            0,
            1200,
            "not proved of any of 1,200 records; nothing was shown",
            "1,200 条记录均未能证明；没有披露任何内容",
        ),
        (0, 0, "there was no record to prove it of", "没有可供证明的记录"),
    ],
)
def test_the_outcome_says_of_how_many_records_it_was_proved(
    records: int, withheld: int, english: str, chinese: str
) -> None:
    assert str(proved(ENGLISH, records, withheld)) == english
    assert str(proved(CHINESE, records, withheld)) == chinese


def test_conditions_and_outcome_are_one_sentence() -> None:
    conditions = [
        Condition.of("at_least", ["annual_spend"], ["500000.00"]),
        Condition.of("before", ["accepted"], ["2026-03-01"]),
    ]
    grants = {
        "annual_spend": Provable(field="annual_spend", type="money", unit="EUR"),
    }
    said = [
        sentence(speech, asked(speech, conditions, grants), 3, 1).striptags()
        for speech in (ENGLISH, CHINESE)
    ]
    assert said[0] == (
        "annual_spend is at least 500,000.00 EUR, and accepted is before 2026-03-01: "
        "proved of 3 records, not proved of 1; the values were not shown"
    )
    assert said[1] == (
        "“annual_spend”不低于 500,000.00 EUR，且“accepted”早于 2026-03-01："
        "3 条记录已证明成立，1 条未能证明；字段的值未披露"
    )


def test_a_value_in_a_condition_cannot_bring_markup() -> None:
    condition = Condition.of("one_of", ["industry"], ["<b>", "<i>"])
    said = asked(ENGLISH, [condition], GRANTS, name=lambda _: "<script>")
    assert "<b>" not in said
    assert "<script>" not in said


def test_units_come_from_the_agreement_of_the_call() -> None:
    agreements = [
        Agreement.model_validate(
            {
                "id": name,
                "role": "provider",
                "partner": "did:web:partner.example",
                "valid_from": "2026-01-01T00:00:00Z",
                "valid_to": "2027-01-01T00:00:00Z",
                "status": "active",
                "last_used_at": None,
                "predicates": [{"field": "spend", "type": "money", "unit": unit}],
            }
        )
        for name, unit in (("agr-1", "EUR"), ("agr-2", "CNY"))
    ]
    assert grants_of(agreements, "agr-2")["spend"].unit == "CNY"
    assert grants_of(agreements, None) == {}


def test_conditions_that_cannot_be_read_are_nonsense() -> None:
    call: dict[str, object] = {
        "sequence": 1,
        "receipt_id": "0" * 64,
        "at": "2026-01-01T00:00:00Z",
        **dict.fromkeys(("partner", "agreement", "dataset", "purpose")),
        "fields": [],
        "where": [{"fields": ["spend"], "is": "about", "values": [1]}],
        "decision": "allow",
        "denials": [],
        "customers": 1,
        "records": 1,
        "withheld": 0,
        "state": "anchored",
    }
    page: dict[str, object] = {
        "items": [call],
        "newer": None,
        "older": None,
        "total": 1,
        "facets": {},
    }
    with pytest.raises(ValueError, match="where"):
        CallPage.model_validate(page)
