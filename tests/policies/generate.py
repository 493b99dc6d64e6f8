"""Writes what is committed beside the policies: schemas, corpus, table of codes.

    python -m tests.policies.generate

Every case of the corpus is written down by hand: a comment, what is set or removed
in a question that is allowed, and what must be decided then.
"""

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from node.adapters.policy.answer import Answer
from node.adapters.policy.question import Question
from node.domain.decision import DENIALS
from tests.policies.questions import (
    CONSUMER,
    DELETE,
    NOW,
    PROVIDER,
    STRANGER,
    TOKEN_PROBLEMS,
    allowed,
    label,
)

POLICIES = Path(__file__).parents[2] / "policies"
BOTH = ("acceptance_date", "project_stage")
Case = dict[str, Any]
Changes = dict[str, Any]
Names = Sequence[str]


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


def corpus() -> Iterator[Case]:
    """Make the pinned cases."""
    yield from _allowed()
    yield from _caller()
    yield from _agreement()
    yield from _content()
    yield from _tiers()
    yield from _malformed()


def _allowed() -> Iterator[Case]:
    duties = ["personal.protect", "receipt.countersign"]
    cases: list[tuple[str, Changes]] = [
        ("two fields, one personal", {}),
        ("the first second of the validity", {"agreement.valid_from": NOW}),
        ("the last second of the validity", {"agreement.valid_to": NOW + 1}),
        ("the last call of the hour", {"usage.calls_this_hour": 9}),
        ("as many rows as the agreement allows", {"request.customers": 50}),
        ("as many rows as the company allows", {"company.max_rows": 3}),
        ("the other purpose", {"request.purpose": "warranty"}),
        ("a field named twice", {"request.fields": [*BOTH, "project_stage"]}),
        ("no company rules", {"company.denied_fields": [], **_NO_PARTNERS}),
        (
            "a purpose in Chinese",
            {"request.purpose": "交付计划", "agreement.purposes": ["质保", "交付计划"]},
        ),
    ]
    for comment, changes in cases:
        yield _case(comment, changes, allow=True, fields=BOTH, obligations=duties)
    stage = ["project_stage"]
    yield _case(
        "one field, not personal",
        {"request.fields": stage},
        allow=True,
        fields=stage,
        obligations=["receipt.countersign"],
    )


def _caller() -> Iterator[Case]:
    for code in TOKEN_PROBLEMS:
        yield _no(code, code, {"caller.problem": code})
    word = {"caller.problem": "token.strange"}
    yield _no("an unheard-of token problem", "token.malformed", word)
    yield _no("a nonce seen before", "nonce.replayed", {"usage.nonce_seen": True})
    cases: list[tuple[str, Changes]] = [
        ("somebody else's agreement", {"caller.did": STRANGER, **_NO_PARTNERS}),
        ("the provider itself calls", {"caller.did": PROVIDER}),
        ("an agreement of another provider", {"agreement.provider": STRANGER}),
        ("nobody calls", {"caller.did": "", "agreement.consumer": ""}),
    ]
    for comment, changes in cases:
        yield _no(comment, "agreement.not_party", changes)
    refused = {"company.denied_partners": [STRANGER, CONSUMER]}
    yield _no("a partner the company refuses", "partner.refused", refused)


def _agreement() -> Iterator[Case]:
    coded: list[tuple[str, str, Changes]] = [
        ("no such agreement", "unknown", {"agreement": {}}),
        ("another agreement", "unknown", {"agreement.id": "urn:uuid:2"}),
        ("suspended", "suspended", {"agreement.status": "suspended"}),
        ("revoked", "revoked", {"agreement.status": "revoked"}),
        ("a second early", "not_yet_valid", {"agreement.valid_from": NOW + 1}),
        ("a second late", "expired", {"agreement.valid_to": NOW}),
    ]
    for comment, code, changes in coded:
        yield _no(comment, f"agreement.{code}", changes)
    cases: list[tuple[str, Changes]] = [
        ("another dataset is asked", {"request.dataset": "others"}),
        ("another dataset is agreed", {"agreement.dataset": "others"}),
        ("the dataset is not published", {"dataset": {}}),
    ]
    for comment, changes in cases:
        yield _no(comment, "dataset.mismatch", changes)


