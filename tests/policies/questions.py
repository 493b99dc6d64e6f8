"""Questions to ask the policies: one that is allowed, and ways to spoil it.

`generated` makes many, from a seed and nothing else, so that a difference that
two engines show once is found again.
"""

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

Question = dict[str, Any]

PROVIDER = "did:web:127.0.0.1%3A8101"
CONSUMER = "did:web:127.0.0.1%3A8102"
STRANGER = "did:web:127.0.0.1%3A8103"
NOW = 1_795_371_600
DELETE = object()
"""The value that removes a member instead of setting it."""


def allowed() -> Question:
    """A question that every policy allows: two fields, one of them personal, and two
    predicates over two more."""
    return {
        "now": NOW,
        "caller": {"did": CONSUMER, "problem": ""},
        "request": {
            "agreement": "urn:uuid:1",
            "dataset": "projects",
            "purpose": "delivery-planning",
            "fields": ["acceptance_date", "project_stage"],
            "predicates": [
                predicate("at_least", "annual_spend"),
                predicate("no_more_than", "planned_spend", "annual_spend"),
            ],
            "customers": 3,
            "plan": None,
        },
        "agreement": {
            "id": "urn:uuid:1",
            "status": "active",
            "provider": PROVIDER,
            "consumer": CONSUMER,
            "dataset": "projects",
            "valid_from": NOW - 100,
            "valid_to": NOW + 100,
            "purposes": ["delivery-planning", "warranty"],
            "fields": {
                "acceptance_date": "plain",
                "annual_spend": "predicate",
                "budget": "plain",
                "city": "aggregate",
                "contact_phone": "predicate",
                "fault": "aggregate",
                "headcount": "predicate",
                "planned_spend": "predicate",
                "project_stage": "plain",
                "region": "plain",
                "repair_cost": "aggregate",
                "secret": "plain",
                "secret_rate": "aggregate",
                "volume": "aggregate",
            },
            "predicates": {
                "annual_spend": grant("at_least", "at_most", "no_more_than", probes=8),
                "headcount": grant("between", probes=1),
                "planned_spend": grant("no_more_than", "sum_at_least", probes=3),
                "project_stage": grant("one_of", probes=5),
                "secret": grant("at_least", probes=5),
            },
            "allowance": {
                "counts": True,
                "epsilon_micro": 1_000_000,
                "k_min": 10,
                "plans_per_day": 4,
                "matching": "list",
                "match_size": 128,
            },
            "calls_per_hour": 10,
            "rows_per_call": 50,
        },
        "dataset": {
            "id": "projects",
            "fields": {
                "acceptance_date": label(personal=True),
                "annual_spend": label("important", modes=["predicate", "aggregate"]),
                "budget": label("important"),
                "city": label(),
                "contact_phone": label("important", personal=True, modes=["predicate"]),
                "fault": label("important", modes=["aggregate"]),
                "headcount": label(),
                "notes": label(),
                "planned_spend": label(modes=["plain", "predicate"]),
                "project_stage": label(modes=["plain", "predicate"]),
                "region": label(modes=["predicate", "aggregate"]),
                "repair_cost": label(personal=True, modes=["plain", "aggregate"]),
                "secret": label("core", modes=["plain", "predicate"]),
                "secret_rate": label("core", modes=["aggregate"]),
                "volume": label(modes=["plain", "aggregate"]),
            },
        },
        "node": {"did": PROVIDER},
        "usage": {
            "calls_this_hour": 0,
            "nonce_seen": False,
            "stream": {"known": True, "signed": True, "unacknowledged": 1},
            "probes": {"annual_spend": 2, "planned_spend": 3},
            "budget_left": 600_000,
            "plans_today": 3,
        },
        "company": {
            "denied_fields": ["volume"],
            "denied_partners": [STRANGER],
            "max_rows": 100,
            "max_unacknowledged": 100,
        },
    }


def planned() -> Question:
    """A step of a plan that every policy allows: a heat map of repair costs."""
    return changed(allowed(), step_of(plan()))


def step_of(asked: Question) -> dict[str, Any]:
    """Return what makes a question one about a step, by dotted path."""
    nothing: dict[str, Any] = {"request.fields": [], "request.predicates": []}
    return nothing | {"request.customers": 0, "request.plan": asked}


def plan(*used: Question, **members: Any) -> Question:
    """Return the facts of a plan: a heat map, unless told otherwise."""
    return {
        "kind": "heat-map",
        "mode": "C",
        "step": "cells",
        "fields": list(used) or [use("fault", "group"), use("repair_cost", "sum")],
        "well_formed": True,
        "epsilon_micro": 500_000,
        "k_min": 10,
        "cells": 24,
        "parties": 1,
        "matching": "none",
        "size": 0,
        "signed": True,
        "current": True,
        "bound": True,
    } | members


def use(
    name: str, what: str, *, granted: bool = True, in_bound: bool = True
) -> Question:
    return {"field": name, "use": what, "granted": granted, "in_bound": in_bound}


