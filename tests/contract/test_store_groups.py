"""Actions that share a commit come out as if each had been alone.

What an action does here is one of a few: note a word, note it and raise, raise at
what others noted, or spend one of three. A plain list is the model.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from node.adapters.sql.store import SqlStore, engine_for
from node.adapters.sql.writers import GroupedWriters
from node.errors import Unavailable
from tests.contract.samples import append

WORDS = sa.table("words", sa.column("word"))
SPENT = 3


class Undo(Exception):
    """An action changed its mind."""


@dataclass
class Notes:
    """What the actions do, on a list: the model of what they do on a database."""

    words: list[str] = field(default_factory=list)

    def act(self, kind: str, word: str) -> int:
        before = list(self.words)
        self.words.append(word)
        if kind == "raise" or (kind == "look" and before and before[-1] == word):
            self.words = before
            raise Undo(word)
        if kind == "spend" and before.count(word) >= SPENT:
            self.words = before
            raise Undo(word)
        return len(before)


def action(kind: str, word: str) -> Callable[[Connection], int]:
    """Return the same on a database."""

    def act(connection: Connection) -> int:
        before = noted(connection)
        connection.execute(sa.insert(WORDS).values(word=word))
        if kind == "raise" or (kind == "look" and before and before[-1] == word):
            raise Undo(word)
        if kind == "spend" and before.count(word) >= SPENT:
            raise Undo(word)
        return len(before)

    return act


def noted(connection: Connection) -> list[str]:
    return list(connection.scalars(sa.text("SELECT word FROM words ORDER BY rowid")))


@dataclass
class Place:
    """A database with one table, its file, and those who write to it."""

    file: Path
    engine: sa.Engine
    writers: GroupedWriters
    commits: int = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the database locked, so that what comes meanwhile waits."""
        other = sqlite3.connect(self.file, isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def on_disk(self) -> list[str]:
        """Return what another process would find."""
        with contextlib.closing(sqlite3.connect(self.file)) as other:
            return [word for (word,) in other.execute("SELECT word FROM words")]


@contextlib.contextmanager
def opened(folder: Path, **bounds: Any) -> Iterator[Place]:
    file = folder / "words.sqlite"
    file.unlink(missing_ok=True)
    engine = engine_for(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE words (word)")
    place = Place(file, engine, GroupedWriters(engine, **bounds))

    @sa.event.listens_for(engine, "commit")
    def _count(_: Connection) -> None:
        place.commits += 1

    yield place
    place.writers.close()
    engine.dispose()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened(tmp_path, within_s=60) as place:
        yield place


_KINDS = st.sampled_from(["note", "raise", "look", "spend"])


@settings(max_examples=60, deadline=None)
@given(
    acts=st.lists(st.tuples(_KINDS, st.sampled_from("ab")), max_size=30),
    most=st.sampled_from([1, 2, 5, 64]),
)
def test_any_actions_come_out_as_if_each_had_been_alone(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, str]], most: int
) -> None:
    model = Notes()

    def expected(kind: str, word: str) -> Any:
        try:
            return model.act(kind, word)
        except Undo as error:
            return repr(error)

    with opened(tmp_path_factory.getbasetemp(), most=most, within_s=60) as place:
        with place.held():
            answers = [place.writers.submit(action(*act)) for act in acts]
        for act, answer in zip(acts, answers, strict=True):
            error = answer.exception(120)
            assert (repr(error) if error else answer.result()) == expected(*act)
        assert place.on_disk() == model.words


def test_those_who_wait_share_one_commit(place: Place) -> None:
    with place.held():
        answers = [place.writers.submit(action("note", str(n))) for n in range(20)]
    assert [answer.result(120) for answer in answers] == list(range(20))
    assert place.commits == 1


def test_nobody_waits_for_a_group_to_fill(place: Place) -> None:
    begun = time.monotonic()
    assert place.writers.submit(action("note", "alone")).result(120) == 0
    assert time.monotonic() - begun < 30  # a group may last a minute here


def test_a_group_is_bounded_by_number(tmp_path: Path) -> None:
    with opened(tmp_path, most=4, within_s=60) as place:
        with place.held():
            answers = [place.writers.submit(action("note", "x")) for _ in range(10)]
        for answer in answers:
            answer.result(120)
        assert place.commits == 3


