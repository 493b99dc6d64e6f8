"""Questions about fields that are never shown: what is proved, and how often."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from node.domain.predicates import PredicateGrant
from node.domain.where import check_length, parse_where
from node.errors import BadRequest
from tests.support.node import PREDICATES, SHARED, START, Answer, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROBES = 8
TRUE, FALSE = "annual_spend >= 7000000000", "annual_spend >= 8100000000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def world(one: World) -> AsyncIterator[World]:
    """The world with a new agreement, at its usual time."""
    one.clock.at = START
    one.agreement = await one.agree()
    yield one
    assert one.spilled() == []


async def grants(world: World) -> list[PredicateGrant]:
    """Return what the consumer's own node says may be asked."""
    items = (await world.supplier.manage("/audit/agreements"))["items"]
    (item,) = (each for each in items if each["id"] == world.agreement)
    return [PredicateGrant.from_json(each) for each in item["predicates"]]


async def where(world: World, *texts: str) -> list[dict[str, Any]]:
    known = await grants(world)
    found = {parse_where(text, known) for text in texts}
    return [each.to_json() for each in sorted(found, key=lambda one: one.canonical())]


async def query(world: World, *texts: str, **changes: Any) -> Answer:
    return await world.query(
        **{"fields": [], "where": await where(world, *texts), **changes}
    )


def spent(operator: str, *values: Any, field: str = "annual_spend") -> dict[str, Any]:
    return {"fields": [field], "is": operator, "values": list(values)}


def shown(answer: Answer) -> list[dict[str, Any] | None]:
    """Return the fields of each record of the first customer, None if withheld."""
    return [each.get("fields") for each in answer.body["disclosures"][0]["records"]]


# --- what is proved


async def test_both_sides_see_what_may_be_asked(world: World) -> None:
    (grant,) = await grants(world)
    assert grant.probes == PROBES
    assert grant.to_json() == {
        **PREDICATES[0],
        "type": "money",
        "unit": "CNY",
        "scale": 2,
    }
    items = (await world.maker.manage("/audit/agreements"))["items"]
    (mine,) = (each for each in items if each["id"] == world.agreement)
    assert mine["predicates"] == [grant.to_json()]


@pytest.mark.parametrize(
    ("texts", "proved"),
    [
        ([TRUE], True),
        ([FALSE], False),
        (["annual_spend < 8100000000"], True),
        (["annual_spend < 7000000000"], False),
        (["annual_spend between 7000000000 and 8099999999.99"], True),
        (["annual_spend between 100000 and 199999.99"], False),
        ([TRUE, "annual_spend < 8100000000"], True),
        ([TRUE, FALSE], False),
    ],
)
async def test_a_condition_is_proved_and_its_value_never_told(
    world: World, texts: list[str], proved: bool
) -> None:
    answer = await query(world, *texts)
    receipt = world.check(answer)
    assert receipt.fields == ()
    assert [each.to_json() for each in receipt.where] == answer.asked["where"]
    assert shown(answer) == [{} if proved else None] * 2
    assert (receipt.records, receipt.withheld) == ((2, 0) if proved else (0, 2))


async def test_other_fields_are_shown_of_the_records_that_meet_the_condition(
    world: World,
) -> None:
    fields = ["project_stage"]
    answer = await query(world, TRUE, fields=fields)
    world.check(answer)
    stages = [record["project_stage"] for record in shown(answer) if record]
    assert sorted(stages) == ["Stage 0", "Stage 1"]
    answer = await query(world, FALSE, fields=fields)
    world.check(answer)
    assert shown(answer) == [None, None]


async def test_our_own_people_are_told_what_was_proved(world: World) -> None:
    asked = {
        "agreement": world.agreement,
        "purpose": "joint-delivery",
        "customers": [SHARED[0], "nobody's"],
    }
    for text, proved in ((TRUE, True), (FALSE, False)):
        conditions = await where(world, text)
        answer = await world.supplier.manage(
            "/management/ask", asked | {"where": conditions}
        )
        assert answer["verified"], answer["checks"]
        assert answer["where"] == conditions
        assert answer["customers"] == {
            SHARED[0]: [{"fields": {}, "proved": proved}] * 2,
            "nobody's": None,
        }
        assert answer["snapshot"]["state"] == "not_yet_anchored"


# --- what is refused


async def test_a_field_that_is_only_proved_is_shown_by_no_question(
    world: World,
) -> None:
    answer = await world.query(fields=["annual_spend"])
    world.check_refused(answer, "field.mode")


@pytest.mark.parametrize(
    "condition",
    [
        spent("one_of", "7000000000.00", "7100000000.00"),
        spent("before", "2027-01-01", field="expected_acceptance_date"),
        spent("one_of", "Stage 0", "Stage 1", field="project_stage"),
        spent("at_least", 1, field="no_such_field"),
        {"fields": ["annual_spend", "units"], "is": "sum_at_least", "values": ["5.00"]},
        {"fields": ["annual_spend", "units"], "is": "equal", "values": []},
    ],
)
async def test_what_the_agreement_does_not_name_is_not_proved(
    world: World, condition: dict[str, Any]
) -> None:
    answer = await world.query(fields=[], where=[condition])
    assert "predicate.not_granted" in answer.codes
    world.check_refused(answer, *answer.codes)


