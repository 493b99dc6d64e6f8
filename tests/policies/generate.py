"""Writes what is committed beside the policies: schemas, corpus, table of codes.

Run it after a change of the policies' words, of a model or of a pinned case:

    python -m tests.policies.generate
"""

import functools
import json
from pathlib import Path
from typing import Any

from node.adapters.policy.answer import Answer
from node.adapters.policy.question import Question
from node.domain.denials import DENIALS
from tests.policies.cases import corpus
from tests.policies.questions import allowed

POLICIES = Path(__file__).parents[2] / "policies"


def files() -> dict[Path, str]:
    """Return every generated file with its text."""
    return {
        POLICIES / "schemas" / "question.json": _json(Question.model_json_schema()),
        POLICIES / "schemas" / "decision.json": _json(Answer.model_json_schema()),
        POLICIES / "corpus.json": _corpus(),
        POLICIES / "README.md": _readme(),
    }


def _readme() -> str:
    """The README with its table of denial codes, one row a code."""
    text = (POLICIES / "README.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- denials", 1)
    comment, after = rest.split("-->\n", 1)
    _, after = after.split("<!-- end", 1)
    rows = [
        f"| `{code}` | {denial.message.en}<br>{denial.message.zh} "
        f"| {denial.mend.en}<br>{denial.mend.zh} |"
        for code, denial in DENIALS.items()
    ]
    table = "\n".join(
        ["| code | what is wrong | what mends it |", "|---|---|---|", *rows]
    )
    return f"{before}<!-- denials{comment}-->\n{table}\n<!-- end{after}"


def _corpus() -> str:
    """One case a line, so that a change of the corpus can be reviewed."""
    dump = functools.partial(json.dumps, ensure_ascii=False)
    cases = ",\n  ".join(dump(case) for case in corpus())
    return (
        '{\n "source": "made by tests/policies/generate.py",\n'
        f' "question": {dump(allowed())},\n "cases": [\n  {cases}\n ]\n}}\n'
    )


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
