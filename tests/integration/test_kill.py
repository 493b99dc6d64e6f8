"""Power cuts under load: what was answered is durable, and nothing is half there.

A real node process answers calls and is killed (SIGKILL) at random moments, ten
times. Whoever got no answer asks again with the same token. Afterwards every
answer that arrived has its receipt, no nonce was accepted twice, the streams have
no gap, and log and snapshots follow from their leaves. Meanwhile records change, so
that calls make new snapshots; `test_snapshots` kills a node that makes a large one.
"""

import asyncio
import contextlib
import json
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from crypto.encoding import b64u
from ledger.participants import Participant
from ledger.receipts import SignedReceipt, parse_signed_receipt
from node.adapters.sql import tables as t
from node.adapters.sql.receipts import signed_receipt
from node.adapters.sql.store import engine_for
from node.config import load as settings
from tests.support import REPOSITORY
from tests.support.node import (
    SHARED,
    RealClock,
    World,
    check_log,
    check_streams,
    open_world,
    postgres_database,
)
from tests.support.servers import free_port
from tests.support.snapshots import check_current

pytestmark = pytest.mark.slow
START_S = 60


@dataclass
class Provider:
    """The provider's node as a process that can be killed and started again."""

    folder: Path
    url: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "node", "serve", "-s", "node.yaml"],
                cwd=self.folder,
                env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        until = time.monotonic() + START_S
        async with httpx.AsyncClient(trust_env=False) as client:
            while time.monotonic() < until:
                assert self.process is not None
                assert self.process.poll() is None, self.tail()
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.url}/health/live")).is_success:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError(self.tail())

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    def tail(self) -> str:
        return "\n".join((self.folder / "log").read_text().splitlines()[-20:])


@dataclass
class Load:
    """The consumer's calls, and what came of each.

    Attributes:
        answers: Every answer that arrived, with the token that it answers.
        asked: What was asked, by the token.
        lost: Calls that got no answer, to be made again with the same token.
        up: Whether the provider runs, as far as the one who cuts it knows.
    """

    world: World
    provider: Provider
    total: int
    made: int = 0
    answers: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    up: asyncio.Event = field(default_factory=asyncio.Event)

    def next(self) -> tuple[str, dict[str, Any]]:
        """Return a call: one that was lost, or a new one; some are refused."""
        if self.lost and secrets.randbelow(2):
            return self.lost.pop()
        self.made += 1
        fields = ["project_stage"] if self.made % 5 else ["contact_phone"]
        bound = f"{7_000_000_000 + self.made % 4 * 100_000_000}.00"
        where = {"fields": ["annual_spend"], "is": "at_least", "values": [bound]}
        body = self.world.body(
            fields=fields,
            where=[where] if self.made % 3 else [],
            customers=[self.world.customer(SHARED[self.made % 2])],
        )
        token = self.world.supplier.token(
            self.world.maker.did,
            "projects",
            body,
            agreement=self.world.agreement,
            nonce=b64u(secrets.token_bytes(24)),
        )
        return token, body

    async def change(self) -> None:
        """Change records in the CRM: the next call about them commits to them anew."""
        await asyncio.to_thread(
            self.world.crm.write,
            "UPDATE projects SET units = units + 1 WHERE customer = ?",
            SHARED[0],
        )

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            await asyncio.gather(*(self._work(client) for _ in range(6)))

    async def _work(self, client: httpx.AsyncClient) -> None:
        while self.made < self.total or self.lost:
            await self.up.wait()
            token, body = self.next()
            if self.made % 8 == 0 and self.made < self.total - 12:
                await self.change()
            try:
                response = await self.send(client, token, body)
            except httpx.HTTPError:
                self.lost.append((token, body))
                continue
            self.asked[token] = body
            self.answers.append((token, response.status_code, response.json()))

    async def send(
        self, client: httpx.AsyncClient, token: str, body: dict[str, Any]
    ) -> httpx.Response:
        return await client.post(
            f"{self.provider.url}/views/projects/query",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )


@contextlib.asynccontextmanager
async def provider(folder: Path, database: str | None) -> AsyncIterator[Load]:
    """A provider's process, with an agreement and customers, and its consumer."""
    ports = [free_port() for _ in range(3)]
    async with open_world(
        folder,
        clock=RealClock(),
        ports=ports,
        database=database,
        settings="integrate_every_s: 0.05\n",
        valid_from="2020-01-01T00:00:00Z",
        valid_to="2100-01-01T00:00:00Z",
        calls_per_hour=1_000_000,
    ) as world:
        me = world.maker.me
        await world.maker.stop()
        process = Provider(folder=folder / "maker", url=world.maker.url)
        load = Load(world=world, provider=process, total=0)
        process.start()
        try:
            await process.ready()
            yield load
        finally:
            if process.process is not None and process.process.poll() is None:
                process.end(signal.SIGTERM)
        check(load, me)


