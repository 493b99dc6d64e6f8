"""Deciding again what was decided before."""

import asyncio
from collections.abc import Mapping
from typing import Any

from node.config import Settings
from node.domain.decision import Decision


def decide_again(settings: Settings, question: Mapping[str, Any]) -> Decision:
    """Let the policies decide a question that was decided before.

    Raises:
        Unavailable: The policies or their engine are not there.
    """
    # It brings in all that a node is made of; most commands need it not.
    from node.bootstrap.adapters import policy_of  # noqa: PLC0415

    async def _decide() -> Decision:
        async with policy_of(settings) as engine:
            await engine.ready()
            return await engine.decide(question)

    return asyncio.run(_decide())
