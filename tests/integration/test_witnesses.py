"""Partners' nodes witness a log: they cosign it, and catch it with two histories."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crypto import merkle
from crypto.encoding import unb64u
from crypto.notes import Checkpoint, sign_checkpoint
from crypto.signing import Signer
from ledger.checkpoint import open_checkpoint, origin_of
from ledger.cosignature import open_cosignatures, without_cosignatures
from ledger.equivocation import verify_equivocation
from ledger.steps import State, verdict
from ledger.witness import Request
from node.ports import Alarm, Reply, StoredCheckpoint, Witnessed
from node.services.collect_cosignatures import CollectCosignatures
from tests.support.node import (
    PURPOSE,
    SHARED,
    FixedClock,
    Node,
    World,
    open_world,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        yield world


def pins(world: World) -> dict[str, Any]:
    participants = world.charger.services.identity.participants()
    return {each.did: each for each in participants}


def collector(world: World, **changes: Any) -> CollectCosignatures:
    """The maker's, asking both others unless told."""
    both = (world.supplier.did, world.charger.did)
    return replace(world.maker.services.cosignatures, **{"dids": both, **changes})


async def grow(world: World, calls: int = 1) -> StoredCheckpoint:
    """Answer calls, and publish a checkpoint of the log with their receipts."""
    for _ in range(calls):
        world.check(await world.query())
    await world.maker.services.keep_log.integrate()
    return await newest(world.maker)


async def newest(node: Node) -> StoredCheckpoint:
    found = await node.services.store.read(lambda view: view.log.checkpoint())
    assert found is not None
    return found


async def note_of(world: World) -> str:
    return (await world.maker.client.get("/log/checkpoint")).text


async def alarms(node: Node) -> list[Alarm]:
    return list(await node.services.store.read(lambda view: view.alarms.open()))


async def faults(node: Node) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await node.manage("/audit/faults"))["items"]
    return items


async def witnesses(world: World) -> dict[str, Any]:
    summary = await world.maker.manage("/audit/summary")
    found: dict[str, Any] = summary["witnesses"]
    return found


class Liar:
    """Whoever holds the maker's key, and writes another log with it."""

    def __init__(self, world: World, size: int) -> None:
        self.world = world
        self.signer: Signer = world.maker.services.keep_log.signer
        names = (f"lie {number}".encode() for number in range(size))
        self.leaves = [hashlib.sha256(name).digest() for name in names]

    def checkpoint(self, size: int) -> Checkpoint:
        root = merkle.root(self.leaves[:size])
        return Checkpoint(origin=origin_of(self.world.maker.did), size=size, root=root)

    def note(self, size: int) -> str:
        return sign_checkpoint(self.checkpoint(size), self.signer)

    async def show(self, node: Node, size: int, old: int = 0) -> tuple[int, str]:
        """Ask a node to cosign; return status and text."""
        proof: Sequence[bytes] = ()
        if 0 < old <= size:
            proof = merkle.consistency_proof(old, size, merkle.stored(self.leaves))
        request = Request(old=old, proof=tuple(proof), note=self.note(size))
        return await ask(node, request.render())


async def ask(node: Node, body: str) -> tuple[int, str]:
    response = await node.client.post("/witness/add-checkpoint", content=body)
    return response.status_code, response.text


# --- cosigning


async def test_partners_cosign_the_newest_checkpoint(world: World) -> None:
    stored = await grow(world, 3)
    await collector(world)()
    note = await note_of(world)
    maker = world.maker.me
    opened = open_checkpoint(note, origin=origin_of(maker.did), keys=maker.verifiers)
    assert (opened.size, opened.root) == (stored.size, stored.root)
    now = int(world.clock.now().timestamp())
    both = [world.supplier.me, world.charger.me]
    assert open_cosignatures(note, both) == {each.did: now for each in both}
    assert without_cosignatures(note, maker) == stored.note
    assert await witnesses(world) == {
        "known": 1,
        "quorum": 0,
        "anchored": None,
        "newest": {"size": stored.size, "cosigned": 1},
    }


async def test_unless_told_those_with_an_agreement_are_asked(world: World) -> None:
    await grow(world)
    await world.maker.services.cosignatures()
    found = open_cosignatures(
        await note_of(world), [world.supplier.me, world.charger.me]
    )
    assert found.keys() == {world.supplier.did}


