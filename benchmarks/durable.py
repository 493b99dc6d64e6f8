"""Durable receipts a second: alone, and when many ask at once.

    python -m benchmarks.durable

What a call writes (its nonce, its count, the head of its stream, the receipt) goes
through the node's own store, as in a call. Decisions and proofs are left out: they
have benchmarks of their own. PostgreSQL runs as in use, with `fsync`.
"""

import asyncio
import datetime
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.filled import CONSUMER, PROVIDER, receipt_of
from crypto.encoding import b64u
from crypto.keys import Ed25519Key
from ledger.receipts import sign_receipt, stream_id
from node.adapters.sql.store import SqlStore, engine_for
from node.adapters.sql.writers import GroupedWriters
from node.domain.disclosure import Caller
from node.migrations import upgrade
from node.ports import UnitOfWork
from tests.support.postgres import durable
from tests.support.servers import Absent

AT_ONCE: Final = (1, 16, 64)
SECONDS: Final = 4.0
_HOUR, _CAP = 0, 10**9


class Calls:
    """Writes what calls write, under some agreements in turn."""

    def __init__(self, store: SqlStore, agreements: int) -> None:
        self._store = store
        self._agreements = agreements
        self._key = Ed25519Key.from_bytes(secrets.token_bytes(32))
        self._until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
        self._count = 0

    def act(self, work: UnitOfWork) -> None:
        self._count += 1
        agreement = f"agreement-{self._count % self._agreements}"
        nonce = b64u(secrets.token_bytes(32))
        caller = Caller(did=CONSUMER, problem="", nonce=nonce)
        work.receipts.claim(caller, self._until)
        work.receipts.count_call(agreement, _HOUR, _CAP)
        stream = stream_id(provider=PROVIDER, consumer=CONSUMER, agreement=agreement)
        sequence, previous = work.receipts.head(stream)
        receipt = receipt_of(
            agreement,
            stream,
            sequence,
            previous,
            nonce=nonce,
            key_id=self._key.key_id(PROVIDER),
        )
        work.receipts.append(
            sign_receipt(receipt, self._key),
            salt=secrets.token_bytes(32),
            token=None,
            question="{}",
            took_ms=1,
        )

    async def measure(self, at_once: int) -> str:
        """Write for some seconds, so many at once; tell how many and how long."""
        took: list[float] = []
        ended = time.perf_counter() + SECONDS

        async def one() -> None:
            while (begun := time.perf_counter()) < ended:
                await self._store.write(self.act)
                took.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(at_once)))
        rate = len(took) / (time.perf_counter() - begun)
        cuts = [each * 1000 for each in statistics.quantiles(took, n=20)]
        return f"{rate:.0f}/s, p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms"


def _measured(url: str, *, agreements: int = 1, most: int | None = None) -> list[str]:
    upgrade(url)
    engine = engine_for(url)
    with closing(SqlStore(engine)) as store:
        if most is not None:
            store._writers = GroupedWriters(engine, most=most)  # noqa: SLF001
        calls = Calls(store, agreements)
        return [asyncio.run(calls.measure(count)) for count in AT_ONCE]


def sync_ms(folder: Path) -> float:
    """Return how long the disk takes to say that 4 KiB are there, in milliseconds."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(200):
            file.write(bytes(4096))
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    return statistics.median(took) * 1000


def _told(what: str, rates: list[str]) -> Iterator[str]:
    for count, rate in zip(AT_ONCE, rates, strict=True):
        yield f"{what}, {count} at once: {rate}"


def lines() -> Iterator[str]:
    """Measure, and return what came out, line by line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield f"the disk takes {sync_ms(folder):.2f} ms to sync 4 KiB (median)"
        for most, what in ((1, "each its own commit"), (None, "commits are shared")):
            url = f"sqlite:///{folder / f'{most}.sqlite'}"
            yield from _told(f"SQLite, {what}", _measured(url, most=most))
    try:
        with durable() as server:
            yield from _told("PostgreSQL, one agreement", _measured(server.url))
            rates = _measured(server.url, agreements=16)
            yield from _told("PostgreSQL, 16 agreements", rates)
    except Absent as reason:
        yield f"without PostgreSQL: {reason}"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)  # noqa: T201
