"""A step of a plan on both sides: kept before it is sent, shown, and signed back."""

import dataclasses
import datetime
import secrets
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
import sqlalchemy as sa

from crypto.encoding import b64u, sha256
from crypto.kernels.packing import pack, unpack
from ledger.plans import Kind, SignedPlan
from ledger.receipts import stream_id
from node.adapters.sql import tables as t
from node.domain.agreement import render_instant
from node.domain.denials import DENIALS
from node.domain.steps import StepRequest, unframed
from node.errors import NodeError, NotFound, Refused, Unavailable
from tests.support.companies import Companies, open_companies
from tests.support.node import Node
from tests.unit.node.test_aggregate_refusals import HEAT, MATCH, Liar

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Companies]:
    async with open_companies(tmp_path_factory.mktemp("w"), providers=2) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def liar(world: Companies) -> Liar:
    """Under an agreement of its own: receipts are counted under one."""
    world.agreements[0] = await world.agree(world.providers[0])
    return Liar(world)


async def shown(node: Node, signed: SignedPlan) -> tuple[str, str | None]:
    """Return the state of a plan's job at a node, and the code that it ended with."""
    path = f"/management/jobs?plan={signed.plan.plan_hash}"
    [job] = (await node.manage(path))["items"]
    return job["state"], job["error"] and job["error"]["code"]


async def opened(liar: Liar, signed: SignedPlan) -> None:
    """Have a table sent and opened, as it was sent."""
    table = await liar.send(signed, "table")
    _, row = unpack(table.payload)
    await liar.send(signed, "open", pack(row), {"key": table.members["key"]})


def asked(
    node: Node, signed: SignedPlan, provider: Node, **changes: Any
) -> tuple[StepRequest, str]:
    """Return a step as any node can ask it, and a token of that node for it."""
    [party] = signed.plan.parties
    facts: dict[str, Any] = {
        "dataset": party.dataset,
        "agreement": party.agreement,
        "purpose": signed.plan.purpose,
        "plan": signed,
        "step": "table",
        "arguments": {},
        "payload": sha256(b"").hex(),
    }
    request = StepRequest(**(facts | changes))
    token = node.services.identity.issue(
        audience=provider.did,
        bound_to=request.hash,
        agreement=request.agreement,
        nonce=b64u(secrets.token_bytes(32)),
    )
    return request, token


async def refused(provider: Node, request: StepRequest, token: str) -> set[str]:
    """Return the codes that a step is refused with."""
    with pytest.raises(NodeError) as found:
        await provider.services.aggregates.answer(request, b"", token)
    return {each["code"] for each in found.value.extra["denials"]}


async def test_the_provider_shows_a_plan_until_its_last_step_was_answered(
    world: Companies, liar: Liar
) -> None:
    provider, signed = world.providers[0], await liar.plan(HEAT)
    table = await liar.send(signed, "table")
    assert await shown(provider, signed) == ("running", None)
    _, row = unpack(table.payload)
    await liar.send(signed, "open", pack(row), {"key": table.members["key"]})
    assert await shown(provider, signed) == ("done", None)


async def test_the_provider_shows_that_a_plan_ended_with_a_refusal(
    world: Companies, liar: Liar
) -> None:
    signed = await liar.plan(HEAT)
    await liar.send(signed, "table")
    await liar.refused("key.mismatch", signed, "open", b"", {"key": "0" * 64})
    state = await shown(world.providers[0], signed)
    assert state == ("failed", "key.mismatch")


async def test_a_plan_that_is_flipped_has_one_step(
    world: Companies, liar: Liar
) -> None:
    job = await liar.world.ask(**HEAT | {"mode": "flip", "totals": ["region"]})
    assert job["state"] == "done", job["error"]
    path = f"/management/jobs?plan={job['result']['plan']}"
    [told] = (await world.providers[0].manage(path))["items"]
    assert (told["role"], told["state"]) == ("provider", "done")
    assert told["partners"] == [world.asker.did]


async def test_nobody_else_ends_a_plan(world: Companies, liar: Liar) -> None:
    provider, other = world.providers
    signed = await liar.plan(HEAT)
    await liar.send(signed, "table")
    request, token = asked(other, signed, provider)
    assert "agreement.not_party" in await refused(provider, request, token)
    assert await shown(provider, signed) == ("running", None)


async def test_nothing_is_found_out_for_who_is_no_party(
    world: Companies, liar: Liar
) -> None:
    """Not even for the policy: what is left is between provider and consumer."""
    provider, other = world.providers
    signer = other.services.aggregates.draw_up
    plan = (await liar.plan(HEAT)).plan
    key_id = signer.signer.key_id(other.did)
    theirs = signer.sign(dataclasses.replace(plan, asker=other.did, key_id=key_id))
    answer = provider.services.aggregates.answer
    policy = mock.Mock(wraps=answer.policy)
    answer = dataclasses.replace(answer, policy=policy)
    names = ("signed", "current", "bound")
    for changes in ({}, {"agreement": "urn:uuid:none"}):
        request, token = asked(other, theirs, provider, **changes)
        with pytest.raises(Refused):
            await answer(request, b"", token)
        [question] = policy.decide.call_args.args
        assert [question["request"]["plan"][name] for name in names] == [False] * 3
        assert question["usage"]["budget_left"] == 0

    request, token = asked(world.asker, await liar.plan(HEAT), provider)
    await answer(request, b"", token)
    [question] = policy.decide.call_args.args
    assert [question["request"]["plan"][name] for name in names] == [True] * 3
    assert question["usage"]["budget_left"] > 0


