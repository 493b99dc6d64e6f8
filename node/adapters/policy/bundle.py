"""The policies as files, and the one hash that names them.

A *bundle* is every module under `policies/`, tests left out, with the pinned
corpus of decisions beside it. Its *revision* is the hash of the modules: it goes
into every receipt, so that an auditor knows which policies decided and can let
them decide again. (The noun and the property are OPA's.)
"""

import copy
import functools
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.encoding import canonical, sha256, tagged
from node.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What an engine is given.

    Attributes:
        modules: Path below the directory, with `/`, to the module's text.
        revision: SHA-256 over paths and contents, hex.
        corpus: Pinned cases, each with `comment`, `question` and `expect`.
    """

    modules: Mapping[str, str]
    revision: str
    corpus: tuple[Mapping[str, Any], ...]


def load_bundle(directory: Path) -> Bundle:
    """Read the policies of a directory.

    Raises:
        Unavailable: The directory holds no policies, or no corpus.
    """
    try:
        modules = {
            path.relative_to(directory).as_posix(): path.read_bytes().decode()
            for path in sorted(directory.rglob("*.rego"))
            if not path.name.endswith("_test.rego")
        }
        pinned = json.loads((directory / "corpus.json").read_bytes())
        corpus = [_case(pinned["question"], case) for case in pinned["cases"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        detail = f"The policies in {directory} cannot be read."
        raise Unavailable("policy.missing", detail) from error
    if not modules or not corpus:
        detail = f"{directory} holds no policies, or an empty corpus."
        raise Unavailable("policy.missing", detail)
    return Bundle(modules=modules, revision=_revision(modules), corpus=tuple(corpus))


def _case(base: dict[str, Any], case: dict[str, Any]) -> Mapping[str, Any]:
    """Write out a pinned case: the corpus holds only its differences."""
    question = copy.deepcopy(base)
    for path, value in case["set"].items():
        *parents, name = path.split(".")
        functools.reduce(operator.getitem, parents, question)[name] = value
    for path in case["remove"]:
        *parents, name = path.split(".")
        del functools.reduce(operator.getitem, parents, question)[name]
    return {"comment": case["comment"], "question": question, "expect": case["expect"]}


def _revision(modules: Mapping[str, str]) -> str:
    digests = {path: sha256(text.encode()).hex() for path, text in modules.items()}
    return sha256(tagged("policy", canonical(digests))).hex()
