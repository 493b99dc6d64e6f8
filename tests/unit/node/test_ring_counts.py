"""Three companies count the customers that they share; each list passes once."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import psi
from crypto.encoding import b64u, sha256
from crypto.kernels.packing import unpack
from ledger.passed_lists import PassedList, sign_passed
from ledger.plans import Kind, SignedPlan
from node.domain.aggregates import Allowance
from node.errors import Unavailable
from node.services.aggregates import ring, ring_asking
from node.services.aggregates.steps import Answer, Refusal
from tests.support.federated import participant
from tests.support.matching import (
    ASKER,
    Companies,
    agreement,
    did,
    party,
    plan_of,
)
from tests.support.runs import Killed, MortalRun

PLAN = Kind.RING_COUNT
OURS = [f"c{number}" for number in range(100)]
SECOND = [f"c{number}" for number in range(60, 250)]
THIRD = [f"c{number}" for number in range(0, 300, 2)]


def pairs(told: Mapping[str, Any]) -> list[int | None]:
    return [each["count"] for each in told["pairs"]]


async def test_the_asker_learns_the_count_of_all_three_and_of_each_two() -> None:
    companies = Companies(SECOND, THIRD)
    told = await companies.ask(PLAN, OURS)
    assert (told["count"], pairs(told)) == (20, [40, 50, 95])
    stages = [stage for stage, _ in companies.run.kept]
    assert max(map(len, stages)) <= 64  # as the store has them, whatever DIDs are
    assert [each["between"] for each in told["pairs"]] == [
        [ASKER, did(1)],
        [ASKER, did(2)],
        [did(1), did(2)],
    ]


@settings(max_examples=10, deadline=None)
@given(*[st.sets(st.integers(0, 60), min_size=1, max_size=50)] * 3)
async def test_the_counts_are_those_of_the_sets(
    one: set[int], two: set[int], three: set[int]
) -> None:
    told = await Companies([*map(str, two)], [*map(str, three)]).ask(
        PLAN, [*map(str, one)]
    )
    exact = [len(one & two & three), len(one & two), len(one & three), len(two & three)]
    expected = [count if count >= 5 else None for count in exact]
    assert [told["count"], *pairs(told)] == expected


async def test_of_fewer_than_agreed_nothing_else_is_told() -> None:
    told = await Companies(SECOND, THIRD).ask(PLAN, OURS, k_min=45)
    assert (told["count"], told["fewer_than"]) == (None, 45)
    assert pairs(told) == [None, 50, 95]


async def test_what_passes_is_shuffled_and_nobody_is_known_before_the_end() -> None:
    companies = Companies(SECOND, THIRD)
    await companies.ask(PLAN, OURS)
    seen: set[bytes] = set()
    sent = [answer.payload for _, answer in companies.calls.sent]
    # Of the first four lists no two are under the same scalars.
    for points in sent[:4]:
        assert not seen & set(psi.split(points))
        seen |= set(psi.split(points))
    for call, answer in companies.calls.sent[2:]:
        run = companies.calls.runs[call.party.did, call.plan.plan_hash]
        key = psi.BlindingKey.from_octets(unpack(run.kept["secrets", 0])[0])
        in_order = psi.split(key.multiply(call.payload))
        assert sorted(in_order) == sorted(psi.split(answer.payload))
        assert in_order != psi.split(answer.payload)


async def prepared(**changes: Any) -> tuple[Companies, SignedPlan, Any]:
    companies = Companies(SECOND, THIRD)
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    return companies, plan_of(PLAN, mine, round_id, **changes), mine


def word(
    signed: SignedPlan, signer: int, of: str, points: bytes, **changes: str
) -> str:
    """A party's signature of a list that it is said to have sent on."""
    facts = {"plan": signed.plan.plan_hash, "of": of, "sender": did(signer)}
    facts |= {"points": sha256(points).hex()} | changes
    return b64u(sign_passed(PassedList(**facts), participant(did(signer))[1]))


async def passed(
    companies: Companies,
    signed: SignedPlan,
    number: int,
    of: Any,
    points: bytes,
    **arguments: Any,
) -> bytes:
    """Hand a list to a party; signed by the other one, if nothing else is said."""
    given = {"signature": word(signed, 3 - number, str(of), points)} | arguments
    answer = await companies.calls(
        signed, party(number), "pass", {"of": of, **given}, points
    )
    return answer.payload