async def test_a_witness_shows_what_it_has_cosigned(world: World) -> None:
    stored = await grow(world)
    await collector(world)()
    origin = origin_of(world.maker.did)
    digest = hashlib.sha256(origin.encode()).hexdigest()
    for path in (
        f"/witness/checkpoint?origin={origin}",
        f"/witness/{digest}/checkpoint",
    ):
        shown = (await world.charger.client.get(path)).text
        assert without_cosignatures(shown, world.maker.me) == stored.note
        assert open_cosignatures(shown, [world.charger.me]).keys() == {
            world.charger.did
        }
    own = origin_of(world.charger.did)
    for path in (
        f"/witness/checkpoint?origin={own}",
        f"/witness/{'0' * 64}/checkpoint",
    ):
        assert (await world.charger.client.get(path)).status_code == 404


async def test_a_log_that_grows_is_followed_and_asked_about_once(world: World) -> None:
    for calls in (1, 4, 2, 9):
        stored = await grow(world, calls)
        collect = collector(world)
        await collect()
        sent = len(world.wire.exchanges)
        await collect()
        assert len(world.wire.exchanges) == sent
        note = await note_of(world)
        assert len(open_cosignatures(note, [world.supplier.me, world.charger.me])) == 2
        assert f"\n{stored.size}\n" in note


async def test_a_witness_that_was_away_catches_up(world: World) -> None:
    await grow(world, 2)
    await collector(world)()
    world.wire.cut.add(world.charger.url)
    for calls in (3, 5):
        await grow(world, calls)
        await collector(world)()
    note = await note_of(world)
    assert open_cosignatures(note, [world.supplier.me, world.charger.me]).keys() == {
        world.supplier.did
    }
    world.wire.cut.clear()
    await collector(world)()
    assert len(open_cosignatures(await note_of(world), [world.charger.me])) == 1


async def test_a_log_that_forgot_how_far_its_witness_is_is_told(world: World) -> None:
    """A reply that was lost: the witness has kept what we do not know of."""
    await grow(world, 2)
    world.wire.lose.append("add-checkpoint")
    only = collector(world, dids=(world.charger.did,))
    await only()
    assert open_cosignatures(await note_of(world), [world.charger.me]) == {}
    await grow(world, 3)
    await only()
    statuses = [
        each.status for each in world.wire.exchanges if "add-checkpoint" in each.path
    ]
    assert statuses == [200, 409, 200]
    assert len(open_cosignatures(await note_of(world), [world.charger.me])) == 1
    assert await alarms(world.maker) == []


async def test_what_is_being_anchored_is_cosigned_before_what_is_newer(
    world: World,
) -> None:
    anchored = await grow(world, 2)
    await world.maker.services.anchoring()
    later = await grow(world, 2)
    await collector(world)()
    store = world.maker.services.store
    for size in (anchored.size, later.size):
        lines = await store.read(
            lambda view, at=size: view.witness.cosignatures(at)  # type: ignore[misc]
        )
        assert len(lines) == 2
    state = await collector(world).state()
    assert state["anchored"] == {"size": anchored.size, "cosigned": 2}


async def test_evidence_carries_the_cosignatures_of_its_checkpoint(
    world: World,
) -> None:
    answer = await world.query()
    await world.maker.services.keep_log.integrate()
    await world.maker.services.anchoring()
    await collector(world)()
    path = f"/audit/receipts/{answer.receipt.receipt_id}"
    told = await world.maker.manage(path)
    both = [world.supplier.me, world.charger.me]
    assert len(open_cosignatures(told["checkpoint"], both)) == 2
    assert open_cosignatures(told["anchor"]["checkpoint"], both) == {}


# --- what a witness refuses


