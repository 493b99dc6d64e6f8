"""What an agreement lets be proved of a field: grants, grids, probes."""

from typing import Any

import pytest

from crypto import typed
from ledger.conditions import Condition
from node.adapters.policy.question import check_question
from node.domain.agreement import Agreement, Offer, Status, Terms
from node.domain.dataset import (
    CustomerKey,
    Dataset,
    Field,
    FieldType,
    Grade,
    Mode,
    Source,
    Title,
)
from node.domain.disclosure import Caller, Company, Request, Situation
from node.domain.predicates import (
    FITTING,
    PERIODS,
    PredicateGrant,
    PredicateOffer,
    condition_key,
    on_grid,
    schema_of,
)
from node.domain.question import question
from node.errors import BadRequest
from tests.unit.node.test_negotiation import FROM, OFFER, constraint, terms

SPEND: dict[str, Any] = {
    "field": "spend",
    "type": FieldType.MONEY,
    "unit": "EUR",
    "scale": 2,
    "operators": ("at_least", "at_most", "between", "sum_at_least"),
    "step": "100000.00",
    "probes": 8,
}
ACCEPTED: dict[str, Any] = {
    "field": "accepted",
    "type": FieldType.DATE,
    "operators": ("after", "before", "between"),
    "step": "month",
    "probes": 8,
}


def spend(**changes: Any) -> PredicateGrant:
    return PredicateGrant(**(SPEND | changes))


def accepted(**changes: Any) -> PredicateGrant:
    return PredicateGrant(**(ACCEPTED | changes))


def declared(name: str, type_: FieldType, **changes: Any) -> Field:
    right: dict[str, Any] = {
        "grade": Grade.IMPORTANT,
        "personal": False,
        "modes": frozenset({Mode.PREDICATE, Mode.AGGREGATE}),
    }
    title = Title(en=name, zh=name)
    return Field(name=name, column=name, type=type_, title=title, **(right | changes))


DATASET = Dataset(
    id="projects",
    title=Title(en="Projects", zh="项目"),
    source=Source(url="/crm.csv", relation="", record="id"),
    customer=CustomerKey(column="credit_code", rule="uscc"),
    fields=(
        declared("spend", FieldType.MONEY, unit="EUR", scale=2),
        declared("accepted", FieldType.DATE),
        declared("stage", FieldType.TEXT),
        declared("notes", FieldType.TEXT, modes=frozenset({Mode.AGGREGATE})),
    ),
)
SCHEMA = schema_of(DATASET)


def asked(operator: str, *values: Any, field: str = "spend") -> Condition:
    return Condition.of(operator, [field], values)


