import contextlib
from typing import Any

import pytest

from crypto.errors import Malformed
from ledger.conditions import OPERATORS, Condition
from node.adapters.policy.question import UNHASHED, check_question, input_hash
from tests.policies.questions import (
    DELETE,
    allowed,
    changed,
    grant,
    plan,
    planned,
    predicate,
    use,
)


def test_a_question_in_good_form_passes() -> None:
    check_question(allowed())
    check_question(changed(allowed(), {"agreement": {}, "dataset": {}}))


@pytest.mark.parametrize("member", allowed())
def test_every_member_must_be_there(member: str) -> None:
    with pytest.raises(Malformed, match=member):
        check_question(changed(allowed(), {member: DELETE}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("now", True),
        ("now", 1.0),
        ("now", "1"),
        ("now", 2**53),
        ("now", -1),
        ("agreement.valid_to", 2**64 + 5),  # wraps to 5 in an engine
        ("caller.did", None),
        ("caller.did", "a\x00b"),  # cut at the NUL in an engine
        ("caller.did", "a\n"),
        ("caller.did", "\ud800"),
        ("caller.did", "a" * 513),
        ("request.fields", ("project_stage",)),
        ("request.fields", ["a"] * 257),
        ("request.predicates", ()),
        ("request.predicates", [predicate("at_least", "a")] * 17),
        ("request.predicates", [predicate("unlike", "a")]),
        ("request.predicates", [predicate("at_least")]),
        ("request.predicates", [predicate("at_least", "a", "b")]),
        ("request.predicates", [predicate("equal", "a")]),
        ("request.predicates", [predicate("equal", "a", "b", "c")]),
        ("request.predicates", [predicate("sum_at_least", "a", "a")]),
        ("request.predicates", [predicate("at_least", "a") | {"on_grid": 1}]),
        ("request.predicates", [predicate("at_least", "a") | {"values": ["1"]}]),
        ("request.plan", {}),
        ("request.plan", plan(kind="regression")),
        ("request.plan", plan(mode=None)),
        ("request.plan", plan(epsilon_micro=0.5)),
        ("request.plan", plan(k_min=2**53)),
        ("request.plan", plan(signed=1)),
        ("request.plan", plan(matching="all")),
        ("request.plan", plan(surprise=0)),
        ("request.plan", plan(use("a", "mean"))),
        ("request.plan", plan(use("a\x00b", "sum"))),
        ("request.plan", plan(use("a", "sum") | {"granted": 1})),
        ("request.plan", plan(use("a", "sum") | {"bound": "1"})),
        ("request.plan", plan(*[use("a", "sum")] * 257)),
        ("agreement.allowance", None),
        ("agreement.allowance", {"counts": True}),
        ("agreement.allowance.k_min", "10"),
        ("agreement.allowance.matching", "all"),
        ("usage.budget_left", -1),
        ("usage.plans_today", None),
        ("agreement.predicates", {"a": {}}),
        ("agreement.predicates", {"a": grant("unlike", probes=1)}),
        ("agreement.predicates", {"a": grant(*OPERATORS, "equal", probes=1)}),
        ("agreement.predicates", {"a": grant("equal", probes=2**53)}),
        ("usage.probes", []),
        ("usage.probes", {"a": True}),
        ("usage.probes", {"a": -1}),
        ("usage.probes", {"a": 2**53}),
        ("agreement.status", "paused"),
        ("agreement.fields", {"a": "all"}),
        ("agreement.fields", {1: "plain"}),
        ("dataset.fields", {"a": {}}),
        ("usage.nonce_seen", 0),
        ("usage.surprise", 0),
        ("company", {}),
        ("surprise", 0),
    ],
)
def test_another_type_or_size_is_refused(path: str, value: Any) -> None:
    with pytest.raises(Malformed):
        check_question(changed(allowed(), {path: value}))


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_predicate_has_as_many_fields_as_its_condition(operator: str) -> None:
    for names in (["a"], ["a", "b"]):
        asked = {"request.predicates": [predicate(operator, *names)]}
        question = changed(allowed(), asked)
        if _is_condition(operator, names):
            check_question(question)
        else:
            with pytest.raises(Malformed):
                check_question(question)


def _is_condition(operator: str, names: list[str]) -> bool:
    """Whether the condition has this many fields, with some number of values."""
    for count in range(3):
        with contextlib.suppress(Malformed):
            Condition.of(operator, names, range(count))
            return True
    return False


def test_a_step_of_a_plan_is_a_question_and_so_is_one_without_an_allowance() -> None:
    check_question(planned())
    check_question(changed(planned(), {"agreement.allowance": {}}))


def test_every_operator_can_be_granted() -> None:
    granted = {"agreement.predicates": {"a": grant(*OPERATORS, probes=1)}}
    check_question(changed(allowed(), granted))


def test_what_is_refused_is_named_and_its_value_is_not() -> None:
    with pytest.raises(Malformed, match=r"request\.customers") as caught:
        check_question(changed(allowed(), {"request.customers": "secret"}))
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_hash_names_the_question_and_nothing_else() -> None:
    first = input_hash(allowed())
    assert len(first) == 64
    assert first == input_hash(dict(reversed(allowed().items())))
    assert first != input_hash(changed(allowed(), {"now": 1}))


def test_a_question_without_canonical_form_has_no_hash() -> None:
    assert input_hash({"now": 0.5}) == UNHASHED