async def test_strangers_and_nonsense_get_the_status_of_the_specification(
    world: World,
) -> None:
    stored = await grow(world)
    right = Request(old=0, proof=(), note=stored.note)
    forged = sign_checkpoint(
        Liar(world, 3).checkpoint(2), world.supplier.services.keep_log.signer
    )
    wanted = {
        400: "old 0\n\nnonsense",
        403: Request(old=0, proof=(), note=forged).render(),
        404: right.render().replace(origin_of(world.maker.did), "else/log"),
        422: replace(right, proof=(bytes(32),)).render(),
    }
    for status, body in wanted.items():
        assert (await ask(world.charger, body))[0] == status
    late = await ask(world.charger, replace(right, old=1, proof=(bytes(32),)).render())
    assert late[0] in {400, 409}
    assert (await ask(world.charger, right.render()))[0] == 200
    response = await world.charger.client.post(
        "/witness/add-checkpoint", content=right.render()
    )
    assert (response.status_code, response.text) == (409, f"{stored.size}\n")
    assert response.headers["content-type"].partition(";")[0] == "text/x.tlog.size"
    # Nobody witnesses its own log.
    assert (await ask(world.maker, right.render()))[0] == 404


async def test_a_body_beyond_all_requests_is_not_read(world: World) -> None:
    response = await world.charger.client.post(
        "/witness/add-checkpoint", content="old 0\n" * 2**15
    )
    assert response.status_code == 413


async def test_one_address_cannot_keep_a_witness_busy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.clock, "elapsed_ms", lambda: 1e9)
    statuses = [(await ask(world.charger, "nonsense"))[0] for _ in range(90)]
    assert statuses == [400] * 60 + [429] * 30
    monkeypatch.setattr(world.clock, "elapsed_ms", lambda: 1e9 + 100)
    assert (await ask(world.charger, "nonsense"))[0] == 400


async def test_of_two_histories_asked_for_at_once_one_is_cosigned(world: World) -> None:
    """The race of the specification: both start from what is held."""
    liar, other = Liar(world, 40), Liar(world, 40)
    other.leaves[5:] = [hashlib.sha256(leaf).digest() for leaf in liar.leaves[5:]]
    assert (await liar.show(world.charger, 5))[0] == 200
    answers = await asyncio.gather(
        *(who.show(world.charger, 12 + n, 5) for n in range(6) for who in (liar, other))
    )
    statuses = [status for status, _ in answers]
    assert statuses.count(200) == 1
    assert set(statuses) == {200, 409}


async def test_a_log_that_shrinks_is_not_cosigned(world: World) -> None:
    liar = Liar(world, 20)
    assert (await liar.show(world.charger, 12))[0] == 200
    assert await liar.show(world.charger, 5, 5) == (409, "12\n")
    assert await liar.show(world.charger, 5, 12) != (200, "")
    assert (await liar.show(world.charger, 12, 12))[0] == 200


# --- a provider with two histories


async def test_a_provider_that_equivocates_to_two_partners_is_found_out(
    world: World,
) -> None:
    """The supplier is shown one log, the charger another, until a place tells."""
    stored = await grow(world, 4)
    liar = Liar(world, stored.size)
    assert (await liar.show(world.supplier, stored.size))[0] == 200
    await collector(world, dids=(world.charger.did,))()
    # Each alone sees nothing wrong ...
    for node in (world.supplier, world.charger):
        assert await alarms(node) == []
    # ... until the supplier asks where an entry stands: then it meets the other one.
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [SHARED[0]],
    }
    answer = await world.supplier.manage("/management/ask", question)
    assert not answer["verified"]
    (failed,) = (each for each in answer["checks"] if each["state"] == "failed")
    assert "two roots" in failed["detail"]
    (alarm,) = await alarms(world.supplier)
    assert (alarm.code, alarm.subject) == ("partner.forked", world.maker.did)
    # The proof is a file; the third company believes nobody but its own registry.
    (fault,) = await faults(world.supplier)
    assert (fault["kind"], fault["participant"]) == ("equivocation", world.maker.did)
    proof = await world.supplier.manage(f"/audit/faults/{fault['id']}")
    steps = verify_equivocation(proof, pins(world))
    assert verdict(steps) is State.CHECKED
    await world.supplier.manage(f"/audit/faults/{'0' * 64}", expect=404)


