"""Disclose, through the API: every refusal with its receipt, and what is shown.

Each test makes an agreement of its own under one running consortium.
"""

import asyncio
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from crypto.encoding import b64u
from ledger.receipts import request_hash
from node.adapters.policy.question import input_hash
from node.domain.denials import DENIALS
from node.domain.disclosure import Caller, Company, Request, Situation
from node.domain.question import question
from tests.support.companies import OF_PLANS
from tests.support.node import (
    SHARED,
    START,
    World,
    check_log,
    check_streams,
    crm,
    open_world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLANS = {
    *("plan", "plans", "aggregate", "matching", "cohort", "parties", "budget"),
    *("roster", "round", "ciphertext", "points", "result", "commitment"),
    *("parameters", "key"),
}
NOT_HERE = {
    **{code: "test_tokens" for code in DENIALS if code.startswith("token.")},
    **{code: "test_policy_faults" for code in DENIALS if code.startswith("policy.")},
    "field.grade": "no declaration lets it happen; the policies' own tests have it",
    **{code: "test_hidden_fields" for code in DENIALS if code.startswith("predicate.")},
    **{
        code: "plans: tests/policies/test_plans, and the tests of each kind"
        for code in DENIALS
        if code.split(".")[0] in PLANS
    },
    "request.malformed": "test_hidden_fields: more than fits into one proof",
    "snapshot.pending": "test_races",
    "stream.diverged": "test_acknowledging",
    "countersignature.wrong": "test_acknowledging",
    "receipts.unacknowledged": "test_acknowledging",
    **{code: "test_aggregate_refusals" for code in DENIALS if code in OF_PLANS},
}
"""Codes that are not met here, and why."""
MET = {
    "nonce.replayed",
    "agreement.unknown",
    "agreement.not_party",
    "agreement.suspended",
    "agreement.revoked",
    "agreement.not_yet_valid",
    "agreement.expired",
    "dataset.mismatch",
    "purpose.mismatch",
    "field.not_granted",
    "field.mode",
    "field.withheld",
    "partner.refused",
    "rate.exceeded",
    "rows.exceeded",
    "customer.not_shared",
    "source.unavailable",
}


async def test_every_denial_code_is_met_end_to_end() -> None:
    assert MET.isdisjoint(NOT_HERE)
    assert set(DENIALS) == MET | set(NOT_HERE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("world")) as world:
        yield world
        await world.maker.services.keep_log.integrate()
        receipts = world.maker.receipts()
        check_streams(receipts, world.maker.me)
        assert check_log(world.maker.database, world.maker.me) == len(receipts)


@pytest_asyncio.fixture(loop_scope="module")
async def world(one: World) -> AsyncIterator[World]:
    """The world with a new agreement, at its usual time."""
    one.clock.at = START
    one.agreement = await one.agree()
    yield one
    one.clock.at = START


# --- allowed ----------------------------------------------------------------


async def test_an_allowed_call_shows_the_granted_fields_of_shared_customers(
    world: World,
) -> None:
    tokens = [world.customer(name) for name in SHARED]
    fields = ["delivered", "expected_acceptance_date", "project_stage", "units"]
    answer = await world.query(customers=tokens, fields=fields)
    receipt = world.check(answer)
    rows = world.crm.rows
    expected = [
        [
            {
                "project_stage": row["stage"],
                "expected_acceptance_date": row["acceptance"],
                "units": row["units"],
                "delivered": bool(row["delivered"]),
            }
            for row in sorted(rows, key=lambda row: row["project_id"])
            if row["customer"] == name
        ]
        for name in SHARED
    ]
    assert answer.values == expected
    assert (receipt.records, receipt.customers) == (4, 3)
    assert receipt.request_hash == request_hash("projects", answer.asked)


async def test_the_order_of_the_answer_is_the_order_of_the_question(
    world: World,
) -> None:
    names = [
        SHARED[2],
        world.crm.unshared[0],
        SHARED[0],
        "nobody's customer",
        SHARED[1],
    ]
    answer = await world.query(customers=[world.customer(name) for name in names])
    world.check(answer)
    told = [each["customer"] for each in answer.body["disclosures"]]
    assert told == answer.asked["customers"]
    assert [None if each is None else len(each) for each in answer.values] == [
        1, None, 2, None, 1,
    ]  # fmt: skip


async def test_a_decision_can_be_made_again_from_its_receipt(world: World) -> None:
    answer = await world.query()
    receipt = world.check(answer)
    kept = await world.maker.services.store.read(
        lambda view: (
            view.agreements.get(world.agreement),
            view.datasets.get("projects"),
        )
    )
    agreement, publication = kept
    assert agreement is not None
    assert publication is not None
    asked = question(
        request=Request.from_body("projects", answer.asked),
        caller=Caller(did=world.supplier.did, problem="", nonce=receipt.nonce),
        situation=Situation(
            agreement=agreement.agreement,
            status=agreement.status,
            calls_this_hour=0,
            nonce_seen=False,
        ),
        dataset=publication.dataset,
        company=Company(max_unacknowledged=1_000_000),
        node=world.maker.did,
        now=int(START.timestamp()),
    )
    assert receipt.policy.input_hash == input_hash(asked)
    assert receipt.agreement_hash == agreement.agreement.hash


# --- refused ----------------------------------------------------------------


async def test_a_nonce_is_good_for_one_call(world: World) -> None:
    nonce = b64u(b"once".ljust(32))
    world.check(await world.query(nonce=nonce))
    world.check_refused(await world.query(nonce=nonce), "nonce.replayed", consumer=None)
    world.clock.advance(minutes=9)
    world.check_refused(await world.query(nonce=nonce), "nonce.replayed", consumer=None)


async def test_a_nonce_of_a_refused_call_is_used_up_too(world: World) -> None:
    nonce = b64u(b"refused".ljust(32))
    refused = await world.query(nonce=nonce, purpose="curiosity")
    world.check_refused(refused, "purpose.mismatch")
    world.check_refused(await world.query(nonce=nonce), "nonce.replayed", consumer=None)


async def test_two_companies_may_choose_the_same_nonce(world: World) -> None:
    nonce = b64u(b"both".ljust(32))
    other = await world.query(nonce=nonce, caller=world.charger)
    world.check_refused(other, "agreement.not_party", consumer=world.charger.did)
    world.check(await world.query(nonce=nonce))


async def test_a_stranger_to_the_agreement_learns_nothing_of_its_state(
    world: World,
) -> None:
    await status(world, "revoked")
    answer = await world.query(caller=world.charger, fields=["contact_phone"])
    receipt = world.check_refused(
        answer, "agreement.not_party", consumer=world.charger.did
    )
    assert receipt.agreement_hash is None


async def test_an_agreement_that_nobody_made_is_unknown(world: World) -> None:
    other = "urn:uuid:00000000-0000-4000-8000-000000000000"
    answer = await world.query(agreement=other, customers=[b64u(bytes(32))])
    world.check_refused(answer, "agreement.unknown")


async def status(world: World, to: str) -> None:
    path = f"/management/agreements/{world.agreement}/status"
    await world.maker.manage(path, {"status": to})


@pytest.mark.parametrize("to", ["suspended", "revoked"])
async def test_a_withdrawal_holds_from_the_next_call_on(world: World, to: str) -> None:
    world.check(await world.query())
    await status(world, to)
    world.check_refused(await world.query(), f"agreement.{to}")


async def test_a_suspension_can_be_lifted_and_a_revocation_not(world: World) -> None:
    await status(world, "suspended")
    await status(world, "active")
    world.check(await world.query())
    await status(world, "revoked")
    path = f"/management/agreements/{world.agreement}/status"
    for to in ("active", "suspended"):
        answer = await world.maker.manage(path, {"status": to}, expect=409)
        assert answer["code"] == "agreement.revoked"
    world.check_refused(await world.query(), "agreement.revoked")


async def test_a_consumer_cannot_suspend_what_its_provider_grants(world: World) -> None:
    path = f"/management/agreements/{world.agreement}/status"
    answer = await world.supplier.manage(path, {"status": "suspended"}, expect=409)
    assert answer["code"] == "agreement.not_provider"
    world.check(await world.query())


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("2026-10-31T23:59:59Z", "agreement.not_yet_valid"),
        ("2026-11-01T00:00:00Z", None),
        ("2027-04-30T23:59:59Z", None),
        ("2027-05-01T00:00:00Z", "agreement.expired"),
        ("2030-01-01T00:00:00Z", "agreement.expired"),
    ],
)
async def test_an_agreement_holds_from_its_first_second_to_before_its_last(
    world: World, moment: str, code: str | None
) -> None:
    world.clock.at = at(moment)
    answer = await world.query()
    if code is None:
        world.check(answer)
    else:
        world.check_refused(answer, code)


