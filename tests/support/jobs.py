"""Jobs over a store of their own, carried out by an asking that is easy to check.

`python -m tests.support.jobs FOLDER` is a process that begins one, to be killed: it
does half of it.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from crypto.encoding import sha256
from crypto.kernels import psi
from crypto.kernels.packing import pack
from crypto.keys import X25519Key
from ledger.plans import Kind, Plan, SignedPlan, sign_plan
from node.adapters.sql.store import SqlStore, engine_for
from node.ports.aggregates import Compute, JobState, KeptJob, Kernel, Shared
from node.services.aggregates.carry_out import CarryOut
from node.services.aggregates.job_run import Keeping
from node.services.aggregates.jobs import Jobs
from node.services.aggregates.steps import Asking, Preparing, Run
from tests.support.compute import processes
from tests.support.node import FixedClock, empty_store
from tests.unit.ledger.planned import plan
from tests.unit.ledger.samples import CONSUMER, CONSUMER_KEY, PROVIDER, seed

STORAGE = X25519Key.from_bytes(seed("storage"))
PARTS, SIZE = 40, 20
LONG = 1000
"""Identifiers in a part where a process is to be killed over it."""
CANARY = "a weight that nobody else may know"


class Counting:
    """Implements `Compute` here, and counts; or counts what another one is asked."""

    def __init__(self, inner: Compute | None = None) -> None:
        self.calls: list[str] = []
        self._inner = inner
        self.width = inner.width if inner else 2
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        self.calls.append(kernel.__name__)
        await self.hold.wait()
        await asyncio.sleep(0)
        if self._inner:
            return await self._inner(kernel, *arguments)
        given = (it.octets if isinstance(it, Shared) else it for it in arguments)
        return kernel(*given)


class Halting:
    """Implements `Compute`: lets another one blind so often, and then never again."""

    def __init__(self, inner: Compute, calls: int) -> None:
        self._inner, self._left, self.width = inner, calls, inner.width

    async def __call__(self, kernel: Kernel, *arguments: bytes | Shared) -> bytes:
        if kernel is psi.blind:
            if not self._left:
                await asyncio.Event().wait()
            self._left -= 1
        return await self._inner(kernel, *arguments)


class Blinding:
    """An `Asking`: draws a key, blinds a list in parts, and tells its hash.

    Attributes:
        drawn: Every key that was drawn; one, whatever happened.
        faults: What is raised once the list is blinded, one each time.
    """

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.drawn: list[bytes] = []
        self.inputs: list[Mapping[str, Any]] = []
        self.faults: list[Exception] = []

    async def __call__(
        self, signed: SignedPlan, inputs: Mapping[str, Any], run: Run
    ) -> Mapping[str, Any]:
        self.inputs.append(inputs)
        key = await run.once("key", self._draw(run), secret=True)
        listed = parts(self.size)
        blinded = await run.map(
            "blind", psi.blind, listed, key, bytes(32), size=self.size
        )
        if self.faults:
            raise self.faults.pop(0)
        return {"sum": len(blinded), "digest": digest(blinded), "spent": {PROVIDER: 5}}

    def _draw(self, run: Run) -> Callable[[], Awaitable[bytes]]:
        async def draw() -> bytes:
            self.drawn.append(await run.compute(psi.key, secrets.token_bytes(64)))
            return self.drawn[-1]

        return draw


def parts(size: int = SIZE) -> list[bytes]:
    return [
        pack(*(f"{part}-{number}".encode() for number in range(size)))
        for part in range(PARTS)
    ]


def digest(blinded: Sequence[bytes]) -> str:
    return sha256(b"".join(blinded)).hex()


def signed(kind: Kind = Kind.HEAT_MAP, **changes: Any) -> SignedPlan:
    made: Plan = plan(kind, **changes)
    return sign_plan(made, CONSUMER_KEY)


class Site:
    """A store, and jobs on it as one process has them."""

    def __init__(self, store: SqlStore, clock: FixedClock) -> None:
        self.store, self.clock = store, clock
        self.asking = Blinding()
        self.opened: list[Jobs] = []
        self.unready: list[Exception] = []

    async def ready(self) -> None:
        """Let plans be begun, unless a test says what speaks against it."""
        if self.unready:
            raise self.unready.pop(0)

    def jobs(
        self,
        compute: Compute | None = None,
        *,
        asking: Asking | None = None,
        preparing: Preparing | None = None,
        kind: Kind = Kind.HEAT_MAP,
        storage: X25519Key = STORAGE,
        process: str = "one",
        did: str = CONSUMER,
    ) -> Jobs:
        """Return jobs as a process has them that has just begun."""
        keeping = Keeping(
            store=self.store,
            compute=compute or Counting(),
            clock=self.clock,
            randomness=secrets.token_bytes,
            storage=storage,
        )
        carry_out = CarryOut(
            keeping=keeping,
            askings={kind: asking or self.asking},
            preparings={kind: preparing} if preparing else {},
            sign=lambda made: sign_plan(made, CONSUMER_KEY),
            ready=self.ready,
            pauses_s=(0.01, 0.01),
        )
        made = Jobs(keeping=keeping, carry_out=carry_out, did=did, process=process)
        self.opened.append(made)
        return made

    async def job(self, job_id: str) -> KeptJob:
        found = await self.store.read(lambda view: view.jobs.get(job_id))
        assert found is not None
        return found

    async def kept(self, job_id: str, stage: str) -> Mapping[int, bytes]:
        return await self.store.read(lambda view: view.jobs.kept(job_id, stage))

    async def until_kept(self, job_id: str, stage: str, parts: int) -> None:
        """Wait until so many parts of a stage are kept."""
        async with asyncio.timeout(240):
            while len(await self.kept(job_id, stage)) < parts:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def running(self) -> list[str]:
        return [
            each.id
            for each in await self.store.read(lambda view: view.jobs.running())
            if each.state is JobState.RUNNING
        ]


@asynccontextmanager
async def opened(folder: Path, url: str | None = None) -> AsyncIterator[Site]:
    """Open a site on a store; on a new one of SQLite where none is named."""
    file = folder / "node.sqlite"
    if url is None and not file.exists():
        file.write_bytes(empty_store())
    site = Site(SqlStore(engine_for(url or f"sqlite:///{file}")), FixedClock())
    try:
        yield site
    finally:
        for jobs in site.opened:
            await jobs.close()
        await asyncio.to_thread(site.store.close)


async def _begin(folder: Path) -> None:
    async with opened(folder) as site, processes(1) as compute:
        half = Halting(compute, PARTS // 2)
        jobs = site.jobs(half, asking=Blinding(LONG))
        job_id = await jobs.start(signed(), {"weight": CANARY})
        sys.stdout.write(json.dumps({"job": job_id}) + "\n")
        sys.stdout.flush()
        await jobs.wait(job_id)


if __name__ == "__main__":
    asyncio.run(_begin(Path(sys.argv[1])))
