"""Presentations of a record of 20 fields: plain, anchored, with a 32-bit range.

    pytest benchmarks/bench_predicates.py --benchmark-only -s

Two fields are shown, so 20 of 32 messages are hidden. A batch is of 50.
"""

import secrets
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from crypto.anchored import Sealed, record_digest, seal
from crypto.bbs import ARKWORKS, Backend, BbsKey
from crypto.predicates import Claim, Statement, at_least, prove, verify, verify_batch
from crypto.typed import Field, Header, Kind, places

SCHEMA = (
    Field(name="spend", kind=Kind.MONEY, unit="EUR", scale=2),
    *(Field(name=f"field_{number}", kind=Kind.TEXT) for number in range(19)),
)
VALUES: dict[str, object] = {
    "spend": "512345.67",
    **{f"field_{number}": f"value {number}" for number in range(19)},
}
SHOWN = ["field_3", "field_7"]
KEY = BbsKey.generate(bytes(range(32)))
HEADER = Header.of(
    SCHEMA, issuer="did:web:a", key_id="did:web:a#1", dataset="d", grant="g", version=0
)
SEALING: dict[str, Any] = {
    "key": KEY,
    "header": HEADER,
    "schema": SCHEMA,
    "link": bytes(48),
    "random_bytes": secrets.token_bytes,
}
RECORD = seal(VALUES, **SEALING)
RANGE = at_least(SCHEMA, "spend", "500000.00", bits=32)


def _statement(*, anchored: bool = True, ranged: bool = False) -> Statement:
    return Statement(
        schema=SCHEMA,
        disclosed=tuple(places(SCHEMA, SHOWN)),
        predicates=(RANGE,) if ranged else (),
        anchored=anchored,
    )


STATEMENTS = {
    "plain": _statement(anchored=False),
    "anchored": _statement(),
    "anchored, 32-bit range": _statement(ranged=True),
}


def claim(statement: Statement, *, backend: Backend = ARKWORKS) -> Claim:
    """Make a presentation, and hold it against its statement."""
    made = prove(
        RECORD,
        statement,
        public=KEY.public_bytes,
        header=HEADER,
        ph=b"for whom",
        random_bytes=secrets.token_bytes,
        backend=backend,
    )
    return Claim(
        proof=made.proof,
        moves=made.moves,
        shown={name: VALUES[name] for name in SHOWN},
        statement=statement,
        public=KEY.public_bytes,
        header=HEADER,
        ph=b"for whom",
        commitment=RECORD.commitment if statement.anchored else None,
    )


@pytest.fixture(params=list(STATEMENTS))
def statement(request: pytest.FixtureRequest) -> Statement:
    return STATEMENTS[request.param]


def test_seal(benchmark: BenchmarkFixture) -> None:
    benchmark(seal, VALUES, **SEALING)


@pytest.mark.parametrize("threads", [1, 2])
def test_seal_two_hundred(benchmark: BenchmarkFixture, threads: int) -> None:
    """Records a second, by threads: the sums let go of the interpreter's lock."""
    with ThreadPoolExecutor(threads) as pool:
        benchmark(lambda: deque(pool.map(_sealed, range(200)), maxlen=0))
    if benchmark.stats:
        rate = 200 / benchmark.stats.stats.median
        benchmark.extra_info["records a second"] = round(rate)
        print(f"{threads} threads: {rate:.0f} records a second")  # noqa: T201


def _sealed(_: int) -> Sealed:
    return seal(VALUES, **SEALING)


def test_map_and_digest(benchmark: BenchmarkFixture) -> None:
    """What every presentation costs before it is proved: is the row unchanged?"""
    benchmark(record_digest, SCHEMA, VALUES, bytes(48))


def test_prove(benchmark: BenchmarkFixture, statement: Statement) -> None:
    benchmark(claim, statement)


def test_verify(benchmark: BenchmarkFixture, statement: Statement) -> None:
    benchmark(verify, claim(statement))


def _one_by_one(claims: list[Claim]) -> None:
    for claim in claims:
        verify(claim)


def test_fifty_one_by_one(benchmark: BenchmarkFixture, statement: Statement) -> None:
    benchmark(_one_by_one, [claim(statement) for _ in range(50)])


def test_fifty_as_a_batch(benchmark: BenchmarkFixture, statement: Statement) -> None:
    claims = [claim(statement) for _ in range(50)]
    benchmark(verify_batch, claims, random_bytes=secrets.token_bytes)
