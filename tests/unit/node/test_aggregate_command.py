"""`fieldpact aggregate`: how a draft is read, and how figures are shown."""

import json
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from node.cli import figures
from node.cli.figures import legend, tables, written
from node.cli.output import Management
from node.domain.denials import DENIALS
from tests.unit.node.test_asking import Node, fieldpact

PROVIDER, AGREEMENT, JOB = "did:web:maker.test", "urn:uuid:1", "ab" * 16
HEAT = f"""\
kind: heat-map
agreements: [{AGREEMENT}]
purpose: service-quality
groups:
  - {{field: code, values: [P0A80, 1042]}}
  - {{field: seen_on, grain: week, from: 2026-10-05, to: 2026-10-12}}
measure: {{what: sum, field: cost, bound: 500}}
epsilon: 0.5
weights: {{code: {{P0A80: 3}}}}
"""
SHARED = f"""\
kind: intersection
agreements: {AGREEMENT}
purpose: service-quality
customers: packs.txt
"""
GRANT = {"field": "region", "type": "text", "unit": None, "scale": 0}
RESULT = {
    "kind": "heat-map",
    "mode": "C",
    "measure": {"what": "sum", "field": "cost", "bound": 50_000},
    "groups": [
        {"field": "region", "grain": "value", "values": ["North", "South"]},
        {"field": "code", "grain": "value", "values": ["P0A80", "U0100"]},
        {"field": "seen_on", "grain": "month", "values": ["2026-10-01", "2026-11-01"]},
    ],
    "cells": [100, None, 250_000, 0, None, None, 1_000_000, 5],
    "unit": "CNY",
    "scale": 2,
    "spread": 1234,
}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node()
    agreement = {"id": AGREEMENT, "aggregates": [GRANT]}
    made.answers["/audit/agreements"] = {"items": [agreement]}
    made.answers["/management/aggregates"] = {"job": JOB, "plan": "cd" * 32}
    made.answers[f"/management/jobs/{JOB}"] = job()
    monkeypatch.setattr(Management, "of", lambda _: made)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return made


def job(**changes: Any) -> dict[str, Any]:
    right = {
        "id": JOB,
        "kind": "heat-map",
        "mode": "C",
        "state": "done",
        "stage": "opened-0",
        "done": 1,
        "total": 1,
        "rate": None,
        "eta_s": None,
        "spent": 500_000,
        "error": None,
        "refused": False,
        "result": RESULT,
    }
    return right | changes


def aggregate(folder: Path, text: str, *options: str) -> Result:
    file = folder / "draft.yaml"
    file.write_text(text, encoding="utf-8")
    return fieldpact("aggregate", str(file), *options)


def said(result: Result) -> str:
    return " ".join(result.output.split())


# --- what is sent


def test_a_draft_is_sent_as_the_node_takes_it(node: Node, tmp_path: Path) -> None:
    where = HEAT + "where: ['region in [North, South]']\n"

    assert aggregate(tmp_path, where).exit_code == 0

    ((path, sent),) = node.sent
    assert path == "/management/aggregates"
    assert sent["mode"] == "C"
    assert sent["epsilon_micro"] == 500_000
    assert sent["measure"]["bound"] == "500"
    assert sent["groups"][0]["values"] == ["P0A80", "1042"]
    assert sent["groups"][1]["from"] == "2026-10-05"
    (condition,) = sent["filters"]
    assert condition["is"] == "one_of"
    assert not {"where", "epsilon"} & sent.keys()


def test_customers_come_from_a_file_beside_the_draft(
    node: Node, tmp_path: Path
) -> None:
    (tmp_path / "packs.txt").write_text("VIN-1\n\nVIN-2\n", encoding="utf-8")

    aggregate(tmp_path, SHARED, "--no-wait")

    ((_, sent),) = node.sent
    assert sent["customers"] == ["VIN-1", "VIN-2"]
    assert sent["agreements"] == [AGREEMENT]
    assert sent["mode"] == "count"


