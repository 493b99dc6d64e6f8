"""Power cuts while plans are carried out: the short version of `kill_plans`."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.kill_plans import cuts
from tests.support.node import postgres_database

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest) -> Iterator[list[str] | None]:
    if request.param == "sqlite":
        yield None
        return
    with ExitStack() as stack:
        yield [stack.enter_context(postgres_database()) for _ in range(2)]


def test_power_cuts_charge_no_plan_twice_and_draw_no_noise_twice(
    tmp_path: Path, databases: list[str] | None
) -> None:
    with cuts(tmp_path, databases) as made:
        report = made.run(2)
    assert report.rounds == 2
