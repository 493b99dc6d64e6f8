"""The policies' own tests, run by OPA."""

import json
from pathlib import Path

import pytest

from tests.policies import opa

POLICIES = str(Path(__file__).parents[2] / "policies")
pytestmark = [pytest.mark.opa, opa.needs_opa]


def test_opa_finds_nothing_to_object_to() -> None:
    done = opa.run("check", "--strict", "--ignore", "schemas", POLICIES)
    assert done.returncode == 0, done.stderr


def test_the_rego_is_formatted() -> None:
    done = opa.run("fmt", "--list", "--fail", POLICIES)
    assert done.returncode == 0, done.stdout


def test_every_rego_test_passes_and_every_line_is_covered() -> None:
    done = opa.run("test", "--timeout", "100s", "--ignore", "schemas", POLICIES)
    assert done.returncode == 0, done.stdout
    done = opa.run(
        "test", "--timeout", "100s", "--coverage", "--ignore", "schemas", POLICIES
    )
    report = json.loads(done.stdout)
    missed = {path: file.get("not_covered") for path, file in report["files"].items()}
    assert report["coverage"] == 100, missed
