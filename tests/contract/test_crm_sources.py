"""What every source of records must do, whatever holds the records."""

import contextlib
import os
import secrets
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
import sqlalchemy as sa

from node.adapters.crm.files import FileSource
from node.adapters.crm.opening import CrmSources, open_source
from node.adapters.crm.sql import SqlSource
from node.domain.dataset import Dataset, Source
from node.domain.declaration import dataset_from_json
from node.domain.publication import check_columns, examine, sound_record
from node.errors import Unavailable

COLUMNS = ("id", "Account Name", "stage", "engaged", "worth", "open", "phone")
ROWS: list[tuple[Any, ...]] = [
    ("A-1", "Acme", "Won", date(2026, 1, 31), Decimal("1234.50"), False, "secret-1"),
    ("A-2", "比亚迪", "Lost", date(2025, 2, 1), Decimal("0.00"), False, "secret-2"),
    ("a-1", "O'Hara; DROP", "Won", None, None, True, "secret-3"),
    ("A-3", None, 'say "hi"\nnow', None, Decimal("-7.05"), True, "secret-4"),
    ("D-1", "Twice", "Won", None, None, True, "secret-5"),
    ("D-1", "Twice again", "Won", None, None, True, "secret-6"),
]
INJECTIONS = [
    "A-1' OR '1'='1",
    'A-1" OR "1"="1',
    "A-1'; DROP TABLE crm; --",
    "A-1\\' OR 1=1 -- ",
    "%(keys)s",
    ":keys",
    "?",
    "a%",
    "1; SELECT pg_sleep(9)",
    "A-1\x00",
    "\ud800",
    "",
    "A-1 ",
]
TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "id": sa.String(40),
    "Account Name": sa.String(80),
    "stage": sa.String(80),
    "engaged": sa.Date(),
    "worth": sa.Numeric(12, 2),
    "open": sa.Boolean(),
    "phone": sa.String(40),
}


@dataclass
class Crm:
    """A CRM with the rows above, as the owner and as the node sees it."""

    kind: str
    source: Source
    count: Callable[[], int]
    """Counts the rows, with the owner's rights."""

    def open(self, **changes: Any) -> SqlSource | FileSource:
        return open_source(replace(self.source, **changes), {})


def server(name: str) -> str:
    """Return the URL of a test server, or skip the test."""
    url = os.environ.get(f"FIELDPACT_TEST_{name}")
    if not url:
        pytest.skip(f"needs a server: set FIELDPACT_TEST_{name} to its URL")
    url = url.replace("postgresql://", "postgresql+psycopg://")
    return url.replace("mysql://", "mysql+pymysql://")


def write(url: str, table: str, types: dict[str, Any], rows: list[Any]) -> sa.Table:
    """Create a table with the owner's rights."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    columns = [sa.Column(name, kind) for name, kind in types.items()]
    made = sa.Table(table, sa.MetaData(), *columns, mysql_charset="utf8mb4")
    with engine.begin() as connection:
        made.create(connection)
        if rows:
            named = [dict(zip(types, row, strict=True)) for row in rows]
            connection.execute(made.insert(), named)
    return made


@pytest.fixture
def sql_url(kind: str, tmp_path: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/it's 100% #1?.db"
    return server(kind.upper())


@pytest.fixture
def table(kind: str, sql_url: str) -> Iterator[str]:
    """Name a table that is dropped at the end."""
    name = f'Crm "{secrets.token_hex(4)}"'
    yield name
    engine = sa.create_engine(sql_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        sa.Table(name, sa.MetaData()).drop(connection, checkfirst=True)


def sql_crm(kind: str, url: str, table: str) -> Crm:
    made = write(url, table, TYPES, ROWS)

    def count() -> int:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return len(connection.execute(sa.select(made)).all())

    source = Source(url=url, relation=table, record="id", timeout_s=5)
    return Crm(kind=kind, source=source, count=count)


def file_crm(kind: str, folder: Path) -> Crm:
    """Write the rows with DuckDB's own writer."""
    file = folder / f"it's.{kind}"
    database = duckdb.connect()
    names = ", ".join(
        f'"{name}" {type_}'
        for name, type_ in zip(
            COLUMNS,
            ["TEXT", "TEXT", "TEXT", "DATE", "DECIMAL(12,2)", "BOOL", "TEXT"],
            strict=True,
        )
    )
    database.execute(f"CREATE TABLE rows ({names})")
    database.executemany("INSERT INTO rows VALUES (?,?,?,?,?,?,?)", ROWS)
    where = str(file).replace("'", "''")
    database.execute(f"COPY rows TO '{where}' (FORMAT {kind})")
    before = file.read_bytes()

    def count() -> int:
        return len(ROWS) if file.read_bytes() == before else -1

    source = Source(url=str(file), relation="", record="id", timeout_s=5)
    return Crm(kind=kind, source=source, count=count)


