"""Heat maps with partners that lie: what is sent wrong is refused, with one code."""

import secrets
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tenseal.sealapi as seal

from crypto import bfv
from crypto.encoding import b64u, unb64u
from crypto.kernels import bfv as kernels
from crypto.kernels.packing import numbers, pack, parse_numbers, unpack
from crypto.parameters import SETS
from crypto.seal_octets import context_of, framed, saved
from ledger.conditions import Condition
from ledger.plans import Group, Measure, SignedPlan
from node.domain.masks import masks_hash, write_masks
from node.errors import BadRequest, Refused, Unavailable
from tests.support.heat_maps import FAULTS, SET, World, faults
from tests.support.runs import MemoryRun

PARAMETERS = SETS[SET]
NAME = SET.encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, faults(200))


def foreign(_: bytes) -> bytes:
    """A ciphertext under a key of one's own."""
    key = bfv.DecryptionKey(PARAMETERS).public
    return pack(key.encrypt([1, 2, 3], bound=3).octets)


def other_set(_: bytes) -> bytes:
    key = bfv.DecryptionKey(SETS["bfv-4096-40"]).public
    return pack(key.encrypt([1, 2, 3], bound=3).octets)


def truncated(payload: bytes) -> bytes:
    (part,) = unpack(payload)
    return pack(part[:-100])


def oversized(payload: bytes) -> bytes:
    (part,) = unpack(payload)
    return pack(part + bytes(PARAMETERS.octets))


def transparent(_: bytes) -> bytes:
    """A ciphertext that anybody reads: its second polynomial is zero."""
    return pack(_composed([0] * (2 * 4 * PARAMETERS.slots)))


def _composed(words: list[int]) -> bytes:

    context = context_of(PARAMETERS)
    place = struct.pack("<4Q", *context.first_parms_id())
    shape = struct.pack("<?QQQdQ", False, 2, PARAMETERS.slots, 4, 1.0, 1)
    data = struct.pack(f"<Q{len(words)}Q", len(words), *words)
    return framed(place + shape + framed(data))


def too_noisy(payload: bytes) -> bytes:
    """The right ciphertext, multiplied until its noise budget is out."""
    (part,) = unpack(payload)
    inner = bfv.parse_ciphertext(SET, part, bound=PARAMETERS.most).inner
    plain = bfv._encoded(PARAMETERS, [7] * PARAMETERS.slots)
    for _ in range(4):
        product = seal.Ciphertext()
        bfv._evaluator(PARAMETERS).multiply_plain(inner, plain, product)
        inner = product
    return pack(saved(inner))


def too_many(payload: bytes) -> bytes:
    (part,) = unpack(payload)
    return pack(part, part)


def none_at_all(_: bytes) -> bytes:
    return b""


def noise(payload: bytes) -> bytes:
    return secrets.token_bytes(len(payload))


LIES: list[Callable[[bytes], bytes]] = [
    foreign,
    other_set,
    truncated,
    oversized,
    transparent,
    too_noisy,
    too_many,
    none_at_all,
    noise,
]


@pytest.mark.parametrize("lie", LIES)
async def test_what_is_no_result_of_the_table_is_not_opened(
    world: World, lie: Callable[[bytes], bytes]
) -> None:
    world.calls.tamper["open"] = lie
    with pytest.raises(Refused, match=r"ciphertext\.malformed"):
        await world.ask(world.plan())
    (refused,) = world.calls.refusals
    assert refused.spent == 0


@pytest.mark.parametrize("arguments", [{}, {"key": "00" * 32}, {"key": 7}])
async def test_a_result_under_another_key_is_not_opened(
    world: World, arguments: dict[str, Any]
) -> None:
    plan = world.plan()
    await world.ask(plan)
    payload = world.calls.sent[-1][0].payload
    (party,) = plan.plan.parties
    with pytest.raises(Refused, match=r"key\.mismatch"):
        await world.calls(plan, party, "open", arguments, payload)