def test_segments_are_customers_by_label(node: Node, tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_text("C-3\n", encoding="utf-8")
    segments = (
        "mode: R\ncohort: shared\nsegments: {large: [C-1, 2], small: small.txt}\n"
    )

    aggregate(tmp_path, HEAT + segments, "--no-wait")

    ((_, sent),) = node.sent
    assert sent["segments"] == {"large": ["C-1", "2"], "small": ["C-3"]}


@pytest.mark.parametrize(
    "text", [HEAT, HEAT.replace(f"agreements: [{AGREEMENT}]\n", "")]
)
def test_one_draft_serves_under_other_agreements(
    node: Node, tmp_path: Path, text: str
) -> None:
    given = "urn:uuid:8", "urn:uuid:7"
    node.answers["/audit/agreements"]["items"][0]["id"] = given[0]
    where = text + "where: ['region in [North, South]']\n"

    words = ("--agreement", given[0], "--agreement", given[1], "--no-wait")
    result = aggregate(tmp_path, where, *words)

    assert result.exit_code == 0, result.output
    ((_, sent),) = node.sent
    assert sent["agreements"] == list(given)
    assert len(sent["filters"]) == 1


@pytest.mark.parametrize(
    ("epsilon", "micro"), [("1", 10**6), ("0.000001", 1), ("1e-6", 1), ("2.50", 2_500_000)]
)  # fmt: skip
def test_epsilon_is_sent_in_millionths(
    node: Node, tmp_path: Path, epsilon: str, micro: int
) -> None:
    aggregate(tmp_path, HEAT.replace("0.5", epsilon), "--no-wait")

    assert node.sent[0][1]["epsilon_micro"] == micro


# --- mistakes


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("kind: heat-map", "- a\n- b", "is no YAML"),
        (HEAT, "- a\n- b\n", "a draft has members, as in kind: heat-map"),
        (HEAT, "", "a draft has members"),
        ("kind:", "kinds:", "kinds is no member of a draft: write kind"),
        ("weights:", "xyz:", "xyz is no member of a draft."),
        ("purpose: service-quality\n", "", "purpose is missing"),
        (f"[{AGREEMENT}]", "[]", "agreements is missing: name them with --agreement"),
        ("heat-map", "heatmap", "kind: Input should be 'heat-map'"),
        ("heat-map", "[heat-map]", "kind: Input should be 'heat-map'"),
        (
            "kind: heat-map",
            "kind: heat-map\nmode: Z",
            "mode is one of C, R, flip in a heat-map",
        ),
        ("kind: heat-map", "kind: joint-sum\nmode: C", "a joint-sum has no mode"),
        ("epsilon: 0.5", "epsilon: 0.0000001", "epsilon is a number with at most six"),
        ("epsilon: 0.5", "epsilon: much", "epsilon is a number with at most six"),
        ("epsilon: 0.5", "epsilon: -1", "epsilon is a number with at most six"),
        ("epsilon: 0.5", "epsilon: .inf", "epsilon is a number with at most six"),
        (
            "epsilon: 0.5",
            "epsilon: 21",
            "epsilon, in millionths: Input should be less than",
        ),
        ("{field: code,", "{fields: code,", "groups[0].field: Field required"),
        ("grain: week", "grain: fortnight", "groups[1].grain: Input should be 'value'"),
        ("grain: week", "grains: week", "groups[1].grains: There is no such member"),
        ("{what: sum", "{what: mean", "measure.what: Input should be 'count' or 'sum'"),
        ("epsilon: 0.5", "k_min: 4", "k_min: Input should be greater than or equal"),
        ("epsilon: 0.5", "where: {region: North}", "where is a list of conditions"),
        ("epsilon: 0.5", "where: region is North", "draft.yaml: Write it as in"),
        (
            "epsilon: 0.5",
            "where: colour in [a, b]",
            "asked about colour; allowed: region",
        ),
        ("epsilon: 0.5", "customers: 7", "customers is a list, or a file"),
        ("epsilon: 0.5", "customers: gone.txt", "gone.txt is no list with a customer"),
        ("epsilon: 0.5", "segments: [a]", "segments are customers by label"),
        ("epsilon: 0.5", "segments: {a: 7}", "segments.a is a list, or a file"),
    ],
)
def test_a_mistake_is_told_with_its_member_and_nothing_is_sent(
    node: Node, tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    result = aggregate(tmp_path, HEAT.replace(right, wrong, 1))

    assert result.exit_code == 1
    assert "draft.yaml" in said(result).replace(" ", "")
    assert told.replace(" ", "") in said(result).replace(" ", "")
    assert node.sent == []


def test_a_file_that_is_not_there_is_told(node: Node, tmp_path: Path) -> None:
    result = fieldpact("aggregate", str(tmp_path / "none.yaml"))

    assert result.exit_code == 1
    assert "cannot be read: No such file" in said(result)


def test_bytes_that_are_no_text_are_told(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "draft.yaml"
    file.write_bytes(b"kind: \xff\xfe")

    assert "is not UTF-8" in said(fieldpact("aggregate", str(file)))


# --- looking first


def looked(*codes: str, left: int = 750_000) -> dict[str, Any]:
    plan = {
        "kind": "heat-map",
        "mode": "C",
        "purpose": "service-quality",
        "parties": [{"did": PROVIDER, "agreement": AGREEMENT, "dataset": "faults"}],
        "groups": [
            {"field": "code", "grain": "value", "values": ["P0A80", "U0100"]},
            {
                "field": "seen_on",
                "grain": "day",
                "values": [f"2026-10-{n:02}" for n in range(1, 9)],
            },
        ],
        "measure": {"what": "sum", "field": "cost", "bound": 50_000},
        "filters": [{"fields": ["region"], "is": "one_of", "values": ["a", "b"]}],
        "cohort": "shared",
        "size": 0,
        "epsilon_micro": 500_000,
        "k_min": 10,
    }
    cost = {
        "did": PROVIDER,
        "agreement": AGREEMENT,
        "cost": 500_000,
        "left": left,
        "fits": left >= 500_000,
        "denials": [] if left >= 500_000 else ["budget.exhausted"],
    }
    return {
        "/management/aggregates/look": {
            "plan": {"plan": plan, "signature": "…"},
            "unmet": {PROVIDER: list(codes)},
        },
        "/management/budget": {
            "plan": "…",
            "epsilon_micro": 500_000,
            "parties": [cost],
        },
    }


def test_looking_shows_the_plan_and_what_it_costs(node: Node, tmp_path: Path) -> None:
    node.answers |= looked()

    result = aggregate(tmp_path, HEAT, "--look")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "heat-map C · for service-quality · 16 cells · epsilon 0.5 · at least 10 customers",
        f"  asked of {PROVIDER}, faults, {AGREEMENT}",
        "  by code: P0A80, U0100",
        "  by seen_on, a day each: 2026-10-01, 2026-10-02 … 2026-10-08 (8)",
        "  sum cost, 50,000 smallest units of each customer at most",
        "  where region one of a, b",
        "  over shared customers",
        "✓ granted, as far as the agreements say",
        f"✓ {AGREEMENT}: costs 0.5, 0.75 is left",
    ]
    paths = [path for path, _ in node.sent]
    assert paths == ["/management/aggregates/look", "/management/budget"]


def test_looking_tells_what_is_not_granted(node: Node, tmp_path: Path) -> None:
    node.answers |= looked("aggregate.not_granted", "cohort.minimum")

    result = aggregate(tmp_path, HEAT, "--look")

    assert result.exit_code == 3
    for code in ("aggregate.not_granted", "cohort.minimum"):
        told = f"✗ {PROVIDER}: {code}: {DENIALS[code].message.en}"
        assert told in result.stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_looking_ends_with_3_where_not_enough_is_left(
    node: Node, tmp_path: Path, options: tuple[str, ...]
) -> None:
    node.answers |= looked(left=100_000)

    assert aggregate(tmp_path, HEAT, "--look", *options).exit_code == 3


def test_looking_gives_the_signed_plan_to_programs(node: Node, tmp_path: Path) -> None:
    node.answers |= looked()

    result = aggregate(tmp_path, HEAT, "--look", "--json")

    found = json.loads(result.stdout)
    assert found == node.answers["/management/aggregates/look"]


# --- what came of it


def test_without_waiting_only_the_job_is_named(node: Node, tmp_path: Path) -> None:
    result = aggregate(tmp_path, HEAT, "--no-wait")

    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n")


def test_figures_are_written_with_what_they_cost(node: Node, tmp_path: Path) -> None:
    result = aggregate(tmp_path, HEAT)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "✓ heat-map C",
        "region\tcode\t2026-10\t2026-11",
        "North\tP0A80\t1.00\t···",
        "North\tU0100\t2,500.00\t0.00",
        "region\tcode\t2026-10\t2026-11",
        "South\tP0A80\t···\t···",
        "South\tU0100\t10,000.00\t0.05",
        "± 12.34 CNY, with 99 in 100; ··· suppressed: 3 of 8",
        "epsilon 0.5 spent",
        f"job {JOB}",
    ]