async def test_a_dataset_that_the_agreement_does_not_name_is_refused(
    world: World,
) -> None:
    await world.maker.manage("/management/datasets", world.crm.declaration("others"))
    for dataset in ("others", "no-such-dataset", "d" * 128):
        answer = await world.query(dataset=dataset)
        world.check_refused(answer, "dataset.mismatch")


async def test_another_purpose_is_refused(world: World) -> None:
    answer = await world.query(purpose="service-quality")
    world.check_refused(answer, "purpose.mismatch")


@pytest.mark.parametrize("name", ["contact_phone", "rating", "note", "no_such_field"])
async def test_a_field_that_is_not_granted_refuses_the_whole_call(
    world: World, name: str
) -> None:
    answer = await world.query(fields=sorted([name, "project_stage"]))
    receipt = world.check_refused(answer, "field.not_granted")
    assert answer.body["denied_fields"] == [name]
    assert receipt.fields == tuple(sorted([name, "project_stage"]))


async def test_a_field_there_is_and_one_there_is_not_are_refused_alike(
    world: World,
) -> None:
    there = await world.query(fields=["rating"])
    gone = await world.query(fields=["ratinx"])
    assert len(there.octets) == len(gone.octets)


async def test_a_field_granted_as_a_proof_is_not_shown(world: World) -> None:
    answer = await world.query(fields=["annual_spend"])
    world.check_refused(answer, "field.mode")


