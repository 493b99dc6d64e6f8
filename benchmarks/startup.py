"""How long a node takes until it is ready, and how much memory it then has.

python -m benchmarks.startup
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.world import alone
from examples.desk import Desk
from examples.processes import node
from node.config import load

ROUNDS = 5


def started(settings: Path) -> tuple[float, float]:
    """Start a node and stop it; return seconds until ready, and MiB then."""
    desk = Desk(load(settings))
    begun = time.perf_counter()
    command = node(settings=settings)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        while not desk.is_ready():
            time.sleep(0.01)
        took = time.perf_counter() - begun
        memory = psutil.Process(process.pid).memory_info().rss / 2**20
        process.terminate()
    desk.close()
    return took, memory


def lines() -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    with tempfile.TemporaryDirectory() as name:
        settings = alone(Path(name) / "node")
        # The first start also makes the database.
        first, *later = [started(settings) for _ in range(ROUNDS + 1)]
    yield f"node, first start until ready: {first[0]:.2f} s"
    yield f"node, start until ready: {statistics.median(t for t, _ in later):.2f} s"
    yield f"node, memory when ready: {statistics.median(m for _, m in later):.0f} MiB"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
