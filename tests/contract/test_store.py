"""What every store of a node must do, whatever database is behind it."""

import asyncio
import contextlib
import dataclasses
import datetime
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from crypto import merkle
from crypto.encoding import b64u
from crypto.keys import Ed25519Key
from ledger import log
from ledger.ports import Anchored
from ledger.presentation import SignedRecord
from ledger.receipts import (
    FIRST,
    Countersignature,
    PolicyReference,
    Receipt,
    SignedReceipt,
    check_successor,
    countersign,
    sign_receipt,
    stream_id,
)
from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore, engine_for
from node.domain.agreement import Agreement, Status, Terms
from node.domain.dataset import Mode
from node.domain.declaration import dataset_from_json
from node.domain.disclosure import Caller, Request
from node.domain.negotiation import Negotiation, Role, State
from node.errors import Unavailable
from node.migrations import upgrade
from node.ports import (
    KeptAgreement,
    LogEntry,
    Publication,
    Received,
    Record,
    StoredAnchor,
    StoredCheckpoint,
    UnitOfWork,
)
from node.services.keep_log import over_nodes
from tests.support.node import empty_store, postgres_database
from tests.unit.node.test_negotiation import OFFER

ME, YOU = "did:web:me.test", "did:web:you.test"
KEY = Ed25519Key.from_bytes(b"provider".ljust(32))
NOW = datetime.datetime(2026, 11, 22, 18, 20, tzinfo=datetime.UTC)
HOUR = int(NOW.timestamp()) // 3600


