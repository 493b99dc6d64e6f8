"""What an agreement lets be counted and summed: grants, allowances, offers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.aggregates import (
    FITTING,
    GRAINS,
    MATCHING,
    PERIODS,
    AggregateGrant,
    AggregateOffer,
    Allowance,
)
from node.domain.agreement import Agreement, Offer, Terms
from node.domain.dataset import Dataset, Field, FieldType, Mode
from node.errors import BadRequest
from tests.unit.node.test_negotiation import FROM, OFFER, constraint, terms
from tests.unit.node.test_predicates import DATASET as PROJECTS
from tests.unit.node.test_predicates import declared

AGGREGATE = frozenset({Mode.AGGREGATE})
DATASET = Dataset(
    id="projects",
    title=PROJECTS.title,
    source=PROJECTS.source,
    customer=PROJECTS.customer,
    fields=(
        declared("spend", FieldType.MONEY, unit="EUR", scale=2, modes=AGGREGATE),
        declared("due", FieldType.DATE, modes=AGGREGATE),
        declared("region", FieldType.TEXT, modes=AGGREGATE),
        declared("people", FieldType.INTEGER, modes=AGGREGATE),
        declared("late", FieldType.BOOLEAN, modes=AGGREGATE),
        declared("notes", FieldType.TEXT, modes=frozenset({Mode.PREDICATE})),
    ),
)


def spend(**changes: Any) -> AggregateGrant:
    right: dict[str, Any] = {
        "field": "spend",
        "type": FieldType.MONEY,
        "unit": "EUR",
        "scale": 2,
        "uses": ("filter", "sum"),
        "bound": "5000.00",
    }
    return AggregateGrant(**(right | changes))


def due(**changes: Any) -> AggregateGrant:
    right: dict[str, Any] = {
        "field": "due",
        "type": FieldType.DATE,
        "uses": ("filter", "group"),
        "grains": ("week", "month"),
    }
    return AggregateGrant(**(right | changes))


def region(**changes: Any) -> AggregateGrant:
    right: dict[str, Any] = {
        "field": "region",
        "type": FieldType.TEXT,
        "uses": ("filter", "group"),
    }
    return AggregateGrant(**(right | changes))


def allowance(**changes: Any) -> Allowance:
    right: dict[str, Any] = {
        "epsilon_micro": 1_500_000,
        "period": "quarter",
        "k_min": 10,
        "plans_per_day": 20,
    }
    return Allowance(**(right | changes))


def counting(*grants: AggregateGrant, **changes: Any) -> Terms:
    """Return terms that grant figures and nothing else."""
    right: dict[str, Any] = {
        "fields": {grant.field: Mode.AGGREGATE for grant in grants},
        "aggregates": grants,
        "allowance": allowance(),
        "predicates": (),
    }
    return terms(**(right | changes))


# --- grants -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"field": "Spend"}, "like region"),
        ({"uses": ()}, "at least one use"),
        ({"uses": ("sum", "filter")}, "sorted"),
        ({"uses": ("sum", "sum")}, "each once"),
        ({"uses": ("sums",)}, "did you mean `sum`"),
        ({"uses": ("group", "sum")}, "does not go with money"),
        ({"type": FieldType.TEXT, "unit": None, "scale": 0}, "sum does not go with"),
        ({"type": FieldType.DATE}, "unit or scale"),
        ({"scale": 19}, "unit or scale"),
        ({"unit": ""}, "unit or scale"),
        ({"unit": "e\u0301"}, "unit or scale"),
        ({"bound": None}, "at most"),
        ({"bound": "5000"}, "5000.00"),
        ({"bound": "0.00"}, "above zero"),
        ({"bound": "-1.00"}, "above zero"),
        ({"bound": "0.001"}, "at most 2 decimals"),
        ({"bound": "many"}, "above zero"),
        ({"bound": "9" * 30}, "above zero"),
        ({"uses": ("filter",)}, "for sums"),
        ({"grains": ("month",)}, "for dates"),
    ],
)
def test_a_grant_that_nobody_could_mean_is_refused_with_the_mend(
    changes: dict[str, Any], mend: str
) -> None:
    with pytest.raises(BadRequest, match=r"terms\.aggregates") as caught:
        spend(**changes)
    assert mend in caught.value.detail


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"grains": ()}, "by which periods"),
        ({"grains": ("months",)}, "did you mean `month`"),
        ({"grains": ("month", "week")}, "the shortest first"),
        ({"grains": ("week", "week")}, "once"),
        ({"uses": ("filter",)}, "Periods are for dates that are grouped"),
        ({"uses": ("group", "sum"), "bound": "1"}, "sum does not go with date"),
        ({"bound": "1"}, "for sums"),
    ],
)
def test_a_date_is_grouped_by_periods_that_are_named(
    changes: dict[str, Any], mend: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        due(**changes)
    assert mend in caught.value.detail


def test_amounts_are_summed_and_everything_else_is_not() -> None:
    summed = {kind for kind, uses in FITTING.items() if "sum" in uses}
    assert summed == {FieldType.MONEY, FieldType.INTEGER}
    assert all("filter" in uses for uses in FITTING.values())


def test_longer_periods_are_granted_with_those_that_they_are_made_of() -> None:
    grouped = {
        grain: {each for each in GRAINS if due(grains=(grain,)).groups_by(each)}
        for grain in GRAINS
    }
    assert grouped == {
        "day": set(GRAINS),
        "week": {"week"},
        "month": {"month", "quarter", "year"},
        "quarter": {"quarter", "year"},
        "year": {"year"},
    }
    assert not due().groups_by("value")
    assert not due(uses=("filter",), grains=()).groups_by("week")


def test_what_is_no_date_is_grouped_by_its_values() -> None:
    assert region().groups_by("value")
    assert not region().groups_by("day")
    assert not region(uses=("filter",)).groups_by("value")


def test_the_bound_counts_the_smallest_units() -> None:
    assert (spend().most, spend(bound="0.01").most, region().most) == (500_000, 1, 0)


def test_a_grant_is_void_once_the_field_means_something_else() -> None:
    field = DATASET.field("spend")
    assert spend().means(field)
    assert not spend().means(None)
    assert not spend().means(DATASET.field("people"))
    for change in ({"unit": "CNY"}, {"scale": 3}, {"modes": frozenset({Mode.PLAIN})}):
        made: dict[str, Any] = {"unit": "EUR", "scale": 2, "modes": AGGREGATE}
        other: Field = declared("spend", FieldType.MONEY, **(made | change))
        assert not spend().means(other)


@pytest.mark.parametrize(
    "value",
    [None, [], {}, "spend", {"field": "spend"}, spend().to_json() | {"uses": 7},
     spend().to_json() | {"uses": [[]]}, spend().to_json() | {"note": "be nice"},
     spend().to_json() | {"type": "amount"}],
)  # fmt: skip
def test_a_grant_in_another_form_is_no_grant(value: Any) -> None:
    with pytest.raises(BadRequest):
        AggregateGrant.from_json(value)


@st.composite
def grants(draw: st.DrawFn, name: str | None = None) -> AggregateGrant:
    """Draw any grant that can be made."""
    kind = draw(st.sampled_from(FieldType))
    listed = draw(st.sets(st.sampled_from(sorted(FITTING[kind])), min_size=1))
    measured = kind in {FieldType.MONEY, FieldType.INTEGER}
    scale = draw(st.integers(0, 6)) if kind is FieldType.MONEY else 0
    units = draw(st.integers(1, 2**53 - 1))
    whole, part = divmod(units, 10**scale)
    bound = f"{whole}.{part:0{scale}d}" if scale else str(whole)
    dated = kind is FieldType.DATE and "group" in listed
    named = draw(st.sets(st.sampled_from(GRAINS), min_size=1)) if dated else set()
    unit = draw(st.sampled_from(["EUR", "km:h", "件", None])) if measured else None
    if kind is FieldType.MONEY and unit is None:
        unit = "CNY"
    field = name or draw(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True))
    return AggregateGrant(
        field=field,
        type=kind,
        unit=unit,
        scale=scale,
        uses=tuple(sorted(listed)),
        bound=bound if "sum" in listed else None,
        grains=tuple(each for each in GRAINS if each in named),
    )


@st.composite
def allowances(draw: st.DrawFn) -> Allowance:
    """Draw any allowance that can be made."""
    matching = draw(st.sampled_from(MATCHING))
    return Allowance(
        epsilon_micro=draw(st.integers(0, 1_000_000_000)),
        period=draw(st.sampled_from(PERIODS)),
        k_min=draw(st.integers(5, 1_000_000)),
        plans_per_day=draw(st.integers(1, 10_000)),
        matching=matching,
        match_size=0 if matching == "none" else draw(st.integers(1, 2**20)),
    )


@given(grants())
def test_a_grant_reads_back_from_its_text_and_from_its_json(
    grant: AggregateGrant,
) -> None:
    assert AggregateGrant.from_text(grant.to_text()) == grant
    assert AggregateGrant.from_json(grant.to_json()) == grant


@given(allowances())
def test_an_allowance_reads_back_from_its_json(allowed: Allowance) -> None:
    assert Allowance.from_json(allowed.to_json()) == allowed


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)), st.data())
def test_terms_read_back_from_what_both_sides_sign(
    names: dict[str, int], data: st.DataObject
) -> None:
    made = [data.draw(grants(name)) for name in sorted(names)]
    allowed = data.draw(allowances()) if made else None
    fields = {grant.field: Mode.AGGREGATE for grant in made} | {"z": Mode.PLAIN}
    agreed = counting(*made, fields=fields, allowance=allowed)
    assert Terms.from_permission(agreed.to_permission()) == agreed


# --- allowances ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"epsilon_micro": -1}, "epsilon_micro is a whole number"),
        ({"epsilon_micro": 1_000_000_001}, "epsilon_micro"),
        ({"epsilon_micro": 0.5}, "epsilon_micro"),
        ({"epsilon_micro": True}, "epsilon_micro"),
        ({"k_min": 4}, "5 to 1000000"),
        ({"k_min": 1_000_001}, "5 to 1000000"),
        ({"plans_per_day": 0}, "plans_per_day"),
        ({"plans_per_day": 10_001}, "plans_per_day"),
        ({"period": "months"}, "did you mean `month`"),
        ({"period": "week"}, "allowed: day"),
        ({"matching": "lists", "match_size": 5}, "did you mean `list`"),
        ({"matching": "count"}, "match_size"),
        ({"match_size": 1}, "match_size"),
        ({"matching": "list", "match_size": 2**20 + 1}, "match_size"),
    ],
)
def test_an_allowance_that_nobody_could_mean_is_refused_with_the_mend(
    changes: dict[str, Any], mend: str
) -> None:
    with pytest.raises(BadRequest, match=r"terms\.allowance") as caught:
        allowance(**changes)
    assert mend in caught.value.detail


@pytest.mark.parametrize(
    "value", [None, [], {}, 7, allowance().to_json() | {"note": "be nice"}]
)
def test_an_allowance_in_another_form_is_none(value: Any) -> None:
    with pytest.raises(BadRequest):
        Allowance.from_json(value)


def test_who_may_have_the_list_may_have_its_length() -> None:
    size = {"none": 0, "count": 1, "list": 1}
    for agreed in MATCHING:
        allowed = allowance(matching=agreed, match_size=size[agreed])
        for wanted in MATCHING:
            included = MATCHING.index(wanted) <= MATCHING.index(agreed)
            assert allowed.lets_match(wanted) is included


# --- terms ------------------------------------------------------------------


def test_terms_say_what_may_be_counted_in_words_of_odrl() -> None:
    agreed = counting(
        due(), spend(), allowance=allowance(matching="list", match_size=1000)
    )
    odrl = Offer(
        id=OFFER.id,
        dataset=OFFER.dataset,
        assigner=OFFER.assigner,
        assignee=OFFER.assignee,
        terms=agreed,
    ).to_odrl()
    said = {
        name: constraint(odrl, f"fieldpact:{name}", operator)["rightOperand"]
        for name, operator in OPERANDS.items()
    }
    assert said == {
        "aggregate": [
            "due:date:0:filter,group:-:week,month:",
            "spend:money:2:filter,sum:5000.00:-:EUR",
        ],
        "epsilonMicro": "1500000",
        "budgetPeriod": "quarter",
        "minimumCohort": "10",
        "plansPerDay": "20",
        "matching": "list",
        "matchSize": "1000",
    }
    assert Offer.from_odrl(odrl).terms == agreed


OPERANDS = {
    "aggregate": "isAnyOf",
    "epsilonMicro": "lteq",
    "budgetPeriod": "eq",
    "minimumCohort": "gteq",
    "plansPerDay": "lteq",
    "matching": "eq",
    "matchSize": "lteq",
}


def test_terms_without_figures_say_nothing_of_them() -> None:
    said = str(OFFER.to_odrl())
    assert not [name for name in OPERANDS if f"fieldpact:{name}" in said]


@pytest.mark.parametrize(
    ("changes", "term"),
    [
        ({"allowance": None}, "allowance"),
        ({"aggregates": ()}, "allowance"),
        ({"aggregates": (spend(), due())}, "aggregates"),
        ({"aggregates": (due(), due())}, "aggregates"),
        ({"aggregates": (due(), spend(field="unknown"))}, "aggregates"),
        ({"fields": {"due": Mode.AGGREGATE, "spend": Mode.PLAIN}}, "aggregates"),
        ({"fields": {"due": Mode.PREDICATE, "spend": Mode.AGGREGATE}}, "aggregates"),
    ],
)
def test_only_fields_of_mode_aggregate_are_counted_within_an_allowance(
    changes: dict[str, Any], term: str
) -> None:
    with pytest.raises(BadRequest, match=rf"terms\.{term}"):
        counting(due(), spend(), **changes)


def test_terms_of_figures_alone_show_no_record() -> None:
    plain = {"due": Mode.AGGREGATE, "stage": Mode.PLAIN}
    assert not counting(due()).shows_records
    assert counting(due(), fields=plain).shows_records


def test_matching_alone_needs_an_allowance_and_no_field_to_count() -> None:
    allowed = allowance(matching="count", match_size=100)
    plain = {"stage": Mode.PLAIN}
    agreed = counting(fields=plain, allowance=allowed)
    assert Terms.from_permission(agreed.to_permission()) == agreed


RIGHT = due().to_text()


@pytest.mark.parametrize(
    ("operand", "said"),
    [
        ("aggregate", []),
        ("aggregate", RIGHT),
        ("aggregate", [RIGHT, RIGHT]),
        ("aggregate", [None]),
        ("aggregate", [{}]),
        ("aggregate", [""]),
        ("aggregate", [RIGHT.replace(":0:", ":00:")]),
        ("aggregate", [RIGHT.replace("filter,group", "group,filter")]),
        ("aggregate", [RIGHT.replace("week,month", "month,week")]),
        ("aggregate", [RIGHT.replace(":-:", "::")]),
        ("aggregate", [RIGHT.replace("date", "Date")]),
        ("aggregate", [RIGHT.removesuffix(":")]),
        ("aggregate", [RIGHT.replace("due", "stage")]),
        ("epsilonMicro", 1_500_000),
        ("epsilonMicro", "1_500_000"),
        ("epsilonMicro", "01500000"),
        ("epsilonMicro", "1500000.0"),
        ("epsilonMicro", "9" * 5000),
        ("budgetPeriod", "fortnight"),
        ("budgetPeriod", ["quarter"]),
        ("minimumCohort", "4"),
        ("minimumCohort", "+10"),
        ("plansPerDay", "0"),
        ("matching", "all"),
        ("matching", None),
        ("matchSize", "１"),
        ("matchSize", "5"),
    ],
)
def test_figures_in_any_other_spelling_are_not_understood(
    operand: str, said: Any
) -> None:
    permission = counting(due()).to_permission()
    assert Terms.from_permission(permission) == counting(due())
    for each in permission["constraint"]:
        if each["leftOperand"] == f"fieldpact:{operand}":
            each["rightOperand"] = said
    with pytest.raises(BadRequest):
        Terms.from_permission(permission)


@pytest.mark.parametrize("operand", OPERANDS)
def test_each_of_the_operands_must_be_there_with_its_operator(operand: str) -> None:
    for change in ({"operator": "gt"}, {"leftOperand": "fieldpact:other"}, None):
        permission = counting(due()).to_permission()
        permission["constraint"] = [
            each if each["leftOperand"] != f"fieldpact:{operand}" else each | change
            for each in permission["constraint"]
            if change or each["leftOperand"] != f"fieldpact:{operand}"
        ]
        with pytest.raises(BadRequest):
            Terms.from_permission(permission)


def test_agreements_differ_where_what_may_be_counted_differs() -> None:
    found = {
        Agreement(
            id=OFFER.id,
            dataset=OFFER.dataset,
            assigner=OFFER.assigner,
            assignee=OFFER.assignee,
            terms=each,
            timestamp=FROM,
        ).hash
        for each in (
            counting(due()),
            counting(due(grains=("week",))),
            counting(due(), allowance=allowance(k_min=11)),
            counting(due(), allowance=allowance(matching="count", match_size=1)),
        )
    }
    assert len(found) == 4


# --- offers -----------------------------------------------------------------


def test_an_offer_takes_type_unit_and_scale_from_the_declaration() -> None:
    wanted = AggregateOffer(field="spend", uses=("sum", "filter", "sum"), bound="5000")
    assert wanted.of(DATASET) == spend()
    dated = AggregateOffer(
        field="due", uses=("group", "filter"), grains=("month", "week", "week")
    )
    assert dated.of(DATASET) == due()


@pytest.mark.parametrize(
    ("field", "changes", "mend"),
    [
        ("unknown", {"uses": ("filter",)}, "does not share unknown as aggregate"),
        ("notes", {"uses": ("filter",)}, "does not share notes as aggregate"),
        ("region", {"uses": ("sum",), "bound": "5"}, "sum does not go with text"),
        ("region", {"uses": ("group",), "bound": "5"}, "for sums"),
        ("region", {"uses": ()}, "at least one use"),
        ("late", {"uses": ("group",), "grains": ("day",)}, "Periods are for dates"),
        ("spend", {"uses": ("group",)}, "group does not go with money"),
        ("spend", {"uses": ("sum",), "bound": "1.234"}, "at most 2 decimals"),
        ("spend", {"uses": ("sum",)}, "at most"),
        ("people", {"uses": ("sum",), "bound": "1.5"}, "above zero"),
        ("due", {"uses": ("group",), "grains": ("weeks",)}, "did you mean `week`"),
    ],
)
def test_an_offer_that_the_dataset_cannot_keep_is_refused(
    field: str, changes: dict[str, Any], mend: str
) -> None:
    with pytest.raises(BadRequest, match=r"terms\.aggregates") as caught:
        AggregateOffer(field=field, **changes).of(DATASET)
    assert mend in caught.value.detail