# --- grants -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"field": "Spend"}, "annual_spend"),
        ({"operators": ()}, "at least one operator"),
        ({"operators": ("at_most", "at_least")}, "sorted"),
        ({"operators": ("at_least", "at_least")}, "each once"),
        ({"operators": ("at_lest",)}, "did you mean `at_least`"),
        ({"operators": ("before",)}, "does not go with money"),
        ({"type": FieldType.TEXT, "unit": None, "scale": 0}, "does not go with text"),
        ({"type": FieldType.DATE}, "unit or scale"),
        ({"scale": 19}, "unit or scale"),
        ({"unit": ""}, "unit or scale"),
        ({"unit": "e\u0301"}, "unit or scale"),
        ({"unit": "E R"}, "unit or scale"),
        ({"step": "100000"}, "100000.00"),
        ({"step": "0.00"}, "above zero"),
        ({"step": "-5.00"}, "above zero"),
        ({"step": "0.001"}, "at most 2 decimals"),
        ({"step": "month"}, "above zero"),
        ({"step": "9" * 30}, "above zero"),
        ({"operators": ("one_of",)}, "no step"),
        ({"probes": 0}, "1 to 10000"),
        ({"probes": 10_001}, "1 to 10000"),
        ({"probes": True}, "1 to 10000"),
    ],
)
def test_a_grant_that_nobody_could_mean_is_refused_with_the_mend(
    changes: dict[str, Any], mend: str
) -> None:
    with pytest.raises(BadRequest, match=r"terms\.predicates") as caught:
        spend(**changes)
    assert mend in caught.value.detail


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"step": "months"}, "did you mean `month`"),
        ({"step": "30"}, "is a period"),
        ({"unit": "d"}, "unit or scale"),
        ({"operators": ("at_least",)}, "does not go with date"),
        ({"type": FieldType.TEXT, "operators": ("equal",)}, "no steps"),
    ],
)
def test_a_date_has_the_steps_of_the_calendar_and_text_has_none(
    changes: dict[str, Any], mend: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        accepted(**changes)
    assert mend in caught.value.detail


def test_text_and_truth_values_are_compared_and_never_ordered() -> None:
    for kind in (FieldType.TEXT, FieldType.BOOLEAN):
        assert FITTING[kind] == {"equal", "one_of"}


@pytest.mark.parametrize(
    "value", [None, [], {}, "spend", {"field": "spend"}, SPEND | {"operators": 7}]
)
def test_a_grant_in_another_form_is_no_grant(value: Any) -> None:
    with pytest.raises(BadRequest):
        PredicateGrant.from_json(value)


def test_a_grant_with_more_than_a_grant_has_is_refused() -> None:
    with pytest.raises(BadRequest):
        PredicateGrant.from_json(spend().to_json() | {"note": "be nice"})


# --- terms ------------------------------------------------------------------


def test_terms_say_what_may_be_asked_in_words_of_odrl() -> None:
    odrl = Offer(
        id=OFFER.id,
        dataset=OFFER.dataset,
        assigner=OFFER.assigner,
        assignee=OFFER.assignee,
        terms=terms(predicates=(spend(),)),
    ).to_odrl()
    said = constraint(odrl, "fieldpact:predicate", "isAnyOf")["rightOperand"]
    text = "at_least,at_most,between,sum_at_least"
    assert said == [f"spend:money:2:{text}:100000.00:8:EUR"]


def test_terms_without_predicates_say_nothing_of_them() -> None:
    assert "fieldpact:predicate" not in str(OFFER.to_odrl())


@pytest.mark.parametrize(
    "grants",
    [
        (spend(field="project_stage"),),
        (spend(field="unknown"),),
        (spend(), spend()),
        (spend(), spend(field="a_spend")),
    ],
)
def test_only_fields_of_mode_predicate_are_asked_about_each_once(grants: Any) -> None:
    with pytest.raises(BadRequest, match=r"terms\.predicates"):
        terms(predicates=grants)


RIGHT = spend().to_text()


@pytest.mark.parametrize(
    "said",
    [
        [],
        RIGHT,
        [RIGHT, RIGHT],
        [None],
        [7],
        [{}],
        [""],
        [RIGHT.replace(":8:", ":08:")],
        [RIGHT.replace(":8:", ":+8:")],
        [RIGHT.replace(":8:", ":8_0:")],
        [RIGHT.replace(":8:", ":1e1:")],
        [RIGHT.replace(":8:", f":{'9' * 5000}:")],
        [RIGHT.replace(":2:", ":２:")],
        [RIGHT.replace("100000.00", "100000")],
        [RIGHT.replace("100000.00", "")],
        [RIGHT.replace("at_least,at_most", "at_most,at_least")],
        [RIGHT.replace("at_least,", "at_least,,")],
        [RIGHT.replace("money", "Money")],
        [RIGHT.replace("EUR", "e\u0301")],
        [RIGHT.replace("EUR", "\ud800")],
        [RIGHT.removesuffix(":EUR")],
        [RIGHT.replace("spend", "project_stage")],
    ],
)
def test_a_grant_in_any_other_spelling_is_not_understood(said: Any) -> None:
    permission = terms(predicates=(spend(),)).to_permission()
    assert Terms.from_permission(permission) == terms(predicates=(spend(),))
    for each in permission["constraint"]:
        if each["leftOperand"] == "fieldpact:predicate":
            each["rightOperand"] = said
    with pytest.raises(BadRequest):
        Terms.from_permission(permission)


# --- offers -----------------------------------------------------------------


def test_an_offer_takes_type_unit_and_scale_from_the_declaration() -> None:
    wanted = PredicateOffer(
        field="spend",
        operators=("sum_at_least", "between", "at_most", "at_least", "at_least"),
        step="100000",
        probes=8,
    )
    assert wanted.of(DATASET) == spend()


@pytest.mark.parametrize(
    ("field", "operators", "step"),
    [
        ("unknown", ("equal",), None),
        ("notes", ("equal",), None),
        ("stage", ("at_least",), None),
        ("stage", ("equal",), "1"),
        ("accepted", ("before",), "1"),
        ("spend", ("at_least",), "1.234"),
    ],
)
def test_an_offer_that_the_dataset_cannot_keep_is_refused(
    field: str, operators: tuple[str, ...], step: str | None
) -> None:
    wanted = PredicateOffer(field=field, operators=operators, step=step, probes=1)
    with pytest.raises(BadRequest, match=r"terms\.predicates"):
        wanted.of(DATASET)


# --- the grid ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "lies"),
    [
        (asked("at_least", "500000.00"), True),
        (asked("at_least", "-500000.00"), True),
        (asked("at_least", "0.00"), True),
        (asked("at_least", "500000.01"), False),
        (asked("at_least", "499999.99"), False),
        (asked("at_most", "499999.99"), True),
        (asked("at_most", "500000.00"), False),
        (asked("between", "100000.00", "199999.99"), True),
        (asked("between", "100000.00", "200000.00"), False),
        (asked("between", "100000.01", "200000.00"), False),
        (asked("between", "100000.00", "100000.01"), False),
        (asked("at_least", "500000"), False),
        (asked("at_least", 500000), False),
        (asked("before", "2026-03-01"), False),
    ],
)
def test_amounts_are_asked_for_at_the_marks(condition: Condition, lies: bool) -> None:
    assert on_grid(condition, [spend()], SCHEMA) is lies


