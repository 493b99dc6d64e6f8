"""Federated sums: answers that lie are found, and blamed on whom it can be proved of."""

import datetime
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crypto import vectors
from crypto.bbs.suite import ORDER
from crypto.bfv import parse_ciphertext, parse_encryption_key
from crypto.encoding import b64u, unb64u
from crypto.kernels.packing import pack, unpack
from crypto.parameters import parameter_set
from ledger.rosters import parse_acceptance
from node.errors import Conflict
from node.services.aggregates.steps import Answer
from tests.support.federated import NOW, REGIONS, World, did, participant
from tests.support.runs import MemoryRun

SET = parameter_set("bfv-4096-40")
T = SET.plain_modulus


def _cell(answer: Answer) -> Answer:
    """One cell more by one: what anybody can do to a ciphertext who has the key."""
    first, *rest = unpack(answer.payload)
    changed = bytearray(first)
    changed[-1] ^= 1
    return replace(answer, payload=pack(bytes(changed), *rest))


def _members(**changes: Callable[[str], str]) -> Callable[[Answer], Answer]:
    def change(answer: Answer) -> Answer:
        named = {name: act(answer.members[name]) for name, act in changes.items()}
        return replace(answer, members={**answer.members, **named})

    return change


def _other_blinding(text: str) -> str:
    number = (int.from_bytes(unb64u(text), "big") + 1) % ORDER
    return b64u(number.to_bytes(32, "big"))


def _other_commitment(_: str) -> str:
    return b64u(vectors.commit([1, 2, 3], 4))


async def test_one_cell_more_in_a_ciphertext_is_found_and_blamed_on_nobody() -> None:
    world = World(4)
    signed, inputs = await world.prepared()
    key = parse_encryption_key(SET.name, unpack(unb64u(inputs["key"]))[1])

    def add(answer: Answer) -> Answer:
        sent = parse_ciphertext(SET.name, unpack(answer.payload)[0], bound=1 << 20)
        changed = sent.computation().plus(key.encrypt([0, 0, 1], bound=1))
        zeros = [0] * len(REGIONS)
        released = changed.release(key, zeros, secrets.token_bytes)
        return replace(answer, payload=pack(released.octets))

    world.tampered[did(2), "contribute"] = add
    with pytest.raises(Conflict, match=r"sum\.mismatch") as caught:
        await world.asker()(signed, inputs, MemoryRun())
    assert not any(name in str(caught.value) for name in world.dids)
    assert not caught.value.extra


@pytest.mark.parametrize(
    "change",
    [
        _cell,
        _members(commitment=_other_commitment),
        _members(blinding=_other_blinding),
    ],
    ids=["ciphertext", "commitment", "blinding"],
)
async def test_what_does_not_add_up_is_told_to_nobody(
    change: Callable[[Answer], Answer],
) -> None:
    world = World(4)
    world.tampered[did(3), "contribute"] = change
    with pytest.raises(Conflict) as caught:
        await world.ask()
    if caught.value.code == "sum.mismatch":
        assert not any(name in str(caught.value) for name in world.dids)


async def test_acceptances_that_hold_no_longer_make_no_roster() -> None:
    world = World(3)

    def late(answer: Answer) -> Answer:
        world.now = NOW + datetime.timedelta(days=2)
        return answer

    world.tampered[did(2), "accept"] = late
    with pytest.raises(Conflict, match=r"roster\.invalid"):
        await world.ask()
    assert set(world.asked.values()) == {1}


async def test_a_number_in_a_slot_beyond_the_cells_is_found() -> None:
    world = World(3)
    signed, inputs = await world.prepared()
    key = parse_encryption_key(SET.name, unpack(unb64u(inputs["key"]))[1])

    def smuggle(answer: Answer) -> Answer:
        sent = parse_ciphertext(SET.name, unpack(answer.payload)[0], bound=1 << 20)
        extra = key.encrypt([0] * len(REGIONS) + [7], bound=7)
        changed = sent.computation().plus(extra)
        released = changed.release(key, [0], secrets.token_bytes)
        return replace(answer, payload=pack(released.octets))

    world.tampered[did(1), "contribute"] = smuggle
    with pytest.raises(Conflict, match=r"sum\.mismatch"):
        await world.asker()(signed, inputs, MemoryRun())


