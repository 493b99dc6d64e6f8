"""A consumer holds an answer to its agreement before it looks at any proof."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import PURPOSE, SHARED, World, open_world

AT_LEAST = {"fields": ["annual_spend"], "is": "at_least", "values": ["500000.00"]}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


async def _ask(world: World, **changes: Any) -> Any:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": list(SHARED),
        "where": [AT_LEAST],
    }
    return await world.supplier.manage("/management/ask", question | changes)


def _believes(world: World, monkeypatch: pytest.MonkeyPatch, **terms: Any) -> None:
    """Let the consumer hold other terms than its provider keeps to."""
    ask = world.supplier.services.ask
    real = type(ask)._agreement

    async def other(self: Any, agreement_id: str) -> Any:
        agreement, provider = await real(self, agreement_id)
        narrowed = dataclasses.replace(agreement.terms, **terms)
        held = dataclasses.replace(agreement, terms=narrowed)
        object.__setattr__(held, "hash", agreement.hash)
        return held, provider

    monkeypatch.setattr(type(ask), "_agreement", other)


async def test_an_answer_tells_type_unit_and_scale_of_its_fields(world: World) -> None:
    answer = await _ask(world)
    assert answer["verified"]
    assert answer["schema"] == {
        "units": {"type": "integer", "unit": "pcs", "scale": 0},
        "annual_spend": {"type": "money", "unit": "CNY", "scale": 2},
    }


async def test_more_records_than_agreed_are_not_even_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _believes(world, monkeypatch, rows_per_call=3)
    answer = await _ask(world)
    assert (answer["verified"], answer["customers"], answer["schema"]) == (
        False,
        {},
        {},
    )
    [check] = answer["checks"]
    assert check["detail"] == "more records than the agreement allows in one call"


async def test_a_proof_that_was_never_granted_does_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _believes(world, monkeypatch, predicates=())
    answer = await _ask(world)
    assert not answer["verified"]
    [check] = answer["checks"]
    assert check["detail"].startswith("a proof about a field")