async def test_evidence_that_shows_another_history_is_given_and_proves_it(
    world: World,
) -> None:
    """The reader of the evidence gets what the provider says; we keep the proof."""
    question = {
        "agreement": world.agreement,
        "purpose": PURPOSE,
        "fields": ["units"],
        "customers": [SHARED[0]],
    }
    answer = await world.supplier.manage("/management/ask", question)
    stored = await grow(world, 2)
    liar = Liar(world, stored.size)
    assert (await liar.show(world.supplier, stored.size))[0] == 200
    told = await world.supplier.manage(f"/audit/receipts/{answer['receipt']}")
    assert f"\n{stored.size}\n" in told["checkpoint"]
    (fault,) = await faults(world.supplier)
    assert fault["participant"] == world.maker.did


async def test_a_second_root_that_is_handed_in_is_kept_as_a_proof(world: World) -> None:
    stored = await grow(world, 4)
    await collector(world, dids=(world.charger.did,))()
    liar = Liar(world, stored.size + 3)
    assert (await liar.show(world.charger, stored.size, stored.size))[0] == 422
    (alarm,) = await alarms(world.charger)
    assert (alarm.code, alarm.subject) == ("partner.forked", world.maker.did)
    (fault,) = await faults(world.charger)
    proof = await world.charger.manage(f"/audit/faults/{fault['id']}")
    assert verdict(verify_equivocation(proof, pins(world))) is State.CHECKED
    # The same again is one proof; whatever old size goes with it.
    assert (await liar.show(world.charger, stored.size, 1))[0] == 409
    assert len(await faults(world.charger)) == 1
    # Nothing of this log is cosigned until a person has looked at it.
    await grow(world, 2)
    await collector(world, dids=(world.charger.did,))()
    assert open_cosignatures(await note_of(world), [world.charger.me]) == {}
    await world.charger.services.store.write(
        lambda work: work.alarms.clear(
            alarm.code, alarm.subject, "talked with them", world.clock.now()
        )
    )
    await collector(world, dids=(world.charger.did,))()
    assert len(open_cosignatures(await note_of(world), [world.charger.me])) == 1


async def test_an_older_size_with_another_root_proves_it_too(world: World) -> None:
    first = await grow(world, 3)
    await collector(world, dids=(world.charger.did,))()
    await grow(world, 3)
    await collector(world, dids=(world.charger.did,))()
    liar = Liar(world, first.size)
    assert (await liar.show(world.charger, first.size, first.size))[0] == 409
    assert len(await faults(world.charger)) == 1


# --- comparing what others were shown


async def test_partners_who_were_shown_the_same_have_nothing_to_tell(
    world: World,
) -> None:
    for calls in (2, 3):
        await grow(world, calls)
        await collector(world)()
        await world.supplier.services.compare_logs()
    await grow(world, 1)  # newer than what anybody has cosigned
    await world.supplier.services.compare_logs()
    witness = world.supplier.services.witness
    assert not witness.unlinked
    assert await alarms(world.supplier) == []
    assert await faults(world.supplier) == []


async def test_one_size_shown_differently_to_two_partners_is_proved(
    world: World,
) -> None:
    stored = await grow(world, 4)
    liar = Liar(world, stored.size)
    assert (await liar.show(world.charger, stored.size))[0] == 200
    await collector(world, dids=(world.supplier.did,))()
    await world.supplier.services.compare_logs()
    (alarm,) = await alarms(world.supplier)
    assert (alarm.code, alarm.subject) == ("partner.forked", world.maker.did)
    (fault,) = await faults(world.supplier)
    proof = await world.supplier.manage(f"/audit/faults/{fault['id']}")
    assert verdict(verify_equivocation(proof, pins(world))) is State.CHECKED


async def test_histories_that_never_meet_at_one_size_cannot_be_linked(
    world: World,
) -> None:
    """A careful liar: no two partners are ever shown the same size."""
    stored = await grow(world, 4)
    liar = Liar(world, stored.size)
    assert (await liar.show(world.charger, stored.size - 1))[0] == 200
    await collector(world, dids=(world.supplier.did,))()
    await world.supplier.services.compare_logs()
    (alarm,) = await alarms(world.supplier)
    assert (alarm.code, alarm.subject) == ("partner.forked", world.maker.did)
    assert "does not link" in alarm.detail
    assert await faults(world.supplier) == []