@pytest.mark.parametrize(
    ("code", "refused", "exit_code"),
    [("cohort.too_small", True, 3), ("partner.malformed", False, 1)],
)
def test_a_refusal_ends_with_3_and_a_fault_with_1(
    node: Node, tmp_path: Path, code: str, refused: bool, exit_code: int
) -> None:
    error = {"code": code, "detail": "Why."}
    node.answers[f"/management/jobs/{JOB}"] = job(
        state="failed", error=error, refused=refused, result=None, spent=50_000
    )

    result = aggregate(tmp_path, HEAT)

    assert result.exit_code == exit_code
    assert f"✗ {code} Why.\nepsilon 0.05 spent\n" in result.stdout


# --- tables


def drawn(result: dict[str, Any], width: int) -> list[str]:
    seen = StringIO()
    console = Console(file=seen, width=width)
    for table in tables(result, width):
        console.print(table)
    return [line.rstrip() for line in seen.getvalue().splitlines()]


def test_a_map_is_drawn_by_its_outer_groups_with_shades() -> None:
    assert drawn(RESULT, 80) == [
        "North",
        "code       2026-10      2026-11",
        "P0A80       1.00 ░          ···",
        "U0100   2,500.00 ▒       0.00 ░",
        "South",
        "code       2026-10      2026-11",
        "P0A80          ···          ···",
        "U0100  10,000.00 █       0.05 ░",
    ]


