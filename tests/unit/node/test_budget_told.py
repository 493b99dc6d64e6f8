"""What people are told of budgets: by the API, and in words on the command line."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner, Result

from ledger.plans import Plan, sign_plan
from ledger.receipts import sign_receipt, stream_id
from node.adapters.sql.store import SqlStore, SqlUnitOfWork
from node.cli import output
from node.cli.app import app
from node.cli.budget import epsilon
from node.domain.agreement import Agreement, Status
from node.domain.negotiation import Role
from node.ports import KeptAgreement, Received
from node.services.aggregates import budget
from node.services.aggregates.tell_budget import TellBudget
from tests.support.node import FixedClock, open_world
from tests.unit.ledger import planned, samples
from tests.unit.node.test_budget import (
    COMPANY,
    NOW,
    WITHOUT,
    agreement,
    at,
    plan,
    store,
)

__all__ = ["store"]  # a fixture
ME, YOU = samples.PROVIDER, samples.CONSUMER


def kept(agreement: Agreement, role: Role = Role.PROVIDER) -> KeptAgreement:
    return KeptAgreement(
        agreement=agreement, role=role, status=Status.ACTIVE, signatures={}
    )


@pytest.fixture
async def tell(store: SqlStore) -> TellBudget:
    def act(work: SqlUnitOfWork) -> None:
        work.agreements.add(kept(WITHOUT))
        for number in (2, 3):
            work.agreements.add(kept(agreement(number)))
        work.agreements.add(kept(agreement(4, period="always"), Role.CONSUMER))
        assert not budget.reserve(work, plan(250_000), agreement(2), NOW, COMPANY)

    await store.write(act)
    return TellBudget(store=store, clock=FixedClock(NOW), company=COMPANY)


def asking(number: int, cost: int) -> Plan:
    """A plan under an agreement of these tests."""
    party = replace(planned.party(), agreement=f"urn:uuid:{number}")
    return planned.plan(epsilon_micro=cost, parties=(party,))


# --- what is told


async def test_agreements_and_datasets_are_told_with_what_is_left(
    tell: TellBudget,
) -> None:
    found = await tell()
    assert found["at"] == "2026-11-23T12:00:00Z"
    first, second = sorted(found["items"], key=lambda each: str(each["agreement"]))
    assert first == {
        "agreement": "urn:uuid:2",
        "partner": YOU,
        "dataset": "orders",
        "status": "active",
        "period": "quarter",
        "from": "2026-10-01",
        "until": "2027-01-01",
        "cap": 1_000_000,
        "spent": 250_000,
        "left": 750_000,
        "plans_today": 1,
        "plans_per_day": 4,
    }
    assert (second["spent"], second["plans_today"]) == (0, 0)
    assert found["datasets"] == [
        {
            "dataset": "orders",
            "period": "year",
            "from": "2026-01-01",
            "until": "2027-01-01",
            "cap": 2_000_000,
            "spent": 250_000,
            "left": 1_750_000,
        }
    ]


async def test_where_we_ask_the_receipts_of_the_provider_are_added_up(
    tell: TellBudget, store: SqlStore
) -> None:
    (asked,) = (await tell())["asked"]
    assert "plans_today" not in asked
    assert (asked["partner"], asked["from"], asked["until"]) == (ME, None, None)
    assert (asked["spent"], asked["left"]) == (0, 1_000_000)
    ours = agreement(4)
    stream = stream_id(provider=ME, consumer=YOU, agreement=ours.id)
    made = planned.step_receipt(
        planned.signed(asking(4, 300_000)), agreement=ours.id, stream=stream
    )
    signed = sign_receipt(made, samples.PROVIDER_KEY)
    await store.write(
        lambda work: work.receipts.receive(
            Received(signed=signed, at=NOW, verified=True, checks=(), disclosure=None)
        )
    )
    (asked,) = (await tell())["asked"]
    assert (asked["spent"], asked["left"]) == (300_000, 700_000)


async def test_one_partner_can_be_asked_about(tell: TellBudget) -> None:
    found = await tell(YOU)
    assert (len(found["items"]), len(found["asked"])) == (2, 0)
    found = await tell("did:web:nobody")
    assert (found["items"], found["asked"], found["datasets"]) == ([], [], [])


async def test_an_agreement_that_is_over_is_told_as_such(
    tell: TellBudget,
) -> None:
    clock = tell.clock
    assert isinstance(clock, FixedClock)
    clock.at = at("2030-01-01")
    found = await tell()
    assert {each["status"] for each in found["items"]} == {"expired"}
    assert {each["from"] for each in found["items"]} == {"2030-01-01"}
    assert {each["spent"] for each in found["items"]} == {0}


# --- what a plan would cost


@pytest.mark.parametrize(
    ("number", "cost", "denials"),
    [
        (2, 750_000, []),
        (2, 750_001, ["budget.exhausted"]),
        (3, 1_000_000, []),
        (4, 1_000_000, []),
        (4, 1_000_001, ["budget.exhausted"]),
    ],
)
async def test_whether_a_plan_fits_is_told_and_nothing_is_charged(
    tell: TellBudget, number: int, cost: int, denials: list[str]
) -> None:
    before = await tell()
    wanted = asking(number, cost)
    found = await tell.cost(wanted)
    assert found["plan"] == wanted.plan_hash
    (party,) = found["parties"]
    assert (party["cost"], party["fits"], party["denials"]) == (
        cost,
        not denials,
        denials,
    )
    assert await tell() == before


async def test_a_plan_that_has_paid_costs_nothing_more(
    tell: TellBudget, store: SqlStore
) -> None:
    wanted = asking(2, 750_000)
    await store.write(
        lambda work: budget.reserve(work, wanted, agreement(2), NOW, COMPANY)
    )
    (party,) = (await tell.cost(wanted))["parties"]
    assert (party["cost"], party["left"], party["fits"]) == (0, 0, True)
    (party,) = (await tell.cost(asking(2, 1)))["parties"]
    assert party["denials"] == ["budget.exhausted"]


async def test_a_plan_too_many_of_a_day_does_not_fit(
    tell: TellBudget, store: SqlStore
) -> None:
    for _ in range(3):
        await store.write(
            lambda work: budget.reserve(work, plan(1), agreement(2), NOW, COMPANY)
        )
    (party,) = (await tell.cost(asking(2, 1)))["parties"]
    assert (party["fits"], party["denials"]) == (False, ["plans.exceeded"])


@pytest.mark.parametrize("number", [1, 9])
async def test_of_agreements_without_a_budget_nothing_is_told(
    tell: TellBudget, number: int
) -> None:
    assert (await tell.cost(asking(number, 1)))["parties"] == []


# --- over HTTP


async def test_auditors_read_budgets_and_operators_ask_what_a_plan_costs(
    tmp_path: Path,
) -> None:
    async with open_world(
        tmp_path, settings="company: {max_epsilon_micro: 7}"
    ) as world:
        maker = world.maker
        await maker.services.store.write(
            lambda work: work.agreements.add(kept(agreement(2)))
        )
        found = await maker.manage("/audit/budget", expect=200)
        (dataset,) = found["datasets"]
        assert (dataset["cap"], dataset["left"]) == (7, 7)
        assert (await maker.manage(f"/audit/budget?partner={quote(YOU)}"))["items"]
        assert not (await maker.manage("/audit/budget?partner=did:web:x"))["items"]
        await maker.manage("/audit/budget?partner=x", expect=400)

        wanted = asking(2, 8)
        signed = sign_plan(wanted, samples.CONSUMER_KEY)
        for body in (wanted.to_json(), signed.to_json()):
            told = await maker.manage("/management/budget", body, expect=200)
            (party,) = told["parties"]
            assert (party["left"], party["denials"]) == (7, ["budget.exhausted"])
        problem = await maker.manage("/management/budget", {"x": 1}, expect=400)
        assert problem["code"] == "plan.malformed"
        for path in ("/audit/budget", "/management/budget"):
            response = await maker.client.request(
                "GET" if "audit" in path else "POST", path, json={}
            )
            assert response.status_code == 401


# --- on the command line


class Api:
    """A node whose answers are known."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.told = told
        self.asked: list[Any] = []

    def get(self, path: str) -> Any:
        self.asked.append(path)
        return self.told

    def post(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        return self.told


def run(
    api: Api, patch: pytest.MonkeyPatch, *words: str, settings: str = "x.yaml"
) -> Result:
    patch.setattr(output.Management, "of", lambda _: api)
    return CliRunner().invoke(app, ["budget", *words, "--settings", settings])


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (500_000, "0.5"),
        (20_000_000, "20"),
        (20_000_001, "20.000001"),
    ],
)
def test_micro_epsilon_is_written_as_epsilon(micro: int, text: str) -> None:
    assert epsilon(micro) == text