@pytest.mark.parametrize(
    ("step", "marks"),
    [
        ("day", {"2026-01-01", "2026-02-01", "2026-04-01", "2026-04-02"}),
        ("month", {"2026-01-01", "2026-02-01", "2026-04-01"}),
        ("quarter", {"2026-01-01", "2026-04-01"}),
        ("year", {"2026-01-01"}),
    ],
)
def test_days_are_asked_for_where_a_period_begins(step: str, marks: set[str]) -> None:
    eve = {
        "2026-01-01": "2025-12-31",
        "2026-02-01": "2026-01-31",
        "2026-04-01": "2026-03-31",
        "2026-04-02": "2026-04-01",
    }
    for day, before in eve.items():
        for condition in (
            asked("before", day, field="accepted"),
            asked("after", before, field="accepted"),
            asked("between", "2025-01-01", before, field="accepted"),
            asked("between", day, "2027-12-31", field="accepted"),
        ):
            assert on_grid(condition, [accepted(step=step)], SCHEMA) is (day in marks)


@pytest.mark.parametrize("step", PERIODS)
def test_the_calendar_ends_on_a_mark(step: str) -> None:
    for condition in (
        asked("between", "2000-01-01", "9999-12-31", field="accepted"),
        asked("after", "9998-12-31", field="accepted"),
        asked("before", "0002-01-01", field="accepted"),
    ):
        assert on_grid(condition, [accepted(step=step)], SCHEMA)
    for condition in (
        asked("after", "9999-12-31", field="accepted"),
        asked("before", "0001-01-01", field="accepted"),
    ):
        assert not on_grid(condition, [accepted(step=step)], SCHEMA)


