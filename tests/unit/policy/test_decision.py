from typing import Any

import pytest

from node.domain.decision import DENIALS, Decision


def decision(**changes: Any) -> Decision:
    members: dict[str, Any] = {
        "allow": True,
        "fields": ("project_stage",),
        "denials": (),
        "denied_fields": (),
        "obligations": ("receipt.countersign",),
        "revision": "00",
        "input_hash": "00",
        "engine": "test",
    }
    return Decision(**(members | changes))


@pytest.mark.parametrize(
    "contradiction",
    [
        {"denials": ("rate.exceeded",)},
        {"denied_fields": ("a",)},
        {"fields": ()},
        {"allow": False},
        {"allow": False, "denials": ("rate.exceeded",)},
        {"allow": False, "denials": ("rate.exceeded",), "fields": ()},
        {"allow": False, "fields": (), "obligations": ()},
        {"allow": False, "fields": (), "obligations": (), "denials": ("a.b",)},
    ],
)
def test_a_contradiction_is_no_decision(contradiction: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"decision|fields|codes"):
        decision(**contradiction)


def test_a_later_check_narrows_a_decision_to_a_refusal() -> None:
    refused = decision().refused("record.changed", denied_fields=["project_stage"])
    again = refused.refused("customer.not_shared")
    assert not again.allow
    assert (again.fields, again.obligations) == ((), ())
    assert again.denials == ("customer.not_shared", "record.changed")
    assert again.denied_fields == ("project_stage",)
    assert again.revision == decision().revision


@pytest.mark.parametrize("code", DENIALS)
def test_every_denial_says_in_both_languages_what_mends_it(code: str) -> None:
    denial = DENIALS[code]
    for text in (denial.message, denial.mend):
        assert text.en.endswith(".")
        assert text.zh.endswith("。")


def test_the_denials_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        DENIALS["a.b"] = DENIALS["rate.exceeded"]  # type: ignore[index]
