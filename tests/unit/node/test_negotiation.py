"""The states of a negotiation, all of them, and the policies that are understood."""

import copy
import datetime
import itertools
from typing import Any

import pytest

from node.domain.agreement import Agreement, Offer, Terms
from node.domain.dataset import Mode
from node.domain.negotiation import Negotiation, Role, State
from node.errors import BadRequest, Conflict

C, P = Role.CONSUMER, Role.PROVIDER
FROM = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
TO = datetime.datetime(2027, 5, 1, tzinfo=datetime.UTC)
ARROWS = {
    ("REQUESTED", "OFFERED"): {P},
    ("REQUESTED", "AGREED"): {P},
    ("REQUESTED", "TERMINATED"): {C, P},
    ("OFFERED", "REQUESTED"): {C},
    ("OFFERED", "ACCEPTED"): {C},
    ("OFFERED", "TERMINATED"): {C, P},
    ("ACCEPTED", "AGREED"): {P},
    ("ACCEPTED", "TERMINATED"): {P},
    ("AGREED", "VERIFIED"): {C},
    ("AGREED", "TERMINATED"): {C},
    ("VERIFIED", "FINALIZED"): {P},
    ("VERIFIED", "TERMINATED"): {P},
}
"""Transcribed from Dataspace Protocol 2025-1, contract negotiation, the figure."""


def terms(**changes: Any) -> Terms:
    right: dict[str, Any] = {
        "fields": {"project_stage": Mode.PLAIN, "spend": Mode.PREDICATE},
        "purposes": ("joint-delivery",),
        "valid_from": FROM,
        "valid_to": TO,
        "calls_per_hour": 10,
        "rows_per_call": 5,
    }
    return Terms(**(right | changes))


OFFER = Offer(
    id="urn:uuid:6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    dataset="projects",
    assigner="did:web:maker.test",
    assignee="did:web:supplier.test",
    terms=terms(),
)
AGREEMENT = Agreement(
    id="urn:uuid:6f9619ff-8b86-4d01-b42d-00cf4fc96400",
    dataset="projects",
    assigner="did:web:maker.test",
    assignee="did:web:supplier.test",
    terms=terms(),
    timestamp=FROM,
)


def negotiation(state: State, role: Role = P) -> Negotiation:
    return Negotiation(
        provider_pid="urn:uuid:p",
        consumer_pid="urn:uuid:c",
        role=role,
        partner="did:web:other.test",
        state=state,
        offer=OFFER,
    )


@pytest.mark.parametrize(
    ("before", "after", "sender"), list(itertools.product(State, State, Role))
)
def test_a_state_moves_along_the_arrows_of_the_figure_and_no_other_way(
    before: State, after: State, sender: Role
) -> None:
    now = negotiation(before)
    if sender in ARROWS.get((before.value, after.value), set()):
        assert now.advance(after, sender=sender).state is after
    else:
        with pytest.raises(Conflict, match=r"negotiation\.state"):
            now.advance(after, sender=sender)
    assert now.state is before


def test_the_figure_was_enumerated_whole() -> None:
    assert len(State) ** 2 * len(Role) == 98
    ends = {State.FINALIZED.value, State.TERMINATED.value}
    assert ends.isdisjoint(before for before, _ in ARROWS)


def test_a_move_keeps_the_agreement_it_has() -> None:
    agreed = negotiation(State.ACCEPTED).advance(
        State.AGREED, sender=P, agreement=AGREEMENT
    )
    assert agreed.advance(State.VERIFIED, sender=C).agreement == AGREEMENT


# --- policies ---------------------------------------------------------------


def test_an_offer_and_an_agreement_are_read_back_as_written() -> None:
    assert Offer.from_odrl(copy.deepcopy(OFFER.to_odrl())) == OFFER
    read = Agreement.from_odrl(copy.deepcopy(AGREEMENT.to_odrl()))
    assert read == AGREEMENT
    assert read.hash == AGREEMENT.hash
    assert read.signed_bytes == AGREEMENT.signed_bytes