async def test_only_so_many_lies_are_told_that_they_are_lies(world: World) -> None:
    """Whether something decrypts is a bit about the key: sixteen of them, no more."""
    plan = world.plan()
    (party,) = plan.plan.parties
    await world.calls(plan, party, "table", {})
    key = {"key": world.calls.sent[0][1].members["key"]}
    codes = []
    for _ in range(18):
        with pytest.raises(Refused):
            await world.calls(plan, party, "open", key, foreign(b""))
        codes.append(str(world.calls.refusals[-1]))
    assert codes == ["ciphertext.malformed"] * 16 + ["round.replayed"] * 2


async def test_a_hostile_result_reveals_no_more_than_the_noised_table(
    world: World,
) -> None:
    """What the table itself decrypts to is what its asker has paid for: no more."""
    plan = world.plan(k_min=60)
    (party,) = plan.plan.parties
    table = await world.calls(plan, party, "table", {})
    _, ciphertext = unpack(table.payload)
    opened = await world.calls(
        plan, party, "open", {"key": table.members["key"]}, pack(ciphertext)
    )
    result = await world.ask(plan)
    (row,) = unpack(opened.payload)
    assert parse_numbers(row)[:12] == [cell or 0 for cell in result["cells"]]
    assert None in result["cells"]
    assert not any(parse_numbers(row)[12:])


async def test_a_first_step_holds_nothing(world: World) -> None:
    plan = world.plan()
    (party,) = plan.plan.parties
    for arguments, payload in (({"bound": 1}, b""), ({}, b"x")):
        with pytest.raises(Refused, match=r"request\.malformed"):
            await world.calls(plan, party, "table", arguments, payload)


# --- flip -------------------------------------------------------------------


@pytest.mark.parametrize("lie", [truncated, oversized, too_many, none_at_all, noise])
async def test_weights_of_another_form_are_not_applied(
    world: World, lie: Callable[[bytes], bytes]
) -> None:
    plan, key = world.flipped()

    def _lied(payload: bytes) -> bytes:
        public, *weights = unpack(payload)
        return pack(public, *unpack(lie(pack(*weights))))

    world.calls.tamper["apply"] = noise if lie is noise else _lied
    with pytest.raises(Refused, match=r"ciphertext\.malformed"):
        await world.ask(plan, key)


@pytest.mark.parametrize(
    "public", [b"", b"no key", bfv.DecryptionKey(PARAMETERS).public.octets]
)
async def test_weights_under_another_key_than_the_plans_are_not_applied(
    world: World, public: bytes
) -> None:
    plan, key = world.flipped()
    world.calls.tamper["apply"] = lambda given: pack(public, *unpack(given)[1:])
    with pytest.raises(Refused, match=r"key\.mismatch"):
        await world.ask(plan, key)


@pytest.mark.parametrize("bound", [0, -1, 2**41, "1", True, None])
async def test_weights_have_a_bound(world: World, bound: Any) -> None:
    plan, key = world.flipped()
    await world.ask(plan, key)
    payload = world.calls.sent[-1][0].payload
    (party,) = plan.plan.parties
    with pytest.raises(Refused, match=r"request\.malformed"):
        await world.calls(plan, party, "apply", {"bound": bound}, payload)


async def test_only_so_many_weights_are_applied(world: World) -> None:
    plan, key = world.flipped()
    secret, public = unpack(unb64u(key["key"]))
    (party,) = plan.plan.parties
    codes = []
    for number in range(17):
        row = kernels.encrypt(NAME, public, numbers([1]), numbers([1] * 12))
        try:
            await world.calls(plan, party, "apply", {"bound": 1}, pack(public, row))
        except Refused:
            codes.append((number, str(world.calls.refusals[-1])))
    assert codes == [(16, "round.replayed")]
    assert secret


async def test_an_owner_whose_sums_cannot_be_is_found_out(world: World) -> None:
    plan, key = world.flipped()
    world.calls.lies["apply"] = lambda told: replace(
        told, payload=foreign(told.payload)
    )
    with pytest.raises(Unavailable, match="nothing that can be decrypted"):
        await world.ask(plan, key)


