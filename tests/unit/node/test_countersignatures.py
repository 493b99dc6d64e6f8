"""Countersignatures that partners send: all of them hold, or none is kept."""

import secrets
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from crypto.encoding import b64u
from ledger import receipts
from ledger.receipts import countersign, parse_signed_receipt
from tests.support.node import World, open_world

PATH = "/receipts/countersignatures"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


async def _item(world: World) -> dict[str, str]:
    signed = parse_signed_receipt((await world.query()).body)
    given = countersign(signed, world.supplier.services.countersign.signer)
    return {
        "receipt": signed.receipt.receipt_id,
        "signature": b64u(given.signature),
    }


async def _send(world: World, *items: dict[str, str]) -> int:
    body: dict[str, Any] = {"countersignatures": list(items)}
    token = world.supplier.token(world.maker.did, PATH, body, agreement=None)
    reply = await world.maker.client.post(
        PATH, json=body, headers={"Authorization": f"Bearer {token}"}
    )
    return reply.status_code


async def _countersigned(world: World) -> int:
    summary = await world.maker.manage("/audit/summary")
    count: int = summary["receipts"]["countersigned"]
    return count


async def test_one_wrong_signature_keeps_none(world: World) -> None:
    good, other = await _item(world), await _item(world)
    for wrong in (
        other | {"signature": b64u(secrets.token_bytes(64))},
        other | {"signature": good["signature"]},
        other | {"receipt": "0" * 64},
    ):
        assert await _send(world, good, wrong) == 400
    assert await _countersigned(world) == 0
    assert await _send(world, good, other, good) == 200
    assert await _countersigned(world) == 2


async def test_signatures_are_verified_while_others_may_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    verify = receipts.verify_countersignature

    def _watch(*given: Any) -> None:
        seen.append(threading.current_thread().name)
        verify(*given)

    name = "node.services.countersign.verify_countersignature"
    monkeypatch.setattr(name, _watch)
    assert await _send(world, await _item(world)) == 200
    assert [name.startswith("read") for name in seen] == [True]
