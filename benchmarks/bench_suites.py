"""What each signing suite costs: signing, verifying, and hashing a log's nodes.

    pytest benchmarks/bench_suites.py --benchmark-only

SM2 is computed in plain Python, Ed25519 by OpenSSL; both hash functions are OpenSSL's.
The message is as long as a receipt.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from crypto import merkle
from crypto.hashing import Hashing
from crypto.keys import Ed25519Key
from crypto.signing import Signer, Verifier
from crypto.sm import Sm2Key

SECRET = bytes(range(1, 33))
MESSAGE = bytes(1200)
KEYS: dict[str, Signer] = {
    "ed25519": Ed25519Key.from_bytes(SECRET),
    "sm2": Sm2Key.from_bytes(SECRET),
}


@pytest.mark.parametrize("suite", KEYS)
def test_sign(benchmark: BenchmarkFixture, suite: str) -> None:
    assert len(benchmark(KEYS[suite].sign, MESSAGE)) == 64


@pytest.mark.parametrize("suite", KEYS)
def test_verify(benchmark: BenchmarkFixture, suite: str) -> None:
    key = KEYS[suite]
    verifier = Verifier(suite=key.suite, public=key.public_bytes)
    benchmark(verifier.verify, MESSAGE, key.sign(MESSAGE))


@pytest.mark.parametrize("hashing", ["sha-256", "sm3"])
def test_join_two_nodes(benchmark: BenchmarkFixture, hashing: Hashing) -> None:
    both = bytes(32), bytes(range(32))
    assert len(benchmark(merkle.node_hash, *both, hashing=hashing)) == 32