def label(
    grade: str = "general", *, personal: bool = False, modes: list[str] | None = None
) -> Question:
    return {"grade": grade, "personal": personal, "modes": modes or ["plain"]}


def predicate(operator: str, *fields: str, on_grid: bool = True) -> Question:
    return {"fields": list(fields), "operator": operator, "on_grid": on_grid}


def grant(*operators: str, probes: int) -> Question:
    return {"operators": list(operators), "probes": probes}


def changed(question: Question, changes: Mapping[str, Any]) -> Question:
    """Return a copy with members, named by dotted paths, set or deleted."""
    result = copy.deepcopy(question)
    for path, value in changes.items():
        *parents, last = path.split(".")
        target = result
        for name in parents:
            target = target[name]
        if value is DELETE:
            del target[last]
        else:
            target[last] = value
    return result


TOKEN_PROBLEMS = [
    "token.missing",
    "token.malformed",
    "token.signature",
    "token.audience",
    "token.expired",
    "token.issuer_unknown",
    "token.key_revoked",
    "token.request_mismatch",
    "token.agreement_mismatch",
]

# Each way to vary a question that leaves it well-formed: path, possible values.
_VARIATIONS: list[tuple[str, list[Any]]] = [
    ("now", [NOW - 101, NOW - 100, NOW + 99, NOW + 100, 0, 2**53 - 1]),
    ("caller.did", [STRANGER, PROVIDER, ""]),
    ("caller.problem", [*TOKEN_PROBLEMS, "token.weird", "中文"]),
    ("request.agreement", ["urn:uuid:2", ""]),
    ("request.dataset", ["others", ""]),
    ("request.purpose", ["warranty", "marketing", "", "交付计划"]),
    ("request.customers", [0, 1, 50, 51, 100, 101, 2**53 - 1]),
    ("agreement", [{}]),
    ("agreement.status", ["suspended", "revoked"]),
    ("agreement.provider", [STRANGER]),
    ("agreement.consumer", [STRANGER, ""]),
    ("agreement.dataset", ["others"]),
    ("agreement.valid_from", [0, NOW, NOW + 1]),
    ("agreement.valid_to", [0, NOW, NOW + 1, NOW - 200]),
    ("agreement.purposes", [[], ["warranty"], ["交付计划", "delivery-planning"]]),
    ("agreement.calls_per_hour", [0, 1, 1_000_000]),
    ("agreement.rows_per_call", [0, 1, 1_000_000]),
    ("dataset", [{}]),
    ("dataset.id", ["others"]),
    ("node.did", [CONSUMER]),
    ("usage.calls_this_hour", [1, 9, 10, 11]),
    ("usage.nonce_seen", [True]),
    ("usage.stream.known", [False]),
    ("usage.stream.signed", [False]),
    ("usage.stream.unacknowledged", [0, 99, 100, 101, 2**53 - 1]),
    ("usage.probes", [{}, {"annual_spend": 8, "planned_spend": 3}]),
    ("usage.probes.annual_spend", [0, 8, 9, 2**53 - 1]),
    ("usage.probes.planned_spend", [3, 4]),
    ("agreement.predicates", [{}]),
    ("agreement.allowance", [{}]),
    ("agreement.allowance.counts", [False]),
    ("agreement.allowance.matching", ["none", "count"]),
    ("usage.budget_left", [0, 499_999, 500_000, 2**53 - 1]),
    ("usage.plans_today", [0, 4, 5]),
    ("company.denied_fields", [[], ["project_stage"], ["acceptance_date", "x"]]),
    ("company.denied_partners", [[], [CONSUMER]]),
    ("company.max_rows", [0, 1, 3]),
    ("company.max_unacknowledged", [0, 1, 2]),
]
_PLANS: list[tuple[str, list[Any]]] = [
    ("kind", ["intersection", "joint-sum", "ring-count", "federated-sum"]),
    ("mode", ["", "R", "flip", "list", "报表"]),
    ("well_formed", [False]),
    ("epsilon_micro", [0, 600_000, 600_001, 1_000_000, 1_000_001]),
    ("k_min", [9, 11, 2**53 - 1]),
    ("cells", [0, 1, 65_536]),
    ("parties", [0, 2, 3, 4]),
    ("matching", ["count", "list"]),
    ("size", [64, 128, 129]),
    ("signed", [False]),
    ("current", [False]),
    ("bound", [False]),
]
_FIELDS = [*allowed()["dataset"]["fields"], "unheard_of", "字段"]
_HIDDEN = [
    "annual_spend",
    "annual_spend",
    "planned_spend",
    "headcount",
    "contact_phone",
]
_OF_ONE = ["after", "at_least", "at_most", "before", "between", "one_of"]
_OF_TWO = ["equal", "no_more_than", "sum_at_least"]
_JUNK: list[Any] = [
    None, True, False, "", "1", "active", "9999999999", "中文", "e\u0301", "a\x00b",
    '"', "\\", "\ud800", "\u2028", "😀", 0, -1, -0.0, 1.5, 1e30, 1e308, 2**53, 2**63,
    2**64 + 5, -(2**70), 10**40, [], {}, [[]], [None], {"a": {}}, [1, "1"], {"": ""},
    ["plain"], ["a", "a"], {"plain": "plain"}, {"did": CONSUMER}, [{"grade": "general"}],
]  # fmt: skip


