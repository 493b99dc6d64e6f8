"""Federated sums: what a provider checks before a masked row of its own leaves."""

import asyncio
import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from crypto.encoding import b64u, unb64u
from crypto.kernels.packing import unpack
from crypto.keys import X25519Key
from crypto.parameters import parameter_set
from ledger.conditions import Condition
from ledger.plans import Group, Measure, Plan, Replaced, SignedPlan
from ledger.rosters import Acceptance, Roster, parse_acceptance, sign_acceptance
from node.services.aggregates.federate_rules import Shape, may_contribute
from node.services.aggregates.steps import Answer, Refusal
from tests.support.federated import ASKER, REGIONS, World, agreement, did
from tests.support.runs import MemoryRun

ME = did(1)
STRANGER = "did:web:stranger.example"


class Desk:
    """One provider that is asked, and the others' acceptances."""

    def __init__(self, world: World, signed: SignedPlan, public: bytes) -> None:
        self.world, self.signed, self.public = world, signed, public
        self.run = MemoryRun()

    @classmethod
    async def of(cls, world: World, **changes: Any) -> "Desk":
        signed, inputs = await world.prepared(**changes)
        return cls(world, signed, unpack(unb64u(inputs["key"]))[1])

    async def accept(self) -> Roster:
        """Have everybody accept."""
        found = [
            await self._step("accept", {}, b"", name)
            for name in (party.did for party in self.signed.plan.parties)
        ]
        signed = [parse_acceptance(each.members["acceptance"]) for each in found]
        return Roster(tuple(signed))

    async def contribute(
        self, roster: Roster | Mapping[str, Any], public: bytes | None = None
    ) -> Answer:
        """Ask for the provider's row."""
        told = roster.to_json() if isinstance(roster, Roster) else roster
        octets = self.public if public is None else public
        return await self._step("contribute", {"roster": told}, octets)

    async def _step(
        self, step: str, arguments: Any, payload: bytes, name: str = ME
    ) -> Answer:
        run = self.run if name == ME else MemoryRun()
        call = self.world.step(name, self.signed, step, arguments, payload)
        return await self.world.handlers[name](call, run)

    @property
    def committed(self) -> list[bool]:
        budgets = self.world.stores[ME].budgets
        return [each.committed for each in budgets.spendings.values()]


async def refused(code: str, desk: Desk, roster: Any, **given: Any) -> None:
    """The row does not leave, and nothing of it was made."""
    with pytest.raises(Refusal) as caught:
        await desk.contribute(roster, **given)
    assert str(caught.value) == code
    assert ("contribution", 0) not in desk.run.kept


def changed(roster: Roster, name: str, signer: str = "", **facts: Any) -> Roster:
    """A roster in which one acceptance says something else, signed by somebody."""
    world = World(4)

    def one(signed: Any) -> Any:
        if signed.acceptance.party != name:
            return signed
        other = replace(signed.acceptance, **facts)
        key = world.keys[signer or name]
        return replace(
            signed, acceptance=other, signature=key.sign(other.signed_bytes())
        )

    return Roster(tuple(one(each) for each in roster.acceptances))


async def test_the_same_step_gives_the_same_answer_again() -> None:
    desk = await Desk.of(World(3))
    roster = await desk.accept()
    assert (await desk.accept()).key(ME) == roster.key(ME)
    first = await desk.contribute(roster)
    assert await desk.contribute(roster) == first
    assert desk.committed == [True]


async def test_promising_costs_nothing() -> None:
    desk = await Desk.of(World(3))
    await desk.accept()
    handler = desk.world.handlers[ME]
    assert list(handler.steps) == ["accept", "contribute"]
    assert not handler.charges(desk.signed.plan, "accept")
    assert handler.charges(desk.signed.plan, "contribute")
    assert not desk.committed


