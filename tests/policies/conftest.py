from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.adapters.policy.bundle import Bundle, load_bundle
from node.adapters.policy.embedded import EmbeddedEngine

POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return load_bundle(POLICIES)


@pytest.fixture
async def embedded(bundle: Bundle) -> AsyncIterator[EmbeddedEngine]:
    async with EmbeddedEngine(bundle, timeout_s=30) as engine:
        yield engine
