"""`fieldpact evidence`: one receipt or one agreement, and a file that is whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from node.cli import output
from node.cli.app import app

LINES = [
    {"manifest": {"count": 2}, "typ": "fieldpact/evidence-bundle/1"},
    {"participants": []},
    {"countersignature": None},
    {"erased": {}},
]
FILE = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


class Slow(httpx.SyncByteStream):
    """An answer that comes in pieces, and maybe breaks off."""

    def __init__(self, *pieces: bytes, broken: bool = False) -> None:
        self.pieces, self.broken = pieces, broken

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.broken:
            raise httpx.ReadError("gone")


class Api(output.Management):
    """The API of a node that answers as a test says."""

    answer: httpx.Response
    asked: httpx.Request

    def __init__(self) -> None:
        def reply(request: httpx.Request) -> httpx.Response:
            type(self).asked = request
            return self.answer

        transport = httpx.MockTransport(reply)
        self._client = httpx.Client(transport=transport, base_url="http://node")


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> type[Api]:
    monkeypatch.setattr(output.Management, "of", lambda *_: Api())
    return Api


def evidence(*words: str) -> Any:
    return CliRunner().invoke(app, ["evidence", *words, "--settings", "node.yaml"])


def test_a_stream_is_written_as_it_comes(api: type[Api], tmp_path: Path) -> None:
    pieces = [FILE[at : at + 7] for at in range(0, len(FILE), 7)]
    api.answer = httpx.Response(200, stream=Slow(*pieces))
    file = tmp_path / "stream.jsonl"
    window = ["--since", "2026-11-22T18:20:00Z", "--until", "2026-11-23T18:20:00Z"]
    result = evidence("--agreement", "urn:uuid:1/2", *window, "--out", str(file))
    assert result.exit_code == 0, result.output
    assert file.read_bytes() == FILE
    assert result.stdout == ""
    assert api.asked.url.raw_path.startswith(b"/audit/agreements/urn%3Auuid%3A1%2F2/")
    assert dict(api.asked.url.params) == {"from": window[1], "to": window[3]}


def test_without_a_file_it_is_printed(api: type[Api]) -> None:
    api.answer = httpx.Response(200, stream=Slow(FILE))
    assert evidence("--agreement", "a").stdout.encode() == FILE


def test_a_file_that_breaks_off_is_not_there(api: type[Api], tmp_path: Path) -> None:
    api.answer = httpx.Response(200, stream=Slow(FILE[:50], broken=True))
    file = tmp_path / "stream.jsonl"
    file.write_text("the one before")
    result = evidence("--agreement", "a", "--out", str(file))
    assert result.exit_code == 1
    assert "node.unreachable" in result.stderr
    assert file.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_refusal_says_why(api: type[Api]) -> None:
    problem = {"code": "agreement.unknown", "detail": "There is no such agreement."}
    api.answer = httpx.Response(404, json=problem)
    result = evidence("--agreement", "a")
    assert result.exit_code == 1
    assert "agreement.unknown" in result.stderr
    assert "There is no such agreement." in result.stderr


def test_evidence_of_one_receipt_is_the_file_and_nothing_beside(
    api: type[Api], tmp_path: Path
) -> None:
    told = {"typ": "x", "canonical": "y", "committed": None}
    api.answer = httpx.Response(200, json=told)
    assert json.loads(evidence("ab" * 32).stdout) == {"typ": "x"}
    api.answer = httpx.Response(200, json=told)
    file = tmp_path / "one.json"
    assert evidence("ab" * 32, "--out", str(file)).stdout == ""
    assert json.loads(file.read_bytes()) == {"typ": "x"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["ab" * 32, "--agreement", "a"],
        ["ab" * 32, "--since", "2026-11-22T18:20:00Z"],
        ["ab" * 32, "--until", "2026-11-22T18:20:00Z"],
        ["--agreement", "a", "--open", "x"],
    ],
)
def test_what_goes_together_and_what_does_not(words: list[str]) -> None:
    assert evidence(*words).exit_code == 2


def test_a_folder_that_is_not_there_cannot_be_written_to(
    api: type[Api], tmp_path: Path
) -> None:
    api.answer = httpx.Response(200, stream=Slow(FILE))
    result = evidence("--agreement", "a", "--out", str(tmp_path / "no" / "x"))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