async def test_each_plan_has_a_mask_key_of_its_own() -> None:
    world = World(3)
    first, second = await Desk.of(world), await Desk.of(world)
    one, other = await first.accept(), await second.accept()
    assert one.key(ME) != other.key(ME)


async def test_an_acceptance_takes_nothing_along() -> None:
    desk = await Desk.of(World(3))
    for arguments, payload in (({"more": 1}, b""), ({}, b"x")):
        with pytest.raises(Refusal, match=r"request\.malformed"):
            await desk._step("accept", arguments, payload)


async def test_a_roster_of_two_is_refused() -> None:
    desk = await Desk.of(World(3))
    told = (await desk.accept()).to_json()
    told["acceptances"].pop()
    await refused("roster.invalid", desk, told)


async def test_a_roster_with_somebody_else_in_it_is_refused() -> None:
    world = World(4)
    desk = await Desk.of(world)
    wide = await desk.accept()
    narrow = await Desk.of(world, parties=desk.signed.plan.parties[:3])
    narrow.run = desk.run
    await refused("roster.invalid", narrow, wide)


async def test_an_acceptance_of_another_plan_is_refused() -> None:
    world = World(3)
    desk, other = await Desk.of(world), await Desk.of(world)
    roster, stale = await desk.accept(), await other.accept()
    mixed = Roster.__new__(Roster)
    every = (roster.acceptances[0], *stale.acceptances[1:])
    object.__setattr__(mixed, "acceptances", every)
    await refused("roster.invalid", desk, mixed)
    await refused("roster.invalid", desk, stale)


async def test_the_key_of_a_stranger_is_refused() -> None:
    desk = await Desk.of(World(3))
    roster = await desk.accept()
    await refused("roster.invalid", desk, changed(roster, did(2), STRANGER))
    mine = X25519Key.from_bytes(b"k" * 32)  # known to the asker
    invented = changed(roster, did(2), STRANGER, mask_key=b64u(mine.public_bytes))
    await refused("roster.invalid", desk, invented)


async def test_a_roster_that_ended_is_refused() -> None:
    desk = await Desk.of(World(3))
    roster = await desk.accept()
    desk.world.now += datetime.timedelta(hours=2)
    await refused("roster.invalid", desk, roster)


async def test_a_mask_key_that_we_did_not_draw_is_refused_even_if_we_signed_it() -> (
    None
):
    desk = await Desk.of(World(3))
    roster = await desk.accept()
    other = X25519Key.from_bytes(b"k" * 32).public_bytes
    await refused("roster.invalid", desk, changed(roster, ME, mask_key=b64u(other)))


async def test_a_mask_key_that_everybody_agrees_on_is_refused() -> None:
    desk = await Desk.of(World(3))
    told = (await desk.accept()).to_json()
    told["acceptances"][1]["acceptance"]["mask_key"] = b64u(bytes(32))
    await refused("roster.invalid", desk, told)


@pytest.mark.parametrize("wrong", [b"", b"x" * 100, bytes(200_000)])
async def test_a_key_that_is_none_is_refused(wrong: bytes) -> None:
    desk = await Desk.of(World(3))
    await refused("key.mismatch", desk, await desk.accept(), public=wrong)


async def test_a_key_that_the_plan_does_not_name_is_refused() -> None:
    world = World(3)
    desk, other = await Desk.of(world), await Desk.of(world)
    await refused("key.mismatch", desk, await desk.accept(), public=other.public)


async def test_arguments_that_are_none_are_refused() -> None:
    desk = await Desk.of(World(3))
    told = (await desk.accept()).to_json()
    for arguments in ({}, {"roster": told, "more": 1}):
        with pytest.raises(Refusal, match=r"request\.malformed"):
            await desk._step("contribute", arguments, desk.public)


async def test_a_plan_of_which_we_are_no_party_is_refused() -> None:
    world = World(4)
    desk = await Desk.of(world, parties=tuple(map(world.party, world.dids[1:])))
    call = world.step(ME, desk.signed, "accept")
    with pytest.raises(Refusal, match=r"plan\.mismatch"):
        await world.handlers[ME](call, MemoryRun())


