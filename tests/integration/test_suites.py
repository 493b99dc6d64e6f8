"""Federations of both suites: every company reads, checks and answers for every other.

Nothing is stood in for: signatures, trees, proofs and evidence are those of nodes.
"""

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from crypto.encoding import b64u, unb64u
from crypto.errors import CryptoError
from crypto.hashing import sm3
from crypto.keys import Ed25519Key, Suite
from crypto.notes import Checkpoint, parse_checkpoint, sign_checkpoint, split_note
from crypto.sm import Sm2Key
from ledger.checkpoint import origin_of
from ledger.cosignature import open_cosignatures
from ledger.equivocation import verify_equivocation
from ledger.evidence import parse_evidence
from ledger.participants import Participant, Pins
from ledger.receipts import sign_receipt, verify_receipt
from ledger.steps import State
from ledger.verify import verify_evidence
from node import offline
from node.adapters.keyring import load_keys
from node.adapters.record import record_of
from node.adapters.sql.fsck import Basis, check
from node.config import load
from node.errors import BadRequest, Conflict, Unavailable
from node.keeping import pinned
from tests.support.node import (
    PURPOSE,
    SHARED,
    Node,
    World,
    check_log,
    check_streams,
    open_world,
    start,
)

MIXED = {
    "provider": {"maker": "sm2"},
    "consumer": {"supplier": "sm2"},
    "both": {"maker": "sm2", "supplier": "sm2"},
}


@pytest.fixture(params=MIXED)
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with open_world(tmp_path, suites=MIXED[request.param]) as world:
        yield world


def _pins(world: World) -> Pins:
    nodes = (world.maker, world.supplier, world.charger)
    return {node.did: node.me for node in nodes}


async def _asked(world: World, *customers: str) -> str:
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": list(customers or SHARED[:2]),
    }
    answer = await world.supplier.manage("/management/ask", question)
    receipt: str = answer["receipt"]
    return receipt


async def _anchored(world: World, receipt: str) -> dict[str, Any]:
    """Have a receipt signed back, logged and anchored; return the evidence of it."""
    await world.supplier.services.countersign.deliver()
    await world.maker.services.keep_log.integrate()
    await world.maker.services.anchoring()
    evidence: dict[str, Any] = await world.supplier.manage(f"/audit/receipts/{receipt}")
    return {
        name: value
        for name, value in evidence.items()
        if name not in {"canonical", "committed"}
    }


def _states(
    evidence: dict[str, Any], pins: Pins, world: World
) -> dict[str, tuple[State, str]]:
    data = json.dumps(evidence).encode()
    steps = verify_evidence(data, pins, world.chain, random_bytes=token_bytes)
    return {step.name: (step.state, step.detail) for step in steps}


def _suite_of(node: Node) -> str:
    return node.me.suite


async def test_a_call_is_proved_from_the_question_to_the_chain(world: World) -> None:
    receipt = await _asked(world)
    found = _states(await _anchored(world, receipt), _pins(world), world)
    proved = (
        *("receipt", "provider_signature", "countersignature", "inclusion"),
        *("checkpoint", "consistency", "anchor", "chain", "disclosure", "snapshot"),
    )
    for name in proved:
        assert found[name][0] is State.CHECKED, (name, found[name])
    for name, node in (
        ("provider_signature", world.maker),
        ("countersignature", world.supplier),
    ):
        assert f"#{_suite_of(node)}-" in found[name][1]
    assert all(state is not State.FAILED for state, _ in found.values())


async def test_the_provider_holds_the_countersignature_and_gives_it_out(
    world: World,
) -> None:
    receipt = await _asked(world)
    await _anchored(world, receipt)
    summary = await world.maker.manage("/audit/summary")
    assert summary["receipts"]["countersigned"] == 1
    evidence = await world.maker.manage(f"/audit/receipts/{receipt}")
    named = evidence["countersignature"]["key_id"]
    assert named == world.supplier.me.signing.key_id(world.supplier.did)


