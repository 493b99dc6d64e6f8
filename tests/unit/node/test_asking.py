"""What the command line sends, and the words in which it tells what was proved."""

import json
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner, Result

from ledger.conditions import OPERATORS
from node.api.models import NewPredicate, Query
from node.cli import progress
from node.cli.app import app
from node.cli.output import Management
from node.domain.predicates import FITTING, MOST_PROBES, PredicateGrant
from tests.unit.node.test_predicates import accepted, spend

AGREEMENT = "urn:uuid:6f9619ff-8b86-4d01-b42d-00cf4fc96400"
SPEND = {"fields": ["spend"], "is": "at_least", "values": ["500000.00"]}
ACCEPTED = {"fields": ["accepted"], "is": "before", "values": ["2026-03-01"]}
WORDS = "spend ≥ 500,000.00 EUR", "accepted before 2026-03-01"


class Node:
    """A node that answers what it is told to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.sent: list[tuple[str, Any]] = []

    def get(self, path: str) -> Any:
        answer = self.answers[path]
        return next(answer) if isinstance(answer, Iterator) else answer

    def post(self, path: str, body: Any) -> Any:
        self.sent.append((path, body))
        return self.answers[path]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node()
    made.answers["/audit/agreements"] = {"items": [listed(spend(), accepted())]}
    monkeypatch.setattr(Management, "of", lambda _: made)
    return made


def listed(*grants: PredicateGrant) -> dict[str, Any]:
    return {
        "id": AGREEMENT,
        "role": "consumer",
        "partner": "did:web:maker.test",
        "dataset": "projects",
        "fields": {"stage": "plain", "spend": "predicate"},
        "status": "active",
        "calls": 3,
        "predicates": json.loads(json.dumps([grant.to_json() for grant in grants])),
        "aggregates": [],
        "allowance": None,
    }


def answered(**changes: Any) -> dict[str, Any]:
    right = {
        "receipt": "ab" * 32,
        "allowed": True,
        "verified": True,
        "denials": [],
        "where": [SPEND],
        "customers": {},
        "snapshot": {
            "id": "cd" * 32,
            "version": 4,
            "sequence": 2,
            "signed_at": "2026-11-22T18:00:00Z",
            "state": "anchored",
            "epoch": 7,
            "anchored_at": "2026-11-22T18:20:00Z",
        },
        "checks": [],
    }
    return right | changes


def fieldpact(*words: str) -> Result:
    return CliRunner().invoke(app, [*words, "-s", "node.yaml"])


def ask(node: Node, *words: str, **answer: Any) -> Result:
    node.answers["/management/ask"] = answered(**answer)
    return fieldpact("ask", AGREEMENT, "C-1", "--purpose", "joint-delivery", *words)


# --- ask


def test_a_question_is_sent_in_the_form_of_the_wire(node: Node) -> None:
    result = ask(
        node,
        *("--field", "stage", "--field", "name"),
        *("--where", "spend >= 500000 EUR", "--where", "accepted < 2026-03-01"),
    )

    assert result.exit_code == 0, result.output
    assert node.sent == [
        (
            "/management/ask",
            {
                "agreement": AGREEMENT,
                "purpose": "joint-delivery",
                "fields": ["name", "stage"],
                "customers": ["C-1"],
                "where": [ACCEPTED, SPEND],
            },
        )
    ]


def test_without_conditions_the_agreement_is_not_looked_up(node: Node) -> None:
    node.answers.pop("/audit/agreements")

    assert ask(node, "--field", "stage", where=[]).exit_code == 0


def test_what_was_proved_is_told_in_words_and_nothing_of_the_value(node: Node) -> None:
    result = ask(
        node,
        *("--field", "stage", "--where", "spend >= 500000"),
        customers={
            "C-1": [
                {"fields": {"stage": "open"}, "proved": True},
                {"fields": {}, "proved": False},
            ],
            "C-2": None,
            "C-3": [],
        },
    )

    assert result.stdout.splitlines() == [
        f"✓ verified · receipt {'ab' * 32}",
        f"C-1: stage = open, {WORDS[0]}: proved, value not shown",
        f"C-1: {WORDS[0]}: not proved",
        "C-2: not shared",
        "C-3: no record",
        "version 4 of the records · anchored since 2026-11-22T18:20:00Z",
    ]


def test_of_several_conditions_nobody_learns_which_one_does_not_hold(
    node: Node,
) -> None:
    result = ask(
        node,
        *("--where", "spend >= 500000", "--where", "accepted < 2026-03-01"),
        where=[ACCEPTED, SPEND],
        customers={"C-1": [{"fields": {}, "proved": False}]},
    )

    assert f"C-1: {WORDS[1]}; {WORDS[0]}: not proved together" in result.stdout


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("not_yet_anchored", "not yet anchored"),
        ("older", "from an older snapshot"),
        ("unknown", "nobody said whether it is anchored"),
    ],
)
def test_where_the_snapshot_stands_is_told(node: Node, state: str, words: str) -> None:
    snapshot = answered()["snapshot"] | {"state": state, "anchored_at": None}

    result = ask(node, "--where", "spend >= 500000", snapshot=snapshot)

    assert result.stdout.endswith(f"version 4 of the records · {words}\n")


def test_a_refusal_about_the_grid_tells_the_grid(node: Node) -> None:
    denial = {"code": "predicate.granularity", "message": "Too fine.", "mend": "Ask."}

    result = ask(
        node,
        *("--where", "spend >= 500001"),
        allowed=False,
        denials=[denial],
        where=[SPEND | {"values": ["500001.00"]}],
        snapshot=None,
    )

    assert result.exit_code == 3
    assert "✗ predicate.granularity: Too fine. Ask." in result.stdout
    assert "spend: at_least, at_most, between, sum_at_least · every 100,000.00 EUR" in result.stdout  # fmt: skip
    assert "accepted" not in result.stdout


def test_an_answer_that_does_not_verify_tells_what_failed(node: Node) -> None:
    failed = {
        "name": "disclosure",
        "state": "failed",
        "words": {"en": "What was disclosed is not what the receipt says.", "zh": ""},
        "detail": "customer 1",
    }

    result = ask(node, "--where", "spend >= 5", verified=False, checks=[failed], snapshot=None)  # fmt: skip

    assert result.exit_code == 4
    assert "✗ What was disclosed is not what the receipt says. customer 1" in result.stdout  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("spend", "where.form"),
        ("rent >= 5", "where.field"),
        ("spend = 5", "where.operator"),
        ("spend >= 1.234", "where.value"),
        ("spend >= 5 USD", "where.unit"),
    ],
)
def test_what_cannot_be_asked_is_not_sent(node: Node, text: str, code: str) -> None:
    result = ask(node, "--where", text)

    assert result.exit_code == 1
    assert code in result.stderr
    assert node.sent == []


def test_more_than_can_be_proved_at_once_is_not_sent(node: Node) -> None:
    many = [f"spend >= {number}00000" for number in range(1, 6)]

    result = ask(node, *(word for text in many for word in ("--where", text)))

    assert result.exit_code == 1
    assert "where.many" in result.stderr
    assert node.sent == []


def test_an_agreement_that_is_not_there_lets_nothing_be_asked(node: Node) -> None:
    node.answers["/audit/agreements"] = {"items": []}

    result = ask(node, "--where", "spend >= 5")

    assert result.exit_code == 1
    assert "agreement.unknown" in result.stderr


def test_a_question_asks_for_something(node: Node) -> None:
    assert ask(node).exit_code == 2
    assert node.sent == []


def test_programs_get_the_answer_as_it_is(node: Node) -> None:
    result = ask(node, "--where", "spend >= 500000", "--json")

    assert json.loads(result.stdout) == answered()


# --- offer, agreement list


def offer(node: Node, *words: str) -> Result:
    node.answers["/management/offers"] = {"consumerPid": "urn:uuid:c"}
    return fieldpact(
        *("offer", "did:web:supplier.test", "projects", "--purpose", "joint-delivery"),
        *("--valid-from", "2026-11-01", "--valid-to", "2027-05-01", *words),
    )


def test_a_predicate_is_offered_with_its_field(node: Node) -> None:
    result = offer(
        node,
        *("--field", "stage:plain"),
        *("--predicate", "spend:at_least,at_most:100000:8"),
        *("--predicate", "people:at_least:-:1"),
    )

    assert result.exit_code == 0, result.output
    ((_, body),) = node.sent
    assert body["fields"] == {"stage": "plain", "spend": "predicate", "people": "predicate"}  # fmt: skip
    assert body["predicates"] == [
        {
            "field": "spend",
            "operators": ["at_least", "at_most"],
            "step": "100000",
            "probes": 8,
        },
        {"field": "people", "operators": ["at_least"], "step": None, "probes": 1},
    ]
    for each in body["predicates"]:
        NewPredicate.model_validate(each)


@pytest.mark.parametrize(
    "text", ["spend", "spend:at_least:8", "spend:at_least::8", "spend:at_least:-:many",
             "spend:at_least:-:8:EUR", "spend:at_least:-:-1", f"spend:at_least:-:{'9' * 9}"]
)  # fmt: skip
def test_a_predicate_in_another_form_is_not_offered(node: Node, text: str) -> None:
    assert offer(node, "--predicate", text).exit_code == 2
    assert node.sent == []


def test_the_list_of_agreements_tells_what_may_be_proved(node: Node) -> None:
    result = fieldpact("agreement", "list")

    assert f"{AGREEMENT} · accepted: after, before, between · every month · 8 for each customer" in result.stdout  # fmt: skip


# --- progress


def state(**changes: Any) -> dict[str, Any]:
    right = {
        "agreement": AGREEMENT,
        "state": "building",
        "done": 2_000,
        "total": 10_000,
        "rate": 481.2,
        "eta_s": 125,
        "snapshot": None,
        "version": None,
    }
    return right | changes


READY = state(state="ready", done=10_000, rate=None, eta_s=None, version=3)
PROGRESS = "/management/datasets/projects/progress"


def test_progress_is_told_with_count_rate_and_what_is_left(node: Node) -> None:
    node.answers[PROGRESS] = {"agreements": [state(), READY]}

    result = fieldpact("dataset", "progress", "projects")

    assert result.stdout.splitlines() == [
        "agreement\tstate\trecords\trate\tto go\tversion",
        f"{AGREEMENT}\tbuilding\t2,000 of 10,000\t481/s\t2 min 5 s\t-",
        f"{AGREEMENT}\tready\t10,000 of 10,000\t-\t-\t3",
    ]


def test_without_agreements_there_is_nothing_to_commit_to(node: Node) -> None:
    node.answers[PROGRESS] = {"agreements": []}

    result = fieldpact("dataset", "progress", "projects", "--wait")

    assert "no agreement is about projects yet" in result.stdout


def test_one_can_wait_until_all_records_are_committed_to(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    waiting = state(state="waiting", done=0, rate=None, eta_s=None)
    unused = state(agreement="urn:uuid:2", state="waiting", done=0, total=0, rate=None, eta_s=None)  # fmt: skip
    answers = [[waiting, unused], [state(), unused], [READY, unused]]
    node.answers[PROGRESS] = iter({"agreements": each} for each in answers)

    result = fieldpact("dataset", "progress", "projects", "--wait", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == answers[-1]
    assert next(node.answers[PROGRESS], None) is None


def test_waiting_shows_a_bar_for_each_agreement() -> None:
    seen = StringIO()
    console = Console(file=seen, force_terminal=True, width=160)
    looks = iter([[state()], [READY]])
    with Progress(*progress.columns(), console=console) as bars:
        progress.watch(lambda: next(looks), bars, pause=lambda _: bars.refresh())

    shown = seen.getvalue()
    assert "2000/10000" in shown
    assert "481/s · 2 min 5 s" in shown
    assert "10000/10000" in shown


# --- what the API takes is what the domain knows


def test_the_api_takes_the_operators_and_probes_of_the_domain() -> None:
    schema = Query.model_json_schema()["$defs"]["Condition"]["properties"]["is"]
    assert tuple(schema["enum"]) == OPERATORS
    assert set(OPERATORS) == set().union(*FITTING.values())
    probes = NewPredicate.model_json_schema()["properties"]["probes"]
    assert probes["maximum"] == MOST_PROBES