async def test_another_roster_of_the_same_plan_is_a_replay() -> None:
    desk = await Desk.of(World(3))
    roster = await desk.accept()
    await desk.contribute(roster)
    again = await desk.accept()  # the others draw new keys
    assert again.roster_hash != roster.roster_hash
    with pytest.raises(Refusal, match=r"round\.replayed"):
        await desk.contribute(again)


async def test_the_round_of_another_plan_is_a_replay() -> None:
    world = World(4)
    desk = await Desk.of(world)
    await desk.contribute(await desk.accept())
    second = await Desk.of(world, round=desk.signed.plan.round, k_min=11)
    await refused("round.replayed", second, await second.accept())
    assert desk.committed == [True, False]


async def test_the_same_question_of_the_same_companies_is_answered_again() -> None:
    world = World(4)
    desks = [await Desk.of(world), await Desk.of(world)]
    for desk in desks:
        await desk.contribute(await desk.accept())
    assert desks[0].committed == [True, True]


async def of_parties(world: World, *numbers: int, **changes: Any) -> Desk:
    parties = tuple(world.party(did(number)) for number in numbers)
    return await Desk.of(world, parties=parties, **changes)


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 2, 3, 4), (1, 2, 3)), ((1, 2, 3), (1, 2, 3, 4))],
    ids=["one less", "one more"],
)
async def test_a_roster_that_differs_by_one_company_is_refused(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    world = World(4)
    desk = await of_parties(world, *first)
    await desk.contribute(await desk.accept())
    other = await of_parties(world, *second)
    await refused("roster.differencing", other, await other.accept())


@pytest.mark.parametrize("second", [(1, 2, 3), (1, 2, 3, 6), (1, 2, 3, 4, 5)])
async def test_a_roster_that_differs_by_none_or_by_two_is_answered(
    second: tuple[int, ...],
) -> None:
    world = World(6)
    desk = await of_parties(world, 1, 2, 3, 4, 5)
    await desk.contribute(await desk.accept())
    other = await of_parties(world, *second)
    await other.contribute(await other.accept())


async def test_another_question_may_have_another_roster() -> None:
    world = World(4)
    desk = await of_parties(world, 1, 2, 3, 4)
    await desk.contribute(await desk.accept())
    other = await of_parties(world, 1, 2, 3, cohort="shared")
    await other.contribute(await other.accept())


@pytest.mark.parametrize(
    ("labels", "alike"),
    [
        ((*REGIONS, "Centre"), True),
        (REGIONS[:1], True),
        (("Centre", REGIONS[-1]), True),
        (("Centre", "Coast"), False),
    ],
    ids=["one more", "one of them", "one in common", "none in common"],
)
async def test_another_label_does_not_hide_that_the_question_is_the_same(
    labels: tuple[str, ...], *, alike: bool
) -> None:
    """What both sums have in common would tell of the company that one has not."""
    world = World(4)
    desk = await of_parties(world, 1, 2, 3, 4)
    await desk.contribute(await desk.accept())
    group = Group(field="region", grain="value", values=labels)
    world.hold(ME, [7] * len(labels))
    other = await of_parties(world, 1, 2, 3, groups=(group,))
    roster = await other.accept()
    if alike:
        await refused("roster.differencing", other, roster)
    else:
        await other.contribute(roster)


WEEKS = Group(field="seen_on", grain="week", values=("2026-10-05", "2026-10-12"))
DAYS = Group(field="seen_on", grain="value", values=WEEKS.values)
PLACES = Group(field="region", grain="value", values=("North", "South"))
SPEND = Measure(what="sum", field="spend", bound=7)
BASE: dict[str, Any] = {"groups": (PLACES, WEEKS), "measure": SPEND}


def judge(**changes: Any) -> None:
    """Have four companies answer a question; ask three of them a changed one."""
    world = World(4)
    budgets, before = world.stores[ME].budgets, world.plan(**BASE)
    budgets.spend(before, world.under[ME])
    budgets.commit(before.plan_hash, [each.did for each in before.parties])
    asked = world.plan(**(BASE | {"parties": before.parties[:3]} | changes))
    may_contribute(asked, budgets.spendings.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"cohort": "shared"},
        {"measure": replace(SPEND, what="count", bound=1)},
        {"measure": replace(SPEND, field="cost")},
        {"filters": (Condition.of("one_of", ["region"], ["North", "South"]),)},
        {"groups": (PLACES, DAYS)},
        {"groups": (replace(PLACES, field="place"), WEEKS)},
        {"groups": (PLACES,)},
        {"groups": (Group(field="a", grain="value", values=("b",)), PLACES, WEEKS)},
        {"groups": (replace(PLACES, values=("East",)), WEEKS)},
        {"groups": (PLACES, replace(WEEKS, values=("2026-10-19",)))},
    ],
)
def test_each_member_of_a_question_makes_it_another(changes: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=r"roster\.differencing"):
        judge()
    judge(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"measure": replace(SPEND, bound=8)},
        {"k_min": 11},
        {"contribution": 2},
        {"epsilon_micro": 1},
        {"purpose": "other"},
    ],
)
def test_how_a_question_is_answered_makes_it_no_other(changes: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=r"roster\.differencing"):
        judge(**changes)


