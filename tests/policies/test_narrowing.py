"""Who narrows an agreement or a company's rules never widens what leaves."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from node.adapters.policy.embedded import EmbeddedEngine
from node.domain.decision import Decision
from tests.policies.questions import allowed, changed, generated, planned

Question = dict[str, Any]
Narrowing = Callable[[Question, Random], Question]


def without_a_grant(question: Question, random: Random) -> Question:
    granted = dict(question["agreement"].get("fields", {}))
    if granted:
        del granted[random.choice(sorted(granted))]
    return _agreement(question, fields=granted)


def with_a_field_withheld(question: Question, random: Random) -> Question:
    field = random.choice(sorted(allowed()["dataset"]["fields"]))
    withheld = [*question["company"]["denied_fields"], field]
    return changed(question, {"company.denied_fields": withheld})


def with_a_partner_refused(question: Question, random: Random) -> Question:
    partner = random.choice([question["caller"]["did"], "did:web:another"])
    refused = [*question["company"]["denied_partners"], partner]
    return changed(question, {"company.denied_partners": refused})


def with_fewer_rows(question: Question, random: Random) -> Question:
    most = question["company"]["max_rows"] // 2
    return changed(question, {"company.max_rows": most})


def with_a_purpose_less(question: Question, random: Random) -> Question:
    return _agreement(question, purposes=question["agreement"].get("purposes", [])[1:])


def with_shorter_validity(question: Question, random: Random) -> Question:
    end = question["agreement"].get("valid_to", 0)
    return _agreement(question, valid_to=max(0, end - random.randint(0, 200)))


def with_lower_caps(question: Question, random: Random) -> Question:
    caps = ("calls_per_hour", "rows_per_call")
    return _agreement(question, **{cap: random.randint(0, 1) for cap in caps})


def with_a_mode_less(question: Question, random: Random) -> Question:
    labels = question["dataset"].get("fields", {})
    if not labels:
        return question
    name = random.choice(sorted(labels))
    return changed(
        question, {f"dataset.fields.{name}.modes": labels[name]["modes"][1:]}
    )


def graded_up(question: Question, random: Random) -> Question:
    labels = question["dataset"].get("fields", {})
    if not labels:
        return question
    name = random.choice(sorted(labels))
    return changed(question, {f"dataset.fields.{name}.grade": "core"})


def with_an_operator_less(question: Question, random: Random) -> Question:
    return _regranted(
        question, random, lambda grant: grant | {"operators": grant["operators"][1:]}
    )


def with_fewer_conditions(question: Question, random: Random) -> Question:
    return _regranted(
        question, random, lambda grant: grant | {"probes": grant["probes"] // 2}
    )


def without_proofs_of_a_field(question: Question, random: Random) -> Question:
    granted = dict(question["agreement"].get("predicates", {}))
    if granted:
        del granted[random.choice(sorted(granted))]
    return _agreement(question, predicates=granted)


def with_a_coarser_grid(question: Question, random: Random) -> Question:
    asked = [each | {"on_grid": False} for each in question["request"]["predicates"]]
    return changed(question, {"request.predicates": asked})


def with_a_use_less(question: Question, random: Random) -> Question:
    return _used(question, random, granted=False)


def with_a_lower_bound(question: Question, random: Random) -> Question:
    return _used(question, random, in_bound=False)


def without_an_allowance(question: Question, random: Random) -> Question:
    return _agreement(question, allowance={})


def with_a_smaller_allowance(question: Question, random: Random) -> Question:
    allowance = dict(question["agreement"].get("allowance", {}))
    if allowance:
        name = random.choice(["epsilon_micro", "plans_per_day", "match_size"])
        allowance[name] //= 2
    return _agreement(question, allowance=allowance)


def with_a_larger_cohort(question: Question, random: Random) -> Question:
    allowance = dict(question["agreement"].get("allowance", {}))
    if allowance:
        allowance["k_min"] += random.choice([1, 1000])
    return _agreement(question, allowance=allowance)


def without_matching(question: Question, random: Random) -> Question:
    allowance = dict(question["agreement"].get("allowance", {}))
    if allowance:
        agreed = ["none", "count", "list"].index(allowance["matching"])
        allowance["matching"] = ["none", "none", "count"][agreed]
        allowance["counts"] = random.choice([False, allowance["counts"]])
    return _agreement(question, allowance=allowance)


def with_less_left(question: Question, random: Random) -> Question:
    left = question["usage"]["budget_left"] * random.randint(0, 9) // 10
    more = question["usage"]["plans_today"] + random.randint(0, 1)
    return changed(question, {"usage.budget_left": left, "usage.plans_today": more})


def with_a_plan_in_doubt(question: Question, random: Random) -> Question:
    if question["request"]["plan"] is None:
        return question
    fact = random.choice(["signed", "bound", "current", "well_formed"])
    return changed(question, {f"request.plan.{fact}": False})


def _used(question: Question, random: Random, **facts: bool) -> Question:
    plan = question["request"]["plan"]
    if plan is None or not plan["fields"]:
        return question
    used = list(plan["fields"])
    place = random.randrange(len(used))
    used[place] = used[place] | facts
    return changed(question, {"request.plan.fields": used})


def _regranted(
    question: Question, random: Random, narrowed: Callable[[Question], Question]
) -> Question:
    granted = dict(question["agreement"].get("predicates", {}))
    if granted:
        name = random.choice(sorted(granted))
        granted[name] = narrowed(granted[name])
    return _agreement(question, predicates=granted)


def _agreement(question: Question, **terms: object) -> Question:
    if not question["agreement"]:
        return question
    return changed(
        question, {f"agreement.{name}": value for name, value in terms.items()}
    )


NARROWINGS: list[Narrowing] = [
    without_a_grant,
    with_a_field_withheld,
    with_a_partner_refused,
    with_fewer_rows,
    with_a_purpose_less,
    with_shorter_validity,
    with_lower_caps,
    with_a_mode_less,
    graded_up,
    with_an_operator_less,
    with_fewer_conditions,
    without_proofs_of_a_field,
    with_a_coarser_grid,
    with_a_use_less,
    with_a_lower_bound,
    without_an_allowance,
    with_a_smaller_allowance,
    with_a_larger_cohort,
    without_matching,
    with_less_left,
    with_a_plan_in_doubt,
]


def _questions() -> Iterator[Question]:
    yield from [allowed()] * 10
    yield from [planned()] * 10
    yield from generated(4, 90, malformed=False)


@pytest.fixture(scope="module")
def decided() -> dict[int, Decision]:
    """What was decided before any narrowing: the same for each of them."""
    return {}


@pytest.mark.parametrize("narrowing", NARROWINGS, ids=lambda rule: rule.__name__)
async def test_narrowing_never_turns_a_refusal_into_an_answer(
    narrowing: Narrowing, embedded: EmbeddedEngine, decided: dict[int, Decision]
) -> None:
    random = Random(7)  # noqa: S311 - reproducible, not secret
    for number, question in enumerate(_questions()):
        if number not in decided:
            decided[number] = await embedded.decide(question)
        before = decided[number]
        after = await embedded.decide(narrowing(question, random))
        assert before.allow or not after.allow, question
        assert set(after.fields) <= set(before.fields)
        assert set(after.predicate_fields) <= set(before.predicate_fields)
        assert set(after.aggregate_fields) <= set(before.aggregate_fields)
