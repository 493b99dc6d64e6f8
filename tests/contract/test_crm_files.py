"""What files promise beside the contract: nothing is guessed, nothing else is read."""

import datetime
import itertools
import time
from pathlib import Path

import duckdb
import pytest

from node.adapters.crm.files import FileSource
from node.adapters.crm.opening import open_source
from node.domain.dataset import Source
from node.errors import Unavailable


def csv_source(folder: Path, content: bytes, timeout_s: float = 5) -> FileSource:
    file = folder / "crm.csv"
    file.write_bytes(content)
    source = Source(url=str(file), relation="", record="a", timeout_s=timeout_s)
    opened = open_source(source, {})
    assert isinstance(opened, FileSource)
    return opened


def rows(source: FileSource) -> list[tuple[str | None, ...]]:
    batches = source.scan(["a", "b"])
    return [(row["a"], row["b"]) for row in itertools.chain(*batches)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,x\n2,y\n", [("1", "x"), ("2", "y")]),
        (b"a,b\r\n1,x\r\n2,y", [("1", "x"), ("2", "y")]),
        (b"\xef\xbb\xbfa,b\n1,x\n", [("1", "x")]),
        (b"a;b\n1;x,y\n", [("1", "x,y")]),
        (b"a\tb\n1\tx\n", [("1", "x")]),
        (b'"a","b"\n"1","say ""hi"""\n', [("1", 'say "hi"')]),
        (b'a,b\n1,"x\ny"\n', [("1", "x\ny")]),
        (b"a,b\n007, x \n1e5,true\n", [("007", " x "), ("1e5", "true")]),
        (b"a,b\n#1,NULL\n", [("#1", "NULL")]),
        (b"b,c,a\nx,z,1\n", [("1", "x")]),
        (b"a,b\n", []),
        ("a,b\n一,二\n".encode(), [("一", "二")]),
    ],
)
def test_csv_values_are_taken_as_they_stand(
    tmp_path: Path, content: bytes, expected: list[tuple[str, str]]
) -> None:
    assert rows(csv_source(tmp_path, content)) == expected


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a,b\n1,x\n2\n", "3"),
        (b"a,b\n1,x,hunter2\n", "2"),
        (b'a,b\n1,"hunter2"y\n2,z\n', "2"),
        (b'a,b\n1,"hunter2\n2,z\n', "2"),
        (b"a,b\n1,\xff\xfehunter2\n", "2"),
        ("a,b\n1,比亚迪\n".encode("gb18030"), "2"),
    ],
)
def test_a_malformed_line_stops_the_reading_and_is_named_without_its_values(
    tmp_path: Path, content: bytes, line: str
) -> None:
    with pytest.raises(Unavailable) as caught:
        rows(csv_source(tmp_path, content))
    assert caught.value.code == "source.query"
    assert f"in line {line}" in caught.value.detail
    assert "hunter2" not in caught.value.detail
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a,,b\n1,2,3\n", b"a,A\n1,2\n", b"\xffa,b\n1,2\n"]
)
def test_a_header_must_name_every_column_once(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unavailable, match=r"source\.query"):
        csv_source(tmp_path, content).check()


def test_a_file_that_is_replaced_is_read_by_its_own_header(tmp_path: Path) -> None:
    source = csv_source(tmp_path, b"a,b\n1,x\n")
    assert rows(source) == [("1", "x")]
    (tmp_path / "crm.csv").write_bytes(b"b,a\nsecret,2\nother,3\n")
    assert rows(source) == [("2", "secret"), ("3", "other")]


def test_a_file_that_changes_under_the_reader_is_not_half_believed(
    tmp_path: Path,
) -> None:
    source = csv_source(tmp_path, b"a,b\n" + b"1,x\n" * 10)
    scan = source.scan(["a"], batch=5)
    next(scan)
    (tmp_path / "crm.csv").write_bytes(b"a,b\n" + b"2,y\n" * 20)
    with pytest.raises(Unavailable, match="changed while it was read"):
        list(scan)


def test_a_slow_file_is_given_up_in_time(tmp_path: Path) -> None:
    content = b"a,b\n" + b"1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * 1_000_000
    source = csv_source(tmp_path, content, timeout_s=0.01)
    with pytest.raises(Unavailable, match=r"source\.timeout"):
        source.read(["none"], ["b"])
    source.close()


def test_a_reading_that_begins_when_its_time_is_over_is_given_up(
    tmp_path: Path,
) -> None:
    source = csv_source(tmp_path, b"a,b\n", timeout_s=0.01)
    endless = "SELECT count(*) FROM range(1_000_000_000_000) WHERE range % 7 = 3"

    def begin_late() -> None:
        with source._cursor() as cursor, source._in_time(cursor):
            time.sleep(0.2)
            cursor.execute(endless).fetchall()

    with pytest.raises(Unavailable, match=r"source\.timeout"):
        begin_late()
    source.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY records TO '{folder}/out.csv'",
        "ATTACH '{folder}/made.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_csv('https://127.0.0.1/x.csv')",
        "SET enable_external_access = true",
        "SET allowed_paths = ['{other}']",
        "SET autoinstall_known_extensions = true",
    ],
)
def test_the_database_in_memory_reaches_one_file_and_nothing_else(
    tmp_path: Path, statement: str
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\nsecret,secret\n")
    source = csv_source(tmp_path, b"a,b\n1,x\n")
    said = statement.format(other=other, folder=tmp_path)
    with source._cursor() as cursor, pytest.raises(duckdb.Error):
        cursor.execute(said).fetchall()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["crm.csv", "other.csv"]


def test_a_parquet_file_keeps_its_integer_keys(tmp_path: Path) -> None:
    file = tmp_path / "crm.parquet"
    made = duckdb.connect()
    made.execute("CREATE TABLE rows AS SELECT range a, 'v' || range b FROM range(5000)")
    made.table("rows").write_parquet(str(file))
    source = open_source(Source(url=str(file), relation="", record="a"), {})
    assert source.read(["4999", "04", "5000"], ["b"]) == {"4999": {"b": "v4999"}}
    assert [len(batch) for batch in source.scan(["a"], 2000)] == [2000, 2000, 1000]


def test_an_instant_in_a_parquet_file_is_read_as_utc(tmp_path: Path) -> None:
    file = tmp_path / "crm.parquet"
    made = duckdb.connect()
    made.execute(
        "CREATE TABLE rows AS SELECT 'k' AS a, "
        "TIMESTAMPTZ '2026-01-02 01:00:00+08' AS b"
    )
    made.table("rows").write_parquet(str(file))
    source = open_source(Source(url=str(file), relation="", record="a"), {})
    instant = datetime.datetime.fromisoformat("2026-01-01T17:00:00")
    assert source.read(["k"], ["b"]) == {"k": {"b": instant}}


def test_a_key_may_hold_any_character_that_text_can(tmp_path: Path) -> None:
    content = "a,b\n项\u3000目\u00a01,x\n\u200b,y\n".encode()
    source = csv_source(tmp_path, content)
    assert source.read(["项\u3000目\u00a01", "\u200b"], ["b"]) == {
        "项\u3000目\u00a01": {"b": "x"},
        "\u200b": {"b": "y"},
    }