async def test_all_that_is_wrong_is_said_at_once(world: World) -> None:
    answer = await world.query(fields=["annual_spend", "rating"], purpose="other")
    world.check_refused(answer, "field.mode", "field.not_granted", "purpose.mismatch")


async def test_the_rate_cap_is_exact_and_starts_anew_each_hour(world: World) -> None:
    world.agreement = await world.agree(calls_per_hour=3)
    for _ in range(3):
        world.check(await world.query())
    for _ in range(2):
        world.check_refused(await world.query(), "rate.exceeded")
    world.clock.at = at("2026-11-22T18:59:59Z")
    world.check_refused(await world.query(), "rate.exceeded")
    world.clock.at = at("2026-11-22T19:00:00Z")
    for _ in range(3):
        world.check(await world.query())
    world.check_refused(await world.query(), "rate.exceeded")


async def test_a_refused_call_does_not_use_up_the_rate(world: World) -> None:
    world.agreement = await world.agree(calls_per_hour=1)
    for _ in range(3):
        world.check_refused(await world.query(fields=["rating"]), "field.not_granted")
        gone = await world.query(customers=[world.customer("nobody")])
        world.check_refused(gone, "customer.not_shared")
    world.check(await world.query())
    world.check_refused(await world.query(), "rate.exceeded")


async def test_more_customers_than_the_row_cap_are_refused(world: World) -> None:
    world.agreement = await world.agree(rows_per_call=2)
    two = [world.customer(name) for name in SHARED[1:]]
    world.check(await world.query(customers=two))
    three = [*two, world.customer("nobody")]
    world.check_refused(await world.query(customers=three), "rows.exceeded")


async def test_more_records_than_the_row_cap_are_refused(world: World) -> None:
    world.agreement = await world.agree(rows_per_call=1)
    world.check(await world.query(customers=[world.customer(SHARED[1])]))
    two_projects = await world.query(customers=[world.customer(SHARED[0])])
    world.check_refused(two_projects, "rows.exceeded")


async def test_unknown_and_unshared_customers_are_refused_alike(world: World) -> None:
    unshared = await world.query(customers=[world.customer(world.crm.unshared[0])])
    nobody = await world.query(customers=[world.customer("nobody's")])
    for answer in (unshared, nobody):
        world.check_refused(answer, "customer.not_shared")
    assert len(unshared.octets) == len(nobody.octets)


