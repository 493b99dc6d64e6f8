"""What tests of snapshots look at: what was sealed, published, and stands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from ledger.snapshots import Snapshot
from node.adapters.sql import tables as t
from node.ports import Publication, Seal
from node.services.commit import Commit
from node.services.seal_records import SealRecords
from tests.support.node import World, open_world
from tests.support.snapshots import check_current, check_snapshots

ON_BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
"""For tests of what happens at once: PostgreSQL lets more of it happen."""

SHARED_RECORDS = 4
"""Of the usual customers, all told."""


@contextlib.contextmanager
def counting_seals() -> Iterator[list[tuple[str, str]]]:
    """Agreement and key of every record that is sealed from now on."""
    made: list[tuple[str, str]] = []
    usual = Commit.__call__

    def seal(
        self: Commit, publication: Publication, agreement: str, place: Any, values: Any
    ) -> Seal:
        made.append((agreement, place[0].key))
        return usual(self, publication, agreement, place, values)

    with mock.patch.object(Commit, "__call__", seal):
        yield made


@pytest.fixture
async def world(tmp_path: Path, database: str | None) -> AsyncIterator[World]:
    """Two companies; in the end, every snapshot stands and every seal holds."""
    async with open_world(tmp_path, database=database) as world:
        yield world
        check_snapshots(world.maker.database, world.maker.me)


@pytest.fixture
def sealed() -> Iterator[list[tuple[str, str]]]:
    """What is sealed from the beginning of a test on, as it comes."""
    with counting_seals() as made:
        yield made


@contextlib.contextmanager
def interrupting(
    act: Callable[[], Awaitable[object]], *, batch: int = 1, after: int = 1
) -> Iterator[None]:
    """Do something once, when a builder has sealed its first batches.

    Args:
        batch: Records of a batch.
        after: How many batches come before.
    """
    usual, seen = SealRecords._seal, 0

    async def seal(self: SealRecords, *arguments: Any) -> None:
        nonlocal seen
        seen += 1
        await usual(self, *arguments)
        if seen == after:
            await act()

    with (
        mock.patch("node.services.seal_records._BATCH", batch),
        mock.patch("node.services.seal_records._BATCHES", 1),
        mock.patch.object(SealRecords, "_seal", seal),
    ):
        yield


async def publish(world: World, *, settle: bool = True, **changes: Any) -> int:
    """Publish the usual dataset; return its version.

    Args:
        settle: Whether to build the snapshots too.
    """
    body = world.crm.declaration() | changes
    response = await world.maker.client.post(
        "/management/datasets", json=body, headers=world.maker.operator()
    )
    assert response.is_success, response.text
    if settle:
        await world.maker.settle()
    version: int = response.json()["version"]
    return version


async def current(world: World, agreement: str | None = None) -> Snapshot:
    found = await world.maker.services.store.read(
        lambda view: view.snapshots.current(agreement or world.agreement)
    )
    assert found is not None
    return found.signed.snapshot


async def version(world: World) -> int:
    found = await world.maker.services.store.read(
        lambda view: view.datasets.get("projects")
    )
    assert found is not None
    return found.version


def commitments(world: World, agreement: str | None = None) -> dict[str, bytes]:
    """Return the commitment to each record, published or not."""
    c = t.seals.c
    mine = c.agreement == (agreement or world.agreement)
    rows = world.maker.rows(sa.select(c.key, c.commitment).where(mine))
    found = {row.key: bytes(row.commitment) for row in rows}
    assert len(found) == len(rows)
    return found


def check_whole(world: World, agreement: str | None = None) -> int:
    """Check the newest snapshot against store and CRM; return how many records."""
    found = agreement or world.agreement
    return check_current(world.maker.database, world.maker.me, found)


def keys(world: World, *rows: int) -> list[str]:
    return [world.crm.rows[row]["project_id"] for row in rows]


def change(world: World, *rows: int, **values: Any) -> None:
    """Have records hold something else from now on."""
    changes = ", ".join(f"{name} = ?" for name in values)
    for key in keys(world, *rows):
        world.crm.write(
            f"UPDATE projects SET {changes} WHERE project_id = ?",  # noqa: S608
            *values.values(),
            key,
        )


def insert(world: World, *keys: str, like: int, **values: Any) -> None:
    """Add records that hold what another one does."""
    for key in keys:
        added = world.crm.rows[like] | values | {"project_id": key}
        columns, marks = ", ".join(added), ", ".join("?" * len(added))
        world.crm.write(
            f"INSERT INTO projects ({columns}) VALUES ({marks})",  # noqa: S608
            *added.values(),
        )


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until something is so, two minutes at most."""
    async with asyncio.timeout(120):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