def _content() -> Iterator[Case]:
    marketing = {"request.purpose": "marketing"}
    yield _no("off-purpose", "purpose.mismatch", marketing)
    yield _no("no purpose agreed", "purpose.mismatch", {"agreement.purposes": []})
    for field, comment, code in [
        ("notes", "a field not agreed", "field.not_granted"),
        ("gone", "a field nobody has", "field.not_granted"),
        ("contact_phone", "a field for predicates only", "field.mode"),
        ("region", "a field agreed in a mode its dataset lacks", "field.mode"),
        ("budget", "an important field in plain", "field.grade"),
        ("secret", "a core field", "field.grade"),
    ]:
        fields = {"request.fields": [*BOTH, field]}
        yield _no(comment, code, fields, denied=[field])
    never = {"agreement.fields.project_stage": "never"}
    yield _no("a field of mode never", "field.mode", never, denied=["project_stage"])
    core = {"dataset.fields.project_stage": label("core")}
    yield _no("a field graded up", "field.grade", core, denied=["project_stage"])
    withheld = {"company.denied_fields": ["project_stage"]}
    denied = ["project_stage"]
    yield _no(
        "a field the company withholds", "field.withheld", withheld, denied=denied
    )
    coded: list[tuple[str, str, Changes]] = [
        ("the hour is used up", "rate.exceeded", {"usage.calls_this_hour": 10}),
        ("no calls at all", "rate.exceeded", {"agreement.calls_per_hour": 0}),
        ("too many for the agreement", "rows.exceeded", {"request.customers": 51}),
        ("too many for the company", "rows.exceeded", {"company.max_rows": 2}),
        ("no fields", "request.malformed", {"request.fields": []}),
        ("no customers", "request.malformed", {"request.customers": 0}),
    ]
    for comment, code, changes in coded:
        yield _no(comment, code, changes)


def _tiers() -> Iterator[Case]:
    wrong = {"caller.did": STRANGER, "agreement.status": "revoked", "dataset": {}}
    token = wrong | {"caller.problem": "token.expired", "usage.nonce_seen": True}
    yield _no("a bad token learns nothing else", "token.expired", token)
    parties = "agreement.not_party partner.refused"
    yield _no("a stranger learns nothing of the agreement", parties, wrong)
    late = {"agreement.status": "suspended", "agreement.valid_to": 0, "dataset": {}}
    yield _no("two states", "agreement.expired agreement.suspended", late)
    everything = {
        "request.purpose": "marketing",
        "request.fields": ["budget", "contact_phone", "notes", "volume"],
        "request.customers": 1000,
        "usage.calls_this_hour": 1000,
    }
    codes = (
        "field.grade field.mode field.not_granted field.withheld"
        " purpose.mismatch rate.exceeded rows.exceeded"
    )
    denied = ["budget", "contact_phone", "notes", "volume"]
    yield _no("all that is wrong with a request", codes, everything, denied=denied)


def _malformed() -> Iterator[Case]:
    for member in allowed():
        yield _bad(f"{member} is missing", {member: DELETE})
        yield _bad(f"{member} is null", {member: None})
    cases: list[tuple[str, Changes]] = [
        ("the time is text", {"now": str(NOW)}),
        ("the end is text", {"agreement.valid_to": "9999-12-31T23:59:59Z"}),
        ("the end is huge", {"agreement.valid_to": 2**53}),
        ("the start is missing", {"agreement.valid_from": DELETE}),
        ("the start is negative", {"agreement.valid_from": -1}),
        ("the cap on calls is text", {"agreement.calls_per_hour": "10"}),
        ("the cap on rows is true", {"agreement.rows_per_call": True}),
        ("the company's cap is null", {"company.max_rows": None}),
        ("the calls are a fraction", {"usage.calls_this_hour": 0.5}),
        ("the calls are missing", {"usage.calls_this_hour": DELETE}),
        ("the nonce is text", {"usage.nonce_seen": "false"}),
        ("the customers are a list", {"request.customers": ["a"]}),
        ("the fields are text", {"request.fields": "project_stage"}),
        ("the fields are an object", {"request.fields": {"a": "project_stage"}}),
        ("a field is a number", {"request.fields": ["project_stage", 7]}),
        ("the problem is null", {"caller.problem": None}),
        ("an unheard-of status", {"agreement.status": "paused"}),
        ("the purposes are text", {"agreement.purposes": "delivery-planning"}),
        ("the grants are a list", {"agreement.fields": list(BOTH)}),
        ("an unheard-of mode", {"agreement.fields.project_stage": "all"}),
        ("an unheard-of grade", {"dataset.fields.secret.grade": "public"}),
        ("the modes are text", {"dataset.fields.secret.modes": "plain"}),
        ("personal is a number", {"dataset.fields.secret.personal": 0}),
        ("the company's list is null", {"company.denied_fields": None}),
        ("the company's list is an object", {"company.denied_partners": {}}),
    ]
    for comment, changes in cases:
        yield _bad(comment, changes)
    yield _bad("nothing at all", dict.fromkeys(allowed(), DELETE))


_NO_PARTNERS: Changes = {"company.denied_partners": []}


def _no(comment: str, codes: str, changes: Changes, *, denied: Names = ()) -> Case:
    return _case(comment, changes, denials=codes.split(), denied_fields=denied)


def _bad(comment: str, changes: Changes) -> Case:
    return _no(f"malformed: {comment}", "request.malformed", changes)


def _case(
    comment: str, changes: Changes, *, allow: bool = False, **names: Names
) -> Case:
    keys = ("fields", "denials", "denied_fields", "obligations")
    return {
        "comment": comment,
        "set": {path: value for path, value in changes.items() if value is not DELETE},
        "remove": [path for path, value in changes.items() if value is DELETE],
        "expect": {"allow": allow} | {key: list(names.get(key, ())) for key in keys},
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