def test_a_row_fills_whole_ciphertexts_and_the_rest_of_one() -> None:
    parameters = parameter_set("bfv-4096-40")
    slots, most = parameters.slots, parameters.most
    for cells, wanted in (
        (1, [1]),
        (slots, [slots]),
        (slots + 1, [slots, 1]),
        (2 * slots, [slots] * 2),
    ):
        shape = Shape(parameters, cells, 3)
        row = range(cells)
        assert shape.ciphertexts == len(wanted)
        assert [len(piece) for piece in shape.pieces(row)] == wanted
        assert [each for piece in shape.pieces(row) for each in piece] == list(row)
    centred = Shape(parameters, 1, 3).centred(
        [0, most, most + 1, -most, -1, 2 * most + 1]
    )
    assert centred == [0, most, -most, -most, -1, 0]


async def test_who_says_what_was_missing_is_answered_anew_and_charged_anew() -> None:
    world = World(4)
    desk = await of_parties(world, 1, 2, 3, 4)
    first = await desk.contribute(await desk.accept())
    told = Replaced(round=desk.signed.plan.round, missing=(did(4),))
    other = await of_parties(world, 1, 2, 3, replaces=told)
    second = await other.contribute(await other.accept())
    assert second.members["commitment"] != first.members["commitment"]
    assert desk.committed == [True, True]


@pytest.mark.parametrize(
    "missing", [(did(5),), (did(4), did(5)), None], ids=["other", "more", "round"]
)
async def test_what_is_said_of_the_missing_is_exactly_that(
    missing: tuple[str, ...] | None,
) -> None:
    world = World(4)
    desk = await of_parties(world, 1, 2, 3, 4)
    await desk.contribute(await desk.accept())
    round_id = desk.signed.plan.round if missing else "ab" * 32
    told = Replaced(round=round_id, missing=missing or (did(4),))
    other = await of_parties(world, 1, 2, 3, replaces=told)
    await refused("roster.differencing", other, await other.accept())


async def test_a_replacement_explains_one_round_and_no_other() -> None:
    world = World(5)
    desks = [await of_parties(world, 1, 2, 3, last) for last in (4, 5)]
    for desk in desks:
        await desk.contribute(await desk.accept())
    told = Replaced(round=desks[1].signed.plan.round, missing=(did(5),))
    other = await of_parties(world, 1, 2, 3, replaces=told)
    await refused("roster.differencing", other, await other.accept())