async def test_stream_and_log_are_whole(world: World) -> None:
    for customer in SHARED:
        await _asked(world, customer)
    await world.query(token=None)
    await world.maker.services.keep_log.integrate()
    check_streams(world.maker.receipts(), world.maker.me)
    assert check_log(world.maker.database, world.maker.me) == len(SHARED) + 1


async def test_tokens_and_agreements_are_signed_with_ed25519_by_everybody(
    world: World,
) -> None:
    await _asked(world)
    for node in (world.maker, world.supplier):
        kept = await node.services.store.read(
            lambda view: view.agreements.get(world.agreement)
        )
        assert kept is not None
        signed = [each["key_id"] for each in kept.signatures.values()]
        assert len(signed) == 2
        assert all("#ed25519-" in key_id for key_id in signed)


async def test_evidence_under_the_record_of_another_suite_is_refused(
    world: World,
) -> None:
    """The hash function is the pin's to say: a proof does not choose it."""
    receipt = await _asked(world)
    evidence = await _anchored(world, receipt)
    own = world.maker.me
    other: Participant
    if own.suite == "sm2":
        other = dataclasses.replace(own, suite="ed25519")
    else:
        stranger = Sm2Key.from_bytes(b"stranger".rjust(32)).public_bytes
        known: dict[Suite, bytes] = {**own.keys, "sm2": stranger}
        other = dataclasses.replace(own, suite="sm2", keys=known)
    found = _states(evidence, {**_pins(world), own.did: other}, world)
    for name in ("provider_signature", "inclusion", "checkpoint", "anchor", "chain"):
        assert found[name][0] is State.FAILED, (name, found[name])


async def test_without_a_pin_nobody_knows_the_hash_function(world: World) -> None:
    evidence = await _anchored(world, await _asked(world))
    found = _states(evidence, {}, world)
    for name in ("inclusion", "anchor"):
        assert found[name][0] is State.NOT_CHECKED


# --- a provider that signs with SM2


@pytest.fixture
async def sm2_world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, suites=MIXED["provider"]) as world:
        yield world


async def test_leaves_and_nodes_of_its_log_are_of_sm3(sm2_world: World) -> None:
    await _asked(sm2_world)
    await sm2_world.maker.services.keep_log.integrate()
    last = await _anchored(sm2_world, await _asked(sm2_world))
    evidence = parse_evidence(json.dumps(last).encode())
    assert evidence.inclusion
    entry = evidence.signed.canonical() + evidence.signed.signature
    node = sm3(b"\x00", sm3(evidence.salt, entry))
    index = evidence.inclusion.index
    checkpoint = parse_checkpoint(split_note(evidence.inclusion.checkpoint)[0])
    assert checkpoint.size == index + 1  # a last leaf has only siblings on its left
    for sibling in evidence.inclusion.proof:
        node = sm3(b"\x01", sibling, node)
    assert node == checkpoint.root


async def test_it_cannot_answer_for_a_receipt_with_its_other_key(
    sm2_world: World,
) -> None:
    """Its Ed25519 key signs tokens. A receipt of it is not that of the company."""
    [signed, *_] = [await _signed(sm2_world)]
    maker = sm2_world.maker
    own: Ed25519Key = load_keys(maker.folder / "keys", {}).ed25519
    forged = dataclasses.replace(
        signed,
        receipt=dataclasses.replace(signed.receipt, key_id=own.key_id(maker.did)),
    )
    with pytest.raises(Exception, match="not pinned"):
        verify_receipt(sign_receipt(forged.receipt, own), maker.me)


async def _signed(world: World) -> Any:
    await _asked(world)
    return world.maker.receipts()[-1]