def test_no_window_is_narrower_than_a_step_not_even_at_the_end_of_the_numbers() -> None:
    wide = "60000000000000.00"  # two marks, and a rest, on either side of zero
    grant = spend(step=wide)
    for condition in (
        asked("at_least", "0.00"),
        asked("at_least", wide),
        asked("between", f"-{wide}", "-0.01"),
    ):
        assert on_grid(condition, [grant], SCHEMA)
    last = f"{(2**63 - 1) // 100}.{(2**63 - 1) % 100:02d}"
    mark = f"{(2**63 - 1) // 6_000_000_000_000_000 * 60_000_000_000_000}.00"
    assert not on_grid(asked("at_least", mark), [grant], SCHEMA)
    assert not on_grid(asked("between", mark, last), [grant], SCHEMA)


def test_a_sum_is_asked_for_at_the_marks_of_both_fields() -> None:
    other = spend(field="rent", step="30000.00")
    schema = (spend().typed, other.typed)
    sums = {"300000.00": True, "100000.00": False, "30000.00": False, "0.00": True}
    for bound, lies in sums.items():
        condition = Condition.of("sum_at_least", ["spend", "rent"], [bound])
        assert on_grid(condition, [spend(), other], schema) is lies


def test_two_hidden_fields_compare_on_any_grid() -> None:
    other = spend(field="rent", step="30000.00")
    schema = (spend().typed, other.typed)
    for operator in ("equal", "no_more_than"):
        condition = Condition.of(operator, ["rent", "spend"])
        assert on_grid(condition, [spend(), other], schema)


def test_sets_hold_any_value_and_so_have_no_grid() -> None:
    condition = asked("one_of", "100000.00", "200000.00")
    assert not on_grid(condition, [spend()], SCHEMA)
    free = spend(operators=("one_of",), step=None)
    assert on_grid(condition, [free], SCHEMA)


def test_without_a_step_any_bound_lies_on_the_grid() -> None:
    assert on_grid(asked("at_least", "0.01"), [spend(step=None)], SCHEMA)


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "USD"},
        {"unit": None},
        {"scale": 3, "step": "100000.000"},
        {"type": FieldType.INTEGER, "scale": 0, "step": "100000"},
    ],
)
def test_a_grant_is_void_when_the_field_means_something_else_today(
    changes: dict[str, Any],
) -> None:
    assert not on_grid(asked("at_least", "500000.00"), [spend(**changes)], SCHEMA)


def test_a_grant_is_void_when_records_do_not_hold_the_field_any_more() -> None:
    assert not on_grid(asked("at_least", "500000.00"), [spend()], (accepted().typed,))


def test_what_is_not_granted_has_no_grid() -> None:
    assert on_grid(asked("at_least", "500000.01"), [accepted()], SCHEMA)


def test_the_schema_holds_what_is_committed_to() -> None:
    assert [each.name for each in SCHEMA if isinstance(each, typed.Field)] == [
        "spend",
        "accepted",
        "stage",
    ]


# --- probes -----------------------------------------------------------------


def test_one_question_counts_as_one_however_it_is_spelt() -> None:
    one = Condition.of("one_of", ["stage"], ["b", "a", "b"])
    other = Condition.of("one_of", ["stage"], ["a", "b"])
    assert condition_key(one) == condition_key(other)
    assert len(condition_key(one)) == 64


def test_questions_that_differ_count_each() -> None:
    keys = {
        condition_key(condition)
        for condition in (
            asked("at_least", "500000.00"),
            asked("at_least", "600000.00"),
            asked("at_most", "500000.00"),
            asked("at_least", "500000.00", field="rent"),
            Condition.of("one_of", ["ok"], [False, True]),
            Condition.of("one_of", ["ok"], [0, 1]),
        )
    }
    assert len(keys) == 6


# --- requests and questions -------------------------------------------------