SQL = [
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@pytest.fixture(params=["csv", "parquet", *SQL])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def crm(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Crm:
    if kind in {"csv", "parquet"}:
        return file_crm(kind, tmp_path)
    url, table = map(request.getfixturevalue, ("sql_url", "table"))
    return sql_crm(kind, url, table)


@pytest.fixture
def opened(crm: Crm) -> Iterator[SqlSource | FileSource]:
    source = crm.open()
    yield source
    source.close()


def declared(crm: Crm) -> Dataset:
    title = {"en": "T", "zh": "题"}
    general = {"title": title, "grade": "general", "personal": False}
    plain = {**general, "modes": ["plain"]}
    dataset = dataset_from_json(
        {
            "dataset": "projects",
            "title": title,
            "source": {"env": "ANY", "table": "any", "record": "id"},
            "customer": {"column": "Account Name", "rule": "name"},
            "fields": {
                "stage": {**plain, "column": "stage", "type": "text"},
                "engaged": {**plain, "column": "engaged", "type": "date"},
                "worth": {
                    **plain,
                    "column": "worth",
                    "type": "money",
                    "unit": "CNY",
                    "scale": 2,
                },
                "open": {**plain, "column": "open", "type": "boolean"},
                "phone": {
                    **general,
                    "column": "phone",
                    "type": "text",
                    "modes": ["never"],
                },
            },
        }
    )
    return replace(dataset, source=crm.source)


class TestRecordSource:
    """The contract of `node.ports.RecordSource`."""

    def test_a_check_names_every_column_as_the_source_spells_it(
        self, crm: Crm, opened: SqlSource
    ) -> None:
        report = opened.check()
        assert report.columns == COLUMNS
        assert report.read_only
        assert report.kind == crm.kind.replace("postgres", "postgresql")
        check_columns(declared(crm), report)

    def test_a_scan_returns_every_row_and_only_the_named_columns(
        self, opened: SqlSource
    ) -> None:
        batches = list(opened.scan(["id", "stage"], batch=4))
        assert [len(batch) for batch in batches] == [4, 2]
        rows = [row for batch in batches for row in batch]
        assert sorted((row["id"], row["stage"]) for row in rows) == sorted(
            (row[0], row[2]) for row in ROWS
        )
        assert all(set(row) == {"id", "stage"} for row in rows)

    def test_a_scan_that_is_left_early_does_no_harm(self, opened: SqlSource) -> None:
        for _ in range(12):  # more often than the pool has connections
            scan = opened.scan(["id"], batch=1)
            next(scan)
            scan.close()  # type: ignore[attr-defined]
        assert len(next(opened.scan(["id"]))) == len(ROWS)

    def test_a_read_returns_the_named_columns_of_the_named_records(
        self, opened: SqlSource
    ) -> None:
        found = opened.read(["A-1", "a-1", "none"], ["stage", "Account Name"])
        assert found == {
            "A-1": {"stage": "Won", "Account Name": "Acme"},
            "a-1": {"stage": "Won", "Account Name": "O'Hara; DROP"},
        }

    def test_a_key_that_names_two_rows_names_neither(self, opened: SqlSource) -> None:
        assert set(opened.read(["D-1", "A-2"], ["stage"])) == {"A-2"}

    def test_a_read_of_many_keys_finds_them_all(self, opened: SqlSource) -> None:
        keys = [f"none-{number}" for number in range(2500)]
        assert set(opened.read([*keys, "A-3", "A-1"], ["id"])) == {"A-1", "A-3"}
        assert opened.read([], ["id"]) == {}

    def test_values_are_the_same_on_the_wire_whatever_held_them(
        self, crm: Crm, opened: SqlSource
    ) -> None:
        dataset = declared(crm)
        rows = opened.read(["A-1", "A-2", "a-1"], dataset.columns)
        records = [sound_record(dataset, row) for _, row in sorted(rows.items())]
        assert [(each.key, each.customer) for each in records] == [
            ("A-1", "acme"),
            ("A-2", "比亚迪"),
            ("a-1", "o'hara; drop"),
        ]
        assert [tuple(each.values.values()) for each in records] == [
            ("Won", "2026-01-31", "1234.50", False),
            ("Lost", "2025-02-01", "0.00", False),
            ("Won", None, None, True),
        ]

    def test_an_examination_accounts_for_every_row(
        self, crm: Crm, opened: SqlSource
    ) -> None:
        seen: list[int] = []
        report = examine(declared(crm), opened, progress=seen.append)
        assert (report.rows, report.publishable, report.customers) == (6, 3, 3)
        assert report.rows == report.publishable + report.rejected
        rejected = {each.code: each.rejected for each in report.findings}
        assert rejected["record.duplicate"] == 2
        assert rejected["customer.empty"] == 1
        assert seen == [6]
        assert "secret" not in str(report) + str(report.to_json()) + str(report.sample)

    @pytest.mark.parametrize("key", INJECTIONS)
    def test_a_record_key_is_never_part_of_a_statement(
        self, crm: Crm, opened: SqlSource, key: str
    ) -> None:
        assert opened.read([key], ["stage"]) == {}
        assert set(opened.read([key, "A-2"], ["stage"])) == {"A-2"}
        assert crm.count() == len(ROWS)

    @pytest.mark.parametrize(
        "column", [each for each in INJECTIONS if each] + ["phone AS stage", "*"]
    )
    def test_a_column_name_is_never_part_of_a_statement(
        self, crm: Crm, opened: SqlSource, column: str
    ) -> None:
        for attempt in (
            lambda: list(opened.scan(["id", column])),
            lambda: opened.read(["A-1"], [column]),
        ):
            with pytest.raises(Unavailable) as caught:
                attempt()
            assert caught.value.code == "source.query"
            assert "secret" not in str(caught.value)
        assert crm.count() == len(ROWS)

    def test_a_missing_source_is_named_and_not_invented(self, crm: Crm) -> None:
        if crm.source.relation:
            source, code = crm.open(relation="nowhere"), "source.query"
        else:
            gone = str(Path(str(crm.source.url)).with_name(f"gone.{crm.kind}"))
            source, code = crm.open(url=gone), "source.unavailable"
        for attempt in (
            source.check,
            lambda: next(source.scan(["id"])),
            lambda: source.read(["A-1"], ["id"]),
        ):
            with pytest.raises(Unavailable) as caught:
                attempt()
            assert caught.value.code == code
        source.close()

    def test_many_threads_may_read_at_once(self, opened: SqlSource) -> None:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: opened.read(["A-1"], ["id"]), range(64)))
        assert found == [{"A-1": {"id": "A-1"}}] * 64

    def test_the_same_dataset_has_the_same_open_source(self, crm: Crm) -> None:
        sources = CrmSources({})
        first = sources(declared(crm))
        assert sources(declared(crm)) is first
        sources.close()
        assert sources(declared(crm)) is not first
        sources.close()


