"""Presentations of 20 fields beside two other implementations, in one run.

    python -m benchmarks.presentations

2 of 20 fields are shown. Ours as plain BBS, as a typed record, anchored, and with a
proof about a hidden 32-bit range, beside @digitalbazaar/bbs-signatures (JavaScript,
noble curves; timed inside Node) and our own code on py_ecc. All take turns, round
after round, so that whatever else the machine does meets all of them. Then fifty
presentations verified as a batch and one by one, and records committed to a second.

The other implementation makes its generators anew in each call, which ours
remembers; what that takes is measured too, and told.
"""

import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

from benchmarks.bench_predicates import SEALING, STATEMENTS, VALUES, claim
from crypto.anchored import seal
from crypto.bbs import ARKWORKS, SHA_256, Backend
from crypto.conformance import BACKENDS
from crypto.predicates import Claim, Statement, verify, verify_batch
from tests.interop.sides import Case, Ours, Side, Theirs, running_theirs

ROUNDS, SLOW_ROUNDS = 40, 3
BATCH, BATCH_ROUNDS = 50, 8
SEALED, SEAL_ROUNDS = 200, 15
WARM_UP = 20
THEIRS = "@digitalbazaar/bbs-signatures"
GENERATORS = f"making generators, in each call of {THEIRS}"

Work: TypeAlias = Callable[[], list[float]]
"""Does something a few times, and returns how many milliseconds each took."""
Figures: TypeAlias = dict[str, list[float]]


def timed(work: Callable[[], object], times: int = 1) -> list[float]:
    """Do some work, and return the milliseconds of each time."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def in_turns(works: Mapping[str, Work], rounds: int) -> Figures:
    """Let all work take turns, after one turn that does not count."""
    for work in works.values():
        work()
    took: Figures = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            took[name] += work()
    return took


def record(side: Side) -> tuple[Case, bytes]:
    """Sign 20 messages, of which 2 will be shown."""
    secret, public = side.keys(bytes(range(32)), SHA_256)
    messages = tuple(f"value {number}".encode() for number in range(20))
    case = Case(
        public=public, header=b"header", messages=messages, ph=b"for whom", shown=(3, 7)
    )
    return case, side.sign(secret, case)


def ours(backend: Backend, times: int) -> dict[str, Work]:
    """Return what our code is asked to do, by "prove" or "verify" and of what."""
    side = Ours(backend)
    case, signature = record(Ours())
    proof = side.prove(signature, case)
    works: dict[str, Work] = {
        "prove BBS": lambda: timed(lambda: side.prove(signature, case), times),
        "verify BBS": lambda: timed(lambda: side.takes_proof(proof, case), times),
    }
    assert side.takes_proof(proof, case)
    for name, statement in STATEMENTS.items():
        works |= _typed(name, statement, backend, times)
    return works


def _typed(
    name: str, statement: Statement, backend: Backend, times: int
) -> dict[str, Work]:
    made = claim(statement, backend=backend)

    def verify_with_moves() -> None:
        verify_batch([made], random_bytes=secrets.token_bytes, backend=backend)

    return {
        f"prove {name}": lambda: timed(
            lambda: claim(statement, backend=backend), times
        ),
        f"verify {name}": lambda: timed(lambda: verify(made, backend=backend), times),
        f"verify {name}, with moves": lambda: timed(verify_with_moves, times),
    }


def beside(theirs: Theirs) -> tuple[Figures, Figures]:
    """Measure everything that shows one record: on arkworks and theirs; on py_ecc."""
    case, signature = record(Ours())
    proof = Ours().prove(signature, case)
    theirs.time_prove(signature, case, WARM_UP)
    theirs.time_proof(proof, case, WARM_UP)
    works: dict[str, Work] = {
        f"prove {THEIRS}": lambda: theirs.time_prove(signature, case, 1),
        f"verify {THEIRS}": lambda: theirs.time_proof(proof, case, 1),
        GENERATORS: lambda: theirs.time_generators(case, 1),
    }
    fast = in_turns(works | ours(ARKWORKS, 2), ROUNDS)
    return fast, in_turns(ours(BACKENDS["pyecc"], 1), SLOW_ROUNDS)


def batches() -> Figures:
    """Measure fifty presentations of each kind, as a batch and one by one."""

    def one_by_one(claims: list[Claim]) -> None:
        for each in claims:
            verify(each)

    def as_a_batch(claims: list[Claim]) -> None:
        verify_batch(claims, random_bytes=secrets.token_bytes)

    works: dict[str, Work] = {}
    for name, statement in STATEMENTS.items():
        made = [claim(statement) for _ in range(BATCH)]
        works[f"{name}: one by one"] = partial(timed, partial(one_by_one, made))
        works[f"{name}: as a batch"] = partial(timed, partial(as_a_batch, made))
    return in_turns(works, BATCH_ROUNDS)


def commitments() -> dict[int, list[float]]:
    """Return records committed to and signed a second, by the number of threads."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    seal(VALUES, **SEALING)
    for _ in range(SEAL_ROUNDS):
        for threads, reached in rates.items():
            with ThreadPoolExecutor(threads) as pool:
                begun = time.perf_counter()
                done = pool.map(lambda _: seal(VALUES, **SEALING), range(SEALED))
                count = sum(1 for _ in done)
                reached.append(count / (time.perf_counter() - begun))
    return rates


def compared(fast: Figures, slow: Figures) -> Iterator[str]:
    """Say how long each took, and how much faster that is than the others."""
    for name, each in fast.items():
        told = f"{name}: {min(each):.2f} / {statistics.median(each):.2f}"
        if name in slow:
            theirs = fast[f"{name.split()[0]} {THEIRS}"]
            median = statistics.median(each)
            told += (
                f"; {statistics.median(theirs) / median:.1f} times as fast as {THEIRS}"
                f", {statistics.median(slow[name]) / median:.0f} times as py_ecc "
                f"({statistics.median(slow[name]):.0f})"
            )
        yield told


def lines() -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    with running_theirs() as theirs:
        fast, slow = beside(theirs)
    yield "2 of 20 fields shown: least / median milliseconds; medians compared"
    yield from compared(fast, slow)
    fifty = {name: statistics.median(each) for name, each in batches().items()}
    for kind in STATEMENTS:
        single, batch = fifty[f"{kind}: one by one"], fifty[f"{kind}: as a batch"]
        yield (
            f"verify fifty, {kind}: one by one {single:.0f} ms, as a batch "
            f"{batch:.0f} ms, {batch / single:.2f} of the time"
        )
    rates = commitments()
    for threads, reached in rates.items():
        yield (
            f"records of 20 fields committed to and signed, threads {threads}: "
            f"most {max(reached):.0f}/s, median {statistics.median(reached):.0f}/s"
        )


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