def test_a_terminal_gets_the_map_and_what_it_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = StringIO()
    terminal = Console(file=seen, force_terminal=True, color_system=None, width=60)
    monkeypatch.setattr(figures, "out", terminal)

    figures.show_result(RESULT)

    lines = [line.rstrip() for line in seen.getvalue().splitlines()]
    assert lines[:-1] == drawn(RESULT, 60)
    assert lines[-1] == "± 12.34 CNY, with 99 in 100; ··· suppressed: 3 of 8"


def test_a_map_that_is_too_wide_goes_on_below() -> None:
    weeks = [f"2026-{month:02}-02" for month in range(1, 13)]
    groups = [
        {"field": "code", "grain": "value", "values": ["a"]},
        {"field": "day", "grain": "day", "values": weeks},
    ]
    result = RESULT | {"groups": groups, "cells": [*range(11), None], "scale": 0}

    lines = drawn(result, 60)

    assert max(map(len, lines)) <= 60
    heads = [line for line in lines if line.startswith("code")]
    assert len(heads) > 1
    assert " ".join(heads).replace("code", "").split() == weeks


@pytest.mark.parametrize(
    ("grain", "labels"),
    [
        ("year", ["2026", "2027"]),
        ("quarter", ["2026-Q4", "2027-Q1"]),
        ("month", ["2026-10", "2027-01"]),
        ("week", ["2026-10-01", "2027-01-01"]),
    ],
)
def test_periods_are_named_as_people_do(grain: str, labels: list[str]) -> None:
    days = {"field": "seen_on", "grain": grain, "values": ["2026-10-01", "2027-01-01"]}
    result = RESULT | {"groups": [days], "cells": [1, 2], "scale": 0}

    _, *rows, _ = written(result)

    assert [row.split("\t")[0] for row in rows] == labels


def test_a_map_of_nothing_but_suppressed_cells_is_drawn() -> None:
    result = RESULT | {"cells": [None] * 8}

    assert "···" in " ".join(drawn(result, 80))
    assert legend(result).endswith("8 of 8")


def test_weighted_cells_are_said_to_have_spreads_from_which_to_which() -> None:
    result = RESULT | {"spreads": [1234, 617, *[1234] * 6]}

    assert legend(result).startswith("± 6.17 to 12.34 CNY")
    assert legend(RESULT).startswith("± 12.34 CNY")


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (
            {"asked": 75, "count": 60, "rate": "0.8000"},
            ["60 of 75 customers are shared · 80.0%"],
        ),
        (
            {"asked": 75, "count": None, "rate": None, "fewer_than": 10},
            ["fewer than 10 of 75 customers are shared: no more is told"],
        ),
        (
            {
                "asked": 75, "count": 60, "rate": "0.8000", "sum": 6000,
                "mean": "1.0000", "spread": 150, "unit": "EUR", "scale": 2,
                "measure": {"what": "sum", "field": "cost"},
            },
            [
                "60 of 75 customers are shared · 80.0%",
                "sum of cost: 60.00 ± 1.50 EUR · 1.00 EUR each",
            ],
        ),
        (
            {
                "asked": 75, "count": 60, "rate": "0.8000",
                "pairs": [
                    {"between": ["a", "b"], "count": 61},
                    {"between": ["b", "c"], "count": None},
                ],
            },
            [
                "60 of 75 customers are shared · 80.0%",
                "a and b: 61",
                "b and c: too few to say",
            ],
        ),
        (
            {"asked": 75, "count": 60, "rate": "0.8000", "declared": 60, "tokens": 64},
            [
                "60 of 75 customers are shared · 80.0%",
                "60 customers declared, as 64 tokens",
            ],
        ),
        (
            RESULT | {"groups": [], "cells": [-50]},
            ["sum -0.50 ± 12.34 CNY"],
        ),
        (RESULT | {"groups": [], "cells": [None]}, ["sum ··· ± 12.34 CNY"]),
    ],
)  # fmt: skip
def test_one_figure_is_told_in_a_line(result: dict[str, Any], lines: list[str]) -> None:
    assert list(written(result)) == lines