async def cuts(load: Load, times: int) -> int:
    """Kill the process at random moments of its work, and start it again.

    Returns:
        How many calls were under way, and lost their answer.
    """
    lost = 0
    load.up.set()
    for cut in range(times):
        while len(load.answers) < load.total * cut // times:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(secrets.randbelow(150) / 1000)
        assert load.provider.end(signal.SIGKILL) == -signal.SIGKILL
        load.up.clear()
        load.provider.start()
        await load.provider.ready()
        lost += len(load.lost)
        load.up.set()
    return lost


def kept(engine: sa.Engine) -> dict[str, SignedReceipt]:
    with engine.connect() as connection:
        signed = [
            signed_receipt(row) for row in connection.execute(sa.select(t.receipts))
        ]
    return {each.receipt.receipt_id: each for each in signed}


def check(load: Load, me: Participant) -> None:
    """Look at what is on the disk after the last stop."""
    engine = engine_for(settings(load.provider.folder / "node.yaml").database)
    try:
        receipts = kept(engine)
        check_answers(load, receipts)
        check_uses(load, engine, receipts)
        check_streams(list(receipts.values()), me)
        assert check_current(engine, me, load.world.agreement) == 4
        versions = {
            body["snapshot"]["version"]
            for _, status, body in load.answers
            if status == 200
        }
        assert len(versions) > 10
        assert check_log(engine, me) == len(receipts)
    finally:
        engine.dispose()


def check_answers(load: Load, receipts: dict[str, SignedReceipt]) -> None:
    """Check that every answer that arrived has its receipt, to the byte."""
    assert load.lost == []
    assert len(load.answers) >= load.total
    for _, status, body in load.answers:
        assert status in {200, 403}, body
        signed = parse_signed_receipt(body)
        assert receipts[signed.receipt.receipt_id] == signed
        assert (status == 200) == (signed.receipt.decision == "allow")
    answered = (json.dumps(body).encode() for _, _, body in load.answers)
    assert load.world.spilled(*answered) == []


def check_uses(
    load: Load, engine: sa.Engine, receipts: dict[str, SignedReceipt]
) -> None:
    """Check that nonces and rate agree with the receipts: none twice, none free."""
    allowed = [s.receipt for s in receipts.values() if s.receipt.decision == "allow"]
    assert max(Counter(each.nonce for each in allowed).values()) == 1
    uses = t.usage.c
    with engine.connect() as connection:
        nonces = set(connection.scalars(sa.select(t.nonces.c.nonce)))
        counted = connection.scalar(
            sa.select(sa.func.sum(uses.calls)).where(
                uses.agreement == load.world.agreement
            )
        )
    assert {each.receipt.nonce for each in receipts.values()} - {None} <= nonces
    assert counted == len(allowed)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    with postgres_database() as url:
        yield url


async def integrated(load: Load) -> None:
    """Wait until the log holds every receipt."""
    size, before = 0, -1
    async with httpx.AsyncClient(trust_env=False) as client:
        while size != before:
            await asyncio.sleep(0.5)
            note = (await client.get(f"{load.provider.url}/log/checkpoint")).text
            before, size = size, int(note.splitlines()[1])


async def test_power_cuts_under_load_lose_no_answer(
    tmp_path: Path, place: str | None
) -> None:
    times, total = (10, 500) if place is None else (4, 200)
    async with provider(tmp_path, place) as load:
        load.total = total
        calls = asyncio.create_task(load.run())
        assert await cuts(load, times) > 0
        await calls
        load.total = load.made + 12  # whatever changed last is seen by these
        await load.run()
        await integrated(load)
        # Whatever was answered before any of the cuts is a replay after all of them.
        async with httpx.AsyncClient(trust_env=False) as client:
            for token, status, _ in load.answers[:: max(1, total // 25)]:
                again = await load.send(client, token, load.asked[token])
                assert again.status_code in {401, 403}, (status, again.text)
                codes = {each["code"] for each in again.json()["denials"]}
                assert codes <= {"nonce.replayed", "token.expired"}
        await integrated(load)
