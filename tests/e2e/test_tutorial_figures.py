"""The tutorial of figures is run as it stands, over real data, and told the truth.

Two parts, each with nodes of its own. Shell blocks run in order in one bash, in an empty
folder; what they print is compared with the page. Blocks of the kind `figures` hold
noised figures of one run: there, numbers may be others. Before the nodes are stopped,
all that they know of jobs, receipts and budgets is written down. Then each figure is
compared with what DuckDB works out from the same files, which knows nothing of us:
counts without noise exactly, others within what noise exceeds once in 10^12 draws.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crypto.noise import spread
from ledger.plans import parse_signed_plan
from node.domain.noised import Shares
from tests.e2e.test_tutorial import LONGEST_S, PORT, missing, run
from tests.support import REPOSITORY, shared
from tests.support.noise import NEVER
from tests.support.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LONGEST_S + 60)]

PAGE = REPOSITORY / "docs" / "tutorial-figures.md"
BLOCK = re.compile(r"^```(sh|text|figures)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"-?\d[\d,]*(?:\.\d+)?|···")
STOP = "kill $(jobs -p)"
BUSES = "data/nyc-schoolbus-breakdowns"
SHOP = "data/superstore/superstore.csv"
TELL = """
import json, sys
from pathlib import Path
from examples.desk import Desk
from node.config import load

for name in sys.argv[1:]:
    desk = Desk(load(Path(name, "node.yaml")))
    ids = [each["id"] for each in desk.get("/management/jobs")["items"]]
    told = {
        "did": desk.did,
        "jobs": [desk.get(f"/management/jobs/{each}") for each in reversed(ids)],
        "received": desk.get("/audit/received?limit=200")["items"],
        "budget": desk.get("/audit/budget"),
    }
    Path(f"{name}.told.json").write_text(json.dumps(told))