async def test_a_sum_below_zero_is_refused() -> None:
    world = World(3)
    for name, cell in zip(world.dids, (-5, 1, 1), strict=True):
        world.hold(name, (cell,) * len(REGIONS))
    with pytest.raises(Exception, match=r"negative|mismatch"):
        await world.ask()


_POINT_AT_INFINITY = b64u(b"\xc0" + bytes(47))


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: replace(answer, payload=b""),
        lambda answer: replace(answer, payload=pack(b"noise")),
        lambda answer: replace(answer, payload=answer.payload[:-1]),
        lambda answer: replace(answer, payload=answer.payload * 2),
        _members(commitment=lambda _: _POINT_AT_INFINITY),
        _members(commitment=lambda _: b64u(bytes(48))),
        _members(commitment=lambda _: "short"),
        _members(blinding=lambda _: b64u(ORDER.to_bytes(32, "big"))),
        _members(roster=lambda _: "0" * 64),
        lambda answer: replace(answer, members={}),
        lambda answer: replace(answer, members={**answer.members, "more": 1}),
    ],
)
async def test_an_answer_that_is_none_is_blamed_on_who_signed_it(
    change: Callable[[Answer], Answer],
) -> None:
    world = World(4)
    world.tampered[did(2), "contribute"] = change
    with pytest.raises(Conflict, match=r"party\.answer") as caught:
        await world.ask()
    assert caught.value.extra == {"party": did(2)}


async def test_an_acceptance_of_another_plan_or_stranger_is_blamed_likewise() -> None:
    world = World(3)
    other, _ = await world.prepared()
    run = MemoryRun()
    stale = await world.handlers[did(1)](world.step(did(1), other, "accept"), run)
    _, strange = participant("did:web:stranger.example")
    world.tampered[did(1), "accept"] = lambda _: stale
    with pytest.raises(Conflict, match=r"party\.answer") as caught:
        await world.ask()
    assert caught.value.extra == {"party": did(1)}
    assert {call.step for call, _ in world.direct.sent} == {"accept"}

    def forge(answer: Answer) -> Answer:
        signed = parse_acceptance(answer.members["acceptance"])
        signature = strange.sign(signed.acceptance.signed_bytes())
        forged = replace(signed, signature=signature)
        return replace(
            answer, members={**answer.members, "acceptance": forged.to_json()}
        )

    world.tampered[did(1), "accept"] = forge
    with pytest.raises(Conflict, match=r"party\.answer"):
        await world.ask()


async def test_two_parties_who_swap_their_acceptances_are_found() -> None:
    world = World(3)
    signed, inputs = await world.prepared()
    answers = {
        name: await world.direct(signed, world.party(name), "accept", {})
        for name in world.dids
    }
    world.tampered[did(1), "accept"] = lambda _: answers[did(2)]
    world.tampered[did(2), "accept"] = lambda _: answers[did(1)]
    with pytest.raises(Conflict, match=r"party\.answer"):
        await world.asker()(signed, inputs, MemoryRun())


async def test_two_parties_who_swap_their_contributions_change_nothing() -> None:
    # Masked rows are added up; which of them is whose only the receipts tell.
    world = World(4)
    signed, inputs = await world.prepared()
    swap, usual = {did(1): did(2), did(2): did(1)}, world.call

    async def call(signed: Any, party: Any, step: str, *rest: Any) -> Answer:
        if step == "contribute":
            party = world.party(swap.get(party.did, party.did))
        return await usual(signed, party, step, *rest)

    result = await world.asker(call=call)(signed, inputs, MemoryRun())
    assert result["cells"] == world.sums
