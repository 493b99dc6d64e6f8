"""For each code that a plan can meet: the smallest plan refused for it, and the same
one allowed; from the plan and the agreement to the decision, by every engine."""

import dataclasses
import datetime
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ledger.conditions import Condition
from ledger.plans import Group, Kind, Measure, Party, Plan, SignedPlan
from node.adapters.policy.bundle import Bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.engine import PolicyEngine
from node.adapters.policy.opa_server import OpaServer
from node.adapters.policy.question import check_question
from node.domain.agreement import Agreement, Status, Terms
from node.domain.dataset import Dataset, FieldType, Grade, Mode
from node.domain.decision import Decision
from node.domain.denials import DENIALS
from node.domain.disclosure import (
    Caller,
    Company,
    Request,
    Situation,
)
from node.domain.granted import names_agreement, plan_facts, unmet, uses
from node.domain.predicates import PredicateGrant
from node.domain.question import StepFacts, question
from tests.policies import opa
from tests.unit.ledger import planned, samples
from tests.unit.node.test_aggregate_grants import (
    DATASET,
    allowance,
    counting,
    due,
    region,
    spend,
)
from tests.unit.node.test_predicates import declared

PROVIDER, CONSUMER = samples.PROVIDER, samples.CONSUMER
PURPOSE = samples.PURPOSE
WEEKS = Group(field="due", grain="week", values=("2026-11-09", "2026-11-16"))
REGIONS = Group(field="region", grain="value", values=("North", "华东"))
SPENT = Measure(what="sum", field="spend", bound=500_000)
NOW = 1_795_371_600
LISTED: dict[str, Any] = {"matching": "list", "match_size": 90}


def agreed(terms: Terms | None = None, **allowed: Any) -> Agreement:
    """An agreement between the companies of the ledger's samples."""
    granted = counting(due(), region(), spend(), allowance=allowance(**allowed))
    return Agreement(
        id=samples.AGREEMENT,
        dataset="projects",
        assigner=PROVIDER,
        assignee=CONSUMER,
        terms=dataclasses.replace(terms or granted, purposes=(PURPOSE,)),
        timestamp=datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC),
    )


