"""What shared customers come to: exact before noise, and nothing else decrypted."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from crypto import bfv
from crypto.kernels import bfv as kernels
from crypto.kernels.packing import numbers, pack, unpack
from crypto.noise import laplace, spread
from crypto.parameters import parameter_set
from ledger.plans import Kind, Measure, SignedPlan
from node.domain.aggregates import AggregateGrant
from node.domain.dataset import FieldType, Mode
from node.domain.joint import Limbs
from node.errors import Unavailable
from node.services.aggregates.joint_masking import Encrypted, Mask, blinding
from node.services.aggregates.joint_rules import cut, ranges, total
from node.services.aggregates.steps import Answer, Refusal
from tests.support.elgamal import joint_sum
from tests.support.matching import (
    Companies,
    agreement,
    did,
    party,
    plan_of,
    silent,
)
from tests.support.runs import Killed, MemoryRun, MortalRun

PLAN = Kind.JOINT_SUM
SET = parameter_set("bfv-8192-41")
OURS = [f"c{number}" for number in range(100)]
THEIRS = {f"c{number}": (number * 7919) % 5000 - 900 for number in range(60, 250)}
SHARED = sorted(set(OURS) & set(THEIRS))
EXACT = sum(THEIRS[each] for each in SHARED)


def measure(bound: int) -> Measure:
    return Measure(what="sum", field="sales", bound=bound)


async def test_the_sum_is_exact_before_noise() -> None:
    told = await Companies(THEIRS).ask(PLAN, OURS)
    assert (told["sum"], told["count"], told["rate"]) == (EXACT, 40, "0.4000")
    assert told["mean"] == f"{EXACT / 4000:.4f}"
    assert (told["unit"], told["scale"]) == ("USD", 2)


@pytest.mark.parametrize("bound", [1, 900, 2**20, 2**33, 2**40])
async def test_three_ways_to_add_up_agree(bound: int) -> None:
    """BFV with limbs where it needs them, ElGamal in limbs of 16 bits, and plainly."""
    draw = secrets.SystemRandom().randint
    held = {each: draw(-bound, bound) for each in THEIRS} | {"c60": bound, "c61": 0}
    told = await Companies(held).ask(PLAN, OURS, measure=measure(bound))
    plain = sum(held[each] for each in SHARED)
    values = list(held.values())
    chosen = [place for place, each in enumerate(held) if each in SHARED]
    assert told["sum"] == plain == joint_sum(values, chosen, bound)


async def test_limbs_are_there_where_a_slot_would_not_hold_the_sum() -> None:
    for bound, limbs in ((1_000_000, 1), (2**40, 2)):
        companies = Companies(THEIRS)
        told = await companies.ask(PLAN, OURS, measure=measure(bound))
        assert told["sum"] == EXACT
        finish, _ = companies.calls.sent[-1]
        assert len(unpack(finish.payload)) == limbs


async def test_lists_of_several_blocks_add_up() -> None:
    held = {f"c{number}": number for number in range(9000)}
    ours = [f"c{number}" for number in range(0, 18000, 3)]
    told = await Companies(held).ask(PLAN, ours)
    assert (told["count"], told["sum"]) == (3000, sum(range(0, 9000, 3)))


async def test_every_block_is_multiplied_wherever_matches_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else time would tell the provider in how many blocks there are any: of a long
    list about how many customers are shared, with no noise on it."""
    name, size = SET.name.encode(), 2 * SET.slots
    private, public = unpack(kernels.key_pair(name))
    row = kernels.encrypt(name, public, numbers([9]), numbers([3] * 5))
    combine, terms = kernels.combine, []

    def counted(*arguments: bytes) -> bytes:
        terms.append(len(arguments[5:]))
        return combine(*arguments)

    monkeypatch.setattr(kernels, "combine", counted)
    mask = Mask(
        parameters=SET,
        limbs=Limbs(bound=9, count=1, width=4),
        randomness=secrets.token_bytes,
    )
    given = Encrypted(public=public, blocks=[row, row], size=size)
    for places in ([0, 4], [0, SET.slots + 4]):
        sent = await mask(given, places, [0], MemoryRun())
        opened = kernels.decrypt(name, private, numbers([SET.most]), unpack(sent)[0])
        assert total(opened, SET.plain_modulus) == 6
    assert terms == [2, 2]