@pytest.mark.parametrize("kind", SQL, indirect=True)
class TestSqlSource:
    """What SQL sources promise beside the contract."""

    def test_only_the_named_columns_are_selected(
        self, crm: Crm, opened: SqlSource
    ) -> None:
        said: list[str] = []

        @sa.event.listens_for(opened._engine, "before_cursor_execute")
        def _listen(_c: object, _k: object, statement: str, *_: object) -> None:
            said.append(statement)

        examine(declared(crm), opened)
        opened.read(["A-1"], ["stage"])
        assert any("stage" in each for each in said)
        assert not [each for each in said if "phone" in each or "*" in each]
        assert not [each for each in said if "A-1" in each]

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM {table}",
            "UPDATE {table} SET stage = 'x'",
            "DROP TABLE {table}",
            "CREATE TABLE made (a INTEGER)",
        ],
    )
    def test_the_database_itself_refuses_writes(
        self, crm: Crm, opened: SqlSource, statement: str
    ) -> None:
        engine = opened._engine
        named = engine.dialect.identifier_preparer.quote(crm.source.relation)
        with (
            pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.?only"),
            engine.begin() as connection,
        ):
            connection.exec_driver_sql(statement.format(table=named))
        assert crm.count() == len(ROWS)

    def test_a_slow_statement_is_ended_in_time(self, crm: Crm) -> None:
        slow = {
            "sqlite": "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 "
            "FROM n WHERE id < 1e9) SELECT max(id) AS id FROM n",
            "postgres": "SELECT pg_sleep(600)::text AS id",
            "mariadb": "SELECT sleep(600) AS id",
        }[crm.kind]
        ended: set[str] = set()
        for timeout_s in (0.3, 3.0, 30.0):  # so long it may take to be reached, too
            source, ended = crm.open(relation=f"({slow})", timeout_s=timeout_s), set()
            with pytest.raises(Unavailable) as caught:
                source.read(["A-1"], ["id"])
            ended.add(caught.value.code)
            if crm.kind != "mariadb":  # there a scan ends with the socket's patience
                with pytest.raises(Unavailable) as caught:
                    list(source.scan(["id"]))
                ended.add(caught.value.code)
            source.close()
            if ended == {"source.timeout"}:
                return
        raise AssertionError(ended)

    def test_a_slow_reader_may_take_its_time(self, crm: Crm) -> None:
        rows = 0
        for timeout_s in (0.2, 2.0, 20.0):  # the machine may be slow, too
            source, rows = crm.open(timeout_s=timeout_s), 0
            with contextlib.suppress(Unavailable):
                for batch in source.scan(["id"], batch=2):
                    rows += len(batch)
                    time.sleep(timeout_s * 3 / 4)
            source.close()
            if rows == len(ROWS):
                return
        raise AssertionError(rows)

    def test_a_query_may_hold_colons_percents_and_quotes(self, crm: Crm) -> None:
        prepare = sa.make_url(str(crm.source.url)).get_dialect()().identifier_preparer
        query = "(SELECT id, '12:30:59 100% :id %s' AS note FROM {} WHERE id LIKE 'A%' -- all)"
        source = crm.open(relation=query.format(prepare.quote(crm.source.relation)))
        assert source.check().columns == ("id", "note")
        note = {"note": "12:30:59 100% :id %s"}
        assert source.read(["A-1"], ["note"]) == {"A-1": note}
        assert len([row for batch in source.scan(["note"]) for row in batch]) >= 3
        source.close()

    @pytest.mark.parametrize(
        ("type_", "keys", "wrong"),
        [
            (sa.Integer(), [5, 60], ["5abc", "5 OR 1=1", "05", "5.0", "9" * 40]),
            (sa.BigInteger(), [2**53 + 1, -1], ["--1", "1e3"]),
            (sa.Uuid(), [UUID(int=7), UUID(int=8)], ["7", str(UUID(int=9))]),
            (sa.Numeric(20, 0), [Decimal(12), Decimal(13)], ["12.5", "x"]),
        ],
        ids=["integer", "bigint", "uuid", "numeric"],
    )
    def test_a_key_of_any_type_is_found_by_its_text(
        self,
        crm: Crm,
        sql_url: str,
        type_: Any,
        keys: list[Any],
        wrong: list[str],
    ) -> None:
        name = f"keys_{secrets.token_hex(4)}"
        made = write(
            sql_url, name, {"id": type_, "x": sa.Text()}, [(k, "v") for k in keys]
        )
        try:
            source = crm.open(relation=name)
            rows = [row for batch in source.scan(["id"]) for row in batch]
            texts = [str(row["id"]) for row in rows]
            assert set(source.read([*texts, *wrong], ["x"])) == set(texts)
            assert source.read(wrong, ["x"]) == {}
            source.close()
        finally:
            with sa.create_engine(sql_url, poolclass=sa.NullPool).begin() as connection:
                made.drop(connection)

    def test_an_empty_table_has_no_record(self, crm: Crm, sql_url: str) -> None:
        name = f"empty_{secrets.token_hex(4)}"
        made = write(sql_url, name, TYPES, [])
        source = crm.open(relation=name)
        assert list(source.scan(["id"])) == []
        assert source.read(["A-1"], ["id"]) == {}
        source.close()
        with sa.create_engine(sql_url, poolclass=sa.NullPool).begin() as connection:
            made.drop(connection)

    def test_a_relation_name_is_never_part_of_a_statement(self, crm: Crm) -> None:
        for relation in ('x"; DROP TABLE crm; --', "x`; DROP TABLE crm; --", "a.b"):
            source = crm.open(relation=relation)
            with pytest.raises(Unavailable) as caught:
                list(source.scan(["id"]))
            assert caught.value.code == "source.query"
            source.close()
        assert crm.count() == len(ROWS)


