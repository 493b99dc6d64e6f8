"""A full disk and a stopped database: short versions of `tests.faults.storage`."""

from pathlib import Path

import pytest

from tests.faults.storage import Unmounted, run
from tests.support.servers import Absent

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["disk", "limit", "database"])
async def test_while_the_store_cannot_write_nothing_is_told_and_nothing_lost(
    tmp_path: Path, kind: str
) -> None:
    try:
        report = await run(tmp_path, kind, 120)
    except (Unmounted, Absent) as reason:
        pytest.skip(str(reason))
    assert report.failed > 0
