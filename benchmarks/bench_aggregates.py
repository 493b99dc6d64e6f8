"""Pieces of federated sums and heat maps.

    pytest benchmarks/bench_aggregates.py --benchmark-only

Rows of 4,096 cells of 20 bits, five parties. What all of it takes together, and beside
plain TenSEAL: `python -m benchmarks.aggregates`.
"""

import secrets

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import federated, tables
from crypto.bbs.suite import ORDER
from crypto.kernels import bfv, rows
from crypto.kernels.packing import numbers, unpack
from crypto.keys import X25519Key
from crypto.masking import masks

CELLS = federated.ROWS[0]
BLINDING = rows.scalar(secrets.randbits(254))


@pytest.mark.parametrize("parties", [3, 5, 20])
def test_masks(benchmark: BenchmarkFixture, parties: int) -> None:
    keys = [X25519Key.from_bytes(secrets.token_bytes(32)) for _ in range(parties)]
    others = {f"p{at:02}": key.public_bytes for at, key in enumerate(keys[1:], 1)}
    benchmark(
        masks,
        keys[0],
        "p00",
        others,
        round_id=bytes(32),
        roster=bytes(32),
        count=len(CELLS),
        modulus=federated.SET.plain_modulus,
    )


def test_commit(benchmark: BenchmarkFixture) -> None:
    benchmark(rows.commit, BLINDING, numbers(CELLS))


def test_check_a_sum_of_five(benchmark: BenchmarkFixture) -> None:
    commitment = rows.commit(BLINDING, numbers(CELLS))
    total = numbers([cell * 5 for cell in CELLS])
    scalar = rows.scalar(int.from_bytes(BLINDING, "big") * 5 % ORDER)
    benchmark(rows.check_sum, scalar, total, *[commitment] * 5)


def test_encrypt(benchmark: BenchmarkFixture) -> None:
    public = unpack(bfv.key_pair(federated.NAME))[1]
    most = numbers([federated.SET.most])
    benchmark(bfv.encrypt, federated.NAME, public, most, numbers(CELLS))


def test_a_round_of_five(benchmark: BenchmarkFixture) -> None:
    benchmark(federated.round_of_five)


def test_plain_tenseal(benchmark: BenchmarkFixture) -> None:
    benchmark(federated.plain_tenseal, federated.plain_context())


def test_noise_for_a_table(benchmark: BenchmarkFixture) -> None:
    benchmark(tables.heat_table)


def test_a_heat_map(benchmark: BenchmarkFixture) -> None:
    benchmark(tables.heat_map)
