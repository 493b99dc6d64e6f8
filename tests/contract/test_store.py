"""What every store of a node must do, whatever database is behind it.

Here: transactions, the schema, and what SQLite alone promises. Each port has a
module of its own.
"""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from crypto.encoding import b64u
from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore, engine_for
from node.errors import Unavailable
from node.migrations import upgrade
from node.ports import UnitOfWork
from tests.contract.samples import (
    HOUR,
    NOW,
    Undo,
    append,
    caller,
    declare,
    empty,
    kept,
    publication,
    record,
    request,
    seal,
    snapshot,
)
from tests.support.node import empty_store


class TestTransactions:
    async def test_what_returns_is_there_and_what_raises_never_was(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        def act(work: UnitOfWork) -> None:
            assert work.receipts.claim(caller(), NOW)
            assert work.receipts.count_call("a", HOUR, 1)
            work.agreements.add(kept())
            first = record("1", "c")
            work.datasets.publish(publication(), [first])
            work.datasets.change("projects", 2, [record("2", "c", 2)], ["1"])
            declare(work, "a", {1: "c"})
            work.snapshots.keep("a", 0, [seal(first, 1)])
            work.snapshots.drop("a", work.snapshots.outdated("a", "projects", None))
            work.snapshots.publish(snapshot(), {(0, 0): bytes(32)})
            assert work.receipts.probe(request("a"), {})
            append(work)

        def fail(work: UnitOfWork) -> None:
            act(work)
            raise Undo

        with pytest.raises(Undo):
            await store.write(fail)
        assert empty(engine)
        await store.write(act)
        assert not empty(engine)

    async def test_the_result_of_a_transaction_is_returned(
        self, store: SqlStore
    ) -> None:
        assert await store.write(lambda work: work.log.size()) == 0
        assert await store.read(lambda view: view.log.size()) == 0

    async def test_a_read_changes_nothing(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        with contextlib.suppress(Unavailable):  # PostgreSQL says so
            await store.read(lambda view: view.receipts.claim(caller(), NOW))
        assert empty(engine)

    async def test_a_read_sees_one_state_while_others_write(
        self, store: SqlStore
    ) -> None:
        await store.write(append)
        looking, written = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def look(view: UnitOfWork) -> tuple[int, int]:
            before = len(view.log.waiting(10))
            loop.call_soon_threadsafe(looking.set)
            asyncio.run_coroutine_threadsafe(written.wait(), loop).result(120)
            return before, len(view.log.waiting(10))

        reading = asyncio.create_task(store.read(look))
        await looking.wait()
        await store.write(append)
        written.set()
        assert await reading == (1, 1)
        assert len(await store.read(lambda view: view.log.waiting(10))) == 2

    async def test_a_transaction_that_is_given_up_is_whole_or_not_at_all(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        tasks = [asyncio.create_task(store.write(append)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.write(append)
        with engine.connect() as connection:
            rows = connection.execute(
                sa.select(t.receipts.c.stream_sequence).order_by("stream_sequence")
            ).scalars()
            assert (numbers := list(rows)) == list(range(len(numbers)))

    async def test_a_database_that_is_gone_is_unavailable(
        self, url: str, engine: sa.Engine
    ) -> None:
        away = "sqlite:////no/such/folder/node.sqlite"
        if engine.dialect.name == "postgresql":
            away = sa.make_url(url).set(port=1).render_as_string(False)
        gone = engine_for(away)
        lost = SqlStore(gone)
        for act in (lost.read, lost.write):
            with pytest.raises(Unavailable, match=r"store\.unavailable"):
                await act(lambda work: work.log.size())
        await asyncio.to_thread(lost.close)

    async def test_no_value_is_in_the_text_of_an_error(self, store: SqlStore) -> None:
        secret = kept()
        await store.write(lambda work: work.agreements.add(secret))
        with pytest.raises(Unavailable) as raised:
            await store.write(lambda work: work.agreements.add(secret))
        cause = raised.value.__cause__
        assert isinstance(cause, sa.exc.DBAPIError)
        assert cause.hide_parameters
        assert "joint-delivery" not in str(cause)


class TestSchema:
    def test_the_migrations_make_what_the_tables_say(self, engine: sa.Engine) -> None:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, t.metadata) == []

    def test_an_upgrade_can_be_repeated(self, fresh: str) -> None:
        for _ in range(3):
            upgrade(fresh)

    async def test_nodes_that_start_at_once_upgrade_once(
        self, kind: str, fresh: str
    ) -> None:
        if kind == "sqlite":
            pytest.skip("an SQLite store belongs to one process")
        starts = [asyncio.to_thread(upgrade, fresh) for _ in range(4)]
        assert await asyncio.gather(*starts) == [None] * 4

    def test_every_text_that_a_partner_can_send_has_room(
        self, engine: sa.Engine
    ) -> None:
        """SQLite takes any length; PostgreSQL refuses what is too long."""
        longest = {
            "nonces.issuer": 256,
            "nonces.nonce": len(b64u(bytes(64))),
            "receipts.agreement": 128,
            "receipts.dataset": 128,
            "receipts.purpose": 128,
            "receipts.partner": 256,
            "receipt_fields.field": 64,
            "agreements.id": 128,
            "agreements.dataset": 64,
            "agreements.partner": 256,
            "usage.agreement": 128 + len("#declared"),
            "probes.agreement": 128,
            "probes.field": 64,
            "received_snapshots.agreement": 128,
        }
        for column, length in longest.items():
            table, _, name = column.partition(".")
            kind = t.metadata.tables[table].c[name].type
            assert isinstance(kind, sa.String)
            assert kind.length is not None
            assert kind.length >= length, column


async def test_sqlite_waits_for_another_process_that_writes(tmp_path: Path) -> None:
    file = tmp_path / "node.sqlite"
    url = f"sqlite:///{file}"
    upgrade(url)
    store = SqlStore(engine_for(url))
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.write(append))
    await asyncio.sleep(0.2)
    assert not writing.done()
    other.execute("COMMIT")
    other.close()
    assert (await writing).receipt.sequence == 0
    await asyncio.to_thread(store.close)


async def test_sqlite_lets_nobody_write_between_a_look_and_what_follows(
    tmp_path: Path,
) -> None:
    file = tmp_path / "node.sqlite"
    file.write_bytes(empty_store())
    store = SqlStore(engine_for(f"sqlite:///{file}"))

    def look_then_write(work: UnitOfWork) -> None:
        assert work.log.size() == 0
        with (
            contextlib.closing(sqlite3.connect(file, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("DELETE FROM receipts")
        append(work)

    await store.write(look_then_write)
    await asyncio.to_thread(store.close)


def test_sqlite_reaches_the_disk_with_every_commit(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'node.sqlite'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["mysql://u:hidden@h/d", "oracle://u:hidden@h/d", "no url hidden", "",
            "postgresql://u:hid/den@h:port/d", "postgresql://u:pw@h:hidden/d"],
)  # fmt: skip
def test_another_database_is_refused_without_repeating_its_address(url: str) -> None:
    with pytest.raises(Unavailable, match=r"store\.unsupported") as raised:
        engine_for(url)
    shown: BaseException | None = raised.value
    while shown is not None:
        assert "hidden" not in str(shown)
        assert "hid" not in str(shown)
        shown = shown.__cause__
