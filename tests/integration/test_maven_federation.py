"""Two offices with real CRM data: East reads from Central what was agreed on.

Central's CRM is SQLite, East's is PostgreSQL. What must be disclosed, of which
records a condition must be proved, and what the data's defects are, is counted from
the CSV files here, independently of the code.
"""

import csv
import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from examples.demo.leaks import told
from examples.desk import Refused, Terms
from examples.federation import Federation, Node
from ledger.conditions import Condition
from node.domain.customer import normalise
from tests.integration.maven import load
from tests.support import REPOSITORY, shared
from tests.support.federation import running

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
GRANTED = ("deal_stage", "engage_date")
BATCH = 12

Rows = list[dict[str, str]]


def rows_of(office: str) -> Rows:
    """Return an office's opportunities as the file has them: text, or nothing."""
    file = shared(f"data/maven-crm/sales_pipeline_{office}.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def accounts(rows: Rows) -> set[str]:
    return {normalise("name", row["account"]) for row in rows if row["account"]}


@pytest.fixture(scope="module")
def central() -> Rows:
    return rows_of("Central")


@pytest.fixture(scope="module")
def east() -> Rows:
    return rows_of("East")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Give the URL of a schema of its own, dropped at the end."""
    server = os.environ.get("FIELDPACT_TEST_POSTGRES")
    if not server:
        pytest.skip("needs a server: set FIELDPACT_TEST_POSTGRES to its URL")
    target = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(target, poolclass=sa.NullPool)
    schema = f"east_{secrets.token_hex(4)}"
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    target = target.update_query_dict({"options": f"-csearch_path={schema}"})
    yield target.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))


@pytest.fixture(scope="module")
def offices(
    postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    """Run both offices' nodes, each over its own CRM."""
    folder = tmp_path_factory.mktemp("offices")
    sqlite = f"sqlite:///{folder}/central.sqlite"
    load("Central", sqlite)
    load("East", postgres)
    crm = {"CENTRAL_CRM_URL": sqlite, "EAST_CRM_URL": postgres}
    with running(folder / "nodes", "central", "east", environment=crm) as federation:
        yield federation


@pytest.fixture(scope="module")
def reports(offices: Federation) -> dict[str, dict[str, Any]]:
    """Publish what both offices declare; return the reports."""
    return {
        key: node.desk.publish(REPOSITORY / f"examples/maven/{key}.yaml")
        for key, node in offices.nodes.items()
    }


@pytest.fixture(scope="module", params=["East asks Central", "Central asks East"])
def pair(
    request: pytest.FixtureRequest,
    offices: Federation,
    reports: dict[str, dict[str, Any]],
) -> tuple[Node, Node]:
    """Give provider and consumer."""
    east, central = offices.nodes["east"], offices.nodes["central"]
    return (central, east) if request.param.startswith("East") else (east, central)


@pytest.fixture(scope="module")
def agreement(offices: Federation, pair: tuple[Node, Node]) -> str:
    provider, consumer = pair
    terms = Terms(dataset="opportunities", fields=GRANTED, rows_per_call=2000)
    return agreed(offices, provider, consumer, terms)


def agreed(offices: Federation, provider: Node, consumer: Node, terms: Terms) -> str:
    """Agree, declare every account of the consumer, and wait until it can ask."""
    made = provider.desk.agree(consumer.desk, terms)
    consumer.desk.declare(made, accounts(rows_of(consumer.key.title())))
    offices.await_snapshot(provider.key, terms.dataset, made)
    return made


@pytest.fixture(scope="module")
def answers(pair: tuple[Node, Node], agreement: str) -> list[dict[str, Any]]:
    """Ask about every account of the consumer, some of which are not shared."""
    _, consumer = pair
    names = sorted(accounts(rows_of(consumer.key.title())))
    return [
        consumer.desk.ask(agreement, names[start : start + BATCH], GRANTED)
        for start in range(0, len(names), BATCH)
    ]


def finding(report: dict[str, Any], code: str, field: str | None) -> dict[str, Any]:
    for each in report["findings"]:
        if (each["code"], each["field"]) == (code, field):
            found: dict[str, Any] = each
            return found
    return {"count": 0, "rejected": 0}


@pytest.mark.parametrize("office", ["Central", "East"])
def test_the_real_defects_are_reported_with_their_counts(
    office: str, reports: dict[str, dict[str, Any]]
) -> None:
    rows, report = rows_of(office), reports[office.lower()]
    no_account = sum(not row["account"] for row in rows)
    misspelt = sum(row["product"] == "GTXPro" for row in rows)

    assert no_account > 200
    assert misspelt > 400
    assert finding(report, "customer.empty", None)["rejected"] == no_account
    assert finding(report, "value.spelling", "product")["count"] == misspelt
    for field in ("close_date", "engage_date", "close_value", "deal_stage"):
        empty = sum(not row[field] for row in rows)
        assert finding(report, "value.missing", field)["count"] == empty


@pytest.mark.parametrize("office", ["Central", "East"])
def test_no_row_is_lost_in_silence(
    office: str, reports: dict[str, dict[str, Any]]
) -> None:
    rows, report = rows_of(office), reports[office.lower()]

    assert report["rows"] == len(rows)
    assert report["publishable"] + report["rejected"] == len(rows)
    assert report["rejected"] == sum(each["rejected"] for each in report["findings"])
    assert report["customers"] == len(accounts(rows))


def test_every_opportunity_of_shared_accounts_is_disclosed_and_nothing_else(
    pair: tuple[Node, Node], answers: list[dict[str, Any]]
) -> None:
    provider, consumer = pair
    theirs, ours = rows_of(provider.key.title()), rows_of(consumer.key.title())
    both = accounts(theirs) & accounts(ours)
    truth = Counter(
        (
            normalise("name", row["account"]),
            row["deal_stage"],
            row["engage_date"] or None,
        )
        for row in theirs
        if row["account"] and normalise("name", row["account"]) in both
    )

    assert len(both) > 70
    assert all(answer["allowed"] and answer["verified"] for answer in answers)
    customers = {k: v for answer in answers for k, v in answer["customers"].items()}
    assert {name for name, found in customers.items() if found is not None} == both
    assert truth == Counter(
        (name, record["fields"]["deal_stage"], record["fields"]["engage_date"])
        for name, found in customers.items()
        for record in found or ()
        if set(record["fields"]) == set(GRANTED)
    )


def test_an_account_that_only_the_provider_has_is_not_told_from_one_that_nobody_has(
    pair: tuple[Node, Node], agreement: str
) -> None:
    provider, consumer = pair
    theirs = accounts(rows_of(provider.key.title()))
    hidden = theirs - accounts(rows_of(consumer.key.title()))
    told_apart = {
        json.dumps(consumer.desk.ask(agreement, [name], GRANTED)["denials"])
        for name in (min(hidden), "nobody at all")
    }

    assert len(told_apart) == 1
    assert "customer.not_shared" in told_apart.pop()


def test_customers_cannot_be_declared_again_and_again(
    pair: tuple[Node, Node], agreement: str
) -> None:
    _, consumer = pair
    with pytest.raises(Refused, match=r"answered 409 customers\.declared"):
        consumer.desk.declare(agreement, ["one more"])


@pytest.mark.parametrize("field", ["close_value", "sales_agent", "product"])
def test_a_field_that_was_not_agreed_on_is_refused(
    pair: tuple[Node, Node], agreement: str, field: str
) -> None:
    provider, consumer = pair
    theirs = accounts(rows_of(provider.key.title()))
    name = min(theirs & accounts(rows_of(consumer.key.title())))
    answer = consumer.desk.ask(agreement, [name], [*GRANTED, field])

    assert answer["verified"]
    assert not answer["allowed"]
    assert [each["code"] for each in answer["denials"]] == ["field.not_granted"]


@pytest.mark.parametrize("field", ["close_value", "sales_agent"])
def test_such_a_field_cannot_even_be_offered(
    pair: tuple[Node, Node], field: str
) -> None:
    provider, consumer = pair
    with pytest.raises(Refused, match=r"terms\.fields.*does not share"):
        provider.desk.agree(
            consumer.desk, Terms(dataset="opportunities", fields=[field])
        )


# --- what is proved, and not shown

HIDDEN = (
    {
        "field": "close_value",
        "operators": ["at_least", "at_most", "between"],
        "step": "100",
        "probes": 10,
    },
    {
        "field": "close_date",
        "operators": ["after", "before", "no_more_than"],
        "step": "month",
        "probes": 10,
    },
    {
        "field": "engage_date",
        "operators": ["no_more_than"],
        "step": "month",
        "probes": 1,
    },
)
BOUNDS = ("5000.00", "500.00", "999.99", "99.99")


def condition(operator: str, *fields: str, values: tuple[str, ...] = ()) -> Condition:
    return Condition.of(operator, fields, values)


def amount(row: dict[str, str]) -> Decimal | None:
    return Decimal(row["close_value"]) if row["close_value"] else None


def at_least_5000(row: dict[str, str]) -> bool:
    return (value := amount(row)) is not None and value >= 5000


Truth = Callable[[dict[str, str]], bool]
ASKED: dict[str, tuple[list[Condition], Truth]] = {
    "at least 5,000": (
        [condition("at_least", "close_value", values=("5000.00",))],
        at_least_5000,
    ),
    "500 to 999.99": (
        [condition("between", "close_value", values=("500.00", "999.99"))],
        lambda row: (value := amount(row)) is not None and 500 <= value < 1000,
    ),
    "closed before April": (
        [condition("before", "close_date", values=("2017-04-01",))],
        lambda row: bool(row["close_date"]) and row["close_date"] < "2017-04-01",
    ),
    "below 100, and closed after November": (
        [
            condition("at_most", "close_value", values=("99.99",)),
            condition("after", "close_date", values=("2017-11-30",)),
        ],
        lambda row: (
            (value := amount(row)) is not None
            and value < 100
            and row["close_date"] > "2017-11-30"
        ),
    ),
    "at least 5,000, and not closed before it was engaged": (
        [
            condition("at_least", "close_value", values=("5000.00",)),
            condition("no_more_than", "engage_date", "close_date"),
        ],
        lambda row: at_least_5000(row) and "" < row["engage_date"] <= row["close_date"],
    ),
}


@pytest.fixture(scope="module")
def proving(offices: Federation, pair: tuple[Node, Node]) -> str:
    """Give an agreement under which only the stage is shown."""
    provider, consumer = pair
    terms = Terms(
        dataset="opportunities",
        fields=["deal_stage"],
        predicates=HIDDEN,
        rows_per_call=2000,
    )
    return agreed(offices, provider, consumer, terms)


@pytest.mark.parametrize("asked", ASKED)
def test_a_condition_is_proved_of_exactly_the_records_that_meet_it(
    pair: tuple[Node, Node], proving: str, asked: str
) -> None:
    provider, consumer = pair
    where, meets = ASKED[asked]
    theirs, ours = rows_of(provider.key.title()), rows_of(consumer.key.title())
    both = accounts(theirs) & accounts(ours)
    truth: Counter[tuple[str, str | None]] = Counter()
    for row in theirs:
        name = normalise("name", row["account"]) if row["account"] else ""
        if name in both:
            truth[name, row["deal_stage"] if meets(row) else None] += 1

    told_of: Counter[tuple[str, str | None]] = Counter()
    names = sorted(accounts(ours))
    for start in range(0, len(names), BATCH):
        answer = consumer.desk.ask(
            proving, names[start : start + BATCH], ["deal_stage"], where=where
        )
        assert answer["allowed"], answer
        assert answer["verified"], answer
        for name, found in answer["customers"].items():
            assert (found is None) == (name not in both)
            for record in found or ():
                assert record["proved"] == bool(record["fields"])
                told_of[name, record["fields"].get("deal_stage")] += 1

    assert sum(count for (_, stage), count in truth.items() if stage) > 20
    assert told_of == truth


@pytest.mark.parametrize(
    ("where", "code"),
    [
        (condition("at_least", "close_value", values=("5000.01",)),
         "predicate.granularity"),
        (condition("before", "close_date", values=("2017-04-02",)),
         "predicate.granularity"),
        (condition("before", "engage_date", values=("2017-04-01",)),
         "predicate.not_granted"),
        (condition("one_of", "product", values=("GTX Pro", "MG Special")),
         "predicate.not_granted"),
        (condition("one_of", "sales_agent", values=("Nobody", "Somebody")),
         "predicate.not_granted"),
    ],
    ids=["finer amount", "finer date", "other operator", "other field", "never"],
)  # fmt: skip
def test_a_condition_that_was_not_agreed_on_is_refused(
    pair: tuple[Node, Node], proving: str, where: Condition, code: str
) -> None:
    _, consumer = pair
    [name] = sorted(accounts(rows_of(consumer.key.title())))[:1]
    answer = consumer.desk.ask(proving, [name], ["deal_stage"], where=[where])

    assert answer["verified"]
    assert not answer["allowed"]
    assert [each["code"] for each in answer["denials"]] == [code]


def test_no_value_and_no_agent_is_in_any_byte_that_was_sent_or_in_any_receipt(
    pair: tuple[Node, Node], answers: list[dict[str, Any]]
) -> None:
    provider, _ = pair
    rows = rows_of(provider.key.title())
    agents = {row["sales_agent"] for row in rows}
    amounts = {
        f'"{float(row["close_value"]):.2f}"' for row in rows if row["close_value"]
    }
    keys = {row["opportunity_id"] for row in rows}
    # A bound that somebody asked about is told back, whether anything has it or not.
    amounts -= {f'"{bound}"' for bound in BOUNDS}
    said = provider.tap.answered()
    calls = provider.desk.get("/audit/calls?limit=200")["items"]
    assert {answer["receipt"] for answer in answers} <= {
        call["receipt_id"] for call in calls
    }
    receipts = [
        json.dumps(provider.desk.get(f"/audit/receipts/{call['receipt_id']}")).encode()
        for call in calls
    ]

    assert told([*said, *receipts], {*agents, *amounts, *keys}) == {}
    assert b'"close_value":' not in b"".join(said)
    assert told(said, ['"Lost"']).total() > 500  # the search does see what was told