@pytest.mark.postgres
def test_a_table_in_a_schema_is_found(tmp_path: Path) -> None:
    url, schema = server("POSTGRES"), f"sales_{secrets.token_hex(4)}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        connection.exec_driver_sql(f"CREATE TABLE {schema}.crm (id char(4), x text)")
        made = sa.table("crm", sa.column("id"), sa.column("x"), schema=schema)
        connection.execute(made.insert(), {"id": "A", "x": "v"})
    source = open_source(Source(url=url, relation=f"{schema}.crm", record="id"), {})
    assert source.check().columns == ("id", "x")
    assert source.read(["A   "], ["x"]) == {"A   ": {"x": "v"}}
    source.close()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://crm:hunter2@127.0.0.1:1/crm",
        "mysql://crm:hunter2@127.0.0.1:1/crm",
        "mariadb+pymysql://crm:hunter2@127.0.0.1:1/crm?charset=utf8mb4",
        "oracle+nothing://crm:hunter2@127.0.0.1:1/crm",
        "postgresql://crm:hunter2@127.0.0.1:port/crm",
        "hunter2",
        "sqlite:///hunter2/gone.db",
        "sqlite://",
    ],
)
def test_no_error_and_no_repr_shows_the_address_or_its_password(url: str) -> None:
    declared = Source(url=None, env="CRM_URL", relation="crm", record="id", timeout_s=1)

    def use() -> None:
        source = open_source(declared, {"CRM_URL": url})
        assert "hunter2" not in repr(source) + repr(declared)
        source.check()

    with pytest.raises(Unavailable) as caught:
        use()
    assert caught.value.code == "source.unavailable"
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown + str(caught.value) + repr(caught.value)


def test_a_variable_that_is_not_set_is_named() -> None:
    declared = Source(url=None, env="CRM_URL", relation="crm", record="id")
    with pytest.raises(Unavailable, match="CRM_URL is not set"):
        open_source(declared, {})


@pytest.mark.postgres
def test_a_failing_conversion_in_a_query_shows_no_value() -> None:
    query = "(SELECT 'hunter2'::text AS id, ('hunter2' || now())::integer AS x)"
    source = open_source(
        Source(url=server("POSTGRES"), relation=query, record="id"), {}
    )
    with pytest.raises(Unavailable) as caught:
        list(source.scan(["id", "x"]))
    assert "22P02" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    source.close()