async def test_what_one_customer_adds_is_cut_off_at_the_bound() -> None:
    held = dict.fromkeys(OURS[:10], 10_000) | dict.fromkeys(OURS[10:20], -10_000)
    told = await Companies(held | {OURS[0]: 3}).ask(PLAN, OURS, measure=measure(7))
    assert told["sum"] == 3 + 9 * 7 - 10 * 7


async def test_a_customer_without_a_value_counts_and_adds_nothing() -> None:
    companies = Companies(THEIRS)
    companies.serve(PLAN)
    handler: Any = companies.handlers[did(1)]

    async def values(call: Any, run: Any) -> dict[str, int]:
        return {"c60": 5}

    companies.handlers[did(1)] = type(handler)(
        lists=handler.lists, values=values, noise=silent
    )
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(PLAN, mine, round_id)
    told = await companies.asking(PLAN)(signed, mine.inputs, companies.run)
    assert (told["sum"], told["count"]) == (5, 40)


async def test_the_noised_sum_is_within_the_spread_that_is_told() -> None:
    def noise(values: Sequence[int], **facts: int) -> list[int]:
        # The count is told as it is: too small a one would end it.
        return [*values] if facts["sensitivity"] == 1 else laplace(values, **facts)

    beyond = exact = 0
    for _ in range(30):
        told = await Companies(THEIRS, noise=noise).ask(
            PLAN, OURS, measure=measure(5000)
        )
        exact += told["sum"] == EXACT
        beyond += abs(told["sum"] - EXACT) > told["spread"]
    assert exact <= 3  # no noise is 1 in 10,000: four times, once in 10^11
    assert beyond <= 7  # 1 in 100: eight times, once in 10^9.3


class Drawn:
    """Noise that is the same each time, and is remembered."""

    def __init__(self) -> None:
        self.drawn: list[tuple[list[int], int, int]] = []

    def __call__(
        self, values: Sequence[int], *, sensitivity: int, epsilon_micro: int
    ) -> list[int]:
        self.drawn.append((list(values), sensitivity, epsilon_micro))
        return [value + 1000 * len(self.drawn) for value in values]


async def test_each_side_hides_its_customers_from_the_other() -> None:
    noise, companies = Drawn(), None
    companies = Companies(THEIRS, noise=noise)
    told = await companies.ask(PLAN, OURS)
    count, limb, answer = noise.drawn
    assert count == ([40], 1, 900_000)
    assert limb == ([0], 1_000_000, 100_000)
    # The provider decrypts the sum with the asker's noise, and adds its own.
    assert answer == ([EXACT + 2000], 1_000_000, 1_000_000)
    assert told["sum"] == EXACT + 3000
    finish, _ = companies.calls.sent[-1]
    assert finish.arguments == {"count": 1040}