def test_an_offer_is_no_agreement_and_the_reverse() -> None:
    with pytest.raises(BadRequest):
        Agreement.from_odrl(OFFER.to_odrl())
    with pytest.raises(BadRequest):
        Offer.from_odrl(AGREEMENT.to_odrl())


def constraint(policy: Any, left: str, operator: str) -> Any:
    return next(
        each
        for each in policy["permission"][0]["constraint"]
        if (each["leftOperand"], each["operator"]) == (left, operator)
    )


CHANGES: dict[str, Any] = {
    "another context": lambda p: p.update({"@context": ["https://example.test"]}),
    "two contexts": lambda p: p["@context"].append("https://example.test"),
    "another type": lambda p: p.update({"@type": "Set"}),
    "another profile": lambda p: p.update({"profile": "urn:other"}),
    "no profile": lambda p: p.pop("profile"),
    "a prohibition": lambda p: p.update({"prohibition": []}),
    "an obligation": lambda p: p.update({"obligation": [{"action": "delete"}]}),
    "an unknown member": lambda p: p.update({"dct:note": "be nice"}),
    "two permissions": lambda p: p["permission"].append(p["permission"][0]),
    "no permission": lambda p: p["permission"].clear(),
    "permission is one": lambda p: p.update({"permission": p["permission"][0]}),
    "another action": lambda p: p["permission"][0].update({"action": "sell"}),
    "a duty": lambda p: p["permission"][0].update({"duty": []}),
    "a rule target": lambda p: p["permission"][0].update({"target": "projects"}),
    "a constraint less": lambda p: p["permission"][0]["constraint"].pop(),
    "a constraint twice": lambda p: p["permission"][0]["constraint"].append(
        p["permission"][0]["constraint"][0]
    ),
    "another order": lambda p: p["permission"][0]["constraint"].reverse(),
    "another operand": lambda p: p["permission"][0]["constraint"].append(
        {"leftOperand": "spatial", "operator": "eq", "rightOperand": "CN"}
    ),
    "purpose negated": lambda p: constraint(p, "purpose", "isAnyOf").update(
        {"operator": "isNoneOf"}
    ),
    "purpose is text": lambda p: constraint(p, "purpose", "isAnyOf").update(
        {"rightOperand": "joint-delivery"}
    ),
    "no purpose": lambda p: constraint(p, "purpose", "isAnyOf").update(
        {"rightOperand": []}
    ),
    "a purpose twice": lambda p: constraint(p, "purpose", "isAnyOf").update(
        {"rightOperand": ["a", "a"]}
    ),
    "cap is a number": lambda p: constraint(p, "fieldpact:callsPerHour", "lteq").update(
        {"rightOperand": 10}
    ),
    "cap is true": lambda p: constraint(p, "fieldpact:callsPerHour", "lteq").update(
        {"rightOperand": True}
    ),
    "cap in other digits": lambda p: constraint(
        p, "fieldpact:callsPerHour", "lteq"
    ).update({"rightOperand": "１０"}),
    "cap with a plus": lambda p: constraint(p, "fieldpact:rowsPerCall", "lteq").update(
        {"rightOperand": "+5"}
    ),
    "cap of nothing": lambda p: constraint(p, "fieldpact:rowsPerCall", "lteq").update(
        {"rightOperand": "0"}
    ),
    "cap below nothing": lambda p: constraint(
        p, "fieldpact:rowsPerCall", "lteq"
    ).update({"rightOperand": "-1"}),
    "cap without end": lambda p: constraint(p, "fieldpact:rowsPerCall", "lteq").update(
        {"rightOperand": "1000001"}
    ),
    "cap of 5000 digits": lambda p: constraint(
        p, "fieldpact:rowsPerCall", "lteq"
    ).update({"rightOperand": "9" * 5000}),
    "any customer": lambda p: constraint(p, "fieldpact:customers", "eq").update(
        {"rightOperand": "any"}
    ),
    "a field of mode never": lambda p: constraint(
        p, "fieldpact:field", "isAnyOf"
    ).update({"rightOperand": ["project_stage:never"]}),
    "a field of no mode": lambda p: constraint(p, "fieldpact:field", "isAnyOf").update(
        {"rightOperand": ["project_stage"]}
    ),
    "a field in two modes": lambda p: constraint(
        p, "fieldpact:field", "isAnyOf"
    ).update({"rightOperand": ["spend:plain", "spend:predicate"]}),
    "fields unsorted": lambda p: constraint(p, "fieldpact:field", "isAnyOf").update(
        {"rightOperand": ["spend:plain", "project_stage:plain"]}
    ),
    "a field of any name": lambda p: constraint(p, "fieldpact:field", "isAnyOf").update(
        {"rightOperand": ["*:plain"]}
    ),
    "no field": lambda p: constraint(p, "fieldpact:field", "isAnyOf").update(
        {"rightOperand": []}
    ),
    "a day for an instant": lambda p: constraint(p, "dateTime", "gteq").update(
        {"rightOperand": "2026-11-01"}
    ),
    "an offset": lambda p: constraint(p, "dateTime", "gteq").update(
        {"rightOperand": "2026-11-01T00:00:00+08:00"}
    ),
    "fractions": lambda p: constraint(p, "dateTime", "gteq").update(
        {"rightOperand": "2026-11-01T00:00:00.5Z"}
    ),
    "an end before the start": lambda p: constraint(p, "dateTime", "lt").update(
        {"rightOperand": "2026-10-01T00:00:00Z"}
    ),
    "a start before 1970": lambda p: constraint(p, "dateTime", "gteq").update(
        {"rightOperand": "1969-12-31T23:59:59Z"}
    ),
    "end and start alike": lambda p: constraint(p, "dateTime", "lt").update(
        {"rightOperand": "2026-11-01T00:00:00Z"}
    ),
    "no end": lambda p: constraint(p, "dateTime", "lt").update({"operator": "gt"}),
    "no id": lambda p: p.pop("@id"),
    "an empty id": lambda p: p.update({"@id": ""}),
    "an id that is a path": lambda p: p.update({"@id": "../keys"}),
    "an id beyond its column": lambda p: p.update({"@id": "u" * 129}),
    "an id of no form C": lambda p: p.update({"@id": "e\u0301"}),
    "an id of no Unicode": lambda p: p.update({"@id": "\ud800"}),
    "a dataset that is a path": lambda p: p.update({"target": "projects/../x?y"}),
    "a dataset that is none": lambda p: p.update({"target": None}),
    "a dataset of two lines": lambda p: p.update({"target": "projects\n"}),
    "a party that is no DID": lambda p: p.update({"assigner": "maker"}),
    "a party that is a list": lambda p: p.update({"assignee": ["did:web:a.test"]}),
}


@pytest.mark.parametrize("policy", [OFFER, AGREEMENT], ids=["offer", "agreement"])
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_policy_with_anything_more_less_or_different_is_refused(
    policy: Offer | Agreement, change: str
) -> None:
    changed = copy.deepcopy(policy.to_odrl())
    CHANGES[change](changed)
    with pytest.raises(BadRequest):
        type(policy).from_odrl(changed)


@pytest.mark.parametrize(
    "timestamp", [None, "", "2026-11-01", "now", 7, "2026-11-01T00:00:00", "0001-01-01T00:00:00Z"]
)  # fmt: skip
def test_an_agreement_without_a_moment_is_refused(timestamp: object) -> None:
    with pytest.raises(BadRequest):
        Agreement.from_odrl(AGREEMENT.to_odrl() | {"timestamp": timestamp})


@pytest.mark.parametrize("value", [None, [], "", 7, {}, [OFFER.to_odrl()], True])
def test_what_is_no_policy_is_refused(value: object) -> None:
    for kind in (Offer, Agreement):
        with pytest.raises(BadRequest):
            kind.from_odrl(value)
