"""Which database a node has whose services are tested: SQLite, unless a test asks."""

from collections.abc import Iterator

import pytest

from node.migrations import upgrade
from tests.support.node import emptied, postgres_database


@pytest.fixture(scope="session")
def migrated() -> Iterator[str]:
    """A PostgreSQL database with the schema, for one test after the other."""
    with postgres_database() as url:
        upgrade(url)
        yield url


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str | None:
    """The address of an empty store; None for a file. See `sealing.ON_BOTH`."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    return emptied(request.getfixturevalue("migrated"))