async def test_the_provider_decrypts_uniform_slots_that_add_up() -> None:
    companies = Companies(THEIRS)
    await companies.ask(PLAN, OURS)
    finish, _ = companies.calls.sent[-1]
    run = companies.calls.runs[did(1), finish.plan.plan_hash]
    secret, _ = unpack(run.kept["bfv-key", 0])
    [octets] = unpack(finish.payload)
    ciphertext = bfv.parse_ciphertext(SET.name, octets, bound=SET.most)
    slots = bfv.parse_decryption_key(SET.name, secret).decrypt(ciphertext)
    assert sum(slots) % SET.plain_modulus == EXACT % SET.plain_modulus
    # No slot is a value, and no slot is empty: all of them are spread over T. That
    # one of 8192 is one of 190 values is a chance of 10^-6; that two are, of 10^-12.
    assert len(set(slots) & set(THEIRS.values())) <= 1
    large = sum(abs(slot) > SET.most // 2 for slot in slots)
    assert SET.slots * 0.45 < large < SET.slots * 0.55


@pytest.mark.parametrize("wanted", [0, 5, -5, SET.most, -SET.most])
async def test_a_blinding_adds_up_to_what_is_wanted(wanted: int) -> None:
    drawn, modulus = secrets.token_bytes, SET.plain_modulus
    row = await blinding(drawn, wanted, 64, modulus)
    assert total(row, modulus) == wanted
    assert row != await blinding(drawn, wanted, 64, modulus)


@pytest.mark.parametrize("least", [40, 41])
async def test_of_fewer_than_agreed_no_sum_is_asked_for(least: int) -> None:
    companies = Companies(THEIRS)
    told = await companies.ask(PLAN, OURS, k_min=least)
    steps = [call.step for call, _ in companies.calls.sent]
    if least == 40:
        assert (told["count"], told["sum"]) == (40, EXACT)
    else:
        assert (told["count"], told["sum"], told["mean"]) == (None, None, None)
        assert (told["fewer_than"], steps) == (41, ["commit", "exchange"])


async def test_nor_of_fewer_who_look_enough_under_noise() -> None:
    def more(values: Sequence[int], **facts: Any) -> list[int]:
        return [value + 36 for value in values]

    companies = Companies(THEIRS, noise=more)
    told = await companies.ask(PLAN, OURS, k_min=41)
    assert (told["count"], told["sum"], told["fewer_than"]) == (None, None, 41)
    assert [call.step for call, _ in companies.calls.sent] == ["commit", "exchange"]


async def test_a_noised_count_that_is_too_small_ends_it_too() -> None:
    def less(values: Sequence[int], **facts: Any) -> list[int]:
        return [value - 36 for value in values]

    companies = Companies(THEIRS, noise=less)
    told = await companies.ask(PLAN, OURS)
    assert (told["count"], told["sum"]) == (None, None)


@pytest.mark.parametrize(
    ("bound", "epsilon"), [(2**40, 10**6), (2**30, 1), (2**38, 300)]
)
async def test_what_could_become_too_large_is_refused_beforehand(
    bound: int, epsilon: int
) -> None:
    companies = Companies({f"c{number}": 1 for number in range(5000)})
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    changes = {"measure": measure(bound), "size": 8192, "epsilon_micro": epsilon}
    signed = plan_of(PLAN, mine, round_id, **changes)
    with pytest.raises(Refusal, match=r"aggregate\.bound"):
        await companies.calls(signed, party(1), "commit", {})


async def played(companies: Companies) -> tuple[SignedPlan, Any, bytes, int]:
    """Play to the end; return the plan, the asker's list, and its last question."""
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(PLAN, mine, round_id)
    await companies.asking(PLAN)(signed, mine.inputs, companies.run)
    finish, _ = companies.calls.sent[-1]
    return signed, mine, finish.payload, finish.arguments["count"]


async def test_a_plan_is_answered_once() -> None:
    companies = Companies(THEIRS, noise=laplace)
    signed, _, payload, count = await played(companies)
    _, first = companies.calls.sent[-1]
    again = await companies.calls(signed, party(1), "finish", {"count": count}, payload)
    assert again == first
    exchanged = companies.calls.sent[1][1]
    other = pack(unpack(exchanged.payload)[2])
    for asked, octets in ((count, other), (count + 1, payload), (count, b"")):
        with pytest.raises(Refusal, match=r"round\.replayed"):
            await companies.calls(signed, party(1), "finish", {"count": asked}, octets)


async def finishing(octets: Callable[[Companies, Answer], bytes]) -> str:
    """Return why a last question is refused that is made of the exchange's answer."""
    companies = Companies(THEIRS)
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(PLAN, mine, round_id)
    await companies.calls(signed, party(1), "commit", {})
    answer = await companies.calls(signed, party(1), "exchange", {}, mine.points)
    payload = octets(companies, answer)
    codes = set()
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await companies.calls(signed, party(1), "finish", {"count": 40}, payload)
        codes.add(str(caught.value))
    [code] = codes
    return code


def foreign(_: Companies, __: Answer) -> bytes:
    return pack(bfv.DecryptionKey(SET).public.encrypt([1], bound=1).octets)


def of_another_set(_: Companies, __: Answer) -> bytes:
    small = parameter_set("bfv-4096-40")
    return pack(bfv.DecryptionKey(small).public.encrypt([1], bound=1).octets)


def own_public(companies: Companies) -> bfv.EncryptionKey:
    return bfv.parse_encryption_key(SET.name, companies.calls.sent[0][1].payload)


FALSE: dict[str, Callable[[Companies, Answer], bytes]] = {
    "under a key of its own": foreign,
    "of another set": of_another_set,
    "garbage": lambda _, __: pack(b"\x00" * 1000),
    "nothing": lambda _, __: b"",
    "two": lambda companies, _: pack(
        *[own_public(companies).encrypt([1], bound=1).octets] * 2
    ),
    "cut off": lambda companies, _: pack(
        own_public(companies).encrypt([1], bound=1).octets
    )[:-9],
    "beyond the range": lambda companies, _: pack(
        own_public(companies).encrypt([2**37] * 7, bound=2**38).octets
    ),
}


@pytest.mark.parametrize("beyond", [0, 1, -1])
async def test_a_sum_is_in_range_up_to_all_values_at_their_bound_and_noise(
    beyond: int,
) -> None:
    companies = Companies(THEIRS)
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    plan = plan_of(PLAN, mine, round_id).plan
    [most] = ranges(plan, 192, cut(plan, 192))
    # All of the shorter list at the bound, and noise but for a chance of 2^-40.
    noise = spread(1_000_000, 100_000, 2.0**-40)
    assert most == 104 * 1_000_000 + noise
    asked = [-most - 1 if beyond < 0 else most + beyond]

    def octets(made: Companies, _: Answer) -> bytes:
        return pack(own_public(made).encrypt(asked, bound=SET.most).octets)

    if beyond:
        assert await finishing(octets) == "ciphertext.malformed"
    else:
        with pytest.raises(pytest.fail.Exception):
            await finishing(octets)


async def test_values_that_change_meanwhile_are_not_mixed() -> None:
    """Limbs of one value are encrypted one after the other, from what was read once."""
    companies = Companies(dict(THEIRS))
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(PLAN, mine, round_id, measure=measure(2**40))
    await companies.calls(signed, party(1), "commit", {})
    await companies.calls(signed, party(1), "exchange", {}, mine.points)
    run = companies.calls.runs[did(1), signed.plan.plan_hash]
    del run.kept["encrypt-1", 0]
    companies.held[did(1)] = dict.fromkeys(THEIRS, 2**39)
    told = await companies.asking(PLAN)(signed, mine.inputs, companies.run)
    assert told["sum"] == EXACT


async def test_customers_who_come_meanwhile_shift_no_values() -> None:
    companies = Companies(dict(THEIRS))
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(PLAN, mine, round_id)
    await companies.calls(signed, party(1), "commit", {})
    companies.held[did(1)] = {"a0": 999, "c0": 999} | THEIRS
    told = await companies.asking(PLAN)(signed, mine.inputs, companies.run)
    assert (told["count"], told["sum"]) == (40, EXACT)


async def test_a_count_has_no_unit_and_a_sum_that_of_its_field() -> None:
    other = AggregateGrant(
        field="debts",
        type=FieldType.MONEY,
        unit="EUR",
        scale=3,
        uses=("sum",),
        bound="9.000",
    )
    for counted in (True, False):
        companies = Companies(dict.fromkeys(THEIRS, 1))
        agreed = agreement(1)
        terms = replace(
            agreed.terms,
            fields={**agreed.terms.fields, "debts": Mode.AGGREGATE},
            aggregates=(other, *agreed.terms.aggregates),
        )
        companies.places[did(1)]["agreement"] = replace(agreed, terms=terms)
        what = Measure(what="count", field="sales", bound=1)
        told = await companies.ask(
            PLAN, OURS, measure=what if counted else measure(1000)
        )
        assert told["sum"] == 40
        meant = (None, 0) if counted else ("USD", 2)
        assert (told["unit"], told["scale"]) == meant


@pytest.mark.parametrize("how", FALSE)
async def test_what_is_no_sum_under_the_providers_key_is_refused(how: str) -> None:
    assert await finishing(FALSE[how]) == "ciphertext.malformed"


async def test_the_sum_comes_after_the_exchange() -> None:
    companies = Companies(THEIRS)
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(PLAN, mine, round_id)
    for _ in range(2):
        with pytest.raises(Refusal, match=r"round\.order"):
            await companies.calls(signed, party(1), "finish", {"count": 40}, b"x")
        await companies.calls(signed, party(1), "commit", {})


@pytest.mark.parametrize("count", [None, "40", 4, -1, 40.5, True])
async def test_a_count_below_the_cohort_is_refused(count: Any) -> None:
    companies = Companies(THEIRS)
    signed, _, payload, _ = await played(companies)
    with pytest.raises(Refusal, match=r"cohort\.too_small"):
        await companies.calls(signed, party(1), "finish", {"count": count}, payload)


def _blocks(answer: Answer, change: Callable[..., Sequence[bytes]]) -> Answer:
    ours, theirs, *blocks = unpack(answer.payload)
    return Answer(members={}, payload=pack(ours, theirs, *change(*blocks)))


def _told(answer: Answer, **changes: Any) -> Answer:
    return Answer(members={**answer.members, **changes})


LIES: dict[str, tuple[str, Callable[[Answer], Answer]]] = {
    "no block": ("exchange", lambda it: _blocks(it, lambda one: [])),
    "a block too many": ("exchange", lambda it: _blocks(it, lambda one: [one, one])),
    "a foreign block": (
        "exchange",
        lambda it: _blocks(it, lambda one: [one[:-20] + bytes(20)]),
    ),
    "a block of another set": (
        "exchange",
        lambda it: _blocks(it, lambda one: unpack(of_another_set(Companies(), it))),
    ),
    "no key": ("commit", lambda it: Answer(members=it.members, payload=b"")),
    "a key of another set": (
        "commit",
        lambda it: Answer(
            members=it.members,
            payload=bfv.DecryptionKey(parameter_set("bfv-4096-40")).public.octets,
        ),
    ),
    "no sum": ("finish", lambda it: Answer(members={"spread": 1})),
    "a sum that is no number": ("finish", lambda it: _told(it, sum="1e9")),
    "a sum in another form": ("finish", lambda it: _told(it, sum="+7")),
    "a sum that is no text": ("finish", lambda it: _told(it, sum=7)),
    "a sum beyond all range": ("finish", lambda it: _told(it, sum="9" * 20)),
    "a spread below zero": ("finish", lambda it: _told(it, spread=-1)),
    "a unit that is none": ("finish", lambda it: _told(it, unit=7)),
    "something else, too": ("finish", lambda it: _told(it, more=7)),
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_is_not_the_protocols_is_not_believed(lie: str) -> None:
    step, change = LIES[lie]
    companies = Companies(THEIRS)
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)

    async def call(*arguments: Any) -> Answer:
        answer = await companies.calls(*arguments)
        return change(answer) if arguments[2] == step else answer

    signed = plan_of(PLAN, mine, round_id)
    with pytest.raises(Unavailable):
        await companies.asking(PLAN, call)(signed, mine.inputs, companies.run)


async def test_only_the_step_that_tells_the_sum_is_charged() -> None:
    companies = Companies(THEIRS)
    signed, *_ = await played(companies)
    handler = companies.handlers[did(1)]
    assert [handler.charges(signed.plan, each) for each in handler.steps] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("step", ["commit", "exchange", "finish"])
async def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_octets(
    step: str,
) -> None:
    companies = Companies(THEIRS, noise=Drawn())
    companies.serve(PLAN)
    round_id, mine = await companies.prepared(OURS)
    signed = plan_of(PLAN, mine, round_id)
    lost: list[Answer] = []

    async def call(*arguments: Any) -> Answer:
        answer = await companies.calls(*arguments)
        if arguments[2] == step and not lost:
            lost.append(answer)
            raise Unavailable("peer.unreachable", "Away.")
        return answer

    asking = companies.asking(PLAN, call)
    with pytest.raises(Unavailable):
        await asking(signed, mine.inputs, companies.run)
    told = await asking(signed, mine.inputs, companies.run)
    assert told["sum"] == EXACT + 3000
    first, again = (it for it in companies.calls.sent if it[0].step == step)
    assert first == again


@pytest.mark.parametrize("side", ["asker", "provider"])
async def test_who_goes_on_after_a_kill_draws_no_noise_twice(side: str) -> None:
    killed, lives = 0, 1
    while True:
        noise = Drawn()
        companies = Companies(THEIRS, noise=noise)
        companies.serve(PLAN)
        round_id, mine = await companies.prepared(OURS)
        signed = plan_of(PLAN, mine, round_id)
        mortal = MortalRun(lives)
        if side == "asker":
            companies.run = mortal
        else:
            companies.calls.runs[did(1), signed.plan.plan_hash] = mortal
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
        assert (told["sum"], len(noise.drawn)) == (EXACT + 3000, 3)
    assert killed >= 5