@pytest.mark.parametrize(
    "condition",
    [
        spent("at_least", "7000000000.01"),
        spent("at_most", "7000000000.00"),
        spent("between", "7000000000.00", "7000000000.01"),
        spent("at_least", "7000000000"),
        spent("at_least", 7_000_000_000),
        spent("at_least", "plenty"),
        spent("at_least", "2027-01-01"),
    ],
)
async def test_a_bound_between_the_marks_is_refused(
    world: World, condition: dict[str, Any]
) -> None:
    answer = await world.query(fields=[], where=[condition])
    world.check_refused(answer, "predicate.granularity")


async def test_a_hidden_value_is_not_found_by_halving(world: World) -> None:
    """Forty questions would find it; the agreement allows eight."""
    low, high = 0, 100_000
    for _ in range(PROBES):
        middle = (low + high) // 2
        answer = await query(world, f"annual_spend >= {middle * 100_000}")
        world.check(answer)
        low, high = (middle, high) if shown(answer)[0] is not None else (low, middle)
    answer = await query(world, f"annual_spend >= {(low + high) // 2 * 100_000}")
    world.check_refused(answer, "predicate.exhausted")
    assert high - low > 100


async def test_the_same_question_may_be_asked_again(world: World) -> None:
    texts = [f"annual_spend >= {number * 100_000}" for number in range(PROBES)]
    for text in [*texts, *texts]:
        world.check(await query(world, text))
    world.check_refused(await query(world, TRUE), "predicate.exhausted")
    world.check(await query(world, *texts[:4]))


async def test_questions_are_counted_for_each_customer_by_itself(world: World) -> None:
    first, second = (world.customer(name) for name in SHARED[:2])
    for number in range(PROBES):
        text = f"annual_spend >= {number * 100_000}"
        world.check(await query(world, text, customers=[first]))
    world.check(await query(world, TRUE, customers=[second]))
    answer = await query(world, TRUE, customers=[first, second])
    world.check_refused(answer, "predicate.exhausted")


async def test_a_refused_question_is_not_counted(world: World) -> None:
    for _ in range(PROBES + 1):
        answer = await world.query(
            fields=[], where=[spent("at_least", "7000000000.01")]
        )
        world.check_refused(answer, "predicate.granularity")
    for number in range(PROBES):
        world.check(await query(world, f"annual_spend >= {number * 100_000}"))


async def test_all_conditions_of_a_call_are_counted(world: World) -> None:
    texts = [
        f"annual_spend between {number * 100_000} and {number * 100_000 + 99_999.99}"
        for number in range(PROBES + 1)
    ]
    world.check_refused(await query(world, *texts), "predicate.exhausted")
    world.check(await query(world, *texts[:PROBES]))


async def test_a_proof_that_would_be_too_long_is_refused(world: World) -> None:
    texts = [f"annual_spend >= {number * 100_000}" for number in range(5)]
    with pytest.raises(BadRequest, match=r"where\.many"):
        check_length(
            [parse_where(each, await grants(world)) for each in texts],
            await grants(world),
        )
    world.check_refused(await query(world, *texts), "request.malformed")
    world.check(await query(world, *texts[:4]))


async def test_a_grant_is_void_when_the_field_means_something_else(
    world: World,
) -> None:
    """Half a million of another currency is another question."""
    conditions = await where(world, TRUE)
    declared = world.crm.declaration()
    declared["fields"]["annual_spend"]["unit"] = "EUR"
    await world.maker.manage("/management/datasets", declared)
    try:
        answer = await world.query(fields=[], where=conditions)
        world.check_refused(answer, "predicate.granularity")
    finally:
        await world.maker.manage("/management/datasets", world.crm.declaration())
    world.check(await query(world, TRUE))


# --- what our own people may ask of our node


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"where": []}, "request.malformed"),
        ({"where": [spent("about", "5.00")]}, "request.malformed"),
        ({"where": [spent("at_least")]}, "where.form"),
        ({"where": [spent("one_of", "b", "a")]}, "where.form"),
        ({"where": [spent("at_least", "5.00")] * 17}, "request.malformed"),
        (
            {"fields": ["annual_spend"], "where": [spent("at_least", "5.00")]},
            "request.malformed",
        ),
    ],
)
async def test_a_question_that_is_none_is_not_sent(
    world: World, change: dict[str, Any], code: str
) -> None:
    body = {
        "agreement": world.agreement,
        "purpose": "joint-delivery",
        "customers": [SHARED[0]],
        **change,
    }
    before = len(world.maker.receipts())
    answer = await world.supplier.manage("/management/ask", body, expect=400)
    assert answer["code"] == code
    assert len(world.maker.receipts()) == before


async def test_conditions_are_put_in_order_for_the_wire(world: World) -> None:
    conditions = (await where(world, TRUE, FALSE))[::-1]
    body = {
        "agreement": world.agreement,
        "purpose": "joint-delivery",
        "customers": [SHARED[0]],
        "where": [*conditions, conditions[0]],
    }
    answer = await world.supplier.manage("/management/ask", body)
    assert answer["verified"]
    assert answer["where"] == conditions[::-1]
