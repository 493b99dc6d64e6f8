"""A consumer that asks without rest, and remembers what it asked and was told.

Whoever got no answer asks again with the same token, as after a lost connection.
Each call names the newest receipt that its consumer holds, and signs back those
that it has not signed yet. Some calls ask for what nobody may have; some go to an
agreement whose calls and probes are soon used up; records change all the while.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import sqlalchemy as sa

from crypto.encoding import b64u
from ledger.receipts import SignedReceipt, parse_signed_receipt
from node.adapters.sql import tables as t
from node.adapters.sql.store import engine_for
from node.config import load as settings_of
from tests.faults.provider import Provider
from tests.support.node import SHARED, RealClock, World, open_world
from tests.support.servers import free_port

CALLS_CAP, PROBES_CAP = 30, 8
_AT_ONCE: Final = 6
_SIGNED_BACK: Final = 64
_SETTINGS: Final = """\
integrate_every_s: 0.05
company: {max_unacknowledged: 1000000}
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the body, the token for it, and the receipts that it signs back."""

    token: str
    nonce: str
    body: dict[str, Any]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that arrived, with the call that it answers."""

    call: Call
    status: int
    body: dict[str, Any]

    @property
    def signed(self) -> SignedReceipt:
        return parse_signed_receipt(self.body)

    @property
    def is_allowed(self) -> bool:
        return self.status == 200


@dataclass
class Load:
    """The consumer's calls, and what came of each.

    Attributes:
        made: Every call by its nonce, also of those that nobody answered.
        answers: What arrived, in order.
        lost: Calls that got no answer, to be made again as they are.
        up: Whether the provider runs, as far as the one who cuts it knows.
        failed: Answers without a receipt: status and body. Their calls are lost, too.
        capped: Agreements whose calls and probes are soon used up; the last is asked.
    """

    world: World
    provider: Provider
    capped: list[str]
    total: int = 0
    made: dict[str, Call] = field(default_factory=dict)
    answers: list[Told] = field(default_factory=list)
    lost: list[Call] = field(default_factory=list)
    up: asyncio.Event = field(default_factory=asyncio.Event)
    failed: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _last: dict[str, dict[str, Any]] = field(default_factory=dict)
    _owed: dict[str, list[SignedReceipt]] = field(default_factory=dict)

    def next(self) -> Call:
        """Return a call: one that was lost, or a new one; some are refused."""
        if self.lost and secrets.randbelow(2):
            return self.lost.pop()
        number = len(self.made)
        capped = number % 6 == 5
        steps = number // 6 % 12 if capped else number % 4
        bound = f"{7_000_000_000 + steps * 100_000_000}.00"
        where = {"fields": ["annual_spend"], "is": "at_least", "values": [bound]}
        return self.call(
            self.capped[-1] if capped else self.world.agreement,
            fields=["project_stage"] if number % 5 else ["contact_phone"],
            where=[where] if capped or number % 3 else [],
            customer=SHARED[2] if capped else SHARED[number % 2],
        )

    def call(
        self,
        agreement: str,
        *,
        fields: Sequence[str] = ("project_stage",),
        where: Sequence[dict[str, Any]] = (),
        customer: str = SHARED[1],
    ) -> Call:
        """Make up a call; it is remembered before it is sent."""
        supplier, maker = self.world.supplier, self.world.maker
        owed = self._owed.setdefault(agreement, [])
        signing, owed[:] = owed[:_SIGNED_BACK], owed[_SIGNED_BACK:]
        signatures = [
            {
                "receipt": each.receipt.receipt_id,
                "signature": b64u(supplier.services.countersign.sign(each).signature),
            }
            for each in signing
        ]
        body = self.world.body(
            agreement=agreement,
            fields=list(fields),
            where=list(where),
            customers=[self.world.customer(customer, agreement)],
            stream={
                "last": self._last.get(agreement),
                "countersignatures": signatures,
            },
        )
        nonce = b64u(secrets.token_bytes(24))
        token = supplier.token(
            maker.did, "projects", body, agreement=agreement, nonce=nonce
        )
        signs = tuple(each["receipt"] for each in signatures)
        self.made[nonce] = Call(token, nonce, body, signs)
        return self.made[nonce]

    async def change(self) -> None:
        """Change records in the CRM: the next call about them commits to them anew."""
        await asyncio.to_thread(
            self.world.crm.write,
            "UPDATE projects SET units = units + 1 WHERE customer = ?",
            SHARED[0],
        )

    async def run(self) -> None:
        """Ask until so many calls were made and every one of them was answered."""
        async with self.client() as client:
            await asyncio.gather(*(self._work(client) for _ in range(_AT_ONCE)))

    @staticmethod
    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=120, trust_env=False)

    async def _work(self, client: httpx.AsyncClient) -> None:
        while len(self.made) < self.total or self.lost:
            await self.up.wait()
            call = self.next()
            made = len(self.made)
            if made % 8 == 0 and made < self.total - 12:
                await self.change()
            await self.ask(client, call)

    async def ask(self, client: httpx.AsyncClient, call: Call) -> Told | None:
        """Send a call; what comes of it is noted."""
        try:
            response = await self.send(client, call)
        except httpx.HTTPError:
            self.lost.append(call)
            return None
        if response.status_code >= 500 and "receipt" not in response.json():
            self.failed.append((response.status_code, response.json()))
            self.lost.append(call)
            await asyncio.sleep(0.02)
            return None
        told = Told(call, response.status_code, response.json())
        self.answers.append(told)
        self._note(told)
        return told

    def _note(self, told: Told) -> None:
        """Remember a receipt: to name it, and to sign it back."""
        signed = told.signed
        if signed.receipt.consumer is None:
            return
        agreement, newest = told.call.body["agreement"], signed.receipt.sequence
        self._owed.setdefault(agreement, []).append(signed)
        held = self._last.get(agreement)
        if held is None or held["sequence"] < newest:
            name = {"sequence": newest, "receipt": signed.receipt.receipt_id}
            self._last[agreement] = name

    async def send(self, client: httpx.AsyncClient, call: Call) -> httpx.Response:
        return await client.post(
            f"{self.provider.url}/views/projects/query",
            json=call.body,
            headers={"Authorization": f"Bearer {call.token}"},
        )

    async def replay(self, calls: Sequence[Call]) -> None:
        """Check that no token is worth anything a second time."""
        async with self.client() as client:
            for call in calls:
                again = await self.send(client, call)
                assert again.status_code in {401, 403}, again.text
                codes = {each["code"] for each in again.json()["denials"]}
                assert codes <= {"nonce.replayed", "token.expired"}

    async def settled(self) -> None:
        """Wait until the log holds every receipt and every snapshot, two minutes."""
        url = settings_of(self.provider.folder / "node.yaml").database
        async with asyncio.timeout(120):
            while await asyncio.to_thread(_waiting, url):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    def spilled(self) -> list[str]:
        """Return what was told and must not be."""
        return self.world.spilled(
            *(json.dumps(told.body).encode() for told in self.answers)
        )