async def test_its_did_document_and_record_list_the_key(sm2_world: World) -> None:
    maker = sm2_world.maker
    document = (await maker.client.get("/.well-known/did.json")).json()
    record = (await maker.client.get("/.well-known/fieldpact.json")).json()
    assert record["signing"] == "sm2"
    coded = "u" + b64u(b"\x86\x24" + unb64u(record["keys"]["sm2"]))
    shown = {each["publicKeyMultibase"] for each in document["verificationMethod"]}
    assert coded in shown


async def test_it_does_not_go_on_with_its_log_in_another_suite(
    sm2_world: World,
) -> None:
    await _asked(sm2_world)
    await sm2_world.maker.services.keep_log.integrate()
    maker = sm2_world.maker
    await maker.stop()
    settings = maker.folder / "node.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("suite: sm2", "suite: ed25519"))

    async def again() -> None:
        await start(maker.folder, clock=sm2_world.clock, wire=sm2_world.wire)

    with pytest.raises(Unavailable, match="does not pin"):
        await again()
    made = load(settings)
    registry = made.participants
    before = registry.read_text()
    known = {each.did: each for each in offline.read_registry(registry)}
    own = record_of(made, load_keys(made.keys, {}))
    offline.write_registry(registry, {**known, own.did: own}.values())
    with pytest.raises(Unavailable) as caught:
        await again()
    assert caught.value.code == "log.suite"
    settings.write_text(text)
    registry.write_text(before)
    sm2_world.maker = await start(
        maker.folder, clock=sm2_world.clock, wire=sm2_world.wire
    )


# --- what is refused


def _made(folder: Path, **options: Any) -> Path:
    return offline.new_node(
        folder,
        name={"en": "A", "zh": "甲"},
        url="http://127.0.0.1:8109",
        listen="127.0.0.1:8109",
        **options,
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("suite: rsa\n", "suite"),
        ("suite: secp256k1\n", "suite"),
        ("gm_only: true\n", "gm_only needs suite: sm2"),
        ("suite: sm2\ngm_only: true\ndatasets: [d.yaml]\n", "no datasets"),
    ],
)
def test_settings_that_no_suite_can_keep_are_refused(
    tmp_path: Path, wrong: str, words: str
) -> None:
    settings = _made(tmp_path / "node")
    text = settings.read_text()
    if "datasets" in wrong:
        text = "".join(
            line for line in text.splitlines(True) if not line.startswith("datasets")
        )
    settings.write_text(text + wrong)
    with pytest.raises(BadRequest, match=words):
        load(settings)


def test_a_node_is_not_made_for_what_it_may_not_do(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="gm_only needs"):
        _made(tmp_path / "node", gm_only=True)
    assert not list((tmp_path / "node").iterdir())


def test_a_node_of_ed25519_has_no_sm2_key_and_says_nothing_of_it(
    tmp_path: Path,
) -> None:
    settings = _made(tmp_path / "usual")
    assert not (tmp_path / "usual" / "keys" / "sm2.key").exists()
    [record] = json.loads((tmp_path / "usual" / "participants.json").read_text())
    assert set(record) == {"did", "name", "url", "keys", "chain_address"}
    assert "sm2" not in record["keys"]
    assert "suite" not in settings.read_text()


def test_a_node_of_sm2_needs_its_key(tmp_path: Path) -> None:
    settings = load(_made(tmp_path / "node", suite="sm2"))
    file = tmp_path / "node" / "keys" / "sm2.key"
    assert offline.own_record(settings).suite == "sm2"
    secret = file.read_text()
    file.unlink()
    with pytest.raises(BadRequest, match="sm2 key"):
        offline.own_record(settings)
    assert load_keys(settings.keys, {"FIELDPACT_KEY_SM2": secret}, suite="sm2").sm2
    with pytest.raises(Conflict):
        offline.new_keys(settings.keys, "sm2")


async def test_where_nothing_may_rest_on_bbs_nothing_is_published(
    tmp_path: Path,
) -> None:
    more = "gm_only: true\ncompany: {max_unacknowledged: 10}\n"
    with pytest.raises(AssertionError, match=r"suite\.no_bbs"):
        async with open_world(
            tmp_path / "world", suites=MIXED["provider"], settings=more
        ):
            pass