async def test_people_read_budgets_in_epsilon(
    tell: TellBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(await tell())
    ran = run(api, monkeypatch, "did:web:a%3A1")
    assert api.asked == ["/audit/budget?partner=did%3Aweb%3Aa%253A1"]
    assert ran.exit_code == 0
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert lines[0][-4:] == ["epsilon", "spent", "left", "plans today"]
    (item,) = [line for line in lines if line[0] == "urn:uuid:2"]
    assert item[4:] == [
        *("quarter", "2026-10-01", "2027-01-01"),
        *("1", "0.25", "0.75", "1 of 4"),
    ]
    (dataset,) = [line for line in lines if line[0] == "orders"]
    assert dataset[-3:] == ["2", "0.25", "1.75"]
    (asked,) = [line for line in lines if line[0] == "urn:uuid:4"]
    assert asked[4:7] == ["always", "-", "-"]
    assert "receipts tell" in ran.stdout


async def test_programs_read_budgets_as_they_are(
    tell: TellBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await tell()
    api = Api(told)
    assert json.loads(run(api, monkeypatch, "--json").stdout) == told
    assert api.asked == ["/audit/budget"]


def test_a_company_without_aggregates_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Api({"items": [], "asked": [], "datasets": []})
    assert run(api, monkeypatch).stdout == "No agreement allows aggregates.\n"


async def test_people_read_what_a_plan_would_cost(
    tell: TellBudget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = asking(2, 750_001)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(wanted.to_json()), encoding="utf-8")
    api = Api(await tell.cost(wanted))
    ran = run(api, monkeypatch, "--plan", str(file))
    assert api.asked == [("/management/budget", wanted.to_json())]
    assert ran.exit_code == 3
    assert ran.stdout == (
        "✗ urn:uuid:2: costs 0.750001, 0.75 is left: budget.exhausted\n"
    )
    ran = run(Api(await tell.cost(asking(2, 1))), monkeypatch, "--plan", str(file))
    assert (ran.exit_code, ran.stdout[0]) == (0, "✓")
    ran = run(Api(await tell.cost(asking(9, 1))), monkeypatch, "--plan", str(file))
    assert ran.stdout == "None of the plan's agreements is known here.\n"
    ran = run(api, monkeypatch, "--plan", str(file), "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["parties"][0]["fits"]) == (3, False)


@pytest.mark.parametrize("text", [None, "{", "[" * 100_000])
def test_a_file_that_is_no_plan_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "plan.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    api = Api({})
    ran = run(api, monkeypatch, "--plan", str(file))
    assert (ran.exit_code, api.asked) == (1, [])
    assert "plan.unreadable" in ran.stderr


def test_a_plan_and_a_partner_are_not_asked_about_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Api({})
    ran = run(api, monkeypatch, "did:web:a", "--plan", "plan.json")
    assert (ran.exit_code, api.asked) == (2, [])
