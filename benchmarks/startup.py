"""How long a node takes until it is ready, and how much memory it then has.

python -m benchmarks.startup
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.federation import new_node, served

ROUNDS = 5


def lines() -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    took, memory = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "node"
        new_node(folder)
        for _ in range(ROUNDS + 1):
            begun = time.perf_counter()
            with served(folder, {}) as process:
                took.append(time.perf_counter() - begun)
                memory.append(psutil.Process(process.pid).memory_info().rss / 2**20)
    # The first start also makes the database.
    yield f"node, first start until ready: {took[0]:.2f} s"
    yield f"node, start until ready: {statistics.median(took[1:]):.2f} s"
    yield f"node, memory when ready: {statistics.median(memory):.0f} MiB"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