async def test_a_customer_of_the_consumer_alone_is_not_shared(world: World) -> None:
    world.agreement = await world.agree(align=False)
    await world.align(world.agreement, [*SHARED[:1], "the supplier's own"])
    own = await world.query(customers=[world.customer("the supplier's own")])
    world.check_refused(own, "customer.not_shared")
    undeclared = await world.query(customers=[world.customer(SHARED[1])])
    world.check_refused(undeclared, "customer.not_shared")


async def test_tokens_of_one_agreement_mean_nothing_under_another(
    world: World,
) -> None:
    first, second = world.agreement, await world.agree()
    answer = await world.query(
        agreement=second, customers=[world.customer(SHARED[0], first)]
    )
    world.check_refused(answer, "customer.not_shared")


# --- what is no query -------------------------------------------------------

SPENT = {"fields": ["annual_spend"], "is": "at_least", "values": ["500000.00"]}


@pytest.mark.parametrize(
    "change",
    [
        {"fields": []},
        {"where": None},
        {"where": {}},
        {"where": [SPENT, SPENT]},
        {"where": [SPENT, SPENT | {"fields": ["annual_rent"]}]},
        {"where": [SPENT] * 17},
        {"where": [SPENT | {"fields": ["project_stage"]}]},
        {"where": [SPENT | {"fields": []}]},
        {"where": [SPENT | {"fields": ["a", "b"]}]},
        {"where": [SPENT | {"fields": ["A"]}]},
        {"where": [SPENT | {"is": "about"}]},
        {"where": [SPENT | {"is": "between"}]},
        {"where": [SPENT | {"is": "one_of"}]},
        {"where": [SPENT | {"is": "one_of", "values": ["b", "a"]}]},
        {"where": [SPENT | {"is": "one_of", "values": [1, True]}]},
        {"where": [SPENT | {"is": "equal", "values": []}]},
        {"where": [SPENT | {"values": []}]},
        {"where": [SPENT | {"values": [None]}]},
        {"where": [SPENT | {"values": [0.5]}]},
        {"where": [SPENT | {"values": [True]}]},
        {"where": [SPENT | {"values": [2**53]}]},
        {"where": [SPENT | {"more": 1}]},
        {"where": [{"fields": ["annual_spend"], "is": "at_least"}]},
        {"fields": ["b", "a"]},
        {"fields": ["a", "a"]},
        {"fields": ["A"]},
        {"fields": "a"},
        {"fields": [1]},
        {"fields": [f"f{n}" for n in range(65)]},
        {"fields": None},
        {"customers": []},
        {"customers": ["short"]},
        {"customers": ["A" * 43, "A" * 43]},
        {"customers": ["_" * 43]},
        {"customers": ["A" * 43 + "="]},
        {"customers": ["A" * 43] * 10_001},
        {"agreement": ""},
        {"agreement": "a" * 129},
        {"agreement": "a b"},
        {"agreement": "a\n"},
        {"agreement": 7},
        {"agreement": None},
        {"purpose": "\x00"},
        {"purpose": "é"},
        {"purpose": ["joint-delivery"]},
        {"more": 1},
        {"dataset": "projects"},
    ],
)
async def test_a_body_that_is_no_query_is_refused_before_anything_is_decided(
    world: World, change: dict[str, Any]
) -> None:
    before = len(world.maker.receipts())
    body = {
        "agreement": world.agreement,
        "purpose": "joint-delivery",
        "fields": ["project_stage"],
        "customers": ["A" * 43],
        "where": [],
    }
    response = await world.maker.client.post(
        "/views/projects/query", json=body | change
    )
    assert response.status_code == 400
    assert response.json()["code"] == "request.malformed"
    assert len(world.maker.receipts()) == before


@pytest.mark.parametrize(
    "name", ["agreement", "purpose", "fields", "customers", "where"]
)
async def test_a_query_without_one_of_its_members_is_refused(
    world: World, name: str
) -> None:
    body = world.body()
    del body[name]
    response = await world.maker.client.post("/views/projects/query", json=body)
    assert response.status_code == 400
    assert response.json()["code"] == "request.malformed"


