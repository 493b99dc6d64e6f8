"""Bundles that nodes export: whole streams, from either side, with bounded memory."""

import datetime
import json
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa

from ledger.bundle import parse_first, render_line
from ledger.bundle_check import verify_bundle
from ledger.memory_registry import MemoryRegistry
from ledger.receipts import parse_receipt
from ledger.registry import History
from ledger.steps import State, Step
from ledger.trust import Trust
from node.adapters.sql import tables as t
from node.domain.agreement import render_instant
from node.domain.pinned import Read
from node.ports import Reply
from node.services import give_bundle
from tests.support.node import START, Node, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


async def lines(node: Node, agreement: str, **window: str) -> list[bytes]:
    """What the node exports, line by line."""
    path = f"/audit/agreements/{agreement}/evidence"
    reply = await node.client.get(path, params=window, headers=node.operator("audit"))
    assert reply.status_code == 200, reply.text
    return reply.content.splitlines(keepends=True)


def check(world: World, file: Sequence[bytes], *, chain: bool = True) -> list[Step]:
    """How a third party finds it, with everybody pinned."""
    pins = {party.did: party for party in (world.maker.me, world.supplier.me)}
    trust = Trust(pins=pins, chain=world.chain if chain else None)
    return list(verify_bundle(file[0], BytesIO(b"".join(file[1:])), trust))


def weak(steps: Sequence[Step]) -> dict[str, str]:
    return {s.name: s.state.value for s in steps if s.state is not State.CHECKED}


async def anchor(world: World) -> None:
    await world.maker.services.keep_log.integrate()
    await world.maker.services.anchoring()


@pytest.fixture
async def stream(world: World) -> World:
    """A world in which seven calls were made, under two anchors and none."""
    for number in range(7):
        await world.ask()
        world.maker.clock.advance(seconds=60)
        world.supplier.clock.at = world.maker.clock.at
        if number in (2, 4):
            await anchor(world)
    await world.supplier.services.countersign.deliver(waited_s=0)
    return world


async def test_a_provider_exports_its_whole_stream(stream: World) -> None:
    await anchor(stream)
    file = await lines(stream.maker, stream.agreement)
    steps = check(stream, file)
    assert weak(steps) == {}
    assert {"request_signature", "countersignature"} <= {step.name for step in steps}
    manifest = parse_first(json.loads(file[0])).manifest
    assert manifest.exporter == stream.maker.did
    assert (manifest.first, manifest.last, manifest.count) == (0, 6, 7)
    assert manifest.head.head.count == 7
    assert sum(line.startswith(b'{"anchor"') for line in file) == 3
    assert weak(check(stream, file, chain=False)) == {"chain": "not_checked"}


async def test_a_consumer_exports_the_same_stream_with_the_providers_proofs(
    stream: World,
) -> None:
    await anchor(stream)
    ours = await lines(stream.maker, stream.agreement)
    theirs = await lines(stream.supplier, stream.agreement)
    assert weak(check(stream, theirs)) == {}
    assert parse_first(json.loads(theirs[0])).manifest.exporter == stream.supplier.did
    # What each says of the calls is the same to the last bit.
    assert theirs[2:] == ours[2:]


async def test_what_is_not_anchored_yet_is_pending(stream: World) -> None:
    steps = check(stream, await lines(stream.maker, stream.agreement))
    waiting = ["inclusion", "checkpoint", "consistency", "anchor", "chain"]
    assert weak(steps) == dict.fromkeys(waiting, "pending")
    assert "2 / 7" in {step.detail.split(":")[0] for step in steps}


async def test_a_provider_that_does_not_answer_leaves_places_pending(
    stream: World,
) -> None:
    stream.wire.forge["/log/proof/"] = Reply(status=503, body={})
    steps = check(stream, await lines(stream.supplier, stream.agreement))
    found = weak(steps)
    assert found["inclusion"] == "pending"
    assert found.keys().isdisjoint({"complete", "provider_signature", "manifest"})


async def test_a_window_of_time_is_complete_within_itself(stream: World) -> None:
    since, until = (
        render_instant(START + datetime.timedelta(minutes=minutes))
        for minutes in (2, 5)
    )
    await anchor(stream)
    for node in (stream.maker, stream.supplier):
        file = await lines(node, stream.agreement, **{"from": since, "to": until})
        manifest = parse_first(json.loads(file[0])).manifest
        assert (manifest.first, manifest.last) == (2, 4)
        assert (manifest.since, manifest.until) == (since, until)
        steps = check(stream, file)
        assert weak(steps) == {}
        [complete] = [step for step in steps if step.name == "complete"]
        assert (complete.outcome, complete.detail) == ("part", "2 … 4 / 7")
    late = render_instant(START + datetime.timedelta(days=1))
    nothing = await lines(stream.maker, stream.agreement, **{"from": late})
    assert weak(check(stream, nothing)) == {}


