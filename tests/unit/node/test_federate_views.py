"""Federated sums: what whoever sees what is told, and that it is nothing else."""

import pytest

from crypto import vectors
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.suite import ORDER
from crypto.bfv import parse_ciphertext, parse_decryption_key
from crypto.encoding import b64u, unb64u
from crypto.errors import InvalidProof
from crypto.kernels.packing import unpack
from crypto.parameters import parameter_set
from ledger.rosters import Roster, parse_acceptance
from tests.support.federated import REGIONS, World, did
from tests.support.runs import MemoryRun

SET = parameter_set("bfv-4096-40")
T = SET.plain_modulus


async def test_whoever_has_the_key_reads_uniform_numbers_but_for_the_sum() -> None:
    """The asker and any N - 1 contributions: chi-square over 16 classes."""
    values = [f"v{number}" for number in range(4096)]
    world, run = World(3, values), MemoryRun()
    for name in world.dids:
        world.hold(name, (7,) * 4096)
    signed, inputs = await world.prepared()
    assert (await world.asker()(signed, inputs, run))["cells"] == [21] * 4096
    key = parse_decryption_key(SET.name, unpack(unb64u(inputs["key"]))[0])
    shares = []
    for at in range(3):
        octets = unpack(run.kept[f"contribute-{at}", 0])[2]
        sent = parse_ciphertext(SET.name, octets, bound=SET.most)
        shares.append([number % T for number in key.decrypt(sent)])
    views = [*shares]
    views += [
        [(a + b) % T for a, b in zip(shares[i], shares[j], strict=True)]
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    for view in views:
        assert _chi_square(view, 16) < 85  # 15 degrees: any of six, once in 10^10
        assert view.count(7) < 3
        assert view.count(14) < 3
    assert all(sum(cells) % T == 21 for cells in zip(*shares, strict=True))


def _chi_square(numbers: list[int], classes: int) -> float:
    found = [0] * classes
    for number in numbers:
        found[number * classes // T] += 1
    expected = len(numbers) / classes
    return sum((count - expected) ** 2 / expected for count in found)


async def test_a_late_contribution_after_a_round_was_given_up_gives_nothing() -> None:
    """It opens neither its row nor, with those of the new round, any sum."""
    world, run = World(4), MemoryRun()
    world.silent[did(1), "contribute"] = 1
    signed, inputs = await world.prepared()
    result = await world.asker()(signed, inputs, run)
    roster = Roster(
        tuple(
            parse_acceptance(answer.members["acceptance"])
            for call, answer in world.direct.sent
            if call.step == "accept" and call.plan == signed.plan
        )
    )
    pair = unpack(unb64u(inputs["key"]))
    world.charge(signed.plan, world.party(did(1)), "contribute")
    late = await world.direct(
        signed, world.party(did(1)), "contribute", {"roster": roster.to_json()}, pair[1]
    )
    key = parse_decryption_key(SET.name, pair[0])
    octets = unpack(late.payload)[0]
    opened = key.decrypt(parse_ciphertext(SET.name, octets, bound=SET.most))
    alone = [number % T for number in opened[: len(REGIONS)]]
    row = world.tables[did(1)].cells
    assert not any(a == b for a, b in zip(alone, row, strict=True))
    both = [(a + b) % T for a, b in zip(alone, result["cells"], strict=True)]
    assert not any(a == b for a, b in zip(both, world.sums, strict=True))
    # What the new round was encrypted under is another key.
    again = unpack(run.kept["again-key", 0])
    assert again[0] != pair[0]
    second = unpack(run.kept["again-contribute-0", 0])
    sent = parse_ciphertext(SET.name, second[2], bound=SET.most)
    with pytest.raises(Exception, match="noise"):
        key.decrypt(sent)


async def test_nothing_that_leaves_a_party_is_its_row_or_its_key() -> None:
    world = World(3)
    await world.ask()
    for name in world.dids:
        (run,) = (r for (who, _), r in world.direct.runs.items() if who == name)
        secret = run.kept["mask-key", 0], run.kept["blinding", 0]
        for _, answer in world.direct.sent:
            sent = answer.payload + repr(answer.members).encode()
            assert not any(each in sent for each in secret)
            assert not any(b64u(each).encode() in sent for each in secret)


async def test_the_commitments_open_alike_by_a_library_that_shares_no_code() -> None:
    world, run = World(3, ("a", "b")), MemoryRun()
    await world.asker()(*await world.prepared(), run)
    given = [unpack(run.kept[f"contribute-{at}", 0]) for at in range(3)]
    blinding = sum(int.from_bytes(each[1], "big") for each in given) % ORDER
    commitments = [each[0] for each in given]
    vectors.check_sum(commitments, world.sums, blinding, backend=PYECC)
    wrong = [world.sums[0] + 1, world.sums[1]]
    with pytest.raises(InvalidProof):
        vectors.check_sum(commitments, wrong, blinding, backend=PYECC)