@pytest.fixture(scope="module")
def migrated() -> Iterator[str]:
    """A PostgreSQL database with the schema, for one test after the other."""
    with postgres_database() as url:
        upgrade(url)
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def fresh(kind: str, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.sqlite'}"
        return
    with postgres_database() as url:
        yield url


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of a store that is migrated and empty."""
    if kind == "postgres":
        address: str = request.getfixturevalue("migrated")
        engine = engine_for(address)
        names = ", ".join(table.name for table in t.metadata.sorted_tables)
        with engine.begin() as connection:
            connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
        engine.dispose()
        return address
    (tmp_path / "node.sqlite").write_bytes(empty_store())
    return f"sqlite:///{tmp_path / 'node.sqlite'}"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = engine_for(url)
    yield engine
    engine.dispose()


@pytest.fixture
async def store(engine: sa.Engine) -> AsyncIterator[SqlStore]:
    store = SqlStore(engine)
    yield store
    await asyncio.to_thread(store.close)


class Undo(Exception):
    """Raised in the middle of a transaction."""


def caller(nonce: str = "n" * 22, did: str | None = YOU) -> Caller:
    return Caller(did=did, problem="", nonce=nonce)


def agreement(number: int = 0, **terms: Any) -> Agreement:
    return Agreement(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012}",
        dataset="projects",
        assigner=ME,
        assignee=YOU,
        terms=Terms(
            fields={"stage": Mode.PLAIN},
            purposes=("joint-delivery",),
            valid_from=NOW,
            valid_to=NOW + datetime.timedelta(days=1),
            calls_per_hour=terms.get("calls_per_hour", 10),
            rows_per_call=5,
        ),
        timestamp=NOW + datetime.timedelta(seconds=number),
    )


def kept(number: int = 0, role: Role = Role.PROVIDER) -> KeptAgreement:
    return KeptAgreement(
        agreement=agreement(number),
        role=role,
        status=Status.ACTIVE,
        signatures={"assigner": {"key_id": "k", "signature": "s"}},
    )


def receipt(sequence: int, previous: str, **changes: Any) -> Receipt:
    parties = {"consumer": YOU, "agreement": "a"} | {
        name: changes[name] for name in ("consumer", "agreement") if name in changes
    }
    values: dict[str, Any] = {
        "provider": ME,
        "agreement_hash": None,
        "stream": stream_id(provider=ME, **parties),
        "sequence": sequence,
        "previous": previous,
        "at": "2026-11-22T18:20:00Z",
        "request_hash": secrets.token_hex(32),
        "nonce": None,
        "dataset": "projects",
        "purpose": "joint-delivery",
        "fields": ("a", "b"),
        "decision": "deny",
        "denials": ("field.not_granted", "purpose.mismatch"),
        "customers": 1,
        "records": 0,
        "response_hash": None,
        "policy": PolicyReference(
            revision="0" * 64, input_hash="0" * 64, engine="test/1"
        ),
        "key_id": KEY.key_id(ME),
        **parties,
    }
    return Receipt(**(values | changes))


def append(work: UnitOfWork, **changes: Any) -> SignedReceipt:
    parties = {"consumer": YOU, "agreement": "a"} | {
        name: changes[name] for name in ("consumer", "agreement") if name in changes
    }
    stream = stream_id(provider=ME, **parties)
    sequence, previous = work.receipts.head(stream)
    signed = sign_receipt(receipt(sequence, previous, **changes), KEY)
    work.receipts.append(
        signed, salt=secrets.token_bytes(32), token=None, question="{}", took_ms=1
    )
    return signed


def dump(engine: sa.Engine) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in t.metadata.sorted_tables
        }


def empty(engine: sa.Engine) -> bool:
    return not any(dump(engine).values())


DECLARATION = {
    "dataset": "projects",
    "title": {"en": "Projects", "zh": "项目"},
    "source": {"url": "sqlite:////x", "table": "t", "record": "id", "timeout_s": 5.0},
    "customer": {"column": "c", "rule": "exact"},
    "fields": {
        "stage": {
            "column": "s",
            "type": "text",
            "title": {"en": "s", "zh": "s"},
            "grade": "general",
            "personal": False,
            "modes": ["plain"],
        }
    },
}


def publication(version: int = 1, dataset: str = "projects") -> Publication:
    declaration = DECLARATION | {"dataset": dataset}
    return Publication(
        dataset=dataset_from_json(declaration),
        version=version,
        published_at=NOW,
        declaration=declaration,
        report={"rows": 1, "words": "二"},
    )


def record(key: str, customer: str, fill: bytes = b"s") -> Record:
    return Record(
        key=key,
        customer=customer,
        signed=SignedRecord(scalars=fill * 32, signature=fill * 80),
    )


class TestTransactions:
    async def test_what_returns_is_there_and_what_raises_never_was(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        def act(work: UnitOfWork) -> None:
            assert work.receipts.claim(caller(), NOW)
            assert work.receipts.count_call("a", HOUR, 1)
            work.agreements.add(kept())
            work.agreements.declare("a", {b"t" * 32: "c", b"u" * 32: None})
            work.datasets.publish(publication(), [record("1", "c")])
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
            asyncio.run_coroutine_threadsafe(written.wait(), loop).result(10)
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
        }
        for column, length in longest.items():
            table, _, name = column.partition(".")
            kind = t.metadata.tables[table].c[name].type
            assert isinstance(kind, sa.String)
            assert kind.length is not None
            assert kind.length >= length, column


class TestNonces:
    async def test_a_nonce_is_claimed_once(self, store: SqlStore) -> None:
        def claim(nonce: str, did: str = YOU) -> Any:
            return store.write(lambda w: w.receipts.claim(caller(nonce, did), NOW))

        assert await claim("one")
        assert not await claim("one")
        assert await claim("two")
        assert await claim("one", ME)
        assert not await claim("one", ME)

    async def test_of_claims_at_once_one_succeeds(self, store: SqlStore) -> None:
        def claim(work: UnitOfWork) -> bool:
            return work.receipts.claim(caller(), NOW)

        claims = await asyncio.gather(*(store.write(claim) for _ in range(20)))
        assert sorted(claims) == [False] * 19 + [True]

    async def test_a_claim_that_was_undone_can_be_made_again(
        self, store: SqlStore
    ) -> None:
        def fail(work: UnitOfWork) -> None:
            assert work.receipts.claim(caller(), NOW)
            raise Undo

        with pytest.raises(Undo):
            await store.write(fail)
        assert await store.write(lambda w: w.receipts.claim(caller(), NOW))

    async def test_a_nonce_is_seen_by_its_issuer_and_until_it_is_forgotten(
        self, store: SqlStore
    ) -> None:
        async def seen(nonce: str | None, did: str | None = YOU) -> bool:
            who = Caller(did=did, problem="", nonce=nonce)
            situation = await store.read(
                lambda view: view.receipts.situation(request(), who, HOUR)
            )
            return situation.nonce_seen

        await store.write(lambda w: w.receipts.claim(caller("x"), NOW))
        assert await seen("x")
        assert not await seen("y")
        assert not await seen("x", ME)
        assert not await seen(None, None)
        second = datetime.timedelta(seconds=1)
        await store.write(lambda w: w.receipts.forget_nonces(NOW))
        assert await seen("x")
        await store.write(lambda w: w.receipts.forget_nonces(NOW + second))
        assert not await seen("x")

    async def test_the_longest_nonce_and_names_fit(self, store: SqlStore) -> None:
        nonce = b64u(bytes(64))
        long = f"did:web:{'a' * 200}"
        assert await store.write(lambda w: w.receipts.claim(caller(nonce, long), NOW))
        changes = {
            "consumer": long,
            "agreement": "a" * 128,
            "dataset": "d" * 128,
            "purpose": "p" * 128,
            "fields": ("f" * 64,),
        }
        signed = await store.write(lambda w: append(w, **changes))
        entry = await store.read(lambda v: v.receipts.entry(signed.receipt.receipt_id))
        assert entry is not None
        assert entry.signed == signed


def request(agreement_id: str = agreement().id) -> Request:
    return Request(
        dataset="projects",
        agreement=agreement_id,
        purpose="p",
        fields=("a",),
        customers=(b"t" * 32,),
    )


class TestRates:
    async def test_the_cap_is_exact_under_calls_at_once(self, store: SqlStore) -> None:
        def count(work: UnitOfWork) -> bool:
            return work.receipts.count_call("a", HOUR, 10)

        counted = await asyncio.gather(*(store.write(count) for _ in range(30)))
        assert sum(counted) == 10

    async def test_each_agreement_and_hour_counts_by_itself(
        self, store: SqlStore
    ) -> None:
        for name, hour in (("a", HOUR), ("b", HOUR), ("a", HOUR + 1)):
            for expected in (True, False):
                assert (
                    await store.write(
                        lambda w, n=name, h=hour: w.receipts.count_call(n, h, 1)  # type: ignore[misc]
                    )
                    is expected
                )

    async def test_a_call_that_was_undone_is_not_counted(self, store: SqlStore) -> None:
        def fail(work: UnitOfWork) -> None:
            assert work.receipts.count_call(agreement().id, HOUR, 2)
            raise Undo

        for _ in range(3):
            with pytest.raises(Undo):
                await store.write(fail)
        situation = await store.read(
            lambda view: view.receipts.situation(request(), caller(), HOUR)
        )
        assert situation.calls_this_hour == 0

    async def test_a_situation_tells_what_a_decision_needs(
        self, store: SqlStore
    ) -> None:
        nothing = await store.read(
            lambda view: view.receipts.situation(request(), caller(), HOUR)
        )
        assert nothing.agreement is None
        assert nothing.status is Status.REVOKED
        await store.write(lambda w: w.agreements.add(kept()))
        await store.write(
            lambda w: w.agreements.set_status(agreement().id, Status.SUSPENDED)
        )
        for _ in range(3):
            await store.write(lambda w: w.receipts.count_call(agreement().id, HOUR, 9))
        found = await store.read(
            lambda view: view.receipts.situation(request(), caller(), HOUR)
        )
        assert found.agreement == agreement()
        assert (found.status, found.calls_this_hour) == (Status.SUSPENDED, 3)


class TestStreams:
    async def test_streams_have_no_gap_under_appends_at_once(
        self, store: SqlStore
    ) -> None:
        names = ["a", "a", "b", "a"] * 5
        signed = await asyncio.gather(
            *(store.write(lambda w, n=n: append(w, agreement=n)) for n in names)  # type: ignore[misc]
        )
        for name, count in (("a", 15), ("b", 5)):
            stream = sorted(
                (s.receipt for s in signed if s.receipt.agreement == name),
                key=lambda each: each.sequence,
            )
            assert len(stream) == count
            for before, after in zip([None, *stream], stream, strict=False):
                check_successor(before, after)

    async def test_an_append_that_was_undone_leaves_no_gap(
        self, store: SqlStore
    ) -> None:
        first = await store.write(append)

        def fail(work: UnitOfWork) -> None:
            append(work)
            raise Undo

        with pytest.raises(Undo):
            await store.write(fail)
        second = await store.write(append)
        check_successor(first.receipt, second.receipt)

    async def test_a_new_stream_begins_at_nothing(self, store: SqlStore) -> None:
        assert await store.write(lambda w: w.receipts.head("ab" * 32)) == (0, FIRST)

    async def test_a_receipt_cannot_take_anothers_place(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await store.write(append)
        before = dump(engine)

        def twice(work: UnitOfWork) -> None:
            other = sign_receipt(receipt(0, FIRST), KEY)
            work.receipts.append(
                other, salt=bytes(32), token=None, question="{}", took_ms=0
            )

        with pytest.raises(Unavailable):
            await store.write(twice)
        assert dump(engine) == before

    async def test_a_receipt_is_kept_to_the_byte(self, store: SqlStore) -> None:
        signed = await store.write(append)
        entry = await store.read(
            lambda view: view.receipts.entry(signed.receipt.receipt_id)
        )
        assert entry is not None
        assert entry.signed == signed
        assert entry.signed.receipt.canonical() == signed.receipt.canonical()
        assert (entry.index, entry.countersignature) == (None, None)
        assert await store.read(lambda view: view.receipts.entry("0" * 64)) is None

    async def test_the_first_countersignature_stays(self, store: SqlStore) -> None:
        signed = await store.write(append)
        consumer = Ed25519Key.from_bytes(b"consumer".ljust(32))
        right = countersign(signed, consumer)
        other = Countersignature(key_id="other", signature=bytes(64))
        receipt_id = signed.receipt.receipt_id
        for given in (right, other, right):
            await store.write(
                lambda w, g=given: w.receipts.countersign(receipt_id, g)  # type: ignore[misc]
            )
        entry = await store.read(lambda view: view.receipts.entry(receipt_id))
        assert entry is not None
        assert entry.countersignature == right

    async def test_the_first_answer_received_stays(self, store: SqlStore) -> None:
        signed = sign_receipt(receipt(0, FIRST), KEY)
        first = Received(
            signed=signed, at=NOW, verified=False, checks=[{"a": "二"}], disclosure=None
        )
        second = dataclasses.replace(first, verified=True, disclosure={"x": 1})
        for each in (first, second):
            await store.write(lambda w, e=each: w.receipts.receive(e))  # type: ignore[misc]
        found = await store.read(
            lambda view: view.receipts.received(signed.receipt.receipt_id)
        )
        assert found == first
        assert await store.read(lambda view: view.receipts.received("0" * 64)) is None


def integrate(work: UnitOfWork) -> bytes:
    """Do what the log's keeper does; return the new root."""
    size = work.log.size()
    waiting = work.log.waiting(1000)
    leaves = [log.leaf(entry.signed, entry.salt) for entry in waiting]
    grown = over_nodes(work, lambda read: log.integrate(size, read, leaves))
    work.log.integrate(size, [entry.sequence for entry in waiting], grown.nodes)
    return grown.root


class TestLog:
    async def test_entries_wait_in_order_until_they_are_integrated(
        self, store: SqlStore
    ) -> None:
        leaves: list[bytes] = []
        waiting: Sequence[LogEntry] = []
        for count in (1, 2, 5, 8):
            for _ in range(count):
                await store.write(append)
            waiting = await store.read(lambda view: view.log.waiting(100))
            assert len(waiting) == count
            numbers = [entry.sequence for entry in waiting]
            assert numbers == sorted(numbers)
            leaves += [log.leaf(entry.signed, entry.salt) for entry in waiting]
            assert await store.write(integrate) == merkle.root(leaves)
            assert await store.read(lambda view: view.log.size()) == len(leaves)
            assert await store.read(lambda view: view.log.waiting(100)) == []
        entries = [
            await store.read(
                lambda view, e=entry: view.receipts.entry(e.signed.receipt.receipt_id)  # type: ignore[misc]
            )
            for entry in waiting
        ]
        assert [entry and entry.index for entry in entries] == list(range(8, 16))

    async def test_waiting_entries_come_in_portions(self, store: SqlStore) -> None:
        for _ in range(5):
            await store.write(append)
        assert len(await store.read(lambda view: view.log.waiting(3))) == 3

    async def test_no_entry_and_no_node_is_integrated_twice(
        self, store: SqlStore, engine: sa.Engine
    ) -> None:
        await store.write(append)
        (entry,) = await store.read(lambda view: view.log.waiting(1))
        await store.write(integrate)
        before = dump(engine)
        other = await store.write(append)
        (second,) = await store.read(lambda view: view.log.waiting(1))
        assert second.signed == other
        for action in (
            lambda w: w.log.integrate(0, [second.sequence], [(0, 1, bytes(32))]),
            lambda w: w.log.integrate(1, [second.sequence], [(0, 0, bytes(32))]),
        ):
            with pytest.raises(Unavailable):
                await store.write(action)
        after = dump(engine)
        assert after["log_nodes"] == before["log_nodes"]
        assert entry.sequence < second.sequence

    async def test_two_integrators_at_once_do_not_spoil_the_tree(
        self, store: SqlStore
    ) -> None:
        for _ in range(8):
            await store.write(append)
        waiting = await store.read(lambda view: view.log.waiting(10))
        leaves = [log.leaf(entry.signed, entry.salt) for entry in waiting]

        def once(work: UnitOfWork) -> None:
            if work.log.waiting(1):
                integrate(work)

        await asyncio.gather(
            *(store.write(once) for _ in range(4)), return_exceptions=True
        )
        assert await store.read(lambda view: view.log.size()) == 8
        nodes = await store.read(
            lambda view: view.log.nodes([(0, index) for index in range(8)])
        )
        assert [nodes[0, index] for index in range(8)] == leaves

    async def test_many_nodes_are_read_at_once(self, store: SqlStore) -> None:
        nodes = [(0, index, index.to_bytes(32)) for index in range(1000)]
        await store.write(append)
        (entry,) = await store.read(lambda view: view.log.waiting(1))
        await store.write(lambda w: w.log.integrate(0, [entry.sequence], nodes))
        wanted = [(0, index) for index in range(1100)]
        found = await store.read(lambda view: view.log.nodes(wanted))
        assert found == {(0, index): value for _, index, value in nodes}

    async def test_checkpoints_are_found_by_size_and_the_newest(
        self, store: SqlStore
    ) -> None:
        assert await store.read(lambda view: view.log.checkpoint()) is None
        notes = [
            StoredCheckpoint(
                size=size, root=bytes([size]) * 32, note=f"二{size}", at=NOW
            )
            for size in (3, 10, 9)
        ]
        for note in notes:
            await store.write(lambda w, n=note: w.log.publish(n))  # type: ignore[misc]
        assert await store.read(lambda view: view.log.checkpoint()) == notes[1]
        assert await store.read(lambda view: view.log.checkpoint(3)) == notes[0]
        assert await store.read(lambda view: view.log.checkpoint(4)) is None

    async def test_one_size_has_one_checkpoint(self, store: SqlStore) -> None:
        first = StoredCheckpoint(size=1, root=bytes(32), note="one", at=NOW)
        await store.write(lambda w: w.log.publish(first))
        other = dataclasses.replace(first, root=b"r" * 32, note="two")
        with pytest.raises(Unavailable):
            await store.write(lambda w: w.log.publish(other))
        assert await store.read(lambda view: view.log.checkpoint()) == first

    async def test_an_anchor_is_begun_then_held(self, store: SqlStore) -> None:
        assert await store.read(lambda view: view.log.anchor()) is None
        begun = anchor(1, 4)
        await store.write(lambda w: w.log.keep_anchor(begun))
        assert await store.read(lambda view: view.log.anchor()) == begun
        assert await store.read(lambda view: view.log.anchor_covering(0)) is None
        held = dataclasses.replace(begun, anchored=anchored(1))
        await store.write(lambda w: w.log.keep_anchor(held))
        assert await store.read(lambda view: view.log.anchor()) == held

    async def test_an_entry_is_covered_by_the_first_anchor_that_holds_it(
        self, store: SqlStore
    ) -> None:
        sizes = {1: 4, 2: 4, 3: 9}
        for epoch, size in sizes.items():
            held = dataclasses.replace(anchor(epoch, size), anchored=anchored(epoch))
            await store.write(lambda w, h=held: w.log.keep_anchor(h))  # type: ignore[misc]
        await store.write(lambda w: w.log.keep_anchor(anchor(4, 20)))
        expected: dict[int, int | None] = {0: 1, 3: 1, 4: 3, 8: 3, 9: None}
        for index, wanted in expected.items():
            found = await store.read(
                lambda view, i=index: view.log.anchor_covering(i)  # type: ignore[misc]
            )
            assert (found and found.epoch) == wanted


def anchor(epoch: int, size: int) -> StoredAnchor:
    return StoredAnchor(
        epoch=epoch,
        size=size,
        note="note",
        salt=b"s" * 32,
        commitment=bytes([epoch]) * 32,
        chain_id=1337,
        contract="0x" + "cc" * 20,
        at=NOW,
        anchored=None,
    )


def anchored(epoch: int) -> Anchored:
    return Anchored(
        epoch=epoch,
        commitment=bytes([epoch]) * 32,
        transaction=f"0x{epoch:064x}",
        block=epoch,
    )


class TestAgreements:
    async def test_an_agreement_is_kept_to_the_byte(self, store: SqlStore) -> None:
        await store.write(lambda w: w.agreements.add(kept()))
        found = await store.read(lambda view: view.agreements.get(agreement().id))
        assert found == kept()
        assert found.agreement.hash == agreement().hash
        assert await store.read(lambda view: view.agreements.get("other")) is None

    async def test_an_agreement_is_never_replaced(self, store: SqlStore) -> None:
        await store.write(lambda w: w.agreements.add(kept()))
        other = dataclasses.replace(kept(), agreement=agreement(calls_per_hour=99))
        with pytest.raises(Unavailable):
            await store.write(lambda w: w.agreements.add(other))
        found = await store.read(lambda view: view.agreements.get(agreement().id))
        assert found == kept()

    async def test_agreements_are_listed_newest_first(self, store: SqlStore) -> None:
        for number in (1, 3, 2):
            await store.write(lambda w, n=number: w.agreements.add(kept(n)))  # type: ignore[misc]
        found = await store.read(lambda view: view.agreements.all())
        assert [each.agreement for each in found] == [agreement(n) for n in (3, 2, 1)]

    async def test_a_status_belongs_to_one_agreement(self, store: SqlStore) -> None:
        for number in (1, 2):
            await store.write(lambda w, n=number: w.agreements.add(kept(n)))  # type: ignore[misc]
        await store.write(
            lambda w: w.agreements.set_status(agreement(1).id, Status.REVOKED)
        )
        states = {
            each.agreement.id: each.status
            for each in await store.read(lambda view: view.agreements.all())
        }
        assert states == {
            agreement(1).id: Status.REVOKED,
            agreement(2).id: Status.ACTIVE,
        }

    async def test_a_declaration_replaces_the_one_before(self, store: SqlStore) -> None:
        first = {bytes([n]) * 32: f"c{n}" if n % 2 else None for n in range(6)}
        second = {bytes([n]) * 32: f"c{n}" for n in range(4, 8)}
        for customers in (first, second):
            await store.write(
                lambda w, c=customers: w.agreements.declare("a", c)  # type: ignore[misc]
            )
        await store.write(lambda w: w.agreements.declare("b", {b"b" * 32: "b"}))
        found = await store.read(lambda view: view.agreements.declared("a"))
        assert set(found) == set(second)
        assert await store.read(lambda view: view.agreements.declared("x")) == []

    async def test_only_customers_that_both_know_are_aligned(
        self, store: SqlStore
    ) -> None:
        known, unknown, strange = b"k" * 32, b"u" * 32, b"s" * 32
        await store.write(
            lambda w: w.agreements.declare("a", {known: "客户", unknown: None})
        )
        await store.write(lambda w: w.agreements.declare("b", {strange: "c"}))
        asked = [known, unknown, strange, b"n" * 32]
        found = await store.read(lambda view: view.agreements.aligned("a", asked))
        assert found == {known: "客户"}
        assert await store.read(lambda view: view.agreements.aligned("a", [])) == {}

    async def test_thousands_of_tokens_are_aligned(self, store: SqlStore) -> None:
        customers = {n.to_bytes(32): f"c{n}" for n in range(2500)}
        await store.write(lambda w: w.agreements.declare("a", customers))
        tokens = [n.to_bytes(32) for n in range(5000)]
        found = await store.read(lambda view: view.agreements.aligned("a", tokens))
        assert found == customers

    async def test_a_negotiation_is_kept_and_moved(self, store: SqlStore) -> None:
        begun = Negotiation(
            provider_pid="urn:uuid:p",
            consumer_pid="urn:uuid:c",
            role=Role.CONSUMER,
            partner=ME,
            state=State.OFFERED,
            offer=OFFER,
        )
        moved = dataclasses.replace(begun, state=State.AGREED, agreement=agreement())
        for each in (begun, moved):
            await store.write(lambda w, e=each: w.agreements.keep_negotiation(e))  # type: ignore[misc]
            found = await store.write(
                lambda w: w.agreements.hold_negotiation("urn:uuid:c")
            )
            assert found == each
        assert await store.read(lambda view: view.agreements.negotiations()) == [moved]
        assert (
            await store.write(lambda w: w.agreements.hold_negotiation("urn:uuid:p"))
        ) is None

    async def test_a_held_negotiation_is_moved_by_one_at_a_time(
        self, store: SqlStore
    ) -> None:
        begun = Negotiation(
            provider_pid="urn:uuid:p",
            consumer_pid="urn:uuid:c",
            role=Role.PROVIDER,
            partner=YOU,
            state=State.OFFERED,
            offer=OFFER,
        )
        await store.write(lambda w: w.agreements.keep_negotiation(begun))

        def move(work: UnitOfWork) -> bool:
            found = work.agreements.hold_negotiation("urn:uuid:p")
            assert found is not None
            if found.state is not State.OFFERED:
                return False
            time.sleep(0.02)  # whoever does not wait has looked meanwhile
            work.agreements.keep_negotiation(
                found.advance(State.ACCEPTED, sender=Role.CONSUMER)
            )
            return True

        moved = await asyncio.gather(*(store.write(move) for _ in range(8)))
        assert sum(moved) == 1

    async def test_who_holds_an_agreement_keeps_its_status(
        self, store: SqlStore
    ) -> None:
        await store.write(lambda w: w.agreements.add(kept()))

        def decide(work: UnitOfWork) -> bool:
            found = work.agreements.hold(agreement().id)
            assert found is not None
            return found.status is Status.ACTIVE

        def change(work: UnitOfWork) -> bool:
            if not decide(work):
                return False
            time.sleep(0.05)  # whoever looks meanwhile must wait
            work.agreements.set_status(agreement().id, Status.REVOKED)
            return True

        changed = await asyncio.gather(*(store.write(change) for _ in range(4)))
        assert sum(changed) == 1
        assert not await store.write(decide)
        assert await store.write(lambda w: w.agreements.hold("urn:uuid:none")) is None

    async def test_negotiations_are_listed_newest_first(self, store: SqlStore) -> None:
        pids = [f"urn:uuid:{n}" for n in (5, 1, 3)]
        for pid in pids:
            begun = Negotiation(
                provider_pid=pid,
                consumer_pid="urn:uuid:c",
                role=Role.PROVIDER,
                partner=YOU,
                state=State.OFFERED,
                offer=OFFER,
            )
            await store.write(lambda w, n=begun: w.agreements.keep_negotiation(n))  # type: ignore[misc]
        found = await store.read(lambda view: view.agreements.negotiations())
        assert [each.pid for each in found] == pids[::-1]


class TestDatasets:
    async def test_a_publication_replaces_the_one_before(self, store: SqlStore) -> None:
        for version, keys in ((1, "abc"), (2, "bcd")):
            records = [record(key, f"c-{key}") for key in keys]
            await store.write(
                lambda w, v=version, r=records: w.datasets.publish(publication(v), r)  # type: ignore[misc]
            )
        await store.write(
            lambda w: w.datasets.publish(publication(1, "others"), [record("z", "z")])
        )
        found = await store.read(lambda view: view.datasets.get("projects"))
        assert found == publication(2)
        customers = await store.read(lambda view: view.datasets.customers("projects"))
        assert sorted(customers) == ["c-b", "c-c", "c-d"]
        everything = await store.read(lambda view: view.datasets.all())
        assert [each.dataset.id for each in everything] == ["others", "projects"]
        assert await store.read(lambda view: view.datasets.get("none")) is None

    async def test_records_are_found_by_customer_in_order_and_up_to_a_number(
        self, store: SqlStore
    ) -> None:
        records = [
            record(key, customer)
            for key, customer in (("2", "b"), ("1", "b"), ("9", "a"), ("5", "c"))
        ]
        await store.write(lambda w: w.datasets.publish(publication(), records))

        async def keys(customers: list[str], most: int) -> list[str]:
            found = await store.read(
                lambda view: view.datasets.records("projects", customers, most)
            )
            return [each.key for each in found]

        assert await keys(["b", "a"], 10) == ["9", "1", "2"]
        assert await keys(["b", "a"], 2) == ["9", "1"]
        assert await keys(["x"], 10) == []
        assert await keys([], 10) == []

    async def test_a_record_is_renewed_and_no_other(self, store: SqlStore) -> None:
        records = [record("1", "a"), record("2", "a")]
        await store.write(lambda w: w.datasets.publish(publication(), records))
        new, gone = record("2", "a", b"n"), record("3", "a", b"n")
        await store.write(lambda w: w.datasets.renew("projects", [new, gone]))
        found = await store.read(
            lambda view: view.datasets.records("projects", ["a"], 10)
        )
        assert found == [records[0], new]

    async def test_many_records_are_published(self, store: SqlStore) -> None:
        records = [record(f"{n:06}", f"c{n % 7}") for n in range(2500)]
        await store.write(lambda w: w.datasets.publish(publication(), records))
        found = await store.read(
            lambda view: view.datasets.records("projects", ["c0", "c1"], 5000)
        )
        assert len(found) == sum(1 for n in range(2500) if n % 7 < 2)


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
