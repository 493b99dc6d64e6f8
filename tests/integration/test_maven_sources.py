"""Real CRM data of two offices, with its real defects, in three kinds of source."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.adapters.crm.declaration import load_declaration
from node.adapters.crm.opening import open_source
from node.domain.dataset import Dataset
from node.domain.publication import check_columns, examine, sound_record
from node.domain.report import Finding, Report
from node.ports import RecordSource
from tests.integration.maven import OFFICES, load, pipeline
from tests.support import REPOSITORY, shared


@dataclass(frozen=True)
class Known:
    """What counting an office's rows by hand gives.

    Of the 1,425 rows without account, 518 belong to the West office.
    """

    rows: int
    customers: int
    no_account: int
    not_closed: int
    not_engaged: int
    gtxpro: int


KNOWN = {
    "Central": Known(3512, 84, 611, 908, 500, 528),
    "East": Known(2291, 78, 296, 433, 0, 473),
}
PLACES = ["sqlite", "csv", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=OFFICES)
def office(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=PLACES)
def url(request: pytest.FixtureRequest, office: str, tmp_path: Path) -> Iterator[str]:
    """Give the office's CRM: a file, or a schema that is dropped at the end."""
    if request.param == "csv":
        yield str(shared(f"data/maven-crm/sales_pipeline_{office}.csv"))
    elif request.param == "sqlite":
        load(office, found := f"sqlite:///{tmp_path}/{office}.db")
        yield found
    else:
        server = os.environ.get("FIELDPACT_TEST_POSTGRES")
        if not server:
            pytest.skip("needs a server: set FIELDPACT_TEST_POSTGRES to its URL")
        target = sa.make_url(server).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(target, poolclass=sa.NullPool)
        schema = f"{office.lower()}_{secrets.token_hex(4)}"
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema))
        target = target.update_query_dict({"options": f"-csearch_path={schema}"})
        load(office, found := target.render_as_string(hide_password=False))
        yield found
        with engine.begin() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))


@pytest.fixture
def dataset(office: str) -> Dataset:
    return load_declaration(REPOSITORY / f"examples/maven/{office.lower()}.yaml")


@pytest.fixture
def source(office: str, url: str, dataset: Dataset) -> Iterator[RecordSource]:
    opened = open_source(dataset.source, {f"{office.upper()}_CRM_URL": url})
    yield opened
    opened.close()


def finding(report: Report, code: str, field: str | None = None) -> Finding | None:
    found = (
        each for each in report.findings if (each.code, each.field) == (code, field)
    )
    return next(found, None)


def test_the_real_defects_are_reported_with_their_counts_and_no_row_is_lost(
    office: str, dataset: Dataset, source: RecordSource
) -> None:
    known = KNOWN[office]
    report = examine(dataset, source)
    assert report.rows == known.rows
    assert report.customers == known.customers
    assert report.publishable == known.rows - known.no_account
    empty = finding(report, "customer.empty")
    assert empty is not None
    assert empty.count == empty.rejected == report.rejected == known.no_account
    assert len(empty.examples) == 3
    spelling = finding(report, "value.spelling", "product")
    assert spelling is not None
    assert (spelling.count, spelling.rejected) == (known.gtxpro, 0)
    assert spelling.spellings == (("GTX Pro", 0), ("GTXPro", known.gtxpro))
    for field, count in (
        ("close_date", known.not_closed),
        ("close_value", known.not_closed),
        ("engage_date", known.not_engaged),
        ("deal_stage", 0),
    ):
        missing = finding(report, "value.missing", field)
        assert (missing.count if missing else 0) == count
    assert len(report.findings) == (4 if office == "East" else 5)


def test_the_offices_declare_columns_that_their_source_has(
    dataset: Dataset, source: RecordSource
) -> None:
    check_columns(dataset, source.check())


def test_the_agent_s_name_is_never_read(dataset: Dataset, source: RecordSource) -> None:
    assert "sales_agent" not in dataset.columns
    batch = next(source.scan(dataset.columns))
    assert set(batch[0]) == set(dataset.columns)


def test_a_published_record_is_read_again_by_its_key(
    office: str, dataset: Dataset, source: RecordSource
) -> None:
    raw = next(row for row in pipeline(office) if row["deal_stage"] == "Won")
    key = raw["opportunity_id"]
    record = sound_record(dataset, source.read([key], dataset.columns)[key])
    assert record.key == key
    assert record.customer == raw["account"].casefold()
    assert record.values == {
        "deal_stage": "Won",
        "engage_date": raw["engage_date"].isoformat(),
        "close_date": raw["close_date"].isoformat(),
        "product": raw["product"],
        "close_value": f"{raw['close_value']:.2f}",
    }
