"""The attack on what was multiplied: it finds everything before release, nothing after.

A ciphertext that was multiplied by a plaintext shows that plaintext to anybody, without
a key: its second polynomial is a multiple, and division gives the factor. In mode C that
would be the asker's private weights; flipped, the owner's table. The attack is made on
the messages as they are sent, and on the products from which they were made.
"""

import secrets
import struct
from pathlib import Path

import pytest

from crypto import bfv
from crypto.encoding import unb64u
from crypto.kernels import bfv as kernels
from crypto.kernels.packing import numbers, parse_numbers, unpack
from crypto.parameters import SETS
from crypto.seal_octets import context_of, framed
from node.services.aggregates.blinding import centred
from tests.support.heat_maps import SET, World, faults
from tests.unit.crypto.test_bfv import recovered

PARAMETERS = SETS[SET]
_CLOSE = 0.02
"""Of slots that agree by chance: of small numbers, some do."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, faults(200))


def parsed(octets: bytes) -> bfv.Ciphertext:
    return bfv.parse_ciphertext(SET, octets, bound=PARAMETERS.most)


def product(ciphertext: bytes, factors: list[int]) -> bfv.Computation:
    """What `combine` multiplies, before it releases it."""
    given = bfv.parse_ciphertext(SET, ciphertext, bound=2**19)
    return given.computation().times(factors, bound=2**20)


def agreement(found: list[int], wanted: list[int]) -> float:
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


async def test_in_mode_c_the_owner_finds_no_weight_in_what_it_opens(
    world: World,
) -> None:
    weights = [secrets.randbelow(2**20) for _ in range(12)]
    await world.ask(world.plan(), {"weights": weights})
    (table, told), (opening, _) = world.calls.sent
    assert (table.step, opening.step) == ("table", "open")
    _, given = unpack(told.payload)
    (sent,) = unpack(opening.payload)
    padded = weights + [0] * (PARAMETERS.slots - 12)
    assert recovered(parsed(given), product(given, weights).inner) == padded
    assert agreement(recovered(parsed(given), parsed(sent).inner), padded) < _CLOSE


def test_an_owner_that_makes_up_its_key_finds_the_weights() -> None:
    """What mode C does not protect. Flipped, the owner has no key to make up."""
    small = _made_up_key()
    weights = [secrets.randbelow(2**20) for _ in range(12)]
    row = bfv.DecryptionKey(PARAMETERS).public.encrypt([7] * 12, bound=8).octets
    blinding = numbers(
        [secrets.randbelow(PARAMETERS.plain_modulus) for _ in range(PARAMETERS.slots)]
    )
    term = kernels.term(row, numbers(weights), 2**20)
    seed = secrets.token_bytes(32)
    sent = kernels.combine(SET.encode(), small, numbers([8]), blinding, seed, term)
    found = recovered(parsed(row), parsed(sent).inner)
    assert found == weights + [0] * (PARAMETERS.slots - 12)


def _made_up_key() -> bytes:
    """A public key whose second polynomial is 1: it randomises the first alone."""
    primes, slots = PARAMETERS.coeff_modulus, PARAMETERS.slots
    first = [secrets.randbelow(prime) for prime in primes for _ in range(slots)]
    words = first + [1] * len(first)
    place = struct.pack("<4Q", *context_of(PARAMETERS).key_parms_id())
    shape = struct.pack("<?QQQdQ", True, 2, slots, len(primes), 1.0, 1)
    data = struct.pack(f"<Q{len(words)}Q", len(words), *words)
    return framed(place + shape + framed(data))


async def test_in_mode_c_what_is_opened_hides_what_was_multiplied(world: World) -> None:
    """The owner has the secret key: what it decrypts is uniform, in every slot."""
    await world.ask(world.plan(), {"weights": [3] * 12})
    (row,) = unpack(world.calls.sent[1][1].payload)
    opened = parse_numbers(row)
    assert len(set(opened)) > PARAMETERS.slots - 2
    assert sum(abs(value) < 2**30 for value in opened) < 40


async def test_flipped_the_asker_finds_no_cell_in_what_it_is_sent(world: World) -> None:
    plan, key = world.flipped()
    weights = [secrets.randbelow(2**19) + 1 for _ in range(12)]
    await world.ask(plan, key | {"weights": weights})
    applied, answer = world.calls.sent[0]
    _, given = unpack(applied.payload)
    (sent,) = unpack(answer.payload)
    exact = await world.ask(world.plan())
    cells = [cell or 0 for cell in exact["cells"]]
    padded = cells + [0] * (PARAMETERS.slots - 12)
    assert recovered(parsed(given), product(given, cells).inner) == padded
    assert agreement(recovered(parsed(given), parsed(sent).inner), padded) < _CLOSE


async def test_flipped_the_asker_finds_sums_and_nothing_else(world: World) -> None:
    """Decrypted with the key, cells are uniform and only their sums are small."""
    plan, key = world.flipped()
    result = await world.ask(plan, key)
    secret = unpack(unb64u(key["key"]))[0]
    (sent,) = unpack(world.calls.sent[0][1].payload)
    most = numbers([PARAMETERS.most])
    slots = parse_numbers(kernels.decrypt(SET.encode(), secret, most, sent))[:12]
    modulus = PARAMETERS.plain_modulus
    # Of slots that are uniform below 2^41 one in 2^20 is this small.
    assert sum(abs(slot) <= 2**20 for slot in slots) <= 1
    sums = [sum(slots[at::3]) % modulus for at in range(3)]
    assert sums == result["cells"]


async def test_in_mode_c_each_set_of_weights_is_blinded_anew(world: World) -> None:
    """The owner, who knows the table, would divide what it opens by it."""
    plan = world.plan()
    for weight in (1, 2):
        await world.ask(plan, {"weights": [weight] * 12})
    one, other = (
        parse_numbers(unpack(answer.payload)[0])
        for call, answer in world.calls.sent
        if call.step == "open"
    )
    modulus = PARAMETERS.plain_modulus
    differences = [centred(b - a, modulus) for a, b in zip(one, other, strict=True)]
    assert sum(abs(each) < 2**20 for each in differences) < 40


async def test_flipped_each_set_of_weights_is_blinded_anew(world: World) -> None:
    """Taken off each other, two results under one blinding would show each cell."""
    plan, key = world.flipped()
    secret, most = unpack(unb64u(key["key"]))[0], numbers([PARAMETERS.most])
    for weight in (1, 2):
        await world.ask(plan, key | {"weights": [weight] * 12})
    one, other = (
        parse_numbers(kernels.decrypt(SET.encode(), secret, most, sent))[:12]
        for _, answer in world.calls.sent
        for sent in unpack(answer.payload)
    )
    modulus = PARAMETERS.plain_modulus
    differences = [centred(b - a, modulus) for a, b in zip(one, other, strict=True)]
    assert sum(abs(each) < 2**20 for each in differences) < 4


async def test_every_release_drowns_in_noise_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knew the seed of a flood would take it off."""
    seeds: list[bytes] = []
    combine = kernels.combine

    def _seen(*arguments: bytes) -> bytes:
        seeds.append(arguments[4])
        return combine(*arguments)

    monkeypatch.setattr(kernels, "combine", _seen)
    names = world.declare([f"VIN{number:06}" for number in range(150)], 256)
    some = [at for at, name in enumerate(names) if name and int(name[3:]) < 90]
    for _ in range(2):
        world.run.kept.clear()
        await world.ask(world.plan())
        await world.ask(*world.flipped())
        await world.ask(*world.segmented({"some": some}))
    assert len(set(seeds)) == len(seeds) == 6
    assert all(len(seed) == 32 and seed != bytes(32) for seed in seeds)


async def test_two_results_of_the_same_weights_have_nothing_in_common(
    world: World,
) -> None:
    plan = world.plan()
    await world.ask(plan, {"weights": [5] * 12})
    world.run.kept.clear()
    await world.ask(plan, {"weights": [5] * 12})
    opened = [
        answer.payload for call, answer in world.calls.sent if call.step == "open"
    ]
    one, two = (parse_numbers(unpack(each)[0]) for each in opened)
    assert sum(a == b for a, b in zip(one, two, strict=True)) < 5
