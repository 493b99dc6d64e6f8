"""The Rego stays inside the subset that every engine reads alike. See ADR 0004."""

import re
from pathlib import Path

import pytest

POLICIES = Path(__file__).parents[2] / "policies"
MODULES = [p for p in sorted(POLICIES.rglob("*.rego")) if not p.stem.endswith("_test")]
TESTS = sorted(POLICIES.rglob("*_test.rego"))
BUILTINS = {
    "count", "floor", "is_array", "is_boolean", "is_number", "is_object", "is_string",
    "set", "startswith",
}  # fmt: skip

each_module = pytest.mark.parametrize(
    "module", MODULES, ids=lambda path: path.relative_to(POLICIES).as_posix()
)


def code(path: Path) -> str:
    """The module without comments and without text in quotes."""
    text = re.sub(r'"[^"\n]*"', '""', path.read_text(encoding="utf-8"))
    return re.sub(r"#.*", "", text)


def package(path: Path) -> str:
    found = re.search(
        r"^package (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, f"{path} has no package"
    return found[1]


def bodies(path: Path) -> list[str]:
    """Rules and functions, each as one text: they are set apart by empty lines."""
    return re.split(r"\n\n+", code(path))


@each_module
def test_only_builtins_that_engines_agree_on_are_called(module: Path) -> None:
    text = code(module)
    own = set(re.findall(r"^(\w+)\([^)]*\) (?:if|:=)", text, re.MULTILINE))
    assert set(re.findall(r"([a-z_][\w.]*)\(", text)) <= BUILTINS | own


@each_module
def test_nothing_is_negated_and_nothing_falls_through(module: Path) -> None:
    banned = r"\b(not|else|with|import|walk|contains\()\b"
    assert not re.findall(banned, code(module))


@each_module
def test_both_sides_of_a_comparison_are_known_to_be_numbers(module: Path) -> None:
    for body in bodies(module):
        for line in re.findall(r".* [<>]=? .*", body):
            left, right = re.split(r" [<>]=? ", line.strip())
            for side in (left, right):
                number = side.isdecimal() or side.startswith("count(")
                assert number or f"is_number({side})" in body, line


@each_module
def test_no_variable_shares_its_name_with_a_member(module: Path) -> None:
    # rego-cpp mistakes `.name` inside `every name in …` for the variable
    text = code(module)
    bound = re.findall(r"\b(?:some|every) ((?:\w+, )?\w+) in\b", text)
    bound += re.findall(r"\b(\w+) :=", text)
    names = {name for group in bound for name in group.split(", ")}
    variables = {
        name for name in names if not re.search(rf"^{name}\b", text, re.MULTILINE)
    }
    assert not variables & set(re.findall(r"\.(\w+)", text))


@each_module
def test_what_gates_is_false_by_default(module: Path) -> None:
    text = code(module)
    for gate in re.findall(r"^(allow|valid) if", text, re.MULTILINE):
        assert f"default {gate} := false" in text


@each_module
def test_the_directory_is_the_package(module: Path) -> None:
    folder = module.parent.relative_to(POLICIES).as_posix()
    assert package(module) == "fieldpact." + folder.replace("/", ".")


def test_each_package_is_one_module() -> None:
    # an OPA server takes modules one by one, and each must compile without the rest
    assert len({package(path) for path in MODULES}) == len(MODULES)


@each_module
def test_a_test_stands_beside(module: Path) -> None:
    beside = module.with_name(f"{module.stem}_test.rego")
    assert beside in TESTS
    assert package(beside) == package(module) + "_test"


def test_every_package_says_what_it_is() -> None:
    described = {
        package(path)
        for path in MODULES
        if re.match(
            r"# METADATA\n# title: .+\n# description: \|\n(#   .+\n)+# scope: package\n",
            path.read_text(encoding="utf-8"),
        )
    }
    assert described == {package(path) for path in MODULES}


def test_there_is_one_entrypoint_and_it_is_described() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in MODULES}
    (path,) = [path for path, text in texts.items() if "entrypoint: true" in text]
    assert path.parent.name == "decision"
    assert re.search(
        r"# METADATA\n# title: .+\n# description: \|\n(#   .+\n)+# entrypoint: true\n"
        r"result := ",
        texts[path],
    )