# --- the CRM moves on -------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def moving(world: World, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose CRM can be written to: each test has its own."""
    before, world.crm = world.crm, crm(tmp_path / "crm.sqlite")
    since = len(world.wire.exchanges)
    await world.maker.manage("/management/datasets", world.crm.declaration())
    yield world
    assert world.spilled(since=since) == []
    world.crm = before
    await world.maker.manage("/management/datasets", world.crm.declaration())


@pytest.fixture
def record(moving: World) -> dict[str, Any]:
    """The only project of the second customer."""
    return next(row for row in moving.crm.rows if row["customer"] == SHARED[1])


async def second(world: World, **changes: Any) -> Any:
    changes.setdefault("customers", [world.customer(SHARED[1])])
    return await world.query(**changes)


async def test_a_value_that_changed_since_publication_is_committed_to_anew(
    moving: World, record: dict[str, Any]
) -> None:
    moving.check(await second(moving))
    moving.crm.write(
        "UPDATE projects SET stage = ? WHERE project_id = ?",
        "Handed over",
        record["project_id"],
    )
    for _ in range(2):
        answer = await second(moving)
        moving.check(answer)
        assert answer.values[0][0]["project_stage"] == "Handed over"


async def test_a_value_that_was_emptied_is_shown_as_missing(
    moving: World, record: dict[str, Any]
) -> None:
    moving.crm.write(
        "UPDATE projects SET stage = NULL WHERE project_id = ?", record["project_id"]
    )
    answer = await second(moving)
    moving.check(answer)
    assert answer.values[0][0]["project_stage"] is None


async def test_a_value_that_no_longer_fits_its_type_is_not_shown(
    moving: World, record: dict[str, Any]
) -> None:
    moving.crm.write(
        "UPDATE projects SET acceptance = 'soon' WHERE project_id = ?",
        record["project_id"],
    )
    for fields in (["expected_acceptance_date"], ["project_stage"]):
        answer = await second(moving, fields=fields)
        moving.check_refused(answer, "customer.not_shared")


async def test_a_changed_record_with_another_value_unfit_is_not_shown(
    moving: World, record: dict[str, Any]
) -> None:
    moving.crm.write(
        "UPDATE projects SET stage = 'New', spend = 'much' WHERE project_id = ?",
        record["project_id"],
    )
    answer = await second(moving, fields=["project_stage"])
    moving.check_refused(answer, "customer.not_shared")


async def test_a_deleted_record_is_not_shown(
    moving: World, record: dict[str, Any]
) -> None:
    moving.crm.write("DELETE FROM projects WHERE project_id = ?", record["project_id"])
    moving.check_refused(await second(moving), "customer.not_shared")


async def test_a_record_that_moved_to_another_customer_is_not_shown(
    moving: World, record: dict[str, Any]
) -> None:
    moving.crm.write(
        "UPDATE projects SET customer = ?, stage = ? WHERE project_id = ?",
        moving.crm.unshared[0],
        "of somebody you do not share",
        record["project_id"],
    )
    moving.check_refused(await second(moving), "customer.not_shared")


async def test_a_record_that_moved_between_shared_customers_waits_for_publication(
    moving: World, record: dict[str, Any]
) -> None:
    moving.crm.write(
        "UPDATE projects SET customer = ? WHERE project_id = ?",
        SHARED[2],
        record["project_id"],
    )
    both = [moving.customer(name) for name in SHARED[1:]]
    answer = await moving.query(customers=both)
    moving.check(answer)
    assert [each if each is None else len(each) for each in answer.values] == [None, 1]
    await moving.maker.manage("/management/datasets", moving.crm.declaration())
    answer = await moving.query(customers=both)
    moving.check(answer)
    assert [each if each is None else len(each) for each in answer.values] == [None, 2]


async def test_a_record_key_that_now_names_two_rows_is_not_shown(
    moving: World, record: dict[str, Any]
) -> None:
    moving.crm.write(
        "INSERT INTO projects SELECT * FROM projects WHERE project_id = ?",
        record["project_id"],
    )
    moving.check_refused(await second(moving), "customer.not_shared")


async def test_a_crm_that_is_gone_is_a_refusal_with_a_receipt(moving: World) -> None:
    moving.crm.write("ALTER TABLE projects RENAME TO elsewhere")
    answer = await second(moving)
    moving.check_refused(answer, "source.unavailable", status=503)
    moving.crm.write("ALTER TABLE elsewhere RENAME TO projects")
    moving.check(await second(moving))


