"""Links in the documents lead somewhere, and named commands exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import REPOSITORY

LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"^(?:\$ )?make ([a-z][a-z-]*)", re.MULTILINE)
SKIPPED = {".venv", "node_modules", ".git", ".demo", ".setup", ".compose"}


def documents() -> Iterator[Path]:
    for path in sorted(REPOSITORY.rglob("*.md")):
        if not SKIPPED & set(path.relative_to(REPOSITORY).parts):
            yield path


def names() -> list[str]:
    return [str(path.relative_to(REPOSITORY)) for path in documents()]


def anchors(document: Path) -> set[str]:
    """Return the fragment of each heading, made as forges make them."""
    prose = FENCE.sub("", document.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in HEADING.findall(prose):
        words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def test_there_are_documents_to_look_at() -> None:
    assert names()


@pytest.mark.parametrize("name", names())
def test_every_link_of_a_document_leads_somewhere(name: str) -> None:
    document = REPOSITORY / name
    prose = FENCE.sub("", document.read_text(encoding="utf-8"))
    dead = []
    for target in LINK.findall(prose):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        file, _, fragment = target.partition("#")
        there = (document.parent / file).resolve() if file else document
        has_anchors = fragment and there.suffix == ".md"
        if not there.exists() or (has_anchors and fragment not in anchors(there)):
            dead.append(target)

    assert dead == []


@pytest.mark.parametrize("name", names())
def test_every_make_target_that_a_document_names_exists(name: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))

    named = set(MAKE.findall((REPOSITORY / name).read_text(encoding="utf-8")))
    assert named - targets == set()


def test_make_help_lists_every_target_meant_for_people() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    listed = {line.split()[0] for line in shown.splitlines()}
    assert listed >= {"setup", "demo", "test", "check", "bench", "lock", "clean"}


def test_a_decision_record_is_one_page_in_three_parts() -> None:
    records = sorted((REPOSITORY / "docs" / "adr").glob("[0-9]*.md"))

    assert records
    for record in records:
        text = record.read_text(encoding="utf-8")
        parts = [h for h in HEADING.findall(text) if not h[0].isdigit()]
        assert parts == ["Context", "Decision", "Consequences"], record.name
        assert len(text.splitlines()) <= 60, record.name
