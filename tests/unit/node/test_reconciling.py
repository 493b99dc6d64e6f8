"""`fieldpact reconcile` and `fieldpact alarms`: what they print, write, and end with."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node.cli import output
from node.cli.app import app
from node.domain.reconciliation import WORDS, Difference, Kind, in_brief

DID = "did:web:maker.test"
ALARM = {
    "code": "log.forked",
    "subject": "maker.test/log",
    "detail": "A partner holds more.",
    "at": "2026-11-23T00:00:00Z",
    "stops": True,
}


class Node:
    """A running node that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []

    def get(self, path: str) -> Any:
        self.asked.append((path, None))
        return self.answer

    def post(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        return self.answer


def run(monkeypatch: pytest.MonkeyPatch, node: Node, *words: str) -> Result:
    monkeypatch.setattr(output.Management, "of", lambda _: node)
    return CliRunner().invoke(app, [*words, "--settings", "node.yaml"])


def stream(*differences: Difference, **changes: Any) -> dict[str, Any]:
    return {
        "agreement": "urn:uuid:1",
        "stream": "0" * 64,
        "role": "consumer",
        "partner": DID,
        "state": "different" if differences else "same",
        "ours": {"count": 1200, "head": "0" * 64},
        "theirs": {"count": 1201, "head": "1" * 64},
        "questions": 3,
        "delivered": 0,
        "unanswered": 0,
        "differences": [each.to_json() for each in differences],
        **changes,
    }


def report(state: str, *found: dict[str, Any]) -> dict[str, Any]:
    return {"partner": DID, "at": ALARM["at"], "state": state, "streams": list(found)}


FORKED = Difference(
    kind=Kind.FORKED, numbers=[42], evidence={"fork-0-42.json": {"typ": "proof"}}
)
LOST = Difference(kind=Kind.ANSWER_LOST, numbers=[3, 4, 5, 9], evidence={}, mended=True)
SILENT = {"state": "unreachable", "code": "x", "detail": "Nobody answers."}


def test_equal_streams_end_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(report("same", stream(delivered=2, unanswered=1)))
    result = run(monkeypatch, node, "reconcile", DID)
    assert result.exit_code == 0, result.output
    assert node.asked == [
        ("/management/reconcile", {"partner": DID, "agreement": None})
    ]
    assert "✓ urn:uuid:1 (as consumer): the same." in result.stdout
    assert "1,200 receipts here, 1,201 there" in result.stdout
    assert "2 countersignatures were delivered" in result.stdout
    assert "1 calls of ours have no receipt" in result.stdout


def test_differences_end_with_4_and_their_evidence_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    node = Node(report("different", stream(LOST, FORKED)))
    out = tmp_path / "out"
    result = run(monkeypatch, node, "reconcile", DID, "--out", str(out))
    assert result.exit_code == 4
    assert "3-5, 9: We lacked these receipts" in result.stdout
    assert "(mended)" in result.stdout
    assert "42: The provider has two histories" in result.stdout
    assert json.loads((out / "fork-0-42.json").read_text()) == {"typ": "proof"}


def test_evidence_is_written_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sly = Difference(kind=Kind.FORKED, numbers=[1], evidence={"../../sly.json": {}})
    node = Node(report("different", stream(sly)))
    run(monkeypatch, node, "reconcile", DID, "--out", str(tmp_path / "a" / "b"))
    assert [each.name for each in (tmp_path / "a" / "b").iterdir()] == ["sly.json"]
    assert not (tmp_path / "sly.json").exists()


def test_a_silent_partner_ends_with_5(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(report("partial", stream(), stream(**SILENT)))
    result = run(monkeypatch, node, "reconcile", DID)
    assert result.exit_code == 5
    assert "not compared. Nobody answers." in result.stdout


def test_without_agreements_there_is_nothing_to_compare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run(monkeypatch, Node(report("same")), "reconcile", DID)
    assert result.exit_code == 0
    assert "no agreement with this partner" in result.stdout


def test_programs_get_the_report_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    told = report("different", stream(FORKED))
    result = run(monkeypatch, Node(told), "reconcile", DID, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (4, told)


def test_open_alarms_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Node({"items": [ALARM]}), "alarms")
    assert result.exit_code == 0
    assert "log.forked" in result.stdout
    assert "A partner holds more. Nothing is disclosed meanwhile." in result.stdout
    quiet = run(monkeypatch, Node({"items": []}), "alarms")
    assert quiet.stdout == "✓ no alarm is open\n"
    listed = run(monkeypatch, Node({"items": [ALARM]}), "alarms", "--json")
    assert json.loads(listed.stdout) == [ALARM]


def test_alarms_need_a_node() -> None:
    result = CliRunner().invoke(app, ["alarms"])
    assert result.exit_code == 2
    assert "--settings" in result.output


def test_an_alarm_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node({})
    words = ("alarms", "clear", "log.forked", "maker.test/log", "--why", "restored")
    result = run(monkeypatch, node, *words)
    assert result.exit_code == 0, result.output
    body = {"code": "log.forked", "subject": "maker.test/log", "why": "restored"}
    assert node.asked == [("/management/alarms/clear", body)]
    assert result.stdout == "✓ log.forked maker.test/log is cleared\n"


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([], ""),
        ([7], "7"),
        ([0, 1, 2, 5], "0-2, 5"),
        ([1, 3, 5], "1, 3, 5"),
        (range(4, 2**53), f"4-{2**53 - 1}"),
    ],
)
def test_numbers_are_told_in_brief(numbers: Any, words: str) -> None:
    assert in_brief(numbers) == words


def test_every_difference_has_words_in_both_languages() -> None:
    assert set(WORDS) == set(Kind)
    for english, chinese in WORDS.values():
        assert english.isascii()
        assert not chinese.isascii()