_FOR_EVER = """
CREATE VIEW projects AS SELECT * FROM elsewhere WHERE (
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000000)
    SELECT max(x) FROM n) > 0
"""


async def test_a_crm_that_is_slow_is_a_refusal_in_time_and_holds_up_nobody(
    moving: World,
) -> None:
    held_up = True
    for timeout_s in (0.4, 4.0, 30.0):  # this machine may be slow, too
        body = moving.crm.declaration()
        body["source"]["timeout_s"] = timeout_s
        await moving.maker.manage("/management/datasets", body)
        moving.crm.write("ALTER TABLE projects RENAME TO elsewhere")
        moving.crm.write(_FOR_EVER)
        slow = [asyncio.create_task(second(moving)) for _ in range(3)]
        await asyncio.sleep(timeout_s / 4)
        nobody = await moving.query(customers=[moving.customer("nobody")])
        moving.check_refused(nobody, "customer.not_shared")
        held_up = any(task.done() for task in slow)
        for answer in await asyncio.gather(*slow):
            moving.check_refused(answer, "source.unavailable", status=503)
        moving.crm.write("DROP VIEW projects")
        moving.crm.write("ALTER TABLE elsewhere RENAME TO projects")
        moving.check(await second(moving))
        if not held_up:
            break
    assert not held_up


async def test_a_partner_that_left_the_registry_does_not_stop_a_publication(
    moving: World,
) -> None:
    registry = moving.folder / "participants.json"
    whole = registry.read_text()
    others = [r for r in json.loads(whole) if r["did"] != moving.supplier.did]
    registry.write_text(json.dumps(others))
    try:
        await moving.maker.manage("/management/datasets", moving.crm.declaration())
        answer = await moving.query(token="x.y.z")
        assert answer.code == "token.malformed"
    finally:
        registry.write_text(whole)
    moving.check(await second(moving))


# --- the company's own narrowing --------------------------------------------


async def test_the_company_can_withhold_what_an_agreement_grants(
    tmp_path: Path,
) -> None:
    settings = "company: {denied_fields: [project_stage], max_rows: 2}\n"
    async with open_world(tmp_path, settings=settings) as world:
        withheld = await world.query()
        world.check_refused(withheld, "field.withheld")
        assert withheld.body["denied_fields"] == ["project_stage"]
        fields = ["expected_acceptance_date"]
        world.check(await world.query(fields=fields))
        three = [world.customer(name) for name in SHARED]
        many = await world.query(fields=fields, customers=three)
        world.check_refused(many, "rows.exceeded")
        records = await world.query(fields=fields, customers=three[:2])
        world.check_refused(records, "rows.exceeded")


async def test_the_company_can_refuse_a_partner(tmp_path: Path) -> None:
    settings = 'company: {denied_partners: ["did:web:127.0.0.1%3A8102"]}\n'
    async with open_world(tmp_path, settings=settings) as world:
        world.check_refused(await world.query(), "partner.refused")


# --- the other direction ----------------------------------------------------


async def test_the_consumers_node_verifies_keeps_and_countersigns(
    world: World,
) -> None:
    asked = {
        "agreement": world.agreement,
        "purpose": "joint-delivery",
        "fields": ["project_stage"],
        "customers": [SHARED[1], "nobody's"],
    }
    answer = await world.supplier.manage("/management/ask", asked)
    assert (answer["allowed"], answer["verified"]) == (True, True)
    assert answer["customers"] == {
        SHARED[1]: [{"fields": {"project_stage": "Stage 2"}, "proved": True}],
        "nobody's": None,
    }
    await world.supplier.services.countersign.deliver()
    entry = await world.maker.services.store.read(
        lambda view: view.receipts.entry(answer["receipt"])
    )
    assert entry is not None
    assert entry.countersignature is not None
    refused = await world.supplier.manage(
        "/management/ask", asked | {"fields": ["contact_phone"]}
    )
    assert (refused["allowed"], refused["verified"]) == (False, True)
    assert [each["code"] for each in refused["denials"]] == ["field.not_granted"]
