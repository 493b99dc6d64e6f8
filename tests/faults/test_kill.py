"""Power cuts under load: the short version of `python -m tests.faults.kill`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kill import rounds
from tests.faults.load import provider
from tests.support.node import postgres_database

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    with postgres_database() as url:
        yield url


async def test_power_cuts_under_load_lose_no_answer(
    tmp_path: Path, place: str | None
) -> None:
    times = 9 if place is None else 3
    async with provider(tmp_path, place, capped=2) as load:
        report = await rounds(load, times)
    assert report.cut > 0