def generated(seed: int, count: int, *, malformed: bool) -> Iterator[Question]:
    """Make questions, the same ones for the same seed.

    Args:
        malformed: Also replace, remove and add members of any type, anywhere.
    """
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    for _ in range(count):
        question = _varied(random)
        if malformed:
            for _ in range(random.choice([1, 1, 2, 5])):
                question = _spoiled(random, question)
        yield question


def _varied(random: Random) -> Question:
    question = planned() if random.random() < 0.3 else allowed()
    for path, values in random.sample(_VARIATIONS, random.choice([0, 0, 1, 1, 2, 3])):
        parents = path.split(".")[:-1]
        # What is unknown, or not agreed on, has no members.
        if functools.reduce(lambda at, name: at.get(name, {}), parents, question):
            question = changed(question, {path: random.choice(values)})
    is_plan = question["request"]["plan"] is not None
    if is_plan:
        _vary_plan(random, question["request"]["plan"])
    if random.random() < (0.05 if is_plan else 0.5):
        names = random.sample(_FIELDS, random.randint(0, 3))
        question["request"]["fields"] = names
    if random.random() < (0.05 if is_plan else 0.5):
        _vary_predicates(random, question)
    if question["agreement"] and random.random() < 0.2:
        name = random.choice(_FIELDS)
        mode = random.choice(["plain", "predicate", "aggregate", "never"])
        question["agreement"]["fields"][name] = mode
    if question["dataset"] and random.random() < 0.2:
        grade = random.choice(["core", "important", "general"])
        modes = random.sample(["plain", "predicate", "aggregate", "never"], 2)
        personal = random.random() < 0.5
        name = random.choice(_FIELDS)
        question["dataset"]["fields"][name] = label(
            grade, personal=personal, modes=modes
        )
    return question


def _vary_plan(random: Random, asked: Question) -> None:
    for member, values in random.sample(_PLANS, random.choice([0, 0, 1, 1, 2, 4])):
        asked[member] = random.choice(values)
    if random.random() < 0.5:
        asked["fields"] = [_use(random) for _ in range(random.choice([0, 1, 1, 2, 3]))]


def _use(random: Random) -> Question:
    names = random.choice([["city", "fault", "repair_cost"]] * 4 + [_FIELDS])
    return use(
        random.choice(names),
        random.choice(["filter", "group", "sum"]),
        granted=random.random() < 0.85,
        in_bound=random.random() < 0.85,
    )


def _vary_predicates(random: Random, question: Question) -> None:
    count = random.choice([0, 1, 1, 2, 3])
    asked = [_predicate(random) for _ in range(count)]
    question["request"]["predicates"] = asked
    named = {name for each in asked for name in each["fields"]}
    if random.random() < 0.7:
        probes = {name: random.choice([1, 1, 2, 2, 8, 9]) for name in sorted(named)}
        question["usage"]["probes"] = probes
    if question["agreement"] and random.random() < 0.8:
        for name in sorted(named):
            operators = random.sample([*_OF_ONE, *_OF_TWO], random.choice([4, 9, 9, 9]))
            grants = question["agreement"]["predicates"]
            grants[name] = grant(*operators, probes=random.choice([0, 2, 8, 8]))


def _predicate(random: Random) -> Question:
    names = random.choice([_HIDDEN] * 4 + [_FIELDS])
    on_grid = random.random() < 0.75
    if random.random() < 0.6:
        return predicate(random.choice(_OF_ONE), random.choice(names), on_grid=on_grid)
    two = random.sample(sorted(set(names)), 2)
    return predicate(random.choice(_OF_TWO), *two, on_grid=on_grid)


def _spoiled(random: Random, question: Question) -> Question:
    """Replace, remove or add something at one place, whatever is there."""
    result = json.loads(json.dumps(question))
    places = list(_places(result))
    if not places:
        return {}
    container, key = random.choice(places)
    match random.choice(["replace", "replace", "remove", "add"]):
        case "replace":
            container[key] = random.choice(_JUNK)
        case "remove":
            del container[key]
        case "add" if isinstance(container, dict):
            container[random.choice(["x", "", "中", "plain"])] = random.choice(_JUNK)
        case _:
            container.append(random.choice(_JUNK))
    return dict(result)


def _places(value: object) -> Iterator[tuple[Any, Any]]:
    match value:
        case dict():
            for key, item in value.items():
                yield value, key
                yield from _places(item)
        case list():
            for index, item in enumerate(value):
                yield value, index
                yield from _places(item)
        case _:
            pass
