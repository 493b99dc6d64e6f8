"""Published test vectors, run over this code.

A directory of vectors is a claim about a specification that does not depend on
us; running one shows that we compute what others compute. Every file counts
once: it passes when everything in it comes out as it says, refusals included.

The layouts read are those of the sources: BBS fixtures as published with the
draft, Merkle proofs as in transparency-dev's repository, JCS as in RFC 8785's
(`input`, `output`).

This module alone in `crypto` reads files, and nothing of it runs in a node.
"""

import base64
import functools
import json
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from crypto.bbs import ARKWORKS, SUITES, Backend, Suite
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.fixtures import check_fixture, expect_verdict
from crypto.encoding import canonical, parse_json
from crypto.errors import CryptoError, Invalid, Malformed
from crypto.merkle import verify_consistency, verify_inclusion

BACKENDS: Final[dict[str, Backend]] = {"arkworks": ARKWORKS, "pyecc": PYECC}


class Report(NamedTuple):
    """How a run went.

    Attributes:
        passed: Number of files that came out as they say.
        failed: Number of files that did not.
        failures: One line for each of those: the file, and why.
    """

    passed: int
    failed: int
    failures: tuple[str, ...]


def run_bbs(directory: Path, suite: Suite, backend: Backend = ARKWORKS) -> Report:
    """Run the BBS fixtures of one suite.

    Args:
        directory: Holds the suite's folder, or is it.
        suite: The ciphersuite of the fixtures.
        backend: The library under test (`BACKENDS`).

    Raises:
        Malformed: There are no fixtures in `directory`.
    """
    folder = directory / suite.name
    files = (folder if folder.is_dir() else directory).rglob("*.json")
    fixtures = [file for file in files if file.name != "messages.json"]
    return _run(fixtures, lambda file: check_fixture(_load(file), suite, backend))


def suites_in(directory: Path) -> list[Suite]:
    """Name the suites of the fixtures in a directory.

    By the folder that it is or holds, or else by the tags inside the files.

    Raises:
        Malformed: Neither tells.
    """
    names = {directory.resolve().name, *(entry.name for entry in directory.iterdir())}
    found = [suite for name, suite in SUITES.items() if name in names]
    if not found:
        texts = [file.read_bytes() for file in directory.rglob("*.json")]
        tags = {suite: suite.ciphersuite_id.hex().encode() for suite in SUITES.values()}
        found = [
            suite for suite, tag in tags.items() if any(tag in text for text in texts)
        ]
    if not found:
        raise Malformed("the fixtures do not tell their suite")
    return found


def run_merkle(directory: Path) -> Report:
    """Run inclusion and consistency proofs. Raises `Malformed` if there are none."""
    return _run(directory.rglob("*.json"), lambda file: _check_merkle(_load(file)))


def run_jcs(directory: Path) -> Report:
    """Run pairs of `input` and `output`. Raises `Malformed` if there are none.

    Input that `crypto.encoding` does not admit (a number written with a point or
    an exponent, text out of form C) passes when it is refused.
    """
    return _run((directory / "input").glob("*.json"), _check_jcs)


def _run(files: Iterable[Path], check: Callable[[Path], None]) -> Report:
    outcomes = {file: _outcome(file, check) for file in sorted(files)}
    if not outcomes:
        raise Malformed("there are no vectors in this directory")
    failures = tuple(
        f"{file.parent.name}/{file.name}: {why}"
        for file, why in outcomes.items()
        if why
    )
    return Report(len(outcomes) - len(failures), len(failures), failures)


def _outcome(file: Path, check: Callable[[Path], None]) -> str | None:
    """Return why a file fails, or None."""
    try:
        check(file)
    except CryptoError as error:
        return str(error)
    except (LookupError, TypeError, ValueError, OSError) as error:
        return f"not a vector of this kind ({type(error).__name__})"
    return None


def _load(file: Path) -> dict[str, Any]:
    case = json.loads(file.read_bytes())
    if not isinstance(case, dict):
        raise Malformed("not a JSON object")
    return case


def _check_merkle(case: dict[str, Any]) -> None:
    proof = [_unbase64(entry) for entry in case["proof"] or []]
    if "leafIdx" in case:
        check = functools.partial(
            verify_inclusion,
            leaf=_unbase64(case["leafHash"]),
            index=case["leafIdx"],
            size=case["treeSize"],
            root=_unbase64(case["root"]),
        )
    else:
        check = functools.partial(
            verify_consistency,
            size1=case["size1"],
            size2=case["size2"],
            root1=_unbase64(case["root1"]),
            root2=_unbase64(case["root2"]),
        )
    expect_verdict(not case["wantErr"], lambda: check(proof=proof))


def _unbase64(text: str | None) -> bytes:
    return base64.b64decode(text or "", validate=True)


def _check_jcs(file: Path) -> None:
    given, output = file.read_bytes(), file.parents[1] / "output" / file.name
    try:
        ours = canonical(parse_json(given))
    except Malformed:
        if _admitted(given):
            raise
    else:
        if ours != output.read_bytes().rstrip(b"\n"):
            raise Invalid("the canonical form differs")


def _admitted(given: bytes) -> bool:
    """Say whether input keeps to our narrower profile, found by other means."""
    numbers: list[str] = []
    value = json.loads(given, parse_float=numbers.append, parse_constant=numbers.append)
    text = json.dumps(value, ensure_ascii=False)
    return not numbers and unicodedata.is_normalized("NFC", text)
