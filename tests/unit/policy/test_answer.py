from typing import Any

import pytest

from node.adapters.policy.answer import PolicyFault, read_answer
from node.domain.decision import Decision

YES: dict[str, Any] = {
    "allow": True,
    "fields": ["b", "a"],
    "predicate_fields": ["d", "c"],
    "aggregate_fields": [],
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


FIGURES: dict[str, Any] = YES | {
    "fields": [],
    "predicate_fields": [],
    "aggregate_fields": ["g", "f"],
}
NOTHING: dict[str, Any] = FIGURES | {"aggregate_fields": []}


def read(answer: object, **changes: Any) -> Decision:
    return read_answer(
        answer,
        asked=changes.get("asked", ["a", "b"]),
        asked_about=changes.get("asked_about", ["c", "d", "c"]),
        figured=changes.get("figured"),
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
        YES | {"aggregate_fields": ["a"]},
        YES | {"aggregate_fields": ["e"]},
        YES | {"fields": [], "aggregate_fields": ["a", "b"]},
        {name: value for name, value in YES.items() if name != "aggregate_fields"},
        FIGURES,
        NO | {"fields": ["a"]},
        NO | {"aggregate_fields": ["a"]},
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


def _of_plan(answer: object, figured: list[str] | None) -> Decision:
    return read(answer, asked=[], asked_about=[], figured=figured)


def test_figures_are_released_of_all_that_a_plan_names_and_of_nothing_else() -> None:
    assert _of_plan(FIGURES, ["f", "g", "f"]).aggregate_fields == ("f", "g")
    for figured in (["f"], ["f", "g", "h"], [], None):
        with pytest.raises(PolicyFault):
            _of_plan(FIGURES, figured)


def test_only_a_plan_is_allowed_that_names_no_field() -> None:
    assert _of_plan(NOTHING, []).allow
    with pytest.raises(PolicyFault):
        _of_plan(NOTHING, None)
