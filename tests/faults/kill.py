"""Power cuts under load: what was answered is durable, and nothing is half there.

    python -m tests.faults.kill [--rounds 200] [--store sqlite|postgres]

A real node process answers calls and is killed (SIGKILL) at a random moment of
them, or of its start, round after round. After each round its store is looked at
as it was left (`tests.faults.left`): every answer that arrived has its receipt, and
every countersignature that was taken is there; streams have no gap; tree and
checkpoints follow from the leaves; no nonce was accepted twice, calls and probes are
counted as answered and below their caps; what was there before is as it was.
"""

import argparse
import asyncio
import contextlib
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.config import load as settings
from tests.faults.left import Left, at_rest
from tests.faults.load import Load, provider
from tests.support.postgres import durable
from tests.support.snapshots import check_current

CALLS = 25
"""Of a round, at least."""
_CAPPED_ROUNDS = 10


@dataclass
class Report:
    """What came of some rounds."""

    rounds: int = 0
    cut: int = 0
    answers: int = 0
    receipts: int = 0
    took_s: float = 0.0
    statuses: Counter[int] | None = None

    def __str__(self) -> str:
        told = ", ".join(
            f"{count:,} with {status}"
            for status, count in sorted((self.statuses or {}).items())
        )
        return (
            f"{self.rounds} rounds in {self.took_s:.0f} s: {self.answers:,} answers "
            f"({told}), {self.receipts:,} receipts, {self.cut} calls cut off; "
            "nothing lost, nothing twice"
        )


async def rounds(load: Load, times: int, *, say: bool = False) -> Report:
    """Kill the process at random moments of its work, and start it again."""
    process, left, cut = load.provider, Left(load.world.maker.me), 0
    url = settings(process.folder / "node.yaml").database
    begun = time.monotonic()
    asking = asyncio.create_task(load.run())
    unused = load.capped
    load.capped = [unused.pop()]
    load.up.set()
    for number in range(times):
        await answered(load, asking, len(load.answers) + CALLS)
        await asyncio.sleep(secrets.randbelow(150) / 1000)
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        load.up.clear()
        await asyncio.sleep(0.05)  # until everybody has noticed
        cut += len(load.lost)
        await asyncio.to_thread(left.look, load, url)
        if number % 8 == 7:  # now and then, the power goes while it starts
            process.start()
            await asyncio.sleep(secrets.randbelow(2000) / 1000)
            process.end(signal.SIGKILL)
            await asyncio.to_thread(left.look, load, url)
        await process.begin()
        answers = load.answers
        await load.replay([secrets.choice(answers).call for _ in range(3)])
        if number % _CAPPED_ROUNDS == _CAPPED_ROUNDS - 1 and unused:
            load.capped.append(unused.pop())
        if say:
            tell(f"round {number + 1}: {len(left.receipts):,} receipts")
        load.up.set()
    load.total = len(load.made) + 12  # whatever changed last is seen by these
    await asking
    await load.settled()
    # Whatever was answered before any of the cuts is a replay after all of them.
    await load.replay([told.call for told in load.answers[:: max(1, times)]])
    await load.settled()
    process.end(signal.SIGTERM)
    await asyncio.to_thread(left.look, load, url)
    check_end(load, left, url)
    return Report(
        rounds=times,
        cut=cut,
        answers=len(load.answers),
        receipts=len(left.receipts),
        took_s=time.monotonic() - begun,
        statuses=Counter(told.status for told in load.answers),
    )


async def answered(load: Load, asking: "asyncio.Task[None]", count: int) -> None:
    """Wait until so many answers have arrived."""
    load.total = len(load.made) + 100 * CALLS  # there is always more to ask
    until = time.monotonic() + 240
    while len(load.answers) < count:
        assert not asking.done(), asking.exception()
        assert time.monotonic() < until, load.provider.tail()
        await asyncio.sleep(0.005)


def check_end(load: Load, left: Left, url: str) -> None:
    """Check what must be true once nothing is under way any more."""
    assert load.lost == []
    # Who meets others' changes five times over may be told to come again.
    assert {body["code"] for _, body in load.failed} <= {"store.contended"}
    assert left.places.keys() == left.receipts.keys()  # all are in the log
    assert load.spilled() == []
    with at_rest(url) as engine:
        assert check_current(engine, left.me, load.world.agreement) == 4
    versions = {
        told.body["snapshot"]["version"] for told in load.answers if told.is_allowed
    }
    assert len(versions) > 5


async def run(folder: Path, database: str | None, times: int) -> Report:
    """Try it so often, in a folder."""
    capped = 1 + times // _CAPPED_ROUNDS
    async with provider(folder, database, capped=capped) as load:
        return await rounds(load, times, say=True)


def tell(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _place(store: str) -> Iterator[str | None]:
    if store == "sqlite":
        yield None
        return
    with durable() as server:
        yield server.url


def main() -> int:
    """Run the rounds that were asked for, and tell what came of them."""
    parser = argparse.ArgumentParser(prog="tests.faults.kill")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _place(chosen.store) as database:
        tell(str(asyncio.run(run(Path(folder), database, chosen.rounds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