"""

Cells = list[tuple[int, int]]


@dataclass(frozen=True)
class Step:
    """A shell block, and what the page says that it prints."""

    script: str
    kind: str
    expected: str

    def absent(self, printed: str) -> list[str]:
        """Return the lines that were not printed."""
        if self.kind == "figures":
            return missing(FIGURE.sub("#", self.expected), FIGURE.sub("#", printed))
        return missing(self.expected, printed)


@dataclass(frozen=True)
class Walk:
    """A part of the page, after it was walked through.

    Attributes:
        outputs: What each block printed; the last may be missing.
        told: What each company's node knew at the end, by name.
    """

    steps: Sequence[Step]
    outputs: Sequence[str]
    told: Mapping[str, Any]

    def done(self, company: str, kind: str) -> list[Any]:
        """Return jobs that a company asked for and that were answered, in order."""
        return [
            job
            for job in self.told[company]["jobs"]
            if job["role"] == "consumer"
            and (job["kind"], job["state"]) == (kind, "done")
        ]

    def names(self) -> dict[str, str]:
        """Return the names of companies by DID."""
        return {told["did"]: name for name, told in self.told.items()}


def with_free_ports(document: str) -> str:
    """Exchange ports for free ones, in the same order: pairs are told in that of DIDs."""
    wanted = sorted(set(PORT.findall(document)))
    ports = {str(free_port()) for _ in wanted}
    assert len(ports) == len(wanted)
    exchanged = dict(zip(wanted, sorted(ports), strict=True))
    return PORT.sub(lambda found: exchanged[found[0]], document)


def parts() -> list[list[Step]]:
    """Cut the page: a part ends where nodes are stopped."""
    document = with_free_ports(PAGE.read_text(encoding="utf-8"))
    blocks = [*BLOCK.findall(document), ("sh", "")]
    found: list[list[Step]] = [[]]
    for (kind, text), (after, expected) in pairwise(blocks):
        if kind == "sh":
            step = Step(text, after, "" if after == "sh" else expected)
            found[-1].append(step)
            if text.startswith(STOP):
                found.append([])
    return found[:-1]


def walked(steps: Sequence[Step], folder: Path, *companies: str) -> Walk:
    """Run a part; before nodes are stopped, have them tell what they know."""
    (folder / "tell.py").write_text(TELL)
    script = f"export FIELDPACT='{REPOSITORY}' DATA='{shared('data')}'\n"
    for at, step in enumerate(steps):
        if step.script.startswith(STOP):
            script += f"python tell.py {' '.join(companies)}\n"
        script += f"{step.script}\necho '=== end of {at}'\n"
    *outputs, rest = re.split(r"=== end of \d+\n", run(script, folder))
    assert len(outputs) == len(steps), f"this ended the script: {rest}"
    files = {name: folder / f"{name}.told.json" for name in companies}
    told = {name: json.loads(file.read_text()) for name, file in files.items()}
    return Walk(steps, outputs, told)


@pytest.fixture(scope="module")
def buses(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    shared(BUSES)
    folder = tmp_path_factory.mktemp("buses")
    return walked(parts()[0], folder, "operator", "city")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    shared(SHOP)
    folder = tmp_path_factory.mktemp("shop")
    return walked(parts()[1], folder, *COMPANIES, "research")


def queried(statement: str) -> list[Any]:
    with duckdb.connect() as database:
        return database.execute(statement).fetchall()


# --- what is printed


def check_printed(walk: Walk) -> None:
    for step, output in zip(walk.steps, walk.outputs, strict=True):
        assert step.absent(output) == [], output


def test_the_buses_blocks_print_what_the_page_says(buses: Walk) -> None:
    check_printed(buses)


def test_the_shops_blocks_print_what_the_page_says(shop: Walk) -> None:
    check_printed(shop)


def test_the_page_has_two_parts() -> None:
    assert [len(steps) > 5 for steps in parts()] == [True, True]


def test_figures_may_be_others_and_words_may_not() -> None:
    step = Step("", "figures", "Bronx 2,440 ···\n± 4.50, with 99")
    assert step.absent("Bronx\t···\t1\n± 3.07, with 99\n") == []
    assert step.absent("Bronx\t1\t1\n+ 3.07, with 99\n") == ["± #, with #"]


# --- receipts and budgets


def steps_of(walk: Walk, company: str) -> dict[str, list[tuple[str, str, str]]]:
    """Return steps that a company has receipts of: by plan, whose, which, and how."""
    names, found = walk.names(), defaultdict(list)
    for each in reversed(walk.told[company]["received"]):
        assert each["verified"], each
        found[each["plan"]].append(
            (names[each["provider"]], each["step"], each["decision"])
        )
    return found


def hash_of(job: Mapping[str, Any]) -> str:
    return parse_signed_plan(job["plan"]).plan.plan_hash


def test_each_step_over_the_buses_has_a_verified_receipt(buses: Walk) -> None:
    found = steps_of(buses, "city")
    jobs = buses.told["city"]["jobs"]
    table, opened = ("operator", "table", "allow"), ("operator", "open", "allow")
    refused = ("operator", "table", "deny")
    assert [found.pop(hash_of(job)) for job in jobs] == [
        [table, opened],
        [refused],
        [table, opened],
        [("operator", "apply", "allow")],
        [refused],
    ]
    assert not found
    assert [job["error"] and job["error"]["code"] for job in jobs] == [
        None, "plan.narrowing", None, None, "budget.exhausted",
    ]  # fmt: skip


def test_each_plan_over_the_buses_is_charged_once(buses: Walk) -> None:
    (asked,) = buses.told["city"]["budget"]["asked"]
    told = buses.told["operator"]["budget"]
    (mine,), (dataset,) = told["items"], told["datasets"]
    assert {each["spent"] for each in (asked, mine, dataset)} == {7_500_000}
    assert mine["plans_today"] == 3
    charged = [job["spent"] for job in buses.told["operator"]["jobs"]]
    assert sorted(filter(None, charged)) == [1_500_000, 2_000_000, 4_000_000]


# --- buses


@cache
def late() -> list[tuple[str, dict[str, str]]]:
    """Return what was late: route and labels, each once."""
    (file,) = shared(BUSES).glob("*.csv")
    day = "strptime(split_part(Occurred_On, ' ', 1), '%m/%d/%Y')"
    rows = queried(
        "SELECT DISTINCT trim(Route_Number), trim(Reason), trim(Boro), "  # noqa: S608
        "trim(Bus_Company_Name), trim(Breakdown_or_Running_Late), "
        f"CAST(CAST(date_trunc('week', {day}) AS DATE) AS VARCHAR) "
        f"FROM read_csv('{file}', header=true, all_varchar=true)"
    )
    names = ("reason", "borough", "company", "kind", "day")
    return [
        (
            route,
            dict(zip(names, ("" if it is None else it for it in labels), strict=True)),
        )
        for route, *labels in rows
    ]


def routes(job: Mapping[str, Any]) -> Cells:
    """Return how many routes each cell holds: at least, at most.

    Routes in more cells than the plan lets them count in have some drawn.
    """
    plan = job["plan"]["plan"]
    names = [group["field"] for group in plan["groups"]]
    cells = [*product(*(group["values"] for group in plan["groups"]))]
    of_route = defaultdict(set)
    for route, labels in late():
        of_route[route].add(tuple(labels[name] for name in names))
    known = set(cells)
    whole: dict[tuple[str, ...], int] = defaultdict(int)
    all_of_them: dict[tuple[str, ...], int] = defaultdict(int)
    for found in of_route.values():
        for cell in found & known:
            all_of_them[cell] += 1
            whole[cell] += len(found & known) <= plan["contribution"]
    return [(whole[cell], all_of_them[cell]) for cell in cells]


def reach(job: Mapping[str, Any]) -> int:
    """Return what the noise of a count exceeds once in 10^12 draws."""
    plan = parse_signed_plan(job["plan"]).plan
    return spread(plan.contribution, Shares.of(plan).counts, NEVER)


def margin(job: Mapping[str, Any]) -> int:
    """Return the noised count below which a cell is suppressed."""
    plan = parse_signed_plan(job["plan"]).plan
    return plan.k_min + spread(plan.contribution, Shares.of(plan).counts, 0.02)


WEIGHTS = {
    "Heavy Traffic": 40, "Other": 25, "Problem Run": 60, "Mechanical Problem": 80,
}  # fmt: skip


def check_map(job: Mapping[str, Any], weights: Sequence[int]) -> None:
    """See that each cell holds as many routes as there are, within the noise."""
    result, within = job["result"], reach(job)
    least = job["plan"]["plan"]["k_min"] - 1
    assert 0 < result["spread"] <= within * max(weights)
    figures = zip(result["cells"], weights, routes(job), strict=True)
    for cell, weight, (low, high) in figures:
        if cell is None:
            assert low - within < margin(job)
            continue
        counted, rest = divmod(cell, weight)
        assert rest == 0
        assert counted >= margin(job)
        assert max(low, least) - within <= counted <= max(high, least) + within


def test_the_map_is_what_the_file_says_within_its_noise(buses: Walk) -> None:
    job = buses.done("city", "heat-map")[0]
    first, *others = (group["values"] for group in job["result"]["groups"])
    weights = [WEIGHTS[reason] for reason, *_ in product(first, *others)]
    check_map(job, weights)
    assert sum(cell is not None for cell in job["result"]["cells"]) > 20


def test_routes_by_company_are_what_the_file_says(buses: Walk) -> None:
    job = buses.done("city", "heat-map")[1]
    check_map(job, [1] * 12)


def test_totals_by_borough_are_sums_of_what_is_not_suppressed(buses: Walk) -> None:
    job = buses.done("city", "heat-map")[2]
    boroughs, reasons = (each["values"] for each in job["plan"]["plan"]["groups"])
    within, shown_from = reach(job), margin(job)
    counted = iter(routes(job))
    for _, total in zip(boroughs, job["result"]["cells"], strict=True):
        lowest = highest = 0
        for reason in reasons:
            low, high = next(counted)
            certain = low - within >= shown_from
            lowest += WEIGHTS[reason] * (low - within) * certain
            highest += WEIGHTS[reason] * (max(high, 4) + within)
        assert lowest <= total <= highest


# --- the shop

COMPANIES = {
    "furniture": "Furniture",
    "supplies": "Office Supplies",
    "technology": "Technology",
}


@cache
def ordered(company: str) -> dict[str, dict[str, int]]:
    """Return cents by customer and region of what a company sold."""
    rows = queried(
        'SELECT "Customer ID", Region, '  # noqa: S608  # our own
        "CAST(sum(round(CAST(Sales AS DECIMAL(18, 6)), 2)) * 100 AS BIGINT) "
        f"FROM read_csv('{shared(SHOP)}', header=true, all_varchar=true) "
        f"WHERE Category = '{COMPANIES[company]}' GROUP BY ALL"
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for customer, region, cents in rows:
        found[customer][region] = cents
    return found


@cache
def days(company: str) -> dict[str, int]:
    """Return how long the newest order of each customer took."""
    rows = queried(
        "SELECT customer, arg_max(days, (day, number)) FROM (SELECT "  # noqa: S608
        '"Customer ID" AS customer, "Order Date" AS day, "Order ID" AS number, '
        'CAST("Ship Date" AS DATE) - CAST("Order Date" AS DATE) AS days '
        f"FROM read_csv('{shared(SHOP)}', header=true, all_varchar=true) "
        f"WHERE Category = '{COMPANIES[company]}') GROUP BY customer"
    )
    return {customer: int(took) for customer, took in rows}


def both(*companies: str) -> set[str]:
    return set.intersection(*(set(ordered(each)) for each in companies))


def test_customers_are_counted_exactly(shop: Walk) -> None:
    supplies, technology, listed = shop.done("furniture", "intersection")
    assert supplies["result"]["count"] == len(both("furniture", "supplies")) == 703
    assert technology["result"]["count"] == len(both("furniture", "technology"))
    assert listed["result"]["declared"] == 703
    assert {each["result"]["asked"] for each in (supplies, technology)} == {
        len(ordered("furniture"))
    }


def test_a_ring_counts_customers_of_all_three_exactly(shop: Walk) -> None:
    (job,) = shop.done("furniture", "ring-count")
    names = shop.names()
    assert job["result"]["count"] == len(both(*COMPANIES)) == 617
    for pair in job["result"]["pairs"]:
        assert pair["count"] == len(both(*(names[did] for did in pair["between"])))


def sold(company: str, customer: str) -> int:
    return min(sum(ordered(company)[customer].values()), 200_000)


def took(company: str, customer: str) -> int:
    return min(days(company)[customer], 7)


def sums(shop: Walk, field: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    names = shop.names()
    for job in shop.done("furniture", "joint-sum"):
        if job["result"]["measure"]["field"] == field:
            (partner,) = job["partners"]
            yield names[partner], job


@pytest.mark.parametrize(
    ("field", "value", "bound"),
    [("sales", sold, 200_000), ("last_days", took, 7)],
    ids=["sales", "days"],
)
def test_joint_sums_are_what_the_file_says_within_their_noise(
    shop: Walk, field: str, value: Callable[[str, str], int], bound: int
) -> None:
    found = dict(sums(shop, field))
    assert sorted(found) == ["supplies", "technology"]
    for company, job in found.items():
        result, plan = job["result"], job["plan"]["plan"]
        exact = sum(value(company, each) for each in both("furniture", company))
        within = spread(bound, plan["epsilon_micro"], NEVER)
        assert plan["measure"]["bound"] == bound
        assert result["count"] == len(both("furniture", company))
        assert abs(result["sum"] - exact) <= within
        assert 0 < result["spread"] <= within


def test_what_customers_are_worth_is_the_sum_over_providers(shop: Walk) -> None:
    (printed,) = (
        output
        for step, output in zip(shop.steps, shop.outputs, strict=True)
        if "combine lifetime-value" in step.script
    )
    total = sum(job["result"]["sum"] for _, job in sums(shop, "sales"))
    within = sum(job["result"]["spread"] for _, job in sums(shop, "sales"))
    assert printed.split() == [
        "lifetime-value", f"{total // 100}.{total % 100:02}",
        "±", f"{within // 100}.{within % 100:02}", "USD",
    ]  # fmt: skip


def test_the_sum_over_three_companies_is_what_the_file_says(shop: Walk) -> None:
    (job,) = shop.done("research", "federated-sum")
    (group,) = job["result"]["groups"]
    plan = parse_signed_plan(job["plan"]).plan
    reach_of = plan.contribution * plan.measure.bound
    within = 3 * spread(reach_of, Shares.of(plan).sums, NEVER)
    assert 0 < job["result"]["spread"] <= within
    for region, told in zip(group["values"], job["result"]["cells"], strict=True):
        exact = sum(
            min(cents, 100_000)
            for company in COMPANIES
            for sales in ordered(company).values()
            if (cents := sales.get(region))
        )
        assert abs(told - exact) <= within


def test_each_plan_over_the_shop_is_charged_once(shop: Walk) -> None:
    names = shop.names()
    asked = {
        (asker, names[each["partner"]]): each["spent"]
        for asker in ("furniture", "research")
        for each in shop.told[asker]["budget"]["asked"]
    }
    charged = {
        (names[each["partner"]], provider): each["spent"]
        for provider in COMPANIES
        for each in shop.told[provider]["budget"]["items"]
    }
    assert asked == charged
    assert asked == {
        ("furniture", "supplies"): 1_500_000,
        ("furniture", "technology"): 1_500_000,
        ("research", "furniture"): 2_000_000,
        ("research", "supplies"): 2_000_000,
        ("research", "technology"): 2_000_000,
    }


def test_each_step_over_the_shop_has_a_verified_receipt(shop: Walk) -> None:
    for asker in ("furniture", "research"):
        found = steps_of(shop, asker)
        for job in shop.told[asker]["jobs"]:
            if job["role"] == "consumer":
                check_steps(shop, job, found.pop(hash_of(job)))
        assert not found


STEPS = {
    "intersection": ["commit", "exchange"],
    "joint-sum": ["commit", "exchange", "finish"],
    "ring-count": ["list", "pass", "pass"],
    "federated-sum": ["accept", "contribute"],
}


def check_steps(
    walk: Walk, job: Mapping[str, Any], found: Sequence[tuple[str, str, str]]
) -> None:
    """See that a job's parties have each answered its kind's steps, or refused."""
    names = walk.names()
    if job["state"] == "failed":
        assert job["error"]["code"] in {"matching.not_granted", "budget.exhausted"}
        assert "deny" in {decision for *_, decision in found}
        return
    for partner in job["partners"]:
        steps = [step for provider, step, _ in found if provider == names[partner]]
        assert steps == STEPS[job["kind"]]
    assert {decision for *_, decision in found} == {"allow"}
