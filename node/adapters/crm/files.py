"""Records in a CSV or Parquet file, read by DuckDB in memory.

DuckDB is given one file and nothing else: no other path, no network, no
extension, no spill to disk, and a configuration that can no longer be changed.
The file is attached as a view, so each reading sees the file as it is then.

Nothing in a CSV file is guessed. The first line names the columns, every value
is text, and the types that the dataset declares do the rest; a line with too few
or too many values, a broken quotation or a byte that is not UTF-8 stops the
reading with the number of the line, where a guessing reader would skip it.

Every reading walks through a CSV file from its start: milliseconds for thousands
of rows, a third of a second for a million. Large data belong into a database.
"""

import contextlib
import csv
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from node.domain.dataset import Source
from node.domain.publication import Row, SourceReport
from node.domain.values import encodable, record_key
from node.errors import Unavailable

_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "512MB",
    "temp_directory": "",
    "threads": "1",
}
_SEPARATORS: Final = ",;\t|"
_AGAIN_S: Final = 0.05
"""Between two interruptions of a statement that does not end."""


class FileSource:
    """Implements `node.ports.RecordSource` for one file.

    Args:
        source: Declares record column and timeout.
        file: Absolute path of a `.csv` or `.parquet` file.
    """

    def __init__(self, source: Source, file: Path) -> None:
        self._source, self._file = source, file
        self._kind = file.suffix.lower().removeprefix(".")
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._header: tuple[str, tuple[str, ...]] = ("", ())

    def __repr__(self) -> str:
        return f"FileSource({self._kind}, {self._source!r})"

    def check(self) -> SourceReport:
        """Return what the source is. Reads names, and no row.

        Raises:
            Unavailable: The file is not there, or not of its kind.
        """
        with self._cursor() as cursor:
            found = cursor.execute("DESCRIBE records").fetchall()
        columns = tuple(name for name, *_ in found)
        return SourceReport(kind=self._kind, columns=columns, read_only=True)

    def scan(self, columns: Sequence[str], batch: int = 1000) -> Iterator[list[Row]]:
        """Return every row, in batches, with the named columns only.

        Raises:
            Unavailable: The file is not there, malformed, slow, or changed
                while it was read.
        """
        names = list(dict.fromkeys(columns))
        with self._cursor() as cursor:
            with self._in_time(cursor):
                cursor.execute(_select(names))
            while rows := self._fetch(cursor, batch):
                yield [dict(zip(names, row, strict=True)) for row in rows]

    def read(
        self, records: Sequence[str], columns: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return the named columns of the named records, as stored.

        A key that names no row, or more than one, is left out.

        Raises:
            Unavailable: As for `scan`.
        """
        record = self._source.record
        names = list(dict.fromkeys((record, *columns)))
        keys = [key for key in set(records) if encodable(key)]
        chosen = f"CAST({_quoted(record)} AS VARCHAR) IN (SELECT unnest(?))"
        found: dict[str, list[Row]] = {}
        with self._cursor() as cursor, self._in_time(cursor):
            statement = f"{_select(names)} WHERE {chosen}"
            for row in cursor.execute(statement, [keys]).fetchall():
                key = record_key(row[0])
                values = dict(zip(names, row, strict=True))
                found.setdefault(key or "", []).append(values)
        return {
            key: {name: found[key][0][name] for name in columns}
            for key in keys
            if len(found.get(key, ())) == 1
        }

    def close(self) -> None:
        """Give back the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor over the file as it is now, whole and unchanged."""
        with _translated():
            before = self._identity()
            with self._lock:
                database = self._open()
            with database.cursor() as cursor:
                yield cursor
            if self._identity() != before:
                detail = "The file was changed while it was read. Try again."
                raise Unavailable("source.unavailable", detail)

    def _identity(self) -> tuple[int, int, int]:
        found = self._file.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _open(self) -> duckdb.DuckDBPyConnection:
        """Return the database; a new one when the columns have changed."""
        header = _header(self._file) if self._kind == "csv" else ("", ())
        if self._database is None or header != self._header:
            self._database = _attach(self._file, *header)
            self._header = header
        return self._database

    def _fetch(self, cursor: duckdb.DuckDBPyConnection, batch: int) -> list[Any]:
        with self._in_time(cursor):
            return cursor.fetchmany(batch)

    @contextlib.contextmanager
    def _in_time(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt a statement that takes too long, until it has ended.

        Once is not enough: of one that has not begun yet, DuckDB takes no notice.
        """
        ended = threading.Event()

        def watch() -> None:
            pause_s = self._source.timeout_s
            while not ended.wait(pause_s):
                cursor.interrupt()
                pause_s = _AGAIN_S

        watcher = threading.Thread(target=watch, name="files", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _attach(
    file: Path, separator: str, columns: Sequence[str]
) -> duckdb.DuckDBPyConnection:
    """Return a closed-off database whose view `records` is the file."""
    database = duckdb.connect(":memory:", config=_CONFIG)
    database.execute("SET allowed_paths = $paths", {"paths": [str(file)]})
    database.execute("SET enable_external_access = false")
    if separator:
        records = database.read_csv(
            str(file),
            auto_detect=False,
            columns=dict.fromkeys(columns, "VARCHAR"),
            delimiter=separator,
            escapechar='"',
            header=True,
            quotechar='"',
            strict_mode=True,
        )
    else:
        records = _parquet(database, file)
    records.create_view("records")
    database.execute("SET lock_configuration = true")
    return database


def _parquet(
    database: duckdb.DuckDBPyConnection, file: Path
) -> duckdb.DuckDBPyRelation:
    """Return a Parquet file's rows, with instants as UTC.

    Parquet keeps no zone for them, and DuckDB has no type of Python's for one.
    """
    rows = database.read_parquet(str(file))
    rows.create_view("file")
    columns = (
        f"make_timestamp(epoch_us({_quoted(name)})) AS {_quoted(name)}"
        if type_ == "TIMESTAMP WITH TIME ZONE"
        else _quoted(name)
        for name, type_, *_ in database.execute("DESCRIBE file").fetchall()
    )
    return rows.project(", ".join(columns))


def _header(file: Path) -> tuple[str, tuple[str, ...]]:
    """Return the separator and the column names of a CSV file's first line."""
    with file.open("rb") as stream:
        start = stream.readline(1 << 16)
    line = re.split(b"[\r\n]", start)[0].decode("utf-8-sig")
    separator = max(_SEPARATORS, key=line.count)
    names = next(csv.reader([line], delimiter=separator), [])
    if not all(names) or not names or len({*map(str.casefold, names)}) < len(names):
        detail = "The first line of the file must name every column, each once."
        raise Unavailable("source.query", detail)
    return separator, tuple(names)


def _quoted(name: str) -> str:
    name.encode()  # DuckDB itself does not say what is wrong with a surrogate
    return '"' + name.replace('"', '""') + '"'


def _select(names: Sequence[str]) -> str:
    return f"SELECT {', '.join(map(_quoted, names))} FROM records"  # noqa: S608 quoted


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what DuckDB and the file system raise into `Unavailable`.

    DuckDB's messages quote the line at fault, so only its number is taken over.
    """
    try:
        yield
    except duckdb.InterruptException:
        detail = "The file could not be read in time. Raise `source.timeout_s`."
        raise Unavailable("source.timeout", detail) from None
    except (duckdb.IOException, OSError):
        detail = "The file cannot be read. Check its path and its rights."
        raise Unavailable("source.unavailable", detail) from None
    except (duckdb.Error, UnicodeError) as error:
        line = re.search(r"Line: ([0-9]+)", str(error))
        place = f" in line {line[1]}" if line else ""
        detail = f"The file is malformed{place}, or lacks a declared column. "
        mend = "Save it as UTF-8, with one separator, and as many values as columns."
        raise Unavailable("source.query", detail + mend) from None
