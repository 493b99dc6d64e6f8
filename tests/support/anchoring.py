"""A store, a chain, and whoever moves anchors from the one to the other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from crypto.encoding import sha256
from ledger.finality import parse_finality
from ledger.memory_chain import MemoryChain
from ledger.ports import Account
from node.adapters.sql.store import SqlStore, engine_for
from node.ports import Alarm, StoredAnchor, StoredCheckpoint, UnitOfWork
from node.services.adopt import Adopt
from node.services.anchor import Anchoring
from tests.support.node import START, FixedClock, empty_store

MEMBER = "0x" + "aa" * 20
T = TypeVar("T")


class CrashError(Exception):
    """The process ends here."""


@dataclass
class Fuse:
    """Ends the process at one of the calls that go through it.

    Attributes:
        at: Number of the call before which it ends, from 1; 0 for never. (What was
            done in the call before is done.)
    """

    at: int = 0
    count: int = 0

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise CrashError


@dataclass
class FusedChain:
    """Every question to the chain goes through a fuse."""

    chain: Any
    fuse: Fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.chain, name)
        if not callable(found):
            return found

        def _ask(*given: Any, **named: Any) -> Any:
            self.fuse()
            return found(*given, **named)

        return _ask


@dataclass
class FusedStore:
    """Every transaction of the store goes through a fuse."""

    store: SqlStore
    fuse: Fuse

    async def read(self, question: Callable[[UnitOfWork], T]) -> T:
        self.fuse()
        return await self.store.read(question)

    async def write(self, action: Callable[[UnitOfWork], T]) -> T:
        self.fuse()
        return await self.store.write(action)


@dataclass(kw_only=True)
class Site:
    """One node's anchors, its store and its chain."""

    store: SqlStore
    clock: FixedClock
    chain: Any
    fuse: Fuse = field(default_factory=Fuse)
    made: int = 0

    def anchoring(self, chain: Any = None, **changes: Any) -> Anchoring:
        """Return a keeper as a process has it that has just begun."""
        values: dict[str, Any] = {
            "store": FusedStore(self.store, self.fuse),
            "anchors": chain or FusedChain(self.chain, self.fuse),
            "hashing": "sha-256",
            "clock": self.clock,
            "randomness": self.random,
        }
        return Anchoring(**values | changes)

    def adopt(self) -> Adopt:
        return Adopt(store=self.store, anchors=self.chain, clock=self.clock)

    def random(self, size: int) -> bytes:
        self.made += 1
        return sha256(self.made.to_bytes(8, "big"))[:size]

    async def publish(self, size: int) -> None:
        """Have the log grow to a size."""
        note = StoredCheckpoint(
            size=size, root=bytes(32), note=f"note {size}\n", at=self.clock.now()
        )
        await self.store.write(lambda work: work.log.publish(note))

    async def rows(self) -> Sequence[StoredAnchor]:
        account = Account(self.chain.chain_id, self.chain.contract, self.chain.member)
        return await self.store.read(lambda view: view.log.anchors(account))

    async def states(self) -> list[str]:
        return [each.state for each in await self.rows()]

    async def alarms(self) -> list[str]:
        found: Sequence[Alarm] = await self.store.read(lambda view: view.alarms.open())
        return [each.code for each in found]

    async def check(self, epochs: int) -> None:
        """Check that the chain holds exactly our epochs, and we know where."""
        rows = await self.rows()
        assert [each.epoch for each in rows] == [*range(1, epochs + 1)]
        assert self.chain.latest_epoch(self.chain.member) == epochs
        for row in rows:
            held = self.chain.find(row.epoch)
            assert held is not None
            assert held.commitment == row.commitment
            assert row.state in {"mined", "final"}
            assert (row.transaction, row.block) == (held.transaction, held.block)
            assert row.block_hash == held.block_hash
        assert await self.alarms() == []


def open_site(
    folder: Path, *, finality: str = "immediate", anchors: Any = None, **chain: Any
) -> Site:
    """Open a new site.

    Args:
        folder: Where its store is kept.
        anchors: Its chain; one in memory without it.
        finality: Of a chain in memory, as are further switches.
    """
    (folder / "node.sqlite").write_bytes(empty_store())
    engine = engine_for(f"sqlite:///{folder / 'node.sqlite'}")

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # nobody cuts the power here

    rule = parse_finality(finality)
    return Site(
        store=SqlStore(engine),
        clock=FixedClock(START),
        chain=anchors or MemoryChain(member=MEMBER, finality=rule, **chain),
    )


@asynccontextmanager
async def opened(folder: Path, **given: Any) -> AsyncIterator[Site]:
    """Open a new site with a log of five entries. Arguments as for `open_site`."""
    site = open_site(folder, **given)
    await site.publish(5)
    try:
        yield site
    finally:
        await asyncio.to_thread(site.store.close)