@pytest.mark.parametrize("body", [None, {}, {"proof": [""]}, {"proof": ["!"] * 3}])
async def test_an_answer_that_is_no_proof_links_nothing(
    world: World, body: Any
) -> None:
    await grow(world, 2)
    await collector(world)()
    await grow(world, 2)
    world.wire.forge["/log/consistency"] = Reply(status=200, body=body)
    await world.supplier.services.compare_logs()
    (alarm,) = await alarms(world.supplier)
    assert alarm.code == "partner.forked"


async def test_a_log_that_links_nothing_for_an_hour_is_told_of(world: World) -> None:
    await grow(world, 2)
    await collector(world)()
    await grow(world, 2)
    world.wire.forge["/log/consistency"] = Reply(status=503, body={})
    compare = world.supplier.services.compare_logs
    await compare()
    world.clock.advance(minutes=50)
    await compare()
    assert await alarms(world.supplier) == []
    world.wire.cut.add("/log/consistency")
    world.clock.advance(minutes=50)
    await compare()
    assert await alarms(world.supplier) == []  # it may be down: that is no fault
    world.wire.cut.clear()
    await compare()
    (alarm,) = await alarms(world.supplier)
    assert (alarm.code, alarm.subject) == ("partner.unlinked", world.maker.did)
    world.wire.forge.clear()
    await compare()
    assert not world.supplier.services.witness.unlinked


async def test_what_somebody_else_signed_proves_nothing(world: World) -> None:
    stored = await grow(world, 2)
    await collector(world)()
    forged = sign_checkpoint(
        Liar(world, stored.size).checkpoint(stored.size),
        world.charger.services.keep_log.signer,
    )
    for said in ((200, forged), (200, "nonsense"), (404, ""), (500, "")):
        world.wire.say["/witness/checkpoint"] = said
        await world.supplier.services.compare_logs()
    assert await alarms(world.supplier) == []


async def test_a_log_proves_that_it_continues_itself(world: World) -> None:
    first, second = await grow(world, 3), await grow(world, 4)
    client = world.maker.client
    path = f"/log/consistency?first={first.size}&second={second.size}"
    proof = tuple(unb64u(step) for step in (await client.get(path)).json()["proof"])
    merkle.verify_consistency(
        size1=first.size,
        size2=second.size,
        proof=proof,
        root1=first.root,
        root2=second.root,
    )
    for one, other in [(second.size, first.size), (1, second.size + 1)]:
        path = f"/log/consistency?first={one}&second={other}"
        assert (await client.get(path)).status_code == 404
    for wrong in ("first=0&second=1", "first=1", f"first=1&second={2**63}"):
        assert (await client.get(f"/log/consistency?{wrong}")).status_code == 400


# --- our own log, as a witness knows it


async def test_a_witness_that_shows_another_root_of_our_log_stops_the_node(
    world: World,
) -> None:
    stored = await grow(world, 4)
    liar = Liar(world, stored.size)
    assert (await liar.show(world.charger, stored.size))[0] == 200
    await collector(world)()
    (alarm,) = await alarms(world.maker)
    assert (alarm.code, alarm.stops) == ("log.forked", True)
    assert alarm.subject == origin_of(world.maker.did)
    assert world.charger.did in alarm.detail
    # Nobody is asked any more.
    sent = len(world.wire.exchanges)
    await collector(world)()
    assert len(world.wire.exchanges) == sent


async def test_a_database_put_back_to_an_older_copy_is_noticed(world: World) -> None:
    """The witness knows of more entries than we have, under our own signature."""
    await grow(world, 2)
    liar = Liar(world, 90)
    assert (await liar.show(world.charger, 90))[0] == 200
    await collector(world)()
    (alarm,) = await alarms(world.maker)
    assert alarm.code == "log.forked"
    assert "90 entries" in alarm.detail


