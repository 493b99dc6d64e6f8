"""What federated sums and heat maps cost, and how reading rows grows.

    python -m benchmarks.aggregates [--rows 100000] [--rounds 21]

1. A federated sum of 4,096 cells of five companies (`benchmarks.federated`), beside
   plain TenSEAL adds of the same vectors; the two take turns.
2. A heat map of 2,000 cells in mode C, with weights (`benchmarks.tables`).
3. From the rows of a CRM in SQLite to a noised table of 2,000 cells, by ten times as
   many rows each time: reading, clipping, noise.

Medians; octets are those of the payloads. Everything takes turns on one core.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks import federated, tables

T = TypeVar("T")
ROWS, ROUNDS = 100_000, 21


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    for line in lines(rows=given.rows, rounds=given.rounds):
        print(line, flush=True)  # noqa: T201
    return 0


def lines(*, rows: int = ROWS, rounds: int = ROUNDS) -> Iterator[str]:
    """Measure, and say what came out."""
    yield from sums(rounds)
    yield from heat_map(rounds)
    yield from growth(rows)


def in_turns(rounds: int, *works: Callable[[], T]) -> Sequence[Sequence[T]]:
    """Let several things take turns, after one turn that does not count."""
    for work in works:
        work()
    return list(zip(*[[work() for work in works] for _ in range(rounds)], strict=True))


def sums(rounds: int) -> Iterator[str]:
    """Measure federated sums."""
    context = federated.plain_context()
    ours, plain = in_turns(
        rounds,
        federated.round_of_five,
        lambda: federated.plain_tenseal(context),
    )
    name = "federated sum, 4,096 cells, 5 parties"
    yield told(f"{name}: critical path", [each.critical for each in ours])
    yield told("  everybody's work on one core", [each.total for each in ours])
    for what in dict.fromkeys(what for _, what in ours[0].ms):
        parties = {who for who, done in ours[0].ms if done == what} - {"asker"}
        if parties:
            took = [max(each.ms[who, what] for who in parties) for each in ours]
            yield told(f"  slowest party: {what}", took)
        if ("asker", what) in ours[0].ms:
            yield told(f"  asker: {what}", [each.ms["asker", what] for each in ours])
    yield from (octets(what, many) for what, many in ours[0].sent.items())
    yield told("plain TenSEAL: critical path", [each.critical for each in plain])
    yield told("  everybody's work on one core", [each.total for each in plain])
    yield from (octets(what, many) for what, many in plain[0].sent.items())


def heat_map(rounds: int) -> Iterator[str]:
    """Measure a heat map in mode C."""
    (found,) = in_turns(rounds, tables.heat_map)
    whole = [sum(each.ms.values()) for each in found]
    yield told("heat map, mode C, 2,000 cells: everybody's work", whole)
    for who, what in found[0].ms:
        yield told(f"  {who}: {what}", [each.ms[who, what] for each in found])
    yield from (octets(what, many) for what, many in found[0].sent.items())


def growth(most: int) -> Iterator[str]:
    """Measure tables over more and more rows."""
    rows = 1000
    with tempfile.TemporaryDirectory() as folder:
        while rows <= most:
            file = Path(folder) / f"{rows}.db"
            tables.filled(file, rows)
            times = max(1, min(5, 200_000 // rows))
            took = [tables.tallied(file) for _ in range(times)]
            yield told(f"table of 2,000 cells over {rows:,} rows", took)
            file.unlink()
            rows *= 10


def told(what: str, took: Sequence[float]) -> str:
    """Say a median, and the least."""
    return f"{what}: {statistics.median(took):,.1f} ms (least {min(took):,.1f})"


def octets(what: str, many: int) -> str:
    """Say a size."""
    return f"  {what}: {many:,} octets"


if __name__ == "__main__":
    raise SystemExit(main())
