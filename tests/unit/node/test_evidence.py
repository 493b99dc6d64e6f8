"""What a node tells about a receipt, and whom it asks to do so."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crypto.encoding import b64u
from crypto.tokens import check_opening
from ledger.evidence import Place, evidence_of, parse_place
from ledger.receipts import SignedReceipt, parse_receipt, stream_id
from ledger.request import verify_request
from ledger.standing import verify_place
from node.ports import Received, Reply
from tests.support.node import SHARED, START, World, open_world

PLACE = {"salt", "index", "inclusion", "checkpoint", "anchor"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


async def test_a_provider_cannot_replace_what_its_consumer_holds(world: World) -> None:
    mine, other = await world.ask(), await world.ask(SHARED[1])
    before: dict[str, Any] = await world.supplier.manage(f"/audit/receipts/{mine}")
    swapped = await world.supplier.manage(f"/audit/receipts/{other}")
    lie = {**swapped, "countersignature": None, "participants": []}
    place = {name: lie[name] for name in PLACE}
    for told, salt in ((lie, b64u(bytes(32))), (place, lie["salt"])):
        world.wire.forge[f"/log/proof/{mine}"] = Reply(status=200, body=told)
        after = await world.supplier.manage(f"/audit/receipts/{mine}")
        assert after == {**before, "salt": salt}
        assert after["countersignature"] is not None


@pytest.mark.parametrize("body", [{}, [], None, "no", {"salt": "AA"}, {"index": 1}])
async def test_a_provider_that_talks_nonsense_leaves_its_proofs_pending(
    world: World, body: Any
) -> None:
    receipt = await world.ask()
    world.wire.forge["/log/proof/"] = Reply(status=200, body=body)
    evidence = await world.supplier.manage(f"/audit/receipts/{receipt}")
    assert evidence["inclusion"] is None
    assert evidence["receipt"]["consumer"] == world.supplier.did


async def test_a_proof_is_given_of_the_nodes_own_log_only(world: World) -> None:
    receipt = await world.ask()
    world.wire.exchanges.clear()
    reply = await world.supplier.client.get(f"/log/proof/{receipt}")
    assert reply.status_code == 404
    assert len(world.wire.exchanges) == 1
    reply = await world.maker.client.get(f"/log/proof/{receipt}")
    assert set(reply.json()) == PLACE


async def test_the_place_of_a_snapshot_is_given_by_who_signed_it_and_grows(
    world: World,
) -> None:
    current = await world.maker.services.store.read(
        lambda view: view.snapshots.current(world.agreement)
    )
    assert current is not None
    path = f"/log/snapshots/{current.signed.snapshot.snapshot_id}"
    assert (await world.supplier.client.get(path)).status_code == 404
    unknown = await world.maker.client.get(f"/log/snapshots/{'0' * 64}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "snapshot.unknown")

    async def place() -> Place:
        reply = await world.maker.client.get(path)
        assert set(reply.json()) == PLACE
        return parse_place(reply.json())

    waiting = await place()
    assert waiting == Place(salt=current.salt)
    await world.maker.services.keep_log.integrate()
    integrated = await place()
    assert integrated.inclusion is not None
    assert integrated.anchor is None
    await world.maker.services.anchoring()
    anchored = await place()
    assert anchored.anchor is not None
    for each in (integrated, anchored):
        standing = verify_place(current.signed, each, world.maker.me, world.chain)
        assert standing.epoch == (1 if each is anchored else None)
        assert standing.outcome == ("checked" if each is anchored else "pending")


async def test_a_node_does_not_ask_itself_for_a_receipt_it_never_wrote(
    world: World,
) -> None:
    honest = (await world.query()).receipt
    me = world.supplier.did
    stream = stream_id(provider=me, consumer=me, agreement=honest.agreement)
    forged = parse_receipt(
        replace(
            honest, provider=me, consumer=me, stream=stream, key_id=f"{me}#x"
        ).to_json()
    )
    received = Received(
        signed=SignedReceipt(receipt=forged, signature=bytes(64)),
        at=START,
        verified=False,
        checks=(),
        disclosure=None,
    )
    await world.supplier.services.store.write(
        lambda work: work.receipts.receive(received)
    )
    world.wire.exchanges.clear()
    await world.supplier.manage(f"/audit/receipts/{forged.receipt_id}")
    assert len(world.wire.exchanges) == 1


# --- opening tokens


async def test_a_token_is_opened_for_whoever_reads_the_file(world: World) -> None:
    receipt = await world.ask()
    before = await world.supplier.manage(f"/audit/receipts/{receipt}")
    path = f"/management/receipts/{receipt}/evidence"

    opened = await world.supplier.manage(path, {"customers": [SHARED[0], SHARED[0]]})

    (opening,) = evidence_of(opened).openings
    assert opening.identifier == SHARED[0]
    check_opening(opening.customer, opening.opening, SHARED[0])
    assert b64u(opening.customer) == world.customer(SHARED[0])
    assert "openings" not in before
    for shown_beside in ("canonical", "committed"):
        before.pop(shown_beside)
    assert opened == before | {"openings": opened["openings"]}


async def test_only_customers_that_the_answer_is_about_are_opened(
    world: World,
) -> None:
    path = f"/management/receipts/{await world.ask()}/evidence"
    for customers, code in (
        ([SHARED[1]], "opening.not_asked"),
        ([SHARED[0], "nobody's"], "opening.not_asked"),
        (["e\u0301"], "customers.malformed"),
        ([""], "customers.malformed"),
        ([], "request.malformed"),
    ):
        body = {"customers": customers}
        answer = await world.supplier.manage(path, body, expect=400)
        assert answer["code"] == code


async def test_a_provider_holds_no_answer_to_open(world: World) -> None:
    path = f"/management/receipts/{await world.ask()}/evidence"
    body = {"customers": [SHARED[0]]}
    answer = await world.maker.manage(path, body, expect=400)
    assert answer["code"] == "opening.no_answer"


async def test_nothing_is_opened_of_a_receipt_that_is_not_here(world: World) -> None:
    path = f"/management/receipts/{'0' * 64}/evidence"
    body = {"customers": [SHARED[0]]}
    answer = await world.supplier.manage(path, body, expect=404)
    assert answer["code"] == "receipt.unknown"


async def test_auditors_open_nothing(world: World) -> None:
    receipt = await world.ask()
    reply = await world.supplier.client.post(
        f"/management/receipts/{receipt}/evidence",
        json={"customers": [SHARED[0]]},
        headers=world.supplier.operator("audit"),
    )
    assert reply.status_code == 401


async def test_evidence_holds_the_request_on_either_side(world: World) -> None:
    receipt = await world.ask()
    for node in (world.maker, world.supplier):
        found = await node.manage(f"/audit/receipts/{receipt}")
        core = parse_receipt(found["receipt"])
        key_id = verify_request(found["request"], core, world.supplier.me)
        assert key_id == world.supplier.me.key_id("ed25519")


async def test_a_token_that_a_call_was_refused_for_is_not_shown(world: World) -> None:
    body = world.body()
    other = {**body, "purpose": "another"}
    token = world.supplier.token(
        world.maker.did, "projects", other, agreement=body["agreement"]
    )
    refused = await world.query(token=token)
    assert refused.receipt.denials == ("token.request_mismatch",)
    path = f"/audit/receipts/{refused.receipt.receipt_id}"
    assert "request" not in await world.maker.manage(path)
    told = await world.query(purpose="another")
    path = f"/audit/receipts/{told.receipt.receipt_id}"
    assert "request" in await world.maker.manage(path)
