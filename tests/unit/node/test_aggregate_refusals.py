"""Plans and steps that lie, over the wire: each a clear refusal, and a receipt of it."""

import dataclasses
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from crypto import psi
from crypto.errors import Invalid
from crypto.kernels import bfv
from crypto.kernels.packing import numbers, pack, unpack
from ledger.plan_laws import Kind
from ledger.plans import SignedPlan
from ledger.receipts import Receipt
from node.api.jobs import _draft
from node.api.models import NewPlan
from node.domain.steps import framed, unframed
from node.errors import Conflict, NodeError, Unavailable
from node.services.aggregates.steps import Answer, Handler
from tests.support.companies import (
    CODES,
    COMMON,
    OF_PLANS,
    REGIONS,
    Companies,
    open_companies,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
GROUPS = [
    {"field": "region", "values": list(REGIONS)},
    {"field": "code", "values": list(CODES)},
]
HEAT: dict[str, Any] = {
    "kind": "heat-map",
    "mode": "C",
    "groups": GROUPS,
    "measure": {"what": "count"},
    "contribution": 2,
    # With less, noise would find a cohort of ninety too small now and then.
    "epsilon_micro": 5_000_000,
}
NAMES = [f"VIN-{n:04}" for n in range(COMMON)]
MATCH: dict[str, Any] = {
    "kind": "intersection",
    "mode": "count",
    "customers": NAMES,
    "measure": {"what": "count"},
}
NARROW: dict[str, Any] = {
    "fields": ["region"],
    "is": "one_of",
    "values": ["north", "south"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Companies]:
    async with open_companies(tmp_path_factory.mktemp("w"), providers=3) as made:
        yield made


class Liar:
    """An asker that signs and sends whatever it likes."""

    def __init__(self, world: Companies) -> None:
        self.world = world
        services = world.asker.services.aggregates
        self.draw_up = services.draw_up
        askings = services.jobs._carry_out.askings
        self.call = askings[Kind.HEAT_MAP].call  # type: ignore[attr-defined]

    async def plan(self, draft: Mapping[str, Any], **changes: Any) -> SignedPlan:
        """Draw a plan up; then change it, and sign what it has become."""
        body = NewPlan.model_validate(self.world.draft(**draft))
        signed, self.inputs, _ = await self.draw_up._drawn(_draft(body))
        return self.draw_up.sign(dataclasses.replace(signed.plan, **changes))

    async def send(
        self,
        signed: SignedPlan,
        step: str,
        payload: bytes = b"",
        arguments: Mapping[str, Any] | None = None,
        number: int = 0,
    ) -> Answer:
        party = signed.plan.parties[number]
        return await self.call(signed, party, step, arguments or {}, payload)  # type: ignore[no-any-return]

    async def refused(
        self, code: str, signed: SignedPlan, step: str, *more: Any, **others: Any
    ) -> Receipt:
        """Send a step; check that it is refused for this, with a receipt of it."""
        with pytest.raises(NodeError) as found:
            await self.send(signed, step, *more, **others)
        assert found.value.code == code
        receipt = self.world.providers[0].receipts()[-1].receipt
        assert receipt.decision == "deny"
        assert code in receipt.denials
        assert receipt.plan == signed.plan.plan_hash
        assert receipt.step == step
        assert receipt.response_hash is None
        return receipt


@pytest.fixture
def liar(world: Companies) -> Liar:
    return Liar(world)


async def test_a_plan_that_somebody_else_signed_is_refused(liar: Liar) -> None:
    signed = await liar.plan(HEAT)
    forged = dataclasses.replace(signed, signature=secrets.token_bytes(64))

    await liar.refused("plan.signature", forged, "table")


async def test_a_plan_that_has_expired_is_refused(liar: Liar) -> None:
    past = {"created": "2026-11-22T10:00:00Z", "expires": "2026-11-22T11:00:00Z"}

    await liar.refused("plan.expired", await liar.plan(HEAT, **past), "table")


async def test_a_plan_for_another_agreement_is_refused(liar: Liar) -> None:
    signed = await liar.plan(HEAT)
    (party,) = signed.plan.parties
    other = dataclasses.replace(party, agreement_hash="0" * 64)
    plan = dataclasses.replace(signed.plan, parties=(other,))

    await liar.refused("plan.mismatch", liar.draw_up.sign(plan), "table")


async def test_a_least_cohort_below_the_agreed_one_is_refused(world: Companies) -> None:
    agreement = await world.agree(
        world.providers[0],
        allowance={
            "epsilon_micro": 2_000_000,
            "period": "day",
            "k_min": 10,
            "plans_per_day": 2,
            "matching": "count",
            "match_size": 64,
        },
    )
    liar = Liar(world)
    under = {"agreements": [agreement]}

    cheap = await liar.plan(HEAT | under | {"epsilon_micro": 1_000_000}, k_min=5)
    await liar.refused("cohort.minimum", cheap, "table")
    dear = await liar.plan(HEAT | under | {"epsilon_micro": 3_000_000})
    await liar.refused("budget.exhausted", dear, "table")
    listed = MATCH | under | {"mode": "list"}
    await liar.refused("matching.not_granted", await liar.plan(listed), "commit")
    many = MATCH | under | {"customers": [f"C{n}" for n in range(200)]}
    await liar.refused("matching.size", await liar.plan(many), "commit")
    for _ in range(2):
        await liar.send(await liar.plan(MATCH | under), "commit")
    await liar.refused("plans.exceeded", await liar.plan(MATCH | under), "commit")


async def test_a_field_that_is_not_granted_is_refused(world: Companies) -> None:
    grants = [{"field": "region", "uses": ["group"]}]
    agreement = await world.agree(
        world.providers[0], aggregates=grants, fields={"region": "aggregate"}
    )
    liar = Liar(world)
    signed = await liar.plan(HEAT)
    (party,) = signed.plan.parties
    kept = world.asker.services.store
    other = await kept.read(lambda view: view.agreements.get(agreement))
    assert other is not None
    under = dataclasses.replace(
        party, agreement=agreement, agreement_hash=other.agreement.hash
    )
    plan = dataclasses.replace(signed.plan, parties=(under,))

    receipt = await liar.refused(
        "aggregate.not_granted", liar.draw_up.sign(plan), "table"
    )
    assert receipt.spent == 0


async def test_a_sum_that_is_cut_off_too_high_is_refused(liar: Liar) -> None:
    signed = await liar.plan(HEAT | {"measure": {"what": "sum", "field": "cost"}})
    higher = dataclasses.replace(signed.plan.measure, bound=10**7)

    plan = dataclasses.replace(signed.plan, measure=higher)
    await liar.refused("aggregate.bound", liar.draw_up.sign(plan), "table")


async def test_a_value_that_no_field_can_hold_is_refused(liar: Liar) -> None:
    wrong = {"fields": ["region"], "is": "at_least", "values": ["north"]}

    signed = await liar.plan(HEAT | {"filters": [wrong]})
    await liar.refused("plan.malformed", signed, "table")


async def test_a_step_that_the_plan_does_not_have_is_refused(liar: Liar) -> None:
    signed = await liar.plan(HEAT)

    await liar.refused("round.order", signed, "contribute")
    await liar.refused("round.order", signed, "open")


async def test_a_plan_narrower_by_one_condition_is_refused(liar: Liar) -> None:
    groups = {"groups": GROUPS[1:]}
    await liar.send(await liar.plan(HEAT | groups), "table")

    again = await liar.plan(HEAT | groups | {"filters": [NARROW]})
    receipt = await liar.refused("plan.narrowing", again, "table")
    assert receipt.spent == 0


async def test_a_cohort_of_one_customer_is_refused_and_costs_its_test(
    liar: Liar,
) -> None:
    one = {"fields": ["code"], "is": "one_of", "values": ["P0A80", "none"]}
    nobody = {"fields": ["region"], "is": "one_of", "values": ["east", "west"]}
    groups = {
        "groups": [{"field": "seen_on", "grain": "week", "values": ["2026-10-05"]}]
    }
    before = await left(liar.world)

    dear = {"epsilon_micro": 20_000_000}
    filters = {"filters": [one, nobody]}
    # Noise of this epsilon makes twenty of one or none once in 10^17.
    signed = await liar.plan(HEAT | groups | dear | filters, k_min=20)
    receipt = await liar.refused("cohort.too_small", signed, "table")

    assert receipt.spent == 2_000_000
    assert before - await left(liar.world) == 2_000_000
    again = await liar.refused("cohort.too_small", signed, "table")
    assert again.spent == 0


async def left(world: Companies) -> int:
    found = await world.providers[0].manage("/audit/budget")
    wanted = world.agreements[0]
    [item] = [each for each in found["items"] if each["agreement"] == wanted]
    return int(item["left"])


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("cut short", "ciphertext.malformed"),
        ("another key's", "ciphertext.malformed"),
        ("another set's", "ciphertext.malformed"),
        ("too many", "ciphertext.malformed"),
        ("noise", "ciphertext.malformed"),
    ],
)
async def test_what_is_no_ciphertext_of_the_owner_is_not_opened(
    liar: Liar, what: str, code: str
) -> None:
    name = b"bfv-8192-41"
    signed = await liar.plan(HEAT)
    table = await liar.send(signed, "table")
    _, row = unpack(table.payload)
    stranger = unpack(bfv.key_pair(name))[1]
    small = unpack(bfv.key_pair(b"bfv-4096-40"))[1]
    foreign = bfv.encrypt(name, stranger, numbers([9]), numbers([1, 2, 3]))
    other = bfv.encrypt(b"bfv-4096-40", small, numbers([9]), numbers([1]))
    sent = {
        "cut short": row[:-9],
        "another key's": foreign,
        "another set's": other,
        "noise": secrets.token_bytes(len(row)),
    }
    payload = pack(row, row) if what == "too many" else pack(sent[what])

    key = {"key": table.members["key"]}
    await liar.refused(code, signed, "open", payload, key)


