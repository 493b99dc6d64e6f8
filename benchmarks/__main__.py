"""`make bench`: every benchmark, one after the other, with the figures printed."""

import sys
from pathlib import Path

import pytest

from benchmarks import disclosures, startup

HERE = Path(__file__).parent


def main() -> int:
    """Run all benchmarks; return the exit code."""
    columns = "--benchmark-columns=median,ops,rounds"
    files = [str(path) for path in sorted(HERE.glob("bench_*.py"))]
    code = pytest.main(["-q", "-p", "no:randomly", "--benchmark-only", columns, *files])
    for module in (startup, disclosures):
        for line in module.lines():
            print(line, flush=True)  # noqa: T201
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