def test_a_group_that_took_its_time_takes_no_further_action(tmp_path: Path) -> None:
    def slow(_: Connection) -> None:
        time.sleep(0.05)

    with opened(tmp_path, within_s=0.01) as place:
        with place.held():
            for _ in range(2):
                place.writers.submit(slow)
            last = place.writers.submit(action("note", "late"))
        last.result(120)
        assert place.commits == 3


def test_nobody_is_answered_before_the_commit(place: Place) -> None:
    """Neither with a result nor with what the action raised."""
    seen: list[list[bool]] = []

    def look(_: Connection) -> None:
        seen.append([answer.done() for answer in answers])

    with place.held():
        answers = [
            place.writers.submit(action("note", "a")),
            place.writers.submit(action("raise", "b")),
        ]
        last = place.writers.submit(look)
    last.result(120)
    assert seen == [[False, False]]
    with pytest.raises(Undo):
        answers[1].result()
    assert place.on_disk() == ["a"]


def test_an_action_does_not_see_what_was_undone_before_it(place: Place) -> None:
    with place.held():
        place.writers.submit(action("raise", "ghost"))
        seen = place.writers.submit(noted)
    assert seen.result(120) == []


def test_a_statement_that_fails_undoes_its_own_action_alone(place: Place) -> None:
    def wrong(connection: Connection) -> None:
        action("note", "wrong")(connection)
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    with place.held():
        answers = [
            place.writers.submit(act)
            for act in (action("note", "a"), wrong, action("note", "b"))
        ]
    with pytest.raises(Unavailable, match=r"store\.unavailable"):
        answers[1].result(120)
    assert [answers[n].result(120) for n in (0, 2)] == [0, 1]
    assert place.on_disk() == ["a", "b"]


def test_a_commit_that_fails_fails_all_also_those_that_raised(place: Place) -> None:
    """SQLite looks at deferred keys when it commits, and then refuses."""

    def orphan(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO child VALUES (1)")

    with place.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE parent (id PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE child (of REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
        )
    sa.event.listen(
        place.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA foreign_keys=1")
    )
    acts = (action("note", "a"), action("look", "a"), orphan, action("note", "b"))
    with place.held():
        answers = [place.writers.submit(act) for act in acts]
    for answer in answers:
        assert isinstance(answer.exception(120), Unavailable)
    assert place.on_disk() == []
    assert place.writers.submit(action("note", "c")).result(120) == 0


def test_a_transaction_that_sqlite_gave_up_fails_its_group_and_no_other(
    place: Place,
) -> None:
    def give_up(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")  # as SQLite does on a full disk
        raise sqlite3.OperationalError("database or disk is full")

    with place.held():
        answers = [
            place.writers.submit(act)
            for act in (action("note", "a"), give_up, action("note", "b"))
        ]
    for answer in answers[:2]:
        assert isinstance(answer.exception(120), Unavailable)
    assert answers[2].result(120) == 0
    assert place.on_disk() == ["b"]


def test_an_action_cancelled_before_its_turn_is_never_run(place: Place) -> None:
    with place.held():
        answers = [place.writers.submit(action("note", str(n))) for n in range(6)]
        assert all(answer.cancel() for answer in answers[1::2])
    for answer in answers[::2]:
        answer.result(120)
    assert place.on_disk() == ["0", "2", "4"]


def test_closing_finishes_what_waits_and_takes_nothing_more(place: Place) -> None:
    with place.held():
        answers = [place.writers.submit(action("note", "x")) for _ in range(5)]
        closing = threading.Thread(target=place.writers.close)
        closing.start()
    closing.join(120)
    assert [answer.result(0) for answer in answers] == list(range(5))
    with pytest.raises(RuntimeError, match="shutdown"):
        place.writers.submit(action("note", "late"))
    assert place.on_disk() == ["x"] * 5


async def test_a_caller_that_leaves_while_its_action_runs_leaves_it_whole(
    store: SqlStore, engine: sa.Engine
) -> None:
    running, go_on = threading.Event(), threading.Event()

    def slow(work: Any) -> None:
        append(work)
        running.set()
        assert go_on.wait(120)
        append(work)

    task = asyncio.create_task(store.write(slow))
    assert await asyncio.to_thread(running.wait, 120)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert (await store.write(append)).receipt.sequence == 2


async def test_receipts_of_many_callers_are_numbered_without_a_gap(
    store: SqlStore,
) -> None:
    signed = await asyncio.gather(*(store.write(append) for _ in range(50)))
    numbers = sorted(each.receipt.sequence for each in signed)
    assert numbers == list(range(50))
