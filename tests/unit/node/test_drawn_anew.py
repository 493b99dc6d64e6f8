"""What hides customers is drawn anew for every plan: keys, dummies, orders, floods."""

import secrets
from collections.abc import Sequence

from crypto import psi
from crypto.kernels import bfv
from crypto.kernels.packing import parse_numbers, unpack
from ledger.plans import Kind, Measure
from node.ports.aggregates import Kernel, Shared
from node.services.aggregates.steps import StepCall
from tests.support.matching import ASKER, Companies, did
from tests.support.runs import MemoryRun

OURS = [f"c{number}" for number in range(100)]
THEIRS = [f"c{number}" for number in range(60, 250)]
TIMES = 3


async def played(mode: str) -> tuple[Companies, StepCall, list[bytes]]:
    """Compare the same lists in a plan of its own; return what went over the wire."""
    companies = Companies(THEIRS)
    await companies.ask(Kind.INTERSECTION, OURS, mode=mode)
    call, answer = companies.calls.sent[-1]
    return companies, call, unpack(answer.payload)


def secret(companies: Companies, call: StepCall) -> list[bytes]:
    """Return what the provider has drawn: scalar, and seeds."""
    run = companies.calls.runs[did(1), call.plan.plan_hash]
    return unpack(run.kept["secrets", 0])


async def test_no_plan_has_a_secret_in_common_with_another() -> None:
    drawn: list[bytes] = []
    for _ in range(TIMES):
        companies, call, _ = await played("count")
        drawn += secret(companies, call)
    assert len(drawn) == 4 * TIMES
    assert len(set(drawn)) == len(drawn)
    assert all(len(each) == 32 and each != bytes(32) for each in drawn)


async def test_one_round_named_twice_gives_no_point_twice() -> None:
    """An asker may name a round as often as it likes: keys are the plan's."""
    seen: list[bytes] = []
    round_id = secrets.token_hex(32)
    for _ in range(TIMES):
        companies = Companies(THEIRS)
        companies.serve(Kind.INTERSECTION)
        await companies.ask(Kind.INTERSECTION, OURS)
        call, _ = companies.calls.sent[-1]
        key = psi.BlindingKey.from_octets(secret(companies, call)[0])
        seen += psi.split(key.blind(bytes.fromhex(round_id), THEIRS))
    assert len(set(seen)) == len(seen)


async def test_a_list_stands_in_another_order_each_time() -> None:
    orders: list[list[int]] = []
    for _ in range(TIMES):
        companies, call, (_, theirs) = await played("count")
        key = psi.BlindingKey.from_octets(secret(companies, call)[0])
        places = {point: at for at, point in enumerate(psi.split(theirs))}
        session = bytes.fromhex(call.plan.round)
        blinded = psi.split(key.blind(session, sorted(THEIRS)))
        orders.append([places[each] for each in blinded])
    check_orders(orders, 192)


async def test_what_was_multiplied_comes_back_in_another_order_each_time() -> None:
    orders: list[list[int]] = []
    for _ in range(TIMES):
        companies, call, (ours, _) = await played("count")
        key = psi.BlindingKey.from_octets(secret(companies, call)[0])
        places = {point: at for at, point in enumerate(psi.split(ours))}
        orders.append([places[each] for each in psi.split(key.multiply(call.payload))])
    check_orders(orders, 104)


async def test_two_lists_of_a_ring_come_back_in_two_orders() -> None:
    companies = Companies(OURS, THEIRS[:100])  # as many as the asker has
    await companies.ask(Kind.RING_COUNT, OURS)
    orders: dict[str, list[int]] = {}
    for call, answer in companies.calls.sent:
        if call.step == "pass" and call.party.did == did(1):
            key = psi.BlindingKey.from_octets(secret(companies, call)[0])
            places = {at: n for n, at in enumerate(psi.split(answer.payload))}
            multiplied = psi.split(key.multiply(call.payload))
            orders[call.arguments["of"]] = [places[each] for each in multiplied]
    assert set(orders) == {ASKER, did(2)}
    first, second = orders.values()
    check_orders([first, second], 104)


def check_orders(orders: Sequence[list[int]], size: int) -> None:
    """Check that no two are alike, in much, and that nobody keeps its place."""
    for number, order in enumerate(orders):
        others = [list(range(size)), *orders[:number]]
        for other in others:
            alike = sum(a == b for a, b in zip(order, other, strict=False))
            assert alike < 20  # of a hundred: by chance less than once in 10^17


class Watching(MemoryRun):
    """A run that remembers what was drawn for ciphertexts that are released."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds: list[bytes] = []
        self.rows: list[list[int]] = []

    async def compute(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        if kernel is bfv.combine:
            row, seed = arguments[3:5]
            assert isinstance(row, bytes)
            assert isinstance(seed, bytes)
            self.rows.append(parse_numbers(row))
            self.seeds.append(seed)
        return await super().compute(kernel, *arguments)


async def test_every_limb_is_hidden_by_a_row_and_a_flood_of_its_own() -> None:
    rows: list[list[int]] = []
    seeds: list[bytes] = []
    for _ in range(2):
        companies = Companies(dict.fromkeys(THEIRS, 5))
        watching = companies.run = Watching()
        measure = Measure(what="sum", field="sales", bound=2**40)
        await companies.ask(Kind.JOINT_SUM, OURS, measure=measure)
        assert len(watching.rows) == 2  # limbs
        rows, seeds = rows + watching.rows, seeds + watching.seeds
    assert len(set(seeds)) == 4
    assert all(len(each) == 32 and each != bytes(32) for each in seeds)
    for number, row in enumerate(rows):
        for other in rows[:number]:
            # By chance two rows have one number in common once in 2^15 times.
            assert len(set(row) & set(other)) < 5
