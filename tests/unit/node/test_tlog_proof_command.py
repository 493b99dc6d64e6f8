"""`fieldpact evidence --tlog-proof`: one more file, for other tools."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ledger.log import commitment
from ledger.memory import MemoryLog
from ledger.tlog_proof import parse_tlog_proof, verify_tlog_proof
from node.cli import output
from node.cli.app import app
from tests.unit.ledger import samples

LOG = samples.PROVIDER_RECORD


class Api:
    """A node that has one receipt to tell of."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told

    def get(self, path: str) -> dict[str, Any]:
        assert path.startswith("/audit/receipts/")
        return {**self.told, "canonical": "", "committed": None}


def run(
    told: dict[str, Any], folder: Path, patch: pytest.MonkeyPatch, *words: str
) -> tuple[int, Path]:
    patch.setattr(output.Management, "of", lambda _: Api(told))
    settings, file = folder / "node.yaml", folder / "receipt.tlog-proof"
    words = ("evidence", *words, "--settings", str(settings), "--tlog-proof", str(file))
    return CliRunner().invoke(app, words).exit_code, file


def test_the_file_is_verified_with_what_the_evidence_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = MemoryLog(LOG, samples.PROVIDER_KEY)
    (signed,) = samples.stream(1)
    kept.sequence(signed, salt=samples.seed("salt"))
    name = signed.receipt.receipt_id
    code, file = run(kept.evidence(0).to_json(), tmp_path, monkeypatch, name)
    assert (code, file.exists()) == (1, False)  # not in the tree yet
    kept.integrate()
    kept.publish()
    code, file = run(kept.evidence(0).to_json(), tmp_path, monkeypatch, name)
    assert code == 0
    found = parse_tlog_proof(file.read_text(encoding="utf-8"))
    assert verify_tlog_proof(found, commitment(signed, samples.seed("salt")), LOG) == {}


def test_a_whole_stream_has_no_such_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, file = run({}, tmp_path, monkeypatch, "--agreement", "urn:uuid:1")
    assert (code, file.exists()) == (2, False)