async def refused(*arguments: Any, **more: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await passed(*arguments, **more)
    return str(caught.value)


async def listed(companies: Companies, signed: SignedPlan, number: int) -> bytes:
    return (await companies.calls(signed, party(number), "list", {})).payload


async def test_each_side_has_one_list_that_passes() -> None:
    companies, signed, mine = await prepared()
    theirs = await listed(companies, signed, 2)
    await listed(companies, signed, 1)
    for of, points in ((ASKER, mine.points), (did(2), theirs)):
        first = await passed(companies, signed, 1, of, points)
        assert await passed(companies, signed, 1, of, points) == first
    other = psi.dummies(192, secrets.token_bytes)
    assert await refused(companies, signed, 1, did(2), other) == "round.replayed"
    assert await refused(companies, signed, 1, ASKER, other) == "points.malformed"
    nobodies: list[Any] = [did(1), did(3), None, 7, [], {}, [did(2)]]
    for nobody in nobodies:
        assert await refused(companies, signed, 1, nobody, other) == "round.order"


async def test_a_party_does_not_multiply_its_own_list() -> None:
    companies, signed, _ = await prepared()
    own = await listed(companies, signed, 1)
    assert await refused(companies, signed, 1, did(2), own) == "points.malformed"
    mixed = psi.dummies(191, secrets.token_bytes) + own[:32]
    # What was asked first is what was asked: there is no second try.
    assert await refused(companies, signed, 1, did(2), mixed) == "round.replayed"


async def test_one_point_of_its_own_list_is_one_too_many() -> None:
    companies, signed, _ = await prepared()
    own = await listed(companies, signed, 1)
    mixed = psi.dummies(191, secrets.token_bytes) + own[:32]
    assert await refused(companies, signed, 1, did(2), mixed) == "points.malformed"


async def test_the_first_party_holds_the_asker_to_its_plan() -> None:
    companies, signed, _ = await prepared()
    _, other = await companies.prepared(OURS)
    await listed(companies, signed, 1)
    code = await refused(companies, signed, 1, ASKER, other.points)
    assert code == "commitment.mismatch"


@pytest.mark.parametrize("of", [ASKER, did(1)])
async def test_the_asker_passes_no_list_of_its_own_as_anothers(of: str) -> None:
    companies, signed, _ = await prepared()
    await listed(companies, signed, 2)
    invented = psi.dummies(104, secrets.token_bytes)
    other = psi.dummies(104, secrets.token_bytes)
    theirs, third = did(1), did(3)
    for signature in (
        None,
        7,
        "",
        "AAAA",
        word(signed, 1, of, other),  # of another list
        word(signed, 1, theirs if of == ASKER else ASKER, invented),  # another side's
        word(signed, 1, of, invented, plan="00" * 32),  # of another plan
        word(signed, 1, of, invented, sender=third),
        word(signed, 2, of, invented),  # our own
        word(signed, 2, of, invented, sender=theirs),
    ):
        code = await refused(companies, signed, 2, of, invented, signature=signature)
        assert code == "commitment.mismatch"
    await passed(companies, signed, 2, of, invented)  # as if the other had sent it


@pytest.mark.parametrize("number", [1, 2])
async def test_a_list_that_is_longer_than_agreed_is_refused_by_each(
    number: int,
) -> None:
    facts = {"epsilon_micro": 1, "period": "year", "k_min": 5, "plans_per_day": 1}
    small = Allowance(**facts, matching="count", match_size=96)  # type: ignore[arg-type]
    companies, signed, _ = await prepared()
    companies.places[did(number)]["agreement"] = agreement(number, small)
    with pytest.raises(Refusal, match=r"matching\.size"):
        await listed(companies, signed, number)


async def test_a_list_of_a_stranger_does_not_pass() -> None:
    companies, signed, _ = await prepared()
    theirs = await listed(companies, signed, 1)
    await listed(companies, signed, 2)
    del companies.pins[did(1)]
    assert await refused(companies, signed, 2, did(1), theirs) == "commitment.mismatch"


async def test_what_is_sent_on_is_signed_by_who_sent_it() -> None:
    companies = Companies(SECOND, THIRD)
    await companies.ask(PLAN, OURS)
    for call, answer in companies.calls.sent:
        of = call.arguments.get("of", call.party.did)
        sender = int(call.party.did[-2:])
        assert answer.members["signature"] == word(
            call.signed, sender, of, answer.payload
        )


@pytest.mark.parametrize("size", [0, 95, 192])
async def test_the_second_party_holds_the_asker_to_its_length(size: int) -> None:
    companies, signed, _ = await prepared()
    await listed(companies, signed, 2)
    points = psi.dummies(size, secrets.token_bytes)
    assert await refused(companies, signed, 2, ASKER, points) == "points.malformed"


@pytest.mark.parametrize(
    "change",
    [
        lambda points: b"",
        lambda points: points[:-32],
        lambda points: points[:-1],
        lambda points: points[:-32] + points[:32],
        lambda points: points[:-32] + bytes(32),
        lambda points: points[:-32] + b"\xff" * 32,
    ],
)
async def test_what_is_no_list_of_points_does_not_pass(
    change: Callable[[bytes], bytes],
) -> None:
    companies, signed, _ = await prepared()
    await listed(companies, signed, 1)
    points = change(await listed(companies, signed, 2))
    assert await refused(companies, signed, 1, did(2), points) == "points.malformed"


@pytest.mark.parametrize("most", [128, 127])
async def test_no_list_that_passes_is_longer_than_lists_can_be(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(ring, "MOST_SIZE", most)
    companies, signed, _ = await prepared()
    await listed(companies, signed, 1)
    points = psi.dummies(128, secrets.token_bytes)
    if most == 128:
        assert len(await passed(companies, signed, 1, did(2), points)) == 128 * 32
    else:
        code = await refused(companies, signed, 1, did(2), points)
        assert code == "points.malformed"


async def test_a_list_passes_after_our_own_is_fixed() -> None:
    companies, signed, mine = await prepared()
    assert await refused(companies, signed, 1, ASKER, mine.points) == "round.order"
    with pytest.raises(Refusal, match=r"round\.order"):
        await companies.calls(signed, party(1), "exchange", {}, mine.points)


LIES: dict[str, tuple[str, Callable[[Answer], Answer]]] = {
    "another list than it commits to": (
        "list",
        lambda it: Answer(members=it.members, payload=it.payload[::-1]),
    ),
    "an odd list": (
        "list",
        lambda it: Answer(members=it.members, payload=it.payload[32:]),
    ),
    "no list": ("list", lambda it: Answer(members=it.members)),
    "fewer points": (
        "pass",
        lambda it: Answer(members={}, payload=it.payload[32:]),
    ),
    "a point twice": (
        "pass",
        lambda it: Answer(members={}, payload=it.payload[32:] + it.payload[32:64]),
    ),
    "no points": (
        "pass",
        lambda it: Answer(members={}, payload=bytes(len(it.payload))),
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_is_not_the_protocols_is_not_believed(lie: str) -> None:
    step, change = LIES[lie]
    companies, signed, mine = await prepared()

    async def call(*arguments: Any) -> Answer:
        answer = await companies.calls(*arguments)
        lies = arguments[2] == step and arguments[3].get("of") != ASKER
        return change(answer) if lies else answer

    with pytest.raises(Unavailable):
        await companies.asking(PLAN, call)(signed, mine.inputs, companies.run)


@pytest.mark.parametrize("octets", [0, 191 * 32, 191 * 32 + 5, 192 * 32])
async def test_a_list_of_an_odd_length_is_not_believed_though_committed_to(
    monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    companies, signed, mine = await prepared()
    if octets == 192 * 32:  # which is a length, but not of lists that are so short
        monkeypatch.setattr(ring_asking, "MOST_SIZE", 191)

    async def call(*arguments: Any) -> Answer:
        answer = await companies.calls(*arguments)
        if arguments[2] != "list":
            return answer
        points = answer.payload[:octets]
        fixed = psi.commitment(bytes.fromhex(signed.plan.round), points)
        return Answer(members={**answer.members, "commitment": fixed}, payload=points)

    with pytest.raises(Unavailable, match="of a length that lists do not have"):
        await companies.asking(PLAN, call)(signed, mine.inputs, companies.run)


@pytest.mark.parametrize("side", [0, 1, 2])
async def test_who_goes_on_after_a_kill_has_the_same_outcome(side: int) -> None:
    killed, lives = 0, 1
    while True:
        companies, signed, mine = await prepared()
        mortal = MortalRun(lives)
        if side:
            companies.calls.runs[did(side), signed.plan.plan_hash] = mortal
        else:
            companies.run = mortal
        asking = companies.asking(PLAN)
        try:
            told = await asking(signed, mine.inputs, companies.run)
        except Killed:
            killed += 1
            told = await asking(signed, mine.inputs, companies.run)
        else:
            break
        finally:
            lives += 1
        assert (told["count"], pairs(told)) == (20, [40, 50, 95])
    assert killed >= 5
