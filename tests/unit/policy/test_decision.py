from typing import Any

import pytest

from node.domain.decision import Decision
from node.domain.denials import DENIALS


def decision(**changes: Any) -> Decision:
    members: dict[str, Any] = {
        "allow": True,
        "fields": ("project_stage",),
        "predicate_fields": ("annual_spend",),
        "denials": (),
        "denied_fields": (),
        "obligations": ("receipt.countersign",),
        "revision": "00",
        "input_hash": "00",
        "engine": "test",
    }
    return Decision(**(members | changes))


NO: dict[str, Any] = {
    "allow": False,
    "fields": (),
    "predicate_fields": (),
    "obligations": (),
    "denials": ("rate.exceeded",),
}


@pytest.mark.parametrize(
    "contradiction",
    [
        {"denials": ("rate.exceeded",)},
        {"denied_fields": ("a",)},
        {"predicate_fields": ("annual_spend", "project_stage")},
        {"aggregate_fields": ("region",)},
        {"fields": (), "aggregate_fields": ("region",)},
        {"predicate_fields": (), "aggregate_fields": ("project_stage",)},
        {"allow": False},
        NO | {"denials": ()},
        NO | {"denials": ("a.b",)},
        NO | {"fields": ("project_stage",)},
        NO | {"predicate_fields": ("annual_spend",)},
        NO | {"aggregate_fields": ("region",)},
        NO | {"obligations": ("receipt.countersign",)},
    ],
)
def test_a_contradiction_is_no_decision(contradiction: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"decision|field|codes"):
        decision(**contradiction)


@pytest.mark.parametrize(
    "released",
    [
        {},
        {"fields": ()},
        {"predicate_fields": ()},
        {"obligations": ()},
        {"fields": (), "predicate_fields": ()},
        {"fields": (), "predicate_fields": (), "aggregate_fields": ("region",)},
        NO,
    ],
)
def test_a_decision_allows_in_one_way_or_refuses(
    released: dict[str, Any],
) -> None:
    assert decision(**released).allow == (released is not NO)


def test_a_later_check_narrows_a_decision_to_a_refusal() -> None:
    refused = decision().refused("rows.exceeded", denied_fields=["project_stage"])
    again = refused.refused("customer.not_shared")
    assert not again.allow
    assert (again.fields, again.predicate_fields, again.obligations) == ((), (), ())
    assert again.denials == ("customer.not_shared", "rows.exceeded")
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
