"""Canonical JSON, base64url and domain separation."""

import subprocess
import sys
from enum import StrEnum
from typing import Any

import pytest

from crypto import encoding
from crypto.conformance import run_jcs
from crypto.errors import Malformed
from tests.support import shared
from tests.vectors.reading import cases, expectation


@pytest.mark.parametrize("case", cases("encoding"))
def test_json_is_read_and_written_as_the_vectors_say(case: dict[str, Any]) -> None:
    text = case["json"]
    if text is None:
        opening, count, *closing = case["repeat"]
        text = opening * count + "".join(closing) * count
    with expectation(case["expect"]):
        written = encoding.canonical(encoding.parse_json(text.encode()))
        assert written == case.get("canonical", text).encode()


def test_the_published_jcs_vectors_pass() -> None:
    report = run_jcs(shared("vectors/jcs-rfc8785"))
    assert report.failures == ()
    assert report.passed >= 3


def test_brackets_in_text_are_not_nesting() -> None:
    text = '["' + "[" * 1000 + '\\"' + "{" * 1000 + '"]'
    assert encoding.parse_json(text.encode()) == ["[" * 1000 + '"' + "{" * 1000]


@pytest.mark.parametrize("levels", [63, 64, 65, 66, 130])
def test_sixty_four_levels_of_either_kind_are_read_and_no_more(levels: int) -> None:
    text = b"0"
    for level in range(levels):
        beside = b'[],{},"]",' * 30
        text = b"[" + beside + text + b"]" if level % 2 else b'{"[":' + text + b"}"
    with expectation("success" if levels <= 64 else "Malformed"):
        encoding.check_depth(text)


@pytest.mark.timeout(120)
def test_megabytes_of_brackets_are_measured_quickly() -> None:
    encoding.check_depth(b"[" + b"[]," * 10_000_000 + b"0]")
    encoding.check_depth((b"[" * 64 + b"]" * 64) * 50_000)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("unit", [b'"', b'\\"', b'"\\', b"\\", b"[]", b'""'])
def test_a_megabyte_of_nonsense_is_refused_quickly(unit: bytes) -> None:
    with pytest.raises(Malformed):
        encoding.parse_json(b'"' + unit * (1_000_000 // len(unit)))


def test_nothing_in_the_core_raises_the_recursion_limit_of_the_process() -> None:
    code = "import sys; import crypto.keys, crypto.notes, crypto.bbs; print(sys.getrecursionlimit())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"1000"


def test_only_the_canonical_form_is_read_as_canonical() -> None:
    assert encoding.parse_canonical(b'{"a":1,"b":[]}') == {"a": 1, "b": []}
    for other in (b'{"b":[],"a":1}', b'{"a": 1,"b":[]}', b'{"a":1,"b":[]}\n', b"-0"):
        with pytest.raises(Malformed):
            encoding.parse_canonical(other)


class _Word(StrEnum):
    YES = "yes"


def test_values_of_python_alone_are_refused() -> None:
    for value in (1.0, b"x", {1: "x"}, {None: 1}, {"a"}, object(), float("nan")):
        with pytest.raises(Malformed):
            encoding.canonical(value)
    assert encoding.canonical((1, _Word.YES, True)) == b'[1,"yes",true]'


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(Malformed):
        encoding.canonical(value)


def test_a_complaint_never_repeats_the_text_it_is_about() -> None:
    with pytest.raises(Malformed) as caught:
        encoding.parse_json(b'{"name": "canary-4711", "name": }')
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "text", ["A", "AB", "AAA=", "AA==", "A A", "A+", "A/", "AA\n", "AÁ", "AAAAA"]
)
def test_base64url_is_read_strictly(text: str) -> None:
    if text == "AA":
        assert encoding.unb64u(text) == b"\0"
        return
    with pytest.raises(Malformed):
        encoding.unb64u(text)


def test_base64url_checks_the_size_when_it_is_told() -> None:
    assert encoding.unb64u("AAAA", 3) == bytes(3)
    with pytest.raises(Malformed, match="expected 32 bytes, got 3"):
        encoding.unb64u("AAAA", 32)


def test_things_are_told_apart_by_their_tags() -> None:
    assert encoding.tagged("customer-token", b"x") == b"fieldpact/customer-token/1\x00x"
    for name in ("", "Receipt", "a b", "a/1", "a\x00", "-a", "a-"):
        with pytest.raises(ValueError, match="not the name of a thing"):
            encoding.tagged(name, b"")
