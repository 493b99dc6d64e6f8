"""Two companies compare customers: the count, the list, and nothing for who cheats."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import psi
from crypto.kernels.packing import pack, unpack
from ledger.plans import Kind, Party, SignedPlan
from node.domain.aggregates import Allowance
from node.errors import BadRequest, Unavailable
from node.services.aggregates import intersect_asking
from node.services.aggregates.align_by_intersection import AlignByIntersection
from node.services.aggregates.intersect_lists import Customers
from node.services.aggregates.steps import Answer, Refusal
from tests.support.matching import (
    ALLOWED,
    ASKER,
    Companies,
    agreement,
    did,
    party,
    plan_of,
)
from tests.support.runs import Killed, MortalRun

OURS = [f"c{number}" for number in range(100)]
THEIRS = [f"c{number}" for number in range(60, 250)]
SHARED = sorted(set(OURS) & set(THEIRS))
PLAN = Kind.INTERSECTION


async def test_the_asker_learns_how_many_customers_are_shared() -> None:
    told = await Companies(THEIRS).ask(PLAN, OURS)
    assert (told["count"], told["asked"], told["rate"]) == (40, 100, "0.4000")


@settings(max_examples=15, deadline=None)
@given(
    ours=st.sets(st.text(min_size=1, max_size=6), min_size=1, max_size=80),
    theirs=st.sets(st.text(min_size=1, max_size=6), max_size=80),
)
async def test_the_count_is_that_of_the_sets(ours: set[str], theirs: set[str]) -> None:
    told = await Companies(theirs | {"x"} | ours).ask(PLAN, list(ours))
    assert told["count"] == (len(ours) if len(ours) >= 5 else None)
    told = await Companies(theirs).ask(PLAN, list(ours | {"a", "b"}))
    both = len((ours | {"a", "b"}) & theirs)
    assert told["count"] == (both if both >= 5 else None)


async def test_who_is_named_twice_counts_once() -> None:
    told = await Companies(THEIRS * 2).ask(PLAN, OURS + OURS)
    assert (told["count"], told["asked"]) == (40, 100)


@pytest.mark.parametrize("least", [40, 41])
async def test_of_fewer_than_agreed_nothing_else_is_told(least: int) -> None:
    used = []

    async def use(party: Party, customers: Sequence[str]) -> Mapping[str, Any]:
        used.append(customers)
        return {}

    told = await Companies(THEIRS).ask(
        PLAN, OURS, matched=use, mode="list", k_min=least
    )
    if least == 40:
        assert (told["count"], used) == (40, [SHARED])
    else:
        assert (told["count"], told["rate"], used) == (None, None, [])
        assert told["fewer_than"] == 41


async def test_the_list_becomes_the_alignment_of_the_shared_alone() -> None:
    declared = {}

    async def declare(agreed: str, customers: Sequence[str]) -> int:
        declared[agreed] = list(customers)
        return 64

    told = await Companies(THEIRS).ask(
        PLAN, OURS, matched=AlignByIntersection(declare=declare), mode="list"
    )
    assert declared == {agreement(1).id: SHARED}
    assert (told["declared"], told["tokens"]) == (40, 64)
    assert "customers" not in told


@pytest.mark.parametrize("mode", ["count", "list"])
async def test_only_a_list_comes_back_in_the_order_of_ours(mode: str) -> None:
    companies = Companies(THEIRS)
    await companies.ask(PLAN, OURS, mode=mode)
    call, answer = companies.calls.sent[-1]
    theirs, _ = map(psi.split, unpack(answer.payload))
    secret = companies.calls.runs[did(1), call.plan.plan_hash].kept["secrets", 0]
    key = psi.BlindingKey.from_octets(unpack(secret)[0])
    in_order = psi.split(key.multiply(call.payload))
    assert sorted(in_order) == sorted(theirs)
    assert (in_order == theirs) is (mode == "list")


async def test_lists_have_round_lengths_and_no_two_plans_have_a_point_in_common() -> (
    None
):
    seen: set[bytes] = set()
    for _ in range(2):
        companies = Companies(THEIRS)
        await companies.ask(PLAN, OURS)
        _, (call, answer) = companies.calls.sent
        lists = [call.payload, *unpack(answer.payload)]
        assert [len(each) // 32 for each in lists] == [104, 104, 192]
        points = {point for each in lists for point in psi.split(each)}
        assert len(points) == 400
        assert not points & seen
        seen |= points


async def test_dummies_meet_nobody() -> None:
    told = await Companies(["nobody"]).ask(PLAN, ["somebody", *OURS[:9]])
    assert told["count"] is None
    told = await Companies([]).ask(PLAN, OURS)
    assert told["count"] is None
    told = await Companies(OURS[:5]).ask(PLAN, OURS[:5])
    assert told["count"] == 5


async def prepared(**changes: Any) -> tuple[Companies, SignedPlan, Any]:
    companies = Companies(THEIRS)
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    return companies, plan_of(PLAN, mine, round_id, **changes), mine


async def refused(
    companies: Companies, signed: SignedPlan, step: str, payload: bytes = b""
) -> str:
    with pytest.raises(Refusal) as caught:
        await companies.calls(signed, party(1), step, {}, payload)
    return str(caught.value)


async def test_another_list_than_the_plan_commits_to_is_refused() -> None:
    companies, signed, mine = await prepared()
    _, other = await companies.prepared(OURS)
    await companies.calls(signed, party(1), "commit", {})
    code = await refused(companies, signed, "exchange", other.points)
    assert code == "commitment.mismatch"
    await companies.calls(signed, party(1), "exchange", {}, mine.points)
    code = await refused(companies, signed, "exchange", other.points)
    assert code == "commitment.mismatch"


async def test_a_list_is_fixed_for_its_round() -> None:
    companies, signed, mine = await prepared(round=secrets.token_hex(32))
    await companies.calls(signed, party(1), "commit", {})
    code = await refused(companies, signed, "exchange", mine.points)
    assert code == "commitment.mismatch"


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points[:-32],
        lambda points: points[:-1],
        lambda points: points + points[:32],
        lambda points: b"",
    ],
)
async def test_a_list_of_another_length_is_refused(
    change: Callable[[bytes], bytes],
) -> None:
    companies, signed, mine = await prepared()
    await companies.calls(signed, party(1), "commit", {})
    code = await refused(companies, signed, "exchange", change(mine.points))
    assert code == "points.malformed"


WRONG = {
    "twice": lambda points: points[:-32] + points[:32],
    "identity": lambda points: points[:-32] + bytes(32),
    "not canonical": lambda points: points[:-32] + b"\xff" * 32,
    "negative": lambda points: points[:-32] + (1).to_bytes(32, "little"),
    "not on the curve": lambda points: points[:-32] + (2).to_bytes(32, "little"),
}


@pytest.mark.parametrize("how", WRONG)
async def test_what_is_no_list_of_points_is_refused_though_committed_to(
    how: str,
) -> None:
    companies, signed, mine = await prepared()
    points = WRONG[how](mine.points)
    fixed = psi.commitment(bytes.fromhex(signed.plan.round), points)
    signed = plan_of(PLAN, mine, signed.plan.round, commitment=fixed)
    await companies.calls(signed, party(1), "commit", {})
    assert await refused(companies, signed, "exchange", points) == "points.malformed"


async def test_steps_come_in_their_order() -> None:
    companies, signed, mine = await prepared()
    assert await refused(companies, signed, "exchange", mine.points) == "round.order"
    assert await refused(companies, signed, "finish") == "round.order"


STEPS: dict[Kind, Mapping[str, tuple[bool, dict[str, Any]]]] = {
    PLAN: {"commit": (False, {}), "exchange": (True, {})},
    Kind.JOINT_SUM: {
        "commit": (False, {}),
        "exchange": (True, {}),
        "finish": (True, {"count": 40}),
    },
    Kind.RING_COUNT: {"list": (False, {}), "pass": (True, {"of": ASKER})},
}
"""Whether a step has octets, and its members."""


@pytest.mark.parametrize(
    ("kind", "step"), [(kind, step) for kind, of in STEPS.items() for step in of]
)
async def test_nothing_travels_with_a_step_that_it_has_no_use_for(
    kind: Kind, step: str
) -> None:
    companies = Companies(dict.fromkeys(THEIRS, 1), dict.fromkeys(THEIRS, 1))
    companies.serve(kind)
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(kind, mine, round_id)
    payload, known = STEPS[kind][step]
    more: list[tuple[dict[str, Any], bytes]] = [({**known, "more": 1}, b"")]
    if not payload:
        more.append((known, b"x"))
    for arguments, octets in more:
        with pytest.raises(Refusal, match=r"request\.malformed"):
            await companies.calls(signed, party(1), step, arguments, octets)


async def test_the_same_step_has_the_same_answer_again() -> None:
    companies, signed, mine = await prepared()
    for step, payload in (("commit", b""), ("exchange", mine.points)):
        first = await companies.calls(signed, party(1), step, {}, payload)
        assert first == await companies.calls(signed, party(1), step, {}, payload)


async def test_a_customer_who_comes_in_between_is_not_in_the_list() -> None:
    companies, signed, mine = await prepared()
    held = list(THEIRS)
    companies.held[did(1)] = held
    fixed = await companies.calls(signed, party(1), "commit", {})
    held += OURS
    answer = await companies.calls(signed, party(1), "exchange", {}, mine.points)
    theirs = unpack(answer.payload)[1]
    session = bytes.fromhex(signed.plan.round)
    assert psi.commitment(session, theirs) == fixed.members["commitment"]


async def test_a_list_that_is_longer_than_agreed_is_refused() -> None:
    facts = {"epsilon_micro": 1, "period": "year", "k_min": 5, "plans_per_day": 1}
    small = Allowance(**facts, matching="count", match_size=96)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match=r"matching\.size"):
        await Companies(THEIRS, allowance=small).ask(PLAN, OURS)
    told = await Companies(THEIRS, allowance=small).ask(PLAN, OURS[:96])
    assert told["count"] == 36
    assert ALLOWED.match_size > 96


def _answer(answer: Answer, **changes: Any) -> Answer:
    facts = {"members": answer.members, "payload": answer.payload}
    return Answer(**(facts | changes))


def _lists(
    answer: Answer, change: Callable[[bytes, bytes], tuple[bytes, ...]]
) -> Answer:
    return _answer(answer, payload=pack(*change(*unpack(answer.payload))))


LIES: dict[str, tuple[str, Callable[[Answer], Answer]]] = {
    "another list than was fixed": (
        "exchange",
        lambda it: _lists(it, lambda x, y: (x, y[32:] + y[:32])),
    ),
    "no commitment": ("commit", lambda it: _answer(it, members={"size": 192})),
    "another size": (
        "commit",
        lambda it: _answer(it, members={**it.members, "size": 128}),
    ),
    "an odd size": (
        "commit",
        lambda it: _answer(it, members={**it.members, "size": 191}),
    ),
    "no size": ("commit", lambda it: _answer(it, members={**it.members, "size": "9"})),
    "a huge size": (
        "commit",
        lambda it: _answer(it, members={**it.members, "size": 2**40}),
    ),
    "fewer of ours": (
        "exchange",
        lambda it: _lists(it, lambda x, y: (x[32:], y)),
    ),
    "one of ours twice": (
        "exchange",
        lambda it: _lists(it, lambda x, y: (x[32:] + x[32:64], y)),
    ),
    "one list": ("exchange", lambda it: _lists(it, lambda x, y: (x,))),
    "cut off": ("exchange", lambda it: _answer(it, payload=it.payload[:-5])),
    "nothing": ("exchange", lambda it: _answer(it, payload=b"")),
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_is_not_the_protocols_is_not_believed(lie: str) -> None:
    step, change = LIES[lie]
    companies, signed, mine = await prepared()

    async def call(*arguments: Any) -> Answer:
        answer = await companies.calls(*arguments)
        return change(answer) if arguments[2] == step else answer

    with pytest.raises(Unavailable):
        await companies.asking(PLAN, call)(signed, mine.inputs, companies.run)


@pytest.mark.parametrize("how", ["twice", "identity", "not canonical"])
async def test_a_false_list_of_the_provider_is_found_though_committed_to(
    how: str,
) -> None:
    companies, signed, mine = await prepared()
    session = bytes.fromhex(signed.plan.round)
    made: dict[str, bytes] = {}

    async def call(*arguments: Any) -> Answer:
        answer = await companies.calls(*arguments)
        if arguments[2] == "commit":
            run = companies.calls.runs[did(1), signed.plan.plan_hash]
            exchanged = await companies.calls.handlers[did(1)](
                _exchange(companies, signed, mine.points), run
            )
            made["y"] = WRONG[how](unpack(exchanged.payload)[1])
            fixed = psi.commitment(session, made["y"])
            return _answer(answer, members={"commitment": fixed, "size": 192})
        return _lists(answer, lambda x, y: (x, made["y"]))

    with pytest.raises(Unavailable):
        await companies.asking(PLAN, call)(signed, mine.inputs, companies.run)


@pytest.mark.parametrize("size", [191, 192])
async def test_a_list_of_an_odd_length_is_not_believed_though_committed_to(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    companies, signed, mine = await prepared()
    session, made = bytes.fromhex(signed.plan.round), {}
    if size == 192:  # which is a length, but not of lists that are so short
        monkeypatch.setattr(intersect_asking, "MOST_SIZE", 191)

    async def call(*arguments: Any) -> Answer:
        answer = await companies.calls(*arguments)
        if arguments[2] == "commit":
            run = companies.calls.runs[did(1), signed.plan.plan_hash]
            exchanged = await companies.calls.handlers[did(1)](
                _exchange(companies, signed, mine.points), run
            )
            made["y"] = unpack(exchanged.payload)[1][: 32 * size]
            fixed = psi.commitment(session, made["y"])
            return _answer(answer, members={"commitment": fixed, "size": size})
        return _lists(answer, lambda x, y: (x, made["y"]))

    with pytest.raises(Unavailable, match="of a length that lists do not have"):
        await companies.asking(PLAN, call)(signed, mine.inputs, companies.run)


def _exchange(companies: Companies, signed: SignedPlan, payload: bytes) -> Any:
    call, _ = companies.calls.sent[-1]
    facts = {
        name: getattr(call, name) for name in ("party", "agreement", "publication")
    }
    return type(call)(
        signed=signed, step="exchange", arguments={}, payload=payload, **facts
    )


async def test_a_match_that_is_a_dummy_is_not_believed() -> None:
    companies, signed, mine = await prepared(mode="list")

    async def use(party: Party, customers: Sequence[str]) -> Mapping[str, Any]:
        raise AssertionError

    few = Customers((pack(*(each.encode() for each in sorted(OURS)[:10])),))
    wrong = replace(mine, asked=10, customers=few).inputs
    with pytest.raises(Unavailable):
        await companies.asking(PLAN, matched=use)(signed, wrong, companies.run)


@pytest.mark.parametrize("change", ["nothing", "the customers", "another list"])
async def test_the_inputs_are_those_of_the_plan(change: str) -> None:
    companies, signed, mine = await prepared()
    _, other = await companies.prepared(OURS)
    wrong = {"the customers": {"list": OURS}, "another list": other.inputs}
    with pytest.raises(BadRequest):
        await companies.asking(PLAN)(signed, wrong.get(change, {}), companies.run)
    assert companies.calls.sent == []
    await companies.asking(PLAN)(signed, mine.inputs, companies.run)


async def test_somebody_has_to_be_asked_about() -> None:
    with pytest.raises(BadRequest):
        await Companies(THEIRS).ask(PLAN, [])


@pytest.mark.parametrize("kind", [PLAN, Kind.JOINT_SUM, Kind.RING_COUNT])
async def test_a_plan_is_counted_and_paid_for_before_any_list_is_compared(
    kind: Kind,
) -> None:
    companies = Companies(dict.fromkeys(THEIRS, 1), dict.fromkeys(THEIRS, 1))
    await companies.ask(kind, OURS)
    plan, handler = companies.calls.sent[0][0].plan, companies.handlers[did(1)]
    assert all(handler.reserves(plan, step) for step in handler.steps)
    charged = [step for step in handler.steps if handler.charges(plan, step)]
    assert charged == (["finish"] if kind is Kind.JOINT_SUM else [])


async def test_secrets_are_not_shown() -> None:
    _, _, mine = await prepared()
    assert str(mine.secrets.scalar)[2:-1] not in repr(mine)
    assert "customers" not in repr(mine)
    assert "scalar" not in repr(mine.secrets)


@pytest.mark.parametrize("side", ["asker", "provider"])
async def test_who_goes_on_after_a_kill_has_the_same_outcome(side: str) -> None:
    killed, lives = 0, 1
    while True:
        companies, signed, mine = await prepared(mode="list")
        used: list[Sequence[str]] = []

        async def use(
            party: Party, customers: Sequence[str], used: list[Any] = used
        ) -> Mapping[str, Any]:
            used.append(customers)
            return {"declared": len(customers)}

        mortal = MortalRun(lives)
        if side == "asker":
            companies.run = mortal
        else:
            companies.calls.runs[did(1), signed.plan.plan_hash] = mortal
        asking = companies.asking(PLAN, matched=use)
        try:
            told = await asking(signed, mine.inputs, companies.run)
        except Killed:
            killed += 1
            told = await asking(signed, mine.inputs, companies.run)
        else:
            break
        finally:
            lives += 1
        assert (told["count"], told["declared"], used) == (40, 40, [SHARED])
    assert killed >= 4