def _waiting(url: str) -> int:
    """Return how much of a store waits to be taken into its log."""
    engine = engine_for(url)
    try:
        with engine.connect() as connection:
            return sum(
                connection.scalar(
                    sa.select(sa.func.count())
                    .select_from(table)
                    .where(table.c.log_index.is_(None))
                )
                or 0
                for table in (t.receipts, t.snapshots)
            )
    finally:
        engine.dispose()


@contextlib.asynccontextmanager
async def provider(
    folder: Path,
    database: str | None = None,
    *,
    capped: int = 1,
    settings: str = _SETTINGS,
) -> AsyncIterator[Load]:
    """A provider's process, with agreements and customers, and its consumer.

    Args:
        capped: How many agreements are soon used up.
        settings: YAML to add to the provider's settings.
    """
    ports = [free_port() for _ in range(3)]
    usual: dict[str, Any] = {
        "valid_from": "2020-01-01T00:00:00Z",
        "valid_to": "2100-01-01T00:00:00Z",
    }
    async with open_world(
        folder,
        clock=RealClock(),
        ports=ports,
        database=database,
        settings=settings,
        calls_per_hour=1_000_000,
        **usual,
    ) as world:
        more = [
            await world.agree(calls_per_hour=CALLS_CAP, **usual) for _ in range(capped)
        ]
        await world.maker.stop()
        process = Provider(folder=folder / "maker", url=world.maker.url)
        try:
            await process.begin()
            yield Load(world=world, provider=process, capped=more)
        finally:
            process.stop()
