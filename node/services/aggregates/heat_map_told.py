"""What an owner tells of a heat map, as its asker reads it: checked, or not taken."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto.encoding import canonical, unb64u
from crypto.errors import CryptoError
from crypto.kernels.packing import pack, unpack
from ledger.plans import Plan
from node.domain.noised import parse_bitmap
from node.services.aggregates.steps import Answer, Run, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an owner tells of a table beside its numbers; checked.

    Attributes:
        suppressed: Of each cell; empty where that is not told.
        bound: No cell is larger; 0 where that is not told.
    """

    spread: int
    unit: str | None
    scale: int
    suppressed: tuple[bool, ...] = ()
    bound: int = 0


async def answered(
    run: Run, stage: str, ask: Callable[[], Awaitable[Answer]]
) -> tuple[Mapping[str, Any], bytes]:
    """Return members and payload of a step's answer; ask for it the first time."""

    async def _ask() -> bytes:
        answer = await ask()
        return await asyncio.to_thread(pack, canonical(answer.members), answer.payload)

    members, payload = await asyncio.to_thread(unpack, await run.once(stage, _ask))
    told: Mapping[str, Any] = json.loads(members)
    return told, payload


def read_told(
    members: Mapping[str, Any], *, cells: int = 0, most: int = 0, more: int = 0
) -> Told:
    """Read what an owner tells.

    Args:
        cells: Of so many it tells which are suppressed; 0 if it does not.
        most: It tells a bound, which is no larger; 0 if it does not.
        more: Members that there are besides.

    Raises:
        Unavailable: It does not.
    """
    wanted = {"spread", "unit", "scale"}
    wanted |= {"suppressed"} if cells else set()
    wanted |= {"bound"} if most else set()
    if not wanted <= members.keys() or len(members) != len(wanted) + more:
        raise wrong("has other members than the protocol")
    spread, unit, scale = (members[name] for name in ("spread", "unit", "scale"))
    bound, flags = members.get("bound", 0), None
    if cells:
        flags = _flags(members["suppressed"], cells)
    sound = (
        all(type(each) is int and each >= 0 for each in (spread, scale, bound))
        and (unit is None or (isinstance(unit, str) and len(unit) <= 32))
        and (scale <= 18 and bound <= most and (not most or bound > 0))
        and (not cells or flags is not None)
    )
    if not sound:
        raise wrong("tells what cannot be")
    return Told(
        spread=spread, unit=unit, scale=scale, suppressed=flags or (), bound=bound
    )


def result_of(
    plan: Plan,
    told: Told,
    *,
    groups: Sequence[Mapping[str, Any]],
    cells: Sequence[int | None],
    spreads: Sequence[int],
) -> dict[str, Any]:
    """Return a result, as JSON for people and dashboards.

    Args:
        spreads: How far noise has moved each cell at most. `spread` is the largest;
            where they differ, all are told.
    """
    spread = max(spreads)
    differ = {"spreads": list(spreads)} if min(spreads) < spread else {}
    return differ | {
        "kind": plan.kind.value,
        "mode": plan.mode,
        "plan": plan.plan_hash,
        "measure": plan.measure.to_json(),
        "groups": list(groups),
        "cells": list(cells),
        "unit": told.unit,
        "scale": told.scale,
        "spread": spread,
        "spent": {party.did: plan.epsilon_micro for party in plan.parties},
    }


def _flags(text: Any, count: int) -> tuple[bool, ...] | None:
    try:
        return parse_bitmap(unb64u(text), count)
    except (CryptoError, TypeError):
        return None
