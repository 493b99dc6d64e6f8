"""Vectors are data: read a topic's cases, and turn `expect` into a check."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from crypto import errors

HERE = Path(__file__).parent
_ERRORS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.CryptoError)
}


def cases(topic: str) -> list[Any]:
    """Return the cases of one topic as pytest parameters, named by their comments."""
    vectors = json.loads((HERE / f"{topic}.json").read_text())
    return [pytest.param(case, id=case["comment"]) for case in vectors["cases"]]


def expectation(expect: str) -> contextlib.AbstractContextManager[object]:
    """Expect "success", or the error class of that name. Anything else is a mistake."""
    if expect == "success":
        return contextlib.nullcontext()
    return pytest.raises(_ERRORS[expect])