async def test_an_owner_whose_cells_could_overflow_sums_is_not_believed(
    world: World,
) -> None:
    plan, key = world.flipped()
    world.calls.lies["apply"] = lambda told: replace(
        told, members={**told.members, "bound": PARAMETERS.most // 3}
    )
    with pytest.raises(BadRequest, match="would not fit"):
        await world.ask(plan, key)


async def test_sums_that_are_too_large_are_found_out(world: World) -> None:
    plan, key = world.flipped()
    public = unpack(unb64u(key["key"]))[1]
    most = PARAMETERS.most
    row = kernels.encrypt(NAME, public, numbers([most]), numbers([most // 8] * 12))
    world.calls.lies["apply"] = lambda told: replace(told, payload=pack(row))
    with pytest.raises(Unavailable, match="adds up to what cannot be"):
        await world.ask(plan, key)


@pytest.mark.parametrize("hidden", [None, [0], [0, 0, -1], ["0", 0, 0]])
async def test_an_owner_tells_how_many_cells_are_suppressed(
    world: World, hidden: Any
) -> None:
    plan, key = world.flipped()
    world.calls.lies["apply"] = lambda told: replace(
        told, members={**told.members, "hidden": hidden}
    )
    with pytest.raises(Unavailable, match="suppressed"):
        await world.ask(plan, key)


# --- mode R -----------------------------------------------------------------


def declared(world: World, count: int = 150, size: int = 256) -> list[list[int]]:
    """Declare customers; return positions of two halves of them."""
    names = world.declare([f"VIN{number:06}" for number in range(count)], size)
    return [
        [at for at, name in enumerate(names) if name and int(name[3:]) % 2 == part]
        for part in (0, 1)
    ]


def halves(world: World, **changes: Any) -> tuple[SignedPlan, dict[str, Any]]:
    even, odd = declared(world)
    return world.segmented({"even": even, "odd": odd}, **changes)


def one_more_slot(payload: bytes) -> bytes:
    """The right result, with a row of somebody who is in no segment beside it."""
    (part,) = unpack(payload)
    inner = bfv.parse_ciphertext(SET, part, bound=PARAMETERS.most).inner
    changed = seal.Ciphertext()
    plain = bfv._encoded(PARAMETERS, [0] * 8191 + [1])
    bfv._evaluator(PARAMETERS).add_plain(inner, plain, changed)
    return pack(saved(changed))


@pytest.mark.parametrize("lie", [foreign, too_noisy, one_more_slot])
async def test_a_result_that_is_not_the_right_one_is_refused_without_a_reason(
    world: World, lie: Callable[[bytes], bytes]
) -> None:
    plan, inputs = halves(world)
    world.calls.tamper["open"] = lie
    with pytest.raises(Refused, match=r"result\.mismatch") as told:
        await world.ask(plan, inputs)
    assert told.value.detail == "The provider refused."
    assert world.calls.refusals[0].args == ("result.mismatch",)


@pytest.mark.parametrize(
    "lie", [other_set, truncated, oversized, transparent, too_many, none_at_all, noise]
)
async def test_what_is_no_ciphertext_of_the_rows_is_not_compared(
    world: World, lie: Callable[[bytes], bytes]
) -> None:
    plan, inputs = halves(world)
    world.calls.tamper["open"] = lie
    with pytest.raises(Refused, match=r"ciphertext\.malformed"):
        await world.ask(plan, inputs)


async def test_rows_as_they_were_sent_are_not_opened(world: World) -> None:
    """An asker that returns a column instead of a sum reads no row."""
    even, _ = declared(world)
    plan, inputs = world.segmented({"even": even})
    world.calls.tamper["open"] = lambda _: pack(
        unpack(world.calls.sent[0][1].payload)[1]
    )
    with pytest.raises(Refused, match=r"result\.mismatch"):
        await world.ask(plan, inputs)


async def test_a_slot_cannot_be_smuggled_into_another(world: World) -> None:
    """A row of one customer, put where a sum is told, is another result."""
    plan, inputs = halves(world)
    rows = await world.calls(
        plan,
        plan.plan.parties[0],
        "rows",
        {"declaration": inputs["declaration"], "size": inputs["size"]},
        unb64u(inputs["masks"]),
    )
    public, column = unpack(rows.payload)
    even = declared_mask(inputs)
    smuggled = [bit * 2 if at == even.index(1) else bit for at, bit in enumerate(even)]
    term = kernels.term(column, numbers(smuggled * 4), 2)
    sent = kernels.combine(
        NAME, public, numbers([1]), b"", secrets.token_bytes(32), term
    )
    key = {"key": rows.members["key"]}
    with pytest.raises(Refused, match=r"result\.mismatch"):
        await world.calls(plan, plan.plan.parties[0], "open", key, pack(sent))


async def test_whether_a_result_is_right_tells_nothing_of_a_row(world: World) -> None:
    """A row that is added to the right result changes it, also if it holds zero."""
    plan, inputs = halves(world)
    (party,) = plan.plan.parties
    first = {"declaration": inputs["declaration"], "size": inputs["size"]}
    rows = await world.calls(plan, party, "rows", first, unb64u(inputs["masks"]))
    public, column = unpack(rows.payload)
    faulty = {row["vin"] for row in world.rows if row["fault"] == FAULTS[0]}
    known = [world.shelf.customers.get(token) for token in world.shelf.declared]
    having = [at for at, name in enumerate(known) if name in faulty]
    lacking = [at for at, name in enumerate(known) if name and name not in faulty]
    mask = declared_mask(inputs)
    codes = []
    for probed in (having[0], lacking[0], lacking[-1]):
        factors = [bit + (at == probed) for at, bit in enumerate(mask)] + mask * 3
        term = kernels.term(column, numbers(factors), 2)
        sent = kernels.combine(
            NAME, public, numbers([1]), b"", secrets.token_bytes(32), term
        )
        key = {"key": rows.members["key"]}
        with pytest.raises(Refused):
            await world.calls(plan, party, "open", key, pack(sent))
        codes.append(str(world.calls.refusals[-1]))
    assert codes == ["result.mismatch"] * 3


async def test_what_is_encrypted_of_rows_tells_nothing_of_them(world: World) -> None:
    """Whoever had the key, and reads all columns, reads uniform numbers."""
    even, odd = declared(world)
    columns = []
    for _ in range(2):
        plan, inputs = world.segmented({"even": even, "odd": odd})
        world.run = MemoryRun()
        await world.ask(plan, inputs)
        kept = world.step(plan).kept
        secret, _ = unpack(kept["key", 0])
        most = numbers([PARAMETERS.most])
        slots = kernels.decrypt(NAME, secret, most, kept["columns", 0])
        columns.append(parse_numbers(slots)[: 4 * 256])
    one, other = columns
    assert len(set(one)) > 1000
    assert sum(abs(each) > PARAMETERS.most // 2 for each in one) in range(350, 675)
    differences = {a - b for a, b in zip(one, other, strict=True)}
    assert len(differences) > 1000


def declared_mask(inputs: dict[str, Any]) -> list[int]:
    octets, size = unb64u(inputs["masks"]), inputs["size"]
    first = int.from_bytes(octets, "little")
    both = first | first >> size
    return [both >> at & 1 for at in range(size)]


@pytest.mark.parametrize("arguments", [{}, {"key": "00" * 32}])
async def test_a_result_under_another_key_is_not_compared(
    world: World, arguments: dict[str, Any]
) -> None:
    plan, inputs = halves(world)
    await world.ask(plan, inputs)
    payload = world.calls.sent[-1][0].payload
    with pytest.raises(Refused, match=r"key\.mismatch"):
        await world.calls(plan, plan.plan.parties[0], "open", arguments, payload)


async def test_only_so_many_results_are_compared(world: World) -> None:
    plan, inputs = halves(world)
    world.calls.tamper["open"] = foreign
    codes = []
    for _ in range(5):
        with pytest.raises(Refused):
            await world.ask(plan, inputs)
        codes.append(str(world.calls.refusals[-1]))
    assert codes == ["result.mismatch"] * 4 + ["round.replayed"]
    world.calls.tamper.clear()
    with pytest.raises(Refused, match=r"round\.replayed"):
        await world.ask(plan, inputs)


async def test_a_mask_of_one_row_is_refused(world: World) -> None:
    even, odd = declared(world)
    plan, inputs = world.segmented({"one": even[:1], "odd": odd})
    with pytest.raises(Refused, match=r"cohort\.too_small"):
        await world.ask(plan, inputs)
    assert world.calls.refusals[0].spent == 0


async def test_a_mask_of_one_known_customer_among_padding_is_refused(
    world: World,
) -> None:
    even, odd = declared(world)
    padding = sorted(set(range(256)) - {*even, *odd})
    plan, inputs = world.segmented({"one": [even[0], *padding]})
    with pytest.raises(Refused, match=r"cohort\.too_small"):
        await world.ask(plan, inputs)
    assert world.calls.refusals[0].spent == 100_000


async def test_a_mask_of_all_but_one_is_refused(world: World) -> None:
    even, odd = declared(world)
    plan, inputs = world.segmented({"most": [*even, *odd[1:]]})
    with pytest.raises(Refused, match=r"cohort\.too_small"):
        await world.ask(plan, inputs)


async def test_a_mask_of_which_a_few_pass_the_filters_is_refused(world: World) -> None:
    names = world.declare([f"VIN{number:06}" for number in range(150)], 256)
    miles = Condition.of("at_least", ["mileage"], [100_000])
    passing = {row["vin"] for row in world.rows if int(row["mileage"]) >= 100_000}
    few = [at for at, name in enumerate(names) if name in passing][:3]
    many = [at for at, name in enumerate(names) if name and name not in passing]
    plan, inputs = world.segmented({"few": [*few, *many]}, filters=(miles,))
    with pytest.raises(Refused, match=r"cohort\.too_small"):
        await world.ask(plan, inputs)


async def test_segments_of_nearly_the_cohort_of_an_earlier_plan_are_refused(
    world: World,
) -> None:
    even, odd = declared(world)
    world.shelf.charge(world.plan(cohort="shared").plan)
    miles = Condition.of("at_least", ["mileage"], [100])
    plan, inputs = world.segmented({"even": even, "odd": odd}, filters=(miles,))
    with pytest.raises(Refused, match=r"cohort\.too_small"):
        await world.ask(plan, inputs)


async def test_masks_that_overlap_are_refused(world: World) -> None:
    even, odd = declared(world)
    one, other = write_masks(256, [even]), write_masks(256, [[*odd, even[0]]])
    plan, inputs = world.segmented(one + other, ("even", "odd"))
    with pytest.raises(BadRequest, match="no segments of this plan"):
        await world.ask(plan, inputs)
    with pytest.raises(Refused, match=r"plan\.malformed"):
        await first_step(world, plan, one + other)


async def first_step(
    world: World, plan: SignedPlan, masks: bytes, **changes: Any
) -> None:
    kept = world.shelf.declaration("")
    assert kept is not None
    arguments: dict[str, Any] = {"declaration": kept.hash, "size": 256} | changes
    await world.calls(plan, plan.plan.parties[0], "rows", arguments, masks)


async def test_masks_that_are_not_those_of_the_plan_are_refused(world: World) -> None:
    plan, _ = halves(world)
    even, odd = declared(world)
    with pytest.raises(Refused, match=r"plan\.mismatch"):
        await first_step(world, plan, write_masks(256, [odd, even]))


@pytest.mark.parametrize("size", [0, 63, 100, 2**21, "256", True])
async def test_masks_are_of_the_size_of_a_declaration(world: World, size: Any) -> None:
    plan, inputs = halves(world)
    with pytest.raises(Refused, match=r"plan\.malformed"):
        await first_step(world, plan, unb64u(inputs["masks"]), size=size)


async def test_masks_over_an_earlier_declaration_are_refused(world: World) -> None:
    plan, inputs = halves(world)
    declared(world)
    with pytest.raises(Refused, match=r"plan\.mismatch"):
        await world.ask(plan, inputs)


async def test_masks_of_another_size_than_the_declaration_are_refused_unnoised(
    world: World,
) -> None:
    """A test that is not paid for would tell how large a cohort is, bit by bit."""
    even, _ = declared(world)
    masks = write_masks(128, [[at for at in even if at < 128]])
    plan, _ = world.segmented(masks, ("even",))
    with pytest.raises(Refused, match=r"plan\.mismatch"):
        await first_step(world, plan, masks, size=128)
    assert not world.step(plan).kept


async def test_arguments_of_rows_are_those_of_the_protocol(world: World) -> None:
    plan, inputs = halves(world)
    with pytest.raises(Refused, match=r"request\.malformed"):
        await first_step(world, plan, unb64u(inputs["masks"]), more=1)


async def test_more_columns_than_a_message_holds_are_refused(world: World) -> None:
    many = Group(
        field="fault",
        grain="value",
        values=(*FAULTS, *(f"F{number}" for number in range(61))),
    )
    plan, inputs = halves(world, groups=(many,))
    with pytest.raises(Refused, match=r"plan\.malformed"):
        await world.ask(plan, inputs)


async def test_more_rows_than_a_message_holds_are_refused(world: World) -> None:
    halves(world)
    masks = write_masks(2**20, [range(10)])
    plan, _ = world.segmented(masks, ("some",))
    with pytest.raises(Refused, match=r"plan\.malformed"):
        await first_step(world, plan, masks, size=2**20)


async def test_a_ciphertext_that_is_not_the_first_is_compared_as_well(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, faults(300))
    even, _ = declared(world, 300, 4096)
    plan, inputs = world.segmented({"even": even})

    def _second(payload: bytes) -> bytes:
        first, other = unpack(payload)
        return pack(first, *unpack(one_more_slot(pack(other))))

    world.calls.tamper["open"] = _second
    with pytest.raises(Refused, match=r"result\.mismatch"):
        await world.ask(plan, inputs)


async def test_sums_that_no_slot_holds_are_refused(world: World) -> None:
    measure = Measure(what="sum", field="cost", bound=2**40)
    plan, inputs = halves(world, measure=measure)
    with pytest.raises(Refused, match=r"aggregate\.bound"):
        await world.ask(plan, inputs)


@pytest.mark.parametrize("lie", [b"", b"none", pack(b"", b"")])
async def test_an_owner_that_sends_no_rows_is_found_out(
    world: World, lie: bytes
) -> None:
    plan, inputs = halves(world)
    world.calls.lies["rows"] = lambda told: replace(told, payload=lie)
    with pytest.raises(Unavailable, match="holds no rows"):
        await world.ask(plan, inputs)


async def test_an_owner_that_tells_other_sums_than_asked_for_is_found_out(
    world: World,
) -> None:
    plan, inputs = halves(world)
    world.calls.lies["open"] = lambda told: replace(told, payload=told.payload[8:])
    with pytest.raises(Unavailable, match="another number of cells"):
        await world.ask(plan, inputs)


async def test_inputs_of_another_plan_are_not_sent(world: World) -> None:
    plan, inputs = halves(world)
    other, _ = world.segmented({"other": list(range(40))})
    for wrong in (inputs, {}, {**inputs, "masks": 7}):
        with pytest.raises(BadRequest):
            await world.ask(other, wrong)
    masks = write_masks(256, [range(50, 90)])
    with pytest.raises(BadRequest, match="not the segments of the plan"):
        await world.ask(other, {**inputs, "masks": b64u(masks)})
    assert masks_hash(masks) != other.plan.segments
    assert plan.plan.segments is not None
    assert not world.calls.sent
