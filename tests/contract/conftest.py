"""A store that is migrated and empty, on every database that a node may have."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.adapters.sql.store import SqlStore, engine_for
from node.migrations import upgrade
from tests.support.node import emptied, empty_store, postgres_database


@pytest.fixture(scope="session")
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
        return emptied(request.getfixturevalue("migrated"))
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
