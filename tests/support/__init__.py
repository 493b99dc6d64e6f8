"""What tests share: the shared data and vectors, servers, simulated peers."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def shared(path: str) -> Path:
    """Return a path under ../shared, or skip the test and say why."""
    found = REPOSITORY.parent / "shared" / path
    if not found.exists():
        pytest.skip(f"../shared/{path} is not here")
    return found