async def test_a_node_that_starts_is_told_at_once_what_it_has_forgotten(
    world: World,
) -> None:
    """Before it has anything to ask: its older copy was cosigned in full."""
    await grow(world, 2)
    await collector(world)()
    assert (await Liar(world, 9).show(world.supplier, 9, 0))[0] == 409
    size = (await newest(world.maker)).size
    store = world.charger.services.store
    later = Liar(world, size + 3).checkpoint(size + 3)
    note = sign_checkpoint(later, world.maker.services.keep_log.signer)
    held = Witnessed(
        origin=later.origin,
        size=later.size,
        root=later.root,
        note=note,
        at=world.clock.now(),
    )
    await store.write(lambda work: work.witness.keep(held))
    await collector(world)()
    assert await alarms(world.maker) == []  # nothing new, and nobody is asked
    world.wire.cut.add(world.charger.url)
    restarted = collector(world, examined=set())
    await restarted()
    assert await alarms(world.maker) == []
    world.wire.cut.clear()
    await restarted()
    (alarm,) = await alarms(world.maker)
    assert (alarm.code, alarm.stops) == ("log.forked", True)


async def test_a_root_that_differs_below_our_size_is_noticed(world: World) -> None:
    liar = Liar(world, 2)
    assert (await liar.show(world.charger, 2))[0] == 200
    await grow(world, 6)
    await collector(world)()
    (alarm,) = await alarms(world.maker)
    assert alarm.code == "log.forked"


@pytest.mark.parametrize("shown", ["nothing", "nonsense", "forged"])
async def test_a_witness_that_cannot_show_our_signature_is_not_believed(
    world: World, shown: str
) -> None:
    stored = await grow(world, 3)
    liar = Liar(world, 90)
    forged = sign_checkpoint(
        liar.checkpoint(90), world.charger.services.keep_log.signer
    )
    text = {"nothing": "", "nonsense": "90\n", "forged": forged}[shown]
    world.wire.say["/witness/add-checkpoint"] = (409, "90\n")
    world.wire.say["/witness/checkpoint"] = (200 if text else 404, text)
    await collector(world)()
    assert await alarms(world.maker) == []
    for answer in ((409, f"{stored.size - 1}\n"), (409, "x"), (200, ""), (200, forged)):
        world.wire.say["/witness/add-checkpoint"] = answer
        await collector(world)()
    assert await alarms(world.maker) == []
    assert "cosigned" not in str((await witnesses(world))["newest"])


async def test_a_cosignature_of_the_far_future_is_not_kept(world: World) -> None:
    await grow(world)
    slow = FixedClock(world.clock.now())
    world.clock.advance(days=2)
    await collector(world, clock=slow)()
    assert open_cosignatures(await note_of(world), [world.charger.me]) == {}
    await collector(world)()
    assert len(open_cosignatures(await note_of(world), [world.charger.me])) == 1


# --- the quorum


async def test_the_node_tells_when_an_anchor_lacks_its_quorum(world: World) -> None:
    stored = await grow(world)
    await world.maker.services.anchoring()
    two = collector(world, quorum=2)
    assert await two.warnings() == []  # they are still being collected
    world.clock.advance(minutes=2)
    assert await two.warnings() == ["witnesses.quorum"]
    world.wire.cut.add(world.charger.url)
    await two()
    assert await two.warnings() == ["witnesses.quorum"]
    assert await replace(two, quorum=1).warnings() == []
    world.wire.cut.clear()
    await two()
    assert await two.warnings() == []
    assert (await two.state())["anchored"] == {"size": stored.size, "cosigned": 2}


async def test_readiness_tells_it_and_the_node_goes_on(tmp_path: Path) -> None:
    settings = "witnesses: {quorum: 1}\n"
    async with open_world(tmp_path, settings=settings) as world:
        ready = await world.maker.client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"ready": True})
        await grow(world)
        await world.maker.services.anchoring()
        world.clock.advance(minutes=2)
        ready = await world.maker.client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json() == {"ready": True, "warnings": ["witnesses.quorum"]}
        assert (await witnesses(world))["quorum"] == 1
        await world.maker.services.cosignatures()
        ready = await world.maker.client.get("/health/ready")
        assert ready.json() == {"ready": True}


async def test_about_an_empty_log_nobody_is_asked(world: World) -> None:
    collect = replace(world.charger.services.cosignatures, dids=(world.maker.did,))
    await collect()
    assert not any("add-checkpoint" in each.path for each in world.wire.exchanges)
    assert await collect.state() == {
        "known": 1,
        "quorum": 0,
        "anchored": None,
        "newest": None,
    }
    assert await replace(collect, quorum=1).warnings() == []