def plan(kind: Kind = Kind.HEAT_MAP, **changes: Any) -> Plan:
    """A plan over the dataset of these tests; of one cell, unless told otherwise."""
    own: dict[str, Any] = {"groups": (), "filters": (), "measure": planned.COUNT}
    if kind is Kind.JOINT_SUM:
        own["measure"] = SPENT
    return planned.plan(kind, **(own | changes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a plan, as a node has it when it asks for a decision."""

    plan: SignedPlan
    agreement: str = samples.AGREEMENT
    dataset: str = "projects"
    purpose: str = PURPOSE
    step: str = "cells"


def asked(
    of: Plan,
    *,
    agreement: Agreement | None = None,
    dataset: Dataset = DATASET,
    company: Company | None = None,
    purpose: str = PURPOSE,
    **found: Any,
) -> dict[str, Any]:
    """Return the question about a step; the plan is good, unless told otherwise."""
    right: dict[str, Any] = {
        "signed": True,
        "current": True,
        "bound": True,
        "budget_left": 1_500_000,
        "plans_today": 0,
    }
    known = agreement or agreed()
    return question(
        request=Step(plan=SignedPlan(plan=of, signature=bytes(64)), purpose=purpose),
        caller=Caller(did=CONSUMER, problem="", nonce="n"),
        situation=Situation(
            agreement=known, status=Status.ACTIVE, calls_this_hour=0, nonce_seen=False
        ),
        dataset=dataset,
        company=company or Company(),
        node=PROVIDER,
        now=NOW,
        step_facts=StepFacts(**(right | found)),
    )


SUPPLIED: set[str] = set()
"""Servers that hold the policies already."""


@pytest.fixture(scope="module")
def opa_url() -> Iterator[str]:
    if opa.BINARY is None:
        pytest.skip("needs an OPA binary: set FIELDPACT_TEST_OPA to its path")
    with opa.server() as url:
        yield url


@pytest.fixture(params=["embedded", pytest.param("opa", marks=pytest.mark.opa)])
async def engine(
    request: pytest.FixtureRequest, bundle: Bundle
) -> AsyncIterator[PolicyEngine]:
    if request.param == "embedded":
        async with EmbeddedEngine(bundle, timeout_s=30) as embedded:
            yield embedded
    else:
        url = request.getfixturevalue("opa_url")
        async with OpaServer(bundle, url=url, timeout_s=30) as server:
            if url not in SUPPLIED:
                await server.ready()
                SUPPLIED.add(url)
            yield server


REDEFINED = dataclasses.replace(
    DATASET,
    fields=(
        declared("spend", FieldType.MONEY, unit="CNY", scale=2),
        *DATASET.fields[1:],
    ),
)
CORE = dataclasses.replace(
    DATASET,
    fields=(
        DATASET.fields[0],
        DATASET.fields[1],
        declared("region", FieldType.TEXT, grade=Grade.CORE),
    ),
)
MATCHED = plan(Kind.INTERSECTION)
LISTING = plan(Kind.INTERSECTION, mode="list")
ONE = plan(groups=(REGIONS,))
SUMMED = plan(measure=SPENT)


def filtered(operator: str, field: str, *values: Any) -> Plan:
    return plan(filters=(Condition.of(operator, [field], values),))


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("plan.signature", {"of": plan(), "signed": False}, {"of": plan()}),
    ("plan.mismatch", {"of": plan(), "bound": False}, {"of": plan()}),
    ("plan.expired", {"of": plan(), "current": False}, {"of": plan()}),
    (
        "plan.malformed",
        {"of": filtered("at_least", "region", 5)},
        {"of": filtered("one_of", "region", "North", "South")},
    ),
    (
        "plan.malformed",
        {"of": filtered("at_least", "spend", "5.0")},
        {"of": filtered("at_least", "spend", "5.00")},
    ),
    (
        "aggregate.not_granted",
        {"of": plan(measure=Measure(what="sum", field="region", bound=1))},
        {"of": plan(measure=Measure(what="count", field="region", bound=1))},
    ),
    (
        "aggregate.not_granted",
        {"of": plan(groups=(dataclasses.replace(WEEKS, grain="day"),))},
        {"of": plan(groups=(WEEKS,))},
    ),
    (
        "aggregate.not_granted",
        {"of": plan(groups=(dataclasses.replace(REGIONS, field="late"),))},
        {"of": ONE},
    ),
    (
        "aggregate.not_granted",
        {"of": SUMMED, "dataset": REDEFINED},
        {"of": SUMMED},
    ),
    (
        "aggregate.not_granted",
        {
            "of": plan(),
            "agreement": agreed(counting(
                fields={"notes": Mode.PREDICATE}, allowance=allowance(**LISTED)
            )),
        },
        {"of": plan(), "agreement": agreed(**LISTED)},
    ),
    (
        "aggregate.bound",
        {"of": plan(measure=dataclasses.replace(SPENT, bound=500_001))},
        {"of": SUMMED},
    ),
    ("field.grade", {"of": ONE, "dataset": CORE}, {"of": ONE}),
    (
        "field.withheld",
        {"of": ONE, "company": Company(denied_fields=("region",))},
        {"of": ONE, "company": Company(denied_fields=("spend",))},
    ),
    (
        "partner.refused",
        {"of": plan(), "company": Company(denied_partners=(CONSUMER,))},
        {"of": plan(), "company": Company(denied_partners=(PROVIDER,))},
    ),
    (
        "matching.not_granted",
        {"of": LISTING, "agreement": agreed(matching="count", match_size=90)},
        {"of": LISTING, "agreement": agreed(**LISTED)},
    ),
    (
        "matching.size",
        {"of": MATCHED, "agreement": agreed(matching="count", match_size=88)},
        {"of": MATCHED, "agreement": agreed(matching="count", match_size=89)},
    ),
    ("cohort.minimum", {"of": plan(k_min=9)}, {"of": plan(k_min=10)}),
    ("plans.exceeded", {"of": plan(), "plans_today": 20}, {"of": plan(), "plans_today": 19}),
    (
        "budget.exhausted",
        {"of": plan(), "budget_left": 499_999},
        {"of": plan(), "budget_left": 500_000},
    ),
    (
        "budget.exhausted",
        {"of": plan(epsilon_micro=1_500_001), "budget_left": 9_000_000},
        {"of": plan(epsilon_micro=1_500_000), "budget_left": 9_000_000},
    ),
    ("purpose.mismatch", {"of": plan(purpose="other"), "purpose": "other"}, {"of": plan()}),
    ("plan.mismatch", {"of": plan(purpose="other")}, {"of": plan()}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "refused", "allowed"), CASES)
async def test_the_smallest_plan_is_refused_and_one_that_differs_in_it_is_not(
    engine: PolicyEngine, code: str, refused: dict[str, Any], allowed: dict[str, Any]
) -> None:
    no = await engine.decide(asked(**refused))
    yes = await engine.decide(asked(**allowed))
    assert no.denials == (code,)
    assert yes.allow, yes.denials
    assert yes.aggregate_fields == allowed["of"].fields
    assert (yes.fields, yes.predicate_fields) == ((), ())


def test_every_code_of_plans_has_its_smallest_plan() -> None:
    coded = {code for code, _, _ in CASES}
    prefixes = ("plan.", "aggregate.", "matching.", "cohort.", "plans.", "budget.")
    wanted = {code for code in DENIALS if code.startswith(prefixes)}
    made_later = {"plan.narrowing", "cohort.too_small", "aggregate.unavailable"}
    assert coded >= wanted - made_later


def test_a_sum_over_two_cannot_even_be_drawn_up() -> None:
    parties = (planned.party(1), planned.party(3))
    with pytest.raises(Exception, match="fewer than three"):
        plan(Kind.FEDERATED_SUM, parties=parties)


@pytest.mark.parametrize(
    "of",
    [
        plan(groups=(WEEKS, REGIONS), measure=SPENT, contribution=2),
        plan(Kind.JOINT_SUM),
        plan(Kind.RING_COUNT),
        plan(Kind.FEDERATED_SUM, groups=(REGIONS,), measure=SPENT),
        planned.rows(groups=(WEEKS,)),
        planned.flipped(groups=(WEEKS, REGIONS), totals=("region",)),
    ],
    ids=lambda of: f"{of.kind} {of.mode}",
)
async def test_a_plan_of_every_kind_is_allowed_where_all_is_granted(
    engine: PolicyEngine, of: Plan
) -> None:
    decision = await engine.decide(asked(of, agreement=agreed(**LISTED)))
    assert decision.allow, decision.denials
    assert decision.aggregate_fields == of.fields


ROUTES = {"query": Mode.PLAIN, "predicate": Mode.PREDICATE, "plan": Mode.AGGREGATE}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("mode", [Mode.PLAIN, Mode.PREDICATE, Mode.AGGREGATE])
async def test_a_field_leaves_by_the_route_of_its_mode_and_by_no_other(
    engine: PolicyEngine, mode: Mode, route: str
) -> None:
    open_field = declared(
        "region", FieldType.TEXT, grade=Grade.GENERAL, modes=frozenset(ROUTES.values())
    )
    dataset = dataclasses.replace(DATASET, fields=(open_field, *DATASET.fields[1:2]))
    decision = await _by(engine, route, mode, dataset)
    released = {
        "query": decision.fields,
        "predicate": decision.predicate_fields,
        "plan": decision.aggregate_fields,
    }
    if ROUTES[route] is mode:
        assert released == dict.fromkeys(released, ()) | {route: ("region",)}
    else:
        assert not decision.allow
        assert not any(released.values())
        assert decision.denied_fields == ("region",)


async def _by(
    engine: PolicyEngine, route: str, mode: Mode, dataset: Dataset
) -> Decision:
    """Ask for one field by a route, under an agreement that grants it in a mode."""
    proved = PredicateGrant(
        field="region", type=FieldType.TEXT, operators=("one_of",), probes=8
    )
    counted = (due(), region()) if mode is Mode.AGGREGATE else (due(),)
    terms = counting(
        *counted,
        fields={"region": mode, "due": Mode.AGGREGATE},
        predicates=(proved,) if mode is Mode.PREDICATE else (),
    )
    agreement = agreed(terms)
    if route == "plan":
        return await engine.decide(asked(ONE, agreement=agreement, dataset=dataset))
    one_of = Condition.of("one_of", ["region"], ["North", "South"])
    request = Request(
        dataset="projects",
        agreement=agreement.id,
        purpose=PURPOSE,
        fields=("region",) if route == "query" else (),
        customers=(bytes(32),),
        where=(one_of,) if route == "predicate" else (),
    )
    situation = Situation(
        agreement=agreement,
        status=Status.ACTIVE,
        calls_this_hour=0,
        nonce_seen=False,
        probes={"region": 1},
    )
    return await engine.decide(
        question(
            request=request,
            caller=Caller(did=CONSUMER, problem="", nonce="n"),
            situation=situation,
            dataset=dataset,
            company=Company(),
            node=PROVIDER,
            now=NOW,
        )
    )


# --- what a policy is told ----------------------------------------------------


def test_a_policy_is_told_uses_and_sizes_and_no_value_of_a_group_or_filter() -> None:
    of = plan(
        groups=(WEEKS, REGIONS),
        measure=SPENT,
        filters=(Condition.of("at_least", ["spend"], ["1234.00"]),),
    )
    found = asked(of)
    check_question(found)
    fine = {"granted": True, "in_bound": True}
    assert found["request"]["plan"] == {
        "kind": "heat-map",
        "mode": "C",
        "step": "cells",
        "fields": [
            {"field": "due", "use": "group"} | fine,
            {"field": "region", "use": "group"} | fine,
            {"field": "spend", "use": "filter"} | fine,
            {"field": "spend", "use": "sum"} | fine,
        ],
        "well_formed": True,
        "epsilon_micro": 500_000,
        "k_min": 10,
        "cells": 4,
        "parties": 1,
        "matching": "none",
        "size": 0,
        "signed": True,
        "current": True,
        "bound": True,
    }
    assert found["agreement"]["allowance"] == {
        "counts": True,
        "epsilon_micro": 1_500_000,
        "k_min": 10,
        "plans_per_day": 20,
        "matching": "none",
        "match_size": 0,
    }
    assert found["agreement"]["fields"].keys() == {"due", "region", "spend"}
    assert not [each for each in ("1234", "North", "2026-11-09") if each in str(found)]


def test_of_a_query_no_plan_is_told_and_no_allowance() -> None:
    request = Request(
        dataset="projects",
        agreement=samples.AGREEMENT,
        purpose=PURPOSE,
        fields=("stage",),
        customers=(bytes(32),),
    )
    situation = Situation(
        agreement=agreed(), status=Status.ACTIVE, calls_this_hour=0, nonce_seen=False
    )
    found = question(
        request=request,
        caller=Caller(did=CONSUMER, problem="", nonce="n"),
        situation=situation,
        dataset=DATASET,
        company=Company(),
        node=PROVIDER,
        now=NOW,
    )
    check_question(found)
    assert found["request"]["plan"] is None
    assert found["agreement"]["allowance"] == {}
    assert (found["usage"]["budget_left"], found["usage"]["plans_today"]) == (0, 0)


async def test_a_step_that_nobody_found_anything_out_about_is_refused(
    engine: PolicyEngine,
) -> None:
    step = Step(plan=SignedPlan(plan=plan(), signature=bytes(64)))
    for known, codes in (
        (agreed(), ("plan.expired", "plan.mismatch", "plan.signature")),
        (None, ("agreement.unknown",)),
    ):
        found = question(
            request=step,
            caller=Caller(did=CONSUMER, problem="", nonce="n"),
            situation=Situation(
                agreement=known,
                status=Status.ACTIVE,
                calls_this_hour=0,
                nonce_seen=False,
            ),
            dataset=DATASET if known else None,
            company=Company(),
            node=PROVIDER,
            now=NOW,
        )
        assert (await engine.decide(found)).denials == codes


# --- what can be known beforehand ---------------------------------------------

STATIC = [
    (code, refused, allowed)
    for code, refused, allowed in CASES
    if not code.startswith(("field.", "partner.", "purpose.", "plans."))
    and set(refused) <= {"of", "agreement", "dataset"}
    and refused["of"].purpose == PURPOSE
]


@pytest.mark.parametrize(("code", "refused", "allowed"), STATIC)
def test_who_asks_can_know_beforehand_what_the_terms_do_not_grant(
    code: str, refused: dict[str, Any], allowed: dict[str, Any]
) -> None:
    def stops(case: dict[str, Any]) -> tuple[str, ...]:
        terms = case.get("agreement", agreed()).terms
        return unmet(case["of"], terms, case.get("dataset", DATASET))

    assert code in stops(refused)
    assert stops(allowed) == ()


def test_without_the_dataset_the_grants_are_taken_at_their_word() -> None:
    assert unmet(SUMMED, agreed().terms, REDEFINED) == ("aggregate.not_granted",)
    assert unmet(SUMMED, agreed().terms, None) == ()


def test_terms_without_an_allowance_let_nothing_be_counted() -> None:
    terms = counting(fields={"notes": Mode.PREDICATE}, allowance=None)
    assert unmet(plan(), terms, DATASET) == ("aggregate.not_granted",)
    assert unmet(MATCHED, terms, DATASET) == ("matching.not_granted",)
    facts = plan_facts(plan(), None, DATASET)
    assert facts["fields"] == []


def labelled(field: str, *values: str) -> Plan:
    return plan(groups=(Group(field=field, grain="value", values=values),))


TYPED = [
    ("people", ("5", "-7"), True),
    ("people", ("05",), False),
    ("people", ("+5",), False),
    ("people", ("five",), False),
    ("people", ("9" * 20,), False),
    ("late", ("true", "false"), True),
    ("late", ("yes",), False),
    ("region", ("5", "true", "华东"), True),
]


@pytest.mark.parametrize(("field", "values", "fits"), TYPED)
def test_the_values_of_a_group_are_those_of_its_field(
    field: str, values: tuple[str, ...], *, fits: bool
) -> None:
    kind = DATASET.field(field)
    assert kind is not None
    grant = region(field=field, type=kind.type)
    found = unmet(labelled(field, *values), counting(grant), DATASET)
    assert found == (() if fits else ("plan.malformed",))


def test_each_use_of_a_field_is_told_once() -> None:
    at_least = Condition.of("at_least", ["spend"], ["1.00"])
    at_most = Condition.of("at_most", ["spend"], ["9.00"])
    of = plan(filters=(at_least, at_most), measure=SPENT)
    assert uses(of) == (("spend", "filter"), ("spend", "sum"))


# --- for whom a plan is ---------------------------------------------------------


def bound(agreement: Agreement, /, **changes: Any) -> Plan:
    right = {
        "did": PROVIDER,
        "agreement": agreement.id,
        "agreement_hash": agreement.hash,
        "dataset": agreement.dataset,
    }
    return plan(parties=(Party(**(right | changes)),))


def test_a_plan_is_for_the_agreement_that_it_names_as_it_was_signed() -> None:
    agreement = agreed()
    assert names_agreement(bound(agreement), agreement, PROVIDER)


@pytest.mark.parametrize(
    "changes",
    [
        {"did": planned.party(3).did},
        {"agreement": "agreement-9"},
        {"agreement_hash": "00" * 32},
        {"dataset": "others"},
    ],
)
def test_a_plan_for_anything_else_is_not_for_this_agreement(
    changes: dict[str, str],
) -> None:
    agreement = agreed()
    assert not names_agreement(bound(agreement, **changes), agreement, PROVIDER)


def test_a_plan_is_not_for_the_agreement_of_another_asker_or_purpose() -> None:
    agreement = agreed()
    theirs = dataclasses.replace(agreement, assignee=planned.party(3).did)
    terms = dataclasses.replace(agreement.terms, purposes=("other",))
    other = dataclasses.replace(agreement, terms=terms)
    for each in (theirs, other):
        assert not names_agreement(bound(each), each, PROVIDER)
