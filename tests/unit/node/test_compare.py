"""`fieldpact compare`: two files, and whether both can be true."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ledger.evidence import Evidence
from node.cli.app import app
from tests.unit.ledger import samples, world
from tests.unit.ledger.test_contradiction import THEIRS, edited, evidence


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    file = tmp_path / "participants.json"
    records = [each.to_json() for each in samples.PINS.values()]
    file.write_text(json.dumps(records), encoding="utf-8")
    return file


def compare(registry: Path, *files: Evidence | str, as_json: bool = False) -> Result:
    names = []
    for number, each in enumerate(files):
        file = registry.parent / f"{number}.json"
        octets = each.encode() if isinstance(each, str) else each.render()
        file.write_bytes(octets)
        names.append(str(file))
    more = ["--json"] if as_json else []
    words = ["compare", *names, "--registry", str(registry), *more]
    return CliRunner().invoke(app, words)


def test_what_both_can_be_true_is_said_to_be(registry: Path) -> None:
    result = compare(registry, evidence(), evidence(THEIRS))

    assert result.exit_code == 0, result.output
    assert result.stdout == "✓ both can be true\n"
    assert json.loads(compare(registry, evidence(), evidence(THEIRS), as_json=True).stdout) == []  # fmt: skip


def test_a_contradiction_is_named_by_customer_and_field(registry: Path) -> None:
    lie = evidence(THEIRS, edited(order_total="99.00"))

    result = compare(registry, evidence(), lie)

    assert result.exit_code == 4
    assert result.stdout == "✗ LEI-A: told differently of order_total\n"
    told = json.loads(compare(registry, evidence(), lie, as_json=True).stdout)
    assert told == [
        {
            "identifier": "LEI-A",
            "records": [2, 2],
            "versions": [],
            "fields": ["order_total"],
        }
    ]


def test_another_number_of_records_is_a_contradiction(registry: Path) -> None:
    fewer = {**world.KEPT, "LEI-A": world.KEPT["LEI-A"][:1]}

    result = compare(registry, evidence(), evidence(THEIRS, fewer))

    assert result.exit_code == 4
    assert result.stdout == (
        "✗ LEI-A: told of 2 and 1 records, which differ in version 7\n"
    )


@pytest.mark.parametrize("change", [{"opened": ()}, {"opened": ("LEI-B",)}])
def test_files_that_open_no_common_customer_are_not_compared(
    registry: Path, change: dict[str, Any]
) -> None:
    result = compare(registry, evidence(), evidence(THEIRS, **change))

    assert result.exit_code == 4
    assert "cannot be compared" in result.stderr


def test_a_file_that_does_not_verify_is_not_compared(registry: Path) -> None:
    registry.write_text("[]")

    result = compare(registry, evidence(), evidence(THEIRS))

    assert result.exit_code == 4
    assert "cannot be compared" in result.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", "no"])
def test_a_file_that_is_no_evidence_cannot_be_read(registry: Path, text: str) -> None:
    result = compare(registry, evidence(), text)

    assert result.exit_code == 1
    assert "cannot be read" in result.stderr