async def test_a_list_other_than_the_one_committed_to_is_refused(liar: Liar) -> None:
    signed = await liar.plan(MATCH)
    await liar.send(signed, "commit")
    other = await liar.plan(MATCH)
    await liar.refused("points.malformed", signed, "exchange", bytes(31))
    points = other.plan.size * 32

    await liar.refused("commitment.mismatch", signed, "exchange", bytes(points))


async def test_lists_are_exchanged_after_both_are_fixed(liar: Liar) -> None:
    points, session = psi.dummies(64, secrets.token_bytes), secrets.token_bytes(32)
    fixed = {"round": session.hex(), "commitment": psi.commitment(session, points)}
    signed = await liar.plan(MATCH, size=64, **fixed)

    await liar.refused("round.order", signed, "exchange", points)


async def test_a_list_that_the_other_party_did_not_send_on_is_refused(
    world: Companies, liar: Liar
) -> None:
    points, session = psi.dummies(64, secrets.token_bytes), secrets.token_bytes(32)
    fixed: dict[str, Any] = {
        "round": session.hex(),
        "commitment": psi.commitment(session, points),
    }
    ring = world.draft(0, 1, **MATCH | {"kind": "ring-count", "mode": ""})
    drawn, _, _ = await liar.draw_up._drawn(_draft(NewPlan.model_validate(ring)))
    plan = dataclasses.replace(drawn.plan, size=64, **fixed)
    signed, of = liar.draw_up.sign(plan), plan.parties[1].did
    await liar.send(signed, "list")
    theirs = await liar.send(signed, "list", number=1)
    word = {"of": of, "signature": theirs.members["signature"]}

    await liar.refused("commitment.mismatch", signed, "pass", points, word)

    passed = await liar.send(signed, "pass", theirs.payload, word)
    assert len(passed.payload) == len(theirs.payload)


