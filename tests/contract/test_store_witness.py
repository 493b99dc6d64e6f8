"""What was seen of logs: one newest checkpoint each, and who saw ours."""

import asyncio
import dataclasses
import datetime

import pytest
import sqlalchemy as sa

from node.adapters.sql import tables as t
from node.adapters.sql.store import SqlStore
from node.errors import Conflict
from node.ports import Cosigned, Fault, StoredAnchor, UnitOfWork, Witnessed

_AT = datetime.datetime(2026, 11, 23, 1, 0, tzinfo=datetime.UTC)
_LOG, _OTHER = "127.0.0.1:8101/log", "127.0.0.1:8102/log"


def seen(size: int, root: bytes = b"r", origin: str = _LOG) -> Witnessed:
    note = f"二 {origin} {size}"
    return Witnessed(origin=origin, size=size, root=root * 32, note=note, at=_AT)


def line(size: int, witness: str = "did:web:a", seconds: int = 0) -> Cosigned:
    at = _AT + datetime.timedelta(seconds=seconds)
    return Cosigned(size=size, witness=witness, line=f"— {witness} {seconds}\n", at=at)


def fault(name: str, participant: str = "did:web:a", seconds: int = 0) -> Fault:
    return Fault(
        id=name.rjust(64, "0"),
        kind="equivocation",
        participant=participant,
        proof={"typ": "fieldpact/equivocation/1", "first": "一"},
        at=_AT + datetime.timedelta(seconds=seconds),
    )


async def test_the_newest_checkpoint_of_each_log_is_replaced(store: SqlStore) -> None:
    assert await store.read(lambda view: view.witness.newest(_LOG)) is None
    for each in (seen(3), seen(9), seen(4, origin=_OTHER)):
        await store.write(lambda work, it=each: work.witness.keep(it))  # type: ignore[misc]
    assert await store.read(lambda view: view.witness.newest(_LOG)) == seen(9)
    assert await store.write(lambda work: work.witness.hold(_OTHER)) == seen(
        4, origin=_OTHER
    )


async def test_a_log_that_was_held_and_not_kept_has_no_checkpoint(
    store: SqlStore,
) -> None:
    assert await store.write(lambda work: work.witness.hold(_LOG)) is None
    assert await store.write(lambda work: work.witness.hold(_LOG)) is None
    assert await store.read(lambda view: view.witness.newest(_LOG)) is None


@pytest.mark.parametrize("first", [None, 5])
async def test_of_two_at_once_from_one_old_size_one_wins(
    store: SqlStore, first: int | None
) -> None:
    """Also of the very first two, where there is no row to hold yet."""
    if first is not None:
        await store.write(lambda work: work.witness.keep(seen(first)))

    def advance(work: UnitOfWork, size: int) -> None:
        held = work.witness.hold(_LOG)
        if (held and held.size) != first:
            raise Conflict("witness.moved", "Somebody was faster.")
        work.witness.keep(seen(size))

    for base in range(10, 40, 10):
        await store.write(lambda work: work.witness.keep(seen(first or 0)))
        if first is None:
            await store.write(_forget)
        outcomes = await asyncio.gather(
            *(
                store.write(lambda work, s=base + n: advance(work, s))  # type: ignore[misc]
                for n in range(6)
            ),
            return_exceptions=True,
        )
        lost = [each for each in outcomes if isinstance(each, Conflict)]
        assert (len(lost), outcomes.count(None)) == (5, 1)
        newest = await store.read(lambda view: view.witness.newest(_LOG))
        assert newest is not None
        assert newest.size == base + outcomes.index(None)


def _forget(work: UnitOfWork) -> None:
    work.witness._connection.execute(sa.delete(t.witnessed))  # type: ignore[attr-defined]


async def test_the_first_checkpoint_of_a_size_is_remembered(store: SqlStore) -> None:
    elsewhere = dataclasses.replace(seen(3, b"x"), origin=_OTHER)
    for each in (seen(3), seen(3, b"x"), seen(4), elsewhere):
        await store.write(lambda work, it=each: work.witness.meet(it))  # type: ignore[misc]
    places = [(_LOG, 3), (_LOG, 4), (_OTHER, 3), (_OTHER, 4)]
    found = await store.read(lambda view: [view.witness.met(*at) for at in places])
    assert found == [seen(3), seen(4), elsewhere, None]


async def test_a_thousand_checkpoints_of_a_log_are_remembered(
    store: SqlStore, engine: sa.Engine
) -> None:
    def many(work: UnitOfWork) -> None:
        for size in range(1, 1004):
            work.witness.meet(seen(size))
        work.witness.meet(seen(1, origin=_OTHER))

    await store.write(many)
    c = t.met_checkpoints.c
    with engine.connect() as connection:
        counted = sa.select(c.origin, sa.func.min(c.size), sa.func.count())
        rows = connection.execute(counted.group_by(c.origin).order_by(c.origin))
        assert [tuple(row) for row in rows] == [(_LOG, 4, 1000), (_OTHER, 1, 1)]


async def test_each_witness_has_one_line_under_a_checkpoint(store: SqlStore) -> None:
    lines = [line(5, "did:web:b"), line(5), line(5, seconds=9), line(6)]
    for each in lines:
        await store.write(lambda work, it=each: work.witness.keep_cosignature(it))  # type: ignore[misc]
    found = await store.read(lambda view: view.witness.cosignatures(5))
    assert found == [lines[2], lines[0]]
    assert await store.read(lambda view: view.witness.cosignatures(7)) == []
    reach = await store.read(lambda view: view.witness.reach())
    assert reach == {"did:web:a": 6, "did:web:b": 5}


async def test_lines_stay_with_anchored_checkpoints_and_the_newest(
    store: SqlStore, engine: sa.Engine
) -> None:
    anchor = StoredAnchor(
        member="0x" + "aa" * 20,
        epoch=1,
        size=7,
        note="note",
        salt=b"s" * 32,
        commitment=b"c" * 32,
        chain_id=1337,
        contract="0x" + "cc" * 20,
        at=_AT,
    )
    await store.write(lambda work: work.log.keep_anchor(anchor))
    for size in range(1, 101):
        for witness in ("did:web:a", "did:web:b"):
            it = line(size, witness)
            await store.write(lambda work, it=it: work.witness.keep_cosignature(it))  # type: ignore[misc]
    with engine.connect() as connection:
        found = connection.execute(sa.select(t.cosignatures.c.size)).scalars().all()
    assert sorted(found) == sorted([7, 7, *2 * list(range(85, 101))])


async def test_proofs_of_faults_are_kept_once_and_newest_first(store: SqlStore) -> None:
    again = dataclasses.replace(fault("1"), proof={"other": 1})
    for each in (fault("1"), fault("2", seconds=5), again):
        await store.write(lambda work, it=each: work.faults.keep(it))  # type: ignore[misc]
    found = await store.read(lambda view: view.faults.all())
    assert found == [fault("2", seconds=5), fault("1")]
    assert await store.read(lambda view: view.faults.get("1".rjust(64, "0"))) == fault(
        "1"
    )
    assert await store.read(lambda view: view.faults.get("3" * 64)) is None


async def test_a_participant_cannot_fill_the_store_with_its_faults(
    store: SqlStore,
) -> None:
    def many(work: UnitOfWork) -> None:
        for number in range(130):
            work.faults.keep(fault(str(number)))
        work.faults.keep(fault("b", participant="did:web:b"))

    await store.write(many)
    found = await store.read(lambda view: view.faults.all())
    counts = [each.participant for each in found]
    assert (counts.count("did:web:a"), counts.count("did:web:b")) == (100, 1)
