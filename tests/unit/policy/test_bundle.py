from pathlib import Path

import pytest

from node.adapters.policy.bundle import load_bundle
from node.errors import Unavailable

CORPUS = """{"question": {"a": {"b": 1}}, "cases": [
    {"comment": "c", "set": {"a.c": 2}, "remove": ["a.b"], "expect": {}}]}"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "x.rego").write_text("package fieldpact.x")
    (tmp_path / "corpus.json").write_text(CORPUS)
    return tmp_path


def test_a_bundle_holds_the_modules_and_not_their_tests(directory: Path) -> None:
    (directory / "x" / "x_test.rego").write_text("package fieldpact.x_test")
    bundle = load_bundle(directory)
    assert bundle.modules == {"x/x.rego": "package fieldpact.x"}
    assert bundle.corpus[0]["question"] == {"a": {"c": 2}}


def test_the_revision_changes_with_a_content_a_path_and_nothing_else(
    directory: Path,
) -> None:
    first = load_bundle(directory).revision
    (directory / "x" / "x_test.rego").write_text("package fieldpact.x_test")
    assert load_bundle(directory).revision == first
    moved = (directory / "x" / "x.rego").rename(directory / "x" / "y.rego")
    assert load_bundle(directory).revision != first
    moved.write_text("package fieldpact.x ")
    moved.rename(directory / "x" / "x.rego")
    assert load_bundle(directory).revision != first


@pytest.mark.parametrize("name", ["corpus.json", "x/x.rego"])
def test_a_directory_that_lacks_something_is_refused(
    name: str, directory: Path
) -> None:
    (directory / name).unlink()
    with pytest.raises(Unavailable, match=r"policy\.missing"):
        load_bundle(directory)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"question": {}, "cases": [1]}'])
def test_a_corpus_in_another_form_is_refused(text: str, directory: Path) -> None:
    (directory / "corpus.json").write_text(text)
    with pytest.raises(Unavailable, match=r"policy\.missing"):
        load_bundle(directory)