async def test_a_wrong_payload_hash_is_no_request(world: Companies, liar: Liar) -> None:
    def spoil(content: bytes) -> bytes:
        return content + b"x"

    signed = await liar.plan(HEAT)
    world.wire.change["/table"] = spoil
    try:
        with pytest.raises(NodeError):
            await liar.send(signed, "table")
    finally:
        del world.wire.change["/table"]


async def test_an_answer_that_was_changed_on_its_way_is_not_believed(
    world: Companies, liar: Liar
) -> None:
    world.wire.answer["/table"] = lambda octets: octets[:-1] + bytes([octets[-1] ^ 1])
    try:
        with pytest.raises(Conflict) as found:
            await liar.send(await liar.plan(HEAT), "table")
    finally:
        del world.wire.answer["/table"]

    assert found.value.code == "answer.unverified"


async def test_aggregates_are_refused_where_arithmetic_is_not_to_be_trusted(
    world: Companies, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    readied = world.providers[0].services.aggregates.readied
    monkeypatch.setattr(readied, "_why", "Workers do not compute as they should.")
    monkeypatch.setattr(readied, "_wrong", True)
    signed = await liar.plan(HEAT)

    await liar.refused("aggregate.unavailable", signed, "table")
    with pytest.raises(Unavailable):  # and not `Refused`: it may be tried again
        await liar.send(signed, "table")


async def test_nor_is_a_plan_of_ours_carried_out_there_that_was_begun_before(
    world: Companies, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed, services = await liar.plan(HEAT), world.asker.services.aggregates
    monkeypatch.setattr(services.readied, "_why", "Workers do not compute as they do.")
    monkeypatch.setattr(services.readied, "_wrong", True)
    hasty = dataclasses.replace(services.jobs._carry_out, pauses_s=())
    monkeypatch.setattr(services.jobs, "_carry_out", hasty)
    before = len(world.providers[0].receipts())

    job = await services.jobs.start(signed, liar.inputs)
    await services.jobs.wait(job)

    assert (await services.jobs.show(job))["error"]["code"] == "aggregate.unavailable"
    assert len(world.providers[0].receipts()) == before


async def test_every_code_of_plans_is_met_here_or_named() -> None:
    elsewhere = {
        "roster.differencing",
        "roster.invalid",
        "round.replayed",
        "result.mismatch",
        "key.mismatch",
        "parties.too_few",
    }
    met = {
        "plan.signature",
        "plan.expired",
        "plan.mismatch",
        "plan.malformed",
        "plan.narrowing",
        "aggregate.not_granted",
        "aggregate.bound",
        "aggregate.unavailable",
        "matching.not_granted",
        "matching.size",
        "cohort.minimum",
        "cohort.too_small",
        "plans.exceeded",
        "budget.exhausted",
        "round.order",
        "ciphertext.malformed",
        "points.malformed",
        "commitment.mismatch",
    }
    assert met | elsewhere == OF_PLANS


@pytest.mark.parametrize("answered", [None, {"spread": 2**53}])
async def test_an_error_of_ours_is_a_refusal_with_a_receipt(
    world: Companies,
    liar: Liar,
    monkeypatch: pytest.MonkeyPatch,
    answered: dict[str, Any] | None,
) -> None:
    handlers: Any = world.providers[0].services.aggregates.answer.handlers
    broken = Broken(handlers[Kind.HEAT_MAP], answered)
    monkeypatch.setitem(handlers, Kind.HEAT_MAP, broken)
    before = await left(world)

    await liar.refused("aggregate.unavailable", await liar.plan(HEAT), "table")
    assert await left(world) == before


class Broken:
    """A handler that fails where nobody thought it could, or answers no JSON."""

    def __init__(self, handler: Handler, answered: dict[str, Any] | None) -> None:
        self.steps, self.reserves = handler.steps, handler.reserves
        self.charges, self.answered = handler.charges, answered

    async def __call__(self, *_: Any) -> Answer:
        if self.answered is not None:
            return Answer(members=self.answered)
        raise Invalid("a table that cannot be")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("parameters", "bfv-16384-41"),
        ("parameters", ""),
        ("k_min", 1),
        ("contribution", 51),
        ("kind", "heatmap"),
    ],
)
async def test_a_plan_that_is_none_is_no_request(
    world: Companies, liar: Liar, member: str, value: Any
) -> None:
    """Its signature does not matter: nothing of it is looked at."""
    signed = await liar.plan(HEAT)

    def spoil(content: bytes) -> bytes:
        header, payload = unframed(content)
        header["plan"]["plan"][member] = value
        return framed(header, payload)

    world.wire.change["/table"] = spoil
    told: list[dict[str, Any]] = []

    def noted(octets: bytes) -> bytes:
        told.append(json.loads(octets))
        return octets

    world.wire.answer["/table"] = noted
    before = len(world.providers[0].receipts())
    try:
        with pytest.raises(NodeError):
            await liar.send(signed, "table")
    finally:
        world.wire.change.clear()
        world.wire.answer.clear()

    assert [each["code"] for each in told] == ["request.malformed"]
    assert len(world.providers[0].receipts()) == before
