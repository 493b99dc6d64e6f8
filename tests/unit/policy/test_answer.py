from typing import Any

import pytest

from node.adapters.policy.answer import PolicyFault, read_answer
from node.domain.decision import Decision

YES: dict[str, Any] = {
    "allow": True,
    "fields": ["b", "a"],
    "predicate_fields": ["d", "c"],
    "denials": [],
    "denied_fields": [],
    "obligations": ["receipt.countersign"],
}
NO: dict[str, Any] = YES | {
    "allow": False,
    "fields": [],
    "predicate_fields": [],
    "denials": ["rate.exceeded", "field.mode"],
    "denied_fields": ["b"],
    "obligations": [],
}


def read(answer: object) -> Decision:
    return read_answer(
        answer,
        asked=["a", "b"],
        asked_about=["c", "d", "c"],
        revision="r",
        input_hash="h",
        engine="e",
    )


def test_an_answer_becomes_a_decision_in_order() -> None:
    yes, no = read(YES), read(NO)
    assert (yes.allow, yes.fields) == (True, ("a", "b"))
    assert yes.predicate_fields == ("c", "d")
    assert (no.allow, no.denials) == (False, ("field.mode", "rate.exceeded"))
    assert (no.revision, no.input_hash, no.engine) == ("r", "h", "e")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        "allow",
        [],
        {},
        {"allow": True},
        YES | {"allow": "true"},
        YES | {"allow": 1},
        YES | {"fields": "ab"},
        YES | {"fields": ["a"]},
        YES | {"fields": ["a", "b", "c"]},
        YES | {"fields": ["a", None]},
        YES | {"predicate_fields": []},
        YES | {"predicate_fields": ["c"]},
        YES | {"predicate_fields": ["c", "d", "e"]},
        YES | {"predicate_fields": ["c", "d", "a"]},
        YES | {"fields": ["a", "b", "c"], "predicate_fields": ["d"]},
        {name: value for name, value in YES.items() if name != "predicate_fields"},
        YES | {"denials": ["rate.exceeded"]},
        YES | {"surprise": 1},
        NO | {"fields": ["a"]},
        NO | {"predicate_fields": ["c"]},
        NO | {"denials": []},
        NO | {"denials": ["unheard.of"]},
        NO | {"obligations": ["receipt.countersign"]},
    ],
)
def test_anything_else_is_no_decision(answer: object) -> None:
    with pytest.raises(PolicyFault) as caught:
        read(answer)
    assert caught.value.code == "policy.malformed"