async def test_a_token_carries_one_step(world: Companies, liar: Liar) -> None:
    provider, signed = world.providers[0], await liar.plan(HEAT)
    request, token = asked(world.asker, signed, provider)
    await provider.services.aggregates.answer(request, b"", token)
    assert await refused(provider, request, token) == {"nonce.replayed"}


async def test_steps_that_are_answered_count_as_calls(world: Companies) -> None:
    world.agreements[0] = await world.agree(world.providers[0], calls_per_hour=2)
    liar = Liar(world)
    signed = await liar.plan(HEAT)
    await liar.refused("round.order", signed, "contribute")
    for _ in range(2):
        await liar.send(signed, "table")
    await liar.refused("rate.exceeded", signed, "table")


async def test_a_plan_begins_to_hold_when_it_was_made(liar: Liar) -> None:
    now = liar.world.clock.now()
    at = [render_instant(now + datetime.timedelta(hours=n)) for n in range(-1, 3)]
    await liar.send(await liar.plan(HEAT, created=at[1], expires=at[2]), "table")
    for since, until in (at[:2], at[2:]):
        plan = await liar.plan(HEAT, created=since, expires=until)
        await liar.refused("plan.expired", plan, "table")


async def test_each_step_names_the_newest_receipt_and_signs_back_what_is_owed(
    world: Companies, liar: Liar
) -> None:
    sent: list[Any] = []

    def noted(content: bytes) -> bytes:
        sent.append(unframed(content)[0]["stream"])
        return content

    world.wire.change["/aggregates/"] = noted
    try:
        await opened(liar, await liar.plan(HEAT))
    finally:
        world.wire.change.clear()
    first, second = sent
    assert first == {"last": None, "countersignatures": []}
    [table, _] = world.providers[0].receipts()[-2:]
    digest = table.receipt.receipt_id
    assert second["last"] == {"sequence": 0, "receipt": digest}
    assert [each["receipt"] for each in second["countersignatures"]] == [digest]
    c = t.receipts.c
    statement = sa.select(c.countersignature).where(c.receipt_id == digest)
    [row] = world.providers[0].rows(statement)
    assert row.countersignature is not None


async def test_that_a_step_is_asked_is_kept_before_anything_is_sent(
    world: Companies, liar: Liar
) -> None:
    signed = await liar.plan(HEAT)
    world.wire.cut.add("/aggregates/")
    try:
        with pytest.raises(Unavailable):
            await liar.send(signed, "table")
    finally:
        world.wire.cut.clear()
    [row] = world.asker.rows(
        sa.select(t.asked).where(t.asked.c.agreement == world.agreements[0])
    )
    [party] = signed.plan.parties
    request, _ = asked(world.asker, signed, world.providers[0])
    assert row.provider == party.did
    assert row.request_hash == request.hash
    assert row.receipt_id is None
    caller = world.providers[0].services.identity.authenticate(
        row.token, bound_to=request.hash, agreement=party.agreement
    )
    assert (caller.did, caller.problem) == (world.asker.did, "")
    assert caller.nonce == row.nonce
    stream = stream_id(
        provider=party.did, consumer=world.asker.did, agreement=party.agreement
    )
    assert row.stream == stream


@pytest.mark.parametrize("octets", [b"", b"{}", b"no receipt"])
async def test_an_answer_without_a_receipt_is_no_answer(
    world: Companies, liar: Liar, octets: bytes
) -> None:
    world.wire.answer["/aggregates/"] = lambda _: octets
    try:
        with pytest.raises(Unavailable, match="with no receipt") as found:
            await liar.send(await liar.plan(HEAT), "table")
    finally:
        world.wire.answer.clear()
    assert found.value.code == "partner.no_receipt"


async def test_a_refusal_is_told_in_words_with_its_receipt(
    world: Companies, liar: Liar
) -> None:
    with pytest.raises(Refused) as found:
        await liar.send(await liar.plan(HEAT), "contribute")
    told, known = found.value, DENIALS["round.order"]
    receipt = world.providers[0].receipts()[-1].receipt
    assert told.detail == (
        f"{world.providers[0].did}: {known.message.en} {known.mend.en}"
    )
    assert told.extra == {"receipt_id": receipt.receipt_id, "denials": ["round.order"]}


async def test_a_step_is_asked_under_an_agreement_that_we_are_the_consumer_of(
    world: Companies, liar: Liar
) -> None:
    """The provider holds the same agreement, and asks nothing under it."""
    signed = await liar.plan(HEAT)
    call = world.providers[0].services.aggregates.jobs._carry_out.askings
    [party] = signed.plan.parties
    with pytest.raises(NotFound) as found:
        await call[Kind.HEAT_MAP].call(signed, party, "table", {})  # type: ignore[attr-defined]
    assert found.value.code == "agreement.unknown"
    unknown = dataclasses.replace(party, agreement="urn:uuid:none")
    with pytest.raises(NotFound) as found:
        await liar.call(signed, unknown, "table", {})
    assert found.value.code == "agreement.unknown"


async def test_what_costs_nothing_reserves_nothing(
    world: Companies, liar: Liar
) -> None:
    """Steps before the one that tells a figure are not what the plan pays for."""
    joint = MATCH | {
        "kind": "joint-sum",
        "mode": "",
        "measure": {"what": "sum", "field": "cost"},
    }
    signed = await liar.plan(joint | {"epsilon_micro": 1_000_000})
    await liar.send(signed, "commit")
    receipt = world.providers[0].receipts()[-1].receipt
    assert (receipt.step, receipt.spent) == ("commit", 0)
