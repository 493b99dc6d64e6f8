"""Every fault that is planted in the store's log is found, and named.

One store is made, with calls, refusals, a snapshot, anchors, and a consumer's side.
Then one column of one row after the other is changed, and the store is checked.
"""

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from ledger.ports import ChainReader
from node import keeping
from node.adapters.sql import tables as t
from node.adapters.sql.erasure import SqlErasure
from node.adapters.sql.fsck import Basis, Finding, check
from node.adapters.sql.store import engine_for
from node.config import Settings, load
from node.keeping import checking, pinned
from tests.support.node import PURPOSE, SHARED, START, World, open_world

LOG = ("receipts", "receipt_fields", "receipt_denials", "streams", "snapshots")
TREE = ("log_nodes", "checkpoints", "anchors", "tiles", "seals", "declarations")
CONSUMER = ("received", "received_snapshots", "asked")
BY_NOBODY = {
    "receipts": {"took_ms"},
    "snapshots": {"row"},
    "checkpoints": {"at"},
    "anchors": {
        *("row", "chain_id", "contract", "member", "at", "nonce", "raw"),
        *("transaction_hash", "signed_at", "block", "block_hash"),
    },
    "seals": {"key", "customer", "link", "digest", "blinder", "signature"},
    "declarations": {"number"},
    "received": {"sequence", "at", "verified", "checks", "delivered"},
    "asked": {"at"},
}
"""Columns that nobody has signed, and that no other row tells either."""


@dataclass
class Made:
    """A store that is sound, and what it is checked against."""

    folder: Path
    octets: dict[str, bytes]
    chain: ChainReader

    def copy(self, role: str, place: Path) -> str:
        file = place / f"{secrets.token_hex(4)}.sqlite"
        file.write_bytes(self.octets[role])
        return f"sqlite:///{file}"

    def basis(self, role: str) -> Basis:
        me, pins = pinned(load(self.folder / role / "node.yaml"))
        return Basis(me=me, pins=pins)


async def ask(world: World, number: int) -> None:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [SHARED[number % 3]],
    }
    await world.supplier.manage("/management/ask", question)


async def fill(world: World) -> None:
    """Make a log of 13 receipts and a snapshot, with six checkpoints and two anchors."""
    keeper = world.maker.services.keep_log
    for number in range(9):
        await ask(world, number)
        if number % 2:
            await keeper.integrate()
    await world.query(fields=["contact_phone"])
    await world.query(token=None)
    await keeper.integrate()
    await world.maker.services.anchoring()
    await world.query(where=[_condition()])
    await keeper.integrate()
    await world.maker.services.anchoring()
    await world.query()  # waits for the tree


def _condition() -> dict[str, Any]:
    values = ["1000000.00"]
    return {"fields": ["annual_spend"], "is": "at_least", "values": values}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("fsck")

    async def make() -> ChainReader:
        async with open_world(folder) as world:
            await fill(world)
            return world.chain

    chain = asyncio.run(make())
    octets = {}
    for role in ("maker", "supplier"):
        file = folder / role / "node.sqlite"
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.close()
        octets[role] = file.read_bytes()
    return Made(folder=folder, octets=octets, chain=chain)


def found(url: str, basis: Basis) -> list[Finding]:
    engine = engine_for(url)
    try:
        with engine.connect() as connection:
            return list(check(connection, basis))
    finally:
        engine.dispose()


