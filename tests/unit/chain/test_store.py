"""The chain's file: all or nothing, one process at a time, an index of events."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger.evm.store import Log, LogFilter, Store

CONTRACT, OTHER = b"\xc0" * 20, b"\xc1" * 20
KIND, ANNE, BOB = (bytes([n]) * 32 for n in range(3))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "chain")) as store:
        yield store


def log(block: int, position: int, address: bytes, *topics: bytes) -> Log:
    return Log(block, position, address, topics, b"data", b"h" * 32, b"t" * 32)


LOGS = [
    log(1, 0, CONTRACT, KIND, ANNE),
    log(2, 0, CONTRACT, KIND, BOB),
    log(2, 1, OTHER, KIND, ANNE),
    log(3, 0, CONTRACT),
]


def test_what_is_written_in_a_transaction_that_fails_is_gone(store: Store) -> None:
    def write_and_fail() -> None:
        with store.transaction():
            store.entries[b"key"] = b"value"
            store.add_log(LOGS[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert store.is_empty()
    assert not store.logs(LogFilter(0, 9), limit=9)


def test_what_is_committed_is_there_when_the_file_is_opened_again(
    tmp_path: Path,
) -> None:
    with closing(Store(tmp_path / "chain")) as store, store.transaction():
        store.entries[b"key"] = b"value"
    with closing(Store(tmp_path / "chain")) as store:
        assert store.entries[b"key"] == b"value"
        assert b"other" not in store.entries
        with pytest.raises(KeyError):
            store.entries[b"other"]


def test_an_entry_can_be_taken_away(store: Store) -> None:
    store.entries[b"key"] = b"value"
    del store.entries[b"key"]
    assert b"key" not in store.entries


def test_a_second_process_cannot_open_the_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Store(tmp_path / "chain")


def test_every_commit_waits_for_the_disk(store: Store) -> None:
    ask = store._connection.execute
    assert ask("PRAGMA synchronous").fetchone() == (2,)
    assert ask("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (LogFilter(0, 9), [0, 1, 2, 3]),
        (LogFilter(2, 2), [1, 2]),
        (LogFilter(3, 2), []),
        (LogFilter(0, 9, [CONTRACT]), [0, 1, 3]),
        (LogFilter(0, 9, [CONTRACT, OTHER]), [0, 1, 2, 3]),
        (LogFilter(0, 9, [], [[KIND]]), [0, 1, 2]),
        (LogFilter(0, 9, [CONTRACT], [[], [ANNE]]), [0]),
        (LogFilter(0, 9, [CONTRACT], [[KIND], [ANNE, BOB]]), [0, 1]),
        (LogFilter(0, 9, [CONTRACT], [[ANNE]]), []),
        (LogFilter(0, 9, [], [[], [], [ANNE]]), []),
    ],
)
def test_events_are_found_by_block_contract_and_topics(
    store: Store, wanted: LogFilter, found: list[int]
) -> None:
    for one in reversed(LOGS):
        store.add_log(one)
    assert store.logs(wanted, limit=9) == [LOGS[i] for i in found]


def test_a_members_events_are_found_by_the_index_alone(store: Store) -> None:
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    store.logs(LogFilter(0, 10**6, [CONTRACT], [[KIND], [ANNE]]), limit=9)
    store._connection.set_trace_callback(None)
    plan = store._connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall()
    assert "log_search (address=? AND topic0=? AND topic1=?)" in plan[0][-1]