@pytest.mark.parametrize("name", ["0", "second"], ids=["first", "last"])
async def test_two_agreements_with_one_asker_are_looked_at_together(
    name: str,
) -> None:
    world = World(4)
    desk = await of_parties(world, 1, 2, 3, 4)
    await desk.contribute(await desk.accept())
    world.under[ME] = agreement(ME, name=name)
    world.stores[ME].agreements.append(world.under[ME])
    world.stores[ME].agreements.append(agreement(ME, STRANGER, "third"))
    other = await of_parties(world, 1, 2, 3)
    await refused("roster.differencing", other, await other.accept())


async def test_of_two_rosters_at_once_one_is_answered() -> None:
    world = World(4)
    desks = [await of_parties(world, 1, 2, 3, 4), await of_parties(world, 1, 2, 3)]
    rosters = [await desk.accept() for desk in desks]
    found = await asyncio.gather(
        *(desk.contribute(each) for desk, each in zip(desks, rosters, strict=True)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Answer) for each in found) == 1
    assert sum(isinstance(each, Refusal) for each in found) == 1


async def test_nothing_is_made_where_the_cohort_is_too_small() -> None:
    world = World(3)

    async def cells(*_: Any) -> Any:
        raise Refusal("cohort.too_small", spent=50_000)

    world.handlers[ME] = world.provider(ME, cells=cells)
    desk = await Desk.of(world)
    await refused("cohort.too_small", desk, await desk.accept())


async def test_who_is_refused_for_a_roster_has_no_row_made() -> None:
    """What is drawn is paid for: so what is wrong is seen before."""
    world, made = World(4), []

    async def cells(*given: Any) -> Any:
        made.append(given)
        return world.tables[ME]

    world.handlers[ME] = world.provider(ME, cells=cells)
    desk = await of_parties(world, 1, 2, 3, 4)
    await desk.contribute(await desk.accept())
    other = await of_parties(world, 1, 2, 3)
    await refused("roster.differencing", other, await other.accept())
    assert len(made) == 1


async def test_a_table_that_no_sum_can_hold_was_paid_for() -> None:
    world = World(3)
    world.hold(ME, [1] * len(REGIONS), bound=1 << 39)
    desk = await Desk.of(world)
    with pytest.raises(Refusal, match=r"aggregate\.bound") as told:
        await desk.contribute(await desk.accept())
    assert told.value.spent == desk.signed.plan.epsilon_micro


def test_a_bound_beyond_what_a_sum_can_hold_is_refused_at_once() -> None:
    world = World(3)
    most = 1099511480321 // 2 // 3
    for bound, fits in ((most, True), (most + 1, False)):
        measure = Measure(what="sum", field="spend", bound=bound)
        signed = world.signed(world.plan(measure=measure))
        asked = world.handlers[ME](world.step(ME, signed, "accept"), MemoryRun())
        if fits:
            asyncio.run(asked)
        else:
            with pytest.raises(Refusal, match=r"aggregate\.bound"):
                asyncio.run(asked)


def test_what_is_no_sum_of_several_explains_nothing() -> None:
    world = World(3)
    plan: Plan = world.plan()
    alike = world.plan(round=plan.round, k_min=11)
    world.stores[ME].budgets.spend(alike, world.under[ME])
    spendings = world.stores[ME].budgets.spendings.values()
    may_contribute(plan, spendings)


async def test_an_acceptance_is_signed_with_the_key_of_receipts() -> None:
    world = World(3)
    desk = await Desk.of(world)
    (first, *_) = (await desk.accept()).acceptances
    assert first.acceptance == Acceptance(
        plan=desk.signed.plan.plan_hash,
        party=ME,
        mask_key=first.acceptance.mask_key,
        expires=desk.signed.plan.expires,
        key_id=world.pins[ME].key_id("ed25519"),
    )
    assert first == sign_acceptance(first.acceptance, world.keys[ME])
    assert ASKER not in {each.did for each in desk.signed.plan.parties}