SPENT, ON = asked("at_least", "500000.00"), asked("before", "2026-03-01", field="accepted")  # fmt: skip


def request(*where: Condition, fields: tuple[str, ...] = ()) -> Request:
    return Request(
        dataset="projects",
        agreement="urn:uuid:6f9619ff-8b86-4d01-b42d-00cf4fc96400",
        purpose="joint-delivery",
        fields=fields,
        customers=(bytes(32),),
        where=where,
    )


def test_a_request_is_read_as_it_was_written_and_its_hash_covers_conditions() -> None:
    whole = request(ON, SPENT, fields=("stage",))
    assert Request.from_body("projects", whole.body()) == whole
    assert whole.hidden == ("accepted", "spend")
    others = [request(ON), request(SPENT), request(ON, SPENT)]
    assert len({each.hash for each in [whole, *others]}) == 4


@pytest.mark.parametrize(
    ("where", "fields", "mend"),
    [
        ((), (), "at least one field"),
        ((SPENT,), ("spend",), "both"),
        ((SPENT, ON), (), "sorted"),
        ((SPENT, SPENT), (), "each once"),
    ],
)
def test_a_request_that_asks_for_nothing_or_twice_is_refused(
    where: tuple[Condition, ...], fields: tuple[str, ...], mend: str
) -> None:
    with pytest.raises(BadRequest, match=r"request\.malformed") as caught:
        request(*where, fields=fields)
    assert mend in caught.value.detail


def decided(asked_for: Request, **situation: Any) -> dict[str, Any]:
    granted = {"spend": Mode.PREDICATE, "accepted": Mode.PREDICATE, "stage": Mode.PLAIN}
    agreed = Agreement(
        id=asked_for.agreement,
        dataset="projects",
        assigner="did:web:maker.test",
        assignee="did:web:supplier.test",
        terms=terms(fields=granted, predicates=(accepted(), spend())),
        timestamp=FROM,
    )
    known: dict[str, Any] = {
        "agreement": agreed,
        "status": Status.ACTIVE,
        "calls_this_hour": 0,
        "nonce_seen": False,
    }
    return question(
        request=asked_for,
        caller=Caller(did="did:web:supplier.test", problem="", nonce="n"),
        situation=Situation(**(known | situation)),
        dataset=DATASET,
        company=Company(),
        node="did:web:maker.test",
        now=1_800_000_000,
    )


def test_a_policy_is_told_fields_operators_and_grid_and_no_bound() -> None:
    between = asked("at_most", "500000.00")
    found = decided(
        request(ON, between, fields=("stage",)), probes={"spend": 3, "accepted": 1}
    )
    check_question(found)
    assert found["request"]["fields"] == ["stage"]
    assert found["request"]["predicates"] == [
        {"fields": ["accepted"], "operator": "before", "on_grid": True},
        {"fields": ["spend"], "operator": "at_most", "on_grid": False},
    ]
    assert found["agreement"]["predicates"] == {
        "accepted": {"operators": ["after", "before", "between"], "probes": 8},
        "spend": {"operators": list(SPEND["operators"]), "probes": 8},
    }
    told = {"accepted": "predicate", "spend": "predicate", "stage": "plain"}
    assert found["agreement"]["fields"] == told
    assert found["dataset"]["fields"].keys() == told.keys()
    assert found["usage"]["probes"] == {"spend": 3, "accepted": 1}
    assert "500000" not in str(found)
    assert "2026-03-01" not in str(found)


def test_a_policy_is_told_of_no_field_that_is_not_asked_for() -> None:
    found = decided(request(ON), probes={"accepted": 1, "spend": 5})
    for where in (found["agreement"]["predicates"], found["dataset"]["fields"]):
        assert where.keys() == {"accepted"}
    assert found["usage"]["probes"] == {"accepted": 1}


def test_probes_that_nobody_counted_are_not_told() -> None:
    assert decided(request(ON))["usage"]["probes"] == {}