async def test_a_stream_is_read_a_page_at_a_time(
    stream: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await anchor(stream)
    whole = await lines(stream.maker, stream.agreement)
    monkeypatch.setattr(give_bundle, "_PAGE", 2)
    assert (await lines(stream.maker, stream.agreement))[1:] == whole[1:]


async def test_what_is_added_meanwhile_is_not_in_the_file(
    stream: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(give_bundle, "_PAGE", 2)
    await anchor(stream)
    coming = await stream.maker.services.bundle(stream.agreement)
    file = [render_line(await anext(coming))]
    await stream.ask()
    file += [render_line(line) async for line in coming]
    steps = check(stream, file)
    assert weak(steps).keys().isdisjoint({"complete", "manifest"})
    assert parse_first(json.loads(file[0])).manifest.count == 7


async def test_an_agreement_without_calls_is_an_empty_file(world: World) -> None:
    for node in (world.maker, world.supplier):
        file = await lines(node, world.agreement)
        assert len(file) == 2
        assert weak(check(world, file)) == {}


async def test_an_agreement_that_is_not_here_has_no_stream(world: World) -> None:
    path = "/audit/agreements/nothing/evidence"
    found = await world.maker.manage(path, expect=404)
    assert found["code"] == "agreement.unknown"


async def test_a_refusal_is_in_the_stream_with_the_request_that_was_refused(
    world: World,
) -> None:
    await world.ask()
    refused = (await world.query(purpose="nothing")).receipt
    assert refused.denials
    await anchor(world)
    file = await lines(world.maker, world.agreement)
    assert weak(check(world, file)) == {"countersignature": "pending"}
    last = json.loads(file[-1])
    assert last["receipt"]["denials"] == list(refused.denials)
    assert last["request"]


async def test_a_receipt_that_was_changed_in_the_store_shows_in_the_file(
    stream: World,
) -> None:
    await anchor(stream)
    with stream.maker.database.begin() as connection:
        c = t.receipts.c
        core = connection.scalar(sa.select(c.core).where(c.stream_sequence == 3))
        bent = str(core).replace('"customers":1', '"customers":2')
        assert bent != core
        connection.execute(
            sa.update(t.receipts).where(c.stream_sequence == 3).values(core=bent)
        )
    steps = check(stream, await lines(stream.maker, stream.agreement))
    [complete] = [step for step in steps if step.name == "complete"]
    assert (complete.state, complete.detail) == (State.FAILED, "missing: 3")


async def test_an_erased_receipt_leaves_its_place_in_the_file(stream: World) -> None:
    await anchor(stream)
    with stream.maker.database.begin() as connection:
        c = t.receipts.c
        gone = dict.fromkeys(("core", "signature", "salt", "token", "question"))
        connection.execute(
            sa.update(t.receipts)
            .where(c.stream_sequence == 3)
            .values(**gone, erased_at=1, erased_why="retention")
        )
    file = await lines(stream.maker, stream.agreement)
    assert sum(line.startswith(b'{"erased"') for line in file) == 1
    assert weak(check(stream, file)) == {"complete": "not_checked"}


class Known:
    """A registry of which one history was read in the background before."""

    def __init__(self, registry: MemoryRegistry, did: str) -> None:
        self.registry = registry
        self.read = Read(history=registry.history(did), at=START)

    def last(self, did: str) -> Read | None:
        return self.read if did == self.read.history.did else None

    def history(self, did: str) -> History:
        assert did != self.read.history.did
        return self.registry.history(did)


async def test_what_the_registry_says_of_keys_goes_with_it(stream: World) -> None:
    parties = stream.maker.me, stream.supplier.me
    registry = MemoryRegistry(clock=lambda: int(START.timestamp()))
    registry.found([(each.did, each.chain_address) for each in parties])
    own = Known(registry, stream.maker.did)
    object.__setattr__(stream.maker.services.evidence, "registry", own)
    dids = [each.did for each in parties]

    async def told() -> list[str]:
        file = await lines(stream.maker, stream.agreement)
        histories = json.loads(file[1])["histories"]
        receipt = json.loads(file[-1])["receipt"]
        name = parse_receipt(receipt).receipt_id
        single = await stream.maker.manage(f"/audit/receipts/{name}")
        assert single.get("histories", []) == histories
        return [each["did"] for each in histories]

    assert await told() == dids
    # A registry that does not answer takes nothing away that was read before.
    registry.answers = False
    assert await told() == dids[:1]
