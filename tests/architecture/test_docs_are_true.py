"""What documents say of the code is so: settings, commands, files, tests."""

import ast
import importlib.util
import re
import tomllib
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import dashboard.settings
import node.config
from node.cli.app import app
from tests.support import REPOSITORY

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), REPOSITORY / "policies/README.md"]
)  # fmt: skip
NAMES = [str(path.relative_to(REPOSITORY)) for path in DOCUMENTS]
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
SEVEN = re.compile(r"^\d\. \[([^\]]+)\]\(\1\)", re.MULTILINE)
CITED = re.compile(r"`(?:tests/)?([a-z_/]+\.py)::(test_\w+)`")
FILE = re.compile(r"`([a-z_.]+(?:/[\w.*-]+)+)`")
MODULE = re.compile(r"(?:python|\$\(PY\)) -m ([a-z_]+(?:\.[a-z_]+)+|node|dashboard)\b")
FIELDPACT = re.compile(r"(?:^\$ |^|[`(\s])fieldpact ([a-z-]+)(?:[\s`]+([a-z-]+))?", re.MULTILINE)  # fmt: skip


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


# --- settings


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give the models that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Give every setting by its dotted name; a group only where it may be absent."""
    for name, field in model.model_fields.items():
        inner = next(_models(field.annotation), None)
        optional = isinstance(field.annotation, types.UnionType)
        many = typing.get_origin(field.annotation) is tuple
        if inner is None or optional or many:
            yield prefix + name, field
        if inner is not None:
            yield from leaves(inner, f"{prefix}{name}.")


def documented(after: str) -> dict[str, str]:
    """Return the default that the table says each setting has, by name."""
    table = OPERATIONS.split(f"<!-- settings of {after}", 1)[1].split("\n\n", 1)[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {
        name: row[2].strip()
        for row in rows
        for name in re.findall(r"`([^`]+)`", row[1])
    }


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value == ():
        return "none"
    if value == node.config.POLICIES:
        return "`policies` of the checkout"
    return f"`{value}`" if isinstance(value, str) else str(value)


@pytest.mark.parametrize(
    ("file", "model"),
    [
        ("node/config.py", node.config.Settings),
        ("dashboard/settings.py", dashboard.settings.Settings),
    ],
)
def test_every_setting_is_documented_with_its_default(
    file: str, model: type[BaseModel]
) -> None:
    assert documented(file) == {name: default(field) for name, field in leaves(model)}


def test_every_key_that_may_stand_in_the_environment_is_documented() -> None:
    for suite in ("ed25519", "x25519", "secp256k1", "bls12381g2"):
        assert f"`FIELDPACT_KEY_{suite.upper()}`" in OPERATIONS
        assert f"`keys/{suite}.key`" in OPERATIONS


# --- commands


@cache
def commands() -> frozenset[tuple[str, ...]]:
    """Return every command of the command line, as the words that name it."""
    root = typer.main.get_command(app)
    found: set[tuple[str, ...]] = set()
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        found |= {(name, sub) for sub in below} if below else {(name,)}
        if getattr(command, "invoke_without_command", False):
            found.add((name,))
    return frozenset(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_that_a_document_names_exists(name: str) -> None:
    groups = {words[0] for words in commands() if len(words) == 2}
    unknown = []
    for first, second in FIELDPACT.findall(text(name)):
        words = (first, second) if first in groups else (first,)
        if not {words, (first,)} & commands():
            unknown.append(" ".join(words))

    assert unknown == []


def test_every_command_is_in_the_operations_guide() -> None:
    named = {f"`fieldpact {' '.join(words)}`" for words in commands()}

    assert [command for command in sorted(named) if command not in OPERATIONS] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_module_that_a_document_runs_exists(name: str) -> None:
    found = {module: importlib.util.find_spec(module) for module in MODULE.findall(text(name))}  # fmt: skip

    assert [module for module, spec in found.items() if spec is None] == []


# --- files and tests


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_document_names_is_there(name: str) -> None:
    written = {"node/pgpass"}  # by examples.compose
    roots = [REPOSITORY, REPOSITORY / "tests", (REPOSITORY / name).parent]
    absent = [
        file
        for file in FILE.findall(text(name))
        if not any(list(root.glob(file)) for root in roots)
        and file not in written
        and file.split("/")[0] in {path.name for path in REPOSITORY.iterdir()}
    ]

    assert absent == []


@pytest.mark.parametrize("name", NAMES)
def test_every_test_that_a_document_cites_is_there(name: str) -> None:
    absent = [
        f"{file}::{function}"
        for file, function in CITED.findall(text(name))
        if function not in functions(REPOSITORY / "tests" / file)
    ]

    assert absent == []


def functions(file: Path) -> set[str]:
    if not file.exists():
        return set()
    return {
        each.name
        for each in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("grant", "授权"), ("revoke", "撤销"), ("allowed", "放行"), ("denied", "拒绝"),
        ("off purpose", "用途不符"), ("masked", "脱敏"), ("HE aggregate", "同态聚合"),
        ("ZK proof", "零知识证明"), ("receipt", "访问回执"), ("anchored", "已锚定"),
        ("evidence bundle", "证据包"), ("dormant grant", "沉睡授权"), ("partner", "伙伴"),
        ("purpose", "用途"), ("node", "节点"), ("consortium", "联盟"),
        ("snapshot", "快照"), ("withheld", "未能证明"), ("condition", "条件"),
    ],
)  # fmt: skip
def test_the_glossary_has_the_words_of_the_pages(english: str, chinese: str) -> None:
    lines = text("docs/glossary.md").splitlines()

    assert [line for line in lines if english in line and chinese in line]


def test_the_layers_of_the_node_are_told_as_they_are_held() -> None:
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(each["layers"] for each in contracts if each.get("exhaustive"))
    held = [name for layer in reversed(layers) for name in layer.split(" | ")]

    sentence = text("docs/architecture.md").split("imports point one way:", 1)[1]
    told = re.findall(r"`([a-z_]+)`", sentence.split(". Only", 1)[0])
    assert sorted(told) == sorted(held)
    assert [name for name in told if name in held[:5]] == held[:5]
    assert told[-1] == held[-1]


def test_a_newcomer_is_led_through_seven_files() -> None:
    section = (
        text("README.md").split("## Follow one request", 1)[1].split("\n## ", 1)[0]
    )
    files = SEVEN.findall(section)

    assert len(files) == 7
    for file in files:
        assert (REPOSITORY / file).is_file()


def test_the_threat_model_says_of_each_attempt_what_stops_it() -> None:
    """A file, a test, a document, or the word nothing; never a bare assurance."""
    tables = text("docs/threat-model.md").split("| attempt | what stops it |\n")[1:]
    rows = [
        line.strip("|").split("|")
        for table in tables
        for line in table.split("\n\n", 1)[0].splitlines()[1:]
    ]

    assert len(rows) > 40
    for attempt, stopped in rows:
        assert re.search(r"`|\]\(|nothing", stopped), attempt
