"""Plans between companies whose nodes are two processes each, on one PostgreSQL.

A front hands each call to the next process, so the steps of a plan come to different
ones, and so does whatever people ask. One of an asker's processes is killed, and the
other goes on with its jobs; one of a provider's, and the other answers.
"""

import datetime
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.receipts import Receipt, parse_receipt
from node import keeping
from node.adapters.sql import tables as t
from node.adapters.sql.store import engine_for
from node.config import load
from tests.faults.plans import (
    ASKED,
    DRAFTS,
    PRICE,
    SETTINGS,
    Ledger,
    agreed,
    check_result,
    draft,
)
from tests.support.companies import REGIONS
from tests.support.node import postgres_database
from tests.support.several import Place, Several, several

pytestmark = pytest.mark.slow
TOGETHER = {
    "kind": "federated-sum",
    "groups": [{"field": "region", "values": list(REGIONS)}],
    "measure": {"what": "count"},
    "contribution": 2,
    "epsilon_micro": PRICE,
}
ENDED_S = 240
LONG = 20_000
"""Customers that take some seconds to blind."""
ROUNDS = 4


@dataclass
class World:
    """An asker and a maker of two processes each, and two makers of one."""

    made: Several
    urls: dict[str, str]
    agreements: dict[str, str]

    def ask(
        self,
        kind: str,
        number: int | None = None,
        agreement: str | None = None,
        **more: Any,
    ) -> str:
        """Ask one of the asker's processes, or any; return the job."""
        asked = draft(kind, agreement or self.agreements["maker"], **more)
        begun = self.made.desk("asker", number).post("/management/aggregates", asked)
        return str(begun["job"])

    def job(self, job: str, number: int | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self.made.desk("asker", number).get(
            f"/management/jobs/{job}"
        )
        return found

    def ended(self, job: str, number: int | None = None) -> dict[str, Any]:
        until(lambda: self.job(job, number)["state"] != "running")
        return self.job(job, number)

    def spent(self, agreement: str) -> int:
        report = self.made.desk("maker").get("/audit/budget")
        [item] = [each for each in report["items"] if each["agreement"] == agreement]
        return int(item["spent"])

    @contextmanager
    def store(self, key: str) -> Iterator[sa.Engine]:
        engine = engine_for(self.urls[key])
        try:
            yield engine
        finally:
            engine.dispose()

    def receipts(self) -> list[Receipt]:
        """Return the maker's receipts of steps, in order."""
        c = t.receipts.c
        with self.store("maker") as engine, engine.connect() as connection:
            rows = connection.execute(sa.select(c.core).order_by(c.sequence)).all()
        return [parse_receipt(json.loads(row.core)) for row in rows]

    def steps(self, plan: str) -> list[tuple[str, str, int]]:
        """Return what receipts say of a plan, in order."""
        return [
            (each.step or "", each.decision, each.spent)
            for each in self.receipts()
            if each.plan == plan
        ]


def until(ready: Callable[[], Any], seconds: float = ENDED_S) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        urls = {
            key: stack.enter_context(postgres_database()) for key in ("maker", "asker")
        }
        places = {
            key: Place(processes=2, database=url) for key, url in urls.items()
        } | {"east": Place(), "west": Place()}
        folder: Path = tmp_path_factory.mktemp("several")
        made = stack.enter_context(several(folder, places, settings=SETTINGS))
        agreements = {key: agreed(made, key) for key in ("maker", "east", "west")}
        yield World(made, urls, agreements)


STEPS = {
    "C": ["table", "open"],
    "R": ["rows", "open"],
    "flip": ["apply"],
    "intersection": ["commit", "exchange"],
    "joint-sum": ["commit", "exchange", "finish"],
}


@pytest.mark.parametrize("kind", [*DRAFTS])
def test_steps_that_come_to_two_processes_make_one_plan(
    world: World, kind: str
) -> None:
    before = Counter(world.made.fronts["maker"].served)
    charged = world.spent(world.agreements["maker"])
    begun = world.ask(kind)
    job = world.ended(begun)
    assert job["state"] == "done", job["error"]
    check_result(kind, job["result"])
    price = DRAFTS[kind].get("epsilon_micro", 0)
    plan = job["result"]["plan"]
    told = world.steps(plan)
    assert [step for step, _, _ in told] == STEPS[kind]
    assert sum(spent for _, _, spent in told) == price
    assert world.spent(world.agreements["maker"]) == charged + price
    both = Counter(world.made.fronts["maker"].served) - before
    assert len(both) == 2  # each of them was asked something meanwhile
    for number in range(2):
        seen = world.made.desk("maker", number).get("/management/jobs")["items"]
        assert ("done", "provider") in {
            (each["state"], each["role"]) for each in seen if each["plan"] == plan
        }
        assert world.job(begun, number)["result"] == job["result"]


def test_a_federated_sum_takes_a_row_of_a_company_of_two_processes(
    world: World,
) -> None:
    charged = world.spent(world.agreements["maker"])
    begun = world.made.desk("asker").post(
        "/management/aggregates",
        {
            "agreements": [*world.agreements.values()],
            "purpose": "quality-analysis",
            **TOGETHER,
        },
    )
    job = world.ended(begun["job"])
    assert job["state"] == "done", job["error"]
    assert len(job["result"]["cells"]) == len(REGIONS)
    told = world.steps(job["result"]["plan"])
    assert [step for step, _, _ in told] == ["accept", "contribute"]
    assert sum(spent for _, _, spent in told) == PRICE
    assert world.spent(world.agreements["maker"]) == charged + PRICE


# --- who is killed, and who goes on


@contextmanager
def down(world: World, key: str, number: int) -> Iterator[None]:
    """Be without a process for a while: it is killed, and started again."""
    world.made.kill(key, number)
    try:
        yield
    finally:
        world.made.start(key, number)
        world.made.await_ready(key, number)


def check_sum(world: World, job: dict[str, Any], agreement: str) -> None:
    """Check a joint sum that went on after a kill: right, charged and told once."""
    assert job["state"] == "done", job["error"]
    check_result("joint-sum", job["result"])
    told = world.steps(job["result"]["plan"])
    allowed = [step for step, decision, _ in told if decision == "allow"]
    assert sorted(set(allowed), key=allowed.index) == STEPS["joint-sum"]
    # The one that was under way may have been asked again, and no other.
    assert len(allowed) <= len(STEPS["joint-sum"]) + 1
    price = DRAFTS["joint-sum"]["epsilon_micro"]
    assert [spent for _, _, spent in told if spent] == [price]
    assert world.spent(agreement) == price


def long(world: World) -> tuple[str, dict[str, Any]]:
    """Return an agreement of its own, and what makes a joint sum take a while."""
    agreement = agreed(world.made, match_size=LONG)
    others = [f"VIN-Y-{number:05}" for number in range(LONG - len(ASKED))]
    return agreement, {"agreement": agreement, "customers": [*ASKED, *others]}


def test_another_process_goes_on_with_the_jobs_of_one_that_was_killed(
    world: World,
) -> None:
    agreement, more = long(world)
    job = world.ask("joint-sum", 0, **more)
    until(lambda: world.job(job, 1)["stage"])  # from there, too, it is seen
    with down(world, "asker", 0):
        ended = world.ended(job, 1)
        check_sum(world, ended, agreement)
    assert world.job(job, 0) == ended


def test_a_provider_of_two_processes_answers_though_one_is_killed(
    world: World,
) -> None:
    agreement, more = long(world)
    job = world.ask("joint-sum", **more)
    until(lambda: world.made.desk("maker", 1).get("/management/jobs")["items"])
    until(lambda: world.job(job)["stage"])
    with down(world, "maker", 0):
        check_sum(world, world.ended(job), agreement)


def test_a_job_is_cancelled_by_a_process_that_does_not_work_on_it(
    world: World,
) -> None:
    agreement, more = long(world)
    job = world.ask("joint-sum", 0, **more)
    until(lambda: world.job(job, 1)["stage"])
    ended = world.made.desk("asker", 1).post(f"/management/jobs/{job}/cancel", {})
    assert ended["state"] == "cancelled"
    time.sleep(2)
    for number in range(2):
        found = world.job(job, number)
        assert (found["state"], found["result"]) == ("cancelled", None)
    under = [each for each in world.receipts() if each.agreement == agreement]
    assert "finish" not in {each.step for each in under}


# --- two at once


def both(world: World, agreement: str, *drafts: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask for two figures at once, each of another of the asker's processes."""
    with ThreadPoolExecutor(len(drafts)) as pool:
        begun = pool.map(
            lambda each: world.ask("C", each[0], agreement, **each[1]),
            enumerate(drafts),
        )
        return [world.ended(job) for job in begun]


def within_one_day() -> None:
    """Wait for the next day (UTC) where this one has no two minutes left."""
    now = datetime.datetime.now(datetime.UTC)
    left = datetime.timedelta(minutes=2)
    if (now + left).date() != now.date():
        time.sleep(left.total_seconds())


CODED = {"groups": DRAFTS["C"]["groups"][1:]}
PLACED = {"groups": DRAFTS["C"]["groups"][:1]}
NARROWER = {"filters": [{"fields": ["region"], "is": "one_of", "values": [*REGIONS]}]}


@pytest.mark.parametrize(
    ("allowance", "code"),
    [
        ({"epsilon_micro": PRICE * 3 // 2}, "budget.exhausted"),
        ({"plans_per_day": 1, "period": "day"}, "plans.exceeded"),
    ],
)
@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_two_plans_at_once_that_together_exceed_a_cap_one_is_answered(
    world: World, allowance: dict[str, Any], code: str, _round: int
) -> None:
    within_one_day()
    agreement = agreed(world.made, **allowance)
    ended = both(world, agreement, CODED, PLACED)
    assert sorted(each["state"] for each in ended) == ["done", "failed"], ended
    [refused] = [each for each in ended if each["state"] == "failed"]
    assert refused["error"]["code"] == code
    assert world.spent(agreement) == PRICE


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_of_two_plans_at_once_of_which_one_narrows_the_other_one_is_answered_at_most(
    world: World, _round: int
) -> None:
    """Where each sees the other's charge, both are refused, and pay nothing."""
    agreement = agreed(world.made)
    ended = both(world, agreement, {}, NARROWER)
    told = [each for each in ended if each["state"] == "done"]
    assert len(told) <= 1
    codes = {each["error"]["code"] for each in ended if each not in told}
    assert codes == {"plan.narrowing"}
    assert world.spent(agreement) == PRICE * len(told)


def test_the_stores_are_whole_after_all_of_this(world: World) -> None:
    with world.store("maker") as engine:
        Ledger().look(engine)
    for key in ("maker", "asker"):
        settings = load(world.made.folder(key) / "node.yaml")
        with keeping.checking(settings, ask_chain=False, progress=lambda *_: None) as (
            _,
            found,
        ):
            assert list(found) == []