async def test_a_store_with_datasets_does_not_become_one_without(
    sm2_world: World,
) -> None:
    maker = sm2_world.maker
    await maker.stop()
    settings = maker.folder / "node.yaml"
    text = settings.read_text()
    settings.write_text(text + "gm_only: true\n")
    with pytest.raises(BadRequest) as caught:
        await start(maker.folder, clock=sm2_world.clock, wire=sm2_world.wire)
    assert caught.value.code == "suite.no_bbs"
    settings.write_text(text)
    sm2_world.maker = await start(
        maker.folder, clock=sm2_world.clock, wire=sm2_world.wire
    )


async def test_a_consumer_that_changes_its_key_is_still_known_by_the_one_before(
    tmp_path: Path,
) -> None:
    """Its record lists the past key, so what it has signed and not sent yet counts."""
    async with open_world(tmp_path, suites=MIXED["consumer"]) as world:
        receipt = await _asked(world)
        settings = load(world.supplier.folder / "node.yaml")
        rotated = offline.rotate_key(settings, "sm2")
        assert "#sm2-" in rotated.was
        assert rotated.was != rotated.now
        await world.supplier.stop()
        world.supplier = await start(
            world.supplier.folder, clock=world.clock, wire=world.wire
        )
        assert world.supplier.me.signing.key_id(world.supplier.did) == rotated.now
        evidence = await _anchored(world, receipt)
        assert evidence["countersignature"]["key_id"] == rotated.was
        found = _states(evidence, _pins(world), world)
        assert found["countersignature"] == (State.CHECKED, rotated.was)
        kept = await world.maker.manage(f"/audit/receipts/{receipt}")
        assert kept["countersignature"]["key_id"] == rotated.was


# --- what partners say of each other's logs


async def test_partners_cosign_a_log_of_another_suite_and_are_read(
    world: World,
) -> None:
    for _ in range(2):  # the second time, the witness checks that the log went on
        await _asked(world)
        await world.maker.services.keep_log.integrate()
        await world.maker.services.cosignatures()
    note = (await world.maker.client.get("/log/checkpoint")).text
    found = open_cosignatures(note, [world.supplier.me, world.charger.me])
    assert found.keys() == {world.supplier.did}
    spoiled = note[:-6] + ("A" if note[-6] != "A" else "B") + note[-5:]
    with pytest.raises(CryptoError):
        open_cosignatures(spoiled, [world.supplier.me])


async def test_both_sides_of_a_stream_find_it_the_same(world: World) -> None:
    await _asked(world)
    await _asked(world, SHARED[0])
    for node, partner in (
        (world.supplier, world.maker),
        (world.maker, world.supplier),
    ):
        body = {"partner": partner.did, "agreement": None}
        report = await node.manage("/management/reconcile", body)
        assert report["state"] == "same", report


async def test_a_log_of_either_suite_is_found_whole(world: World) -> None:
    await _anchored(world, await _asked(world))
    for node in (world.maker, world.supplier):
        me, pins = pinned(load(node.folder / "node.yaml"))
        with node.database.connect() as connection:
            assert list(check(connection, Basis(me=me, pins=pins))) == []


async def test_two_histories_of_one_log_are_proved_whatever_its_suite(
    world: World,
) -> None:
    signer = world.maker.services.keep_log.signer
    first, second = (
        sign_checkpoint(
            Checkpoint(origin=origin_of(world.maker.did), size=9, root=root), signer
        )
        for root in (bytes(32), bytes(range(32)))
    )
    proof = {
        "typ": "fieldpact/equivocation/1",
        "provider": world.maker.did,
        "first": first,
        "second": second,
    }
    steps = verify_equivocation(proof, _pins(world))
    assert {step.state for step in steps} == {State.CHECKED}
