"""What holds for all tests: a machine that is slow, or busy, fails none of them."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from node.adapters.policy.embedded import EmbeddedEngine

# Time limits per example mean nothing there. Whatever else holds (on CI examples are
# the same in each run) goes on holding.
settings.register_profile(
    "any machine",
    parent=settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")

# A decision takes some milliseconds of the two seconds that a node gives it, but all of
# them where one process waits for others, or for three nodes in it that compute.
_defaults: Any = EmbeddedEngine.__init__.__kwdefaults__
_defaults["timeout_s"] = 120.0


@pytest.fixture
def set_apart() -> Iterator[None]:
    """Leave what there is out of garbage collection, as a node does when it starts.

    A process that has run thousands of tests makes long pauses of its own else.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
