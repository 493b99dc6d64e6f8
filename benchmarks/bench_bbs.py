"""BBS on the fast backend beside py_ecc, the independent oracle.

    pytest benchmarks/bench_bbs.py --benchmark-only

A record of 8 messages, of which 2 are shown.
"""

import secrets
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from crypto import bbs
from crypto.conformance import BACKENDS

MESSAGES = [f"message {number}".encode() for number in range(8)]
SHOWN = [0, 3]


@pytest.fixture(params=list(BACKENDS))
def world(request: pytest.FixtureRequest) -> dict[str, Any]:
    backend = BACKENDS[request.param]
    key = bbs.BbsKey.generate(bytes(range(32)), backend=backend)
    signature = key.sign(b"header", MESSAGES, random_bytes=secrets.token_bytes)
    common = {"header": b"header", "backend": backend}
    ask = {"ph": b"for whom", "disclosed_indexes": SHOWN}
    return {"key": key, "signature": signature, "common": common, "ask": ask}


def _proof(world: dict[str, Any]) -> bytes:
    return bbs.proof_gen(
        world["key"].public_bytes,
        world["signature"],
        messages=MESSAGES,
        random_bytes=secrets.token_bytes,
        **world["common"],
        **world["ask"],
    )


def test_sign(benchmark: BenchmarkFixture, world: dict[str, Any]) -> None:
    key: bbs.BbsKey = world["key"]
    benchmark(key.sign, b"header", MESSAGES, random_bytes=secrets.token_bytes)


def test_verify(benchmark: BenchmarkFixture, world: dict[str, Any]) -> None:
    public, signature = world["key"].public_bytes, world["signature"]
    benchmark(bbs.verify, public, signature, messages=MESSAGES, **world["common"])


def test_prove(benchmark: BenchmarkFixture, world: dict[str, Any]) -> None:
    benchmark(_proof, world)


def test_verify_proof(benchmark: BenchmarkFixture, world: dict[str, Any]) -> None:
    proof = _proof(world)
    benchmark(
        bbs.proof_verify,
        world["key"].public_bytes,
        proof,
        disclosed_messages=[MESSAGES[index] for index in SHOWN],
        **world["common"],
        **world["ask"],
    )