def change(url: str, *statements: Any) -> None:
    engine = engine_for(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


def rows(url: str, table: sa.Table) -> list[dict[str, Any]]:
    engine = engine_for(url)
    with engine.connect() as connection:
        got = [dict(row._mapping) for row in connection.execute(sa.select(table))]
    engine.dispose()
    return got


def other(value: Any) -> Any:
    """Return a value that differs in one place."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1000
    if isinstance(value, bytes):
        middle = len(value) // 2
        return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
    middle = len(value) // 2
    changed = "b" if value[middle] == "a" else "a"
    return value[:middle] + changed + value[middle + 1 :]


def cases(*names: str) -> list[Any]:
    return [
        pytest.param(name, column.name, id=f"{name}-{column.name}")
        for name in names
        for column in t.metadata.tables[name].c
        if column.name not in BY_NOBODY.get(name, set())
    ]


@pytest.mark.parametrize("role", ["maker", "supplier"])
def test_a_sound_store_has_nothing_wrong(made: Made, tmp_path: Path, role: str) -> None:
    basis = made.basis(role)
    basis.chain = made.chain if role == "maker" else None
    assert found(made.copy(role, tmp_path), basis) == []
    assert basis.unknown == set()
    if role == "maker":
        assert basis.counts() == {
            "receipts": 13,
            "erased": 0,
            "entries": 13,
            "anchors": 2,
            "checkpoints": 6,
            "received": 0,
        }
    else:
        assert basis.received == 9


@pytest.mark.parametrize(("table", "column"), cases(*LOG, *TREE))
def test_a_changed_column_of_the_log_is_found(
    made: Made, tmp_path: Path, table: str, column: str
) -> None:
    _plant_and_find(made, tmp_path, "maker", table, column)


@pytest.mark.parametrize(("table", "column"), cases(*CONSUMER))
def test_a_changed_column_of_what_was_received_is_found(
    made: Made, tmp_path: Path, table: str, column: str
) -> None:
    _plant_and_find(made, tmp_path, "supplier", table, column)


_WORDS = {"erased_at": "erased", "countersigner": "countersignature"}
"""How a column is told of whose own name is not."""


def _plant_and_find(
    made: Made, tmp_path: Path, role: str, name: str, column: str
) -> None:
    url = made.copy(role, tmp_path)
    table = t.metadata.tables[name]
    there = rows(url, table)
    held = [each for each in there if each[column] is not None]
    row = held[len(held) // 2] if held else there[len(there) // 2]
    value = other(row[column]) if held else _PLANTED[name, column]
    if column == "log_index":
        value = 10**6
    if column in {"level", "position"} and name == "log_nodes":
        value = row[column] + 40
    this = sa.and_(*(key == row[key.name] for key in table.primary_key))
    change(url, sa.update(table).where(this).values({column: value}))
    wrong = found(url, made.basis(role))
    assert wrong, "nothing was found"
    tables = {each.table for each in wrong} | {
        each.wrong.split(":")[0] for each in wrong
    }
    assert name in tables, wrong
    if name in {"receipts", "received", "snapshots", "checkpoints", "asked"}:
        key = [str(row[each.name]) for each in table.primary_key]
        own = [each for each in wrong if each.table == name]
        word = _WORDS.get(column, column)
        named = [each for each in own if each.row in key and word in each.wrong]
        assert named or table.c[column].primary_key, wrong


_PLANTED = {
    ("receipts", "erased_at"): 1_800_000_000,
    ("receipts", "erased_why"): "no reason",
    ("receipts", "plan"): "ab" * 32,
    ("received", "plan"): "ab" * 32,
    ("received", "erased_at"): 1_800_000_000,
    ("received", "erased_why"): "no reason",
}


def test_what_is_erased_is_sound_and_a_changed_leaf_of_it_is_found(
    made: Made, tmp_path: Path
) -> None:
    url = made.copy("maker", tmp_path)
    there = [row for row in rows(url, t.receipts) if row["log_index"] is not None]
    engine = engine_for(url)
    with engine.begin() as connection:
        names = [there[2]["receipt_id"], there[3]["receipt_id"]]
        assert SqlErasure(connection).erase(names, START, "asked to") == 2
    engine.dispose()
    basis = made.basis("maker")
    assert found(url, basis) == []
    assert (basis.receipts, basis.erased) == (13, 2)
    this = sa.and_(
        t.log_nodes.c.level == 0, t.log_nodes.c.position == there[2]["log_index"]
    )
    change(url, sa.update(t.log_nodes).where(this).values(hash=bytes(32)))
    [wrong] = found(url, made.basis("maker"))
    assert (wrong.table, wrong.row[0]) == ("log_nodes", "1")
    assert "the two nodes below" in wrong.wrong


@pytest.mark.parametrize("name", ["receipts", "snapshots", "log_nodes", "streams"])
def test_a_row_that_is_gone_is_missed(made: Made, tmp_path: Path, name: str) -> None:
    url = made.copy("maker", tmp_path)
    table = t.metadata.tables[name]
    for row in rows(url, table):
        url = made.copy("maker", tmp_path)
        this = sa.and_(*(key == row[key.name] for key in table.primary_key))
        change(url, sa.delete(table).where(this))
        wrong = found(url, made.basis("maker"))
        assert wrong, row
        if name == "log_nodes":
            place = f"{row['level']}/{row['position']}"
            assert [(each.table, each.row) for each in wrong] == [(name, place)]


def test_of_a_wrong_hash_the_one_row_is_named_that_is_wrong(
    made: Made, tmp_path: Path
) -> None:
    for row in rows(made.copy("maker", tmp_path), t.log_nodes):
        url = made.copy("maker", tmp_path)
        c = t.log_nodes.c
        this = sa.and_(c.level == row["level"], c.position == row["position"])
        changed = sa.update(t.log_nodes).where(this)
        change(url, changed.values(hash=other(row["hash"])))
        wrong = {(each.table, each.row) for each in found(url, made.basis("maker"))}
        place = f"{row['level']}/{row['position']}"
        assert ("log_nodes", place) in wrong or row["position"] == 12
        assert len(wrong) == 1


def test_of_a_wrong_salt_the_receipt_is_named_and_no_hash(
    made: Made, tmp_path: Path
) -> None:
    for row in rows(made.copy("maker", tmp_path), t.receipts):
        if row["log_index"] is None:
            continue
        url = made.copy("maker", tmp_path)
        this = t.receipts.c.sequence == row["sequence"]
        changed = sa.update(t.receipts).where(this)
        change(url, changed.values(salt=other(row["salt"])))
        wrong = [(each.table, each.row) for each in found(url, made.basis("maker"))]
        assert wrong == [("receipts", str(row["sequence"]))]


def test_a_log_whose_history_was_rewritten_does_not_fit_its_checkpoints(
    made: Made, tmp_path: Path
) -> None:
    """Somebody who can write everything but cannot sign takes out the last receipt."""
    url = made.copy("maker", tmp_path)
    c = t.receipts.c
    last = max(row["sequence"] for row in rows(url, t.receipts) if row["log_index"])
    change(url, sa.delete(t.receipts).where(c.sequence == last))
    wrong = found(url, made.basis("maker"))
    assert {each.table for each in wrong} >= {"log_nodes", "receipts"}


def test_what_the_chain_does_not_hold_is_found(made: Made, tmp_path: Path) -> None:
    url, basis = made.copy("maker", tmp_path), made.basis("maker")
    basis.chain = made.chain
    a = t.anchors.c
    change(url, sa.delete(t.anchors).where(a.epoch == 2))
    [wrong] = found(url, basis)
    assert str(wrong) == (
        "anchors (epoch 2): missing: the chain holds 2 epochs of this node"
    )


def test_what_was_anchored_after_the_chain_was_asked_is_not_missing(
    made: Made, tmp_path: Path
) -> None:
    """A node that runs anchors while its store is read."""
    url, basis = made.copy("maker", tmp_path), made.basis("maker")
    basis.chain, basis.latest = made.chain, 1
    change(url, sa.delete(t.anchors).where(t.anchors.c.epoch == 2))
    assert found(url, basis) == []


def test_the_chain_is_asked_before_the_store_is_opened(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basis, told = made.basis("maker"), []

    class Chain:
        def latest_epoch(self, member: str) -> int:
            assert member == basis.me.chain_address
            told.append("chain")
            return 2

        def close(self) -> None:
            told.append("closed")

    @contextlib.contextmanager
    def reading(_settings: object) -> Iterator[None]:
        told.append("store")
        yield

    monkeypatch.setattr(keeping, "pinned", lambda _: (basis.me, basis.pins))
    monkeypatch.setattr(keeping, "_chain", lambda _: Chain())
    monkeypatch.setattr(keeping, "reading", reading)
    settings = cast("Settings", None)
    with keeping.checking(settings, ask_chain=True, progress=lambda *_: None) as (
        opened,
        _,
    ):
        assert opened.latest == 2
    assert told == ["chain", "store", "closed"]


def test_an_anchor_that_was_made_up_is_not_the_chains(
    made: Made, tmp_path: Path
) -> None:
    url, basis = made.copy("maker", tmp_path), made.basis("maker")
    basis.chain = made.chain
    there = rows(url, t.anchors)
    change(
        url,
        sa.update(t.anchors)
        .where(t.anchors.c.epoch == 2)
        .values(
            {name: there[0][name] for name in ("size", "note", "salt", "commitment")}
        ),
    )
    [wrong] = found(url, basis)
    assert wrong.wrong.startswith("commitment: the chain holds")


def test_the_settings_of_a_node_are_enough(made: Made) -> None:
    settings = load(made.folder / "maker" / "node.yaml")
    seen = []
    with checking(
        settings, ask_chain=False, progress=lambda done, _: seen.append(done)
    ) as (basis, all_):
        assert list(all_) == []
    assert (basis.entries, seen) == (13, [13])
