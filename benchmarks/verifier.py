"""How long the verifier takes: to start, for one receipt, and for a stream of many.

python -m benchmarks.verifier

Figures are processor time of one process, its start included: they hardly depend on
what else the machine does.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from ledger.bundle import render_line
from ledger.memory import MemoryLog
from ledger.receipts import countersign
from tests.unit.ledger import asking, bundled, samples

RECEIPTS = 10_000
EPOCH = 1_000
"""Receipts under one anchor."""


def write(folder: Path) -> None:
    """Write a registry, evidence of one call, and a bundle of many."""
    log, chain = (
        MemoryLog(samples.PROVIDER_RECORD, samples.PROVIDER_KEY),
        samples.chain(),
    )
    calls = bundled.calls(RECEIPTS)
    for number, call in enumerate(calls, 1):
        log.sequence(call, salt=samples.seed(f"salt {number}"))
        if number % EPOCH == 0:
            log.integrate()
            log.publish()
            log.anchor(chain, salt=samples.seed(f"anchor {number}"))
    entries = [
        replace(
            log.evidence(index, samples.CONSUMER_RECORD),
            countersignature=countersign(call, samples.CONSUMER_KEY),
            request=asking.token(call.receipt),
        )
        for index, call in enumerate(calls)
    ]
    pins = [party.to_json() for party in samples.PINS.values()]
    (folder / "registry.json").write_text(json.dumps(pins))
    (folder / "one.json").write_bytes(entries[0].render())
    with (folder / "many.jsonl").open("wb") as file:
        for line in bundled.lines(bundled.manifest(entries, calls[-1]), entries):
            file.write(render_line(line))


def took(*words: str) -> tuple[float, float]:
    """Run a command; return its processor time in seconds, and the most MiB it had."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    most = 0
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", *words], stdout=subprocess.DEVNULL
    ) as process:
        seen = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                most = max(most, seen.memory_info().rss)
                process.wait(0.02)
            except (subprocess.TimeoutExpired, psutil.NoSuchProcess):
                continue
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, most / 2**20


def lines() -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        trust = ["--registry", str(folder / "registry.json"), "--offline"]
        size = (folder / "many.jsonl").stat().st_size / 2**20
        start, _ = took("ledger.verify", "--help")
        command, _ = took("node", "ask", "--help")
        one, small = took("ledger.verify", str(folder / "one.json"), *trust)
        many, large = took("ledger.verify", str(folder / "many.jsonl"), *trust)
    yield f"verifier, start: {start:.2f} s; a command of the node: {command:.2f} s"
    yield f"verifier, one receipt: {one:.2f} s, {small:.0f} MiB"
    yield f"verifier, {RECEIPTS} receipts of {size:.0f} MiB: {many:.1f} s"
    yield f"verifier, memory for that: {large:.0f} MiB"
    yield f"receipts per second: {RECEIPTS / (many - start):.0f}"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
