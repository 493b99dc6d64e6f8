"""`make bench`: every benchmark, one after the other, with the figures printed."""

import subprocess
import sys
from pathlib import Path

from benchmarks import (
    aggregates,
    disclosures,
    durable,
    presentations,
    snapshots,
    startup,
)

HERE = Path(__file__).parent
MODULES = (presentations, startup, disclosures, durable, snapshots, aggregates)


def main() -> int:
    """Run all benchmarks; return the exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly"]
    command += ["--benchmark-only", "--benchmark-columns=median,ops,rounds"]
    command += [str(path) for path in sorted(HERE.glob("bench_*.py"))]
    code = subprocess.run(command, check=False).returncode  # noqa: S603
    for module in MODULES:
        for line in module.lines():
            print(line, flush=True)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
